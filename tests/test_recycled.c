/*
 * test_recycled.c - a record that stands for another region from one moment to the next
 *
 * One thread has a view at one place and a region at another, in turn, mostly in the same record. The others find records
 * by address and must never take what they find for what it stood for before, or will next.
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
enum { LOOKERS = 7, TURNS = 400000, KINDS = 16 };

static const struct place {
    uint64_t base;
    hostmem_region_kind kind;
} places[] = {{(uint64_t)100 << GRANULE_SHIFT, HOSTMEM_REGION_VIEW},
              {(uint64_t)5000 << GRANULE_SHIFT, HOSTMEM_REGION_PRIVATE}};
enum { PLACES = 2, PAGES = GRANULE_PAGES };

static struct region_table table;
static struct stats stats;
static struct quota quota;
static atomic_bool ended;
static atomic_uint found, entered;

static void come(struct member *member, const struct place *place)
{
    struct region_origin origin = {.base = place->base, .pages = PAGES, .kind = place->kind};
    uint32_t number = hm_region_take(&table);
    struct charge space = {.bytes = PAGES * PAGE_BYTES, .kind = CHARGE_RESERVE};
    if (place->kind == HOSTMEM_REGION_PRIVATE)
        quota_charged(&quota, &space);
    crew_check(member, number != 0 && hm_region_publish(&table, number, &origin), number);
}

static void go(struct member *member, const struct place *place)
{
    struct region_hold hold;
    bool there = hm_region_enter(&table, place->base, REGION_CHANGE, &hold);
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
        crew_check(member, kind == 0 || kind == place->kind, kind);
    }
    if (hm_region_find(&table, address, &geometry, &kind) != 0) {
        crew_check(member, geometry_base(geometry) == place->base, geometry_base(geometry));
        crew_check(member, kind == place->kind, kind);
        found++;
    }
    struct region_hold hold;
    if (!hm_region_enter(&table, address, REGION_LOOK, &hold))
        return;
    crew_check(member, geometry_base(hold.geometry) == place->base, geometry_base(hold.geometry));
    crew_check(member, hold.region->kind == place->kind, hold.region->kind);
    hm_region_leave_unchanged(&table, &hold);
    entered++;
}

static void turn_or_look(struct member *member, void *context)
{
    (void)context;
    for (unsigned turn = 0; member->number == 0 && turn < TURNS; turn++) {
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
    static hostmem_statistics books;
    hm_quota_init(&quota, NULL);
    hm_region_table_init(&table, &stats, &quota);
    crew_run(&crew, 1 + LOOKERS, turn_or_look, NULL);
    print_message("found %u, entered %u\n", found, entered);
    assert_true(found > 100 && entered > 100);
    hm_stats_read(&stats, &books);
    assert_int_equal(books.regions, 0);
    assert_int_equal(books.views, 0);
    assert_int_equal(books.mapped.now, 0);
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
