/*
 * limits.c - the C API of limits, shared budgets and pressure
 */
#include "com/limits.h"

#include "com/manager.h"
#include "maps/pages.h"
#include "memory/pressure.h"

HRESULT hm_limits_check(const hostmem_limits *limits)
{
    bool known = limits->size == sizeof *limits &&
                 !(limits->flags & ~(uint32_t)(HOSTMEM_LIMITS_STRICT | HOSTMEM_LIMITS_MARGIN_FIRST));
    if (!known || limits->limit == 0 || limits->task_limit > limits->limit || limits->soft > limits->limit)
        return E_INVALIDARG;
    return S_OK;
}

static uint64_t unless_zero(uint64_t figure, uint64_t otherwise)
{
    return figure != 0 ? figure : otherwise;
}

static uint64_t default_soft(uint64_t task_limit)
{
    return task_limit == HOSTMEM_UNLIMITED ? HOSTMEM_UNLIMITED : task_limit - task_limit / 8;
}

void hm_limits_set(struct budget *commit, struct budget *reserve, const hostmem_limits *limits)
{
    uint64_t task_limit = unless_zero(limits->task_limit, limits->limit);
    const struct budget_limits of_commit = {.limit = limits->limit,
                                            .task_limit = task_limit,
                                            .margin = limits->margin,
                                            .soft = unless_zero(limits->soft, default_soft(task_limit)),
                                            .fail_after = unless_zero(limits->fail_after, BUDGET_UNLIMITED),
                                            .strict = (limits->flags & HOSTMEM_LIMITS_STRICT) != 0,
                                            .margin_first =
                                                (limits->flags & HOSTMEM_LIMITS_MARGIN_FIRST) != 0};
    const uint64_t most = unless_zero(limits->reserve_limit, BUDGET_UNLIMITED);
    const struct budget_limits of_reserve = {
        .limit = most, .task_limit = most, .soft = BUDGET_UNLIMITED, .fail_after = BUDGET_UNLIMITED};
    hm_budget_set(reserve, &of_reserve);
    hm_budget_set(commit, &of_commit);
}

void hm_limits_get(const struct budget *commit, const struct budget *reserve, hostmem_limits *limits)
{
    struct budget_limits of_commit, of_reserve;
    hm_budget_get(commit, &of_commit);
    hm_budget_get(reserve, &of_reserve);
    *limits = (hostmem_limits){.size = sizeof *limits,
                               .flags = (of_commit.strict ? HOSTMEM_LIMITS_STRICT : 0) |
                                        (of_commit.margin_first ? HOSTMEM_LIMITS_MARGIN_FIRST : 0),
                               .limit = of_commit.limit,
                               .task_limit = of_commit.task_limit,
                               .margin = of_commit.margin,
                               .soft = of_commit.soft,
                               .reserve_limit = of_reserve.limit,
                               .fail_after = of_commit.fail_after};
}

hostmem_gauge hm_budget_gauge(const struct budget *budget)
{
    return (hostmem_gauge){.now = hm_budget_used(budget),
                           .peak = atomic_load_explicit(&budget->peak, memory_order_relaxed)};
}

hostmem_gauge hm_account_gauge(const struct account *account)
{
    return (hostmem_gauge){.now = hm_account_now(account),
                           .peak = atomic_load_explicit(&account->gauge.peak, memory_order_relaxed)};
}

HRESULT HOSTMEM_CALL hostmem_set_limits(hostmem_manager *manager, const hostmem_limits *limits)
{
    if (manager == NULL || limits == NULL)
        return E_POINTER;
    HRESULT result = hm_limits_check(limits);
    if (result == S_OK)
        hm_limits_set(&manager->vm.table.commit, &manager->vm.table.reserve, limits);
    return result;
}

HRESULT HOSTMEM_CALL hostmem_get_limits(hostmem_manager *manager, hostmem_limits *limits)
{
    if (manager == NULL || limits == NULL)
        return E_POINTER;
    if (limits->size != sizeof *limits)
        return E_INVALIDARG;
    hm_limits_get(&manager->vm.table.commit, &manager->vm.table.reserve, limits);
    return S_OK;
}

static bool is_closed(hostmem_manager *manager)
{
    return atomic_load_explicit(&manager->vm.closed, memory_order_acquire);
}

HRESULT HOSTMEM_CALL hostmem_force_pressure(hostmem_manager *manager, uint32_t level)
{
    if (manager == NULL)
        return E_POINTER;
    if (level > eMemoryAvailableHigh)
        return E_INVALIDARG;
    if (is_closed(manager))
        return HOST_E_CLRNOTAVAILABLE;
    atomic_store(&manager->tenant.forced, level);
    hm_pressure_wake();
    return S_OK;
}

HRESULT HOSTMEM_CALL hostmem_clr_started(hostmem_manager *manager)
{
    if (manager == NULL)
        return E_POINTER;
    if (is_closed(manager))
        return HOST_E_CLRNOTAVAILABLE;
    atomic_store(&manager->tenant.restate, true);
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
    hm_budget_init(&made->commit);
    hm_budget_init(&made->reserve);
    if (limits != NULL)
        hm_limits_set(&made->commit, &made->reserve, limits);
    made->commit.crossed = hm_pressure_wake;
    atomic_store_explicit(&made->references, 1, memory_order_release);
    *budget = made;
    return S_OK;
}

void HOSTMEM_CALL hostmem_release_budget(hostmem_budget *budget)
{
    if (budget != NULL && atomic_fetch_sub_explicit(&budget->references, 1, memory_order_acq_rel) == 1)
        hm_pages_release(budget, sizeof *budget);
}

HRESULT HOSTMEM_CALL hostmem_set_budget_limits(hostmem_budget *budget, const hostmem_limits *limits)
{
    if (budget == NULL || limits == NULL)
        return E_POINTER;
    HRESULT result = hm_limits_check(limits);
    if (result == S_OK)
        hm_limits_set(&budget->commit, &budget->reserve, limits);
    return result;
}

HRESULT HOSTMEM_CALL hostmem_get_budget(hostmem_budget *budget, hostmem_limits *limits,
                                        hostmem_budget_usage *usage)
{
    if (budget == NULL)
        return E_POINTER;
    if ((limits != NULL && limits->size != sizeof *limits) || (usage != NULL && usage->size != sizeof *usage))
        return E_INVALIDARG;
    if (limits != NULL)
        hm_limits_get(&budget->commit, &budget->reserve, limits);
    if (usage != NULL)
        *usage = (hostmem_budget_usage){
            .size = sizeof *usage,
            .charged = hm_budget_gauge(&budget->commit),
            .reserved = hm_budget_gauge(&budget->reserve),
            .overruns = atomic_load_explicit(&budget->commit.overruns, memory_order_relaxed),
            .overrun_bytes = atomic_load_explicit(&budget->commit.overrun_bytes, memory_order_relaxed),
            .overrun_peak = atomic_load_explicit(&budget->commit.overrun_peak, memory_order_relaxed)};
    return S_OK;
}
