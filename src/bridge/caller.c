/*
 * A module whose imports are redirected.
 */
#include "bridge/caller.h"
#include "bridge/runtime.h"
#include "maps/compiler.h"

/* A section by which one copy of this library recognises another in the same process. */
#define MARK ".hostmem"
IN_SECTION(MARK) static const char mark[] = "hostmem bridge";

_Atomic(IHostMemoryManager *) hm_bridge_manager;

/* What deals in pages begins like this. */
static const struct family families[] = {{"VirtualAlloc", true},
                                         {"VirtualFree", false},
                                         {"VirtualProtect", false},
                                         {"VirtualQuery", false},
                                         {"MapViewOf", true},
                                         {"UnmapViewOf", false},
                                         {NULL, false}};

HRESULT hm_caller_redirect(struct caller *caller, HMODULE module, bool known_only, const char **culprit)
{
    const unsigned count_all = HOSTMEM_BRIDGE_FUNCTION_COUNT;

    *culprit = NULL;
    if (caller->held && caller->held != module) /* our functions can chain for one module only */
        return HRESULT_FROM_WIN32(ERROR_BUSY);
    HRESULT hr = hm_imports_find(module, caller->imports, count_all, culprit);
    if (hr == S_OK) {
        caller->incomplete = hm_imports_unknown(module, caller->imports, count_all, families, caller->unknown,
                                                sizeof caller->unknown);
        if (known_only && caller->unknown[0]) {
            *culprit = caller->unknown;
            hr = HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED);
        }
    }
    if (hr == S_OK && hm_imports_marked(caller->imports, count_all, MARK))
        hr = HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS);
    if (hr != S_OK)
        return hr;

    caller->module = module;
    caller->version = hm_runtime_version(module);
    hr = hm_imports_redirect(caller->imports, count_all);
    if (hr == S_OK && hm_imports_marked(caller->imports, count_all, MARK)) /* another copy, meanwhile */
        hr = HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS);
    if (hr != S_OK)
        hm_caller_restore(caller);
    return hr;
}

void hm_caller_restore(struct caller *caller)
{
    HMODULE module = caller->module;

    caller->module = NULL;
    caller->held = NULL;
    if (hm_imports_restore(caller->imports, HOSTMEM_BRIDGE_FUNCTION_COUNT))
        return;
    caller->held = module;
    hm_module_pin(module);
    hm_module_pin((const void *)hm_caller_restore);
}
