/*
 * framework_host.c - see framework_host.h
 */
#include "tools/framework_host.h"

#include <wchar.h>

#include "tools/metahost.h"
#include "tools/program.h"
#include "tools/writer.h"

typedef HRESULT(STDAPICALLTYPE *create_instance_function)(REFCLSID clsid, REFIID riid, void **object);

static HRESULT mscoree_load(const wchar_t *path, create_instance_function *create)
{
    static wchar_t system[PATH_CHARS];

    if (!path) {
        UINT length = GetSystemDirectoryW(system, PATH_CHARS);
        if (length == 0 || length >= PATH_CHARS || !path_join(system, system, L"mscoree.dll"))
            return HRESULT_FROM_WIN32(ERROR_BAD_PATHNAME);
        path = system;
    }
    HMODULE module =
        LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (!module) {
        DWORD error = GetLastError();
        complain(L"%ls: cannot be loaded (Windows error %lu), so there is no .NET Framework", path, error);
        return HRESULT_FROM_WIN32(error);
    }
    *create = (create_instance_function)(void *)GetProcAddress(module, "CLRCreateInstance");
    if (*create)
        return S_OK;
    complain(L"%ls: does not export CLRCreateInstance (.NET Framework 4 is needed)", path);
    return HRESULT_FROM_WIN32(ERROR_PROC_NOT_FOUND);
}

static HRESULT runtime_find(meta_host *meta, const wchar_t *version, bool or_newest, runtime_info **info)
{
    HRESULT hr = meta->vtable->GetRuntime(meta, version, &iid_runtime_info, (void **)info);
    if (FAILED(hr) && or_newest && wcscmp(version, FRAMEWORK_NEWEST) != 0)
        hr = meta->vtable->GetRuntime(meta, FRAMEWORK_NEWEST, &iid_runtime_info, (void **)info);
    if (SUCCEEDED(hr) && *info)
        return S_OK;
    complain(L".NET Framework %ls is not installed (ICLRMetaHost::GetRuntime failed with 0x%08lx)", version,
             (unsigned long)hr);
    return FAILED(hr) ? hr : E_UNEXPECTED;
}

HRESULT framework_host_get(const wchar_t *mscoree, const wchar_t *version, bool or_newest,
                           ICLRRuntimeHost **host)
{
    create_instance_function create = NULL;
    runtime_info *info = NULL;
    meta_host *meta = NULL;

    *host = NULL;
    HRESULT hr = mscoree_load(mscoree, &create);
    if (create == NULL)
        return hr;
    hr = create(&clsid_meta_host, &iid_meta_host, (void **)&meta);
    if (hr != S_OK) {
        complain(L".NET Framework: CLRCreateInstance failed with 0x%08lx", (unsigned long)hr);
        return hr;
    }
    hr = runtime_find(meta, version, or_newest, &info);
    if (hr == S_OK) {
        hr = info->vtable->GetInterface(info, &clsid_runtime_host, &IID_ICLRRuntimeHost, (void **)host);
        if (hr != S_OK) { /* Windows and Wine name a runtime that is not there; this is where it is loaded */
            complain(L".NET Framework %ls cannot be loaded, is it installed? (0x%08lx)", version,
                     (unsigned long)hr);
            *host = NULL;
        }
        info->vtable->Release(info);
    }
    meta->vtable->Release(meta);
    return hr;
}
