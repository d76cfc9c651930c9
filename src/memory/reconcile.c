/*
 * reconcile.c - comparing page bits with VirtualQuery, and writing only what differs
 */
#include "memory/reconcile.h"

#include "memory/os.h"
#include "memory/overlap.h"

static uint64_t base_of(const struct region_hold *hold)
{
    return geometry_base(hold->geometry);
}

bool hm_reconcile_still_there(const struct region_hold *hold)
{
    MEMORY_BASIC_INFORMATION info;
    uintptr_t base = (uintptr_t)base_of(hold);
    return hm_os_virtual_query((void *)base, &info, sizeof info) == 0 ||
           (info.State != MEM_FREE && (uintptr_t)info.AllocationBase == base);
}

/*
 * Go through the pages as Windows has them.  `write`: note them so; else: false at the first run that is
 * noted otherwise.  Memory that Windows does not call the region's stays as it is noted: it was freed behind
 * our back, which is found when it is released or its address handed out again.
 */
static bool compare(struct region_table *table, struct region_hold *hold, uint64_t first, uint64_t count,
                    bool write)
{
    uint64_t at = base_of(hold) + (first << PAGE_SHIFT);
    uint64_t end = at + (count << PAGE_SHIFT);
    while (at < end) {
        MEMORY_BASIC_INFORMATION info;
        if (hm_os_virtual_query((void *)(uintptr_t)at, &info, sizeof info) == 0 || info.State == MEM_FREE ||
            (uintptr_t)info.AllocationBase != base_of(hold))
            return true;
        uint64_t run_end = (uint64_t)(uintptr_t)info.BaseAddress + info.RegionSize;
        if (run_end > end)
            run_end = end;
        uint64_t page = (at - base_of(hold)) >> PAGE_SHIFT;
        uint64_t pages = (run_end - at) >> PAGE_SHIFT;
        bool committed = info.State == MEM_COMMIT;
        if (!write && !hm_region_agrees(hold, page, pages, committed))
            return false;
        if (write && !committed)
            hm_region_set_decommitted(table, hold, page, pages);
        struct charge none = {.level = BUDGET_PROCESS, .kind = charge_kind_of(region_use(hold->region))};
        if (write && committed && hm_region_prepare_commit(table, hold, page, pages))
            hm_region_set_committed(table, hold, page, pages, &none);
        at = run_end;
    }
    return true;
}

/* Compare, and write until there is nothing to write. */
static void settle(struct region_table *table, struct region_hold *hold, uint64_t first, uint64_t count)
{
    DWORD error = GetLastError();
    bool overlapped = true;
    while (overlapped && !compare(table, hold, first, count, false)) {
        hold->work = REGION_CHANGE;
        overlap_begin(hold, first, count);
        compare(table, hold, first, count, true);
        overlapped = overlap_end(hold, first, count);
    }
    SetLastError(error);
}

void hm_reconcile_leave(struct region_table *table, struct region_hold *hold, uint64_t first, uint64_t count)
{
    uint64_t start = base_of(hold) + (first << PAGE_SHIFT);
    if (overlap_end(hold, first, count)) {
        stats_bump(&table->stats->os_compared);
        settle(table, hold, first, count);
    }
    if (!hm_region_leave(table, hold))
        hm_reconcile_range(table, start, start + (count << PAGE_SHIFT));
}

void hm_reconcile_range(struct region_table *table, uint64_t start, uint64_t end)
{
    struct region_hold hold;
    if (end <= start || !hm_region_enter(table, start, REGION_CHANGE, &hold))
        return;
    if (hold.region->kind != HOSTMEM_REGION_PRIVATE) {
        hm_region_leave_unchanged(table, &hold);
        return;
    }
    uint64_t first;
    uint64_t count = region_pages_within(&hold, start, end - start, &first);
    /* Windows was asked by somebody who was not in the region: those who are will compare, if they end after this. */
    overlap_end(&hold, first, count);
    settle(table, &hold, first, count);
    hm_region_leave(table, &hold);
}
