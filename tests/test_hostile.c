/*
 * test_hostile.c - random calls of a caller that means no good
 *
 *     test_hostile [CALLS [SEED]]      100,000 calls (x86: 40,000), a fixed seed
 *
 * All methods, with addresses, sizes, flags and levels that make no sense more often than not (support/hostile.h).
 * Nothing may crash, nothing of others may be touched, each answer must be one that hostmem.h allows for what was asked,
 * and the accounting must be right at any time.  At the end the process has no more memory than before.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/deaf_callback.h"
#include "support/hostile.h"
#include "support/windows_hooks.h"

static unsigned long calls = sizeof(void *) == 8 ? 100000 : 40000; /* an emulator may run x86 */
static uint64_t seed = 20261126;

/* One of the array's, or any bits at all, or some of both. */
static DWORD any_flags(const DWORD *sensible, unsigned count)
{
    switch (below(10)) {
    case 0:
        return (DWORD)any();
    case 1:
        return sensible[below(count)] | 1u << below(32);
    default:
        return sensible[below(count)];
    }
}

#define ANY_FLAGS(array) any_flags(array, sizeof(array) / sizeof *(array))

static const DWORD protections[] = {PAGE_READWRITE,
                                    PAGE_READWRITE,
                                    PAGE_NOACCESS,
                                    PAGE_READONLY,
                                    PAGE_EXECUTE_READWRITE,
                                    PAGE_READWRITE | PAGE_GUARD,
                                    0};

static EMemoryCriticalLevel any_level(void)
{
    return (EMemoryCriticalLevel)(below(8) ? below(3) : any());
}

static bool at_work(void)
{
    return hostile.regions < REGIONS;
}

/* Memory */

static uint64_t arena_committed(void)
{
    uint64_t committed;
    windows_extent(hostile.arena, &committed);
    return committed;
}

static void virtual_alloc(void)
{
    static const DWORD types[] = {MEM_RESERVE,
                                  MEM_RESERVE | MEM_COMMIT,
                                  MEM_COMMIT,
                                  MEM_COMMIT,
                                  MEM_RESERVE,
                                  MEM_RESERVE | MEM_TOP_DOWN,
                                  MEM_RESET,
                                  MEM_DECOMMIT,
                                  0};
    char *address = below(3) ? any_address() : NULL;
    SIZE_T size = any_size(address);
    DWORD type = ANY_FLAGS(types), protect = ANY_FLAGS(protections);
    if (!(type & MEM_RESERVE) && address != NULL)
        address = harmless(address);
    else if (!at_work() || !may_reserve(address))
        return;
    EMemoryCriticalLevel level = any_level();
    bool in_arena = (uintptr_t)address - (uintptr_t)hostile.arena < ARENA_PAGES * PAGE;
    uint64_t before = in_arena ? arena_committed() : 0;
    bool wanted = below(64) != 0;
    void *memory = POISON;
    calling("VirtualAlloc", (uintptr_t)address, size, type, protect, (unsigned)level);
    HRESULT result = IHostMemoryManager_VirtualAlloc(hostile.memory, address, size, type, protect, level,
                                                     wanted ? &memory : NULL);
    DWORD error = GetLastError();
    called(HOSTMEM_VIRTUAL_ALLOC, result);
    require_error(result, error);
    if (in_arena)
        hostile.foreign_committed += arena_committed() - before;
    if (!wanted) {
        require(result == E_POINTER);
        return;
    }
    if (result != S_OK) {
        require(memory == NULL);
        return;
    }
    require(memory != NULL && memory != POISON);
    require(!hostile.closed || !(type & (MEM_RESERVE | MEM_COMMIT)));
    if (address == NULL || (type & MEM_RESERVE))
        adopt(memory);
}

static void virtual_free(void)
{
    static const DWORD types[] = {MEM_RELEASE, MEM_RELEASE, MEM_DECOMMIT, MEM_DECOMMIT, 0, MEM_RESET};
    char *address = any_address();
    SIZE_T size = below(2) ? 0 : any_size(address);
    DWORD type = ANY_FLAGS(types);
    struct owned *region = owned_at(address);
    MEMORY_BASIC_INFORMATION before = windows_at(address);
    calling("VirtualFree", (uintptr_t)address, size, type, 0, 0);
    HRESULT result = IHostMemoryManager_VirtualFree(hostile.memory, address, size, type);
    DWORD error = GetLastError();
    called(HOSTMEM_VIRTUAL_FREE, result);
    require_error(result, error);
    if (region == NULL) {
        MEMORY_BASIC_INFORMATION after = windows_at(address);
        require(result == HOST_E_INVALIDOPERATION);
        require(before.State == after.State && before.Protect == after.Protect);
        require(before.State == MEM_FREE || before.AllocationBase == after.AllocationBase);
    } else {
        require(result != HOST_E_INVALIDOPERATION);
        see_if_gone(region);
    }
}

static void virtual_query(void)
{
    static const DWORD lengths[] = {sizeof(MEMORY_BASIC_INFORMATION), sizeof(MEMORY_BASIC_INFORMATION), 0,
                                    sizeof(MEMORY_BASIC_INFORMATION) - 1};
    MEMORY_BASIC_INFORMATION info, raw;
    char *address = any_address();
    SIZE_T length = ANY_FLAGS(lengths), written = 0xA5A5;
    bool wanted = below(16) != 0;
    calling("VirtualQuery", (uintptr_t)address, length, wanted, 0, 0);
    HRESULT result =
        IHostMemoryManager_VirtualQuery(hostile.memory, address, &info, length, wanted ? &written : NULL);
    DWORD error = GetLastError();
    called(HOSTMEM_VIRTUAL_QUERY, result);
    require_error(result, error);
    if (!wanted) {
        require(result == E_POINTER);
        return;
    }
    require(written == VirtualQuery(address, &raw, length));
    require((result == S_OK) == (written != 0));
    if (written != 0)
        require(info.State == raw.State && info.Protect == raw.Protect && info.RegionSize == raw.RegionSize);
}

static void virtual_protect(void)
{
    char *address = harmless(any_address());
    SIZE_T size = any_size(address);
    DWORD protect = ANY_FLAGS(protections), old = 0xA5A5;
    bool wanted = below(16) != 0;
    calling("VirtualProtect", (uintptr_t)address, size, protect, wanted, 0);
    HRESULT result =
        IHostMemoryManager_VirtualProtect(hostile.memory, address, size, protect, wanted ? &old : NULL);
    DWORD error = GetLastError();
    called(HOSTMEM_VIRTUAL_PROTECT, result);
    require_error(result, error);
    require(wanted || result != S_OK);
    require(old != 0xA5A5 || !wanted || result == HRESULT_FROM_WIN32(ERROR_NOACCESS));
}

static void memory_load(void)
{
    DWORD load = 0xA5A5;
    SIZE_T available = 0xA5A5;
    unsigned wanted = below(8) ? 3 : (unsigned)below(4);
    calling("GetMemoryLoad", wanted, 0, 0, 0, 0);
    HRESULT result = IHostMemoryManager_GetMemoryLoad(hostile.memory, wanted & 1 ? &load : NULL,
                                                      wanted & 2 ? &available : NULL);
    called(HOSTMEM_GET_MEMORY_LOAD, result);
    require(result == (wanted == 3 ? S_OK : E_POINTER));
    require(!(wanted & 1) || load <= 100);
    require(wanted != 3 || available != 0xA5A5);
}

/* Views: what is none is no view's, and one that is mapped stays. */
static void address_space(void)
{
    char *address = any_address();
    SIZE_T size = any_size(address);
    HRESULT result;
    switch (below(3)) {
    case 0:
        calling("NeedsVirtualAddressSpace", (uintptr_t)address, size, 0, 0, 0);
        result = IHostMemoryManager_NeedsVirtualAddressSpace(hostile.memory, address, size);
        called(HOSTMEM_NEEDS_ADDRESS_SPACE, result);
        require(result == S_OK || result == E_OUTOFMEMORY);
        break;
    case 1:
        if (windows_at(address).Type == MEM_IMAGE)
            address = hostile.view + 1; /* Windows calls it a view, and so do we from then on */
        calling("AcquiredVirtualAddressSpace", (uintptr_t)address, size, 0, 0, 0);
        result = IHostMemoryManager_AcquiredVirtualAddressSpace(hostile.memory, address, size);
        called(HOSTMEM_ACQUIRED_ADDRESS_SPACE, result);
        require(result == S_OK);
        break;
    default:
        calling("ReleasedVirtualAddressSpace", (uintptr_t)address, 0, 0, 0, 0);
        result = IHostMemoryManager_ReleasedVirtualAddressSpace(hostile.memory, address);
        called(HOSTMEM_RELEASED_ADDRESS_SPACE, result);
        require(result == S_OK);
        break;
    }
    require(GetLastError() == SENTINEL || hostile.name[0] == 'A');
}

/* Heap */

static void malloc_alloc(void)
{
    static char name[300];
    struct block *block = &hostile.block[below(BLOCKS)];
    unsigned heap = (unsigned)below(HEAPS);
    SIZE_T size = below(3) ? (SIZE_T)below(2000) : any_size(NULL);
    EMemoryCriticalLevel level = any_level();
    bool debug = below(4) == 0, wanted = below(32) != 0;
    void *memory = POISON;
    HRESULT result;
    if (block->memory != NULL)
        return;
    memset(name, 'n', (size_t)below(sizeof name - 1));
    calling(debug ? "DebugAlloc" : "Alloc", heap, size, (unsigned)level, wanted, 0);
    if (debug)
        result = IHostMalloc_DebugAlloc(hostile.heap[heap], size, level, below(4) ? name : NULL, (int)any(),
                                        wanted ? &memory : NULL);
    else
        result = IHostMalloc_Alloc(hostile.heap[heap], size, level, wanted ? &memory : NULL);
    called(debug ? HOSTMEM_MALLOC_DEBUG_ALLOC : HOSTMEM_MALLOC_ALLOC, result);
    if (!wanted) {
        require(result == E_POINTER);
        return;
    }
    require(result == S_OK || result == E_OUTOFMEMORY);
    require((result == S_OK) == (memory != NULL) && memory != POISON);
    if (result != S_OK)
        return;
    require(size < (SIZE_T)-1 / 2);
    memset(memory, 0x5A, size < 4000 ? size : 4000);
    *block = (struct block){.memory = memory, .heap = heap, .bytes = size};
    hostile.blocks++;
    hostile.heap_bytes += size;
}

static void malloc_free(void)
{
    struct block *block = &hostile.block[below(BLOCKS)], *found = NULL;
    void *memory = below(2) ? block->memory : any_address();
    unsigned heap = below(8) ? block->heap : (unsigned)below(HEAPS);
    for (unsigned i = 0; i < BLOCKS; i++)
        if (hostile.block[i].memory == memory && memory != NULL && hostile.block[i].heap == heap)
            found = &hostile.block[i];
    calling("Free", heap, (uintptr_t)memory, 0, 0, 0);
    HRESULT result = IHostMalloc_Free(hostile.heap[heap], memory);
    called(HOSTMEM_MALLOC_FREE, result);
    require(result == (memory == NULL || found != NULL ? S_OK : HOST_E_INVALIDOPERATION));
    if (found != NULL) {
        hostile.heap_bytes -= found->bytes;
        hostile.blocks--;
        hostile.freed_block = found->memory;
        *found = (struct block){.memory = NULL};
    }
}

/* Objects */

static void create_malloc(void)
{
    static const DWORD types[] = {0, MALLOC_THREADSAFE, MALLOC_EXECUTABLE};
    DWORD type = ANY_FLAGS(types);
    IHostMalloc *made = POISON;
    bool wanted = below(16) != 0;
    calling("CreateMalloc", type, wanted, 0, 0, 0);
    HRESULT result = IHostMemoryManager_CreateMalloc(hostile.memory, type, wanted ? &made : NULL);
    called(HOSTMEM_CREATE_MALLOC, result);
    if (!wanted) {
        require(result == E_POINTER);
        return;
    }
    HRESULT possible = hostile.closed ? HOST_E_CLRNOTAVAILABLE : S_OK;
    require(result == (type & ~(DWORD)(MALLOC_THREADSAFE | MALLOC_EXECUTABLE) ? E_INVALIDARG : possible));
    require((result == S_OK) == (made != NULL) && made != POISON);
    if (result == S_OK)
        require(IHostMalloc_Release(made) == 0);
}

static GUID any_guid(void)
{
    GUID guid = {(unsigned long)any(), 0, 0, {0}};
    switch (below(5)) {
    case 0:
        return IID_IUnknown;
    case 1:
        return IID_IHostMemoryManager;
    case 2:
        return IID_IHostMalloc;
    case 3:
        guid = IID_IHostMemoryManager;
        guid.Data4[below(8)] ^= (unsigned char)(1u << below(8));
        return guid;
    default:
        return guid;
    }
}

static void query_interface(void)
{
    GUID guid = any_guid();
    IUnknown *object = (IUnknown *)(below(2) ? (void *)hostile.memory : (void *)hostile.heap[below(HEAPS)]);
    bool wanted = below(16) != 0, manager = below(3) == 0;
    void *made = POISON;
    calling(manager ? "GetHostManager" : "QueryInterface", guid.Data1, wanted, 0, 0, 0);
    HRESULT result = manager ? IHostControl_GetHostManager(hostile.control, &guid, wanted ? &made : NULL)
                             : IUnknown_QueryInterface(object, &guid, wanted ? &made : NULL);
    require(result == S_OK || result == (wanted ? E_NOINTERFACE : E_POINTER));
    require((result == S_OK) == (made != NULL && made != POISON));
    if (result == S_OK)
        IUnknown_Release((IUnknown *)made);
}

static void set_callback(void)
{
    calling("RegisterMemoryNotificationCallback", 0, 0, 0, 0, 0);
    HRESULT result = IHostMemoryManager_RegisterMemoryNotificationCallback(
        hostile.memory, below(3) ? &deaf_callbacks[below(2)] : NULL);
    called(HOSTMEM_REGISTER_CALLBACK, result);
    require(result == S_OK);
}

/* The host's side */

static HRESULT HOSTMEM_CALL stop_sometimes(const hostmem_region *region, void *context)
{
    (void)region;
    return below(4) ? S_OK : *(HRESULT *)context;
}

static void limits(void)
{
    hostmem_limits set = {.size = sizeof set, .flags = (uint32_t)below(2)};
    const uint64_t figures[] = {0, 1, MIB, 64 * MIB, HOSTMEM_UNLIMITED, HOSTMEM_UNLIMITED - 1, any()};
    set.limit = figures[1 + below(6)];
    set.task_limit = figures[below(4)];
    set.margin = figures[below(7)];
    set.soft = figures[below(4)];
    set.reserve_limit = below(8) ? 0 : figures[below(7)];
    set.fail_after = below(8) ? 0 : figures[below(7)];
    if (below(8) == 0)
        set.size = (uint32_t)any();
    if (below(8) == 0)
        set.flags = (uint32_t)any();
    calling("hostmem_set_limits", set.limit, set.task_limit, set.margin, set.soft, set.flags);
    HRESULT result = hostmem_set_limits(hostile.manager, below(16) ? &set : NULL);
    require(result == S_OK || result == E_INVALIDARG || result == E_POINTER);
    /* Mostly without: or hardly a call would be granted. */
    hostmem_limits none = {.size = sizeof none, .limit = HOSTMEM_UNLIMITED};
    if (below(2))
        require(hostmem_set_limits(hostile.manager, &none) == S_OK);
}

static void host(void)
{
    hostmem_statistics statistics = {.size = below(2) ? sizeof statistics : (uint32_t)any()};
    HRESULT stop = (HRESULT)any(), result;
    char *address = any_address();
    switch (below(5)) {
    case 0:
    case 1:
        calling("hostmem_owns", (uintptr_t)address, 0, 0, 0, 0);
        require(hostmem_owns(hostile.manager, address) == (owned_at(address) != NULL ? S_OK : S_FALSE));
        require(hostmem_owns(NULL, address) == E_POINTER);
        break;
    case 2:
        calling("hostmem_get_statistics", statistics.size, 0, 0, 0, 0);
        result = hostmem_get_statistics(hostile.manager, &statistics);
        require(result == (statistics.size == sizeof statistics ? S_OK : E_INVALIDARG));
        break;
    case 3:
        calling("hostmem_walk_regions", (uint32_t)stop, 0, 0, 0, 0);
        result = hostmem_walk_regions(hostile.manager, stop_sometimes, &stop);
        require(result == S_OK || result == stop);
        require(hostmem_walk_regions(hostile.manager, NULL, NULL) == E_POINTER);
        break;
    default:
        calling("hostmem_force_pressure", 0, 0, 0, 0, 0);
        result = hostmem_force_pressure(hostile.manager, (uint32_t)(below(2) ? below(4) : any()));
        require(result == S_OK || result == E_INVALIDARG || result == HOST_E_CLRNOTAVAILABLE);
        break;
    }
}

static const struct {
    void (*run)(void);
    unsigned weight;
} kinds[] = {{virtual_alloc, 30},  {virtual_free, 30}, {virtual_query, 6}, {virtual_protect, 6},
             {memory_load, 1},     {address_space, 5}, {malloc_alloc, 12}, {malloc_free, 12},
             {query_interface, 3}, {set_callback, 1},  {limits, 1},        {host, 5}};

static void any_call(void)
{
    static unsigned total;
    if (total == 0)
        for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
            total += kinds[i].weight;
    unsigned at = (unsigned)below(total), kind = 0;
    for (; at >= kinds[kind].weight; kind++)
        at -= kinds[kind].weight;
    /* Heaps are dear: one of them is some hundred calls' time. */
    if (below(2000) == 0)
        create_malloc();
    else
        kinds[kind].run();
    if (hostile.number % 8 == 0 && hostile.regions > REGIONS / 4 * 3) { /* make room */
        struct owned *region = &hostile.region[below(REGIONS)];
        if (region->base != NULL) {
            calling("VirtualFree", (uintptr_t)region->base, 0, MEM_RELEASE, 0, 0);
            HRESULT result = IHostMemoryManager_VirtualFree(hostile.memory, region->base, 0, MEM_RELEASE);
            called(HOSTMEM_VIRTUAL_FREE, result);
            require(result == S_OK);
            see_if_gone(region);
        }
    }
}

static void run_calls(unsigned long count)
{
    uint64_t checked = 0;
    hostile_begin();
    while (hostile.number < count) {
        if (!hostile.closed && hostile.number > count / 20 * 19) {
            hostile.closed = true;
            require(hostmem_shutdown(hostile.manager) == S_OK);
        }
        any_call();
        if (hostile.number / 1000 > checked) {
            checked = hostile.number / 1000;
            check_statistics();
        }
    }
    for (unsigned m = 0; m < HOSTMEM_METHOD_COUNT; m++)
        print_message("method %2u: %8llu calls, %8llu failures\n", m, (unsigned long long)hostile.calls[m],
                      (unsigned long long)hostile.failures[m]);
    hostile_end();
}

/* A refused commit is tried again after a pause, which would take hours here. */
static bool no_pauses(const char *function, void *context)
{
    (void)context;
    return strcmp(function, "sleep") != 0;
}

static void nothing(const char *function, void *context)
{
    (void)function, (void)context;
}

static void test_hostile_caller(void **state)
{
    (void)state;
    const struct windows_hooks hooks = {
        .thread = GetCurrentThreadId(), .before = no_pauses, .after = nothing};
    windows_hooks_set(&hooks);
    print_message("%lu calls, seed %llu\n", calls, (unsigned long long)seed);
    hostile_seed(seed);
    run_calls(4000); /* what is made once has been made then */
    uint64_t before = private_bytes();
    run_calls(calls);
    uint64_t after = private_bytes();
    print_message("private memory: %llu KiB before, %llu KiB after\n", (unsigned long long)before >> 10,
                  (unsigned long long)after >> 10);
    assert_true(after < before + 2 * MIB);
    const hostmem_method least[] = {HOSTMEM_VIRTUAL_ALLOC, HOSTMEM_VIRTUAL_FREE, HOSTMEM_MALLOC_ALLOC};
    for (unsigned i = 0; i < sizeof least / sizeof *least; i++) {
        assert_true(hostile.calls[least[i]] > calls / 50);
        assert_true(hostile.failures[least[i]] > hostile.calls[least[i]] / 20);
        assert_true(hostile.failures[least[i]] < hostile.calls[least[i]] / 10 * 9);
    }
    windows_hooks_set(NULL);
}

/* A crash tells what was being called. */
static LONG WINAPI crashed(EXCEPTION_POINTERS *exception)
{
    const uint64_t *a = hostile.argument;
    printf("exception %#lx at %p: call %llu, %s(%#llx, %#llx, %#llx, %#llx, %#llx), seed %llu\n",
           exception->ExceptionRecord->ExceptionCode, exception->ExceptionRecord->ExceptionAddress,
           (unsigned long long)hostile.number, hostile.name, (unsigned long long)a[0],
           (unsigned long long)a[1], (unsigned long long)a[2], (unsigned long long)a[3],
           (unsigned long long)a[4], (unsigned long long)seed);
    fflush(stdout);
    return EXCEPTION_CONTINUE_SEARCH;
}

int main(int count, char **arguments)
{
    if (count > 1)
        calls = strtoul(arguments[1], NULL, 10);
    if (count > 2)
        seed = strtoull(arguments[2], NULL, 10);
    SetUnhandledExceptionFilter(crashed);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hostile_caller)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
