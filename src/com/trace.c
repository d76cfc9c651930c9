/*
 * trace.c - the C API of traces
 */
#include "com/manager.h"

static HRESULT check(const hostmem_trace_options *options)
{
    const uint32_t flags = HOSTMEM_TRACE_BLOCKS | HOSTMEM_TRACE_PROTECT | HOSTMEM_TRACE_STACKS;
    if (options->size != sizeof *options || options->flags & ~flags || options->reserved != 0)
        return E_INVALIDARG;
    if (options->lane_events != 0 && !ring_slots_fit(options->lane_events))
        return E_INVALIDARG;
    if (options->path == NULL)
        return E_POINTER;
    return sizeof(void *) == 4 && options->flags & HOSTMEM_TRACE_STACKS ? E_NOTIMPL : S_OK;
}

HRESULT HOSTMEM_CALL hostmem_trace_start(hostmem_manager *manager, const hostmem_trace_options *options)
{
    if (manager == NULL || options == NULL)
        return E_POINTER;
    HRESULT result = check(options);
    if (result != S_OK)
        return result;
    if (vm_is_closed(&manager->vm))
        return HOST_E_CLRNOTAVAILABLE;
    struct trace *trace;
    result = hm_trace_start(&manager->vm, options, &trace);
    if (result == S_OK)
        atomic_store(&manager->trace, trace);
    return result;
}

HRESULT HOSTMEM_CALL hostmem_trace_collections(hostmem_manager *manager, const uint64_t counts[3])
{
    if (manager == NULL || counts == NULL)
        return E_POINTER;
    for (unsigned generation = 0; generation < 3; generation++)
        atomic_store_explicit(&manager->vm.recorders.collections[generation], counts[generation] + 1,
                              memory_order_relaxed);
    return S_OK;
}

HRESULT HOSTMEM_CALL hostmem_trace_stop(hostmem_manager *manager)
{
    if (manager == NULL)
        return E_POINTER;
    struct trace *trace = atomic_exchange(&manager->trace, NULL);
    return trace == NULL ? S_FALSE : hm_trace_end(trace);
}
