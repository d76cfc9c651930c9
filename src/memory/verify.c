/*
 * verify.c - records, table, pages, sums
 */
#include "memory/verify.h"

#include "maps/compiler.h"
#include "memory/reconcile.h"

struct verify {
    struct vm *vm;
    hostmem_verify_report *report;
    /* Sums over what was seen. */
    uint64_t reserved, by_use[HOSTMEM_USE_COUNT], mapped;
    uint32_t records;
    uint32_t arrays[BIT_STORE_CLASSES];
};

uint64_t hm_verify_calls_ended(const struct vm *vm)
{
    uint64_t sum = 0;
    for (unsigned m = 0; m < HOSTMEM_METHOD_COUNT; m++)
        sum += hm_stats_calls(&vm->stats, (hostmem_method)m).calls;
    return sum;
}

/* Note a finding, if it is the first. */
static void note(struct verify *verify, hostmem_finding finding, uint64_t address, uint64_t expected,
                 uint64_t found)
{
    hostmem_verify_report *report = verify->report;
    if (report->finding != HOSTMEM_FINDING_NONE)
        return;
    report->finding = finding;
    report->address = (void *)(uintptr_t)address;
    report->expected = expected;
    report->found = found;
}

/* Every item of the pool that was ever taken is in use, `in_use` of them, or free. */
static void check_pool(struct verify *verify, const struct pool *pool, uint32_t in_use)
{
    uint32_t free;
    uint32_t made = pool_used(pool);
    if (!hm_pool_count_free(pool, &free) || free + in_use != made)
        note(verify, HOSTMEM_FINDING_ITEMS, 0, made, (uint64_t)free + in_use);
}

/* The first of `count` pages, noted as one should not be. */
static uint64_t first_wrong(struct region_hold *hold, uint64_t page, uint64_t count, bool committed)
{
    while (count > 1 && hm_region_agrees(hold, page, 1, committed)) {
        page++;
        count--;
    }
    return page;
}

/* The pages as Windows has them; false: Windows did not say. */
static bool check_pages(struct verify *verify, struct region_hold *hold)
{
    const uint64_t base = geometry_base(hold->geometry), end = geometry_end(hold->geometry);
    struct page_run run = {.allocation = base, .end = base};
    uint64_t fit = base;
    /* And on beyond the end, where there is to be nothing of the allocation. */
    while (hm_reconcile_next_run(&run, UINT64_MAX) && run.type == MEM_PRIVATE) {
        fit = run.end;
        const uint64_t page = (run.start - base) >> PAGE_SHIFT, count = (run.end - run.start) >> PAGE_SHIFT;
        if (fit > end)
            break;
        if (!hm_region_agrees(hold, page, count, run.committed)) {
            uint64_t wrong = base + (first_wrong(hold, page, count, run.committed) << PAGE_SHIFT);
            note(verify, HOSTMEM_FINDING_PAGE, wrong, run.committed, !run.committed);
        }
        verify->report->pages += count;
    }
    if (fit < end && run.unknown)
        return false;
    if (fit != end)
        note(verify, HOSTMEM_FINDING_GONE, base, end - base, fit - base);
    return true;
}

/* The held region; false: it cannot be judged. */
static bool check_region(struct verify *verify, struct region_hold *hold)
{
    struct region_table *table = &verify->vm->table;
    const uint64_t base = geometry_base(hold->geometry), pages = geometry_pages(hold->geometry);
    const uint64_t granule = base >> GRANULE_SHIFT, granules = geometry_granules(hold->geometry);
    const unsigned kind = hold->region->kind, use = region_use(hold->region);
    if (use >= HOSTMEM_USE_COUNT || (kind != HOSTMEM_REGION_PRIVATE && kind != HOSTMEM_REGION_VIEW) ||
        base == 0 || pages == 0 || granules > REGION_MAP_GRANULES ||
        granule > REGION_MAP_GRANULES - granules) {
        note(verify, HOSTMEM_FINDING_RECORD, base, 0, hold->number);
        return true;
    }
    uint64_t missing = hm_region_map_missing(&table->map, granule, granules, hold->number);
    if (missing != granule + granules)
        note(verify, HOSTMEM_FINDING_ENTRY, missing << GRANULE_SHIFT, hold->number,
             region_map_find(&table->map, missing << GRANULE_SHIFT));
    if (kind == HOSTMEM_REGION_VIEW) {
        verify->report->views++;
        verify->mapped += pages << PAGE_SHIFT;
        return true;
    }
    verify->report->regions++;
    verify->reserved += pages << PAGE_SHIFT;
    if (!hm_commit_map_check(&hold->region->commit, &table->bits, pages, verify->arrays)) {
        note(verify, HOSTMEM_FINDING_BITS, base, 0, 0);
        return true;
    }
    const uint64_t noted = hm_commit_map_count(&hold->region->commit, pages, 0, pages) << PAGE_SHIFT;
    const uint64_t sum = account_pages(atomic_load_explicit(&hold->region->account, memory_order_relaxed))
                         << PAGE_SHIFT;
    verify->by_use[use] += noted;
    if (!check_pages(verify, hold))
        return false;
    if (sum != noted)
        note(verify, HOSTMEM_FINDING_COMMITTED, base, noted, sum);
    return true;
}

static void check_record(struct verify *verify, uint32_t number)
{
    struct region_hold hold;
    if (!hm_region_enter_number(&verify->vm->table, number, &hold))
        return;
    hostmem_verify_report before = *verify->report;
    bool judged = check_region(verify, &hold) && region_undisturbed(&hold);
    hm_region_leave_unchanged(&verify->vm->table, &hold);
    verify->records++;
    if (judged)
        return;
    *verify->report = before;
    verify->report->skipped++;
}

/* A cell of the table must be one of those of the region that its record stands for. */
static bool check_cell(void *context, uint64_t granule, uint64_t count, uint32_t number, bool hidden)
{
    struct verify *verify = context;
    struct region_table *table = &verify->vm->table;
    struct region_hold hold;
    bool stray = true;
    if (number <= pool_used(&table->records) && hm_region_enter_number(table, number, &hold)) {
        uint64_t first = geometry_base(hold.geometry) >> GRANULE_SHIFT;
        stray = hidden || granule < first || granule + count > first + geometry_granules(hold.geometry);
        hm_region_leave_unchanged(table, &hold);
    }
    if (stray)
        note(verify, HOSTMEM_FINDING_STRAY, granule << GRANULE_SHIFT, 0, number);
    return !stray;
}

static void check_sum(struct verify *verify, hostmem_finding finding, uint64_t sum, uint64_t figure)
{
    if (sum != figure)
        note(verify, finding, 0, sum, figure);
}

/* The rest of a shared budget is other managers'. */
static void check_shared(struct verify *verify, const struct budget *own, const struct budget *shared)
{
    uint64_t part = hm_budget_used(own), whole = hm_budget_used(shared);
    if (whole < part)
        note(verify, HOSTMEM_FINDING_SHARED, 0, part, whole);
}

static NOT_INLINE void check_sums(struct verify *verify, const struct block_sums *blocks)
{
    const struct quota *quota = &verify->vm->quota, *parent = quota->parent;
    hostmem_statistics figures;
    uint64_t committed = 0;
    hm_stats_read(&verify->vm->stats, &figures);
    for (unsigned use = 0; use < HOSTMEM_USE_COUNT; use++)
        if (use != HOSTMEM_USE_VIEW) /* no region is of it, and what is in views is only known as a sum */
            committed += verify->by_use[use];
    check_sum(verify, HOSTMEM_FINDING_REGIONS, verify->report->regions, figures.regions);
    check_sum(verify, HOSTMEM_FINDING_VIEWS, verify->report->views, figures.views);
    check_sum(verify, HOSTMEM_FINDING_BLOCKS, blocks->blocks, figures.blocks);
    check_sum(verify, HOSTMEM_FINDING_RESERVED, verify->reserved, hm_budget_used(&quota->reserve));
    check_sum(verify, HOSTMEM_FINDING_MAPPED, verify->mapped, figures.mapped.now);
    check_sum(verify, HOSTMEM_FINDING_HEAP, blocks->bytes, blocks_now(quota));
    check_sum(verify, HOSTMEM_FINDING_CHARGED, committed + figures.view_committed.now + blocks->bytes,
              hm_budget_used(&quota->commit));
    for (unsigned use = 0; use < HOSTMEM_USE_COUNT; use++)
        if (use != HOSTMEM_USE_VIEW)
            check_sum(verify, HOSTMEM_FINDING_USE, verify->by_use[use], figures.committed_by_use[use].now);
    check_sum(verify, HOSTMEM_FINDING_HEAP_CHARGED, verify->by_use[HOSTMEM_USE_GC_HEAP],
              hm_budget_used(&quota->heap));
    if (parent != NULL) {
        check_shared(verify, &quota->commit, &parent->commit);
        check_shared(verify, &quota->heap, &parent->heap);
        check_shared(verify, &quota->reserve, &parent->reserve);
    }
}

void hm_verify_look(struct vm *vm, const struct block_sums *blocks, uint64_t calls_ended,
                    hostmem_verify_report *report)
{
    struct region_table *table = &vm->table;
    struct verify verify = {.vm = vm, .report = report};
    *report = (hostmem_verify_report){.size = sizeof *report, .blocks = blocks->blocks};
    for (uint32_t number = 1; number <= pool_used(&table->records); number++)
        check_record(&verify, number);
    hostmem_verify_report regions_only = *report;
    hm_region_map_walk(&table->map, check_cell, &verify);
    check_pool(&verify, &table->records, verify.records);
    for (unsigned c = 0; c < BIT_STORE_CLASSES; c++)
        check_pool(&verify, &table->bits.classes[c], verify.arrays[c]);
    check_pool(&verify, blocks->pool, blocks->objects);
    if (blocks->lost != NULL)
        note(&verify, HOSTMEM_FINDING_BLOCK, (uintptr_t)blocks->lost, 0, 0);
    check_sums(&verify, blocks);
    if (report->skipped == 0 && hm_verify_calls_ended(vm) == calls_ended)
        return;
    *report = regions_only;
    report->disturbed = 1;
}
