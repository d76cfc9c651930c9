/*
 * limits.c - the C API of limits, shared budgets and pressure
 */
#include "com/limits.h"

#include "com/manager.h"
#include "maps/pages.h"
#include "memory/pressure.h"

HRESULT hm_limits_check(const hostmem_limits *limits)
{
    bool known = limits->size == sizeof *limits && !(limits->flags & ~(uint32_t)HOSTMEM_LIMITS_STRICT);
    if (!known || limits->limit == 0 || limits->task_limit > limits->limit || limits->soft > limits->limit)
        return E_INVALIDARG;
    return S_OK;
}

static uint64_t unless_zero(uint64_t figure, uint64_t otherwise)
{
    return figure != 0 ? figure : otherwise;
}

void hm_limits_set(struct quota *quota, const hostmem_limits *limits)
{
    uint64_t task_limit = unless_zero(limits->task_limit, limits->limit);
    const struct budget_limits commit = {.limit = limits->limit,
                                         .task_limit = task_limit,
                                         .margin = limits->margin,
                                         .soft = unless_zero(limits->soft, budget_default_soft(task_limit)),
                                         .strict = (limits->flags & HOSTMEM_LIMITS_STRICT) != 0};
    const struct budget_limits process = {.limit = BUDGET_UNLIMITED,
                                          .task_limit = BUDGET_UNLIMITED,
                                          .soft = unless_zero(limits->process_soft, BUDGET_UNLIMITED)};
    hm_budget_set(&quota->process, &process);
    hm_quota_set(quota, &commit, unless_zero(limits->heap_limit, BUDGET_UNLIMITED),
                 unless_zero(limits->reserve_limit, BUDGET_UNLIMITED),
                 unless_zero(limits->fail_after, BUDGET_UNLIMITED));
}

static void get_limits(const struct quota *quota, hostmem_limits *limits)
{
    struct budget_limits commit;
    hm_budget_get(&quota->commit, &commit);
    *limits = (hostmem_limits){.size = sizeof *limits,
                               .flags = commit.strict ? HOSTMEM_LIMITS_STRICT : 0,
                               .limit = commit.limit,
                               .task_limit = commit.task_limit,
                               .margin = commit.margin,
                               .soft = commit.soft,
                               .heap_limit = budget_ceiling(&quota->heap, BUDGET_TASK),
                               .reserve_limit = budget_ceiling(&quota->reserve, BUDGET_TASK),
                               .process_soft = budget_soft(&quota->process),
                               .fail_after = budget_ceiling(&quota->charges, BUDGET_TASK)};
}

hostmem_gauge hm_budget_gauge(const struct budget *budget)
{
    return (hostmem_gauge){.now = hm_budget_used(budget),
                           .peak = atomic_load_explicit(&budget->peak, memory_order_relaxed)};
}

hostmem_overrun hm_budget_overrun(const struct budget *budget)
{
    return (hostmem_overrun){.count = atomic_load_explicit(&budget->overruns, memory_order_relaxed),
                             .bytes = atomic_load_explicit(&budget->overrun_bytes, memory_order_relaxed),
                             .peak = atomic_load_explicit(&budget->overrun_peak, memory_order_relaxed)};
}

/* NULL: of nobody. */
static HRESULT set_limits(struct quota *quota, const hostmem_limits *limits)
{
    if (quota == NULL || limits == NULL)
        return E_POINTER;
    HRESULT result = hm_limits_check(limits);
    if (result == S_OK)
        hm_limits_set(quota, limits);
    return result;
}

HRESULT HOSTMEM_CALL hostmem_set_limits(hostmem_manager *manager, const hostmem_limits *limits)
{
    const HRESULT result = set_limits(manager == NULL ? NULL : &manager->vm.quota, limits);
    struct recorder *recorder = result == S_OK ? recording(&manager->vm.recorders) : NULL;
    if (recorder != NULL) {
        uint64_t figures[TRACE_VALUES];
        hm_record(recorder, TRACE_LIMITS, figures, hm_vm_limits(&manager->vm, figures));
    }
    return result;
}

HRESULT HOSTMEM_CALL hostmem_set_budget_limits(hostmem_budget *budget, const hostmem_limits *limits)
{
    return set_limits(budget == NULL ? NULL : &budget->quota, limits);
}

HRESULT HOSTMEM_CALL hostmem_get_limits(hostmem_manager *manager, hostmem_limits *limits)
{
    if (manager == NULL || limits == NULL)
        return E_POINTER;
    if (limits->size != sizeof *limits)
        return E_INVALIDARG;
    get_limits(&manager->vm.quota, limits);
    return S_OK;
}

HRESULT HOSTMEM_CALL hostmem_force_pressure(hostmem_manager *manager, uint32_t level)
{
    if (manager == NULL)
        return E_POINTER;
    if (level > eMemoryAvailableHigh)
        return E_INVALIDARG;
    if (vm_is_closed(&manager->vm))
        return HOST_E_CLRNOTAVAILABLE;
    atomic_store(&manager->tenant.forced, level);
    hm_pressure_wake();
    return S_OK;
}

HRESULT HOSTMEM_CALL hostmem_clr_started(hostmem_manager *manager)
{
    if (manager == NULL)
        return E_POINTER;
    if (vm_is_closed(&manager->vm))
        return HOST_E_CLRNOTAVAILABLE;
    atomic_store(&manager->tenant.renotify, true);
    hm_pressure_wake();
    return S_OK;
}

HRESULT HOSTMEM_CALL hostmem_create_budget(const hostmem_limits *limits, hostmem_budget **budget)
{
    if (budget == NULL)
        return E_POINTER;
    *budget = NULL;
    if (limits != NULL && hm_limits_check(limits) != S_OK)
        return E_INVALIDARG;
    struct hostmem_budget *made = pages_take(sizeof *made);
    if (made == NULL)
        return E_OUTOFMEMORY;
    hm_quota_init(&made->quota, NULL);
    if (limits != NULL)
        hm_limits_set(&made->quota, limits);
    hm_quota_watch(&made->quota, hm_pressure_wake);
    atomic_store_explicit(&made->references, 1, memory_order_release);
    *budget = made;
    return S_OK;
}

void HOSTMEM_CALL hostmem_release_budget(hostmem_budget *budget)
{
    if (budget != NULL && atomic_fetch_sub_explicit(&budget->references, 1, memory_order_acq_rel) == 1)
        hm_pages_release(budget, sizeof *budget);
}

HRESULT HOSTMEM_CALL hostmem_get_budget(hostmem_budget *budget, hostmem_limits *limits,
                                        hostmem_budget_usage *usage)
{
    if (budget == NULL)
        return E_POINTER;
    if ((limits != NULL && limits->size != sizeof *limits) || (usage != NULL && usage->size != sizeof *usage))
        return E_INVALIDARG;
    if (limits != NULL)
        get_limits(&budget->quota, limits);
    if (usage != NULL)
        *usage = (hostmem_budget_usage){.size = sizeof *usage,
                                        .charged = hm_budget_gauge(&budget->quota.commit),
                                        .gc_heap = hm_budget_gauge(&budget->quota.heap),
                                        .reserved = hm_budget_gauge(&budget->quota.reserve),
                                        .overrun = hm_budget_overrun(&budget->quota.commit),
                                        .heap_overrun = hm_budget_overrun(&budget->quota.heap)};
    return S_OK;
}
