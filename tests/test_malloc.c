/*
 * test_malloc.c - IHostMalloc: blocks, their flags, and what Free makes of pointers that are none
 */
#include "support/manager_fixture.h"

#include <string.h>

static const DWORD all_flags[] = {0, MALLOC_THREADSAFE, MALLOC_EXECUTABLE,
                                  MALLOC_THREADSAFE | MALLOC_EXECUTABLE};

static IHostMalloc *make_heap(struct fixture *f, DWORD flags)
{
    IHostMalloc *heap = NULL;
    assert_hresult(IHostMemoryManager_CreateMalloc(f->memory, flags, &heap), S_OK);
    assert_non_null(heap);
    return heap;
}

static void *alloc(IHostMalloc *heap, SIZE_T size)
{
    void *block = NULL;
    assert_hresult(IHostMalloc_Alloc(heap, size, eTaskCritical, &block), S_OK);
    assert_non_null(block);
    return block;
}

static void assert_blocks(struct fixture *f, uint64_t blocks, uint64_t bytes)
{
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.blocks, blocks);
    assert_int_equal(statistics.heap.now, bytes);
}

static void test_create(void **state)
{
    struct fixture *f = *state;
    static const DWORD unknown[] = {4, 8, 0x80000000, 5, 0xffffffff};
    for (unsigned i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        IHostMalloc *heap = (IHostMalloc *)1;
        assert_hresult(IHostMemoryManager_CreateMalloc(f->memory, unknown[i], &heap), E_INVALIDARG);
        assert_null(heap);
        assert_hresult(IHostMemoryManager_CreateMalloc(f->memory, unknown[i], NULL), E_POINTER);
    }
    for (unsigned i = 0; i < sizeof all_flags / sizeof all_flags[0]; i++) {
        IHostMalloc *heap = make_heap(f, all_flags[i]);
        void *out;
        assert_hresult(IHostMalloc_QueryInterface(heap, &IID_IUnknown, &out), S_OK);
        assert_ptr_equal(out, heap);
        assert_hresult(IHostMalloc_QueryInterface(heap, &IID_IHostMalloc, &out), S_OK);
        assert_ptr_equal(out, heap);
        assert_int_equal(IHostMalloc_Release(heap), 2);
        assert_hresult(IHostMalloc_QueryInterface(heap, &IID_IHostMemoryManager, &out), E_NOINTERFACE);
        assert_null(out);
        assert_hresult(IHostMalloc_QueryInterface(heap, &IID_IUnknown, NULL), E_POINTER);
        assert_int_equal(IHostMalloc_Release(heap), 1);
        assert_int_equal(IHostMalloc_Release(heap), 0);
    }
    /* Each heap held a reference to its manager and gave it back. */
    assert_int_equal(IHostMemoryManager_AddRef(f->memory), 3);
    assert_int_equal(IHostMemoryManager_Release(f->memory), 2);
}

static void test_blocks_are_aligned_zeroed_and_apart(void **state)
{
    struct fixture *f = *state;
    static const SIZE_T sizes[] = {0, 1, 7, 8, 15, 16, 17, 100, 4095, 4096, 65536, 600000, 5000000};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    for (unsigned i = 0; i < sizeof all_flags / sizeof all_flags[0]; i++) {
        IHostMalloc *heap = make_heap(f, all_flags[i]);
        for (int round = 0; round < 2; round++) { /* the second one gets memory that was used before */
            unsigned char *blocks[2 * COUNT];
            uint64_t total = 0;
            for (unsigned n = 0; n < 2 * COUNT; n++) {
                SIZE_T size = sizes[n / 2];
                void *block;
                if (n % 2 == 0)
                    block = alloc(heap, size);
                else
                    assert_hresult(IHostMalloc_DebugAlloc(heap, size, eTaskCritical, "x.c", 1, &block), S_OK);
                blocks[n] = block;
                assert_int_equal((uintptr_t)block % (2 * sizeof(void *)), 0);
                for (SIZE_T b = 0; b < size; b++)
                    assert_true(blocks[n][b] == 0);
                fill_bytes(block, size, n);
                total += size;
            }
            assert_blocks(f, 2 * COUNT, total);
            for (unsigned n = 0; n < 2 * COUNT; n++) {
                assert_bytes(blocks[n], sizes[n / 2], n);
                assert_hresult(IHostMalloc_Free(heap, blocks[n]), S_OK);
            }
            assert_blocks(f, 0, 0);
            assert_int_equal(fixture_statistics(f->manager).heap.peak, total);
        }
        assert_int_equal(IHostMalloc_Release(heap), 0);
    }
}

static void test_requests_that_cannot_be_met(void **state)
{
    struct fixture *f = *state;
    IHostMalloc *heap = make_heap(f, MALLOC_THREADSAFE);
    static const SIZE_T sizes[] = {SIZE_MAX,       SIZE_MAX - 1,       SIZE_MAX - 15, SIZE_MAX - 16,
                                   SIZE_MAX - 200, SIZE_MAX - GRANULE, SIZE_MAX / 2,  SIZE_MAX / 2 + 1};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *block = (void *)1;
        assert_hresult(IHostMalloc_Alloc(heap, sizes[i], eTaskCritical, &block), E_OUTOFMEMORY);
        assert_null(block);
        block = (void *)1;
        assert_hresult(IHostMalloc_DebugAlloc(heap, sizes[i], eTaskCritical, "file", 1, &block),
                       E_OUTOFMEMORY);
        assert_null(block);
    }
    assert_hresult(IHostMalloc_Alloc(heap, 1, eTaskCritical, NULL), E_POINTER);
    assert_hresult(IHostMalloc_DebugAlloc(heap, 1, eTaskCritical, "file", 1, NULL), E_POINTER);
    assert_blocks(f, 0, 0);
    assert_int_equal(fixture_statistics(f->manager).heap.peak, 0);
    IHostMalloc_Release(heap);
}

static void test_pointers_that_are_no_blocks(void **state)
{
    struct fixture *f = *state;
    IHostMalloc *heap = make_heap(f, MALLOC_THREADSAFE), *other = make_heap(f, MALLOC_THREADSAFE);
    char *block = alloc(heap, 1000), *others = alloc(other, 1000);
    char *process_block = HeapAlloc(GetProcessHeap(), 0, 1000);
    char *reserved = VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_NOACCESS);
    char local[64];
    fill_bytes(block, 1000, 1);
    fill_bytes(others, 1000, 2);
    fill_bytes(process_block, 1000, 3);
    fill_bytes(local, sizeof local, 4);
    void *wrong[] = {others,
                     process_block,
                     reserved,
                     local,
                     block + 1,
                     block + 8,
                     block + 16,
                     block - 8,
                     block - 16,
                     block + 512,
                     (void *)1,
                     (void *)16,
                     (void *)(UINTPTR_MAX - 15),
                     (void *)UINTPTR_MAX,
                     (void *)(UINTPTR_MAX / 2 + 1),
                     (void *)test_create,
                     heap,
                     f->memory};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        SetLastError(NO_ERROR_SET);
        assert_hresult(IHostMalloc_Free(heap, wrong[i]), HOST_E_INVALIDOPERATION);
        assert_int_equal(GetLastError(), NO_ERROR_SET);
        assert_int_equal(fixture_statistics(f->manager).foreign_frees, i + 1);
    }
    assert_bytes(block, 1000, 1);
    assert_bytes(others, 1000, 2);
    assert_bytes(process_block, 1000, 3);
    assert_bytes(local, sizeof local, 4);
    assert_blocks(f, 2, 2000);

    SetLastError(NO_ERROR_SET);
    assert_hresult(IHostMalloc_Free(heap, NULL), S_OK);
    assert_int_equal(GetLastError(), NO_ERROR_SET);
    assert_hresult(IHostMalloc_Free(heap, block), S_OK);
    assert_hresult(IHostMalloc_Free(heap, block), HOST_E_INVALIDOPERATION);
    assert_hresult(IHostMalloc_Free(other, block), HOST_E_INVALIDOPERATION);
    assert_hresult(IHostMalloc_Free(other, others), S_OK);
    assert_blocks(f, 0, 0);
    IHostMalloc_Release(heap);
    IHostMalloc_Release(other);
    HeapFree(GetProcessHeap(), 0, process_block);
    VirtualFree(reserved, 0, MEM_RELEASE);
}

/* Code in a block runs; in a heap without the flag the pages are not executable. */
static void test_executable(void **state)
{
    struct fixture *f = *state;
    static const SIZE_T sizes[] = {1, 100, 3 * PAGE, 2 * 1024 * 1024};
    IHostMalloc *heap = make_heap(f, MALLOC_THREADSAFE | MALLOC_EXECUTABLE),
                *plain = make_heap(f, MALLOC_THREADSAFE);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *code = alloc(heap, sizes[i]), *data = alloc(plain, sizes[i]);
        MEMORY_BASIC_INFORMATION info;
        VirtualQuery(code, &info, sizeof info);
        assert_int_equal(info.Protect, PAGE_EXECUTE_READWRITE);
        VirtualQuery(data, &info, sizeof info);
        assert_int_equal(info.Protect, PAGE_READWRITE);
        code[sizes[i] - 1] = 0xc3; /* ret */
        FlushInstructionCache(GetCurrentProcess(), code, sizes[i]);
        ((void (*)(void))(uintptr_t)(code + sizes[i] - 1))();
        assert_hresult(IHostMalloc_Free(heap, code), S_OK);
        assert_hresult(IHostMalloc_Free(plain, data), S_OK);
    }
    IHostMalloc_Release(heap);
    IHostMalloc_Release(plain);
}

enum { WORKERS = 4, ROUNDS = 3000 };

struct crowd {
    IHostMalloc *heap;
    void *volatile shared[ROUNDS]; /* blocks that all of them free */
    LONG volatile freed, refused, wrong;
};

static DWORD WINAPI free_all(void *context)
{
    struct crowd *crowd = context;
    for (int i = 0; i < ROUNDS; i++) {
        HRESULT result = IHostMalloc_Free(crowd->heap, crowd->shared[i]);
        InterlockedIncrement(result == S_OK                      ? &crowd->freed
                             : result == HOST_E_INVALIDOPERATION ? &crowd->refused
                                                                 : &crowd->wrong);
    }
    return 0;
}

static DWORD WINAPI allocate_and_free(void *context)
{
    struct crowd *crowd = context;
    unsigned char *kept[16] = {NULL};
    unsigned seed = GetCurrentThreadId();
    for (int i = 0; i < 20000; i++) {
        unsigned slot = (seed = seed * 1103515245 + 12345) >> 16 & 15;
        if (kept[slot] != NULL && (kept[slot][0] != slot || kept[slot][9] != 77))
            InterlockedIncrement(&crowd->wrong);
        if (IHostMalloc_Free(crowd->heap, kept[slot]) != S_OK)
            InterlockedIncrement(&crowd->wrong);
        void *block = NULL;
        if (IHostMalloc_Alloc(crowd->heap, 10 + (seed >> 20 & 255), eTaskCritical, &block) != S_OK)
            InterlockedIncrement(&crowd->wrong);
        kept[slot] = block;
        kept[slot][0] = (unsigned char)slot;
        kept[slot][9] = 77;
    }
    for (int slot = 0; slot < 16; slot++)
        if (IHostMalloc_Free(crowd->heap, kept[slot]) != S_OK)
            InterlockedIncrement(&crowd->wrong);
    return 0;
}

static void run_crowd(struct crowd *crowd, LPTHREAD_START_ROUTINE work)
{
    HANDLE threads[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        threads[i] = CreateThread(NULL, 0, work, crowd, 0, NULL);
        assert_non_null(threads[i]);
    }
    assert_int_equal(WaitForMultipleObjects(WORKERS, threads, TRUE, 60000), WAIT_OBJECT_0);
    for (int i = 0; i < WORKERS; i++)
        CloseHandle(threads[i]);
    assert_int_equal(crowd->wrong, 0);
}

static void test_threads_at_once(void **state)
{
    struct fixture *f = *state;
    static struct crowd crowd;
    crowd = (struct crowd){.heap = make_heap(f, MALLOC_THREADSAFE)};
    run_crowd(&crowd, allocate_and_free);
    assert_blocks(f, 0, 0);

    /* A double free by four at once: exactly one of them is told S_OK. */
    for (int i = 0; i < ROUNDS; i++)
        crowd.shared[i] = alloc(crowd.heap, 40);
    run_crowd(&crowd, free_all);
    assert_int_equal(crowd.freed, ROUNDS);
    assert_int_equal(crowd.refused, (WORKERS - 1) * ROUNDS);
    assert_blocks(f, 0, 0);
    IHostMalloc_Release(crowd.heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_create),
        fixture_test(test_blocks_are_aligned_zeroed_and_apart),
        fixture_test(test_requests_that_cannot_be_met),
        fixture_test(test_pointers_that_are_no_blocks),
        fixture_test(test_executable),
        fixture_test(test_threads_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
