/*
 * lifetime.c - the references to a manager, its notification callback, and its end; and what the host reads of it
 *
 * Nothing here knows the vtables: malloc.c and manager.c are the layers above.
 *
 * Each public struct begins with its size, and only sizes that a released version had are taken: so far the header's.
 */
#include "com/manager.h"

#include "maps/pages.h"
#include "memory/os.h"

uint32_t HOSTMEM_CALL hostmem_version(void)
{
    return HOSTMEM_VERSION;
}

/*
 * The pressure thread announces in `in_use` what it is about to call, and calls it only if it is still the callback
 * then.  Whoever replaces a callback that is announced takes the announcement away, and with it leaves the old
 * reference to the thread, which finds its announcement gone.  All seq_cst: the thread stores `in_use` and then reads
 * `callback`, the other exchanges `callback` and then looks at `in_use`, so one of the two sees the other.
 */
void hm_manager_replace_callback(struct hostmem_manager *manager, ICLRMemoryNotificationCallback *callback)
{
    ICLRMemoryNotificationCallback *old = atomic_exchange(&manager->callback, callback), *announced = old;
    if (old != NULL && !atomic_compare_exchange_strong(&manager->in_use, &announced, NULL))
        ICLRMemoryNotificationCallback_Release(old);
}

static bool notify_clr(struct tenant *tenant, enum budget_pressure pressure)
{
    struct hostmem_manager *manager = CONTAINING_RECORD(tenant, struct hostmem_manager, tenant);
    ICLRMemoryNotificationCallback *callback;
    bool notified = false;
    do {
        callback = atomic_load(&manager->callback);
        if (callback == NULL)
            return false;
        atomic_store(&manager->in_use, callback);
        if (atomic_load(&manager->callback) == callback) {
            ICLRMemoryNotificationCallback_OnMemoryNotification(callback, (EMemoryAvailable)pressure);
            notified = true;
        }
        if (atomic_exchange(&manager->in_use, NULL) == NULL)
            ICLRMemoryNotificationCallback_Release(callback);
    } while (!notified);
    return true;
}

static void notify_host(struct tenant *tenant, const hostmem_event *event)
{
    const hostmem_options *options = &CONTAINING_RECORD(tenant, struct hostmem_manager, tenant)->options;
    if (options->event != NULL)
        options->event(event, options->context);
}

/* Nobody has a reference, and the pressure thread has let go. */
static void gone(struct tenant *tenant)
{
    struct hostmem_manager *manager = CONTAINING_RECORD(tenant, struct hostmem_manager, tenant);
    struct hostmem_budget *shared = manager->shared;
    hm_pool_destroy(&manager->mallocs);
    if (shared != NULL) {
        /* What leaked stays where it is, but is nobody's any more. */
        budget_give(&shared->quota.commit, hm_budget_used(&manager->vm.quota.commit));
        budget_give(&shared->quota.heap, hm_budget_used(&manager->vm.quota.heap));
        budget_give(&shared->quota.reserve, hm_budget_used(&manager->vm.quota.reserve));
    }
    hm_vm_destroy(&manager->vm);
    hm_pages_release(manager, sizeof *manager);
    hostmem_release_budget(shared);
}

void hm_manager_init(struct hostmem_manager *manager)
{
    hm_vm_init(&manager->vm);
    manager->tenant.vm = &manager->vm;
    manager->tenant.references = 1;
    manager->tenant.notify_clr = notify_clr;
    manager->tenant.notify_host = notify_host;
    manager->tenant.gone = gone;
    atomic_fetch_add_explicit(&manager->vm.stats.metadata, sizeof *manager, memory_order_relaxed);
    references_init(&manager->references);
}

/* From here on nothing is registered that has not been, whoever is being called meanwhile. */
static void shut_down(struct hostmem_manager *manager)
{
    atomic_store(&manager->vm.closed, true);
    hm_manager_replace_callback(manager, NULL);
    hm_pressure_leave(&manager->tenant);
}

static HRESULT walk_regions(struct hostmem_manager *manager, bool stop_early,
                            hostmem_region_callback callback, void *context)
{
    struct region_table *table = &manager->vm.table;
    uint32_t used = pool_used(&table->records);
    const uint64_t now = hm_os_ticks();
    for (uint32_t number = 1; number <= used; number++) {
        struct region_hold hold;
        if (!hm_region_enter_number(table, number, &hold))
            continue;
        hostmem_region region = {.size = sizeof region,
                                 .kind = hold.region->kind,
                                 .base = (void *)(uintptr_t)geometry_base(hold.geometry),
                                 .reserved = geometry_pages(hold.geometry) << PAGE_SHIFT,
                                 .committed = region_committed(&hold) << PAGE_SHIFT,
                                 .allocation_type = hold.region->allocation_type,
                                 .allocation_protect = hold.region->allocation_protect,
                                 .critical_level = hold.region->level,
                                 .use = region_use(hold.region),
                                 .age = now > hold.region->time ? now - hold.region->time : 0};
        hm_region_leave_unchanged(table, &hold);
        HRESULT result = callback(&region, context);
        if (result != S_OK && stop_early)
            return result;
    }
    return S_OK;
}

uint32_t hm_manager_release(struct hostmem_manager *manager)
{
    uint32_t left;
    if (references_give(&manager->references, &left)) {
        shut_down(manager);
        if (manager->options.leaked_region != NULL)
            walk_regions(manager, false, manager->options.leaked_region, manager->options.context);
        hostmem_trace_stop(manager);
        hm_pressure_release(&manager->tenant);
    }
    return left;
}

void HOSTMEM_CALL hostmem_release(hostmem_manager *manager)
{
    if (manager != NULL)
        hm_manager_release(manager);
}

HRESULT HOSTMEM_CALL hostmem_shutdown(hostmem_manager *manager)
{
    if (manager == NULL)
        return E_POINTER;
    shut_down(manager);
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
    const struct quota *quota = &manager->vm.quota;
    hm_stats_read(&manager->vm.stats, statistics);
    statistics->reserved = hm_budget_gauge(&quota->reserve);
    statistics->heap =
        (hostmem_gauge){.now = blocks_now(quota),
                        .peak = atomic_load_explicit(&quota->stock->charged.peak, memory_order_relaxed)};
    statistics->charged = hm_budget_gauge(&quota->commit);
    statistics->process = hm_budget_gauge(&quota->process);
    statistics->overrun = hm_budget_overrun(&quota->commit);
    statistics->heap_overrun = hm_budget_overrun(&quota->heap);
    statistics->events_lost = atomic_load_explicit(&manager->vm.events.lost, memory_order_relaxed);
    return S_OK;
}

HRESULT HOSTMEM_CALL hostmem_walk_regions(hostmem_manager *manager, hostmem_region_callback callback,
                                          void *context)
{
    if (manager == NULL || callback == NULL)
        return E_POINTER;
    manager_add_reference(manager); /* the callback may give back the caller's */
    HRESULT result = walk_regions(manager, true, callback, context);
    hm_manager_release(manager);
    return result;
}

HRESULT HOSTMEM_CALL hostmem_owns(hostmem_manager *manager, const void *address)
{
    if (manager == NULL)
        return E_POINTER;
    return hm_region_kind_at(&manager->vm.table, (uintptr_t)address) == HOSTMEM_REGION_PRIVATE ? S_OK
                                                                                               : S_FALSE;
}
