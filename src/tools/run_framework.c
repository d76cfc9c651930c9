/*
 * run_framework.c - see run_framework.h
 */
#include "tools/run_framework.h"

#include <wchar.h>

#include "tools/ending.h"
#include "tools/framework_host.h"
#include "tools/run_hostfxr.h"
#include "tools/writer.h"

static bool failed(HRESULT hr, const wchar_t *step)
{
    if (hr == S_OK)
        return false;
    complain(L".NET Framework: %ls failed with 0x%08lx", step, (unsigned long)hr);
    return true;
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

    /* Framework 4 runs what was built for 2.0 as well, but only a machine without 2.0 should: so the version of the
     * metadata is taken at its word first. */
    ICLRRuntimeHost *host = NULL;
    if (framework_host_get(mscoree, program->runtime_version, true, &host) != S_OK)
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
        complain(L"%ls: %ls failed with 0x%08lx: it is no static int %ls(string), or threw an exception",
                 program->assembly, method, (unsigned long)hr, dot + 1);
        ending_thrown(hr);
    } else {
        status = (int)result;
        ending_reached(result);
    }
host:
    ICLRRuntimeHost_Release(host);
    return status;
}
