/*
 * test_verify.c - hostmem_verify: sound accounting is found sound, and each kind of damage is found and named
 *
 * The damage is done to the manager's inside, and undone again, so that the fixture's teardown finds good statistics.  Over
 * fake_os, with which the looks follow each other without a pause.
 */
#include "support/manager_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "com/malloc.h"
#include "support/fake_os.h"
#include "support/fake_pages.h"
#include "support/verified.h"

/* Small: the word itself; middling: an array; big: stripes. */
enum { SMALL_PAGES = 40, MIDDLE_PAGES = 1000, BIG_PAGES = 40000 };

struct damaged {
    struct fixture f; /* first: fixture_teardown frees it all */
    struct region_table *table;
    IHostMalloc *heap;
    void *block;
    char *little, *middle, *big, *view;
};

static char *reserve_and_commit(struct fixture *f, SIZE_T pages, SIZE_T first, SIZE_T count)
{
    char *base = fixture_alloc(f, NULL, pages * PAGE, MEM_RESERVE, PAGE_READWRITE);
    fixture_alloc(f, base + first * PAGE, count * PAGE, MEM_COMMIT, PAGE_READWRITE);
    return base;
}

static int setup(void **state)
{
    fake_os_reset();
    fake_pages_fail_from(0);
    struct damaged *d = calloc(1, sizeof *d);
    struct fixture *made;
    if (d == NULL || fixture_setup((void **)&made) != 0)
        return -1;
    d->f = *made;
    free(made);
    d->table = &d->f.manager->vm.table;
    d->little = reserve_and_commit(&d->f, SMALL_PAGES, 3, 4);
    d->middle = reserve_and_commit(&d->f, MIDDLE_PAGES, 60, 200);
    d->big = reserve_and_commit(&d->f, BIG_PAGES, 16000, 1000);
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 3 * GRANULE, NULL);
    d->view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    CloseHandle(section);
    assert_hresult(IHostMemoryManager_AcquiredVirtualAddressSpace(d->f.memory, d->view, 0), S_OK);
    assert_hresult(IHostMemoryManager_CreateMalloc(d->f.memory, MALLOC_THREADSAFE, &d->heap), S_OK);
    assert_hresult(IHostMalloc_Alloc(d->heap, 1000, eTaskCritical, &d->block), S_OK);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct damaged *d = *state;
    assert_true(verified(d->f.manager));
    assert_hresult(IHostMalloc_Free(d->heap, d->block), S_OK);
    assert_int_equal(IHostMalloc_Release(d->heap), 0);
    UnmapViewOfFile(d->view);
    assert_hresult(IHostMemoryManager_ReleasedVirtualAddressSpace(d->f.memory, d->view), S_OK);
    char *regions[] = {d->little, d->middle, d->big};
    for (int i = 0; i < 3; i++)
        if (regions[i] != NULL)
            fixture_free(&d->f, regions[i], 0, MEM_RELEASE);
    return fixture_teardown(state);
}

static hostmem_verify_report expect(struct damaged *d, hostmem_finding finding, const void *address)
{
    hostmem_verify_report report;
    memset(&report, 0xcd, sizeof report);
    report.size = sizeof report;
    assert_hresult(hostmem_verify(d->f.manager, NULL), S_FALSE);
    assert_hresult(hostmem_verify(d->f.manager, &report), S_FALSE);
    if (report.finding != (uint32_t)finding || report.address != address) {
        verify_print(&report);
        fail_msg("not finding %u at %p", (unsigned)finding, address);
    }
    assert_int_equal(report.flags, 0);
    assert_int_equal(report.skipped, 0);
    assert_int_equal(report.disturbed, 0);
    return report;
}

static uint32_t number_at(struct damaged *d, const void *address)
{
    uint64_t geometry;
    unsigned kind;
    uint32_t number = hm_region_find(d->table, (uintptr_t)address, &geometry, &kind);
    assert_int_not_equal(number, 0);
    return number;
}

static struct region *record_at(struct damaged *d, const void *address)
{
    return pool_item(&d->table->records, number_at(d, address));
}

/* Bytes of its pages that are noted as committed. */
static uint64_t committed_at(struct damaged *d, const void *base)
{
    struct region *region = record_at(d, base);
    const uint64_t pages = geometry_pages(region->geometry);
    const uint64_t noted = hm_commit_map_count(&region->commit, pages, 0, pages) * PAGE;
    assert_true(noted > PAGE);
    return noted;
}

static uint64_t granule_of(const void *address)
{
    return (uintptr_t)address >> GRANULE_SHIFT;
}

static void test_arguments(void **state)
{
    struct damaged *d = *state;
    hostmem_verify_report report = {.size = sizeof report - 1};
    assert_hresult(hostmem_verify(NULL, &report), E_POINTER);
    assert_hresult(hostmem_verify(d->f.manager, &report), E_INVALIDARG);
    assert_int_equal(report.size, sizeof report - 1);
    assert_hresult(hostmem_verify(d->f.manager, NULL), S_OK);
}

static void test_sound_accounting(void **state)
{
    struct damaged *d = *state;
    hostmem_verify_report report = {.size = sizeof report, .finding = 99, .flags = 99, .disturbed = 99};
    hostmem_statistics before = fixture_statistics(d->f.manager);
    assert_hresult(hostmem_verify(d->f.manager, &report), S_OK);
    hostmem_statistics after = fixture_statistics(d->f.manager);
    assert_memory_equal(&before, &after, sizeof before); /* it is no call, and changes nothing */
    assert_int_equal(report.size, sizeof report);
    assert_int_equal(report.finding, HOSTMEM_FINDING_NONE);
    assert_null(report.address);
    assert_int_equal(report.regions, 3);
    assert_int_equal(report.views, 1);
    assert_int_equal(report.blocks, 1);
    assert_int_equal(report.pages, SMALL_PAGES + MIDDLE_PAGES + BIG_PAGES);
    assert_int_equal(report.skipped, 0);
    assert_int_equal(report.disturbed, 0);
    assert_int_equal(report.flags, 0);
    assert_int_equal(region_use(record_at(d, d->view)), HOSTMEM_USE_VIEW);
}

/* Blocks that outlive their heap stay in the accounting, and regions in a whole 64 MiB or 64 GiB are spans there. */
static void test_leaked_blocks_and_spans(void **state)
{
    struct damaged *d = *state;
    IHostMalloc *heap;
    void *leaked, *span;
    assert_hresult(IHostMemoryManager_CreateMalloc(d->f.memory, 0, &heap), S_OK);
    for (int i = 0; i < 3; i++)
        assert_hresult(IHostMalloc_Alloc(heap, 100, eTaskCritical, &leaked), S_OK);
    assert_int_equal(IHostMalloc_Release(heap), 0);
    assert_int_equal(fixture_statistics(d->f.manager).blocks, 4);
    assert_true(verified(d->f.manager));
    const SIZE_T size = sizeof(void *) == 8 ? (SIZE_T)(200ull << 30) : (SIZE_T)200 << 20;
    assert_hresult(IHostMemoryManager_VirtualAlloc(d->f.memory, NULL, size, MEM_RESERVE, PAGE_NOACCESS,
                                                   eTaskCritical, &span),
                   S_OK);
    assert_true(verified(d->f.manager));
    fixture_free(&d->f, span, 0, MEM_RELEASE);
}

static void test_a_page_noted_wrongly(void **state)
{
    struct damaged *d = *state;
    const struct {
        char *base;
        uint64_t pages, page;
        bool committed;
    } rows[] = {{d->little, SMALL_PAGES, 3, true},     {d->little, SMALL_PAGES, 7, false},
                {d->little, SMALL_PAGES, 39, false},   {d->middle, MIDDLE_PAGES, 259, true},
                {d->middle, MIDDLE_PAGES, 999, false}, {d->big, BIG_PAGES, 16383, true},
                {d->big, BIG_PAGES, 16384, true},      {d->big, BIG_PAGES, 16385 + 1000, false}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct commit_map *map = &record_at(d, rows[i].base)->commit;
        if (rows[i].committed)
            assert_int_equal(hm_commit_map_clear(map, rows[i].pages, rows[i].page, 1), 1);
        else
            assert_int_equal(hm_commit_map_set(map, rows[i].pages, rows[i].page, 1), 1);
        hostmem_verify_report report = expect(d, HOSTMEM_FINDING_PAGE, rows[i].base + rows[i].page * PAGE);
        assert_int_equal(report.expected, rows[i].committed);
        assert_int_equal(report.found, !rows[i].committed);
        if (rows[i].committed)
            hm_commit_map_set(map, rows[i].pages, rows[i].page, 1);
        else
            hm_commit_map_clear(map, rows[i].pages, rows[i].page, 1);
    }
    /* Windows is changed behind our back. */
    assert_true(VirtualFree(d->middle + 100 * PAGE, PAGE, MEM_DECOMMIT));
    hostmem_verify_report report = expect(d, HOSTMEM_FINDING_PAGE, d->middle + 100 * PAGE);
    assert_int_equal(report.expected, 0);
    assert_non_null(VirtualAlloc(d->middle + 100 * PAGE, PAGE, MEM_COMMIT, PAGE_READWRITE));
}

/* The region's own sum of them, by which it is told, traced and charged. */
static void test_a_sum_of_pages_that_is_wrong(void **state)
{
    struct damaged *d = *state;
    char *bases[] = {d->little, d->middle, d->big};
    for (unsigned i = 0; i < 3; i++) {
        struct region *region = record_at(d, bases[i]);
        const uint64_t good = atomic_load(&region->account);
        const uint64_t noted = committed_at(d, bases[i]);
        for (int more = 0; more < 2; more++) {
            atomic_store(&region->account, more ? good + (1 << 8) : good - (1 << 8));
            hostmem_verify_report report = expect(d, HOSTMEM_FINDING_COMMITTED, bases[i]);
            assert_int_equal(report.expected, noted);
            assert_int_equal(report.found, more ? noted + PAGE : noted - PAGE);
        }
        atomic_store(&region->account, good);
    }
}

static void test_bits_of_no_page(void **state)
{
    struct damaged *d = *state;
    struct commit_map *little = &record_at(d, d->little)->commit;
    hm_commit_map_set(little, SMALL_PAGES, SMALL_PAGES, 1);
    expect(d, HOSTMEM_FINDING_BITS, d->little);
    hm_commit_map_clear(little, SMALL_PAGES, SMALL_PAGES, 1);
    struct commit_map *middle = &record_at(d, d->middle)->commit;
    hm_commit_map_set(middle, MIDDLE_PAGES, 1023, 1);
    expect(d, HOSTMEM_FINDING_BITS, d->middle);
    hm_commit_map_clear(middle, MIDDLE_PAGES, 1023, 1);

    /* Rows that are nobody's; nothing is read or written there. */
    struct commit_map kept = *middle;
    static _Atomic uint64_t elsewhere[16];
    middle->rows = NULL;
    expect(d, HOSTMEM_FINDING_BITS, d->middle);
    middle->rows = (struct row *)elsewhere;
    expect(d, HOSTMEM_FINDING_BITS, d->middle);
    middle->rows = (struct row *)((char *)kept.rows + 8);
    expect(d, HOSTMEM_FINDING_BITS, d->middle);
    *middle = kept;
    struct commit_map *big = &record_at(d, d->big)->commit;
    _Atomic(void *) *place = &big->directory->stripe[16000 / 16384];
    struct row *stripe = atomic_load(place);
    atomic_store(place, (struct row *)elsewhere);
    expect(d, HOSTMEM_FINDING_BITS, d->big);
    atomic_store(place, NULL); /* its bits are gone */
    expect(d, HOSTMEM_FINDING_PAGE, d->big + 16000 * PAGE);
    atomic_store(place, stripe);
}

static void test_an_entry_that_is_missing_or_wrong(void **state)
{
    struct damaged *d = *state;
    struct region_map *map = &d->table->map;
    char *bases[] = {d->little, d->middle, d->big, d->view};
    for (unsigned i = 0; i < 4; i++) {
        uint32_t number = number_at(d, bases[i]);
        uint64_t granule = granule_of(bases[i]) + 2;
        hm_region_map_erase(map, granule, 1, number);
        hostmem_verify_report report = expect(d, HOSTMEM_FINDING_ENTRY, bases[i] + 2 * GRANULE);
        assert_int_equal(report.expected, number);
        assert_int_equal(report.found, 0);
        uint32_t other = number_at(d, bases[(i + 1) % 4]);
        hm_region_map_publish(map, granule, 1, other);
        report = expect(d, HOSTMEM_FINDING_ENTRY, bases[i] + 2 * GRANULE);
        assert_int_equal(report.found, other);
        hm_region_map_publish(map, granule, 1, number);
    }
}

static void test_entries_that_lead_astray(void **state)
{
    struct damaged *d = *state;
    struct region_map *map = &d->table->map;
    uint32_t number = number_at(d, d->little);
    const uint32_t numbers[] = {number, number_at(d, d->view), pool_used(&d->table->records) + 1, UINT32_MAX};
    /* Free address space, right behind a region, in it where it is given back, and far away. */
    char *freed = fixture_alloc(&d->f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    uint32_t dead = number_at(d, freed);
    fixture_free(&d->f, freed, 0, MEM_RELEASE);
    const uint64_t granules[] = {granule_of(freed), 5, REGION_MAP_GRANULES - 1};
    for (unsigned g = 0; g < 3; g++) {
        assert_true(hm_region_map_prepare(map, granules[g], 1));
        for (unsigned n = 0; n <= 4; n++) {
            uint32_t stray = n < 4 ? numbers[n] : dead;
            hm_region_map_publish(map, granules[g], 1, stray);
            hostmem_verify_report report =
                expect(d, HOSTMEM_FINDING_STRAY, (void *)(uintptr_t)(granules[g] << GRANULE_SHIFT));
            assert_int_equal(report.found, stray);
            hm_region_map_erase(map, granules[g], 1, stray);
        }
    }
#ifdef _WIN64
    /* Out of sight below a span, and a span that says too much. */
    const uint64_t node = 1 << REGION_MAP_NODE_BITS, remote = (uint64_t)3 << 2 * REGION_MAP_NODE_BITS;
    struct region_origin origin = {
        .base = remote << GRANULE_SHIFT, .pages = node * GRANULE_PAGES, .kind = HOSTMEM_REGION_VIEW};
    assert_true(hm_region_map_prepare(map, remote, 1));
    hm_region_map_publish(map, remote, 1, number);
    atomic_uint *leaf = atomic_load(&((struct region_map_slot *)atomic_load(&map->root[3].child))->child);
    assert_int_equal(leaf[0], number);
    leaf[0] = 0;
    const uint32_t view = hm_region_publish(d->table, &origin);
    assert_int_not_equal(view, 0);
    leaf[7] = view;
    expect(d, HOSTMEM_FINDING_STRAY, (void *)(uintptr_t)((remote + 7) << GRANULE_SHIFT));
    leaf[7] = 0;
    assert_true(verified(d->f.manager));
    hm_region_map_publish(map, remote + node, node, view);
    expect(d, HOSTMEM_FINDING_STRAY, (void *)(uintptr_t)((remote + node) << GRANULE_SHIFT));
    hm_region_map_erase(map, remote + node, node, view);
    struct region_hold hold;
    assert_true(hm_region_enter_number(d->table, view, &hold));
    assert_true(hm_region_unpublish(d->table, &hold));
    hm_region_leave_unchanged(d->table, &hold);
#endif
}

/* Two regions cannot both be found where they overlap. */
static void test_a_record_that_says_otherwise(void **state)
{
    struct damaged *d = *state;
    const uint32_t number = number_at(d, d->little);
    struct region *little = record_at(d, d->little);
    const uint64_t good = atomic_load(&little->geometry);
    atomic_store(&little->geometry, good - SMALL_PAGES); /* no pages */
    expect(d, HOSTMEM_FINDING_RECORD, d->little);
    atomic_store(&little->geometry,
                 ((uint64_t)REGION_MAP_GRANULES - 1) << 33 | SMALL_PAGES); /* past the end */
    void *last = (void *)(uintptr_t)((REGION_MAP_GRANULES - 1) << GRANULE_SHIFT);
    assert_int_equal(expect(d, HOSTMEM_FINDING_RECORD, last).found, number);
    atomic_store(&little->geometry, good + 2 * GRANULE_PAGES); /* into the next one, or into nothing */
    expect(d, HOSTMEM_FINDING_ENTRY, d->little + 3 * GRANULE);
    atomic_store(&little->geometry, good - 1); /* Windows' allocation goes on */
    hostmem_verify_report report = expect(d, HOSTMEM_FINDING_GONE, d->little);
    assert_int_equal(report.expected, (SMALL_PAGES - 1) * PAGE);
    assert_true(report.found >= SMALL_PAGES * PAGE);
    atomic_store(&little->geometry, good + 1); /* and stops early */
    report = expect(d, HOSTMEM_FINDING_GONE, d->little);
    assert_int_equal(report.found, SMALL_PAGES * PAGE);
    atomic_store(&little->geometry, good - GRANULE_PAGES);
    expect(d, HOSTMEM_FINDING_GONE, d->little);
    atomic_store(&little->geometry, good);
    /* The same where another run of pages begins just there. */
    fixture_alloc(&d->f, d->little + (SMALL_PAGES - 4) * PAGE, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    hm_commit_map_clear(&little->commit, SMALL_PAGES, SMALL_PAGES - 4, 4);
    atomic_store(&little->geometry, good - 4);
    report = expect(d, HOSTMEM_FINDING_GONE, d->little);
    assert_int_equal(report.expected, (SMALL_PAGES - 4) * PAGE);
    assert_int_equal(report.found, SMALL_PAGES * PAGE);
    atomic_store(&little->geometry, good);
    hm_commit_map_set(&little->commit, SMALL_PAGES, SMALL_PAGES - 4, 4);
    uint8_t kind = little->kind;
    little->kind = 3;
    expect(d, HOSTMEM_FINDING_RECORD, d->little);
    little->kind = HOSTMEM_REGION_VIEW;
    expect(d, HOSTMEM_FINDING_REGIONS, NULL);
    little->kind = kind;
}

/* Freed by raw VirtualFree, also where Windows has given the place to somebody else since. */
static void test_memory_that_has_gone(void **state)
{
    struct damaged *d = *state;
    char *old = d->little;
    assert_true(VirtualFree(old, 0, MEM_RELEASE));
    hostmem_verify_report report = expect(d, HOSTMEM_FINDING_GONE, old);
    assert_int_equal(report.expected, SMALL_PAGES * PAGE);
    assert_int_equal(report.found, 0);
    assert_ptr_equal(VirtualAlloc(old, GRANULE, MEM_RESERVE, PAGE_READWRITE), old);
    expect(d, HOSTMEM_FINDING_PAGE, old + 3 * PAGE);
    assert_true(VirtualFree(old, 0, MEM_RELEASE));
    assert_true(IHostMemoryManager_VirtualFree(d->f.memory, old, 0, MEM_RELEASE) != S_OK);
    d->little = NULL; /* found out, and dropped */
}

static void test_items_that_are_lost(void **state)
{
    struct damaged *d = *state;
    struct pool *pools[] = {&d->table->records, &d->table->bits.classes[2], &d->f.manager->mallocs};
    for (int i = 0; i < 3; i++) {
        uint32_t lost = hm_pool_take(pools[i]);
        hostmem_verify_report report = expect(d, HOSTMEM_FINDING_ITEMS, NULL);
        assert_int_equal(report.expected, pool_used(pools[i]));
        assert_int_equal(report.found, report.expected - 1);
        hm_pool_give(pools[i], lost);
        assert_true(verified(d->f.manager));
        /* The free list in a circle, and leading nowhere. */
        _Atomic uint32_t *link = pool_item(pools[i], lost);
        uint32_t next = atomic_load(link);
        atomic_store(link, lost);
        expect(d, HOSTMEM_FINDING_ITEMS, NULL);
        atomic_store(link, 0x7fffffff);
        expect(d, HOSTMEM_FINDING_ITEMS, NULL);
        atomic_store(link, next);
    }
}

static void test_sums(void **state)
{
    struct damaged *d = *state;
    struct stats *stats = &d->f.manager->vm.stats;
    struct quota *quota = &d->f.manager->vm.quota;
    const struct {
        struct gauge *gauge;
        hostmem_finding finding;
    } gauges[] = {{&stats->by_use[HOSTMEM_USE_GC_HEAP], HOSTMEM_FINDING_USE},
                  {&stats->by_use[HOSTMEM_USE_GC_TABLES], HOSTMEM_FINDING_USE},
                  {&stats->by_use[HOSTMEM_USE_OTHER], HOSTMEM_FINDING_USE},
                  {&stats->mapped, HOSTMEM_FINDING_MAPPED},
                  {&quota->stock->charged, HOSTMEM_FINDING_HEAP},
                  {&stats->by_use[HOSTMEM_USE_VIEW], HOSTMEM_FINDING_CHARGED}};
    for (unsigned i = 0; i < sizeof gauges / sizeof gauges[0]; i++) {
        gauge_add(gauges[i].gauge, 1);
        hostmem_verify_report report = expect(d, gauges[i].finding, NULL);
        if (gauges[i].finding != HOSTMEM_FINDING_CHARGED)
            assert_int_equal(report.found, report.expected + 1);
        gauge_sub(gauges[i].gauge, 1);
    }
    static const struct {
        enum stats_counter counter;
        hostmem_finding finding;
    } counters[] = {{STATS_REGIONS, HOSTMEM_FINDING_REGIONS},
                    {STATS_VIEWS, HOSTMEM_FINDING_VIEWS},
                    {STATS_BLOCKS, HOSTMEM_FINDING_BLOCKS}};
    for (unsigned i = 0; i < 3; i++) {
        stats_count(stats, counters[i].counter, -1);
        hostmem_verify_report report = expect(d, counters[i].finding, NULL);
        assert_int_equal(report.found, report.expected - 1);
        stats_count(stats, counters[i].counter, 1);
    }
    const struct {
        struct budget *budget;
        hostmem_finding finding;
        uint64_t expected;
    } budgets[] = {{&quota->commit, HOSTMEM_FINDING_CHARGED, 1204 * PAGE + 1000},
                   {&quota->heap, HOSTMEM_FINDING_HEAP_CHARGED, 1000 * PAGE},
                   {&quota->reserve, HOSTMEM_FINDING_RESERVED, (40 + 1000 + 40000) * PAGE}};
    for (unsigned i = 0; i < 3; i++) {
        hm_budget_force(budgets[i].budget, PAGE);
        hostmem_verify_report report = expect(d, budgets[i].finding, NULL);
        assert_int_equal(report.expected, budgets[i].expected);
        assert_int_equal(report.found, report.expected + PAGE);
        budget_give(budgets[i].budget, PAGE);
    }
    /* Stock is part of what is charged, and of no figure. */
    const unsigned lane = lane_here();
    assert_true(quota->stock->lane[lane].bytes > 0);
    quota->stock->lane[lane].bytes--;
    assert_int_equal(expect(d, HOSTMEM_FINDING_HEAP, NULL).found, 1001);
    quota->stock->lane[lane].bytes++;
}

static void test_a_shared_budget(void **state)
{
    struct damaged *d = *state;
    hostmem_budget *shared;
    hostmem_options options = {.size = sizeof options};
    struct fixture f;
    assert_hresult(hostmem_create_budget(NULL, &shared), S_OK);
    options.shared = shared;
    assert_hresult(hostmem_create(&options, &f.manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(f.manager, &f.memory), S_OK);
    void *region = fixture_alloc(&f, NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    struct quota *parent = f.manager->vm.quota.parent;
    struct budget *parents[] = {&parent->commit, &parent->heap, &parent->reserve};
    assert_hresult(hm_vm_set_use(&f.manager->vm, region, HOSTMEM_USE_GC_HEAP), S_OK);
    struct damaged other = {.f = f};
    for (int i = 0; i < 3; i++) {
        assert_true(verified(f.manager));
        hm_budget_force(parents[i], 10 * PAGE); /* somebody else's */
        assert_true(verified(f.manager));
        budget_give(parents[i], 10 * PAGE);
        budget_give(parents[i], 1);
        expect(&other, HOSTMEM_FINDING_SHARED, NULL);
        hm_budget_force(parents[i], 1);
    }
    fixture_free(&f, region, 0, MEM_RELEASE);
    IHostMemoryManager_Release(f.memory);
    hostmem_release(f.manager);
    hostmem_release_budget(shared);
    assert_true(verified(d->f.manager));
}

static void test_blocks(void **state)
{
    struct damaged *d = *state;
    struct block_map *blocks = CONTAINING_RECORD(d->heap, struct malloc_object, iface)->blocks;
    assert_true(block_map_remove(blocks, (uintptr_t)d->block));
    expect(d, HOSTMEM_FINDING_BLOCKS, NULL);
    assert_true(block_map_add(blocks, (uintptr_t)d->block));
    /* Where there is no memory, and where it is only reserved: nothing is read there. */
    char *nowhere[] = {(char *)0x20000, d->big + 30000 * PAGE};
    for (int i = 0; i < 2; i++) {
        assert_true(block_map_add(blocks, (uintptr_t)nowhere[i]));
        expect(d, HOSTMEM_FINDING_BLOCK, nowhere[i]);
        assert_true(block_map_remove(blocks, (uintptr_t)nowhere[i]));
    }
    SIZE_T *bytes = (SIZE_T *)d->block - 2; /* the header */
    assert_int_equal(*bytes, 1000);
    *bytes = 999;
    hostmem_verify_report report = expect(d, HOSTMEM_FINDING_HEAP, NULL);
    assert_int_equal(report.expected, 999);
    assert_int_equal(report.found, 1000);
    *bytes = 1000;
}

/* Somebody is at work in a region: that one is not judged, and neither is what it adds to. */
static void test_a_region_at_work(void **state)
{
    struct damaged *d = *state;
    struct region_hold hold;
    hostmem_verify_report report = {.size = sizeof report};
    assert_true(hm_region_enter(d->table, (uintptr_t)d->little, &hold));
    hm_commit_map_set(&record_at(d, d->little)->commit, SMALL_PAGES, 20, 1);
    gauge_add(&d->table->stats->by_use[HOSTMEM_USE_OTHER], PAGE);
    assert_hresult(hostmem_verify(d->f.manager, &report), S_OK);
    assert_int_equal(report.skipped, 1);
    assert_int_equal(report.regions, 2);
    assert_int_equal(report.disturbed, 1);
    /* What has nothing to do with it is judged all the same. */
    hm_commit_map_set(&record_at(d, d->middle)->commit, MIDDLE_PAGES, 5, 1);
    report.size = sizeof report;
    assert_hresult(hostmem_verify(d->f.manager, &report), S_FALSE);
    assert_int_equal(report.finding, HOSTMEM_FINDING_PAGE);
    assert_ptr_equal(report.address, d->middle + 5 * PAGE);
    hm_commit_map_clear(&record_at(d, d->middle)->commit, MIDDLE_PAGES, 5, 1);
    hm_commit_map_clear(&record_at(d, d->little)->commit, SMALL_PAGES, 20, 1);
    gauge_sub(&d->table->stats->by_use[HOSTMEM_USE_OTHER], PAGE);
    hm_region_leave_unchanged(d->table, &hold);
}

#define verify_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        verify_test(test_arguments),
        verify_test(test_sound_accounting),
        verify_test(test_leaked_blocks_and_spans),
        verify_test(test_a_page_noted_wrongly),
        verify_test(test_a_sum_of_pages_that_is_wrong),
        verify_test(test_bits_of_no_page),
        verify_test(test_an_entry_that_is_missing_or_wrong),
        verify_test(test_entries_that_lead_astray),
        verify_test(test_a_record_that_says_otherwise),
        verify_test(test_memory_that_has_gone),
        verify_test(test_items_that_are_lost),
        verify_test(test_sums),
        verify_test(test_a_shared_budget),
        verify_test(test_blocks),
        verify_test(test_a_region_at_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
