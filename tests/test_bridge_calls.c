/*
 * The redirected functions, called from inside a stand-in for coreclr.dll and from a standalone collector:
 * what reaches the manager, and what comes back to the caller.
 *
 * The bind is for good, so the tests run in order: the runtime starts in the middle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/bridge_fake.h"
#include "support/bridge_host.h"

#ifndef MEM_PRESERVE_PLACEHOLDER
#    define MEM_PRESERVE_PLACEHOLDER 0x2
#endif

#define KB64   ((SIZE_T)0x10000)
#define MARKER 0x1234567u /* a last error that nobody sets */

static HMODULE module;
static struct fake_runtime *fake;
static struct fake_calls *runtime;
static struct bridge_host host;
static struct bridge_call calls[256];
static unsigned hooked_frees;

/* Somebody else's hook of VirtualFree, in place before the bridge: it must stay in effect. */
static BOOL WINAPI free_hook(LPVOID address, SIZE_T size, DWORD type)
{
    ++hooked_frees;
    return VirtualFree(address, size, type);
}

/* And one of MapViewOfFileEx, which fails as often as it is told to. */
static unsigned failing_maps;

static LPVOID WINAPI map_hook(HANDLE file, DWORD access, DWORD high, DWORD low, SIZE_T size, LPVOID base)
{
    if (!failing_maps)
        return MapViewOfFileEx(file, access, high, low, size, base);
    --failing_maps;
    SetLastError(ERROR_COMMITMENT_LIMIT);
    return NULL;
}

static int group_setup(void **state)
{
    (void)state;
    module = LoadLibraryExW(bridge_beside(L"fake_coreclr_9.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    assert_non_null(module);
    fake = ((fake_runtime_get)(void *)GetProcAddress(module, "fake_runtime_state"))();
    runtime = &fake->calls;
    assert_true(bridge_hook(module, "VirtualFree", (void *)free_hook));
    assert_true(bridge_hook(module, "MapViewOfFileEx", (void *)map_hook));
    bridge_host_init(&host);
    host.takes_anything = TRUE; /* which is not the private interface, to which nothing here is to go */
    HRESULT hr = hostmem_bridge_bind(module, &host.control, NULL);
    assert_int_equal(host.memory_references, 2); /* ours, and the one that GetHostManager gave */
    return hr;
}

static int each_setup(void **state)
{
    (void)state;
    bridge_host_init(&host);
    host.calls = calls;
    host.capacity = sizeof calls / sizeof *calls;
    memset(calls, 0, sizeof calls);
    hooked_frees = 0;
    SetLastError(MARKER);
    return 0;
}

static void alloc_passes_on(void **state)
{
    static const struct {
        DWORD type, protect;
    } flags[] = {
        {MEM_RESERVE, PAGE_NOACCESS},
        {MEM_RESERVE, PAGE_READWRITE},
        {MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE},
        {MEM_COMMIT, PAGE_EXECUTE_READWRITE},
        {MEM_RESERVE | MEM_TOP_DOWN, PAGE_EXECUTE_READWRITE},
        {MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; ++i) {
        unsigned at = host.count;
        uint64_t before =
            bridge_statistics().calls[HOSTMEM_BRIDGE_RUNTIME][HOSTMEM_BRIDGE_VIRTUAL_ALLOC].calls;
        LPVOID memory = runtime->alloc(NULL, 12345, flags[i].type, flags[i].protect);

        assert_non_null(memory);
        assert_int_equal(GetLastError(), MARKER);
        assert_int_equal(host.count, at + 1);
        assert_int_equal(calls[at].method, 'A');
        assert_null(calls[at].address);
        assert_int_equal(calls[at].size, 12345);
        assert_int_equal(calls[at].type, flags[i].type);
        assert_int_equal(calls[at].protect, flags[i].protect);
        assert_int_equal(calls[at].level, eProcessCritical);
        assert_ptr_equal(calls[at].result, memory);
        assert_true(bridge_statistics().calls[HOSTMEM_BRIDGE_RUNTIME][HOSTMEM_BRIDGE_VIRTUAL_ALLOC].calls ==
                    before + 1);
        assert_true(runtime->free(memory, 0, MEM_RELEASE));
        assert_int_equal(GetLastError(), MARKER);
        assert_int_equal(calls[at + 1].method, 'F');
        assert_ptr_equal(calls[at + 1].address, memory);
        assert_int_equal(calls[at + 1].size, 0);
        assert_int_equal(calls[at + 1].type, MEM_RELEASE);
    }
    assert_int_equal(hooked_frees, 0); /* the manager frees its own */
}

/* Decision 11: FACILITY_WIN32 to its code, anything else is ERROR_NOT_ENOUGH_MEMORY; success is exactly
 * S_OK. */
static void alloc_failures(void **state)
{
    static const struct {
        HRESULT hr;
        DWORD error;
    } rows[] = {
        {E_OUTOFMEMORY, ERROR_OUTOFMEMORY}, /* FACILITY_WIN32, code 14 */
        {HRESULT_FROM_WIN32(ERROR_COMMITMENT_LIMIT), ERROR_COMMITMENT_LIMIT},
        {HRESULT_FROM_WIN32(ERROR_INVALID_ADDRESS), ERROR_INVALID_ADDRESS},
        {E_FAIL, ERROR_NOT_ENOUGH_MEMORY},
        {HOST_E_CLRNOTAVAILABLE, ERROR_NOT_ENOUGH_MEMORY},
        {HOST_E_INVALIDOPERATION, ERROR_NOT_ENOUGH_MEMORY},
        {S_FALSE, ERROR_NOT_ENOUGH_MEMORY},
        {(HRESULT)0x00070005, ERROR_NOT_ENOUGH_MEMORY}, /* a success code of FACILITY_WIN32 */
        {(HRESULT)0x80070000, ERROR_NOT_ENOUGH_MEMORY}, /* no code at all */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        uint64_t failures =
            bridge_statistics().calls[HOSTMEM_BRIDGE_RUNTIME][HOSTMEM_BRIDGE_VIRTUAL_ALLOC].failures;
        host.alloc_hr = rows[i].hr;
        SetLastError(MARKER);
        assert_null(runtime->alloc(NULL, KB64, MEM_RESERVE, PAGE_READWRITE));
        assert_int_equal(GetLastError(), rows[i].error);
        assert_true(
            bridge_statistics().calls[HOSTMEM_BRIDGE_RUNTIME][HOSTMEM_BRIDGE_VIRTUAL_ALLOC].failures ==
            failures + 1);
        SetLastError(MARKER);
        assert_null(runtime->alloc_numa(GetCurrentProcess(), NULL, KB64, MEM_RESERVE, PAGE_READWRITE, 0));
        assert_int_equal(GetLastError(), rows[i].error);
    }
    host.alloc_hr = S_OK;
    host.passive = TRUE; /* S_OK, and *ppMem not written */
    assert_null(runtime->alloc(NULL, KB64, MEM_RESERVE, PAGE_READWRITE));
    assert_int_equal(GetLastError(), ERROR_NOT_ENOUGH_MEMORY);
}

static void numa_drops_the_node(void **state)
{
    uint64_t others = bridge_statistics().other_process;

    (void)state;
    LPVOID memory = runtime->alloc_numa(GetCurrentProcess(), NULL, KB64, MEM_RESERVE, PAGE_READWRITE, 0);
    assert_non_null(memory);
    assert_int_equal(GetLastError(), MARKER);
    assert_int_equal(calls[0].method, 'A');
    assert_int_equal(calls[0].type, MEM_RESERVE);
    assert_true(runtime->free(memory, 0, MEM_RELEASE));

    /* another process (here our own by a real handle) is none of the manager's business */
    HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, GetCurrentProcessId());
    memory = runtime->alloc_numa(process, NULL, KB64, MEM_RESERVE, PAGE_READWRITE, 0);
    assert_non_null(memory);
    assert_int_equal(host.count, 2);
    assert_true(bridge_statistics().other_process == others + 1);
    assert_true(VirtualFree(memory, 0, MEM_RELEASE));
    CloseHandle(process);
}

/* Foreign memory is freed by what was in the import table, here another hook; the manager is asked first. */
static void free_of_foreign_memory(void **state)
{
    LPVOID memory = VirtualAlloc(NULL, KB64, MEM_RESERVE, PAGE_NOACCESS);
    uint64_t before = bridge_statistics().foreign_frees;
    MEMORY_BASIC_INFORMATION info;

    (void)state;
    host.claims = memory;
    SetLastError(MARKER);
    assert_true(runtime->free(memory, 0, MEM_RELEASE));
    assert_int_equal(GetLastError(), MARKER);
    assert_int_equal(calls[0].hr, HOST_E_INVALIDOPERATION);
    assert_int_equal(hooked_frees, 1);
    assert_true(bridge_statistics().foreign_frees == before + 1);
    VirtualQuery(memory, &info, sizeof info);
    assert_int_equal(info.State, MEM_FREE);

    /* what Windows refuses too fails with Windows' error */
    host.claims = &info;
    assert_false(runtime->free(&info, 0, MEM_RELEASE));
    assert_int_not_equal(GetLastError(), MARKER);
    DWORD error = GetLastError();
    assert_false(VirtualFree(&info, 0, MEM_RELEASE));
    assert_int_equal(GetLastError(), error);
}

static void free_failures(void **state)
{
    static const struct {
        HRESULT hr;
        DWORD error;
    } rows[] = {
        {HRESULT_FROM_WIN32(ERROR_INVALID_PARAMETER), ERROR_INVALID_PARAMETER},
        {E_FAIL, ERROR_INVALID_ADDRESS},
        {E_OUTOFMEMORY, ERROR_OUTOFMEMORY},
        {S_FALSE, ERROR_INVALID_ADDRESS},
    };
    LPVOID memory = runtime->alloc(NULL, KB64, MEM_RESERVE, PAGE_NOACCESS);

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        host.free_hr = rows[i].hr;
        SetLastError(MARKER);
        assert_false(runtime->free(memory, 0, MEM_RELEASE));
        assert_int_equal(GetLastError(), rows[i].error);
    }
    assert_int_equal(hooked_frees, 0);
    host.free_hr = S_OK;
    assert_true(runtime->free(memory, 0, MEM_RELEASE));
}

/* Placeholders belong to the runtime's image loader; the manager has never seen them. */
static void free_of_placeholders(void **state)
{
    LPVOID memory = VirtualAlloc(NULL, KB64, MEM_RESERVE, PAGE_NOACCESS);
    uint64_t before = bridge_statistics().placeholder_frees;

    (void)state;
    runtime->free(memory, 4096, MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER);
    assert_int_equal(host.count, 0);
    assert_int_equal(hooked_frees, 1);
    assert_true(bridge_statistics().placeholder_frees == before + 1);
    VirtualFree(memory, 0, MEM_RELEASE);
}

static void protect_and_query(void **state)
{
    MEMORY_BASIC_INFORMATION info, expected;
    DWORD old = 0;
    LPVOID memory = runtime->alloc(NULL, KB64, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);

    (void)state;
    assert_true(runtime->protect(memory, 4096, PAGE_READONLY, &old));
    assert_int_equal(old, PAGE_READWRITE);
    assert_int_equal(GetLastError(), MARKER);
    assert_int_equal(calls[1].method, 'P');
    assert_int_equal(calls[1].size, 4096);
    assert_int_equal(calls[1].protect, PAGE_READONLY);
    host.protect_hr = S_FALSE;
    assert_false(runtime->protect(memory, 4096, PAGE_READWRITE, &old));
    assert_int_equal(GetLastError(), ERROR_INVALID_ADDRESS);
    host.protect_hr = HRESULT_FROM_WIN32(ERROR_INVALID_PARAMETER);
    assert_false(runtime->protect(memory, 4096, PAGE_READWRITE, &old));
    assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
    host.protect_hr = S_OK;
    assert_false(runtime->protect(memory, 4096, PAGE_READWRITE, NULL));
    assert_int_equal(GetLastError(), ERROR_NOACCESS);

    SetLastError(MARKER);
    memset(&info, 0, sizeof info);
    memset(&expected, 0, sizeof expected);
    assert_int_equal(runtime->query(memory, &info, sizeof info), sizeof info);
    assert_int_equal(GetLastError(), MARKER);
    VirtualQuery(memory, &expected, sizeof expected);
    assert_memory_equal(&info, &expected, sizeof info);
    assert_int_equal(runtime->query(&info, &info, sizeof info), sizeof info); /* a stack address */
    host.query_hr = E_FAIL;                                                   /* *pResult stays unwritten */
    assert_int_equal(runtime->query(memory, &info, sizeof info), 0);
    assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
    host.query_hr = S_FALSE; /* no failure, but nothing written either */
    SetLastError(MARKER);
    assert_int_equal(runtime->query(memory, &info, sizeof info), 0);
    assert_int_equal(GetLastError(), MARKER);
    assert_true(runtime->free(memory, 0, MEM_RELEASE));
}

static void views(void **state)
{
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 3 * KB64, NULL);
    uint64_t retries = bridge_statistics().map_retries;
    LPVOID view, second;

    (void)state;
    assert_non_null(section);
    SetLastError(MARKER);
    view = runtime->map(section, FILE_MAP_WRITE, 0, 0, 0);
    assert_non_null(view);
    assert_int_equal(GetLastError(), MARKER);
    assert_int_equal(host.count, 1);
    assert_int_equal(calls[0].method, '+');
    assert_ptr_equal(calls[0].address, view);
    assert_int_equal(calls[0].size, 3 * KB64); /* the whole view, though the size asked for was 0 */

    /* a taken address: the host is asked once, with what was asked for, and says no */
    assert_null(runtime->map_at(section, FILE_MAP_WRITE, 0, 0, KB64, view));
    assert_int_equal(GetLastError(), ERROR_INVALID_ADDRESS);
    assert_int_equal(host.count, 2);
    assert_int_equal(calls[1].method, 'N');
    assert_ptr_equal(calls[1].address, view);
    assert_int_equal(calls[1].size, KB64);
    assert_true(bridge_statistics().map_retries == retries);

    /* any success code is worth one retry, and no more */
    host.needs_hr = S_FALSE;
    assert_null(runtime->map_at(section, FILE_MAP_WRITE, 0, 0, KB64, view));
    assert_int_equal(host.count, 3);
    assert_int_equal(calls[2].method, 'N');
    assert_true(bridge_statistics().map_retries == retries + 1);

    /* one that has helped says nothing of the failure before */
    failing_maps = 1;
    SetLastError(MARKER);
    second = runtime->map_at(section, FILE_MAP_WRITE, 0, 0, KB64, NULL);
    assert_non_null(second);
    assert_int_equal(GetLastError(), MARKER);
    assert_int_equal(host.count, 5);
    assert_true(runtime->unmap(second));
    host.count = 3;

    SetLastError(MARKER);
    second = runtime->map_at(section, FILE_MAP_WRITE, 0, 0, KB64, NULL);
    assert_non_null(second);
    assert_int_equal(calls[3].method, '+');
    assert_int_equal(calls[3].size, KB64);
    assert_true(runtime->unmap(second));
    assert_true(runtime->unmap(view));
    assert_int_equal(GetLastError(), MARKER);
    assert_int_equal(calls[4].method, '-');
    assert_ptr_equal(calls[4].address, second);
    assert_int_equal(calls[5].method, '-');
    assert_ptr_equal(calls[5].address, view);
    assert_false(runtime->unmap(view)); /* a failed unmap is not told */
    assert_int_equal(host.count, 6);
    assert_null(runtime->map(NULL, FILE_MAP_WRITE, 0, 0, 0));
    assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
    CloseHandle(section);
}

static DWORD last_level(void)
{
    return calls[host.count - 1].level;
}

/* The order of the collector inside coreclr.dll; everything is eProcessCritical until the runtime
 * runs. */
static void heap_of_the_runtime(void **state)
{
    const SIZE_T first = sizeof(void *) == 8 ? 4096 : KB64; /* on x86 one page would be a segment's header */
    LPVOID heap, tables, other, more;

    (void)state;
    fake->started = FALSE;
    /* the loader's, before the collector's: alone, it is nothing */
    other = runtime->alloc(NULL, 64 * KB64, MEM_RESERVE, PAGE_READWRITE);
    assert_non_null(runtime->alloc(other, first, MEM_COMMIT, PAGE_READWRITE));
    assert_int_equal(hostmem_bridge_is_heap(other), S_FALSE);
    assert_true(runtime->free(other, 0, MEM_RELEASE));

    heap = runtime->alloc(NULL, 64 * KB64, MEM_RESERVE, PAGE_READWRITE);
    tables = runtime->alloc(NULL, 4 * KB64, MEM_RESERVE, PAGE_READWRITE);
    assert_non_null(runtime->alloc(tables, 5 * 4096 + 17, MEM_COMMIT, PAGE_READWRITE));
    assert_int_equal(last_level(), eProcessCritical);
    assert_non_null(runtime->alloc(heap, 4096, MEM_COMMIT, PAGE_READWRITE));
    assert_int_equal(last_level(), eProcessCritical);
    assert_non_null(runtime->alloc((BYTE *)heap + KB64, 4096, MEM_COMMIT, PAGE_READWRITE));
    assert_int_equal(last_level(), eProcessCritical);
    assert_int_equal(hostmem_bridge_is_heap(heap), S_OK);
    assert_int_equal(hostmem_bridge_is_heap((BYTE *)heap + 64 * KB64 - 1), S_OK);
    assert_int_equal(hostmem_bridge_is_heap(tables), S_FALSE);
    assert_int_equal(bridge_statistics().heap_ranges, 1);
    assert_true(bridge_statistics().heap_reserved == 64 * KB64);
    assert_false(bridge_statistics().state & HOSTMEM_BRIDGE_RUNNING);

    fake->started = TRUE;
    assert_non_null(runtime->alloc((BYTE *)heap + 2 * KB64, 4096, MEM_COMMIT, PAGE_READWRITE));
    assert_int_equal(last_level(), eTaskCritical);
    assert_non_null(runtime->alloc_numa(GetCurrentProcess(), (BYTE *)heap + 3 * KB64, 4096, MEM_COMMIT,
                                        PAGE_READWRITE, 0));
    assert_int_equal(last_level(), eTaskCritical);
    assert_non_null(runtime->alloc((BYTE *)heap + 2 * KB64, 4096, MEM_RESET, PAGE_READWRITE));
    assert_int_equal(last_level(), eTaskCritical);
    assert_non_null(runtime->alloc((BYTE *)tables + KB64, 4096, MEM_COMMIT, PAGE_READWRITE));
    assert_int_equal(last_level(), eProcessCritical);
    assert_true(bridge_statistics().state & HOSTMEM_BRIDGE_RUNNING);

    /* a frozen segment, which looks like a heap that is committed at once */
    other = runtime->alloc(NULL, 64 * KB64, MEM_RESERVE, PAGE_READWRITE);
    assert_non_null(runtime->alloc(other, first, MEM_COMMIT, PAGE_READWRITE));
    assert_int_equal(last_level(), eProcessCritical);
    assert_non_null(runtime->alloc((BYTE *)other + first, KB64, MEM_COMMIT, PAGE_READWRITE));
    assert_int_equal(last_level(), eProcessCritical);
    assert_true(runtime->free(other, 0, MEM_RELEASE));

    /* once the collector has its range, nothing else becomes heap */
    other = runtime->alloc(NULL, 64 * KB64, MEM_RESERVE, PAGE_READWRITE);
    more = runtime->alloc(NULL, 64 * KB64, MEM_RESERVE, PAGE_READWRITE);
    assert_non_null(runtime->alloc(more, KB64, MEM_COMMIT, PAGE_READWRITE));
    assert_int_equal(hostmem_bridge_is_heap(other), S_FALSE);
    assert_true(runtime->free(other, 0, MEM_RELEASE));
    assert_true(runtime->free(more, 0, MEM_RELEASE));

    /* a release that fails leaves it heap, a decommit too; then it is forgotten */
    host.free_hr = E_FAIL;
    assert_false(runtime->free(heap, 0, MEM_RELEASE));
    assert_int_equal(hostmem_bridge_is_heap(heap), S_OK);
    host.free_hr = S_OK;
    assert_true(runtime->free((BYTE *)heap + 2 * KB64, 4096, MEM_DECOMMIT));
    assert_int_equal(hostmem_bridge_is_heap(heap), S_OK);
    assert_true(runtime->free(heap, 0, MEM_RELEASE));
    assert_int_equal(hostmem_bridge_is_heap(heap), S_FALSE);
    assert_int_equal(bridge_statistics().heap_ranges, 0);
    assert_true(runtime->free(tables, 0, MEM_RELEASE));
}

static DWORD WINAPI churn(void *context)
{
    (void)context;
    for (unsigned i = 0; i < 2000; ++i) {
        LPVOID memory = runtime->alloc(NULL, 3 * KB64, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
        if (!memory || !runtime->free(memory, 0, MEM_RELEASE))
            return 1;
    }
    return 0;
}

static void several_threads(void **state)
{
    hostmem_bridge_statistics before = bridge_statistics();
    HANDLE threads[4];

    (void)state;
    for (unsigned i = 0; i < 4; ++i)
        threads[i] = CreateThread(NULL, 0, churn, NULL, 0, NULL);
    WaitForMultipleObjects(4, threads, TRUE, INFINITE);
    for (unsigned i = 0; i < 4; ++i) {
        DWORD code = 1;
        GetExitCodeThread(threads[i], &code);
        assert_int_equal(code, 0);
        CloseHandle(threads[i]);
    }
    hostmem_bridge_statistics after = bridge_statistics();
    for (unsigned i = 0; i < 2; ++i) {
        unsigned function = i ? HOSTMEM_BRIDGE_VIRTUAL_FREE : HOSTMEM_BRIDGE_VIRTUAL_ALLOC;
        assert_true(after.calls[HOSTMEM_BRIDGE_RUNTIME][function].calls ==
                    before.calls[HOSTMEM_BRIDGE_RUNTIME][function].calls + 8000);
    }
    assert_int_equal(host.count, 16000);
}

/* A DLL that says GC_Initialize after the start is a program's own. */
static void collector_after_the_start(void **state)
{
    HMODULE library;

    (void)state;
    assert_true(bridge_statistics().state & HOSTMEM_BRIDGE_RUNNING);
    library = runtime->load(bridge_beside(L"fake_gc_gap.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    assert_non_null(library);
    assert_null(bridge_statistics().collector);
    FreeLibrary(library);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, each_setup)
    const struct CMUnitTest tests[] = {
        TEST(alloc_passes_on),
        TEST(alloc_failures),
        TEST(numa_drops_the_node),
        TEST(free_of_foreign_memory),
        TEST(free_failures),
        TEST(free_of_placeholders),
        TEST(protect_and_query),
        TEST(views),
        TEST(heap_of_the_runtime),
        TEST(several_threads),
        TEST(collector_after_the_start),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
