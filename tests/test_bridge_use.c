/*
 * The use of a region, as the bridge passes it on to a manager that takes it: what the runtime's own module
 * reserves.  A standalone collector's: test_bridge_collector.c; a manager that does not take it: test_bridge_calls.c.
 *
 * The bind is for good, so the tests run in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/bridge_fake.h"
#include "support/bridge_host.h"

#define KB64   ((SIZE_T)0x10000)
#define PAGE   ((SIZE_T)0x1000)
#define MARKER 0x1234567u /* a last error that nobody sets */

static struct fake_runtime *fake;
static struct fake_calls *runtime;
static struct bridge_host host;
static struct bridge_call calls[256];

static int group_setup(void **state)
{
    HMODULE module =
        LoadLibraryExW(bridge_beside(L"fake_coreclr_10.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);

    (void)state;
    assert_non_null(module);
    fake = ((fake_runtime_get)(void *)GetProcAddress(module, "fake_runtime_state"))();
    runtime = &fake->calls;
    bridge_host_init(&host);
    host.takes_use = TRUE;
    return hostmem_bridge_bind(module, &host.control, NULL);
}

static int each_setup(void **state)
{
    (void)state;
    host.calls = calls;
    host.capacity = sizeof calls / sizeof *calls;
    host.count = 0;
    memset(calls, 0, sizeof calls);
    SetLastError(MARKER);
    return 0;
}

static unsigned uses_set(void)
{
    unsigned set = 0;

    assert_true(host.count <= host.capacity);
    for (unsigned i = 0; i < host.count; ++i)
        set += calls[i].method == 'U';
    return set;
}

static BYTE *reserve(SIZE_T granules)
{
    BYTE *memory = runtime->alloc(NULL, granules * KB64, MEM_RESERVE, PAGE_READWRITE);

    assert_non_null(memory);
    return memory;
}

/* What is set by a first commit is set before the manager is asked for it. */
static void commit(BYTE *address, SIZE_T size, DWORD protect)
{
    unsigned before = host.count;

    assert_non_null(runtime->alloc(address, size, MEM_COMMIT, protect));
    assert_int_equal(GetLastError(), MARKER);
    assert_int_equal(calls[host.count - 1].method, 'A');
    for (unsigned i = before; i < host.count; ++i)
        assert_false(calls[i].late);
}

static void release(BYTE *memory)
{
    assert_true(runtime->free(memory, 0, MEM_RELEASE));
}

/* The interface is asked for once, and one reference of it is kept. */
static void kept(void **state)
{
    (void)state;
    assert_int_equal(host.memory_references, 3); /* ours, GetHostManager's, and this one */
}

/* What a reserving call says by itself. */
static void reservations(void **state)
{
    static const struct {
        BOOL at_address;
        DWORD type, protect;
        uint32_t use;
    } rows[] = {
        {FALSE, MEM_RESERVE, PAGE_NOACCESS, HOSTMEM_USE_LOADER},
        {TRUE, MEM_RESERVE, PAGE_NOACCESS, HOSTMEM_USE_LOADER},
        {TRUE, MEM_RESERVE, PAGE_READWRITE, HOSTMEM_USE_LOADER},
        {TRUE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE, HOSTMEM_USE_LOADER},
        {FALSE, MEM_RESERVE, PAGE_EXECUTE_READWRITE, HOSTMEM_USE_CODE},
        {TRUE, MEM_RESERVE, PAGE_EXECUTE_READ, HOSTMEM_USE_CODE},
        {FALSE, MEM_RESERVE | MEM_COMMIT, PAGE_EXECUTE_READWRITE, HOSTMEM_USE_CODE},
        {FALSE, MEM_COMMIT, PAGE_EXECUTE, HOSTMEM_USE_CODE},
        {FALSE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE, HOSTMEM_USE_OTHER},
        {FALSE, MEM_COMMIT, PAGE_READWRITE, HOSTMEM_USE_OTHER},
        {FALSE, MEM_RESERVE, PAGE_READONLY, HOSTMEM_USE_OTHER},
        {FALSE, MEM_RESERVE, PAGE_READWRITE, HOSTMEM_USE_GC_TABLES}, /* one granule: a handle table */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        LPVOID at = NULL;
        if (rows[i].at_address) {
            at = VirtualAlloc(NULL, KB64, MEM_RESERVE, PAGE_NOACCESS);
            assert_true(VirtualFree(at, 0, MEM_RELEASE));
        }
        SetLastError(MARKER);
        BYTE *memory =
            i & 1 ? runtime->alloc_numa(GetCurrentProcess(), at, KB64, rows[i].type, rows[i].protect, 0)
                  : runtime->alloc(at, KB64, rows[i].type, rows[i].protect);
        assert_non_null(memory);
        assert_int_equal(GetLastError(), MARKER);
        assert_int_equal(uses_set(), i + 1);
        assert_int_equal(bridge_host_use(&host, memory), rows[i].use);
        release(memory);
    }

    host.alloc_hr = E_OUTOFMEMORY;
    assert_null(runtime->alloc(NULL, KB64, MEM_RESERVE, PAGE_NOACCESS));
    host.alloc_hr = S_OK;
    assert_int_equal(uses_set(), sizeof rows / sizeof *rows);
}

/* The JIT reserves as loaders do: its first commit shows the difference. */
static void code_of_the_jit(void **state)
{
    BYTE *code = runtime->alloc(NULL, 4 * KB64, MEM_RESERVE, PAGE_NOACCESS);
    BYTE *loader = runtime->alloc(NULL, 4 * KB64, MEM_RESERVE, PAGE_NOACCESS);
    HANDLE section =
        CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_EXECUTE_READWRITE | SEC_RESERVE, 0, KB64, NULL);
    BYTE *view = runtime->map(section, FILE_MAP_WRITE | FILE_MAP_EXECUTE, 0, 0, 0);

    (void)state;
    assert_non_null(view);
    SetLastError(MARKER);
    assert_int_equal(bridge_host_use(&host, code), HOSTMEM_USE_LOADER);
    commit(code + KB64, PAGE, PAGE_EXECUTE_READWRITE);
    assert_int_equal(bridge_host_use(&host, code), HOSTMEM_USE_CODE);
    commit(code + 2 * KB64, PAGE, PAGE_EXECUTE_READWRITE);
    commit(code, PAGE, PAGE_READWRITE);
    assert_int_equal(bridge_host_use(&host, code), HOSTMEM_USE_CODE);

    commit(loader + KB64, PAGE, PAGE_READWRITE);
    commit(loader, PAGE, PAGE_EXECUTE_READWRITE);
    assert_int_equal(bridge_host_use(&host, loader), HOSTMEM_USE_LOADER);

    commit(view, PAGE, PAGE_EXECUTE_READWRITE); /* W^X: a view's use is its own */
    assert_int_equal(uses_set(), 3);
    assert_true(runtime->unmap(view));
    CloseHandle(section);
    release(code);
    release(loader);
}

/* More new reservations than there is room for: those beyond are nothing in particular, and are counted. */
static void too_many_new(void **state)
{
    enum { ROOM = 16, MANY = 20 };
    BYTE *memory[MANY];

    (void)state;
    for (unsigned i = 0; i < MANY; ++i) {
        memory[i] = reserve(2);
        assert_int_equal(bridge_host_use(&host, memory[i]), i < ROOM ? BRIDGE_NO_USE : HOSTMEM_USE_OTHER);
    }
    assert_int_equal(bridge_statistics().heap_unknown, MANY - ROOM);
    for (unsigned i = 0; i < MANY; ++i)
        release(memory[i]);
}

/* Regions, in a 64-bit runtime. */
static void heap_of_the_runtime(void **state)
{
    BYTE *heap, *tables, *alone, *more;

    (void)state;
    if (sizeof(void *) == 4)
        skip();
    alone = reserve(64);
    assert_int_equal(bridge_host_use(&host, alone), BRIDGE_NO_USE);
    commit(alone, PAGE, PAGE_READWRITE);
    assert_int_equal(bridge_host_use(&host, alone), HOSTMEM_USE_OTHER);

    heap = reserve(64);
    tables = reserve(4);
    assert_int_equal(uses_set(), 1);
    commit(tables, 5 * PAGE + 17, PAGE_READWRITE);
    assert_int_equal(bridge_host_use(&host, heap), HOSTMEM_USE_GC_HEAP);
    assert_int_equal(bridge_host_use(&host, tables), HOSTMEM_USE_GC_TABLES);
    fake->started = TRUE;
    commit(heap + KB64, PAGE, PAGE_READWRITE);
    assert_int_equal(calls[host.count - 1].level, eTaskCritical);
    commit(tables + KB64, PAGE, PAGE_READWRITE);
    assert_int_equal(calls[host.count - 1].level, eProcessCritical);
    assert_int_equal(uses_set(), 3);

    more = reserve(1);
    assert_int_equal(bridge_host_use(&host, more), HOSTMEM_USE_GC_TABLES);
    release(more);
    more = reserve(64); /* a frozen segment */
    assert_int_equal(bridge_host_use(&host, more), HOSTMEM_USE_OTHER);
    commit(more, PAGE, PAGE_READWRITE);
    assert_int_equal(bridge_host_use(&host, more), HOSTMEM_USE_OTHER);

    host.free_hr = E_FAIL; /* what could not be released is what it was */
    assert_false(runtime->free(heap, 0, MEM_RELEASE));
    host.free_hr = S_OK;
    SetLastError(MARKER);
    commit(heap + 2 * KB64, PAGE, PAGE_READWRITE);
    assert_int_equal(calls[host.count - 1].level, eTaskCritical);
    assert_int_equal(bridge_host_use(&host, heap), HOSTMEM_USE_GC_HEAP);
    release(more);
    release(alone);
    assert_true(runtime->free(heap + 16, 0, MEM_RELEASE)); /* Windows rounds down to a page */
    assert_int_equal(hostmem_bridge_is_heap(heap), S_FALSE);
    release(tables);
}

static BYTE *reserve_watched(SIZE_T size)
{
    BYTE *memory = runtime->alloc(NULL, size, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);

    assert_non_null(memory);
    return memory;
}

/* What a commit in new memory is for, and how far it may go. */
static void commits(BYTE *base, SIZE_T offset, SIZE_T size, uint32_t use, DWORD level)
{
    commit(base + offset, size, PAGE_READWRITE);
    assert_int_equal(calls[host.count - 1].level, level);
    assert_int_equal(bridge_host_use(&host, base), use);
    assert_int_equal(hostmem_bridge_is_heap(base), use == HOSTMEM_USE_GC_HEAP ? S_OK : S_FALSE);
}

/* Segments, in a 32-bit runtime: the calls are those recorded from .NET 10's, concurrent or not, workstation or server. */
static void segments_of_the_runtime(void **state)
{
    BYTE *initial, *tables, *frozen, *segment, *least_tables, *first_tables;

    (void)state;
    if (sizeof(void *) == 8)
        skip();
    /* the start: one block, and tables which are touched first */
    fake->started = FALSE;
    initial = reserve_watched(0x300 * PAGE);
    first_tables = reserve_watched(0xd9 * PAGE);
    commits(first_tables, 0, 0x19 * PAGE, HOSTMEM_USE_GC_TABLES, eProcessCritical);
    commits(initial, 0, 2 * PAGE, HOSTMEM_USE_GC_HEAP, eProcessCritical);
    commits(initial, 0x100 * PAGE, 2 * PAGE, HOSTMEM_USE_GC_HEAP, eProcessCritical);
    frozen = reserve(64);
    commits(frozen, 0, KB64, HOSTMEM_USE_OTHER, eProcessCritical);
    assert_int_equal(bridge_statistics().heap_ranges, 1);

    /* later: a segment, and bigger tables for it */
    fake->started = TRUE;
    segment = reserve_watched(0x100 * PAGE);
    commits(segment, 0, 2 * PAGE, HOSTMEM_USE_GC_HEAP, eTaskCritical);
    tables = reserve_watched(0x1c9 * PAGE);
    commits(tables, 0, 0x33 * PAGE, HOSTMEM_USE_GC_TABLES, eProcessCritical);
    release(first_tables);
    commits(segment, 2 * PAGE, 0xb2 * PAGE, HOSTMEM_USE_GC_HEAP, eTaskCritical);
    commits(tables, 0x167 * PAGE, 0x11 * PAGE, HOSTMEM_USE_GC_TABLES, eProcessCritical);
    commits(initial, 2 * PAGE, KB64, HOSTMEM_USE_GC_HEAP, eTaskCritical);
    release(frozen);
    release(tables);
    release(segment);
    assert_int_equal(hostmem_bridge_is_heap(segment), S_FALSE);

    /* not concurrent: heap that is not watched, the smallest tables, and frozen objects that come late */
    segment = reserve(0x300);
    least_tables = reserve_watched(0x18084);
    assert_int_equal(bridge_host_use(&host, least_tables), HOSTMEM_USE_GC_TABLES);
    commits(least_tables, 0, 0x18084, HOSTMEM_USE_GC_TABLES, eProcessCritical);
    commits(segment, 0, 2 * PAGE, HOSTMEM_USE_GC_HEAP, eTaskCritical);
    frozen = reserve(64);
    commits(frozen, 0, KB64, HOSTMEM_USE_OTHER, eProcessCritical);
    commits(frozen, KB64, 2 * PAGE, HOSTMEM_USE_OTHER, eProcessCritical);

    /* an older reservation is not made heap by what comes after it, and what does not begin with a header is none */
    tables = reserve_watched(4 * KB64);
    first_tables = reserve_watched(4 * KB64);
    commits(first_tables, 0, 3 * PAGE, HOSTMEM_USE_GC_TABLES, eProcessCritical);
    assert_int_equal(hostmem_bridge_is_heap(tables), S_FALSE);
    commits(tables, PAGE, PAGE, HOSTMEM_USE_GC_TABLES, eProcessCritical);
    commits(tables, 0, PAGE, HOSTMEM_USE_GC_TABLES, eProcessCritical);

    assert_int_equal(bridge_statistics().heap_ranges, 2);
    release(initial);
    release(segment);
    release(least_tables);
    release(frozen);
    release(tables);
    release(first_tables);
    assert_int_equal(bridge_statistics().heap_ranges, 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, each_setup)
    const struct CMUnitTest tests[] = {
        TEST(kept),         TEST(reservations),        TEST(code_of_the_jit),
        TEST(too_many_new), TEST(heap_of_the_runtime), TEST(segments_of_the_runtime),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
