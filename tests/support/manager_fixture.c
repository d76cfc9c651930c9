/*
 * manager_fixture.c - see manager_fixture.h
 */
#include "support/manager_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "support/verified.h"

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (f == NULL || hostmem_create(NULL, &f->manager) != S_OK)
        return -1;
    if (hostmem_get_memory_manager(f->manager, &f->memory) != S_OK)
        return -1;
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_statistics_equal_windows(f->manager);
    assert_true(verified(f->manager));
    assert_int_equal(statistics.regions, 0);
    assert_int_equal(statistics.reserved.now, 0);
    assert_int_equal(statistics.committed.now, 0);
    assert_int_equal(statistics.views, 0);
    assert_int_equal(statistics.mapped.now, 0);
    IHostMemoryManager_Release(f->memory);
    hostmem_release(f->manager);
    free(f);
    return 0;
}

void *fixture_alloc(struct fixture *f, void *address, SIZE_T size, DWORD type, DWORD protect)
{
    void *memory = NULL;
    HRESULT result =
        IHostMemoryManager_VirtualAlloc(f->memory, address, size, type, protect, eTaskCritical, &memory);
    assert_hresult(result, S_OK);
    assert_non_null(memory);
    return memory;
}

void fixture_free(struct fixture *f, void *address, SIZE_T size, DWORD type)
{
    assert_hresult(IHostMemoryManager_VirtualFree(f->memory, address, size, type), S_OK);
}

hostmem_statistics fixture_statistics(hostmem_manager *manager)
{
    hostmem_statistics statistics;
    memset(&statistics, 0xcd, sizeof statistics);
    statistics.size = sizeof statistics;
    assert_hresult(hostmem_get_statistics(manager, &statistics), S_OK);
    return statistics;
}

struct sums {
    uint64_t reserved, committed, mapped, regions, views;
};

static HRESULT HOSTMEM_CALL add_region(const hostmem_region *region, void *context)
{
    struct sums *sums = context;
    uint64_t reserved = 0, committed = 0;
    char *at = region->base;
    MEMORY_BASIC_INFORMATION info;
    while (VirtualQuery(at, &info, sizeof info) != 0 && info.State != MEM_FREE &&
           info.AllocationBase == region->base) {
        reserved += info.RegionSize;
        if (info.State == MEM_COMMIT)
            committed += info.RegionSize;
        at = (char *)info.BaseAddress + info.RegionSize;
    }
    assert_int_equal(region->size, sizeof *region);
    assert_int_equal(region->reserved, reserved);
    if (region->kind == HOSTMEM_REGION_PRIVATE) {
        assert_int_equal(region->committed, committed);
        sums->reserved += reserved;
        sums->committed += committed;
        sums->regions++;
    } else {
        assert_int_equal(region->kind, HOSTMEM_REGION_VIEW);
        sums->mapped += reserved;
        sums->views++;
    }
    return S_OK;
}

void assert_statistics_equal_windows(hostmem_manager *manager)
{
    struct sums sums = {0};
    assert_hresult(hostmem_walk_regions(manager, add_region, &sums), S_OK);
    hostmem_statistics statistics = fixture_statistics(manager);
    assert_int_equal(statistics.reserved.now, sums.reserved);
    assert_int_equal(statistics.committed.now, sums.committed);
    assert_int_equal(statistics.mapped.now, sums.mapped);
    assert_int_equal(statistics.regions, sums.regions);
    assert_int_equal(statistics.views, sums.views);
    assert_true(statistics.reserved.peak >= statistics.reserved.now);
    assert_true(statistics.committed.peak >= statistics.committed.now);
}

struct picture picture_take(const void *base, SIZE_T size)
{
    struct picture picture;
    memset(&picture, 0, sizeof picture);
    const char *at = base;
    const char *end = at + size;
    do {
        MEMORY_BASIC_INFORMATION *run = &picture.run[picture.count];
        if (VirtualQuery(at, run, sizeof *run) == 0)
            break;
        picture.count++;
        at = (const char *)run->BaseAddress + run->RegionSize;
        if (at > end) /* what lies behind the range may be others' business */
            run->RegionSize = (SIZE_T)(end - (const char *)run->BaseAddress);
    } while (at < end && picture.count < sizeof picture.run / sizeof picture.run[0]);
    return picture;
}

void assert_picture(const struct picture *expected, const void *base, SIZE_T size)
{
    struct picture now = picture_take(base, size);
    assert_int_equal(now.count, expected->count);
    for (unsigned i = 0; i < now.count; i++) {
        const MEMORY_BASIC_INFORMATION *a = &now.run[i], *b = &expected->run[i];
        assert_ptr_equal(a->BaseAddress, b->BaseAddress);
        assert_int_equal(a->State, b->State);
        if (b->State == MEM_FREE)
            continue; /* how far free space reaches is other threads' business too */
        assert_ptr_equal(a->AllocationBase, b->AllocationBase);
        assert_int_equal(a->AllocationProtect, b->AllocationProtect);
        assert_int_equal(a->RegionSize, b->RegionSize);
        assert_int_equal(a->Protect, b->Protect);
        assert_int_equal(a->Type, b->Type);
    }
}

static unsigned char byte_at(SIZE_T i, unsigned seed)
{
    return (unsigned char)((i * 31 + seed) ^ (i >> 8));
}

void fill_bytes(void *base, SIZE_T size, unsigned seed)
{
    unsigned char *bytes = base;
    for (SIZE_T i = 0; i < size; i++)
        bytes[i] = byte_at(i, seed);
}

void assert_bytes(const void *base, SIZE_T size, unsigned seed)
{
    const unsigned char *bytes = base;
    for (SIZE_T i = 0; i < size; i++)
        if (bytes[i] != byte_at(i, seed))
            fail_msg("byte %lu has changed", (unsigned long)i);
}
