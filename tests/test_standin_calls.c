/*
 * test_standin_calls.c - the CLR's part, sentence by sentence of contract 3.4 to 3.8
 *
 * Queries and protection of anything, the heap, mapped files, the load; from suspended threads' company and
 * with little stack.  See test_standin_clr.c.
 */
#include "support/crew.h"
#include "support/free_space.h"
#include "support/standin_fixture.h"

#include <string.h>

/* 3.4 */

static void test_query_anything(void **state)
{
    (void)state;
    MEMORY_BASIC_INFORMATION info, windows;
    memset(&info, 0, sizeof info);
    memset(&windows, 0, sizeof windows);
    const void *places[] = {&info, (void *)(uintptr_t)test_query_anything, GetModuleHandleW(L"kernel32.dll"),
                            free_space_find(MIB), NULL};
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
        assert_int_equal(standin_virtual_query(&clr, places[i], &info, sizeof info), sizeof info);
        assert_int_equal(VirtualQuery(places[i], &windows, sizeof windows), sizeof windows);
        assert_memory_equal(&info, &windows, sizeof info);
    }
    /* Refused by Windows: 0 for the CLR, and its variable written. */
    assert_int_equal(standin_virtual_query(&clr, (void *)UINTPTR_MAX, &info, sizeof info), 0);
    assert_true(FAILED(clr.last_result));
    assert_int_equal(standin_virtual_query(&clr, &info, &info, 1), 0);
}

static const char cookie_page[3 * PAGE] = "in the image";

static DWORD WINAPI protect_own_stack(void *context)
{
    /* The page below the guard page of a stack that was never used that deep. */
    MEMORY_BASIC_INFORMATION info = {0}, stack;
    DWORD old = 0;
    (void)context;
    VirtualQuery(&info, &stack, sizeof stack);
    char *page = (char *)((uintptr_t)&info & ~(uintptr_t)(PAGE - 1));
    return standin_virtual_query(&clr, page, &info, sizeof info) == sizeof info &&
           info.AllocationBase == stack.AllocationBase &&
           standin_virtual_protect(&clr, page, 1, PAGE_READWRITE, &old) && old == PAGE_READWRITE;
}

static void test_protect_anything(void **state)
{
    (void)state;
    DWORD old;
    /* The image: the GS cookie's page, write-barrier code. */
    char *page = (char *)(((uintptr_t)cookie_page + PAGE) & ~(uintptr_t)(PAGE - 1));
    assert_true(standin_virtual_protect(&clr, page, PAGE, PAGE_READWRITE, &old));
    assert_int_equal(old, PAGE_READONLY);
    *(volatile char *)page = 'x';
    assert_true(standin_virtual_protect(&clr, page, PAGE, PAGE_READONLY, &old));

    /* A stack. */
    DWORD fine = 0;
    HANDLE thread = CreateThread(NULL, 0, protect_own_stack, NULL, 0, NULL);
    WaitForSingleObject(thread, INFINITE);
    GetExitCodeThread(thread, &fine);
    CloseHandle(thread);
    assert_int_equal(fine, 1);

    /* Windows changed behind the host's back: the truth all the same. */
    char *ours = alloc(NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    assert_true(VirtualProtect(ours, PAGE, PAGE_READONLY, &old));
    assert_true(standin_virtual_protect(&clr, ours, PAGE, PAGE_READWRITE, &old));
    assert_int_equal(old, PAGE_READONLY);
    /* A guard page, one byte of it named. */
    assert_true(standin_virtual_protect(&clr, ours + PAGE, 1, PAGE_READWRITE | PAGE_GUARD, &old));
    MEMORY_BASIC_INFORMATION info;
    standin_virtual_query(&clr, ours + PAGE, &info, sizeof info);
    assert_int_equal(info.Protect, PAGE_READWRITE | PAGE_GUARD);
    assert_int_equal(info.RegionSize, PAGE);
    release(ours);
    /* Free space: refused, as Windows refuses it. */
    assert_false(standin_virtual_protect(&clr, free_space_find(MIB), PAGE, PAGE_READWRITE, &old));
}

/* 3.5 */

static void test_heap(void **state)
{
    (void)state;
    /* One heap, no flags: blocks are zero, aligned as HeapAlloc's. */
    unsigned char *block = standin_heap_alloc(&clr, OUTSIDE_LOCKS, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(block[i], 0);
    memset(block, 0xFF, 1000);
    assert_int_equal(statistics().heap.now, 1000);
    assert_true(standin_heap_free(&clr, block));
    block = standin_heap_alloc(&clr, OUTSIDE_LOCKS, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(block[i], 0);
    assert_true(standin_heap_free(&clr, block));
    /* Nothing asked for is still a block. */
    void *empty = standin_heap_alloc(&clr, OUTSIDE_LOCKS, 0);
    assert_non_null(empty);
    assert_true(standin_heap_free(&clr, empty));
    /* Too much is NULL. */
    assert_null(standin_heap_alloc(&clr, OUTSIDE_LOCKS, (SIZE_T)-1));
    assert_null(standin_heap_alloc(&clr, OUTSIDE_LOCKS, (SIZE_T)-64));
    /* Free(NULL) reaches the host. */
    assert_true(standin_heap_free(&clr, NULL));
    assert_int_equal(clr.last_result, S_OK);
    /* A second time it is foreign. */
    block = standin_heap_alloc(&clr, OUTSIDE_LOCKS, 10);
    assert_true(standin_heap_free(&clr, block));
    assert_false(standin_heap_free(&clr, block));
    assert_int_equal(statistics().calls[HOSTMEM_MALLOC_DEBUG_ALLOC][eTaskCritical].calls, 0);
}

/* One object for all threads. */
static void use_heap(struct member *member, void *context)
{
    (void)context;
    unsigned char *held[20] = {NULL};
    for (int i = 0; i < 2000; i++) {
        unsigned slot = crew_random(member, 20);
        if (held[slot] != NULL) {
            crew_check(member, held[slot][0] == member->number + 1, held[slot][0]);
            crew_check(member, standin_heap_free(&clr, held[slot]), 0);
        }
        held[slot] = standin_heap_alloc(&clr, OUTSIDE_LOCKS, 1 + crew_random(member, 4000));
        crew_check(member, held[slot] != NULL && held[slot][0] == 0, 0);
        held[slot][0] = (unsigned char)(member->number + 1);
    }
    for (unsigned slot = 0; slot < 20; slot++)
        standin_heap_free(&clr, held[slot]); /* NULL too */
}

static void test_heap_concurrently(void **state)
{
    (void)state;
    struct crew crew;
    crew_run(&crew, 4, use_heap, NULL);
    assert_int_equal(statistics().blocks, 0);
}

/* 3.6 */

static HANDLE make_mapping(DWORD bytes)
{
    HANDLE mapping = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, bytes, NULL);
    assert_non_null(mapping);
    return mapping;
}

static void test_views(void **state)
{
    (void)state;
    HANDLE mapping = make_mapping(5 * PAGE);
    /* CLR 2.0 reports what it asked for, 0 for the whole file; 4.x the view's size.  Either way Windows
     * knows. */
    char *whole = standin_map_file(&clr, mapping, NULL, 0);
    assert_int_equal(statistics().mapped.now, 5 * PAGE);
    char *known = standin_map_file(&clr, mapping, NULL, 5 * PAGE);
    assert_int_equal(statistics().mapped.now, 10 * PAGE);
    assert_int_equal(statistics().views, 2);
    assert_int_equal(statistics().reserved.now, 0);
    /* A view is not the manager's to free. */
    assert_false(standin_virtual_free(&clr, whole, 0, MEM_RELEASE));
    assert_int_equal(clr.last_result, HOST_E_INVALIDOPERATION);
    assert_int_equal(whole[0], 0);

    /* The preferred base is taken: Needs(base, 0) as a matter of course, no second try. */
    unsigned before = clr.maps;
    assert_null(standin_map_file(&clr, mapping, whole, 0));
    assert_int_equal(GetLastError(), ERROR_INVALID_ADDRESS);
    assert_int_equal(clr.maps, before + 1);
    assert_int_equal(statistics().calls[HOSTMEM_NEEDS_ADDRESS_SPACE][HOSTMEM_LEVEL_NONE].calls, 1);

    assert_true(standin_unmap_file(&clr, known));
    assert_true(standin_unmap_file(&clr, whole));
    assert_int_equal(statistics().mapped.now, 0);
    /* A view from before SetHostControl. */
    void *early = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
    assert_true(standin_unmap_file(&clr, early));
    assert_int_equal(clr.last_result, S_OK);
    CloseHandle(mapping);
}

/* Released comes after the unmap: meanwhile the address may be somebody's again. */
static void test_late_released(void **state)
{
    (void)state;
    HANDLE mapping = make_mapping(GRANULE);
    void *view = standin_map_file(&clr, mapping, NULL, 0);
    UnmapViewOfFile(view);
    /* Another thread maps there and reports it: a base that is known already. */
    assert_ptr_equal(standin_map_file(&clr, mapping, view, 0), view);
    assert_int_equal(statistics().views, 1);
    assert_int_equal(statistics().mapped.now, GRANULE);
    assert_int_equal(IHostMemoryManager_ReleasedVirtualAddressSpace(clr.memory, view), S_OK);
    assert_true(standin_unmap_file(&clr, view));
    assert_int_equal(statistics().mapped.now, 0);
    assert_int_equal(statistics().views, 0);

    /* Or VirtualAlloc gives the address to us: it stays ours. */
    view = standin_map_file(&clr, mapping, view, 0);
    UnmapViewOfFile(view);
    assert_ptr_equal(alloc(view, GRANULE, MEM_RESERVE, PAGE_READWRITE), view);
    assert_int_equal(IHostMemoryManager_ReleasedVirtualAddressSpace(clr.memory, view), S_OK);
    assert_int_equal(hostmem_owns(manager, view), S_OK);
    assert_int_equal(statistics().mapped.now, 0);
    assert_int_equal(statistics().stale_regions, 0);
    release(view);
    CloseHandle(mapping);
}

/* 3.7 */

static void read_load(struct member *member, void *context)
{
    (void)context;
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    for (int i = 0; i < 50; i++) {
        DWORD load = 0;
        SIZE_T available = 0;
        GlobalMemoryStatusEx(&status);
        standin_memory_load(&clr, &load, &available);
        long apart = (long)load - (long)status.dwMemoryLoad;
        crew_check(member, load <= 100 && apart >= -10 && apart <= 10, load);
        /* Physical memory, not address space. */
        crew_check(member, available != 0 && available <= status.ullTotalPhys, available >> 20);
    }
}

static void test_memory_load(void **state)
{
    (void)state;
    struct crew crew;
    DWORD load;
    SIZE_T available;
    /* Wine answers all zeros to a second thread while the first call of a process is under way. */
    standin_memory_load(&clr, &load, &available);
    crew_run(&crew, 4, read_load, NULL);
    assert_int_equal(statistics().calls[HOSTMEM_GET_MEMORY_LOAD][HOSTMEM_LEVEL_NONE].calls, 201);
    assert_int_equal(statistics().calls[HOSTMEM_GET_MEMORY_LOAD][HOSTMEM_LEVEL_NONE].failures, 0);
}

/* 3.4, 3.9: a thread is suspended at any point, also within the host; queries go on. */

static atomic_bool stop;

static DWORD WINAPI allocate_until_stopped(void *context)
{
    char *region = context;
    while (!atomic_load(&stop)) {
        void *got;
        IHostMemoryManager_VirtualAlloc(clr.memory, region, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE,
                                        eTaskCritical, &got);
        IHostMemoryManager_VirtualFree(clr.memory, region, 4 * PAGE, MEM_DECOMMIT);
    }
    return 0;
}

static void test_suspended_thread(void **state)
{
    (void)state;
    char *region = alloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    atomic_store(&stop, false);
    HANDLE thread = CreateThread(NULL, 0, allocate_until_stopped, region, 0, NULL);
    for (int i = 0; i < 100; i++) {
        MEMORY_BASIC_INFORMATION info;
        DWORD old;
        Sleep(i % 8 == 0);
        assert_int_not_equal(SuspendThread(thread), (DWORD)-1);
        assert_int_equal(standin_virtual_query(&clr, region, &info, sizeof info), sizeof info);
        standin_virtual_protect(&clr, region, PAGE, PAGE_READWRITE, &old);
        assert_int_equal(hostmem_owns(manager, region), S_OK);
        ResumeThread(thread);
    }
    atomic_store(&stop, true);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    release(region);
}

/* 3.4: callers may be near the end of their stack. */

enum { PAINTED = 12000, MARGIN = 256 /* this frame's own */ };

static char *scene; /* a region */

static __attribute__((noinline)) void call_all(void)
{
    MEMORY_BASIC_INFORMATION info;
    SIZE_T written;
    DWORD old;
    void *got;
    IHostMemoryManager_VirtualAlloc(clr.memory, scene, PAGE, MEM_COMMIT, PAGE_READWRITE, eTaskCritical, &got);
    IHostMemoryManager_VirtualQuery(clr.memory, scene, &info, sizeof info, &written);
    IHostMemoryManager_VirtualProtect(clr.memory, scene, PAGE, PAGE_READWRITE, &old);
    IHostMemoryManager_VirtualFree(clr.memory, scene, PAGE, MEM_DECOMMIT);
}

/* Paint the stack below this frame, call, and see how much of the paint is gone. */
static __attribute__((noinline)) unsigned stack_used(void)
{
    volatile char *below = (volatile char *)__builtin_frame_address(0) - PAINTED;
    for (int i = 0; i < PAINTED - MARGIN; i++)
        below[i] = 0x5C;
    call_all();
    unsigned left = 0;
    while (left < PAINTED - MARGIN && below[left] == 0x5C)
        left++;
    return PAINTED - left;
}

static void test_little_stack(void **state)
{
    (void)state;
    scene = alloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    volatile char room[2 * PAINTED]; /* so that the pages below are there */
    for (int i = 0; i < 2 * PAINTED; i++)
        room[i] = 0;
    assert_int_equal(room[0], 0);
    call_all();
    unsigned used = stack_used();
    print_message("%u bytes of stack, Windows' part included\n", used);
    assert_in_range(used, MARGIN + 100, 3000);
    release(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_query_anything, begin, end),
        cmocka_unit_test_setup_teardown(test_protect_anything, begin_started, end),
        cmocka_unit_test_setup_teardown(test_heap, begin_started, end),
        cmocka_unit_test_setup_teardown(test_heap_concurrently, begin_started, end),
        cmocka_unit_test_setup_teardown(test_views, begin, end),
        cmocka_unit_test_setup_teardown(test_late_released, begin_started, end),
        cmocka_unit_test_setup_teardown(test_memory_load, begin_started, end),
        cmocka_unit_test_setup_teardown(test_suspended_thread, begin_started, end),
        cmocka_unit_test_setup_teardown(test_little_stack, begin_started, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
