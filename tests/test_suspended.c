/*
 * test_suspended.c - threads suspended at random points inside the library
 *
 * Workers use the library as it ships, hostmem.dll, so where a thread is can be told from its program counter.  One after
 * the other is suspended at a random moment.  If that was inside the DLL, another thread makes the calls that
 * must not block, with the worker where it is, and has to come back.  A worker that was caught inside Windows may hold one
 * of Windows' own locks (Wine's lock of all memory): raw calls would wait for it just as well, so it goes on at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hostmem/hostmem.h>

#include "support/verified.h"

enum { PAGE = 4096, GRANULE = 65536, WORKERS = 2, PATIENCE = 20000 };

#define OWN_BYTES ((SIZE_T)64 << 20)

/* Catches to see, tries for them at most, and catches that there must be: Wine refuses to suspend now and then. */
enum { CATCHES = 200, TRIES = 3000, CATCHES_LEAST = 50 };

static hostmem_manager *manager;
static IHostMemoryManager *memory;
static IHostMalloc *heap;
static char *shared; /* a region that all use */
static atomic_bool over;

static unsigned next(unsigned *random)
{
    *random = *random * 1664525u + 1013904223u;
    return *random >> 16;
}

/* A call that spends its time in the library: refused, after all pages of a big region have been looked at. */
static void be_refused(char *own)
{
    void *got;
    for (unsigned i = 0; i < 40; i++) {
        IHostMemoryManager_VirtualAlloc(memory, own, OWN_BYTES, MEM_COMMIT, PAGE_READWRITE, eTaskCritical,
                                        &got);
        IHostMemoryManager_VirtualFree(memory, &got, 0, MEM_RELEASE);
    }
}

/* What workers do. */
static void work(unsigned what, char *own)
{
    void *got = NULL;
    SIZE_T size;
    MEMORY_BASIC_INFORMATION info;
    hostmem_statistics statistics = {.size = sizeof statistics};
    char *page = shared + what % 64 * PAGE;
    switch (what % 11) {
    case 0:
        if (IHostMemoryManager_VirtualAlloc(memory, NULL, 4 * GRANULE, MEM_RESERVE, PAGE_READWRITE,
                                            eTaskCritical, &got) == S_OK)
            IHostMemoryManager_VirtualFree(memory, got, 0, MEM_RELEASE);
        break;
    case 1:
        IHostMemoryManager_VirtualAlloc(memory, page, 16 * PAGE, MEM_COMMIT, PAGE_READWRITE, eTaskCritical,
                                        &got);
        break;
    case 2:
        IHostMemoryManager_VirtualFree(memory, page, 8 * PAGE, MEM_DECOMMIT);
        break;
    case 3:
        IHostMemoryManager_VirtualAlloc(memory, own, PAGE, MEM_COMMIT, PAGE_READWRITE, eProcessCritical,
                                        &got);
        IHostMemoryManager_VirtualFree(memory, own, 0, MEM_DECOMMIT);
        break;
    case 4:
        if (IHostMalloc_Alloc(heap, 40, eTaskCritical, &got) == S_OK)
            IHostMalloc_Free(heap, got);
        break;
    case 5:
        IHostMemoryManager_VirtualQuery(memory, page, &info, sizeof info, &size);
        break;
    case 6:
        be_refused(own);
        break;
    case 7:
        IHostMemoryManager_AcquiredVirtualAddressSpace(memory, own, 0);
        IHostMemoryManager_ReleasedVirtualAddressSpace(memory, own);
        break;
    case 8:
        hostmem_get_statistics(manager, &statistics);
        break;
    case 9:
        IHostMemoryManager_VirtualFree(memory, &got, 0, MEM_RELEASE);
        break;
    default:
        hostmem_owns(manager, page);
        break;
    }
}

static DWORD WINAPI worker(void *own)
{
    unsigned random = GetCurrentThreadId();
    while (!atomic_load(&over))
        work(next(&random), own);
    return 0;
}

/* The thread that must not be blocked */

static HANDLE ask, answered;
static const char *asking;

static HRESULT HOSTMEM_CALL see_region(const hostmem_region *region, void *context)
{
    (void)region, (void)context;
    return S_OK;
}

static void ask_all(void)
{
    void *got;
    DWORD load, old;
    SIZE_T size;
    MEMORY_BASIC_INFORMATION info;
    hostmem_statistics statistics = {.size = sizeof statistics};
    asking = "VirtualQuery";
    IHostMemoryManager_VirtualQuery(memory, shared, &info, sizeof info, &size);
    asking = "GetMemoryLoad";
    IHostMemoryManager_GetMemoryLoad(memory, &load, &size);
    asking = "hostmem_owns, hostmem_get_statistics, hostmem_walk_regions";
    hostmem_owns(manager, shared);
    hostmem_get_statistics(manager, &statistics);
    hostmem_walk_regions(manager, see_region, NULL);
    asking = "VirtualAlloc";
    if (IHostMemoryManager_VirtualAlloc(memory, NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE,
                                        eTaskCritical, &got) == S_OK) {
        asking = "VirtualProtect";
        IHostMemoryManager_VirtualProtect(memory, got, PAGE, PAGE_READONLY, &old);
        asking = "VirtualFree";
        IHostMemoryManager_VirtualFree(memory, got, 0, MEM_RELEASE);
    }
    asking = "commit and decommit where the others do";
    IHostMemoryManager_VirtualAlloc(memory, shared, 32 * PAGE, MEM_COMMIT, PAGE_READWRITE, eTaskCritical,
                                    &got);
    IHostMemoryManager_VirtualFree(memory, shared, 16 * PAGE, MEM_DECOMMIT);
    asking = "Alloc, Free";
    if (IHostMalloc_Alloc(heap, 40, eTaskCritical, &got) == S_OK)
        IHostMalloc_Free(heap, got);
}

static DWORD WINAPI asker(void *context)
{
    (void)context;
    while (WaitForSingleObject(ask, INFINITE) == WAIT_OBJECT_0 && !atomic_load(&over)) {
        ask_all();
        SetEvent(answered);
    }
    return 0;
}

/* Catching */

static uintptr_t code_begin, code_end; /* the DLL's */

static void find_code(void)
{
    HMODULE module = GetModuleHandleW(L"hostmem.dll");
    assert_non_null(module);
    const IMAGE_DOS_HEADER *dos = (const IMAGE_DOS_HEADER *)module;
    const IMAGE_NT_HEADERS *nt = (const IMAGE_NT_HEADERS *)((const char *)module + dos->e_lfanew);
    code_begin = (uintptr_t)module + nt->OptionalHeader.BaseOfCode;
    code_end = code_begin + nt->OptionalHeader.SizeOfCode;
}

static uintptr_t program_counter(HANDLE thread)
{
    static CONTEXT context;
    context.ContextFlags = CONTEXT_CONTROL;
    if (!GetThreadContext(thread, &context))
        return 0;
#ifdef _WIN64
    return (uintptr_t)context.Rip;
#else
    return (uintptr_t)context.Eip;
#endif
}

/* True: it was caught inside the library, and the asker came back. */
static bool catch_one(HANDLE thread)
{
    if (SuspendThread(thread) == (DWORD)-1)
        return false;
    uintptr_t at = program_counter(thread);
    bool caught = at >= code_begin && at < code_end;
    DWORD came_back = WAIT_OBJECT_0;
    if (caught) {
        SetEvent(ask);
        came_back = WaitForSingleObject(answered, PATIENCE);
    }
    ResumeThread(thread);
    if (came_back != WAIT_OBJECT_0)
        fail_msg("%s does not come back while a thread is suspended at hostmem.dll+%#lx", asking,
                 (unsigned long)(at - code_begin));
    return caught;
}

static void *reserve(SIZE_T bytes)
{
    void *base = NULL;
    assert_int_equal(IHostMemoryManager_VirtualAlloc(memory, NULL, bytes, MEM_RESERVE, PAGE_READWRITE,
                                                     eTaskCritical, &base),
                     S_OK);
    return base;
}

static void test_suspended_at_random(void **state)
{
    (void)state;
    HANDLE threads[WORKERS + 1];
    char *own[WORKERS];
    unsigned caught = 0, tries = 0, random = 7;
    hostmem_limits limits = {.size = sizeof limits, .limit = 32 * GRANULE};
    hostmem_options options = {.size = sizeof options, .limits = &limits};
    assert_int_equal(hostmem_create(&options, &manager), S_OK);
    assert_int_equal(hostmem_get_memory_manager(manager, &memory), S_OK);
    assert_int_equal(IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &heap), S_OK);
    find_code();
    shared = reserve(8 * GRANULE);
    ask = CreateEventW(NULL, FALSE, FALSE, NULL);
    answered = CreateEventW(NULL, FALSE, FALSE, NULL);
    threads[WORKERS] = CreateThread(NULL, 0, asker, NULL, 0, NULL);
    for (unsigned i = 0; i < WORKERS; i++) {
        own[i] = reserve(OWN_BYTES);
        threads[i] = CreateThread(NULL, 0, worker, own[i], 0, NULL);
        assert_non_null(threads[i]);
    }
    while (caught < CATCHES && tries < TRIES) {
        tries++;
        caught += catch_one(threads[tries % WORKERS]);
        for (unsigned spin = next(&random) % 4096; spin > 0; spin--)
            atomic_signal_fence(memory_order_seq_cst);
    }
    atomic_store(&over, true);
    SetEvent(ask);
    assert_int_equal(WaitForMultipleObjects(WORKERS + 1, threads, TRUE, PATIENCE), WAIT_OBJECT_0);
    print_message("%u of %u times inside the library\n", caught, tries);
    assert_true(caught >= CATCHES_LEAST);

    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(IHostMemoryManager_VirtualFree(memory, own[i], 0, MEM_RELEASE), S_OK);
    assert_int_equal(IHostMemoryManager_VirtualFree(memory, shared, 0, MEM_RELEASE), S_OK);
    hostmem_statistics statistics = {.size = sizeof statistics};
    assert_int_equal(hostmem_get_statistics(manager, &statistics), S_OK);
    assert_int_equal(statistics.regions, 0);
    assert_int_equal(statistics.committed.now, 0);
    assert_int_equal(statistics.charged.now, 0);
    assert_int_equal(statistics.heap.now, 0);
    for (unsigned i = 0; i < WORKERS + 1; i++)
        CloseHandle(threads[i]);
    CloseHandle(ask);
    CloseHandle(answered);
    assert_int_equal(IHostMalloc_Release(heap), 0);
    IHostMemoryManager_Release(memory);
    assert_true(verified(manager));
    hostmem_release(manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_suspended_at_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
