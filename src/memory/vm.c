/*
 * vm.c - reserve, commit, decommit, release
 *
 * Order of a reserve: charge, take a record, VirtualAlloc, publish.  Of a commit: charge for the pages that are not
 * committed yet, get the memory for the bits, VirtualAlloc, turn the bits.  Of a release: see that Windows will do it,
 * unpublish, VirtualFree - in this order, since the address may be handed out again at once - then leave, which
 * refunds.  Windows failing after all puts the entry back.
 */
#include "memory/vm.h"

#include "maps/hot.h"
#include "memory/hresult.h"
#include "memory/os.h"
#include "memory/overlap.h"
#include "memory/patience.h"
#include "memory/pressure.h"
#include "memory/reconcile.h"

/* No user address lies beyond. */
#define ADDRESS_END (sizeof(void *) == 8 ? (uint64_t)1 << 47 : (uint64_t)1 << 32)

static uint64_t page_floor(uint64_t address)
{
    return address & ~(uint64_t)(PAGE_BYTES - 1);
}

static uint64_t page_ceil(uint64_t address)
{
    return page_floor(address + PAGE_BYTES - 1);
}

void hm_vm_init(struct vm *vm)
{
    hm_region_table_init(&vm->table, &vm->stats);
    vm->table.commit.crossed = hm_pressure_wake;
    hm_account_init(&vm->heap, &vm->table.commit, vm->stats.lane, LANE_HEAP, true);
}

void hm_vm_destroy(struct vm *vm)
{
    hm_region_table_destroy(&vm->table);
}

/* Bytes committed in [start, end), within the allocation that `start` lies in; another one ends the walk. */
COLD static uint64_t query_committed(uint64_t start, uint64_t end)
{
    uint64_t committed = 0;
    void *allocation = NULL;
    for (uint64_t at = page_floor(start); at < end;) {
        MEMORY_BASIC_INFORMATION info;
        if (hm_os_virtual_query((void *)(uintptr_t)at, &info, sizeof info) == 0 || info.State == MEM_FREE)
            break;
        if (allocation == NULL)
            allocation = info.AllocationBase;
        if (info.AllocationBase != allocation)
            break;
        uint64_t run_end = (uint64_t)(uintptr_t)info.BaseAddress + info.RegionSize;
        if (run_end > end)
            run_end = end;
        if (info.State == MEM_COMMIT)
            committed += run_end - at;
        at = run_end;
    }
    return committed;
}

/* Does the request end within the held region?  Windows refuses what does not; Wine lets a decommit wrap. */
static bool fits(const struct region_hold *hold, uint64_t address, uint64_t size)
{
    return size <= geometry_end(hold->geometry) - address;
}

/* Drop the held region from the table if its memory has gone; true: this call has dropped it. */
COLD static bool drop_if_gone(struct vm *vm, struct region_hold *hold)
{
    DWORD error = GetLastError();
    bool dropped = !hm_reconcile_still_there(hold) && hm_region_unpublish(&vm->table, hold);
    SetLastError(error);
    return dropped;
}

/* The same after a refusal: it was freed behind our back. */
COLD static void drop_if_stale(struct vm *vm, struct region_hold *hold)
{
    if (drop_if_gone(vm, hold))
        stats_bump(&vm->stats.stale_regions);
}

COLD static void tell(struct vm *vm, hostmem_event_kind kind, hostmem_reason reason, uint64_t bytes,
                      unsigned level, const struct budget_answer *answer)
{
    hostmem_event event = {.size = sizeof event,
                           .kind = kind,
                           .reason = reason,
                           .critical_level = level,
                           .bytes = bytes,
                           .limit = answer->ceiling,
                           .used = answer->used};
    hm_events_write(&vm->events, &event);
    hm_pressure_wake();
}

COLD static void tell_overrun(struct vm *vm, uint64_t bytes, unsigned level,
                              const struct budget_answer *answer)
{
    bool own = answer->by == &vm->table.commit;
    tell(vm, HOSTMEM_EVENT_OVERRUN, own ? HOSTMEM_REASON_MARGIN : HOSTMEM_REASON_SHARED, bytes, level,
         answer);
}

/* A refusal by a budget, as Windows would put it. */
COLD static HRESULT over_budget(struct vm *vm, hostmem_reason reason, uint64_t bytes, unsigned level,
                                const struct budget_answer *answer)
{
    tell(vm, HOSTMEM_EVENT_REFUSED, reason, bytes, level, answer);
    SetLastError(ERROR_COMMITMENT_LIMIT);
    return stats_refuse(&vm->stats, reason, E_OUTOFMEMORY);
}

static hostmem_reason reason_of(const struct budget *budget, const struct budget_answer *answer,
                                unsigned level)
{
    if (answer->verdict == BUDGET_FAILED)
        return HOSTMEM_REASON_FAIL_AFTER;
    if (answer->by != budget)
        return HOSTMEM_REASON_SHARED;
    return level == eTaskCritical        ? HOSTMEM_REASON_TASK_LIMIT
           : level == eAppDomainCritical ? HOSTMEM_REASON_LIMIT
                                         : HOSTMEM_REASON_MARGIN;
}

APART HRESULT hm_vm_charge_sums(struct vm *vm, struct account *account, uint64_t bytes, unsigned level)
{
    struct budget_answer answer = hm_account_charge_sums(account, bytes, level);
    if (answer.verdict == BUDGET_GRANTED)
        return S_OK;
    if (answer.verdict == BUDGET_OVERRUN) {
        tell_overrun(vm, bytes, level, &answer);
        return S_OK;
    }
    return over_budget(vm, reason_of(account->budget, &answer, level), bytes, level, &answer);
}

/* Address space; any level is refused alike. */
static HRESULT charge_reserve(struct vm *vm, uint64_t bytes, unsigned level)
{
    struct budget *budget = &vm->table.reserve;
    struct budget_answer answer = hm_account_charge(&vm->table.reserved, bytes, BUDGET_TASK);
    if (answer.verdict == BUDGET_GRANTED)
        return S_OK;
    return over_budget(vm, answer.by == budget ? HOSTMEM_REASON_RESERVE_LIMIT : HOSTMEM_REASON_SHARED, bytes,
                       level, &answer);
}

/* VirtualAlloc, and for commits again, while Windows may be about to have more (patience.h). */
HOT static void *allocate(struct vm *vm, void *address, SIZE_T size, DWORD type, DWORD protect,
                          unsigned level)
{
    struct patience patience = patience_for(level);
    void *memory;
    while ((memory = hm_os_virtual_alloc(address, size, type, protect)) == NULL && (type & MEM_COMMIT) &&
           patience_again(&patience, GetLastError()))
        stats_bump(&vm->stats.os_retries);
    return memory;
}

/* Length of the region that such a reserve makes; 0: none, Windows will refuse it. */
static uint64_t reserve_bytes(const void *address, SIZE_T size)
{
    uint64_t start = (uintptr_t)address >> GRANULE_SHIFT << GRANULE_SHIFT;
    uint64_t end = (uintptr_t)address + (uint64_t)size;
    bool possible = size != 0 && end > start && end <= ADDRESS_END;
    return possible ? page_ceil(end) - start : 0;
}

static HRESULT reserve(struct vm *vm, void *address, SIZE_T size, DWORD type, DWORD protect, unsigned level,
                       void **memory)
{
    struct region_table *table = &vm->table;
    uint64_t bytes = reserve_bytes(address, size);
    uint64_t committed = (type & MEM_COMMIT) ? bytes : 0;
    void *base = NULL;
    HRESULT result = charge_reserve(vm, bytes, level);
    if (result != S_OK)
        return result;
    if (committed != 0 && (result = vm_charge(vm, &table->committed, committed, level)) != S_OK)
        goto refund_reserve;
    uint32_t number = hm_region_take(table);
    if (number == 0) {
        result = stats_refuse(&vm->stats, HOSTMEM_REASON_METADATA, hresult_out_of_memory());
        goto refund_commit;
    }
    base = allocate(vm, address, size, type, protect, level);
    if (base == NULL) {
        result = hresult_from_last_error();
        goto give_record;
    }
    uint64_t start = (uintptr_t)base;
    uint64_t end = page_ceil((address == NULL ? start : (uintptr_t)address) + (uint64_t)size);
    struct region_origin origin = {.base = start,
                                   .pages = (end - start) >> PAGE_SHIFT,
                                   .committed = (type & MEM_COMMIT) != 0,
                                   .kind = HOSTMEM_REGION_PRIVATE,
                                   .type = type,
                                   .protect = protect,
                                   .level = level};
    if (!hm_region_publish(table, number, &origin)) {
        hm_os_virtual_free(base, 0, MEM_RELEASE);
        result = stats_refuse(&vm->stats, HOSTMEM_REASON_METADATA, hresult_out_of_memory());
        goto give_record;
    }
    /* A call that still holds the region that was here before may have had its effect on this one
     * (hm_reconcile_leave); only a caller that chooses addresses can bring that about. */
    if (address != NULL)
        hm_reconcile_range(&vm->table, start, end);
    *memory = base;
    return S_OK;

give_record:
    hm_region_give(table, number);
refund_commit:
    hm_account_cancel(&table->committed, committed);
refund_reserve:
    hm_account_cancel(&table->reserved, bytes);
    return result;
}

static HRESULT commit_owned(struct vm *vm, struct region_hold *hold, void *address, SIZE_T size, DWORD type,
                            DWORD protect, unsigned level, void **memory)
{
    uint64_t first;
    uint64_t count = hm_region_pages_within(hold, (uintptr_t)address, size, &first);
    uint64_t charged = hm_region_uncommitted(hold, first, count);
    HRESULT result = vm_charge(vm, &vm->table.committed, charged, level);
    if (result != S_OK) {
        hm_region_leave_unchanged(&vm->table, hold);
        return result;
    }
    if (!hm_region_prepare_commit(&vm->table, hold, first, count)) {
        result = stats_refuse(&vm->stats, HOSTMEM_REASON_METADATA, hresult_out_of_memory());
        goto refund;
    }
    overlap_begin(hold, first, count);
    *memory = allocate(vm, address, size, type, protect, level);
    if (*memory == NULL) {
        result = hresult_from_last_error();
        if (result == HRESULT_FROM_WIN32(ERROR_INVALID_ADDRESS))
            drop_if_stale(vm, hold);
        goto refund;
    }
    hold->critical = level >= BUDGET_PROCESS;
    struct budget_answer more = hm_region_set_committed(&vm->table, hold, first, count, charged);
    hold->critical = false; /* a repair is nobody's */
    if (more.verdict == BUDGET_OVERRUN)
        tell_overrun(vm, more.used - more.ceiling, level, &more);
    hm_reconcile_leave(&vm->table, hold, first, count);
    return S_OK;

refund:
    hm_account_cancel(&vm->table.committed, charged);
    hm_region_leave_unchanged(&vm->table, hold);
    return result;
}

/* What is committed in a view has to be granted: a runtime that is refused there ends (decision 2). */
static void charge_view(struct vm *vm, uint64_t bytes, unsigned level)
{
    hm_account_collect(&vm->table.commit, bytes);
    struct budget_answer answer = hm_budget_force(&vm->table.commit, bytes);
    hm_budget_note_critical(&vm->table.commit, bytes);
    gauge_add(&vm->stats.view_committed, bytes);
    if (answer.verdict == BUDGET_OVERRUN)
        tell_overrun(vm, bytes, level, &answer);
}

/* MEM_COMMIT in memory that is not ours: Windows decides, and an account of its own says how much it was. */
COLD static HRESULT commit_elsewhere(struct vm *vm, void *address, SIZE_T size, DWORD type, DWORD protect,
                                     unsigned level, void **memory)
{
    uint64_t start = page_floor((uintptr_t)address);
    uint64_t end = page_ceil((uintptr_t)address + (uint64_t)size);
    bool in_view = hm_region_kind_at(&vm->table, start) == HOSTMEM_REGION_VIEW;
    uint64_t before = end > start ? query_committed(start, end) : 0;
    *memory = allocate(vm, address, size, type, protect, level);
    if (*memory == NULL)
        return hresult_from_last_error();
    uint64_t fresh = end - start - before; /* all of it is committed now */
    /* A region may have come to be here, or its release have been refused, since it was looked for. */
    if (hm_region_kind_at(&vm->table, start) == HOSTMEM_REGION_PRIVATE)
        hm_reconcile_range(&vm->table, start, end);
    else if (in_view)
        charge_view(vm, fresh, level);
    else
        atomic_fetch_add_explicit(&vm->stats.foreign_committed, fresh, memory_order_relaxed);
    return S_OK;
}

HOT HRESULT hm_vm_alloc(struct vm *vm, void *address, SIZE_T size, DWORD type, DWORD protect, unsigned level,
                        void **memory)
{
    *memory = NULL;
    bool takes_memory = (type & (MEM_RESERVE | MEM_COMMIT)) != 0;
    if (takes_memory && atomic_load_explicit(&vm->closed, memory_order_acquire))
        return stats_refuse(&vm->stats, HOSTMEM_REASON_SHUTDOWN, HOST_E_CLRNOTAVAILABLE);
    /* Without an address whatever Windows grants is new (Wine: MEM_RESET as well). */
    if (address == NULL || (type & MEM_RESERVE))
        return reserve(vm, address, size, type, protect, level, memory);
    if ((type & (MEM_COMMIT | MEM_RESET)) == MEM_COMMIT) {
        struct region_hold hold;
        if (hm_region_enter(&vm->table, (uintptr_t)address, REGION_COMMIT, &hold)) {
            if (hold.region->kind == HOSTMEM_REGION_PRIVATE)
                return commit_owned(vm, &hold, address, size, type, protect, level, memory);
            hm_region_leave_unchanged(&vm->table, &hold);
        }
        return commit_elsewhere(vm, address, size, type, protect, level, memory);
    }
    /* MEM_RESET, MEM_RESET_UNDO, and what Windows will refuse (MEM_RESET with MEM_COMMIT, which Wine takes
     * for a reset): nothing for the books. */
    *memory = hm_os_virtual_alloc(address, size, type, protect);
    return *memory != NULL ? S_OK : hresult_from_last_error();
}

static HRESULT release(struct vm *vm, struct region_hold *hold, void *address)
{
    if (!hm_region_unpublish(&vm->table, hold)) {
        /* Another thread is releasing it: for us it is freed already. */
        hm_region_leave_unchanged(&vm->table, hold);
        return HOST_E_INVALIDOPERATION;
    }
    if (hm_os_virtual_free(address, 0, MEM_RELEASE)) {
        hm_region_leave_unchanged(&vm->table, hold);
        return S_OK;
    }
    DWORD error = GetLastError();
    if (!hm_reconcile_still_there(hold)) {
        stats_bump(&vm->stats.stale_regions);
        hm_region_leave_unchanged(&vm->table, hold);
    } else {
        /* Calls that came meanwhile found no region and were passed on as foreign. */
        hm_region_restore(&vm->table, hold);
        hm_reconcile_leave(&vm->table, hold, 0, 0);
        hm_reconcile_range(&vm->table, geometry_base(hold->geometry), geometry_end(hold->geometry));
    }
    SetLastError(error);
    return hresult_from_win32(error);
}

HOT HRESULT hm_vm_free(struct vm *vm, void *address, SIZE_T size, DWORD type)
{
    struct region_hold hold;
    if (!hm_region_enter(&vm->table, (uintptr_t)address, REGION_CHANGE, &hold))
        return HOST_E_INVALIDOPERATION;
    if (hold.region->kind != HOSTMEM_REGION_PRIVATE) {
        hm_region_leave_unchanged(&vm->table, &hold);
        return HOST_E_INVALIDOPERATION;
    }
    bool at_base = page_floor((uintptr_t)address) == geometry_base(hold.geometry);
    if (type == MEM_RELEASE && size == 0 && at_base)
        return release(vm, &hold, address);

    uint64_t first = 0;
    uint64_t count = geometry_pages(hold.geometry);
    if (size != 0)
        count = hm_region_pages_within(&hold, (uintptr_t)address, size, &first);
    overlap_begin(&hold, first, count);
    if (!hm_os_virtual_free(address, size, type)) {
        /* A wrong request; the region is as it was.  Unless it went behind our back: then Windows' answer is
         * for somebody else's memory, or none. */
        HRESULT result = hresult_from_last_error();
        drop_if_stale(vm, &hold);
        hm_region_leave_unchanged(&vm->table, &hold);
        return result;
    }
    if (type == MEM_DECOMMIT && fits(&hold, (uintptr_t)address, size)) {
        hm_region_set_decommitted(&vm->table, &hold, first, count);
        hm_reconcile_leave(&vm->table, &hold, first, count);
        return S_OK;
    }
    /* A kind of free that we do not know, or a size that wraps: see what it has done. */
    drop_if_gone(vm, &hold);
    hm_reconcile_leave(&vm->table, &hold, 0, 0);
    hm_reconcile_range(&vm->table, geometry_base(hold.geometry), geometry_end(hold.geometry));
    return S_OK;
}

HRESULT hm_vm_protect(void *address, SIZE_T size, DWORD protect, DWORD *old)
{
    if (hm_os_virtual_protect(address, size, protect, old))
        return S_OK;
    HRESULT result = hresult_from_last_error();
    if (old != NULL && result != HRESULT_FROM_WIN32(ERROR_NOACCESS)) /* it may not be writable */
        *old = 0;
    return result;
}

HRESULT hm_vm_query(const void *address, void *buffer, SIZE_T length, SIZE_T *result)
{
    *result = hm_os_virtual_query(address, buffer, length);
    return *result != 0 ? S_OK : hresult_from_last_error();
}
