/* Somebody else's IHostControl and IHostMemoryManager; see the header. */
#include <stddef.h>
#include <string.h>

#include "support/bridge_host.h"

#define HOST_OF(pointer, member)                                                                             \
    ((struct bridge_host *)((char *)(pointer)-offsetof(struct bridge_host, member)))

static struct bridge_call *record(struct bridge_host *host, char method)
{
    static struct bridge_call nowhere;
    unsigned index = atomic_fetch_add(&host->count, 1);
    struct bridge_call *call = index < host->capacity ? &host->calls[index] : &nowhere;

    call->thread = GetCurrentThreadId();
    call->method = method;
    return call;
}

static HRESULT last_error(void)
{
    return HRESULT_FROM_WIN32(GetLastError());
}

/* IHostControl */

static HRESULT STDMETHODCALLTYPE control_query(IHostControl *self, REFIID riid, void **object)
{
    (void)self, (void)riid;
    *object = NULL;
    return E_NOINTERFACE;
}

static ULONG STDMETHODCALLTYPE control_addref(IHostControl *self)
{
    return atomic_fetch_add(&HOST_OF(self, control)->control_references, 1) + 1;
}

static ULONG STDMETHODCALLTYPE control_release(IHostControl *self)
{
    return atomic_fetch_sub(&HOST_OF(self, control)->control_references, 1) - 1;
}

static HRESULT STDMETHODCALLTYPE control_get(IHostControl *self, REFIID riid, void **object)
{
    struct bridge_host *host = HOST_OF(self, control);

    record(host, 'G');
    host->last_asked = *riid;
    if (memcmp(riid, &IID_IHostMemoryManager, sizeof *riid)) {
        atomic_fetch_add(&host->others_asked, 1);
        *object = NULL;
        return E_NOINTERFACE;
    }
    if (host->asked)
        host->asked(host, host->asked_context);
    if (FAILED(host->get_hr))
        return host->get_hr; /* *object stays as it was: not every host follows the documentation */
    *object = host->null_manager ? NULL : &host->memory;
    if (!host->null_manager)
        atomic_fetch_add(&host->memory_references, 1);
    return host->get_hr;
}

static HRESULT STDMETHODCALLTYPE control_domain(IHostControl *self, DWORD id, IUnknown *manager)
{
    (void)self, (void)id, (void)manager;
    return S_OK;
}

static const IHostControlVtbl control_vtable = {
    control_query, control_addref, control_release, control_get, control_domain,
};

/* IHostMalloc: blocks of a heap of its own, full of rubbish */

static HANDLE own_heap(void)
{
    static HANDLE _Atomic heap;
    HANDLE now = atomic_load(&heap), made;

    if (now)
        return now;
    made = HeapCreate(0, 0, 0);
    if (atomic_compare_exchange_strong(&heap, &now, made))
        return made;
    HeapDestroy(made);
    return now;
}

static HRESULT STDMETHODCALLTYPE heap_query(IHostMalloc *self, REFIID riid, void **object)
{
    (void)self, (void)riid;
    *object = NULL;
    return E_NOINTERFACE;
}

static ULONG STDMETHODCALLTYPE heap_refer(IHostMalloc *self)
{
    (void)self;
    return 1;
}

static HRESULT STDMETHODCALLTYPE heap_alloc(IHostMalloc *self, SIZE_T size, EMemoryCriticalLevel level,
                                            void **memory)
{
    struct bridge_host *host = HOST_OF(self, heap);
    struct bridge_call *call = record(host, 'M');

    call->size = size;
    call->level = level;
    call->hr = host->block_hr;
    SetLastError(ERROR_INVALID_FUNCTION); /* the bridge has to care for it */
    if (host->block_hr)
        return host->block_hr;
    if (host->passive)
        return S_OK;
    *memory = HeapAlloc(own_heap(), 0, size + host->block_shift);
    if (!*memory)
        return E_OUTOFMEMORY;
    memset(*memory, 0xCD, size);
    *memory = call->result = (BYTE *)*memory + host->block_shift;
    atomic_fetch_add(&host->blocks, 1);
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE heap_debug_alloc(IHostMalloc *self, SIZE_T size, EMemoryCriticalLevel level,
                                                  char *file, int line, void **memory)
{
    (void)file, (void)line;
    return heap_alloc(self, size, level, memory);
}

static HRESULT STDMETHODCALLTYPE heap_free(IHostMalloc *self, void *memory)
{
    struct bridge_host *host = HOST_OF(self, heap);

    record(host, 'm')->address = memory;
    SetLastError(ERROR_INVALID_FUNCTION);
    if (!HeapValidate(own_heap(), 0, (BYTE *)memory - host->block_shift)) {
        atomic_fetch_add(&host->wrong_blocks, 1);
        return HOST_E_INVALIDOPERATION;
    }
    atomic_fetch_sub(&host->blocks, 1);
    return HeapFree(own_heap(), 0, (BYTE *)memory - host->block_shift) ? S_OK : E_FAIL;
}

static const IHostMallocVtbl heap_vtable = {
    heap_query, heap_refer, heap_refer, heap_alloc, heap_debug_alloc, heap_free,
};

/* IHostMemoryManager */

static ULONG STDMETHODCALLTYPE memory_addref(IHostMemoryManager *self)
{
    return atomic_fetch_add(&HOST_OF(self, memory)->memory_references, 1) + 1;
}

static HRESULT STDMETHODCALLTYPE memory_query(IHostMemoryManager *self, REFIID riid, void **object)
{
    struct bridge_host *host = HOST_OF(self, memory);

    *object = self;
    if (host->takes_anything)
        return memory_addref(self), S_OK;
    *object = NULL;
    if (!host->takes_use || memcmp(riid, &iid_region_use, sizeof *riid))
        return E_NOINTERFACE;
    *object = &host->use;
    memory_addref(self);
    return S_OK;
}

static ULONG STDMETHODCALLTYPE memory_release(IHostMemoryManager *self)
{
    struct bridge_host *host = HOST_OF(self, memory);

    record(host, 'r');
    return atomic_fetch_sub(&host->memory_references, 1) - 1;
}

static HRESULT STDMETHODCALLTYPE memory_create_malloc(IHostMemoryManager *self, DWORD type,
                                                      IHostMalloc **heap)
{
    struct bridge_host *host = HOST_OF(self, memory);

    record(host, 'C')->type = type;
    *heap = host->malloc_hr || host->null_malloc ? NULL : &host->heap;
    return host->malloc_hr;
}

static HRESULT STDMETHODCALLTYPE memory_alloc(IHostMemoryManager *self, void *address, SIZE_T size,
                                              DWORD type, DWORD protect, EMemoryCriticalLevel level,
                                              void **memory)
{
    struct bridge_host *host = HOST_OF(self, memory);
    struct bridge_call *call = record(host, 'A');

    call->address = address;
    call->size = size;
    call->type = type;
    call->protect = protect;
    call->level = level;
    call->heap = address && host->classify && host->classify(address);
    call->hr = host->alloc_hr;
    if (host->alloc_hr)
        return host->alloc_hr; /* *memory stays unwritten: no host may rely on it, nor the bridge */
    if (host->passive)
        return S_OK;
    if (host->next) {
        call->hr = IHostMemoryManager_VirtualAlloc(host->next, address, size, type, protect, level, memory);
    } else {
        *memory = VirtualAlloc(address, size, type, protect);
        call->hr = *memory ? S_OK : last_error();
    }
    call->result = *memory;
    return call->hr;
}

static HRESULT STDMETHODCALLTYPE memory_free(IHostMemoryManager *self, LPVOID address, SIZE_T size,
                                             DWORD type)
{
    struct bridge_host *host = HOST_OF(self, memory);
    struct bridge_call *call = record(host, 'F');

    call->address = address;
    call->size = size;
    call->type = type;
    call->hr = host->free_hr;
    if (host->claims && host->claims == address)
        call->hr = HOST_E_INVALIDOPERATION;
    else if (host->next)
        call->hr = IHostMemoryManager_VirtualFree(host->next, address, size, type);
    else if (!host->free_hr)
        call->hr = VirtualFree(address, size, type) ? S_OK : last_error();
    return call->hr;
}

static HRESULT STDMETHODCALLTYPE memory_vquery(IHostMemoryManager *self, void *address, void *buffer,
                                               SIZE_T length, SIZE_T *result)
{
    struct bridge_host *host = HOST_OF(self, memory);
    struct bridge_call *call = record(host, 'Q');

    call->address = address;
    if (host->query_hr)
        return host->query_hr;
    if (host->next)
        return IHostMemoryManager_VirtualQuery(host->next, address, buffer, length, result);
    *result = VirtualQuery(address, buffer, length);
    return *result ? S_OK : last_error();
}

static HRESULT STDMETHODCALLTYPE memory_protect(IHostMemoryManager *self, void *address, SIZE_T size,
                                                DWORD protect, DWORD *old)
{
    struct bridge_host *host = HOST_OF(self, memory);
    struct bridge_call *call = record(host, 'P');

    call->address = address;
    call->size = size;
    call->protect = protect;
    if (host->protect_hr)
        return host->protect_hr;
    if (host->next)
        return IHostMemoryManager_VirtualProtect(host->next, address, size, protect, old);
    return VirtualProtect(address, size, protect, old) ? S_OK : last_error();
}

static HRESULT STDMETHODCALLTYPE memory_load(IHostMemoryManager *self, DWORD *load, SIZE_T *available)
{
    struct bridge_host *host = HOST_OF(self, memory);
    MEMORYSTATUSEX status = {.dwLength = sizeof status};

    if (host->says_load) {
        *load = host->load;
        *available = host->available;
        return host->load_hr;
    }
    GlobalMemoryStatusEx(&status);
    *load = status.dwMemoryLoad;
    *available = (SIZE_T)status.ullAvailPhys;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE memory_register(IHostMemoryManager *self,
                                                 ICLRMemoryNotificationCallback *callback)
{
    struct bridge_host *host = HOST_OF(self, memory);

    record(host, 'R');
    host->callback = callback;
    return host->register_hr;
}

static HRESULT STDMETHODCALLTYPE memory_needs(IHostMemoryManager *self, LPVOID address, SIZE_T size)
{
    struct bridge_host *host = HOST_OF(self, memory);
    struct bridge_call *call = record(host, 'N');

    call->address = address;
    call->size = size;
    return host->needs_hr;
}

static HRESULT STDMETHODCALLTYPE memory_acquired(IHostMemoryManager *self, LPVOID address, SIZE_T size)
{
    struct bridge_host *host = HOST_OF(self, memory);
    struct bridge_call *call = record(host, '+');

    call->address = address;
    call->size = size;
    return host->next ? IHostMemoryManager_AcquiredVirtualAddressSpace(host->next, address, size) : S_OK;
}

static HRESULT STDMETHODCALLTYPE memory_released(IHostMemoryManager *self, LPVOID address)
{
    struct bridge_host *host = HOST_OF(self, memory);

    record(host, '-')->address = address;
    return host->next ? IHostMemoryManager_ReleasedVirtualAddressSpace(host->next, address) : S_OK;
}

static const IHostMemoryManagerVtbl memory_vtable = {
    memory_query, memory_addref,   memory_release,  memory_create_malloc, memory_alloc,
    memory_free,  memory_vquery,   memory_protect,  memory_load,          memory_register,
    memory_needs, memory_acquired, memory_released,
};

/* IHostmemRegionUse */

static HRESULT STDMETHODCALLTYPE use_query(IHostmemRegionUse *self, REFIID riid, void **object)
{
    return memory_query(&HOST_OF(self, use)->memory, riid, object);
}

static ULONG STDMETHODCALLTYPE use_addref(IHostmemRegionUse *self)
{
    return memory_addref(&HOST_OF(self, use)->memory);
}

static ULONG STDMETHODCALLTYPE use_release(IHostmemRegionUse *self)
{
    return memory_release(&HOST_OF(self, use)->memory);
}

static HRESULT STDMETHODCALLTYPE use_set(IHostmemRegionUse *self, void *address, uint32_t use)
{
    struct bridge_host *host = HOST_OF(self, use);
    struct bridge_call *call = record(host, 'U');
    MEMORY_BASIC_INFORMATION info;

    VirtualQuery(address, &info, sizeof info);
    void *base = info.AllocationBase;
    call->address = address;
    call->use = use;
    call->result = base;
    call->late = FALSE;
    for (BYTE *at = base; VirtualQuery(at, &info, sizeof info) && info.AllocationBase == base;
         at += info.RegionSize)
        call->late |= info.State == MEM_COMMIT;
    if (host->next_use)
        return call->hr = host->next_use->lpVtbl->SetUse(host->next_use, address, use);
    SetLastError(ERROR_INVALID_FUNCTION); /* the bridge has to care for it */
    return call->hr = base ? S_OK : HOST_E_INVALIDOPERATION;
}

static const IHostmemRegionUseVtbl use_vtable = {use_query, use_addref, use_release, use_set};

uint32_t bridge_host_use(const struct bridge_host *host, const void *base)
{
    for (unsigned i = host->count < host->capacity ? host->count : host->capacity; i--;) {
        const struct bridge_call *call = &host->calls[i];
        if (call->method == 'U' && call->result == base)
            return call->use;
        if (call->method == 'A' && call->result == base && (!call->address || call->type & MEM_RESERVE))
            break;
    }
    return BRIDGE_NO_USE;
}

void bridge_host_init(struct bridge_host *host)
{
    memset(host, 0, sizeof *host);
    host->control.lpVtbl = (IHostControlVtbl *)&control_vtable;
    host->memory.lpVtbl = (IHostMemoryManagerVtbl *)&memory_vtable;
    host->heap.lpVtbl = (IHostMallocVtbl *)&heap_vtable;
    host->use.lpVtbl = &use_vtable;
    host->control_references = 1;
    host->memory_references = 1;
    host->needs_hr = E_OUTOFMEMORY;
}

BOOL bridge_host_chain(struct bridge_host *host, IHostMemoryManager *next)
{
    host->next = next;
    host->takes_use =
        IHostMemoryManager_QueryInterface(next, &iid_region_use, (void **)&host->next_use) == S_OK;
    return host->takes_use;
}

const wchar_t *bridge_beside(const wchar_t *name)
{
    static wchar_t path[MAX_PATH * 2];
    DWORD length = GetModuleFileNameW(NULL, path, MAX_PATH);

    while (length && path[length - 1] != L'\\')
        --length;
    lstrcpyW(path + length, name);
    return path;
}

void **bridge_slot(HMODULE of, const char *name)
{
    BYTE *base = (BYTE *)of;
    const IMAGE_NT_HEADERS *headers = (const void *)(base + ((const IMAGE_DOS_HEADER *)base)->e_lfanew);
    const IMAGE_IMPORT_DESCRIPTOR *dll =
        (const void *)(base +
                       headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT].VirtualAddress);

    for (; dll->FirstThunk; ++dll) {
        const IMAGE_THUNK_DATA *names = (const void *)(base + dll->OriginalFirstThunk);
        void **slot = (void **)(base + dll->FirstThunk);
        for (; names->u1.AddressOfData; ++names, ++slot)
            if (!IMAGE_SNAP_BY_ORDINAL(names->u1.Ordinal) &&
                !strcmp((const char *)((const IMAGE_IMPORT_BY_NAME *)(base + names->u1.AddressOfData))->Name,
                        name))
                return slot;
    }
    return NULL;
}

BOOL bridge_hook(HMODULE module, const char *name, void *replacement)
{
    BYTE *base = (BYTE *)module;
    const IMAGE_NT_HEADERS *headers = (const void *)(base + ((const IMAGE_DOS_HEADER *)base)->e_lfanew);
    const IMAGE_IMPORT_DESCRIPTOR *dll =
        (const void *)(base +
                       headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT].VirtualAddress);
    void *original = (void *)GetProcAddress(GetModuleHandleW(L"kernel32.dll"), name);
    DWORD protection;

    for (; dll->FirstThunk; ++dll)
        for (void **slot = (void **)(base + dll->FirstThunk); *slot; ++slot)
            if (*slot == original && VirtualProtect(slot, sizeof *slot, PAGE_READWRITE, &protection)) {
                *slot = replacement;
                return VirtualProtect(slot, sizeof *slot, protection, &protection);
            }
    return FALSE;
}

hostmem_bridge_statistics bridge_statistics(void)
{
    hostmem_bridge_statistics result = {.size = sizeof result};

    hostmem_bridge_get_statistics(&result);
    return result;
}
