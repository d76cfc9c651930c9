/*
 * method_paths.c - see method_paths.h
 */
#include "support/method_paths.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "support/deaf_callback.h"
#include "support/free_space.h"
#include "support/verified.h"

enum { PAGE = 4096, GRANULE = 65536, MIB = 1 << 20 };

#define BIG ((SIZE_T)(sizeof(void *) == 8 ? (uint64_t)8 << 30 : 96 * MIB))

struct scene scene;

/* Of the path that is prepared. */
static void *made;             /* by the call */
static IHostMalloc *made_heap; /* likewise */
static const char *failing;    /* this function of Windows fails; NULL: none does */
static DWORD failure;          /* with this error */
static const char *overlapped; /* during its first call another thread decommits in the region */
static HANDLE helper;
static atomic_int other; /* 1: it is to begin; 2: it is done */

/* In between */

bool method_path_windows(const char *function)
{
    if (overlapped != NULL && strcmp(function, overlapped) == 0) {
        overlapped = NULL;
        atomic_store(&other, 1);
        while (atomic_load(&other) != 2)
            ; /* a wait would need stack */
    }
    if (failing == NULL || strcmp(function, failing) != 0)
        return true;
    SetLastError(failure);
    return false;
}

static DWORD WINAPI other_thread(void *context)
{
    (void)context;
    while (atomic_load(&other) == 0)
        Sleep(0);
    if (atomic_load(&other) == 1)
        IHostMemoryManager_VirtualFree(scene.memory, scene.region, 2 * GRANULE, MEM_DECOMMIT);
    atomic_store(&other, 2);
    return 0;
}

static HRESULT HOSTMEM_CALL relieve(void *start, SIZE_T size, void *context)
{
    (void)start, (void)size, (void)context;
    return S_OK;
}

static HRESULT HOSTMEM_CALL see_region(const hostmem_region *region, void *context)
{
    (void)region, (void)context;
    return S_OK;
}

static HRESULT HOSTMEM_CALL see_block(const hostmem_block *block, void *context)
{
    (void)block, (void)context;
    return S_OK;
}

/* What the paths are made of */

static HRESULT alloc(void *at, SIZE_T size, DWORD type, unsigned level)
{
    return IHostMemoryManager_VirtualAlloc(scene.memory, at, size, type, PAGE_READWRITE,
                                           (EMemoryCriticalLevel)level, &made);
}

static HRESULT give(void *at, SIZE_T size, DWORD type)
{
    return IHostMemoryManager_VirtualFree(scene.memory, at, size, type);
}

static void fail(const char *function, DWORD error)
{
    failing = function;
    failure = error;
}

static void limit_to(uint64_t limit, uint64_t reserve, uint32_t flags)
{
    hostmem_limits limits = {.size = sizeof limits, .limit = limit, .reserve_limit = reserve, .flags = flags};
    hostmem_set_limits(scene.manager, &limits);
}

/* Preparations */

static void as_it_is(void)
{
}

static void tight(void)
{
    limit_to(1, 0, 0);
}

static void strict(void)
{
    limit_to(1, 0, HOSTMEM_LIMITS_STRICT);
}

static void no_space(void)
{
    limit_to(HOSTMEM_UNLIMITED, 1, 0);
}

static void tight_shared(void)
{
    hostmem_limits limits = {.size = sizeof limits, .limit = 1};
    hostmem_set_budget_limits(scene.shared, &limits);
}

static void closed(void)
{
    hostmem_shutdown(scene.manager);
}

static void no_pages(void)
{
    fail("VirtualAlloc", ERROR_COMMITMENT_LIMIT);
}

static void no_free(void)
{
    fail("VirtualFree", ERROR_INVALID_PARAMETER);
}

static void no_heap(void)
{
    fail("HeapAlloc", ERROR_NOT_ENOUGH_MEMORY);
}

static void no_status(void)
{
    fail("GlobalMemoryStatusEx", ERROR_NOT_ENOUGH_MEMORY);
}

static void overlapped_alloc(void)
{
    overlapped = "VirtualAlloc";
}

static void overlapped_free(void)
{
    overlapped = "VirtualFree";
}

static void big(void)
{
    alloc(NULL, BIG, MEM_RESERVE, eTaskCritical);
    scene.at = made;
}

static void big_in_use(void)
{
    big();
    for (unsigned i = 0; i < 12; i++)
        alloc((char *)scene.at + i * (BIG / 12 / PAGE * PAGE), MIB, MEM_COMMIT, eTaskCritical);
}

static void big_and_no_pages(void)
{
    big();
    no_pages();
}

/* Free address space that the stack of a new thread does not get. */
static void free_place(void)
{
    scene.at = free_space_find(64 * GRANULE);
}

/* The base of a region that was freed by raw VirtualFree. */
static void stale(void)
{
    free_place();
    alloc(scene.at, 4 * GRANULE, MEM_RESERVE, eTaskCritical);
    VirtualFree(scene.at, 0, MEM_RELEASE);
}

static void block(void)
{
    IHostMalloc_DebugAlloc(scene.heap, 100, eTaskCritical, (char *)"file.c", 7, &scene.at);
}

static void registered(void)
{
    IHostMemoryManager_RegisterMemoryNotificationCallback(scene.memory, &deaf_callbacks[0]);
}

static void unmapped(void)
{
    UnmapViewOfFile(scene.view);
}

static void unreported(void)
{
    IHostMemoryManager_ReleasedVirtualAddressSpace(scene.memory, scene.view); /* mapped still: nothing */
}

/* Calls */

#define CALL(name, expression)                                                                               \
    static HRESULT name(void)                                                                                \
    {                                                                                                        \
        return expression;                                                                                   \
    }

static DWORD old;
static SIZE_T size;
static DWORD load;
static MEMORY_BASIC_INFORMATION info;
static hostmem_statistics statistics_read = {.size = sizeof statistics_read};
static hostmem_limits limits_read = {.size = sizeof limits_read};
static hostmem_budget_usage usage = {.size = sizeof usage};
static const hostmem_limits limits_new = {.size = sizeof limits_new, .limit = 8 * MIB};

CALL(reserve, alloc(NULL, GRANULE, MEM_RESERVE, eTaskCritical))
CALL(reserve_big, alloc(NULL, BIG, MEM_RESERVE, eTaskCritical))
CALL(reserve_there, alloc(scene.at, 2 * GRANULE, MEM_RESERVE, eTaskCritical))
CALL(reserve_commit, alloc(NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, eTaskCritical))
CALL(commit, alloc(scene.region, 4 * GRANULE, MEM_COMMIT, eTaskCritical))
CALL(commit_critical, alloc(scene.region, 4 * GRANULE, MEM_COMMIT, eProcessCritical))
CALL(commit_big, alloc((char *)scene.at + BIG - GRANULE - 1, GRANULE, MEM_COMMIT, eTaskCritical))
CALL(commit_foreign, alloc(scene.foreign, PAGE, MEM_COMMIT, eTaskCritical))
CALL(commit_view, alloc(scene.view, PAGE, MEM_COMMIT, eProcessCritical))
CALL(reset, alloc(scene.region, PAGE, MEM_RESET, eTaskCritical))
CALL(decommit, give(scene.region, 4 * GRANULE, MEM_DECOMMIT))
CALL(release, give(scene.region, 0, MEM_RELEASE))
CALL(release_there, give(scene.at, 0, MEM_RELEASE))
CALL(release_stale,
     give(scene.at, 0, MEM_RELEASE) != S_OK ? S_FALSE : S_OK) /* Windows' and Wine's errors differ */
CALL(release_wrong, give(scene.region, PAGE, MEM_RELEASE))
CALL(free_foreign, give(scene.foreign, 0, MEM_RELEASE))
CALL(query, IHostMemoryManager_VirtualQuery(scene.memory, scene.region, &info, sizeof info, &size))
CALL(query_wrong, IHostMemoryManager_VirtualQuery(scene.memory, scene.region, &info, 0, &size))
CALL(protect, IHostMemoryManager_VirtualProtect(scene.memory, scene.region, PAGE, PAGE_READONLY, &old))
CALL(protect_wrong, IHostMemoryManager_VirtualProtect(scene.memory, scene.region, PAGE, 0x333, &old))
CALL(memory_load, IHostMemoryManager_GetMemoryLoad(scene.memory, &load, &size))
CALL(set_callback, IHostMemoryManager_RegisterMemoryNotificationCallback(scene.memory, &deaf_callbacks[0]))
CALL(no_callback, IHostMemoryManager_RegisterMemoryNotificationCallback(scene.memory, NULL))
CALL(needs, IHostMemoryManager_NeedsVirtualAddressSpace(scene.memory, scene.region, PAGE))
CALL(needs_free, IHostMemoryManager_NeedsVirtualAddressSpace(scene.memory, scene.at, PAGE))
CALL(acquired, IHostMemoryManager_AcquiredVirtualAddressSpace(scene.memory, scene.view, 0))
CALL(released, IHostMemoryManager_ReleasedVirtualAddressSpace(scene.memory, scene.view))
CALL(create_malloc, IHostMemoryManager_CreateMalloc(scene.memory, MALLOC_THREADSAFE, &made_heap))
CALL(create_wrong, IHostMemoryManager_CreateMalloc(scene.memory, 8, &made_heap))
CALL(memory_query, IHostMemoryManager_QueryInterface(scene.memory, &IID_IHostMemoryManager, &made))
CALL(memory_add, IHostMemoryManager_AddRef(scene.memory) > 0 ? S_OK : E_FAIL)
CALL(memory_give, IHostMemoryManager_Release(scene.memory) > 0 ? S_OK : E_FAIL)
CALL(malloc_alloc, IHostMalloc_Alloc(scene.heap, 200, eTaskCritical, &made))
CALL(malloc_critical, IHostMalloc_Alloc(scene.heap, 200, eProcessCritical, &made))
CALL(malloc_debug, IHostMalloc_DebugAlloc(scene.heap, 200, eTaskCritical, (char *)"some/file.c", 1, &made))
CALL(malloc_free, IHostMalloc_Free(scene.heap, scene.at))
CALL(malloc_free_foreign, IHostMalloc_Free(scene.heap, scene.region))
CALL(malloc_free_null, IHostMalloc_Free(scene.heap, NULL))
CALL(malloc_query, IHostMalloc_QueryInterface(scene.heap, &IID_IHostMalloc, &made))
CALL(malloc_add, IHostMalloc_AddRef(scene.heap) > 0 ? S_OK : E_FAIL)

static HRESULT malloc_give(void)
{
    IHostMalloc *heap = scene.heap;
    scene.heap = NULL;
    return IHostMalloc_Release(heap) == 0 ? S_OK : E_FAIL;
}

CALL(host_manager, IHostControl_GetHostManager(scene.control, &IID_IHostMemoryManager, &made))
CALL(host_other, IHostControl_GetHostManager(scene.control, &IID_IHostMalloc, &made))
CALL(host_domain, IHostControl_SetAppDomainManager(scene.control, 1, NULL))
CALL(owns, hostmem_owns(scene.manager, scene.region))
CALL(owns_foreign, hostmem_owns(scene.manager, scene.foreign))
CALL(statistics, hostmem_get_statistics(scene.manager, &statistics_read))
CALL(set_limits, hostmem_set_limits(scene.manager, &limits_new))
CALL(get_limits, hostmem_get_limits(scene.manager, &limits_read))
CALL(get_budget, hostmem_get_budget(scene.shared, &limits_read, &usage))
CALL(walk_regions, hostmem_walk_regions(scene.manager, see_region, NULL))
CALL(walk_blocks, hostmem_walk_blocks(scene.manager, see_block, NULL))
CALL(force, hostmem_force_pressure(scene.manager, eMemoryAvailableLow))
CALL(started, hostmem_clr_started(scene.manager))
CALL(shut, hostmem_shutdown(scene.manager))

#define HR(error) HRESULT_FROM_WIN32(error)

static const struct path {
    struct method_path is;
    void (*prepare)(void);
    HRESULT (*call)(void);
} paths[] = {
    {{"VirtualAlloc", "reserve", S_OK}, as_it_is, reserve},
    {{"VirtualAlloc", "reserve, a big one", S_OK}, as_it_is, reserve_big},
    {{"VirtualAlloc", "reserve at an address", S_OK}, free_place, reserve_there},
    {{"VirtualAlloc", "reserve where a stale region was", S_OK}, stale, reserve_there},
    {{"VirtualAlloc", "reserve and commit", S_OK}, as_it_is, reserve_commit},
    {{"VirtualAlloc", "reserve, address space refused", E_OUTOFMEMORY}, no_space, reserve},
    {{"VirtualAlloc", "reserve, Windows refuses", E_OUTOFMEMORY}, no_pages, reserve},
    {{"VirtualAlloc", "reserve and commit, refused", E_OUTOFMEMORY}, tight, reserve_commit},
    {{"VirtualAlloc", "commit", S_OK}, as_it_is, commit},
    {{"VirtualAlloc", "commit, memory for the bits", S_OK}, big, commit_big},
    {{"VirtualAlloc", "commit, no memory for the bits", E_OUTOFMEMORY}, big_and_no_pages, commit_big},
    {{"VirtualAlloc", "commit, Windows refuses", E_OUTOFMEMORY}, no_pages, commit},
    {{"VirtualAlloc", "commit, refused", E_OUTOFMEMORY}, tight, commit},
    {{"VirtualAlloc", "commit, refused by the shared budget", E_OUTOFMEMORY}, tight_shared, commit},
    {{"VirtualAlloc", "commit, an overrun", S_OK}, tight, commit_critical},
    {{"VirtualAlloc", "commit, beyond the margin", E_OUTOFMEMORY}, strict, commit_critical},
    {{"VirtualAlloc", "commit, overlapped", S_OK}, overlapped_alloc, commit},
    {{"VirtualAlloc", "commit in foreign memory", S_OK}, as_it_is, commit_foreign},
    {{"VirtualAlloc", "commit in a view, an overrun", S_OK}, tight, commit_view},
    {{"VirtualAlloc", "commit after shutdown", HOST_E_CLRNOTAVAILABLE}, closed, commit},
    {{"VirtualAlloc", "reset", S_OK}, as_it_is, reset},
    {{"VirtualFree", "decommit", S_OK}, as_it_is, decommit},
    {{"VirtualFree", "decommit, overlapped", S_OK}, overlapped_free, decommit},
    {{"VirtualFree", "decommit, Windows refuses", HR(ERROR_INVALID_PARAMETER)}, no_free, decommit},
    {{"VirtualFree", "release", S_OK}, as_it_is, release},
    {{"VirtualFree", "release of a big region in use", S_OK}, big_in_use, release_there},
    {{"VirtualFree", "release, Windows refuses", HR(ERROR_INVALID_PARAMETER)}, no_free, release},
    {{"VirtualFree", "release, overlapped", S_OK}, overlapped_free, release},
    {{"VirtualFree", "release with a size", HR(ERROR_INVALID_PARAMETER)}, as_it_is, release_wrong},
    {{"VirtualFree", "release of a stale region", S_FALSE}, stale, release_stale},
    {{"VirtualFree", "foreign", HOST_E_INVALIDOPERATION}, as_it_is, free_foreign},
    {{"VirtualQuery", "", S_OK}, as_it_is, query},
    {{"VirtualQuery", "wrong", HR(ERROR_BAD_LENGTH)}, as_it_is, query_wrong},
    {{"VirtualProtect", "", S_OK}, as_it_is, protect},
    {{"VirtualProtect", "wrong", HR(ERROR_INVALID_PARAMETER)}, as_it_is, protect_wrong},
    {{"GetMemoryLoad", "", S_OK}, as_it_is, memory_load},
    {{"GetMemoryLoad", "Windows refuses", E_OUTOFMEMORY}, no_status, memory_load},
    {{"RegisterMemoryNotificationCallback", "first", S_OK}, as_it_is, set_callback},
    {{"RegisterMemoryNotificationCallback", "replaced", S_OK}, registered, set_callback},
    {{"RegisterMemoryNotificationCallback", "NULL", S_OK}, registered, no_callback},
    {{"NeedsVirtualAddressSpace", "in vain", E_OUTOFMEMORY}, as_it_is, needs},
    {{"NeedsVirtualAddressSpace", "relieved", S_OK}, free_place, needs_free},
    {{"AcquiredVirtualAddressSpace", "again", S_OK}, as_it_is, acquired},
    {{"ReleasedVirtualAddressSpace", "", S_OK}, unmapped, released},
    {{"ReleasedVirtualAddressSpace", "mapped still", S_OK}, unreported, released},
    {{"CreateMalloc", "", S_OK}, as_it_is, create_malloc},
    {{"CreateMalloc", "wrong", E_INVALIDARG}, as_it_is, create_wrong},
    {{"CreateMalloc", "no memory", E_OUTOFMEMORY}, no_pages, create_malloc},
    {{"CreateMalloc", "after shutdown", HOST_E_CLRNOTAVAILABLE}, closed, create_malloc},
    {{"IHostMemoryManager::QueryInterface", "", S_OK}, as_it_is, memory_query},
    {{"IHostMemoryManager::AddRef", "", S_OK}, as_it_is, memory_add},
    {{"IHostMemoryManager::Release", "", S_OK}, as_it_is, memory_give},
    {{"IHostMalloc::Alloc", "", S_OK}, as_it_is, malloc_alloc},
    {{"IHostMalloc::Alloc", "refused", E_OUTOFMEMORY}, tight, malloc_alloc},
    {{"IHostMalloc::Alloc", "an overrun", S_OK}, tight, malloc_critical},
    {{"IHostMalloc::Alloc", "Windows refuses", E_OUTOFMEMORY}, no_heap, malloc_alloc},
    {{"IHostMalloc::Alloc", "no memory for the map", E_OUTOFMEMORY}, no_pages, malloc_alloc},
    {{"IHostMalloc::DebugAlloc", "", S_OK}, as_it_is, malloc_debug},
    {{"IHostMalloc::DebugAlloc", "refused", E_OUTOFMEMORY}, tight, malloc_debug},
    {{"IHostMalloc::Free", "", S_OK}, block, malloc_free},
    {{"IHostMalloc::Free", "foreign", HOST_E_INVALIDOPERATION}, block, malloc_free_foreign},
    {{"IHostMalloc::Free", "NULL", S_OK}, as_it_is, malloc_free_null},
    {{"IHostMalloc::QueryInterface", "", S_OK}, as_it_is, malloc_query},
    {{"IHostMalloc::AddRef", "", S_OK}, as_it_is, malloc_add},
    {{"IHostMalloc::Release", "the last, a block left", S_OK}, block, malloc_give},
    {{"GetHostManager", "", S_OK}, as_it_is, host_manager},
    {{"GetHostManager", "another interface", E_NOINTERFACE}, as_it_is, host_other},
    {{"SetAppDomainManager", "", S_OK}, as_it_is, host_domain},
    {{"hostmem_owns", "", S_OK}, as_it_is, owns},
    {{"hostmem_owns", "foreign", S_FALSE}, as_it_is, owns_foreign},
    {{"hostmem_get_statistics", "", S_OK}, as_it_is, statistics},
    {{"hostmem_set_limits", "", S_OK}, as_it_is, set_limits},
    {{"hostmem_get_limits", "", S_OK}, as_it_is, get_limits},
    {{"hostmem_get_budget", "", S_OK}, as_it_is, get_budget},
    {{"hostmem_walk_regions", "", S_OK}, as_it_is, walk_regions},
    {{"hostmem_walk_blocks", "", S_OK}, block, walk_blocks},
    {{"hostmem_force_pressure", "", S_OK}, registered, force},
    {{"hostmem_clr_started", "", S_OK}, registered, started},
    {{"hostmem_shutdown", "", S_OK}, registered, shut},
};

enum { PATHS = sizeof paths / sizeof *paths };

const struct method_path *method_path(unsigned number)
{
    return number < PATHS ? &paths[number].is : NULL;
}

static HRESULT HOSTMEM_CALL release_region(const hostmem_region *region, void *context)
{
    (void)context;
    if (region->kind == HOSTMEM_REGION_PRIVATE)
        IHostMemoryManager_VirtualFree(scene.memory, region->base, 0, MEM_RELEASE);
    return S_OK;
}

static HRESULT HOSTMEM_CALL free_block(const hostmem_block *block, void *context)
{
    (void)context;
    return IHostMalloc_Free(block->heap, block->address);
}

static bool set_scene(void)
{
    hostmem_limits limits = {.size = sizeof limits, .limit = 64 * MIB};
    hostmem_create_budget(NULL, &scene.shared);
    hostmem_options options = {.size = sizeof options,
                               .limits = &limits,
                               .shared = scene.shared,
                               .relief = relieve,
                               .leaked_block = see_block};
    HANDLE mapping =
        CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE | SEC_RESERVE, 0, GRANULE, NULL);
    scene.view = MapViewOfFile(mapping, FILE_MAP_WRITE, 0, 0, 0);
    CloseHandle(mapping);
    scene.foreign = VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    if (scene.view == NULL || scene.foreign == NULL || hostmem_create(&options, &scene.manager) != S_OK ||
        hostmem_get_memory_manager(scene.manager, &scene.memory) != S_OK ||
        hostmem_create_host_control(scene.manager, NULL, &scene.control) != S_OK ||
        IHostMemoryManager_CreateMalloc(scene.memory, MALLOC_THREADSAFE, &scene.heap) != S_OK ||
        alloc(NULL, 64 * GRANULE, MEM_RESERVE, eTaskCritical) != S_OK)
        return false;
    scene.region = made;
    IHostMemoryManager_AcquiredVirtualAddressSpace(scene.memory, scene.view, 0);
    return alloc(scene.region, 2 * GRANULE, MEM_COMMIT, eTaskCritical) == S_OK;
}

bool method_path_prepare(unsigned number)
{
    memset(&scene, 0, sizeof scene);
    failing = overlapped = NULL;
    made_heap = NULL;
    atomic_store(&other, 0);
    if (!set_scene())
        return false;
    paths[number].prepare();
    helper = overlapped != NULL ? CreateThread(NULL, 0, other_thread, NULL, 0, NULL) : NULL;
    return true;
}

HRESULT method_path_call(unsigned number)
{
    return paths[number].call();
}

void method_path_end(void)
{
    failing = NULL;
    if (helper != NULL) {
        WaitForSingleObject(helper, INFINITE);
        CloseHandle(helper);
    }
    hostmem_walk_regions(scene.manager, release_region, NULL);
    hostmem_walk_blocks(scene.manager, free_block, NULL);
    hostmem_shutdown(scene.manager);
    if (made_heap != NULL)
        IHostMalloc_Release(made_heap);
    while (scene.heap != NULL && IHostMalloc_Release(scene.heap) > 0)
        ;
    IHostControl_Release(scene.control);
    /* Some calls took a reference, one gave one back. */
    IHostMemoryManager_AddRef(scene.memory);
    while (IHostMemoryManager_Release(scene.memory) > 1)
        ;
    if (!verified(scene.manager))
        exit(1);
    hostmem_release(scene.manager);
    hostmem_release_budget(scene.shared);
    UnmapViewOfFile(scene.view);
    VirtualFree(scene.foreign, 0, MEM_RELEASE);
}
