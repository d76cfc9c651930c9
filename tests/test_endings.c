/*
 * test_endings.c - what ends while others use it: a heap, a registration, a manager; and accounting that is checked meanwhile
 *
 * Each thread holds a reference of its own, as a caller must; whoever gives back the last one ends the object, on whatever
 * thread that happens to be.
 */
#include "support/crew.h"
#include "support/listener.h"
#include "support/verified.h"

enum { THREADS = 5, BLOCKS = 12 };

static struct crew crew;

/* A heap */

struct shared_heap {
    hostmem_manager *manager;
    IHostMalloc *heap; /* a reference for each member but the first */
    atomic_uint last;  /* Releases that were told that nothing is left */
    atomic_uint gone;  /* members that have given theirs back */
};

static HRESULT HOSTMEM_CALL count_block(const hostmem_block *block, void *context)
{
    if (block->bytes >= 200)
        return E_FAIL;
    ++*(unsigned *)context;
    return S_OK;
}

/* Walks and checks take references for a moment, too. */
static void look_at_heap(struct member *member, struct shared_heap *shared)
{
    while (atomic_load(&shared->gone) != THREADS - 1) {
        unsigned count = 0;
        HRESULT result = hostmem_walk_blocks(shared->manager, count_block, &count);
        crew_check(member, result == S_OK, result);
        crew_check(member, count <= (THREADS - 1) * BLOCKS, count);
        crew_check(member, verified_in_use(shared->manager), 0);
    }
}

static void use_heap(struct member *member, void *context)
{
    struct shared_heap *shared = context;
    void *blocks[BLOCKS];
    if (member->number == 0) {
        look_at_heap(member, shared);
        return;
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            HRESULT result = i % 2 ? IHostMalloc_Alloc(shared->heap, 100 + i, eTaskCritical, &blocks[i])
                                   : IHostMalloc_DebugAlloc(shared->heap, 100 + i, eTaskCritical,
                                                            "test_endings.c", i, &blocks[i]);
            crew_check(member, result == S_OK, result);
        }
        for (int i = 0; i < BLOCKS; i++) {
            HRESULT result = IHostMalloc_Free(shared->heap, blocks[i]);
            crew_check(member, result == S_OK, result);
        }
    }
    if (IHostMalloc_Release(shared->heap) == 0)
        atomic_fetch_add(&shared->last, 1);
    atomic_fetch_add(&shared->gone, 1);
}

static void test_a_heap(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 30; round++) {
        struct shared_heap shared = {.manager = f->manager};
        assert_hresult(IHostMemoryManager_CreateMalloc(f->memory, MALLOC_THREADSAFE, &shared.heap), S_OK);
        for (int i = 0; i < THREADS - 2; i++)
            IHostMalloc_AddRef(shared.heap);
        crew_run(&crew, THREADS, use_heap, &shared);
        assert_true(shared.last <= 1); /* 0: a walk had the last one */
        hostmem_statistics statistics = fixture_statistics(f->manager);
        assert_int_equal(statistics.blocks, 0);
        assert_int_equal(statistics.heap.now, 0);
        assert_true(verified(f->manager)); /* the heap's place among the checked items is free again */
    }
}

/* Registrations */

struct desk {
    hostmem_manager *manager;
    IHostMemoryManager *memory; /* a reference for each member */
    bool shut_down;             /* or else given back: the last one of all references ends the manager */
    struct listener listener[THREADS];
};

static void enlist(struct desk *desk, struct listener *listener)
{
    IHostMemoryManager_RegisterMemoryNotificationCallback(desk->memory,
                                                          listener == NULL ? NULL : &listener->iface);
}

static void come_and_go(struct member *member, void *context)
{
    struct desk *desk = context;
    unsigned rounds = 1 + crew_random(member, 20);
    for (unsigned i = 0; i < rounds; i++) {
        enlist(desk, i % 4 == 3 ? NULL : &desk->listener[member->number]);
        if (member->number == 1)
            hostmem_force_pressure(desk->manager, i % 2 ? eMemoryAvailableHigh : eMemoryAvailableLow);
        crew_check(member, verified_in_use(desk->manager), i);
    }
    if (member->number == 0 && desk->shut_down)
        crew_check(member, hostmem_shutdown(desk->manager) == S_OK, 0);
    enlist(desk, &desk->listener[member->number]); /* the last word, unless it is refused */
    if (member->number == 0)
        hostmem_release(desk->manager);
    IHostMemoryManager_Release(desk->memory);
}

/* Whatever the order, every reference to a callback is given back. */
static void check_registrations(bool shut_down)
{
    static struct desk desk;
    unsigned told = 0;
    for (int round = 0; round < 100; round++) {
        desk.shut_down = shut_down;
        assert_hresult(hostmem_create(NULL, &desk.manager), S_OK);
        for (int i = 0; i < THREADS; i++) {
            listener_init(&desk.listener[i], NULL, NULL);
            assert_hresult(hostmem_get_memory_manager(desk.manager, &desk.memory), S_OK);
        }
        /* One more, to see what there is after a shutdown. */
        hostmem_manager *manager = desk.manager;
        if (shut_down)
            IHostMemoryManager_AddRef(desk.memory);
        /* On a busy machine all may be over before the library's thread has told anybody: now and then it is at work. */
        if (round % 10 == 0) {
            enlist(&desk, &desk.listener[0]);
            assert_hresult(hostmem_force_pressure(manager, eMemoryAvailableLow), S_OK);
            listener_wait(&desk.listener[0], 1);
        }
        crew_run(&crew, THREADS, come_and_go, &desk);
        if (shut_down) {
            assert_true(verified(manager));
            for (int i = 0; i < THREADS; i++)
                assert_int_equal(desk.listener[i].references, 1);
            assert_int_equal(IHostMemoryManager_Release(desk.memory), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(desk.listener[i].references, 1);
            told += desk.listener[i].count;
        }
    }
    assert_true(told > 0);
}

static void test_registrations_against_shutdown(void **state)
{
    (void)state;
    check_registrations(true);
}

static void test_registrations_against_release(void **state)
{
    (void)state;
    check_registrations(false);
}

/* A manager */

struct closing {
    hostmem_manager *manager;
    IHostMemoryManager *memory; /* a reference for each member */
    IHostMalloc *heap;          /* likewise */
    atomic_bool is_over;        /* hostmem_shutdown has returned */
    atomic_uint refused, granted;
};

static atomic_uint leaked;

static HRESULT HOSTMEM_CALL leaked_region(const hostmem_region *region, void *context)
{
    (void)region;
    (void)context;
    leaked++;
    return S_OK;
}

static HRESULT HOSTMEM_CALL leaked_block(const hostmem_block *block, void *context)
{
    (void)block;
    (void)context;
    leaked++;
    return S_OK;
}

static void use_until_it_is_over(struct member *member, struct closing *closing)
{
    void *region, *page, *block;
    for (unsigned refused = 0; refused < 3;) {
        bool over = atomic_load(&closing->is_over);
        HRESULT result = IHostMemoryManager_VirtualAlloc(closing->memory, NULL, 2 * GRANULE, MEM_RESERVE,
                                                         PAGE_READWRITE, eTaskCritical, &region);
        crew_check(member, result == S_OK ? !over : result == HOST_E_CLRNOTAVAILABLE, result);
        if (result == S_OK) {
            result = IHostMemoryManager_VirtualAlloc(closing->memory, region, PAGE, MEM_COMMIT,
                                                     PAGE_READWRITE, eTaskCritical, &page);
            crew_check(member, result == S_OK || result == HOST_E_CLRNOTAVAILABLE, result);
            result = IHostMemoryManager_VirtualFree(closing->memory, region, 0, MEM_RELEASE);
            crew_check(member, result == S_OK, result);
            atomic_fetch_add(&closing->granted, 1);
        } else {
            atomic_fetch_add(&closing->refused, 1);
            refused++;
        }
        /* Small blocks are not refused: a runtime that winds down needs them. */
        result = IHostMalloc_Alloc(closing->heap, 50, eTaskCritical, &block);
        crew_check(member, result == S_OK, result);
        result = IHostMalloc_Free(closing->heap, block);
        crew_check(member, result == S_OK, result);
    }
}

static void close_or_use(struct member *member, void *context)
{
    struct closing *closing = context;
    if (member->number == 0) {
        while (atomic_load(&closing->granted) < THREADS)
            SwitchToThread();
        crew_check(member, hostmem_shutdown(closing->manager) == S_OK, 0);
        atomic_store(&closing->is_over, true);
        crew_check(member, verified_in_use(closing->manager), 0);
        hostmem_release(closing->manager);
    } else {
        use_until_it_is_over(member, closing);
        crew_check(member, verified_in_use(closing->manager), 0);
    }
    IHostMalloc_Release(closing->heap);
    IHostMemoryManager_Release(closing->memory);
}

static void test_a_manager(void **state)
{
    (void)state;
    hostmem_options options = {
        .size = sizeof options, .leaked_region = leaked_region, .leaked_block = leaked_block};
    for (int round = 0; round < 60; round++) {
        struct closing closing = {.refused = 0};
        MEMORY_BASIC_INFORMATION info;
        assert_hresult(hostmem_create(&options, &closing.manager), S_OK);
        for (int i = 0; i < THREADS; i++) {
            assert_hresult(hostmem_get_memory_manager(closing.manager, &closing.memory), S_OK);
            if (i > 0)
                IHostMalloc_AddRef(closing.heap);
            else
                assert_hresult(
                    IHostMemoryManager_CreateMalloc(closing.memory, MALLOC_THREADSAFE, &closing.heap), S_OK);
        }
        /* Every other time somebody keeps it, and looks at what is left. */
        if (round % 2)
            IHostMemoryManager_AddRef(closing.memory);
        crew_run(&crew, THREADS, close_or_use, &closing);
        assert_int_equal(closing.refused, 3 * (THREADS - 1));
        if (round % 2) {
            assert_true(verified(closing.manager));
            assert_int_equal(fixture_statistics(closing.manager).charged.now, 0);
            assert_int_equal(IHostMemoryManager_Release(closing.memory), 0);
        }
        assert_int_equal(leaked, 0);
        VirtualQuery(closing.manager, &info, sizeof info);
        assert_int_equal(info.State, MEM_FREE);
    }
}

/* Statistics that are checked while they are written */

struct busy {
    struct fixture *f;
    char *base;
    atomic_uint at_work;
    atomic_uint looks, undisturbed;
};

static void look_or_work(struct member *member, void *context)
{
    struct busy *busy = context;
    IHostMemoryManager *memory = busy->f->memory;
    if (member->number == 0) {
        while (atomic_load(&busy->at_work) != 0) {
            hostmem_verify_report report = {.size = sizeof report};
            HRESULT result = hostmem_verify(busy->f->manager, &report);
            if (result != S_OK)
                verify_print(&report);
            crew_check(member, result == S_OK, result);
            atomic_fetch_add(&busy->looks, 1);
            atomic_fetch_add(&busy->undisturbed, report.disturbed == 0 && report.skipped == 0);
        }
        return;
    }
    for (int i = 0; i < 400; i++) {
        void *got, *own;
        char *at = busy->base + crew_random(member, 60) * PAGE;
        HRESULT result = IHostMemoryManager_VirtualAlloc(memory, at, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE,
                                                         eTaskCritical, &got);
        crew_check(member, result == S_OK, result);
        result =
            IHostMemoryManager_VirtualAlloc(memory, NULL, GRANULE * (1 + crew_random(member, 40)),
                                            MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE, eTaskCritical, &own);
        crew_check(member, result == S_OK, result);
        at = busy->base + crew_random(member, 60) * PAGE;
        result = IHostMemoryManager_VirtualFree(memory, at, 4 * PAGE, MEM_DECOMMIT);
        crew_check(member, result == S_OK, result);
        result = IHostMemoryManager_VirtualFree(memory, own, 0, MEM_RELEASE);
        crew_check(member, result == S_OK, result);
    }
    atomic_fetch_sub(&busy->at_work, 1);
}

static void test_statistics_in_use(void **state)
{
    struct busy busy = {.f = *state, .at_work = THREADS - 1};
    busy.base = fixture_alloc(busy.f, NULL, 64 * PAGE, MEM_RESERVE, PAGE_READWRITE);
    crew_run(&crew, THREADS, look_or_work, &busy);
    print_message("    %u looks, %u of them at everything\n", (unsigned)busy.looks,
                  (unsigned)busy.undisturbed);
    assert_true(busy.looks > 0);
    assert_true(verified(busy.f->manager));
    fixture_free(busy.f, busy.base, 0, MEM_RELEASE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_heap),
        cmocka_unit_test(test_registrations_against_shutdown),
        cmocka_unit_test(test_registrations_against_release),
        cmocka_unit_test(test_a_manager),
        fixture_test(test_statistics_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
