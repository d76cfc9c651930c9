/*
 * test_budget_stress.c - eight threads and a million calls against a budget with room for half of what they want
 *
 *     test_budget_stress [CALLS]     1,000,000 in all; half as many for two managers
 *
 * Each thread has regions of 64 pages, of which it knows which are committed, and blocks; so it can tell what every
 * call may answer, and all together what the accounting must say to the byte.  Some regions are the heap's, which has a limit
 * of its own.  One more thread samples the accounting all the while.
 */
#include <stdlib.h>
#include <string.h>

#include "com/manager.h"
#include "support/crew.h"
#include "support/manager_fixture.h"
#include "support/verified.h"

enum { WORKERS = 8, SAMPLER = WORKERS, REGIONS = 6, REGION_PAGES = 64, BLOCKS = 12, BLOCK_MOST = 16384 };

/* A region is half full on average, and there is one more often than not. */
enum { APPETITE = WORKERS * (REGIONS * REGION_PAGES / 2 * PAGE + BLOCKS * BLOCK_MOST / 4) };

static unsigned long calls = 1000000;

struct holdings {
    struct fixture *f;
    IHostMalloc *heap;
    char *region[REGIONS];
    uint64_t pages[REGIONS]; /* a bit for each committed one */
    bool is_heap[REGIONS];
    void *block[BLOCKS];
    SIZE_T bytes[BLOCKS];
    unsigned long granted, refused;
};

struct stress {
    struct fixture *f[2]; /* of even and odd threads; may be the same */
    IHostMalloc *heap[2];
    hostmem_budget *shared;
    uint64_t limit[2], shared_limit, heap_limit; /* never exceeded */
    atomic_uint working;
    unsigned long samples;
    struct holdings holdings[WORKERS];
};

static uint64_t committed_by(const struct holdings *h)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < REGIONS; i++)
        pages += count_bits(h->pages[i]);
    return pages * PAGE;
}

static uint64_t gc_heap_of(const struct holdings *h)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < REGIONS; i++)
        pages += h->is_heap[i] ? count_bits(h->pages[i]) : 0;
    return pages * PAGE;
}

static uint64_t heap_of(const struct holdings *h)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < BLOCKS; i++)
        bytes += h->bytes[i];
    return bytes;
}

/* Granted, or refused by the budget and in no other way. */
static bool note(struct member *member, struct holdings *h, HRESULT result, const void *memory)
{
    if (result == S_OK) {
        h->granted++;
        return true;
    }
    crew_check(member, (uint32_t)result == (uint32_t)E_OUTOFMEMORY, result);
    crew_check(member, GetLastError() == ERROR_COMMITMENT_LIMIT, GetLastError());
    crew_check(member, memory == NULL, (uintptr_t)memory);
    h->refused++;
    return false;
}

static uint64_t some_pages(struct member *member, unsigned *first, unsigned *count)
{
    *first = crew_random(member, REGION_PAGES);
    *count = 1 + crew_random(member, REGION_PAGES - *first < 24 ? REGION_PAGES - *first : 24);
    return (((uint64_t)1 << *count) - 1) << *first;
}

static void work_on_region(struct member *member, struct holdings *h, EMemoryCriticalLevel level)
{
    unsigned i = crew_random(member, REGIONS), first, count, what = crew_random(member, 16);
    uint64_t pages = some_pages(member, &first, &count);
    IHostMemoryManager *memory = h->f->memory;
    void *got = (void *)1;
    if (h->region[i] == NULL) {
        DWORD type = what < 4 ? MEM_RESERVE | MEM_COMMIT : MEM_RESERVE;
        HRESULT result = IHostMemoryManager_VirtualAlloc(memory, NULL, REGION_PAGES * PAGE, type,
                                                         PAGE_READWRITE, level, &got);
        if (note(member, h, result, got)) {
            h->region[i] = got;
            h->pages[i] = type & MEM_COMMIT ? UINT64_MAX : 0;
            h->is_heap[i] = type == MEM_RESERVE && i % 2 != 0;
            if (h->is_heap[i])
                hm_vm_set_use(&h->f->manager->vm, got, HOSTMEM_USE_GC_HEAP);
        }
    } else if (what < 9) {
        char *at = h->region[i] + first * PAGE;
        bool free_of_charge = (pages & ~h->pages[i]) == 0;
        HRESULT result = IHostMemoryManager_VirtualAlloc(memory, at, count * PAGE, MEM_COMMIT, PAGE_READWRITE,
                                                         level, &got);
        if (note(member, h, result, got)) {
            h->pages[i] |= pages;
            at[0]++; /* it is there */
        } else {
            crew_check(member, !free_of_charge, i);
        }
    } else if (what < 15) {
        HRESULT result =
            IHostMemoryManager_VirtualFree(memory, h->region[i] + first * PAGE, count * PAGE, MEM_DECOMMIT);
        crew_check(member, result == S_OK, result);
        h->pages[i] &= ~pages;
    } else {
        HRESULT result = IHostMemoryManager_VirtualFree(memory, h->region[i], 0, MEM_RELEASE);
        crew_check(member, result == S_OK, result);
        h->region[i] = NULL;
        h->pages[i] = 0;
    }
}

static void work_on_block(struct member *member, struct holdings *h, EMemoryCriticalLevel level)
{
    unsigned i = crew_random(member, BLOCKS);
    if (h->block[i] != NULL) {
        HRESULT result = IHostMalloc_Free(h->heap, h->block[i]);
        crew_check(member, result == S_OK, result);
        h->block[i] = NULL;
        h->bytes[i] = 0;
        return;
    }
    SIZE_T bytes = 1 + crew_random(member, BLOCK_MOST);
    void *block = (void *)1;
    HRESULT result = IHostMalloc_Alloc(h->heap, bytes, level, &block);
    if (note(member, h, result, block)) {
        h->block[i] = block;
        h->bytes[i] = bytes;
    }
}

/* The accounting as it is read at any moment. */
static void sample(struct member *member, struct stress *stress)
{
    while (stress->working != 0) {
        for (unsigned i = 0; i < 2; i++) {
            hostmem_statistics statistics = {.size = sizeof statistics};
            hostmem_get_statistics(stress->f[i]->manager, &statistics);
            crew_check(member, statistics.charged.now <= stress->limit[i], statistics.charged.now);
            crew_check(member, statistics.committed.now <= stress->limit[i], statistics.committed.now);
            crew_check(member, statistics.heap.now <= stress->limit[i], statistics.heap.now);
            uint64_t gc_heap = statistics.committed_by_use[HOSTMEM_USE_GC_HEAP].now;
            crew_check(member, gc_heap <= stress->heap_limit, gc_heap);
        }
        if (stress->shared != NULL) {
            hostmem_budget_usage usage = {.size = sizeof usage};
            hostmem_get_budget(stress->shared, NULL, &usage);
            crew_check(member, usage.charged.now <= stress->shared_limit, usage.charged.now);
        }
        stress->samples++;
        Sleep(1);
    }
}

static void work(struct member *member, void *context)
{
    struct stress *stress = context;
    if (member->number == SAMPLER) {
        sample(member, stress);
        return;
    }
    struct holdings *h = &stress->holdings[member->number];
    for (unsigned long n = 0; n < calls / WORKERS; n++) {
        EMemoryCriticalLevel level = (EMemoryCriticalLevel)crew_random(member, 2);
        if (crew_random(member, 2) != 0)
            work_on_region(member, h, level);
        else
            work_on_block(member, h, level);
    }
    stress->working--;
}

static void run(struct stress *stress)
{
    struct crew crew;
    stress->working = WORKERS;
    for (unsigned i = 0; i < WORKERS; i++) {
        stress->holdings[i].f = stress->f[i % 2];
        stress->holdings[i].heap = stress->heap[i % 2];
    }
    crew_run(&crew, WORKERS + 1, work, stress);
}

/* What the threads hold is what the accounting says; and no more than there was. */
static void check_manager(struct stress *stress, unsigned which, bool alone)
{
    hostmem_statistics statistics = fixture_statistics(stress->f[which]->manager);
    uint64_t committed = 0, gc_heap = 0, heap = 0;
    unsigned long refused = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        if (alone || i % 2 == which) {
            committed += committed_by(&stress->holdings[i]);
            gc_heap += gc_heap_of(&stress->holdings[i]);
            heap += heap_of(&stress->holdings[i]);
            refused += stress->holdings[i].refused;
        }
    assert_int_equal(statistics.committed.now, committed);
    assert_int_equal(statistics.committed_by_use[HOSTMEM_USE_GC_HEAP].now, gc_heap);
    assert_in_range(statistics.committed_by_use[HOSTMEM_USE_GC_HEAP].peak, stress->heap_limit / 2,
                    stress->heap_limit);
    assert_int_equal(statistics.heap.now, heap);
    assert_int_equal(statistics.charged.now, committed + heap);
    assert_in_range(statistics.charged.peak, stress->limit[which] / 4, stress->limit[which]);
    assert_int_equal(statistics.refusals, refused);
    assert_int_equal(statistics.overrun.count, 0);
    assert_int_equal(statistics.heap_overrun.count, 0);
    assert_true(statistics.refused[HOSTMEM_REASON_HEAP_LIMIT] > 0);
    assert_int_equal(statistics.os_retries, 0);
    assert_statistics_equal_windows(stress->f[which]->manager);
}

static void give_back(struct stress *stress)
{
    for (unsigned n = 0; n < WORKERS; n++) {
        struct holdings *h = &stress->holdings[n];
        for (unsigned i = 0; i < REGIONS; i++)
            if (h->region[i] != NULL)
                fixture_free(h->f, h->region[i], 0, MEM_RELEASE);
        for (unsigned i = 0; i < BLOCKS; i++)
            if (h->block[i] != NULL)
                assert_hresult(IHostMalloc_Free(h->heap, h->block[i]), S_OK);
    }
}

static void check_balance(const struct stress *stress)
{
    unsigned long granted = 0, refused = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        granted += stress->holdings[i].granted;
        refused += stress->holdings[i].refused;
        assert_true(stress->holdings[i].granted > calls / WORKERS / 20); /* nobody starves */
    }
    print_message("%lu granted, %lu refused, %lu samples\n", granted, refused, stress->samples);
    assert_true(refused > calls / 200);
    assert_true(stress->samples > 10);
}

static void assert_empty(struct fixture *f)
{
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.charged.now, 0);
    assert_int_equal(statistics.reserved.now, 0);
    assert_int_equal(statistics.committed.now, 0);
    assert_int_equal(statistics.heap.now, 0);
    assert_int_equal(statistics.blocks, 0);
    assert_int_equal(statistics.regions, 0);
}

static hostmem_limits half(uint64_t appetite)
{
    return (hostmem_limits){.size = sizeof(hostmem_limits),
                            .limit = appetite / 2,
                            .task_limit = appetite / 2 - appetite / 16,
                            .heap_limit = appetite / 8};
}

static void test_one_budget(void **state)
{
    static struct stress stress;
    struct fixture *f = *state;
    memset(&stress, 0, sizeof stress);
    hostmem_limits limits = half(APPETITE);
    stress.f[0] = stress.f[1] = f;
    stress.limit[0] = stress.limit[1] = limits.limit;
    stress.heap_limit = limits.heap_limit;
    assert_hresult(hostmem_set_limits(f->manager, &limits), S_OK);
    assert_hresult(IHostMemoryManager_CreateMalloc(f->memory, MALLOC_THREADSAFE, &stress.heap[0]), S_OK);
    stress.heap[1] = stress.heap[0];
    run(&stress);
    check_manager(&stress, 0, true);
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_true(statistics.refused[HOSTMEM_REASON_TASK_LIMIT] > 0 &&
                statistics.refused[HOSTMEM_REASON_LIMIT] > 0);
    assert_true(statistics.charged.peak > limits.limit - BLOCK_MOST); /* it was full */
    give_back(&stress);
    check_balance(&stress);
    assert_int_equal(IHostMalloc_Release(stress.heap[0]), 0);
    assert_empty(f);
}

/* The sum of the own limits is more than what is shared: now the one refuses, now the other. */
static void test_two_managers_share(void **state)
{
    (void)state;
    static struct stress stress;
    memset(&stress, 0, sizeof stress);
    calls /= 2;
    hostmem_limits shared = half(APPETITE), own = half(APPETITE * 5 / 8);
    stress.heap_limit = own.heap_limit;
    assert_hresult(hostmem_create_budget(&shared, &stress.shared), S_OK);
    stress.shared_limit = shared.limit;
    struct fixture f[2];
    for (unsigned i = 0; i < 2; i++) {
        hostmem_options options = {.size = sizeof options, .limits = &own, .shared = stress.shared};
        assert_hresult(hostmem_create(&options, &f[i].manager), S_OK);
        assert_hresult(hostmem_get_memory_manager(f[i].manager, &f[i].memory), S_OK);
        assert_hresult(IHostMemoryManager_CreateMalloc(f[i].memory, MALLOC_THREADSAFE, &stress.heap[i]),
                       S_OK);
        stress.f[i] = &f[i];
        stress.limit[i] = own.limit;
    }
    run(&stress);
    uint64_t by_shared = 0, by_own = 0, charged = 0;
    for (unsigned i = 0; i < 2; i++) {
        check_manager(&stress, i, false);
        hostmem_statistics statistics = fixture_statistics(f[i].manager);
        by_shared += statistics.refused[HOSTMEM_REASON_SHARED];
        by_own += statistics.refused[HOSTMEM_REASON_TASK_LIMIT] + statistics.refused[HOSTMEM_REASON_LIMIT];
        charged += statistics.charged.now;
    }
    assert_true(by_shared > 0 && by_own > 0);
    hostmem_budget_usage usage = {.size = sizeof usage};
    assert_hresult(hostmem_get_budget(stress.shared, NULL, &usage), S_OK);
    assert_int_equal(usage.charged.now, charged);
    assert_int_equal(usage.gc_heap.now,
                     fixture_statistics(f[0].manager).committed_by_use[HOSTMEM_USE_GC_HEAP].now +
                         fixture_statistics(f[1].manager).committed_by_use[HOSTMEM_USE_GC_HEAP].now);
    assert_in_range(usage.gc_heap.peak, shared.heap_limit / 2, shared.heap_limit);
    assert_in_range(usage.charged.peak, shared.limit - BLOCK_MOST, shared.limit);
    assert_int_equal(usage.overrun.count, 0);
    give_back(&stress);
    check_balance(&stress);
    assert_hresult(hostmem_get_budget(stress.shared, NULL, &usage), S_OK);
    assert_int_equal(usage.charged.now, 0);
    assert_int_equal(usage.reserved.now, 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(IHostMalloc_Release(stress.heap[i]), 0);
        assert_empty(&f[i]);
        assert_true(verified(f[i].manager));
        IHostMemoryManager_Release(f[i].memory);
        hostmem_release(f[i].manager);
    }
    hostmem_release_budget(stress.shared);
}

int main(int count, char **arguments)
{
    if (count > 1)
        calls = strtoul(arguments[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        fixture_test(test_one_budget),
        cmocka_unit_test(test_two_managers_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
