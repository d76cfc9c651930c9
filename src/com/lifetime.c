/*
 * lifetime.c - the C API: making a manager, reading its books, and its end
 *
 * Callers of an earlier version pass a smaller struct: each public struct begins with its size, and only
 * sizes that some version had are taken.
 */
#include "com/manager.h"

#include "com/malloc.h"
#include "maps/pages.h"

uint32_t HOSTMEM_CALL hostmem_version(void)
{
    return HOSTMEM_VERSION;
}

void manager_add_reference(struct hostmem_manager *manager)
{
    atomic_fetch_add_explicit(&manager->references, 1, memory_order_relaxed);
}

HRESULT HOSTMEM_CALL hostmem_create(const hostmem_options *options, hostmem_manager **manager)
{
    if (manager == NULL)
        return E_POINTER;
    *manager = NULL;
    if (options != NULL && (options->size != sizeof *options || options->flags != 0))
        return E_INVALIDARG;

    struct hostmem_manager *made = pages_take(sizeof *made);
    if (made == NULL)
        return E_OUTOFMEMORY;
    made->iface.lpVtbl = &manager_vtbl;
    if (options != NULL)
        made->options = *options;
    vm_init(&made->vm);
    pool_init(&made->mallocs, sizeof(struct malloc_object), 64, &made->vm.stats.metadata);
    atomic_fetch_add_explicit(&made->vm.stats.metadata, sizeof *made, memory_order_relaxed);
    atomic_store_explicit(&made->references, 1, memory_order_release);
    *manager = made;
    return S_OK;
}

void manager_replace_callback(struct hostmem_manager *manager, ICLRMemoryNotificationCallback *callback)
{
    ICLRMemoryNotificationCallback *old =
        atomic_exchange_explicit(&manager->callback, callback, memory_order_seq_cst);
    if (old != NULL)
        ICLRMemoryNotificationCallback_Release(old);
}

static void manager_destroy(struct hostmem_manager *manager)
{
    if (manager->options.leaked_region != NULL)
        manager_walk_regions(manager, false, manager->options.leaked_region, manager->options.context);
    manager_replace_callback(manager, NULL);
    pool_destroy(&manager->mallocs);
    vm_destroy(&manager->vm);
    pages_release(manager, sizeof *manager);
}

uint32_t manager_release(struct hostmem_manager *manager)
{
    uint32_t left = atomic_fetch_sub_explicit(&manager->references, 1, memory_order_acq_rel) - 1;
    if (left == 0)
        manager_destroy(manager);
    return left;
}

void HOSTMEM_CALL hostmem_release(hostmem_manager *manager)
{
    if (manager != NULL)
        manager_release(manager);
}

HRESULT HOSTMEM_CALL hostmem_shutdown(hostmem_manager *manager)
{
    if (manager == NULL)
        return E_POINTER;
    atomic_store_explicit(&manager->vm.closed, true, memory_order_seq_cst);
    manager_replace_callback(manager, NULL);
    return S_OK;
}

HRESULT HOSTMEM_CALL hostmem_get_memory_manager(hostmem_manager *manager, IHostMemoryManager **memory)
{
    if (memory == NULL)
        return E_POINTER;
    *memory = NULL;
    if (manager == NULL)
        return E_POINTER;
    manager_add_reference(manager);
    *memory = &manager->iface;
    return S_OK;
}

HRESULT HOSTMEM_CALL hostmem_get_statistics(hostmem_manager *manager, hostmem_statistics *statistics)
{
    if (manager == NULL || statistics == NULL)
        return E_POINTER;
    if (statistics->size != sizeof *statistics)
        return E_INVALIDARG;
    stats_read(&manager->vm.stats, statistics);
    return S_OK;
}

HRESULT manager_walk_regions(struct hostmem_manager *manager, bool stop_early,
                             hostmem_region_callback callback, void *context)
{
    struct region_table *table = &manager->vm.table;
    uint32_t used = pool_used(&table->records);
    for (uint32_t number = 1; number <= used; number++) {
        struct region_hold hold;
        if (!region_enter_number(table, number, &hold))
            continue;
        hostmem_region region = {.size = sizeof region,
                                 .kind = hold.region->kind,
                                 .base = (void *)(uintptr_t)geometry_base(hold.geometry),
                                 .reserved = geometry_pages(hold.geometry) << PAGE_SHIFT,
                                 .committed = region_committed(&hold) << PAGE_SHIFT,
                                 .allocation_type = hold.region->allocation_type,
                                 .allocation_protect = hold.region->allocation_protect,
                                 .critical_level = hold.region->level};
        region_leave_unchanged(table, &hold);
        HRESULT result = callback(&region, context);
        if (result != S_OK && stop_early)
            return result;
    }
    return S_OK;
}

HRESULT HOSTMEM_CALL hostmem_walk_regions(hostmem_manager *manager, hostmem_region_callback callback,
                                          void *context)
{
    if (manager == NULL || callback == NULL)
        return E_POINTER;
    return manager_walk_regions(manager, true, callback, context);
}

HRESULT HOSTMEM_CALL hostmem_walk_blocks(hostmem_manager *manager, hostmem_block_callback callback,
                                         void *context)
{
    if (manager == NULL || callback == NULL)
        return E_POINTER;
    return malloc_walk_all(manager, callback, context);
}

HRESULT HOSTMEM_CALL hostmem_owns(hostmem_manager *manager, const void *address)
{
    if (manager == NULL)
        return E_POINTER;
    return region_kind_at(&manager->vm.table, (uintptr_t)address) == HOSTMEM_REGION_PRIVATE ? S_OK : S_FALSE;
}
