/*
 * test_stopped.c - a thread stopped inside every call into Windows that every path makes
 *
 * While it stands there, before Windows is asked or after, another thread makes all the calls that a CLR's other threads
 * need to go on, on the same manager, the same region and the same heap, and all of them come back.  (Contract 3.9: the
 * CLR suspends threads at arbitrary points.)  Then the stopped one goes on, and the accounting is right.
 */
#include "support/manager_fixture.h"

#include <stdatomic.h>
#include <string.h>

#include "support/method_paths.h"
#include "support/windows_hooks.h"

enum { PATIENCE = 20000 }; /* milliseconds: nothing here takes long but a call that does not come back */

/* The thread that is stopped */

static struct {
    unsigned number; /* of its path */
    long stops_left; /* goes past so many stops */
    const char *where;
    HRESULT result;
    HANDLE stopped, go;
} slow;

static void stop(const char *function)
{
    if (slow.stops_left-- != 0)
        return;
    DWORD error = GetLastError();
    slow.where = function;
    SetEvent(slow.stopped);
    WaitForSingleObject(slow.go, INFINITE);
    SetLastError(error);
}

static bool before(const char *function, void *context)
{
    (void)context;
    stop(function);
    return method_path_windows(function);
}

static void after(const char *function, void *context)
{
    (void)context;
    stop(function);
}

static DWORD WINAPI slow_thread(void *context)
{
    (void)context;
    const struct windows_hooks hooks = {.thread = GetCurrentThreadId(), .before = before, .after = after};
    windows_hooks_set(&hooks);
    slow.result = method_path_call(slow.number);
    windows_hooks_set(NULL);
    return 0;
}

/* The others, whose calls have to come back */

static const char *doing;

static HRESULT HOSTMEM_CALL see_region(const hostmem_region *region, void *context)
{
    (void)region, (void)context;
    return S_OK;
}

static void use_memory(IHostMemoryManager *memory, char *region)
{
    void *base = NULL, *got;
    DWORD old;
    doing = "reserve";
    if (IHostMemoryManager_VirtualAlloc(memory, NULL, 4 * GRANULE, MEM_RESERVE, PAGE_READWRITE, eTaskCritical,
                                        &base) == S_OK) {
        doing = "commit, protect, release";
        IHostMemoryManager_VirtualAlloc(memory, base, PAGE, MEM_COMMIT, PAGE_READWRITE, eProcessCritical,
                                        &got);
        IHostMemoryManager_VirtualProtect(memory, base, PAGE, PAGE_READONLY, &old);
        IHostMemoryManager_VirtualFree(memory, base, 0, MEM_RELEASE);
    }
    /* In the region that the stopped thread is in: its pages, and others. */
    doing = "commit and decommit in the same region";
    IHostMemoryManager_VirtualAlloc(memory, region + 3 * GRANULE, 2 * GRANULE, MEM_COMMIT, PAGE_READWRITE,
                                    eTaskCritical, &got);
    IHostMemoryManager_VirtualFree(memory, region + GRANULE, 3 * GRANULE, MEM_DECOMMIT);
    doing = "free what is foreign";
    IHostMemoryManager_VirtualFree(memory, &old, 0, MEM_RELEASE);
}

static void use_heap(IHostMalloc *heap)
{
    void *block = NULL;
    if (IHostMalloc_Alloc(heap, 100, eProcessCritical, &block) == S_OK)
        IHostMalloc_Free(heap, block);
}

static DWORD WINAPI others(void *heap_is_free)
{
    MEMORY_BASIC_INFORMATION info;
    SIZE_T size;
    DWORD load;
    IHostMemoryManager *memory = scene.memory;
    doing = "VirtualQuery";
    IHostMemoryManager_VirtualQuery(memory, scene.region, &info, sizeof info, &size);
    doing = "GetMemoryLoad";
    IHostMemoryManager_GetMemoryLoad(memory, &load, &size);
    doing = "the host's questions";
    hostmem_statistics statistics = {.size = sizeof statistics};
    hostmem_limits limits = {.size = sizeof limits};
    hostmem_owns(scene.manager, scene.region);
    hostmem_get_statistics(scene.manager, &statistics);
    hostmem_get_limits(scene.manager, &limits);
    hostmem_set_limits(scene.manager, &limits);
    hostmem_get_budget(scene.shared, &limits, NULL);
    hostmem_walk_regions(scene.manager, see_region, NULL);
    hostmem_force_pressure(scene.manager, 0);
    hostmem_clr_started(scene.manager);
    use_memory(memory, scene.region);
    doing = "views";
    IHostMemoryManager_NeedsVirtualAddressSpace(memory, NULL, 0);
    IHostMemoryManager_AcquiredVirtualAddressSpace(memory, scene.region, 0);
    IHostMemoryManager_ReleasedVirtualAddressSpace(memory, scene.region);
    doing = "a heap of its own";
    IHostMalloc *heap = NULL;
    if (IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &heap) == S_OK) {
        use_heap(heap);
        IHostMalloc_Release(heap);
    }
    doing = "the same heap";
    if (heap_is_free != NULL)
        use_heap(scene.heap);
    return 0;
}

static void assert_others_go_on(void)
{
    const struct method_path *path = method_path(slow.number);
    /* A walk of the blocks looks at each under the heap's lock, and so does the end of a heap that has some. */
    bool heap_is_free = scene.heap != NULL && strcmp(path->method, "hostmem_walk_blocks") != 0;
    HANDLE thread = CreateThread(NULL, 0, others, heap_is_free ? &scene : NULL, 0, NULL);
    assert_non_null(thread);
    if (WaitForSingleObject(thread, PATIENCE) != WAIT_OBJECT_0)
        fail_msg("%s, %s, stopped at %s: %s does not come back", path->method, path->path, slow.where, doing);
    CloseHandle(thread);
}

/* Every stop of every path */

static bool stop_once(unsigned number, long stops)
{
    slow.number = number;
    slow.stops_left = stops;
    assert_true(method_path_prepare(number));
    HANDLE thread = CreateThread(NULL, 0, slow_thread, NULL, 0, NULL);
    HANDLE either[] = {slow.stopped, thread};
    assert_non_null(thread);
    bool stopped = WaitForMultipleObjects(2, either, FALSE, PATIENCE) == WAIT_OBJECT_0;
    if (stopped) {
        assert_others_go_on();
        SetEvent(slow.go);
    }
    assert_int_equal(WaitForSingleObject(thread, PATIENCE), WAIT_OBJECT_0);
    CloseHandle(thread);
    if (!stopped && slow.result != method_path(number)->expected)
        fail_msg("%s, %s: %#lx", method_path(number)->method, method_path(number)->path,
                 (unsigned long)slow.result);
    assert_statistics_equal_windows(scene.manager);
    method_path_end();
    return stopped;
}

static void test_others_go_on_at_every_stop(void **state)
{
    (void)state;
    unsigned stops = 0;
    slow.stopped = CreateEventW(NULL, FALSE, FALSE, NULL);
    slow.go = CreateEventW(NULL, FALSE, FALSE, NULL);
    for (unsigned number = 0; method_path(number) != NULL; number++)
        for (long n = 0; stop_once(number, n); n++)
            stops++;
    print_message("%u stops\n", stops);
    assert_true(stops > 150);
    CloseHandle(slow.stopped);
    CloseHandle(slow.go);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_others_go_on_at_every_stop)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
