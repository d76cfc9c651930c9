/* The CLR's side of its hosting interfaces; see the header. */
#include <string.h>

#include "support/standin_clr.h"

static const IID task_manager = {
    0x997ff24c, 0x43b7, 0x4352, {0x86, 0x67, 0x0d, 0xc0, 0x4f, 0xaf, 0xd3, 0x54}};
/* Threadpool, IoCompletion, Sync, Assembly, GC, Security, Policy: in the CLR's order. */
static const IID later_managers[] = {
    {0x983d50e2, 0xcb15, 0x466b, {0x80, 0xfc, 0x84, 0x5d, 0xc6, 0xe8, 0xc5, 0xfd}},
    {0x8bde9d80, 0xec06, 0x41d6, {0x83, 0xe6, 0x22, 0x58, 0x0e, 0xff, 0xcc, 0x20}},
    {0x234330c7, 0x5f10, 0x4f20, {0x96, 0x15, 0x51, 0x22, 0xda, 0xb7, 0xa0, 0xac}},
    {0x613dabd7, 0x62b2, 0x493e, {0x9e, 0x65, 0xc1, 0xe3, 0x2a, 0x1e, 0x0c, 0x5e}},
    {0x5d4ec34e, 0xf248, 0x457b, {0xb6, 0x03, 0x25, 0x5f, 0xaa, 0xba, 0x0d, 0x21}},
    {0x75ad2468, 0xa349, 0x4d02, {0xa7, 0x64, 0x76, 0xa6, 0x8a, 0xee, 0x0c, 0x4f}},
    {0x7ae49844, 0xb1e3, 0x4683, {0xba, 0x7c, 0x1e, 0x82, 0x12, 0xea, 0x3b, 0x79}}};

#define POISON ((void *)~(uintptr_t)0x5A5A)

static void fault(struct standin_clr *clr, enum standin_fault what)
{
    atomic_fetch_or(&clr->faults, what);
}

/* This thread is in the host, which must not call back from there (contract 3.5, 3.8). */
static _Thread_local bool in_host;

static void into_host(void)
{
    in_host = true;
}

static HRESULT back(struct standin_clr *clr, HRESULT result)
{
    in_host = false;
    clr->last_result = result;
    if (SUCCEEDED(result) && result != S_OK)
        fault(clr, FAULT_OTHER_SUCCESS);
    return result;
}

/* The static notification object: constant counts. */

static HRESULT STDMETHODCALLTYPE callback_query(ICLRMemoryNotificationCallback *iface, REFIID riid,
                                                void **out)
{
    (void)riid;
    *out = iface;
    return S_OK;
}

static ULONG STDMETHODCALLTYPE callback_refer(ICLRMemoryNotificationCallback *iface)
{
    (void)iface;
    return 1;
}

static HRESULT STDMETHODCALLTYPE callback_notify(ICLRMemoryNotificationCallback *iface,
                                                 EMemoryAvailable level)
{
    struct standin_clr *clr = CONTAINING_RECORD(iface, struct standin_clr, callback);
    (void)level;
    if (in_host)
        fault(clr, FAULT_CALLED_BACK);
    if (clr->started) /* before that it is ignored */
        atomic_fetch_add(&clr->notifications, 1);
    return S_OK;
}

static const ICLRMemoryNotificationCallbackVtbl callback_vtbl = {
    callback_query,
    callback_refer,
    callback_refer,
    callback_notify,
};

void standin_init(struct standin_clr *clr)
{
    memset(clr, 0, sizeof *clr);
    clr->callback.lpVtbl = (void *)&callback_vtbl;
}

static void *ask(struct standin_clr *clr, IHostControl *control, const IID *iid)
{
    void *object = POISON;
    into_host();
    HRESULT result = back(clr, IHostControl_GetHostManager(control, iid, &object));
    if (object == POISON) {
        fault(clr, FAULT_OUT_UNWRITTEN);
        object = NULL;
    }
    if (result != S_OK && object != NULL)
        fault(clr, FAULT_OUT_ON_FAILURE);
    return result == S_OK ? object : NULL;
}

static ULONG references(IHostMemoryManager *memory)
{
    IHostMemoryManager_AddRef(memory);
    return IHostMemoryManager_Release(memory);
}

static HRESULT take_memory_manager(struct standin_clr *clr, IHostControl *control)
{
    IHostMemoryManager *memory = ask(clr, control, &IID_IHostMemoryManager);
    if (memory == NULL)
        return S_OK; /* not hosted */
    IHostMalloc *heap = POISON;
    into_host();
    HRESULT result = back(clr, IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &heap));
    if (result != S_OK) {
        if (heap != NULL)
            fault(clr, heap == POISON ? FAULT_OUT_UNWRITTEN : FAULT_OUT_ON_FAILURE);
        IHostMemoryManager_Release(memory);
        clr->releases++;
        return E_UNEXPECTED;
    }
    if (heap == NULL || heap == POISON) {
        fault(clr, heap == NULL ? FAULT_NULL_ON_SUCCESS : FAULT_OUT_UNWRITTEN);
        heap = NULL;
    }
    clr->memory = memory;
    clr->heap = heap;
    into_host();
    back(clr, IHostMemoryManager_RegisterMemoryNotificationCallback(memory, &clr->callback)); /* ignored */
    /* The host's own reference, the CLR's, and nobody knows how many more. */
    if (references(memory) < 2)
        fault(clr, FAULT_REFERENCE);
    return S_OK;
}

HRESULT standin_set_host_control(struct standin_clr *clr, IHostControl *control)
{
    if (control == NULL)
        return E_INVALIDARG;
    if (clr->started)
        return E_ACCESSDENIED;
    if (clr->memory == NULL) {
        HRESULT result = take_memory_manager(clr, control);
        if (result != S_OK)
            return result;
    }
    ask(clr, control, &task_manager);
    for (unsigned i = 0; i < sizeof later_managers / sizeof *later_managers; i++)
        ask(clr, control, &later_managers[i]);
    ask(clr, control, &task_manager); /* as the loser of a race does */
    if (clr->control == NULL) {
        clr->control = control;
        IHostControl_AddRef(control);
    }
    return S_OK;
}

void standin_start(struct standin_clr *clr)
{
    clr->started = true;
}

/* The host control is released, the managers never are. */
void standin_stop(struct standin_clr *clr)
{
    IHostControl_Release(clr->control);
    clr->control = NULL;
}

HRESULT standin_make_domain(struct standin_clr *clr, DWORD domain, IUnknown *manager)
{
    into_host();
    HRESULT result = back(clr, IHostControl_SetAppDomainManager(clr->control, domain, manager));
    if (FAILED(result))
        fault(clr, FAULT_DOMAIN_REFUSED);
    IUnknown_Release(manager);
    return result;
}

static EMemoryCriticalLevel level_at(const struct standin_clr *clr, enum standin_place place)
{
    if (!clr->started)
        return eProcessCritical;
    switch (place) {
    case LOCK_IN_DEFAULT_DOMAIN:
        return eProcessCritical;
    case LOCK_IN_OTHER_DOMAIN:
        return eAppDomainCritical;
    default:
        return eTaskCritical;
    }
}

/* The test that follows both kinds of allocation: S_OK, nothing else. */
static void *take(struct standin_clr *clr, HRESULT result, void *memory)
{
    if (memory == POISON) {
        fault(clr, FAULT_OUT_UNWRITTEN);
        return NULL;
    }
    if (result != S_OK) {
        if (memory != NULL)
            fault(clr, FAULT_OUT_ON_FAILURE);
        return NULL;
    }
    if (memory == NULL)
        fault(clr, FAULT_NULL_ON_SUCCESS);
    return memory;
}

/* Several places do without clearing what was just committed. */
static bool all_zero(const char *memory, SIZE_T size)
{
    for (SIZE_T i = 0; i < size; i++)
        if (memory[i] != 0)
            return false;
    return true;
}

void *standin_virtual_alloc(struct standin_clr *clr, enum standin_place place, void *address, SIZE_T size,
                            DWORD type, DWORD protect)
{
    MEMORY_BASIC_INFORMATION before = {.State = MEM_FREE};
    if (address != NULL)
        VirtualQuery(address, &before, sizeof before);
    bool fresh = (type & MEM_COMMIT) != 0 && before.State != MEM_COMMIT;

    void *memory = POISON;
    into_host();
    HRESULT result = back(clr, IHostMemoryManager_VirtualAlloc(clr->memory, address, size, type, protect,
                                                               level_at(clr, place), &memory));
    memory = take(clr, result, memory);
    if (memory == NULL)
        return NULL;
    uintptr_t wanted = (uintptr_t)address & ~(uintptr_t)((type & MEM_RESERVE) ? 0xFFFF : 0xFFF);
    if (address != NULL ? (uintptr_t)memory != wanted : (uintptr_t)memory % 0x10000 != 0)
        fault(clr, FAULT_MISPLACED);
    if (fresh && (protect == PAGE_READWRITE || protect == PAGE_EXECUTE_READWRITE)) {
        SIZE_T first_page = 0x1000;
        if (!all_zero(memory, size < first_page ? size : first_page))
            fault(clr, FAULT_NOT_ZERO);
    }
    return memory;
}

bool standin_virtual_free(struct standin_clr *clr, void *address, SIZE_T size, DWORD type)
{
    into_host();
    return back(clr, IHostMemoryManager_VirtualFree(clr->memory, address, size, type)) == S_OK;
}

SIZE_T standin_virtual_query(struct standin_clr *clr, const void *address, MEMORY_BASIC_INFORMATION *info,
                             SIZE_T length)
{
    const SIZE_T poison = (SIZE_T)0x5A5A5A5A;
    SIZE_T written = poison;
    into_host();
    HRESULT result =
        back(clr, IHostMemoryManager_VirtualQuery(clr->memory, (void *)address, info, length, &written));
    if (written == poison)
        fault(clr, FAULT_OUT_UNWRITTEN);
    return FAILED(result) ? 0 : written;
}

bool standin_virtual_protect(struct standin_clr *clr, void *address, SIZE_T size, DWORD protect, DWORD *old)
{
    const DWORD poison = 0x5A5A5A5A;
    *old = poison;
    into_host();
    bool done =
        back(clr, IHostMemoryManager_VirtualProtect(clr->memory, address, size, protect, old)) == S_OK;
    if (done && *old == poison)
        fault(clr, FAULT_OUT_UNWRITTEN);
    return done;
}

void *standin_heap_alloc(struct standin_clr *clr, enum standin_place place, SIZE_T size)
{
    void *memory = POISON;
    into_host();
    HRESULT result = back(clr, IHostMalloc_Alloc(clr->heap, size, level_at(clr, place), &memory));
    memory = take(clr, result, memory);
    if ((uintptr_t)memory % (2 * sizeof(void *)) != 0)
        fault(clr, FAULT_MISPLACED);
    return memory;
}

bool standin_heap_free(struct standin_clr *clr, void *block)
{
    into_host();
    HRESULT result = back(clr, IHostMalloc_Free(clr->heap, block));
    if (block == NULL && result != S_OK)
        fault(clr, FAULT_FREE_NULL);
    return block == NULL || result == S_OK; /* NULL was found good before the host is asked */
}

void *standin_reserve_within(struct standin_clr *clr, char *low, char *high, SIZE_T size)
{
    char *at = (char *)(((uintptr_t)low + 0xFFFF) & ~(uintptr_t)0xFFFF);
    while (at < high) {
        MEMORY_BASIC_INFORMATION info;
        if (standin_virtual_query(clr, at, &info, sizeof info) != sizeof info)
            return NULL;
        char *end = (char *)info.BaseAddress + info.RegionSize;
        if (info.State == MEM_FREE && (SIZE_T)(end - at) >= size) {
            void *memory = standin_virtual_alloc(clr, OUTSIDE_LOCKS, at, size, MEM_RESERVE, PAGE_NOACCESS);
            if (memory != NULL)
                return memory;
        }
        at = (char *)(((uintptr_t)end + 0xFFFF) & ~(uintptr_t)0xFFFF);
    }
    return NULL;
}

void *standin_map_file(struct standin_clr *clr, HANDLE mapping, void *base, SIZE_T reported)
{
    clr->maps++;
    void *view = MapViewOfFileEx(mapping, FILE_MAP_READ, 0, 0, 0, base);
    if (view == NULL) {
        DWORD error = GetLastError();
        into_host();
        if (SUCCEEDED(back(clr, IHostMemoryManager_NeedsVirtualAddressSpace(clr->memory, base, reported)))) {
            clr->maps++;
            view = MapViewOfFileEx(mapping, FILE_MAP_READ, 0, 0, 0, base);
        } else {
            SetLastError(error != 0 ? error : ERROR_NOT_ENOUGH_MEMORY);
        }
    }
    if (view != NULL) {
        into_host();
        back(clr, IHostMemoryManager_AcquiredVirtualAddressSpace(clr->memory, view, reported)); /* ignored */
    }
    return view;
}

bool standin_unmap_file(struct standin_clr *clr, void *view)
{
    if (!UnmapViewOfFile(view))
        return false;
    into_host();
    back(clr, IHostMemoryManager_ReleasedVirtualAddressSpace(clr->memory, view)); /* ignored */
    return true;
}

void standin_memory_load(struct standin_clr *clr, DWORD *load, SIZE_T *available)
{
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    GlobalMemoryStatusEx(&status);
    *load = status.dwMemoryLoad;
    *available = (SIZE_T)status.ullAvailPhys;
    const DWORD poison = 0x5A5A5A5A;
    DWORD host_load = poison;
    SIZE_T host_available = poison;
    into_host();
    if (back(clr, IHostMemoryManager_GetMemoryLoad(clr->memory, &host_load, &host_available)) == S_OK) {
        if (host_load == poison || host_available == poison)
            fault(clr, FAULT_OUT_UNWRITTEN);
        *load = host_load;
        *available = host_available;
    }
    if (*available > status.ullTotalVirtual)
        *available = (SIZE_T)status.ullAvailVirtual;
}
