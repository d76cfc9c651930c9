/*
 * HOSTMEM_BRIDGE_HEAP: malloc and the process heap of a stand-in for coreclr.dll, of its JIT compiler and of its collector,
 * as blocks of a host's IHostMalloc, which is somebody else's: full of rubbish, and no judge of foreign blocks.
 *
 * The bind is for good, so the tests run in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/bridge_fake.h"
#include "support/bridge_host.h"
#include "support/crew.h"

#define MARKER   0x1234567u /* a last error that nobody sets */
#define WIN32_HR HRESULT_FROM_WIN32

enum { HEADER = 2 * sizeof(void *), SEVEN = 7 };

static const char *const names[SEVEN] = {"malloc",    "calloc",      "realloc", "free",
                                         "HeapAlloc", "HeapReAlloc", "HeapFree"};
static const hostmem_bridge_options with_heap = {.size = sizeof with_heap, .flags = HOSTMEM_BRIDGE_HEAP};

static HMODULE module;
static struct fake_calls *runtime;
static struct bridge_host host;
static struct bridge_call calls[256];
static char *early_block, *early_heap_block, *early_to_grow, *early_heap_to_grow;

static struct fake_calls *calls_of(HMODULE of)
{
    return &((fake_runtime_get)(void *)GetProcAddress(of, "fake_runtime_state"))()->calls;
}

static HMODULE load(const wchar_t *name)
{
    HMODULE loaded = LoadLibraryExW(bridge_beside(name), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    assert_non_null(loaded);
    return loaded;
}

static int group_setup(void **state)
{
    (void)state;
    module = load(L"fake_coreclr_10.dll");
    runtime = calls_of(module);
    early_block = runtime->malloc(100);
    early_heap_block = runtime->heap_alloc(GetProcessHeap(), 0, 100);
    early_to_grow = runtime->malloc(100);
    early_heap_to_grow = runtime->heap_alloc(GetProcessHeap(), 0, 100);
    strcpy(early_to_grow, "malloc");
    strcpy(early_heap_to_grow, "heap");
    return 0;
}

static int each_setup(void **state)
{
    (void)state;
    const unsigned alive = host.blocks;
    bridge_host_init(&host);
    host.blocks = alive;
    host.calls = calls;
    host.capacity = sizeof calls / sizeof *calls;
    memset(calls, 0, sizeof calls);
    SetLastError(MARKER);
    return 0;
}

static hostmem_bridge_calls counted(hostmem_bridge_module by, hostmem_bridge_function function)
{
    return bridge_statistics().calls[by][function];
}

static void slots_read(HMODULE of, void *slots[SEVEN])
{
    for (unsigned i = 0; i < SEVEN; ++i)
        slots[i] = *bridge_slot(of, names[i]);
}

static BOOL is_here(const void *address)
{
    MEMORY_BASIC_INFORMATION info;
    return VirtualQuery(address, &info, sizeof info) && info.AllocationBase == GetModuleHandleW(NULL);
}

/* The host's block behind one of the runtime's, by the last call. */
static void assert_taken(const void *block, SIZE_T size)
{
    const struct bridge_call *call = &calls[host.count - 1];

    assert_non_null(block);
    assert_int_equal(call->method, 'M');
    assert_int_equal(call->size, size + HEADER);
    assert_int_equal(call->level, eProcessCritical);
    assert_ptr_equal((const char *)call->result + HEADER, block);
    assert_int_equal((uintptr_t)block % HEADER, 0);
}

static void assert_given(const void *block)
{
    assert_int_equal(calls[host.count - 1].method, 'm');
    assert_ptr_equal((const char *)calls[host.count - 1].address + HEADER, block);
    assert_int_equal(host.wrong_blocks, 0);
}

static BOOL is_all(const char *at, char value, size_t size)
{
    while (size && at[size - 1] == value)
        --size;
    return !size;
}

static void binds_that_fail_leave_nothing(void **state)
{
    static const struct {
        const wchar_t *file;
        HRESULT hr;
        const char *missing;
    } rows[] = {
        {L"fake_coreclr_sizes.dll", WIN32_HR(ERROR_NOT_SUPPORTED), "HeapSize _msize"},
        {L"fake_coreclr_no_malloc.dll", WIN32_HR(ERROR_PROC_NOT_FOUND), "malloc"},
    };
    void *before[SEVEN], *after[SEVEN];

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        HMODULE other = load(rows[i].file);

        assert_int_equal(hostmem_bridge_bind(other, &host.control, &with_heap), rows[i].hr);
        assert_non_null(bridge_statistics().missing);
        assert_string_equal(bridge_statistics().missing, rows[i].missing);
        assert_int_equal(host.count, 0);
        assert_false(is_here(*bridge_slot(other, "VirtualAlloc")));
        assert_false(is_here(*bridge_slot(other, "HeapAlloc")));
        host.get_hr = E_NOINTERFACE; /* no reason without the flag: the host is asked */
        assert_int_equal(hostmem_bridge_bind(other, &host.control, NULL), S_FALSE);
        host.get_hr = S_OK;
        host.count = 0;
        FreeLibrary(other);
    }

    /* the host's turn, with the imports redirected already */
    slots_read(module, before);
    host.get_hr = E_NOINTERFACE;
    assert_int_equal(hostmem_bridge_bind(module, &host.control, &with_heap), S_FALSE);
    host.get_hr = S_OK;
    host.malloc_hr = E_OUTOFMEMORY;
    assert_int_equal(hostmem_bridge_bind(module, &host.control, &with_heap), E_UNEXPECTED);
    host.malloc_hr = S_OK;
    host.null_malloc = TRUE; /* S_OK, and no object */
    host.count = 0;
    assert_int_equal(hostmem_bridge_bind(module, &host.control, &with_heap), E_UNEXPECTED);
    assert_int_equal(calls[host.count - 1].method, 'r');
    slots_read(module, after);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(bridge_statistics().state, 0);
    assert_true(bridge_statistics().heap_metadata == 0);
}

static void the_bind(void **state)
{
    void *slots[SEVEN];

    (void)state;
    assert_int_equal(hostmem_bridge_bind(module, &host.control, &with_heap), S_OK);
    slots_read(module, slots);
    for (unsigned i = 0; i < SEVEN; ++i)
        assert_true(is_here(slots[i]));
    assert_true(bridge_statistics().state & HOSTMEM_BRIDGE_HEAP_REDIRECTED);
    assert_int_equal(host.blocks, 0);
}

static void blocks_come_from_the_host(void **state)
{
    (void)state;
    for (size_t size = 0; size < 5000; size += 777) {
        hostmem_bridge_calls before = counted(HOSTMEM_BRIDGE_RUNTIME, HOSTMEM_BRIDGE_MALLOC);
        char *block = runtime->malloc(size);
        assert_taken(block, size);
        memset(block, 1, size);
        assert_int_equal(GetLastError(), MARKER);
        runtime->crt_free(block);
        assert_given(block);
        assert_int_equal(GetLastError(), MARKER);
        assert_true(counted(HOSTMEM_BRIDGE_RUNTIME, HOSTMEM_BRIDGE_MALLOC).calls == before.calls + 1);

        block = runtime->heap_alloc(GetProcessHeap(), 0, size);
        assert_taken(block, size);
        assert_true(runtime->heap_free(GetProcessHeap(), 0, block));
        assert_given(block);
        assert_int_equal(GetLastError(), MARKER);
    }
    /* Windows' C library has its blocks in the process heap, so they may change sides. */
    void *block = runtime->malloc(10);
    assert_true(runtime->heap_free(GetProcessHeap(), 0, block));
    assert_given(block);
    assert_int_equal(host.blocks, 0);
    assert_true(bridge_statistics().heap_foreign == 0);

    const unsigned before = host.count;
    runtime->crt_free(NULL);
    assert_int_equal(host.count, before);
    assert_true(bridge_statistics().heap_foreign == 0);
}

static void zero_where_it_is_asked_for(void **state)
{
    (void)state;
    char *block = runtime->calloc(7, 100);
    assert_taken(block, 700);
    assert_true(is_all(block, 0, 700));
    runtime->crt_free(block);

    block = runtime->heap_alloc(GetProcessHeap(), HEAP_ZERO_MEMORY, 300);
    assert_true(is_all(block, 0, 300));
    memset(block, 1, 300);
    assert_ptr_equal(runtime->heap_realloc(GetProcessHeap(), 0, block, 100), block);
    char *grown = runtime->heap_realloc(GetProcessHeap(), HEAP_ZERO_MEMORY, block, 900);
    assert_non_null(grown);
    assert_given(block);
    assert_true(is_all(grown, 1, 100));
    assert_true(is_all(grown + 100, 0, 800)); /* what it had given up, too */
    assert_true(runtime->heap_free(GetProcessHeap(), 0, grown));
    assert_int_equal(GetLastError(), MARKER);
}

static void sizes_that_cannot_be(void **state)
{
    (void)state;
    assert_null(runtime->calloc(SIZE_MAX / 2, 3));
    assert_int_equal(GetLastError(), ERROR_NOT_ENOUGH_MEMORY);
    assert_null(runtime->calloc((size_t)1 << (sizeof(size_t) * 4), (size_t)1 << (sizeof(size_t) * 4)));
    assert_null(runtime->malloc(SIZE_MAX - 1));
    assert_null(runtime->heap_alloc(GetProcessHeap(), 0, SIZE_MAX));
    assert_int_equal(host.count, 0);
    assert_true(counted(HOSTMEM_BRIDGE_RUNTIME, HOSTMEM_BRIDGE_CALLOC).failures == 2);
}

static void ours_change_their_size(void **state)
{
    (void)state;
    char *block = runtime->realloc(NULL, 50);
    assert_taken(block, 50);
    memset(block, 7, 50);
    char *grown = runtime->realloc(block, 5000);
    assert_ptr_not_equal(grown, block);
    assert_given(block);
    assert_true(is_all(grown, 7, 50));
    memset(grown, 8, 5000);
    assert_ptr_equal(runtime->realloc(grown, 20), grown); /* in its place */
    assert_true(is_all(grown, 8, 20));
    block = runtime->realloc(grown, 60);
    assert_given(grown);
    assert_true(is_all(block, 8, 20));
    assert_true(is_all(block + 20, (char)0xCD, 40));
    assert_null(runtime->realloc(block, 0));
    assert_given(block);

    block = runtime->heap_alloc(GetProcessHeap(), 0, 100);
    unsigned before = host.count;
    assert_null(runtime->heap_realloc(GetProcessHeap(), HEAP_REALLOC_IN_PLACE_ONLY, block, 101));
    assert_int_equal(GetLastError(), ERROR_NOT_ENOUGH_MEMORY);
    assert_ptr_equal(runtime->heap_realloc(GetProcessHeap(), HEAP_REALLOC_IN_PLACE_ONLY, block, 0), block);
    assert_int_equal(host.count, before);
    assert_true(runtime->heap_free(GetProcessHeap(), 0, block));
    assert_given(block);
}

static void foreign_blocks_go_on(void **state)
{
    uint64_t before = bridge_statistics().heap_foreign;

    (void)state;
    runtime->crt_free(early_block);
    assert_true(runtime->heap_free(GetProcessHeap(), 0, early_heap_block));
    runtime->crt_free(runtime->strdup("from inside the C library"));
    assert_true(bridge_statistics().heap_foreign == before + 3);

    /* another size, and they stay what they are */
    early_to_grow = runtime->realloc(early_to_grow, 9000);
    assert_string_equal(early_to_grow, "malloc");
    early_to_grow = runtime->realloc(early_to_grow, 10);
    assert_string_equal(early_to_grow, "malloc");
    early_heap_to_grow = runtime->heap_realloc(GetProcessHeap(), HEAP_ZERO_MEMORY, early_heap_to_grow, 9000);
    assert_string_equal(early_heap_to_grow, "heap");
    assert_true(is_all(early_heap_to_grow + 100, 0, 8900));
    assert_int_equal(HeapSize(GetProcessHeap(), 0, early_heap_to_grow), 9000);
    assert_true(bridge_statistics().heap_foreign == before + 6);
    assert_null(runtime->realloc(early_to_grow, 0));
    assert_true(runtime->heap_free(GetProcessHeap(), 0, early_heap_to_grow));
    assert_true(bridge_statistics().heap_foreign == before + 8);
    assert_int_equal(host.count, 0);
}

static void private_heaps_are_left_alone(void **state)
{
    uint64_t foreign = bridge_statistics().heap_foreign;
    hostmem_bridge_calls before = counted(HOSTMEM_BRIDGE_RUNTIME, HOSTMEM_BRIDGE_HEAP_ALLOC);
    HANDLE heap = HeapCreate(0, 0, 0);

    (void)state;
    char *block = runtime->heap_alloc(heap, HEAP_ZERO_MEMORY, 100);
    assert_true(HeapValidate(heap, 0, block));
    assert_int_equal(HeapSize(heap, 0, block), 100);
    block = runtime->heap_realloc(heap, 0, block, 2000);
    assert_int_equal(HeapSize(heap, 0, block), 2000);
    assert_true(runtime->heap_free(heap, 0, block));
    HeapDestroy(heap);
    assert_int_equal(host.count, 0);
    assert_true(bridge_statistics().heap_foreign == foreign);
    assert_true(counted(HOSTMEM_BRIDGE_RUNTIME, HOSTMEM_BRIDGE_HEAP_ALLOC).calls == before.calls);
}

static DWORD raised;

static LONG CALLBACK exception_note(EXCEPTION_POINTERS *pointers)
{
    if (pointers->ExceptionRecord->ExceptionCode != (DWORD)STATUS_NO_MEMORY)
        return EXCEPTION_CONTINUE_SEARCH;
    raised = pointers->ExceptionRecord->ExceptionCode;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static void refusals(void **state)
{
    (void)state;
    char *block = runtime->malloc(100), *heap_block = runtime->heap_alloc(GetProcessHeap(), 0, 100);
    memset(block, 5, 100);
    for (unsigned way = 0; way < 4; ++way) {
        static const HRESULT answers[] = {E_OUTOFMEMORY, S_FALSE, S_OK, S_OK};
        host.block_hr = answers[way];
        host.passive = way == 2;                          /* S_OK, and no block */
        host.block_shift = way == 3 ? HEADER / 2 + 1 : 0; /* one that begins where none may */
        const unsigned alive = host.blocks;
        const hostmem_bridge_calls before = counted(HOSTMEM_BRIDGE_RUNTIME, HOSTMEM_BRIDGE_MALLOC);
        SetLastError(MARKER);
        assert_null(runtime->malloc(10));
        assert_int_equal(GetLastError(), ERROR_NOT_ENOUGH_MEMORY);
        assert_true(counted(HOSTMEM_BRIDGE_RUNTIME, HOSTMEM_BRIDGE_MALLOC).failures == before.failures + 1);
        assert_null(runtime->calloc(10, 10));
        assert_null(runtime->realloc(NULL, 10));
        assert_null(runtime->realloc(block, 1000)); /* and the old one stays */
        assert_true(is_all(block, 5, 100));
        SetLastError(MARKER);
        assert_null(runtime->heap_alloc(GetProcessHeap(), HEAP_ZERO_MEMORY, 10));
        assert_int_equal(GetLastError(), ERROR_NOT_ENOUGH_MEMORY);
        assert_null(runtime->heap_realloc(GetProcessHeap(), 0, heap_block, 1000));
        assert_int_equal(host.blocks, alive);
        assert_int_equal(host.wrong_blocks, 0);
    }
    host.block_shift = 0;
    host.block_hr = E_OUTOFMEMORY;
    PVOID handler = AddVectoredExceptionHandler(TRUE, exception_note);
    assert_null(runtime->heap_alloc(GetProcessHeap(), HEAP_GENERATE_EXCEPTIONS, 10));
    assert_int_equal(raised, (DWORD)STATUS_NO_MEMORY);
    raised = 0;
    assert_null(runtime->heap_realloc(GetProcessHeap(), HEAP_GENERATE_EXCEPTIONS, heap_block, 1000));
    assert_int_equal(raised, (DWORD)STATUS_NO_MEMORY);
    RemoveVectoredExceptionHandler(handler);
    host.block_hr = S_OK;
    runtime->crt_free(block);
    assert_true(runtime->heap_free(GetProcessHeap(), 0, heap_block));
    assert_given(heap_block);
}

/* The compiler and the collector are redirected as the runtime loads them, and a block may be freed by any of the three. */
static void modules_that_come(void **state)
{
    void *slots[SEVEN];

    (void)state;
    assert_null(runtime->load(bridge_beside(L"fake_jit_sizes.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH));
    assert_int_equal(GetLastError(), ERROR_PROC_NOT_FOUND);
    assert_string_equal(bridge_statistics().missing, "HeapSize _msize");
    HMODULE jit = runtime->load(bridge_beside(L"fake_jit.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    assert_non_null(jit);
    slots_read(jit, slots);
    for (unsigned i = 0; i < SEVEN; ++i)
        assert_true(is_here(slots[i]));
    assert_false(is_here(*bridge_slot(jit, "VirtualAlloc"))); /* its heap alone */
    HMODULE gc = runtime->load(bridge_beside(L"fake_gc.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    assert_non_null(gc);
    struct fake_calls *all[3] = {runtime, calls_of(jit), calls_of(gc)};

    for (unsigned from = 0; from < 3; ++from)
        for (unsigned to = 0; to < 3; ++to) {
            const hostmem_bridge_calls malloc_before = counted(HOSTMEM_BRIDGE_JIT, HOSTMEM_BRIDGE_MALLOC);
            char *block = all[from]->malloc(100);
            assert_taken(block, 100);
            assert_true(counted(HOSTMEM_BRIDGE_JIT, HOSTMEM_BRIDGE_MALLOC).calls ==
                        malloc_before.calls + (from == 1));
            char *grown = all[to]->realloc(block, 200);
            assert_given(block);
            all[from]->crt_free(grown);
            assert_given(grown);
            block = all[from]->heap_alloc(GetProcessHeap(), 0, 100);
            assert_taken(block, 100);
            assert_true(all[to]->heap_free(GetProcessHeap(), 0, block));
            assert_given(block);
        }

    /* A second compiler is on its own. */
    HMODULE second = runtime->load(bridge_beside(L"fake_jit_2.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    assert_non_null(second);
    const unsigned before = host.count;
    calls_of(second)->crt_free(calls_of(second)->malloc(10));
    assert_int_equal(host.count, before);
    assert_int_equal(host.blocks, 0);
}

/* Threads that free and grow what others have taken. */
enum { THREADS = 4, ROUNDS = 20000, PLACES = 64 };

static void *_Atomic places[PLACES];

static void take_and_give(struct member *member, void *context)
{
    (void)context;
    for (unsigned i = 0; i < ROUNDS; ++i) {
        const size_t size = 16 + crew_random(member, 200);
        unsigned char *block = runtime->malloc(size);
        crew_check(member, block != NULL, size);
        memset(block, (int)size & 0x7F, size);
        block[0] = (unsigned char)size;
        block = atomic_exchange(&places[crew_random(member, PLACES)], block);
        if (!block)
            continue;
        const size_t was = block[0];
        crew_check(member, was < 16 || is_all((char *)block + 1, (char)(was & 0x7F), was - 1), was);
        if (i % 3 == 0)
            block = runtime->realloc(block, 300);
        crew_check(member, block[0] == (unsigned char)was, was);
        runtime->crt_free(block);
    }
}

static void many_threads(void **state)
{
    static struct crew crew;

    (void)state;
    host.calls = NULL;
    host.capacity = 0;
    crew_run(&crew, THREADS, take_and_give, NULL);
    for (unsigned i = 0; i < PLACES; ++i)
        runtime->crt_free(atomic_exchange(&places[i], NULL));
    assert_int_equal(host.blocks, 0);
    assert_int_equal(host.wrong_blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(binds_that_fail_leave_nothing, each_setup),
        cmocka_unit_test_setup(the_bind, each_setup),
        cmocka_unit_test_setup(blocks_come_from_the_host, each_setup),
        cmocka_unit_test_setup(zero_where_it_is_asked_for, each_setup),
        cmocka_unit_test_setup(sizes_that_cannot_be, each_setup),
        cmocka_unit_test_setup(ours_change_their_size, each_setup),
        cmocka_unit_test_setup(foreign_blocks_go_on, each_setup),
        cmocka_unit_test_setup(private_heaps_are_left_alone, each_setup),
        cmocka_unit_test_setup(refusals, each_setup),
        cmocka_unit_test_setup(modules_that_come, each_setup),
        cmocka_unit_test_setup(many_threads, each_setup),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
