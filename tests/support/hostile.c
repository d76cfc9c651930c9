/*
 * hostile.c - see hostile.h
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/hostile.h"

#include "support/verified.h"

struct hostile hostile;

static uint64_t generator;

void hostile_seed(uint64_t seed)
{
    generator = seed * 0x9E3779B97F4A7C15u + 1;
}

uint64_t any(void)
{
    generator ^= generator << 13;
    generator ^= generator >> 7;
    generator ^= generator << 17;
    return generator;
}

uint64_t below(uint64_t limit)
{
    return (any() >> 11) % limit;
}

void hostile_fail(const char *condition, int line)
{
    const uint64_t *a = hostile.argument;
    fail_msg("call %llu, %s(%#llx, %#llx, %#llx, %#llx, %#llx): %s is false (line %d)",
             (unsigned long long)hostile.number, hostile.name, (unsigned long long)a[0],
             (unsigned long long)a[1], (unsigned long long)a[2], (unsigned long long)a[3],
             (unsigned long long)a[4], condition, line);
}

void calling(const char *name, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    hostile.name = name;
    hostile.number++;
    hostile.argument[0] = a;
    hostile.argument[1] = b;
    hostile.argument[2] = c;
    hostile.argument[3] = d;
    hostile.argument[4] = e;
    SetLastError(SENTINEL);
}

void called(hostmem_method method, HRESULT result)
{
    hostile.calls[method]++;
    hostile.failures[method] += result != S_OK;
    hostile.foreign_frees += result == HOST_E_INVALIDOPERATION;
    require(result != E_FAIL);
}

/* As the header has it: Windows' error is the last error, our own refusals leave it. */
void require_error(HRESULT result, DWORD error)
{
    static const DWORD exhausted[] = {8, 14, 1450, 1453, 1454, 1455, 1816};
    if (result == E_POINTER || result == HOST_E_INVALIDOPERATION || result == HOST_E_CLRNOTAVAILABLE) {
        require(error == SENTINEL);
    } else if (result == E_OUTOFMEMORY) {
        bool known = false;
        for (unsigned i = 0; i < sizeof exhausted / sizeof *exhausted; i++)
            known |= error == exhausted[i];
        require(known);
    } else if (result != S_OK) {
        require(result == HRESULT_FROM_WIN32(error));
    }
}

MEMORY_BASIC_INFORMATION windows_at(const void *address)
{
    MEMORY_BASIC_INFORMATION info;
    if (VirtualQuery(address, &info, sizeof info) == 0)
        info = (MEMORY_BASIC_INFORMATION){.State = MEM_FREE};
    return info;
}

uint64_t windows_extent(const char *base, uint64_t *committed)
{
    uint64_t bytes = 0;
    *committed = 0;
    for (;;) {
        MEMORY_BASIC_INFORMATION info = windows_at(base + bytes);
        if (info.State == MEM_FREE || info.AllocationBase != base)
            return bytes;
        *committed += info.State == MEM_COMMIT ? info.RegionSize : 0;
        bytes += info.RegionSize;
    }
}

struct owned *owned_at(const char *address)
{
    for (unsigned i = 0; i < REGIONS; i++) {
        struct owned *region = &hostile.region[i];
        if (region->base != NULL && (uintptr_t)address - (uintptr_t)region->base < region->bytes)
            return region;
    }
    return NULL;
}

static bool in(const char *address, const char *base, uint64_t bytes)
{
    return (uintptr_t)address - (uintptr_t)base < bytes;
}

char *harmless(char *address)
{
    bool ours = owned_at(address) != NULL || in(address, hostile.arena, ARENA_PAGES * PAGE) ||
                in(address, hostile.view, GRANULE);
    if (ours || windows_at(address).State == MEM_FREE)
        return address;
    return hostile.arena + below(ARENA_PAGES * PAGE);
}

bool may_reserve(const char *address)
{
    if (sizeof(void *) == 8 || address == NULL)
        return true;
    bool known = owned_at(address) != NULL || in(address, hostile.arena, ARENA_PAGES * PAGE) ||
                 in(address, hostile.bystander, 2 * BYSTANDER_PAGES * PAGE);
    return (uintptr_t)address < (uintptr_t)1 << 31 && (known || windows_at(address).State != MEM_RESERVE);
}

void adopt(void *memory)
{
    char *base = windows_at(memory).AllocationBase;
    uint64_t committed;
    if (owned_at(base) != NULL)
        return;
    struct owned *slot = hostile.region;
    while (slot < hostile.region + REGIONS && slot->base != NULL)
        slot++;
    require(slot < hostile.region + REGIONS);
    *slot = (struct owned){.base = base, .bytes = windows_extent(base, &committed)};
    require(slot->bytes != 0);
    hostile.regions++;
}

void see_if_gone(struct owned *region)
{
    MEMORY_BASIC_INFORMATION info = windows_at(region->base);
    if (info.State != MEM_FREE && info.AllocationBase == region->base)
        return;
    require(hostmem_owns(hostile.manager, region->base) == S_FALSE);
    hostile.freed[below(FREED)] = region->base;
    *region = (struct owned){.base = NULL};
    hostile.regions--;
}

/* Pools */

static char *odd(char *base, uint64_t bytes)
{
    switch (below(8)) {
    case 0:
    case 4:
    case 5:
        return base;
    case 1:
        return base - 1;
    case 2:
        return base + bytes;
    case 3:
        return base + below(bytes) / PAGE * PAGE;
    default:
        return base + below(bytes);
    }
}

static struct owned *any_region(void)
{
    struct owned *region = &hostile.region[below(REGIONS)];
    return region->base != NULL ? region : NULL;
}

static char *elsewhere(void)
{
    static char in_image[PAGE];
    switch (below(14)) {
    case 0:
        return __builtin_frame_address(0); /* the stack */
    case 1:
        return odd(in_image, sizeof in_image);
    case 2:
        return (char *)(uintptr_t)elsewhere;
    case 3:
        return (char *)GetModuleHandleW(below(2) ? L"ntdll.dll" : NULL);
    case 4:
        return windows_at(__builtin_frame_address(0)).AllocationBase; /* its end */
    case 5:
        return (char *)(uintptr_t)0x7FFE0000u; /* Windows' shared page */
    case 6:
        return odd(hostile.raw_block, 64);
    case 7:
        return odd(hostile.crt_block, 64);
    case 8: /* the accounting itself */
        return (char *)hostile.manager + below(4 * PAGE);
    case 9:
        return (char *)hostile.heap[0];
    case 10:
        return (char *)GetProcessHeap() + below(PAGE);
    case 11:
        return hostile.freed_block;
    default:
        return odd(hostile.bystander, 2 * BYSTANDER_PAGES * PAGE);
    }
}

char *any_address(void)
{
    struct owned *region;
    struct block *block;
    switch (below(24)) {
    case 0:
        return NULL;
    case 1:
        return (char *)(uintptr_t)below(2 * GRANULE);
    case 2: /* kernel's, or the end */
        return (char *)((uintptr_t)1 << (sizeof(void *) * 8 - 1)) + below(MIB);
    case 3:
        return (char *)(UINTPTR_MAX - (uintptr_t)below(2 * GRANULE));
    case 4:
        return (char *)(uintptr_t)(any() >> below(64));
    case 5:
        return elsewhere();
    case 6:
        return odd(hostile.view, GRANULE);
    case 7:
        return odd(hostile.arena, ARENA_PAGES * PAGE);
    case 8:
        return hostile.freed[below(FREED)] + below(2) * below(GRANULE);
    case 9:
        block = &hostile.block[below(BLOCKS)];
        return block->memory != NULL ? odd(block->memory, block->bytes + 16) : NULL;
    default:
        region = any_region();
        return region != NULL ? odd(region->base, region->bytes) : hostile.freed[below(FREED)];
    }
}

/* Never so much that it could succeed and be a burden: at most a few MiB, or far too much. */
SIZE_T any_size(const char *address)
{
    const struct owned *region = owned_at(address);
    uint64_t whole = region != NULL ? region->bytes : GRANULE;
    switch (below(20)) {
    case 0:
        return (SIZE_T)below(3);
    case 1:
        return PAGE - 1 + (SIZE_T)below(3);
    case 2:
        return GRANULE - 1 + (SIZE_T)below(3);
    case 3:
        return (SIZE_T)(whole - 1 + below(3));
    case 4:
        return (SIZE_T)-1 - (SIZE_T)below(4 * GRANULE);
    case 5: /* ends at the end of all addresses, or wraps */
        return (SIZE_T)0 - (SIZE_T)(uintptr_t)address - 2 + (SIZE_T)below(5);
    case 6:
        return ((SIZE_T)1 << (sizeof(SIZE_T) * 8 - 1)) - 2 + (SIZE_T)below(5);
    case 7:
        return (SIZE_T)below(4 * MIB);
    case 8: /* up to its end */
        return region != NULL ? (SIZE_T)(region->base + region->bytes - address) : PAGE;
    default:
        return (SIZE_T)(1 + below(16)) * PAGE;
    }
}

/* Statistics */

static unsigned char pattern(size_t at)
{
    return (unsigned char)(at * 37 + at / PAGE * 5 + 3);
}

static void check_bystander(void)
{
    for (size_t i = 0; i < BYSTANDER_PAGES * PAGE; i++)
        require((unsigned char)hostile.bystander[i] == pattern(i));
    for (size_t i = 0; i < 64; i++)
        require((unsigned char)hostile.raw_block[i] == pattern(i) &&
                (unsigned char)hostile.crt_block[i] == pattern(i));
    MEMORY_BASIC_INFORMATION info = windows_at(hostile.bystander);
    require(info.State == MEM_COMMIT && info.Protect == PAGE_READWRITE);
    require(info.RegionSize == BYSTANDER_PAGES * PAGE);
    require(windows_at(hostile.bystander + BYSTANDER_PAGES * PAGE).State == MEM_RESERVE);
}

struct sums {
    uint64_t regions, reserved, committed, blocks, heap;
};

static HRESULT HOSTMEM_CALL add_region(const hostmem_region *found, void *context)
{
    struct sums *sums = context;
    uint64_t committed;
    if (found->kind == HOSTMEM_REGION_VIEW)
        return S_OK;
    const struct owned *region = owned_at(found->base);
    require(region != NULL && region->base == found->base);
    require(found->reserved == region->bytes);
    require(windows_extent(region->base, &committed) == region->bytes);
    require(found->committed == committed);
    sums->regions++;
    sums->reserved += region->bytes;
    sums->committed += committed;
    return S_OK;
}

static HRESULT HOSTMEM_CALL add_block(const hostmem_block *found, void *context)
{
    struct sums *sums = context;
    sums->blocks++;
    sums->heap += found->bytes;
    return S_OK;
}

void check_statistics(void)
{
    struct sums sums = {0};
    hostmem_statistics statistics = {.size = sizeof statistics};
    require(hostmem_walk_regions(hostile.manager, add_region, &sums) == S_OK);
    require(hostmem_walk_blocks(hostile.manager, add_block, &sums) == S_OK);
    require(hostmem_get_statistics(hostile.manager, &statistics) == S_OK);
    require(sums.regions == hostile.regions && statistics.regions == hostile.regions);
    require(statistics.reserved.now == sums.reserved && statistics.reserved.peak >= sums.reserved);
    require(statistics.committed.now == sums.committed && statistics.committed.peak >= sums.committed);
    require(sums.blocks == hostile.blocks && statistics.blocks == hostile.blocks);
    require(sums.heap == hostile.heap_bytes && statistics.heap.now == hostile.heap_bytes);
    require(statistics.charged.now ==
            statistics.committed.now + statistics.view_committed.now + statistics.heap.now);
    require(statistics.foreign_committed == hostile.foreign_committed);
    require(statistics.foreign_frees == hostile.foreign_frees);
    require(statistics.stale_regions == 0);
    for (unsigned m = 0; m < HOSTMEM_METHOD_COUNT; m++) {
        uint64_t calls = 0, failures = 0;
        for (unsigned level = 0; level < HOSTMEM_LEVEL_COUNT; level++) {
            calls += statistics.calls[m][level].calls;
            failures += statistics.calls[m][level].failures;
        }
        require(calls == hostile.calls[m] && failures == hostile.failures[m]);
    }
    require(verified(hostile.manager));
    check_bystander();
}

uint64_t private_bytes(void)
{
    MEMORY_BASIC_INFORMATION info;
    uint64_t bytes = 0;
    for (char *at = NULL; VirtualQuery(at, &info, sizeof info) != 0; at += info.RegionSize) {
        if (info.State != MEM_FREE && info.Type == MEM_PRIVATE)
            bytes += info.RegionSize;
        if ((uintptr_t)at > UINTPTR_MAX - info.RegionSize)
            break;
    }
    return bytes;
}

/* Begin and end */

static HRESULT HOSTMEM_CALL relieve(void *start, SIZE_T size, void *context)
{
    (void)start, (void)size, (void)context;
    return below(2) ? S_OK : (HRESULT)any();
}

static void HOSTMEM_CALL hear(const hostmem_event *event, void *context)
{
    (void)event, (void)context;
}

void hostile_begin(void)
{
    memset(&hostile, 0, sizeof hostile);
    hostile.name = "setup";
    hostmem_options options = {.size = sizeof options, .relief = relieve, .event = hear};
    require(hostmem_create(&options, &hostile.manager) == S_OK);
    require(hostmem_get_memory_manager(hostile.manager, &hostile.memory) == S_OK);
    require(hostmem_create_host_control(hostile.manager, NULL, &hostile.control) == S_OK);
    for (unsigned i = 0; i < HEAPS; i++) {
        HRESULT result = IHostMemoryManager_CreateMalloc(
            hostile.memory, MALLOC_THREADSAFE | (i % 2 ? MALLOC_EXECUTABLE : 0), &hostile.heap[i]);
        require(result == S_OK);
        called(HOSTMEM_CREATE_MALLOC, result);
    }
    hostile.arena = VirtualAlloc(NULL, ARENA_PAGES * PAGE, MEM_RESERVE, PAGE_READWRITE);
    hostile.bystander = VirtualAlloc(NULL, 2 * BYSTANDER_PAGES * PAGE, MEM_RESERVE, PAGE_READWRITE);
    require(VirtualAlloc(hostile.bystander, BYSTANDER_PAGES * PAGE, MEM_COMMIT, PAGE_READWRITE));
    HANDLE mapping =
        CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE | SEC_RESERVE, 0, GRANULE, NULL);
    hostile.view = MapViewOfFile(mapping, FILE_MAP_WRITE, 0, 0, 0);
    CloseHandle(mapping);
    hostile.raw_block = HeapAlloc(GetProcessHeap(), 0, 64);
    hostile.crt_block = malloc(64);
    require(hostile.arena && hostile.bystander && hostile.view && hostile.raw_block && hostile.crt_block);
    for (size_t i = 0; i < BYSTANDER_PAGES * PAGE; i++)
        hostile.bystander[i] = (char)pattern(i);
    for (size_t i = 0; i < 64; i++)
        hostile.raw_block[i] = hostile.crt_block[i] = (char)pattern(i);
    called(HOSTMEM_ACQUIRED_ADDRESS_SPACE,
           IHostMemoryManager_AcquiredVirtualAddressSpace(hostile.memory, hostile.view, 0));
}

void hostile_end(void)
{
    hostile.name = "end";
    for (unsigned i = 0; i < REGIONS; i++)
        if (hostile.region[i].base != NULL) {
            HRESULT result =
                IHostMemoryManager_VirtualFree(hostile.memory, hostile.region[i].base, 0, MEM_RELEASE);
            require(result == S_OK);
            called(HOSTMEM_VIRTUAL_FREE, result);
            see_if_gone(&hostile.region[i]);
        }
    for (unsigned i = 0; i < BLOCKS; i++)
        if (hostile.block[i].memory != NULL) {
            struct block *block = &hostile.block[i];
            HRESULT result = IHostMalloc_Free(hostile.heap[block->heap], block->memory);
            require(result == S_OK);
            called(HOSTMEM_MALLOC_FREE, result);
            hostile.heap_bytes -= block->bytes;
            hostile.blocks--;
        }
    require(hostile.regions == 0 && hostile.blocks == 0 && hostile.heap_bytes == 0);
    check_statistics();
    UnmapViewOfFile(hostile.view);
    called(HOSTMEM_RELEASED_ADDRESS_SPACE,
           IHostMemoryManager_ReleasedVirtualAddressSpace(hostile.memory, hostile.view));
    called(HOSTMEM_REGISTER_CALLBACK,
           IHostMemoryManager_RegisterMemoryNotificationCallback(hostile.memory, NULL));
    check_statistics();
    for (unsigned i = 0; i < HEAPS; i++)
        require(IHostMalloc_Release(hostile.heap[i]) == 0);
    require(IHostControl_Release(hostile.control) == 0);
    require(IHostMemoryManager_Release(hostile.memory) == 1);
    hostmem_release(hostile.manager);
    VirtualFree(hostile.arena, 0, MEM_RELEASE);
    VirtualFree(hostile.bystander, 0, MEM_RELEASE);
    HeapFree(GetProcessHeap(), 0, hostile.raw_block);
    free(hostile.crt_block);
}
