/*
 * A standalone garbage collector, loaded by a stand-in for coreclr.dll before it starts, and how the heap of
 * each kind of collector is told from its tables: the call orders below are those recorded from clrgc.dll,
 * clrgcexp.dll and coreclr.dll of .NET 8, 9 and 10.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/bridge_fake.h"
#include "support/bridge_host.h"

#define KB64 ((SIZE_T)0x10000)
#define PAGE ((SIZE_T)0x1000)

static struct fake_runtime *fake, *collector;
static struct fake_calls *runtime;
static struct bridge_host host;
static struct bridge_call calls[512];

static int group_setup(void **state)
{
    HMODULE module =
        LoadLibraryExW(bridge_beside(L"fake_coreclr_8.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);

    (void)state;
    assert_non_null(module);
    fake = ((fake_runtime_get)(void *)GetProcAddress(module, "fake_runtime_state"))();
    runtime = &fake->calls;
    bridge_host_init(&host);
    host.calls = calls;
    host.capacity = sizeof calls / sizeof *calls;
    host.takes_use = TRUE;
    return hostmem_bridge_bind(module, &host.control, NULL);
}

static BYTE *reserve(SIZE_T size)
{
    unsigned before = host.count;
    BYTE *memory = collector->calls.alloc(NULL, size, MEM_RESERVE, PAGE_READWRITE);

    assert_non_null(memory);
    assert_int_equal(calls[before].level, eProcessCritical);
    assert_int_equal(hostmem_bridge_is_heap(memory), S_FALSE); /* nothing is known of it yet */
    assert_int_equal(bridge_host_use(&host, memory), size == KB64 ? HOSTMEM_USE_GC_TABLES : BRIDGE_NO_USE);
    return memory;
}

/* What it settles is settled before. */
static DWORD commit(BYTE *address, SIZE_T size)
{
    unsigned before = host.count;

    assert_non_null(collector->calls.alloc(address, size, MEM_COMMIT, PAGE_READWRITE));
    assert_int_equal(calls[host.count - 1].method, 'A');
    for (unsigned i = before; i < host.count; ++i)
        assert_false(calls[i].late);
    return calls[host.count - 1].level;
}

static void is_used(const BYTE *region, hostmem_use use)
{
    assert_int_equal(bridge_host_use(&host, region), use);
    assert_int_equal(hostmem_bridge_is_heap(region), use == HOSTMEM_USE_GC_HEAP ? S_OK : S_FALSE);
}

static void release(BYTE *memory)
{
    assert_true(collector->calls.free(memory, 0, MEM_RELEASE));
    assert_int_equal(hostmem_bridge_is_heap(memory), S_FALSE);
}

/* Other libraries come and go; a collector that cannot be redirected whole is not loaded. */
static void loads(void **state)
{
    uint64_t before = bridge_statistics().calls[HOSTMEM_BRIDGE_RUNTIME][HOSTMEM_BRIDGE_LOAD_LIBRARY_EX].calls;
    HMODULE library = runtime->load(L"version.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);

    (void)state;
    assert_non_null(library);
    FreeLibrary(library);
    SetLastError(0);
    assert_null(runtime->load(L"no such.dll", NULL, 0));
    assert_int_equal(GetLastError(), ERROR_MOD_NOT_FOUND);
    assert_null(runtime->load(bridge_beside(L"fake_gc_gap.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH));
    assert_int_equal(GetLastError(), ERROR_PROC_NOT_FOUND);
    assert_string_equal(bridge_statistics().missing, "VirtualFree");
    assert_null(GetModuleHandleW(L"fake_gc_gap.dll"));
    assert_null(bridge_statistics().collector);
    hostmem_bridge_calls loaded =
        bridge_statistics().calls[HOSTMEM_BRIDGE_RUNTIME][HOSTMEM_BRIDGE_LOAD_LIBRARY_EX];
    assert_true(loaded.calls == before + 3);
    assert_true(loaded.failures == 2);
    assert_int_equal(host.count, 3); /* G C R: loading is not the manager's business */
}

static void collector_loads(void **state)
{
    BYTE *early[2];
    HMODULE library;

    (void)state;
    /* what the runtime had reserved and not touched is not heap once a collector of its own comes */
    early[0] = runtime->alloc(NULL, 4 * KB64, MEM_RESERVE, PAGE_READWRITE);
    early[1] = runtime->alloc(NULL, 4 * KB64, MEM_RESERVE, PAGE_READWRITE);
    library = runtime->load(bridge_beside(L"fake_gc.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    assert_non_null(library);
    assert_ptr_equal(bridge_statistics().collector, library);
    assert_true(bridge_statistics().state & HOSTMEM_BRIDGE_STANDALONE_GC);
    assert_null(bridge_statistics().missing);
    collector = ((fake_runtime_get)(void *)GetProcAddress(library, "fake_runtime_state"))();

    is_used(early[0], HOSTMEM_USE_OTHER);
    is_used(early[1], HOSTMEM_USE_OTHER);

    /* once more is the same collector, another one is refused */
    assert_ptr_equal(runtime->load(bridge_beside(L"fake_gc.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH),
                     library);
    assert_null(runtime->load(bridge_beside(L"fake_gc_gap.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH));

    assert_non_null(runtime->alloc(early[1], 5 * PAGE, MEM_COMMIT, PAGE_READWRITE));
    assert_non_null(runtime->alloc(early[0], PAGE, MEM_COMMIT, PAGE_READWRITE));
    assert_int_equal(bridge_statistics().heap_ranges, 0);
    assert_true(runtime->free(early[0], 0, MEM_RELEASE));
    assert_true(runtime->free(early[1], 0, MEM_RELEASE));

    /* nor is what it reserves from now on, of any size */
    early[0] = runtime->alloc(NULL, KB64, MEM_RESERVE, PAGE_READWRITE);
    is_used(early[0], HOSTMEM_USE_OTHER);
    assert_true(runtime->free(early[0], 0, MEM_RELEASE));
    early[0] = runtime->alloc(NULL, 4 * KB64, MEM_RESERVE, PAGE_READWRITE);
    is_used(early[0], HOSTMEM_USE_OTHER);
    early[1] = runtime->alloc(NULL, 4 * KB64, MEM_RESERVE, PAGE_READWRITE);
    assert_non_null(runtime->alloc(early[1], 5 * PAGE, MEM_COMMIT, PAGE_READWRITE));
    assert_int_equal(bridge_statistics().heap_ranges, 0);
    assert_true(runtime->free(early[0], 0, MEM_RELEASE));
    assert_true(runtime->free(early[1], 0, MEM_RELEASE));

    uint64_t before = bridge_statistics().calls[HOSTMEM_BRIDGE_COLLECTOR][HOSTMEM_BRIDGE_VIRTUAL_ALLOC].calls;
    BYTE *memory = reserve(KB64);
    assert_true(bridge_statistics().calls[HOSTMEM_BRIDGE_COLLECTOR][HOSTMEM_BRIDGE_VIRTUAL_ALLOC].calls ==
                before + 1);
    release(memory);
}

/* The start, common to all: a probe, heap in one block or in several, tables, and the tables are touched
 * first. */
static BYTE *initial[3], *first_tables;

static void initial_heap(void **state)
{
    BYTE *probe = collector->calls.alloc(NULL, KB64, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);

    (void)state;
    release(probe);
    for (unsigned i = 0; i < 3; ++i)
        initial[i] = reserve(64 * KB64);
    first_tables = reserve(7 * KB64 + PAGE);
    assert_int_equal(commit(first_tables, 3 * PAGE + 512), eProcessCritical);
    assert_int_equal(bridge_statistics().heap_ranges, 3);
    for (unsigned i = 0; i < 3; ++i) {
        is_used(initial[i], HOSTMEM_USE_GC_HEAP);
        assert_int_equal(commit(initial[i], 2 * PAGE), eProcessCritical); /* not started */
    }
    is_used(first_tables, HOSTMEM_USE_GC_TABLES);
    assert_int_equal(hostmem_bridge_is_heap(first_tables + 7 * KB64), S_FALSE);

    fake->started = TRUE;
    assert_int_equal(commit(initial[1] + KB64, KB64), eTaskCritical);
    assert_int_equal(commit(first_tables + KB64, PAGE), eProcessCritical);
}

/* A later segment: two pages at its base first; then tables, in one piece of many pages. */
static void later_segments(void **state)
{
    BYTE *inside = reserve(64 * KB64), *outside, *tables, *handles;

    (void)state;
    assert_int_equal(commit(inside, 2 * PAGE), eTaskCritical);
    is_used(inside, HOSTMEM_USE_GC_HEAP);
    assert_int_equal(commit(inside + 2 * PAGE, KB64), eTaskCritical);

    outside = reserve(96 * KB64);
    assert_int_equal(commit(outside, 2 * PAGE), eTaskCritical);
    tables = reserve(8 * KB64 - 512);
    assert_int_equal(commit(tables, 18 * PAGE), eProcessCritical);
    is_used(tables, HOSTMEM_USE_GC_TABLES);
    is_used(outside, HOSTMEM_USE_GC_HEAP);
    assert_int_equal(commit(outside + 2 * PAGE, KB64), eTaskCritical);
    assert_int_equal(commit(tables + 18 * PAGE, PAGE), eProcessCritical);
    release(first_tables);
    first_tables = tables;

    handles = reserve(KB64); /* a handle table is committed page by page */
    assert_int_equal(commit(handles, PAGE), eProcessCritical);
    assert_int_equal(commit(handles + PAGE, PAGE), eProcessCritical);
    is_used(handles, HOSTMEM_USE_GC_TABLES);
    release(handles);

    handles = reserve(4 * KB64); /* nor is anything heap whose first page is not at its base */
    assert_int_equal(commit(handles + PAGE, PAGE), eProcessCritical);
    assert_int_equal(commit(handles, PAGE), eProcessCritical);
    is_used(handles, HOSTMEM_USE_GC_TABLES);
    release(handles);

    assert_int_equal(bridge_statistics().heap_ranges, 5);
    release(inside);
    assert_int_equal(bridge_statistics().heap_ranges, 4);

    /* tables that cannot be committed: both are given back, nothing is left behind */
    inside = reserve(64 * KB64);
    assert_int_equal(commit(inside, 2 * PAGE), eTaskCritical);
    tables = reserve(16 * KB64);
    host.alloc_hr = E_OUTOFMEMORY;
    assert_null(collector->calls.alloc(tables, 30 * PAGE, MEM_COMMIT, PAGE_READWRITE));
    host.alloc_hr = S_OK;
    release(tables);
    release(inside);
    assert_int_equal(bridge_statistics().heap_ranges, 4);

    /* a segment whose reservation is given back untouched does not make its successor a table */
    inside = reserve(64 * KB64);
    release(inside);
    inside = reserve(64 * KB64);
    assert_int_equal(commit(inside, 2 * PAGE), eTaskCritical);
    release(inside);
    release(outside);
    assert_int_equal(bridge_statistics().heap_ranges, 3);
}

static DWORD WINAPI other_segment(void *context)
{
    BYTE **memory = context;

    memory[0] = collector->calls.alloc(NULL, 64 * KB64, MEM_RESERVE, PAGE_READWRITE);
    return 0;
}

/* A reservation of another thread is no reason to take a segment for tables. */
static void segments_of_two_threads(void **state)
{
    BYTE *theirs, *ours;
    HANDLE thread = CreateThread(NULL, 0, other_segment, &theirs, 0, NULL);

    (void)state;
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    assert_non_null(theirs);
    ours = reserve(64 * KB64);
    assert_int_equal(commit(ours, 2 * PAGE), eTaskCritical);
    is_used(ours, HOSTMEM_USE_GC_HEAP);
    assert_int_equal(commit(theirs, 2 * PAGE), eTaskCritical);
    is_used(theirs, HOSTMEM_USE_GC_HEAP);
    release(ours);
    release(theirs);
}

/* More segments than there is room for are not heap, and are counted. */
static void too_many_segments(void **state)
{
    enum { MANY = 1100 };
    static BYTE *segments[MANY];
    unsigned task = 0;

    (void)state;
    host.capacity = 1; /* only the last call is looked at: through the results */
    for (unsigned i = 0; i < MANY; ++i) {
        segments[i] = collector->calls.alloc(NULL, 2 * KB64, MEM_RESERVE, PAGE_READWRITE);
        assert_non_null(segments[i]);
        if (i == MANY - 1) { /* the log from here on */
            host.count = 0;
            host.capacity = sizeof calls / sizeof *calls;
        }
        assert_non_null(collector->calls.alloc(segments[i], 2 * PAGE, MEM_COMMIT, PAGE_READWRITE));
        task += hostmem_bridge_is_heap(segments[i]) == S_OK;
    }
    assert_int_equal(calls[host.count - 1].level, eProcessCritical);
    is_used(segments[MANY - 1], HOSTMEM_USE_OTHER);
    assert_int_equal(task, 1024 - 3);
    assert_int_equal(bridge_statistics().heap_ranges, 1024);
    assert_int_equal(bridge_statistics().heap_unknown, MANY - task);
    for (unsigned i = 0; i < MANY; ++i)
        assert_true(collector->calls.free(segments[i], 0, MEM_RELEASE));
    assert_int_equal(bridge_statistics().heap_ranges, 3);
    for (unsigned i = 0; i < 3; ++i)
        assert_int_equal(hostmem_bridge_is_heap(initial[i]), S_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads),
        cmocka_unit_test(collector_loads),
        cmocka_unit_test(initial_heap),
        cmocka_unit_test(later_segments),
        cmocka_unit_test(segments_of_two_threads),
        cmocka_unit_test(too_many_segments),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
