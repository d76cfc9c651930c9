/*
 * refusals.c - what is refused, and what is granted beyond a limit: counted, reported to the host, and traced
 */
#include "memory/pressure.h"

/* Why a budget refuses, or is overrun. */
static hostmem_reason reason_of(const struct vm *vm, const struct budget *by, unsigned level)
{
    if (by == &vm->quota.heap)
        return HOSTMEM_REASON_HEAP_LIMIT;
    if (by == &vm->quota.reserve)
        return HOSTMEM_REASON_RESERVE_LIMIT;
    if (by != &vm->quota.commit)
        return HOSTMEM_REASON_SHARED;
    return level == eTaskCritical        ? HOSTMEM_REASON_TASK_LIMIT
           : level == eAppDomainCritical ? HOSTMEM_REASON_LIMIT
                                         : HOSTMEM_REASON_MARGIN;
}

static void notify(struct vm *vm, const hostmem_event *event)
{
    hm_events_write(&vm->events, event);
    hm_pressure_wake();
}

/* The manager itself refuses: counted, and in the trace. */
static HRESULT refuse(struct vm *vm, hostmem_reason reason, uint64_t bytes, unsigned level, hostmem_use use,
                      HRESULT result)
{
    RECORD(vm, TRACE_REFUSAL, bytes, level, use, reason, hm_budget_used(&vm->quota.commit));
    stats_bump(&vm->stats.refused[reason]);
    return result;
}

HRESULT hm_vm_refuse(struct vm *vm, const struct charge *charge, unsigned level, hostmem_use use)
{
    const hostmem_event event = {.size = sizeof event,
                                 .kind = HOSTMEM_EVENT_REFUSED,
                                 .reason = charge->verdict == CHARGE_FAILED
                                               ? HOSTMEM_REASON_FAIL_AFTER
                                               : reason_of(vm, charge->by, level),
                                 .critical_level = level,
                                 .bytes = charge->bytes,
                                 .limit = budget_ceiling(charge->by, charge->level),
                                 .used = charge->used};
    notify(vm, &event);
    SetLastError(ERROR_COMMITMENT_LIMIT);
    return refuse(vm, event.reason, charge->bytes, level, use, E_OUTOFMEMORY);
}

HRESULT hm_vm_no_memory(struct vm *vm, uint64_t bytes, unsigned level, hostmem_use use)
{
    SetLastError(ERROR_NOT_ENOUGH_MEMORY);
    return refuse(vm, HOSTMEM_REASON_METADATA, bytes, level, use, E_OUTOFMEMORY);
}

HRESULT hm_vm_refuse_closed(struct vm *vm, uint64_t bytes, unsigned level)
{
    return refuse(vm, HOSTMEM_REASON_SHUTDOWN, bytes, level, HOSTMEM_USE_OTHER, HOST_E_CLRNOTAVAILABLE);
}

void hm_vm_notify_overrun(struct vm *vm, const struct charge *charge, unsigned level, hostmem_use use,
                          const struct budget *by)
{
    if (by == NULL)
        return;
    RECORD(vm, TRACE_OVERRUN, charge->bytes, level, use, hm_budget_used(&vm->quota.commit));
    const hostmem_event event = {.size = sizeof event,
                                 .kind = HOSTMEM_EVENT_OVERRUN,
                                 .reason = reason_of(vm, by, BUDGET_PROCESS),
                                 .critical_level = level,
                                 .bytes = charge->bytes,
                                 .limit = budget_ceiling(by, BUDGET_PROCESS),
                                 .used = hm_budget_used(by)};
    notify(vm, &event);
}
