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

/* What is given a block of the heap, and would take one of the host's for its own.  None of the runtimes has them. */
static const struct family block_families[] = {{"_msize", false},       {"_recalloc", false},
                                               {"_expand", false},      {"HeapSize", false},
                                               {"HeapValidate", false}, {NULL, false}};

/* Notes the memory functions that the module imports and we do not know.  False: they may not be there. */
static bool unknown_may_be(struct caller *caller, HMODULE module, const struct wanted *wanted)
{
    char *names = caller->unknown;

    if (wanted->native_heap) {
        hm_imports_unknown(module, NULL, 0, block_families, names, sizeof caller->unknown);
        if (names[0])
            return false;
    }
    if (caller->heap_alone)
        return true;
    caller->incomplete = hm_imports_unknown(module, caller->imports, HOSTMEM_BRIDGE_FUNCTION_COUNT, families,
                                            names, sizeof caller->unknown);
    return !wanted->known_only || !names[0];
}

HRESULT hm_caller_redirect(struct caller *caller, HMODULE module, const struct wanted *wanted,
                           const char **culprit)
{
    const unsigned first = caller->heap_alone ? HOSTMEM_BRIDGE_MALLOC : 0;
    const unsigned end = wanted->native_heap ? HOSTMEM_BRIDGE_FUNCTION_COUNT : HOSTMEM_BRIDGE_MALLOC;
    struct import *imports = caller->imports + first;

    *culprit = NULL;
    if (caller->held && caller->held != module) /* our functions can chain for one module only */
        return HRESULT_FROM_WIN32(ERROR_BUSY);
    HRESULT hr = hm_imports_find(module, imports, end - first, culprit);
    if (hr == S_OK && !unknown_may_be(caller, module, wanted)) {
        *culprit = caller->unknown;
        hr = HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED);
    }
    if (hr == S_OK && hm_imports_marked(imports, end - first, MARK))
        hr = HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS);
    if (hr != S_OK)
        return hr;

    caller->module = module;
    caller->version = hm_runtime_version(module);
    hr = hm_imports_redirect(imports, end - first);
    if (hr == S_OK && hm_imports_marked(imports, end - first, MARK)) /* another copy, meanwhile */
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
