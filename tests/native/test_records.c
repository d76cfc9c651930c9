/*
 * test_records.c - the records and their statistics, with several threads that do what the manager does
 *
 * Reserve, commit, decommit and release at a few places that are everybody's, in the manager's own order of steps,
 * beside threads that only look; some memory is freed behind the manager's back, some releases are refused, some
 * places are views for a while, and what a region is for changes.  When all stand still, the page bits, the budgets and
 * the gauges are what Windows has.
 *
 * Windows is played by an array.  Its lock is one that a race detector does not see (relaxed, with fences): so it
 * orders nothing that the records should have ordered themselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "memory/os.h"
#include "memory/overlap.h"
#include "memory/reconcile.h"
#include "support/crew.h"
#include "support/fake_pages.h"
#include "support/answers.h"

enum { PLACES = 6, PAGES = 16500, WORKERS = 4, LOOKERS = 1, ROUNDS = 40, STEPS = 1500 };

/* ------------------------------------------------------------------------------------------------- the system */

enum use { FREE, PRIVATE, VIEW };

static struct place {
    atomic_flag lock;
    _Atomic(enum use) use;
    _Atomic uint32_t allocation; /* the how manieth */
    uint64_t base, pages;
    _Atomic bool committed[PAGES];
} places[PLACES];

static void lock(struct place *place)
{
    while (atomic_flag_test_and_set_explicit(&place->lock, memory_order_relaxed))
        SwitchToThread();
    atomic_thread_fence(memory_order_seq_cst);
}

static void unlock(struct place *place)
{
    atomic_thread_fence(memory_order_seq_cst);
    atomic_flag_clear_explicit(&place->lock, memory_order_relaxed);
}

static enum use use_of(const struct place *place)
{
    return atomic_load_explicit(&place->use, memory_order_relaxed);
}

/* Allocate what is free; 0: it is not, else the allocation's number. */
static uint32_t allocate(struct place *place, enum use use, bool committed)
{
    uint32_t allocation = 0;
    lock(place);
    if (use_of(place) == FREE) {
        allocation = atomic_fetch_add_explicit(&place->allocation, 1, memory_order_relaxed) + 1;
        atomic_store_explicit(&place->use, use, memory_order_relaxed);
        for (uint64_t p = 0; p < place->pages; p++)
            atomic_store_explicit(&place->committed[p], committed, memory_order_relaxed);
    }
    unlock(place);
    return allocation;
}

/* (Windows could not tell an allocation from the next one there; to free that instead is another's bug.) */
static bool deallocate(struct place *place, uint32_t allocation)
{
    lock(place);
    bool can =
        use_of(place) != FREE && atomic_load_explicit(&place->allocation, memory_order_relaxed) == allocation;
    if (can)
        atomic_store_explicit(&place->use, FREE, memory_order_relaxed);
    unlock(place);
    return can;
}

static bool set_pages(struct place *place, uint64_t first, uint64_t count, bool committed)
{
    lock(place);
    bool can = use_of(place) == PRIVATE;
    for (uint64_t p = first; can && p < first + count; p++)
        atomic_store_explicit(&place->committed[p], committed, memory_order_relaxed);
    unlock(place);
    return can;
}

SIZE_T hm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length)
{
    uint64_t at = (uintptr_t)address;
    struct place *place = places;
    while (at < place->base || at >= place->base + place->pages * PAGE_BYTES)
        place++;
    uint64_t first = (at - place->base) / PAGE_BYTES, end = first + 1;
    lock(place);
    bool committed = atomic_load_explicit(&place->committed[first], memory_order_relaxed);
    while (end < place->pages &&
           atomic_load_explicit(&place->committed[end], memory_order_relaxed) == committed)
        end++;
    *buffer = (MEMORY_BASIC_INFORMATION){.BaseAddress = (void *)(uintptr_t)(place->base + first * PAGE_BYTES),
                                         .AllocationBase = (void *)(uintptr_t)place->base,
                                         .RegionSize = (end - first) * PAGE_BYTES,
                                         .State = use_of(place) == FREE ? MEM_FREE
                                                  : committed           ? MEM_COMMIT
                                                                        : MEM_RESERVE};
    unlock(place);
    return length;
}

/* ------------------------------------------------------------------------------------------------- the manager */

static struct region_table table;
static struct stats stats;
static struct quota quota;
static atomic_uint commits, decommits, releases, restores, stale, views, refused, uses;

/* Between two steps of a call somebody else may come. */
static void dawdle(struct member *member)
{
    if (crew_random(member, 4) == 0)
        SwitchToThread();
}

/* Mostly the heap, or not. */
static hostmem_use any_use(struct member *member)
{
    static const hostmem_use some[] = {HOSTMEM_USE_GC_HEAP, HOSTMEM_USE_GC_HEAP, HOSTMEM_USE_OTHER,
                                       HOSTMEM_USE_GC_TABLES};
    return some[crew_random(member, 4)];
}

static void reserve(struct member *member, struct place *place)
{
    bool committed = crew_random(member, 4) == 0;
    uint64_t bytes = place->pages * PAGE_BYTES;
    struct region_origin origin = {.base = place->base,
                                   .pages = place->pages,
                                   .committed = committed,
                                   .kind = HOSTMEM_REGION_PRIVATE,
                                   .level = crew_random(member, 4),
                                   .use = any_use(member)};
    struct charge space = {.bytes = bytes, .kind = CHARGE_RESERVE},
                  pages = {.bytes = committed ? bytes : 0, .kind = charge_kind_of(origin.use)};
    quota_charged(&quota, &space);
    if (quota_charged(&quota, &pages).verdict != CHARGE_GRANTED) {
        hm_quota_cancel(&quota, &space);
        return;
    }
    origin.protect = allocate(place, PRIVATE, committed); /* noted in the record */
    if (origin.protect != 0) {
        dawdle(member);
        crew_check(member, hm_region_publish(&table, &origin) != 0, 0);
        dawdle(member);
        quota_settled(&quota, &space, bytes);
        quota_settled(&quota, &pages, pages.bytes);
        hm_reconcile_range(&table, origin.base, origin.base + bytes);
        return;
    }
    hm_quota_cancel(&quota, &pages);
    hm_quota_cancel(&quota, &space);
}

/* Process-critical now and then: overruns of the heap's budget, and of the other. */
static void commit(struct member *member, struct place *place, struct region_hold *hold, uint64_t first,
                   uint64_t count)
{
    struct charge charge = {.bytes = hm_region_uncommitted(hold, first, count),
                            .level = crew_random(member, 16) == 0 ? BUDGET_PROCESS : BUDGET_TASK,
                            .kind = charge_kind_of(region_use(hold->region))};
    if (quota_charged(&quota, &charge).verdict == CHARGE_OVER) {
        hm_region_leave_unchanged(&table, hold);
        refused++;
        return;
    }
    crew_check(member, hm_region_prepare_commit(&table, hold, first, count), first);
    overlap_begin(hold, first, count);
    dawdle(member);
    if (!set_pages(place, first, count, true)) {
        hm_quota_cancel(&quota, &charge);
        hm_region_leave_unchanged(&table, hold);
        return;
    }
    dawdle(member);
    hm_region_set_committed(&table, hold, first, count, &charge);
    hm_reconcile_leave(&table, hold, first, count, true);
    commits++;
}

static void decommit(struct member *member, struct place *place, struct region_hold *hold, uint64_t first,
                     uint64_t count)
{
    overlap_begin(hold, first, count);
    dawdle(member);
    if (!set_pages(place, first, count, false)) {
        hm_region_leave_unchanged(&table, hold);
        return;
    }
    dawdle(member);
    hm_region_set_decommitted(&table, hold, first, count);
    hm_reconcile_leave(&table, hold, first, count, false);
    decommits++;
}

/* Windows refuses a release now and then, but not where memory goes behind our back: both at once have no right
 * outcome. */
static bool freed_behind_our_back(const struct place *place)
{
    return (place - places) % 2 != 0;
}

static void release(struct member *member, struct place *place, struct region_hold *hold)
{
    if (!region_close(hold)) {
        hm_region_leave_unchanged(&table, hold);
        return;
    }
    dawdle(member);
    bool refuse = !freed_behind_our_back(place) && crew_random(member, 4) == 0;
    if (!refuse) {
        deallocate(place, hold->region->allocation_protect);
        dawdle(member);
        hm_region_erase(&table, hold);
        hm_region_leave_unchanged(&table, hold);
        releases++;
        return;
    }
    crew_check(member, hm_region_reopen(&table, hold), hold->number);
    hm_region_leave(&table, hold);
    hm_reconcile_range(&table, place->base, place->base + place->pages * PAGE_BYTES);
    restores++;
}

/* Mapped and reported; unmapped and, mostly, reported by the same thread. */
static void map_view(struct member *member, struct place *place)
{
    const struct region_origin origin = {
        .base = place->base, .pages = place->pages, .kind = HOSTMEM_REGION_VIEW};
    uint32_t allocation = allocate(place, VIEW, false);
    if (allocation == 0)
        return;
    crew_check(member, hm_region_publish(&table, &origin) != 0, 0);
    dawdle(member);
    deallocate(place, allocation);
    views++;
    struct region_hold hold;
    if (crew_random(member, 8) == 0 || !hm_region_enter(&table, place->base, &hold))
        return;
    if (hold.region->kind == HOSTMEM_REGION_VIEW)
        hm_region_unpublish(&table, &hold);
    hm_region_leave_unchanged(&table, &hold);
}

static void work_once(struct member *member)
{
    struct place *place = &places[crew_random(member, PLACES)];
    unsigned what = crew_random(member, 100);
    if (what < 2)
        map_view(member, place);
    else if (what < 8)
        reserve(member, place);
    if (what < 8)
        return;
    uint64_t first = crew_random(member, (unsigned)place->pages);
    uint64_t count = 1 + crew_random(member, (unsigned)(place->pages - first));
    if (place->pages > 1000 && count > 100 && what % 16 != 0)
        count = 1 + count % 100;
    struct region_hold hold;
    if (what == 8) {
        if (region_enter_owned(&table, place->base + first * PAGE_BYTES, &hold)) {
            hm_region_set_use(&table, &hold, any_use(member));
            hm_region_leave_unchanged(&table, &hold);
            uses++;
        }
        return;
    }
    bool commits_pages = what < 55;
    if (!hm_region_enter(&table, place->base + first * PAGE_BYTES, &hold))
        return;
    if (hold.region->kind == HOSTMEM_REGION_VIEW)
        hm_region_leave_unchanged(&table, &hold);
    else if (what == 99 && freed_behind_our_back(place)) {
        stale += deallocate(place, hold.region->allocation_protect);
        hm_region_leave_unchanged(&table, &hold);
    } else if (what >= 98)
        release(member, place, &hold);
    else if (commits_pages)
        commit(member, place, &hold, first, count);
    else
        decommit(member, place, &hold, first, count);
}

/* Whatever is seen is possible. */
static void look(struct member *member)
{
    struct place *place = &places[crew_random(member, PLACES)];
    uint64_t address = place->base + crew_random(member, (unsigned)place->pages) * (uint64_t)PAGE_BYTES;
    uint64_t geometry = 0;
    unsigned kind;
    uint32_t number = hm_region_find(&table, address, &geometry, &kind);
    if (number != 0)
        crew_check(member, geometry_base(geometry) == place->base && geometry_pages(geometry) == place->pages,
                   number);
    kind = hm_region_kind_at(&table, address);
    crew_check(member, kind <= HOSTMEM_REGION_VIEW, kind);
    uint32_t used = pool_used(&table.records);
    struct region_hold hold;
    if (used == 0 || !hm_region_enter_number(&table, 1 + crew_random(member, used), &hold))
        return;
    uint64_t committed = region_committed(&hold);
    crew_check(member, committed <= geometry_pages(hold.geometry), committed);
    crew_check(member, hold.region->level <= HOSTMEM_LEVEL_NONE, hold.region->level);
    hm_region_leave_unchanged(&table, &hold);
}

/* Nobody is at work. */
static void check_statistics(struct member *member)
{
    static hostmem_statistics statistics;
    uint64_t committed = 0, reserved = 0, mapped = 0, regions = 0, seen_views = 0;
    uint64_t by_use[HOSTMEM_USE_COUNT] = {0};
    for (struct place *place = places; place < places + PLACES; place++) {
        struct region_hold hold;
        if (!hm_region_enter(&table, place->base, &hold)) {
            crew_check(member, use_of(place) == FREE, place - places);
            continue;
        }
        uint64_t noted = region_committed(&hold);
        if (hold.region->kind == HOSTMEM_REGION_VIEW) {
            seen_views++;
            mapped += place->pages;
        } else {
            regions++;
            reserved += place->pages;
            committed += noted;
            by_use[region_use(hold.region)] += noted;
        }
        if (use_of(place) == PRIVATE)
            for (uint64_t p = 0; p < place->pages; p++)
                crew_check(member, hm_region_agrees(&hold, p, 1, place->committed[p]), (long)p);
        hm_region_leave_unchanged(&table, &hold);
    }
    hm_stats_read(&stats, &statistics);
    crew_check(member, statistics.regions == regions, statistics.regions);
    crew_check(member, statistics.views == seen_views, statistics.views);
    crew_check(member, statistics.mapped.now == mapped * PAGE_BYTES, statistics.mapped.now);
    crew_check(member, statistics.committed.now == committed * PAGE_BYTES, statistics.committed.now);
    for (unsigned use = 0; use < HOSTMEM_USE_COUNT; use++)
        crew_check(member, statistics.committed_by_use[use].now == by_use[use] * PAGE_BYTES, use);
    for (struct quota *q = &quota; q != NULL; q = q->parent) {
        crew_check(member, q->commit.used == committed * PAGE_BYTES, q->commit.used);
        crew_check(member, q->heap.used == by_use[HOSTMEM_USE_GC_HEAP] * PAGE_BYTES, q->heap.used);
        crew_check(member, q->reserve.used == reserved * PAGE_BYTES, q->reserve.used);
    }
}

static void be_busy(struct member *member, void *context)
{
    (void)context;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned step = 0; step < STEPS; step++)
            if (member->number < WORKERS)
                work_once(member);
            else
                look(member);
        crew_meet(member);
        if (member->number == 0)
            check_statistics(member);
        crew_meet(member);
    }
}

static void test_statistics_of_many_threads(void **state)
{
    (void)state;
    static const uint64_t pages[PLACES] = {3, 40, 64, 65, 900, PAGES};
    struct crew crew;
    uint64_t base = (uint64_t)1020 << GRANULE_SHIFT, all = 0;
    static struct quota shared;
    hm_quota_init(&shared, NULL);
    hm_quota_init(&quota, NULL);
    quota.parent = &shared;
    hm_region_table_init(&table, &stats, &quota);
    for (unsigned i = 0; i < PLACES; i++) {
        places[i].base = base;
        places[i].pages = pages[i];
        base += (pages[i] + GRANULE_PAGES - 1) / GRANULE_PAGES << GRANULE_SHIFT;
        all += pages[i];
    }
    const struct budget_limits limits = {
        .limit = all * PAGE_BYTES / 2, .task_limit = all * PAGE_BYTES / 2, .soft = BUDGET_UNLIMITED};
    hm_quota_set(&quota, &limits, all * PAGE_BYTES / 3, BUDGET_UNLIMITED, BUDGET_UNLIMITED);
    crew_run(&crew, WORKERS + LOOKERS, be_busy, NULL);
    print_message("%u commits (and %u refused), %u decommits, %u releases, %u restores, %u views, %u stale, "
                  "%u uses, %u overruns (%u of the heap's)\n",
                  commits, refused, decommits, releases, restores, views, stale, uses,
                  (unsigned)quota.commit.overruns, (unsigned)quota.heap.overruns);
    assert_true(commits > 1000 && decommits > 1000 && releases > 100);
    assert_true(restores > 10 && views > 10 && stale > 10 && stats.stale_regions > 0 && refused > 10);
    assert_true(uses > 100 && quota.heap.overruns > 10);
    hm_region_table_destroy(&table);
    assert_int_equal(stats.metadata, 0);
    assert_int_equal(fake_pages_outstanding(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics_of_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
