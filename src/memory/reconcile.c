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

bool hm_reconcile_next_run(struct page_run *run, uint64_t end)
{
    MEMORY_BASIC_INFORMATION info;
    if (run->end >= end)
        return false;
    run->unknown = hm_os_virtual_query((void *)(uintptr_t)run->end, &info, sizeof info) == 0;
    if (run->unknown || info.State == MEM_FREE)
        return false;
    if (run->allocation == 0)
        run->allocation = (uintptr_t)info.AllocationBase;
    if ((uintptr_t)info.AllocationBase != run->allocation)
        return false;
    run->start = run->end;
    run->end = (uint64_t)(uintptr_t)info.BaseAddress + info.RegionSize;
    if (run->end > end)
        run->end = end;
    run->type = info.Type;
    run->committed = info.State == MEM_COMMIT;
    return true;
}

bool hm_reconcile_still_there(const struct region_hold *hold)
{
    struct page_run run = {.allocation = base_of(hold), .end = base_of(hold)};
    return hm_reconcile_next_run(&run, UINT64_MAX) || run.unknown;
}

/*
 * Go through the pages as Windows has them.  `write`: note them so; else: false at the first run that is
 * noted otherwise.  Memory that Windows does not call the region's stays as it is noted: it was freed behind
 * our back, which is found when it is released or its address handed out again.
 */
static bool compare(struct region_table *table, struct region_hold *hold, uint64_t first, uint64_t count,
                    bool write)
{
    const uint64_t base = base_of(hold), start = base + (first << PAGE_SHIFT);
    struct page_run run = {.allocation = base, .end = start};
    while (hm_reconcile_next_run(&run, start + (count << PAGE_SHIFT))) {
        uint64_t page = (run.start - base) >> PAGE_SHIFT, pages = (run.end - run.start) >> PAGE_SHIFT;
        if (!write) {
            if (!hm_region_agrees(hold, page, pages, run.committed))
                return false;
        } else if (!run.committed) {
            hm_region_set_decommitted(table, hold, page, pages);
        } else if (hm_region_prepare_commit(table, hold, page, pages)) {
            struct charge none = {.level = BUDGET_PROCESS, .kind = charge_kind_of(region_use(hold->region))};
            hm_region_set_committed(table, hold, page, pages, &none);
        }
    }
    return true;
}

/* Compare, and write until there is nothing to write. */
static void repair(struct region_table *table, struct region_hold *hold, uint64_t first, uint64_t count)
{
    DWORD error = GetLastError();
    bool overlapped = true;
    while (overlapped && !compare(table, hold, first, count, false)) {
        overlap_begin(hold, first, count);
        compare(table, hold, first, count, true);
        overlapped = overlap_end(hold, first, count, false);
    }
    SetLastError(error);
}

void hm_reconcile_leave(struct region_table *table, struct region_hold *hold, uint64_t first, uint64_t count,
                        bool commits)
{
    uint64_t start = base_of(hold) + (first << PAGE_SHIFT);
    if (overlap_end(hold, first, count, commits)) {
        stats_bump(&table->stats->os_compared);
        repair(table, hold, first, count);
    }
    /* A longer one may have come there; how far the call went is not known. */
    if (!hm_region_leave(table, hold))
        hm_reconcile_range(table, start, UINT64_MAX);
}

void hm_reconcile_range(struct region_table *table, uint64_t start, uint64_t end)
{
    struct region_hold hold;
    if (end <= start || !region_enter_owned(table, start, &hold))
        return;
    uint64_t first;
    uint64_t count = region_pages_within(&hold, start, end - start, &first);
    /* Windows was asked by somebody who was not in the region: those who are will compare, if they end after this. */
    overlap_end(&hold, first, count, false);
    repair(table, &hold, first, count);
    hm_region_leave(table, &hold);
}
