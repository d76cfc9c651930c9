/*
 * manager.c - IHostMemoryManager: a thin shell over memory/; and making one
 *
 * Vtable in IDL order.  Each method checks its out-pointers, asks the layer below, and counts the call.
 */
#include "com/manager.h"

#include "com/malloc.h"
#include "com/unknown.h"
#include "maps/pages.h"
#include "memory/address_space.h"
#include "memory/memory_load.h"
#include "memory/os.h"

static struct hostmem_manager *impl_from_IHostMemoryManager(IHostMemoryManager *iface)
{
    return CONTAINING_RECORD(iface, struct hostmem_manager, iface);
}

static HRESULT count(struct hostmem_manager *manager, hostmem_method method, HRESULT result)
{
    return stats_call(&manager->vm.stats, method, HOSTMEM_LEVEL_NONE, result);
}

static HRESULT STDMETHODCALLTYPE manager_QueryInterface(IHostMemoryManager *iface, REFIID riid, void **out)
{
    if (out != NULL && IsEqualIID(riid, &iid_region_use)) {
        manager_add_reference(impl_from_IHostMemoryManager(iface));
        *out = &impl_from_IHostMemoryManager(iface)->use;
        return S_OK;
    }
    return unknown_query(iface, &IID_IHostMemoryManager, riid, out);
}

static ULONG STDMETHODCALLTYPE manager_AddRef(IHostMemoryManager *iface)
{
    return manager_add_reference(impl_from_IHostMemoryManager(iface));
}

static ULONG STDMETHODCALLTYPE manager_Release(IHostMemoryManager *iface)
{
    return hm_manager_release(impl_from_IHostMemoryManager(iface));
}

static HRESULT create_malloc(struct hostmem_manager *manager, DWORD flags, IHostMalloc **out)
{
    if (out == NULL)
        return E_POINTER;
    *out = NULL;
    if (flags & ~(DWORD)(MALLOC_THREADSAFE | MALLOC_EXECUTABLE))
        return E_INVALIDARG;
    if (vm_is_closed(&manager->vm))
        return hm_vm_refuse_closed(&manager->vm, 0, HOSTMEM_LEVEL_NONE);
    return hm_malloc_create(manager, flags, out);
}

static HRESULT STDMETHODCALLTYPE manager_CreateMalloc(IHostMemoryManager *iface, DWORD flags,
                                                      IHostMalloc **out)
{
    struct hostmem_manager *manager = impl_from_IHostMemoryManager(iface);
    return count(manager, HOSTMEM_CREATE_MALLOC, create_malloc(manager, flags, out));
}

static HRESULT STDMETHODCALLTYPE manager_VirtualAlloc(IHostMemoryManager *iface, void *address, SIZE_T size,
                                                      DWORD type, DWORD protect, EMemoryCriticalLevel level,
                                                      void **memory)
{
    struct hostmem_manager *manager = impl_from_IHostMemoryManager(iface);
    HRESULT result =
        memory == NULL ? E_POINTER : hm_vm_alloc(&manager->vm, address, size, type, protect, level, memory);
    return stats_call(&manager->vm.stats, HOSTMEM_VIRTUAL_ALLOC, level, result);
}

static HRESULT STDMETHODCALLTYPE manager_VirtualFree(IHostMemoryManager *iface, LPVOID address, SIZE_T size,
                                                     DWORD type)
{
    struct hostmem_manager *manager = impl_from_IHostMemoryManager(iface);
    return count(manager, HOSTMEM_VIRTUAL_FREE, hm_vm_free(&manager->vm, address, size, type));
}

static HRESULT STDMETHODCALLTYPE manager_VirtualQuery(IHostMemoryManager *iface, void *address, void *buffer,
                                                      SIZE_T length, SIZE_T *written)
{
    struct hostmem_manager *manager = impl_from_IHostMemoryManager(iface);
    HRESULT result = written == NULL ? E_POINTER : hm_vm_query(address, buffer, length, written);
    return count(manager, HOSTMEM_VIRTUAL_QUERY, result);
}

static HRESULT STDMETHODCALLTYPE manager_VirtualProtect(IHostMemoryManager *iface, void *address, SIZE_T size,
                                                        DWORD protect, DWORD *old)
{
    struct hostmem_manager *manager = impl_from_IHostMemoryManager(iface);
    const HRESULT result = hm_vm_protect(address, size, protect, old);
    RECORD_TOO(&manager->vm, HOSTMEM_TRACE_PROTECT, TRACE_PROTECT, (uintptr_t)address, size, protect,
               result == S_OK ? *old : 0, (uint32_t)result);
    return count(manager, HOSTMEM_VIRTUAL_PROTECT, result);
}

static HRESULT get_memory_load(struct hostmem_manager *manager, DWORD *percent, SIZE_T *available)
{
    if (percent != NULL)
        *percent = 0;
    if (available != NULL)
        *available = 0;
    if (percent == NULL || available == NULL)
        return E_POINTER;
    struct memory_load load;
    HRESULT result = hm_memory_load_read(&load, &manager->vm.quota);
    if (result == S_OK) {
        *percent = load.percent;
        *available = load.available;
    }
    return result;
}

static HRESULT STDMETHODCALLTYPE manager_GetMemoryLoad(IHostMemoryManager *iface, DWORD *percent,
                                                       SIZE_T *available)
{
    struct hostmem_manager *manager = impl_from_IHostMemoryManager(iface);
    return count(manager, HOSTMEM_GET_MEMORY_LOAD, get_memory_load(manager, percent, available));
}

static HRESULT STDMETHODCALLTYPE manager_RegisterMemoryNotificationCallback(
    IHostMemoryManager *iface, ICLRMemoryNotificationCallback *callback)
{
    struct hostmem_manager *manager = impl_from_IHostMemoryManager(iface);
    if (callback != NULL) {
        hm_os_pin_module(); /* only a CLR calls this, and it stays */
        ICLRMemoryNotificationCallback_AddRef(callback);
    }
    hm_manager_replace_callback(manager, callback);
    if (callback != NULL) {
        atomic_store(&manager->tenant.renotify, true); /* this one has had none yet */
        hm_pressure_join(&manager->tenant); /* without memory for a thread the CLR is never notified */
        hm_pressure_wake();
    }
    if (vm_is_closed(&manager->vm)) /* hostmem_shutdown may have come too early to see it */
        hm_manager_replace_callback(manager, NULL);
    return count(manager, HOSTMEM_REGISTER_CALLBACK, S_OK);
}

static HRESULT STDMETHODCALLTYPE manager_NeedsVirtualAddressSpace(IHostMemoryManager *iface, LPVOID start,
                                                                  SIZE_T size)
{
    struct hostmem_manager *manager = impl_from_IHostMemoryManager(iface);
    hostmem_relief_callback relief = manager->options.relief;
    DWORD error = GetLastError(); /* of the map that failed: the CLR may want it */
    /* Any success makes the CLR map again (contract 3.6): only if that can help. */
    bool helped = relief != NULL && relief(start, size, manager->options.context) == S_OK &&
                  (start == NULL || hm_address_space_is_free(start, size));
    SetLastError(error);
    return count(manager, HOSTMEM_NEEDS_ADDRESS_SPACE, helped ? S_OK : E_OUTOFMEMORY);
}

static HRESULT STDMETHODCALLTYPE manager_AcquiredVirtualAddressSpace(IHostMemoryManager *iface, LPVOID start,
                                                                     SIZE_T size)
{
    struct hostmem_manager *manager = impl_from_IHostMemoryManager(iface);
    (void)size; /* unreliable (contract 3.6); Windows is asked instead */
    hm_address_space_acquired(&manager->vm, start);
    return count(manager, HOSTMEM_ACQUIRED_ADDRESS_SPACE, S_OK);
}

static HRESULT STDMETHODCALLTYPE manager_ReleasedVirtualAddressSpace(IHostMemoryManager *iface, LPVOID start)
{
    struct hostmem_manager *manager = impl_from_IHostMemoryManager(iface);
    hm_address_space_released(&manager->vm, start);
    return count(manager, HOSTMEM_RELEASED_ADDRESS_SPACE, S_OK);
}

static const IHostMemoryManagerVtbl manager_vtbl = {
    manager_QueryInterface,
    manager_AddRef,
    manager_Release,
    manager_CreateMalloc,
    manager_VirtualAlloc,
    manager_VirtualFree,
    manager_VirtualQuery,
    manager_VirtualProtect,
    manager_GetMemoryLoad,
    manager_RegisterMemoryNotificationCallback,
    manager_NeedsVirtualAddressSpace,
    manager_AcquiredVirtualAddressSpace,
    manager_ReleasedVirtualAddressSpace,
};

/* IHostmemRegionUse: of the same object. */
static struct hostmem_manager *impl_from_IHostmemRegionUse(IHostmemRegionUse *iface)
{
    return CONTAINING_RECORD(iface, struct hostmem_manager, use);
}

static HRESULT STDMETHODCALLTYPE use_QueryInterface(IHostmemRegionUse *iface, REFIID riid, void **out)
{
    return manager_QueryInterface(&impl_from_IHostmemRegionUse(iface)->iface, riid, out);
}

static ULONG STDMETHODCALLTYPE use_AddRef(IHostmemRegionUse *iface)
{
    return manager_AddRef(&impl_from_IHostmemRegionUse(iface)->iface);
}

static ULONG STDMETHODCALLTYPE use_Release(IHostmemRegionUse *iface)
{
    return manager_Release(&impl_from_IHostmemRegionUse(iface)->iface);
}

static HRESULT STDMETHODCALLTYPE use_SetUse(IHostmemRegionUse *iface, void *address, uint32_t use)
{
    if (use >= HOSTMEM_USE_COUNT || use == HOSTMEM_USE_VIEW)
        return E_INVALIDARG;
    return hm_vm_set_use(&impl_from_IHostmemRegionUse(iface)->vm, address, (hostmem_use)use);
}

static const IHostmemRegionUseVtbl region_use_vtbl = {use_QueryInterface, use_AddRef, use_Release,
                                                      use_SetUse};

struct hostmem_manager *hm_manager_of(IHostMemoryManager *iface)
{
    return iface->lpVtbl == &manager_vtbl ? impl_from_IHostMemoryManager(iface) : NULL;
}

static void apply_options(struct hostmem_manager *manager, const hostmem_options *options)
{
    manager->options = *options;
    manager->options.limits = NULL; /* read now, and never again */
    if (options->shared != NULL) {
        manager->shared = options->shared;
        atomic_fetch_add_explicit(&manager->shared->references, 1, memory_order_relaxed);
        manager->vm.quota.parent = &manager->shared->quota;
    }
    if (options->limits != NULL)
        hm_limits_set(&manager->vm.quota, options->limits);
}

HRESULT HOSTMEM_CALL hostmem_create(const hostmem_options *options, hostmem_manager **manager)
{
    if (manager == NULL)
        return E_POINTER;
    *manager = NULL;
    if (options != NULL && (options->size != sizeof *options || options->flags != 0 ||
                            (options->limits != NULL && hm_limits_check(options->limits) != S_OK)))
        return E_INVALIDARG;

    struct hostmem_manager *made = pages_take(sizeof *made);
    if (made == NULL)
        return E_OUTOFMEMORY;
    made->iface.lpVtbl = &manager_vtbl;
    made->use.lpVtbl = &region_use_vtbl;
    hm_manager_init(made);
    hm_pool_init(&made->mallocs, sizeof(struct malloc_object), 64, &made->vm.stats.metadata);
    if (options != NULL)
        apply_options(made, options);
    if (made->options.event != NULL && !hm_pressure_join(&made->tenant)) {
        hm_manager_release(made);
        return E_OUTOFMEMORY;
    }
    *manager = made;
    return S_OK;
}
