/*
 * test_leaks.c - the leak list, and what becomes of memory whose manager or heap goes
 *
 * What is still owned is reported and stays where it is, usable; the manager's own memory goes.
 */
#include "support/manager_fixture.h"
#include "support/verified.h"

#include <string.h>

enum { NAME_MAX_SHOWN = 127 };

struct seen {
    unsigned count;
    hostmem_block block[16];
    char file[16][NAME_MAX_SHOWN + 1];
    bool has_file[16];
    unsigned regions;
    hostmem_region region[8];
};

static HRESULT HOSTMEM_CALL see_block(const hostmem_block *block, void *context)
{
    struct seen *seen = context;
    assert_true(seen->count < 16);
    assert_int_equal(block->size, sizeof *block);
    assert_int_equal(block->flags, 0);
    unsigned n = seen->count++;
    seen->block[n] = *block;
    seen->has_file[n] = block->file != NULL;
    if (block->file != NULL) {
        assert_true(strlen(block->file) <= NAME_MAX_SHOWN);
        strcpy(seen->file[n], block->file);
    }
    return S_OK;
}

static HRESULT HOSTMEM_CALL see_region(const hostmem_region *region, void *context)
{
    struct seen *seen = context;
    assert_true(seen->regions < 8);
    seen->region[seen->regions++] = *region;
    return E_FAIL; /* ignored by a teardown */
}

static unsigned index_of(const struct seen *seen, const void *address)
{
    for (unsigned i = 0; i < seen->count; i++)
        if (seen->block[i].address == address)
            return i;
    fail_msg("a block is missing from the list");
    return 0;
}

static void *debug_alloc(IHostMalloc *heap, SIZE_T size, const char *file, int line)
{
    void *block = NULL;
    assert_hresult(IHostMalloc_DebugAlloc(heap, size, eTaskCritical, (char *)file, line, &block), S_OK);
    return block;
}

static void test_file_and_line(void **state)
{
    struct fixture *f = *state;
    static const DWORD flags[] = {0, MALLOC_THREADSAFE};
    char exact[NAME_MAX_SHOWN + 1], longer[NAME_MAX_SHOWN + 2], very_long[1001];
    memset(exact, 'e', sizeof exact - 1), exact[NAME_MAX_SHOWN] = 0;
    memset(longer, 'l', sizeof longer - 1), longer[0] = 'X', longer[NAME_MAX_SHOWN + 1] = 0;
    for (int i = 0; i < 1000; i++)
        very_long[i] = (char)('a' + i % 26);
    very_long[1000] = 0;
    const struct {
        const char *file, *shown;
        int line;
    } rows[] = {{"heap.cpp", "heap.cpp", 42},
                {"", "", -1},
                {NULL, NULL, 7},
                {exact, exact, 1},
                {longer, longer + 1, 2},
                {very_long, very_long + 1000 - NAME_MAX_SHOWN, 0x7fffffff}};
    enum { ROWS = sizeof rows / sizeof rows[0] };
    for (unsigned h = 0; h < 2; h++) {
        IHostMalloc *heap;
        assert_hresult(IHostMemoryManager_CreateMalloc(f->memory, flags[h], &heap), S_OK);
        void *blocks[ROWS], *plain;
        for (unsigned i = 0; i < ROWS; i++) {
            /* Odd sizes: what is kept behind them needs alignment of its own. */
            blocks[i] = debug_alloc(heap, 33 + i, rows[i].file, rows[i].line);
            memset(blocks[i], 0xff, 33 + i);
        }
        assert_hresult(IHostMalloc_Alloc(heap, 5, eTaskCritical, &plain), S_OK);
        struct seen seen = {0};
        assert_hresult(hostmem_walk_blocks(f->manager, see_block, &seen), S_OK);
        assert_int_equal(seen.count, ROWS + 1);
        for (unsigned i = 0; i < ROWS; i++) {
            unsigned n = index_of(&seen, blocks[i]);
            assert_int_equal(seen.block[n].line, rows[i].line);
            assert_int_equal(seen.block[n].bytes, 33 + i);
            assert_ptr_equal(seen.block[n].heap, heap);
            assert_int_equal(seen.block[n].malloc_flags, flags[h]);
            assert_int_equal(seen.has_file[n], rows[i].shown != NULL);
            if (rows[i].shown != NULL)
                assert_string_equal(seen.file[n], rows[i].shown);
        }
        unsigned n = index_of(&seen, plain);
        assert_false(seen.has_file[n]);
        assert_int_equal(seen.block[n].line, 0);
        for (unsigned i = 0; i < ROWS; i++)
            assert_hresult(IHostMalloc_Free(heap, blocks[i]), S_OK);
        assert_hresult(IHostMalloc_Free(heap, plain), S_OK);
        seen = (struct seen){0};
        assert_hresult(hostmem_walk_blocks(f->manager, see_block, &seen), S_OK);
        assert_int_equal(seen.count, 0);
        IHostMalloc_Release(heap);
    }
}

static HRESULT HOSTMEM_CALL stop_at_once(const hostmem_block *block, void *context)
{
    (void)block;
    ++*(unsigned *)context;
    return 0x1234;
}

static HRESULT HOSTMEM_CALL free_it(const hostmem_block *block, void *context)
{
    ++*(unsigned *)context;
    return IHostMalloc_Free(block->heap, block->address);
}

/* The callback may stop the walk, and may use the heap that it is shown. */
static void test_the_walk_and_its_callback(void **state)
{
    struct fixture *f = *state;
    IHostMalloc *a, *b;
    void *block;
    unsigned count = 0;
    assert_hresult(IHostMemoryManager_CreateMalloc(f->memory, MALLOC_THREADSAFE, &a), S_OK);
    assert_hresult(IHostMemoryManager_CreateMalloc(f->memory, MALLOC_THREADSAFE, &b), S_OK);
    for (int i = 0; i < 500; i++) {
        assert_hresult(IHostMalloc_Alloc(a, 1 + i * 97, eTaskCritical, &block), S_OK);
        assert_hresult(IHostMalloc_Alloc(b, 1 + i, eTaskCritical, &block), S_OK);
    }
    assert_hresult(hostmem_walk_blocks(f->manager, stop_at_once, &count), 0x1234);
    assert_int_equal(count, 1);
    count = 0;
    assert_hresult(hostmem_walk_blocks(f->manager, free_it, &count), S_OK);
    assert_int_equal(count, 1000);
    assert_int_equal(fixture_statistics(f->manager).blocks, 0);
    assert_int_equal(fixture_statistics(f->manager).heap.now, 0);
    assert_int_equal(IHostMalloc_Release(a), 0);
    assert_int_equal(IHostMalloc_Release(b), 0);
}

/* Pages of the process that are neither image nor mapped. */
static uint64_t private_bytes(void)
{
    uint64_t bytes = 0;
    MEMORY_BASIC_INFORMATION info;
    for (char *at = NULL; VirtualQuery(at, &info, sizeof info) != 0;) {
        if (info.State != MEM_FREE && info.Type == MEM_PRIVATE)
            bytes += info.RegionSize;
        char *next = (char *)info.BaseAddress + info.RegionSize;
        if (next <= at)
            break;
        at = next;
    }
    return bytes;
}

/* Everything is released while memory is still owned. */
static void test_what_is_left_is_reported_and_left(void **state)
{
    (void)state;
    struct seen seen = {0};
    hostmem_options options = {
        .size = sizeof options, .leaked_region = see_region, .leaked_block = see_block, .context = &seen};
    hostmem_manager *manager;
    IHostMemoryManager *memory;
    IHostMalloc *heap;
    void *regions[2], *freed, *freed_block;
    assert_hresult(hostmem_create(&options, &manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(manager, &memory), S_OK);
    assert_hresult(IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &heap), S_OK);
    for (int i = 0; i < 2; i++)
        assert_hresult(IHostMemoryManager_VirtualAlloc(memory, NULL, (1 + i) * GRANULE,
                                                       MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE,
                                                       eTaskCritical, &regions[i]),
                       S_OK);
    assert_hresult(IHostMemoryManager_VirtualAlloc(memory, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE,
                                                   eTaskCritical, &freed),
                   S_OK);
    assert_hresult(IHostMemoryManager_VirtualFree(memory, freed, 0, MEM_RELEASE), S_OK);
    void *block = debug_alloc(heap, 1000, "leak.cpp", 99);
    freed_block = debug_alloc(heap, 10, "freed.cpp", 1);
    assert_hresult(IHostMalloc_Free(heap, freed_block), S_OK);
    fill_bytes(block, 1000, 1);
    fill_bytes(regions[1], 2 * GRANULE, 2);

    assert_true(verified(manager));
    assert_int_equal(IHostMemoryManager_Release(memory), 2);
    hostmem_release(manager);
    assert_int_equal(seen.count, 0);
    assert_int_equal(seen.regions, 0);
    assert_int_equal(IHostMalloc_Release(heap), 0); /* the last reference to both */
    assert_int_equal(seen.count, 1);
    assert_ptr_equal(seen.block[0].address, block);
    assert_int_equal(seen.block[0].line, 99);
    assert_string_equal(seen.file[0], "leak.cpp");
    assert_int_equal(seen.regions, 2);
    for (int i = 0; i < 2; i++) {
        unsigned n = seen.region[0].base == regions[i] ? 0 : 1;
        assert_ptr_equal(seen.region[n].base, regions[i]);
        assert_int_equal(seen.region[n].reserved, (1 + i) * GRANULE);
        assert_int_equal(seen.region[n].committed, (1 + i) * GRANULE);
    }
    assert_bytes(block, 1000, 1);
    memset(block, 2, 1000);
    assert_bytes(regions[1], 2 * GRANULE, 2);
    memset(regions[1], 3, 2 * GRANULE);
    assert_true(VirtualFree(regions[0], 0, MEM_RELEASE));
    assert_true(VirtualFree(regions[1], 0, MEM_RELEASE));
    MEMORY_BASIC_INFORMATION info;
    VirtualQuery(manager, &info, sizeof info);
    assert_int_equal(info.State, MEM_FREE); /* the object itself */
}

/* How long ago: a region, a view, and what has the record of one that has gone. */
static void test_ages(void **state)
{
    enum { PAUSE_MS = 400, TICK_MS = 20 };
    struct seen seen = {0};
    const hostmem_options options = {.size = sizeof options, .leaked_region = see_region, .context = &seen};
    hostmem_manager *manager;
    IHostMemoryManager *memory;
    void *gone, *old, *young;
    (void)state;
    assert_hresult(hostmem_create(&options, &manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(manager, &memory), S_OK);
    HANDLE file = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, GRANULE, NULL);
    void *view = MapViewOfFile(file, FILE_MAP_WRITE, 0, 0, 0);
    assert_non_null(view);
    const ULONGLONG start = GetTickCount64();
    IHostMemoryManager_VirtualAlloc(memory, NULL, PAGE, MEM_RESERVE, PAGE_READWRITE, eTaskCritical, &gone);
    IHostMemoryManager_VirtualAlloc(memory, NULL, PAGE, MEM_RESERVE, PAGE_READWRITE, eTaskCritical, &old);
    IHostMemoryManager_AcquiredVirtualAddressSpace(memory, view, GRANULE);
    assert_hresult(IHostMemoryManager_VirtualFree(memory, gone, 0, MEM_RELEASE), S_OK);
    Sleep(PAUSE_MS);
    const ULONGLONG middle = GetTickCount64();
    IHostMemoryManager_VirtualAlloc(memory, NULL, PAGE, MEM_RESERVE, PAGE_READWRITE, eTaskCritical, &young);
    IHostMemoryManager_Release(memory);
    hostmem_release(manager);
    const ULONGLONG end = GetTickCount64();
    assert_int_equal(seen.regions, 3);
    for (unsigned i = 0; i < 3; i++) {
        const hostmem_region *region = &seen.region[i];
        assert_true(region->base == old || region->base == view || region->base == young);
        if (region->base == young)
            assert_in_range(region->age, 0, end - middle + TICK_MS);
        else
            assert_in_range(region->age, PAUSE_MS - TICK_MS, end - start + TICK_MS);
    }
    VirtualFree(old, 0, MEM_RELEASE);
    VirtualFree(young, 0, MEM_RELEASE);
    UnmapViewOfFile(view);
    CloseHandle(file);
}

/* A manager with a busy life leaves none of its own pages. */
static void one_life(void)
{
    static void *regions[3000];
    hostmem_manager *manager;
    IHostMemoryManager *memory;
    IHostMalloc *heap;
    void *block, *big;
    assert_hresult(hostmem_create(NULL, &manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(manager, &memory), S_OK);
    assert_hresult(IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &heap), S_OK);
    assert_hresult(IHostMemoryManager_VirtualAlloc(memory, NULL, 200 << 20, MEM_RESERVE, PAGE_READWRITE,
                                                   eTaskCritical, &big),
                   S_OK);
    assert_hresult(IHostMemoryManager_VirtualAlloc(memory, big, 1 << 20, MEM_COMMIT, PAGE_READWRITE,
                                                   eTaskCritical, &block),
                   S_OK);
    for (unsigned i = 0; i < 3000; i++)
        assert_hresult(IHostMemoryManager_VirtualAlloc(memory, NULL, PAGE, MEM_RESERVE, PAGE_NOACCESS,
                                                       eTaskCritical, &regions[i]),
                       S_OK);
    assert_hresult(IHostMalloc_Alloc(heap, 100, eTaskCritical, &block), S_OK);
    assert_true(fixture_statistics(manager).metadata > 100000);
    assert_hresult(IHostMalloc_Free(heap, block), S_OK);
    for (unsigned i = 0; i < 3000; i++)
        assert_hresult(IHostMemoryManager_VirtualFree(memory, regions[i], 0, MEM_RELEASE), S_OK);
    assert_hresult(IHostMemoryManager_VirtualFree(memory, big, 0, MEM_RELEASE), S_OK);
    assert_int_equal(IHostMalloc_Release(heap), 0);
    assert_true(verified(manager));
    assert_int_equal(IHostMemoryManager_Release(memory), 1);
    hostmem_release(manager);
}

static void test_no_metadata_is_left(void **state)
{
    (void)state;
    one_life(); /* the C library and Wine take their share once */
    uint64_t before = private_bytes();
    for (int i = 0; i < 3; i++)
        one_life();
    assert_int_equal(private_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_file_and_line),
        fixture_test(test_the_walk_and_its_callback),
        cmocka_unit_test(test_what_is_left_is_reported_and_left),
        cmocka_unit_test(test_ages),
        cmocka_unit_test(test_no_metadata_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
