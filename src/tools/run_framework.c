/*
 * run_framework.c - see run_framework.h
 *
 * The version of the runtime is the one in the assembly's metadata. Framework 4 runs what was built for 2.0
 * as well, but only a machine without 2.0 should: so the version is taken at its word first, and v4.0.30319
 * is the second choice.
 */
#include "tools/run_framework.h"

#include <wchar.h>

#include "tools/ending.h"
#include "tools/metahost.h"
#include "tools/run_hostfxr.h"
#include "tools/writer.h"

typedef HRESULT(STDAPICALLTYPE *create_instance_function)(REFCLSID clsid, REFIID riid, void **object);

static create_instance_function mscoree_load(const wchar_t *path)
{
    static wchar_t system[PATH_CHARS];

    if (!path) {
        UINT length = GetSystemDirectoryW(system, PATH_CHARS);
        if (length == 0 || length >= PATH_CHARS || !path_join(system, system, L"mscoree.dll"))
            return NULL;
        path = system;
    }
    HMODULE module =
        LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (!module) {
        complain(L"%ls: cannot be loaded (Windows error %lu), so there is no .NET Framework", path,
                 GetLastError());
        return NULL;
    }
    create_instance_function create =
        (create_instance_function)(void *)GetProcAddress(module, "CLRCreateInstance");
    if (!create)
        complain(L"%ls: does not export CLRCreateInstance (.NET Framework 4 is needed)", path);
    return create;
}

static bool failed(HRESULT hr, const wchar_t *step)
{
    if (hr == S_OK)
        return false;
    complain(L".NET Framework: %ls failed with 0x%08lx", step, (unsigned long)hr);
    return true;
}

static runtime_info *runtime_find(meta_host *meta, const wchar_t *version)
{
    static const wchar_t newest[] = L"v4.0.30319";
    runtime_info *info = NULL;

    HRESULT hr = meta->vtable->GetRuntime(meta, version, &iid_runtime_info, (void **)&info);
    if (FAILED(hr) && wcscmp(version, newest) != 0)
        hr = meta->vtable->GetRuntime(meta, newest, &iid_runtime_info, (void **)&info);
    if (SUCCEEDED(hr) && info)
        return info;
    complain(L".NET Framework %ls is not installed (ICLRMetaHost::GetRuntime failed with 0x%08lx)", version,
             (unsigned long)hr);
    return NULL;
}

static ICLRRuntimeHost *runtime_host_get(create_instance_function create, const wchar_t *version)
{
    meta_host *meta = NULL;
    ICLRRuntimeHost *host = NULL;

    if (failed(create(&clsid_meta_host, &iid_meta_host, (void **)&meta), L"CLRCreateInstance"))
        return NULL;
    runtime_info *info = runtime_find(meta, version);
    if (info) {
        HRESULT hr =
            info->vtable->GetInterface(info, &clsid_runtime_host, &IID_ICLRRuntimeHost, (void **)&host);
        if (hr != S_OK) { /* Windows and Wine name a runtime that is not there; this is where it is loaded */
            complain(L".NET Framework %ls cannot be loaded, is it installed? (0x%08lx)", version,
                     (unsigned long)hr);
            host = NULL;
        }
        info->vtable->Release(info);
    }
    meta->vtable->Release(meta);
    return host;
}

int run_framework(const struct program *program, const wchar_t *method, const wchar_t *argument,
                  IHostControl *control, hostmem_manager *manager, const wchar_t *mscoree)
{
    static wchar_t type[1024];
    int status = STATUS_FAILED;
    DWORD result = 0;

    const wchar_t *dot = wcsrchr(method, L'.');
    if (!dot || dot == method || !dot[1] || dot - method >= (ptrdiff_t)ARRAYSIZE(type)) {
        complain(L"--method wants Namespace.Type.Method, not '%ls'", method);
        return STATUS_USAGE;
    }
    wmemcpy(type, method, (size_t)(dot - method));

    create_instance_function create = mscoree_load(mscoree);
    if (!create)
        return STATUS_FAILED;
    ICLRRuntimeHost *host = runtime_host_get(create, program->runtime_version);
    if (!host)
        return STATUS_FAILED;
    if (control && failed(ICLRRuntimeHost_SetHostControl(host, control), L"ICLRRuntimeHost::SetHostControl"))
        goto host;
    ending_expect();
    if (failed(ICLRRuntimeHost_Start(host), L"ICLRRuntimeHost::Start"))
        goto host;
    if (manager)
        hostmem_clr_started(manager);
    HRESULT hr =
        ICLRRuntimeHost_ExecuteInDefaultAppDomain(host, program->assembly, type, dot + 1, argument, &result);
    if (FAILED(hr)) {
        complain(L"%ls: %ls could not be run (0x%08lx); it must be a static int %ls(string)",
                 program->assembly, method, (unsigned long)hr, dot + 1);
    } else {
        status = (int)result;
        ending_reached(result);
    }
host:
    ICLRRuntimeHost_Release(host);
    return status;
}
