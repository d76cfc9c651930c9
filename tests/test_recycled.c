/*
 * test_recycled.c - a record that stands for another region from one moment to the next
 *
 * One thread has a view at one place, a region at another, and a shorter one where the view was, in turn, mostly in the same
 * record. The others find records by address and must never take what they find for what it stood for before, or will next.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "memory/region.h"
#include "support/crew.h"
#include "support/fake_pages.h"
#include "support/answers.h"

/* More of them than processors: what goes wrong takes a thread that stands still at the wrong moment. */
enum { LOOKERS = 7, TURNS = 400000, TURNS_MOST = 100 * TURNS, KINDS = 16 };

enum { PLACES = 3, PAGES = GRANULE_PAGES, FEW_PAGES = 4 };
static const struct place {
    uint64_t base, pages;
    hostmem_region_kind kind;
} places[PLACES] = {{(uint64_t)100 << GRANULE_SHIFT, PAGES, HOSTMEM_REGION_VIEW},
                    {(uint64_t)5000 << GRANULE_SHIFT, PAGES, HOSTMEM_REGION_PRIVATE},
                    {(uint64_t)100 << GRANULE_SHIFT, FEW_PAGES, HOSTMEM_REGION_PRIVATE}};

/* Is there ever such a region? */
static bool comes(uint64_t base, uint64_t pages, unsigned kind)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (places[i].base == base && places[i].pages == pages && places[i].kind == kind)
            return true;
    return false;
}

static bool may_be(uint64_t address, unsigned kind)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (address - places[i].base < places[i].pages * PAGE_BYTES && places[i].kind == kind)
            return true;
    return kind == 0;
}

static struct region_table table;
static struct stats stats;
static struct quota quota;
static atomic_bool ended;
static atomic_uint found, entered;

static bool enough_seen(void)
{
    return found > 100 && entered > 100;
}

static void come(struct member *member, const struct place *place)
{
    struct region_origin origin = {.base = place->base, .pages = place->pages, .kind = place->kind};
    struct charge space = {.bytes = place->pages * PAGE_BYTES, .kind = CHARGE_RESERVE};
    if (place->kind == HOSTMEM_REGION_PRIVATE)
        quota_charged(&quota, &space);
    crew_check(member, hm_region_publish(&table, &origin) != 0, 0);
}

static void go(struct member *member, const struct place *place)
{
    struct region_hold hold;
    bool there = hm_region_enter(&table, place->base, &hold);
    crew_check(member, there, place->kind);
    if (there) {
        crew_check(member, hm_region_unpublish(&table, &hold), hold.number);
        hm_region_leave_unchanged(&table, &hold);
    }
}

static void look(struct member *member, const struct place *place)
{
    uint64_t address = place->base + crew_random(member, PAGES) * (uint64_t)PAGE_BYTES, geometry;
    unsigned kind;
    for (unsigned i = 0; i < KINDS; i++) {
        kind = hm_region_kind_at(&table, address);
        crew_check(member, may_be(address, kind), kind);
    }
    if (hm_region_find(&table, address, &geometry, &kind) != 0) {
        crew_check(member, geometry_base(geometry) == place->base, geometry_base(geometry));
        crew_check(member, comes(place->base, geometry_pages(geometry), kind), kind);
        found++;
    }
    struct region_hold hold;
    if (!hm_region_enter(&table, address, &hold))
        return;
    crew_check(member, geometry_base(hold.geometry) == place->base, geometry_base(hold.geometry));
    crew_check(member, comes(place->base, geometry_pages(hold.geometry), hold.region->kind),
               hold.region->kind);
    hm_region_leave_unchanged(&table, &hold);
    entered++;
}

static void turn_or_look(struct member *member, void *context)
{
    (void)context;
    for (unsigned turn = 0; member->number == 0 && (turn < TURNS || (!enough_seen() && turn < TURNS_MOST));
         turn++) {
        come(member, &places[turn % PLACES]);
        go(member, &places[turn % PLACES]);
    }
    if (member->number == 0)
        ended = true;
    for (unsigned turn = 0; !ended; turn++)
        look(member, &places[turn % PLACES]);
}

static void test_recycled(void **state)
{
    (void)state;
    static struct crew crew;
    static hostmem_statistics statistics;
    hm_quota_init(&quota, NULL);
    hm_region_table_init(&table, &stats, &quota);
    crew_run(&crew, 1 + LOOKERS, turn_or_look, NULL);
    print_message("found %u, entered %u\n", found, entered);
    assert_true(enough_seen());
    hm_stats_read(&stats, &statistics);
    assert_int_equal(statistics.regions, 0);
    assert_int_equal(statistics.views, 0);
    assert_int_equal(statistics.mapped.now, 0);
    assert_int_equal(hm_budget_used(&quota.reserve), 0);
    assert_true(pool_used(&table.records) < 2 * (1 + LOOKERS) + 2);
    hm_region_table_destroy(&table);
    assert_int_equal(fake_pages_outstanding(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recycled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
