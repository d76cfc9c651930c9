/* A host with one mistake; see the header. */
#include "support/wrong_host.h"

#define HOST_OF(pointer, member) CONTAINING_RECORD(pointer, struct wrong_host, member)

static HRESULT last_error(void)
{
    return HRESULT_FROM_WIN32(GetLastError());
}

/* For all three objects: nothing else is here, and nothing is counted. */
static HRESULT STDMETHODCALLTYPE no_interface(void *iface, REFIID riid, void **out)
{
    (void)iface, (void)riid;
    *out = NULL;
    return E_NOINTERFACE;
}

static ULONG STDMETHODCALLTYPE not_counted(void *iface)
{
    (void)iface;
    return 1;
}

static HRESULT STDMETHODCALLTYPE control_get(IHostControl *iface, REFIID riid, void **out)
{
    struct wrong_host *host = HOST_OF(iface, control);
    if (!IsEqualIID(riid, &IID_IHostMemoryManager)) {
        if (host->wrong != WRONG_MANAGER_OUT)
            *out = NULL;
        return E_NOINTERFACE;
    }
    *out = host->wrong == WRONG_MANAGER_NULL ? NULL : &host->memory;
    if (host->wrong != WRONG_NO_REFERENCE)
        host->references++;
    return host->wrong == WRONG_MANAGER_S_FALSE ? S_FALSE : S_OK;
}

static HRESULT STDMETHODCALLTYPE control_domain(IHostControl *iface, DWORD domain, IUnknown *manager)
{
    (void)domain, (void)manager;
    return HOST_OF(iface, control)->wrong == WRONG_DOMAIN ? E_NOTIMPL : S_OK;
}

static ULONG STDMETHODCALLTYPE memory_add(IHostMemoryManager *iface)
{
    return ++HOST_OF(iface, memory)->references;
}

static ULONG STDMETHODCALLTYPE memory_release(IHostMemoryManager *iface)
{
    return --HOST_OF(iface, memory)->references;
}

static HRESULT STDMETHODCALLTYPE memory_malloc(IHostMemoryManager *iface, DWORD type, IHostMalloc **out)
{
    struct wrong_host *host = HOST_OF(iface, memory);
    (void)type;
    host->mallocs++;
    *out = host->wrong == WRONG_MALLOC_NULL || host->wrong == WRONG_MALLOC_FAILS ? NULL : &host->heap;
    if (host->wrong == WRONG_MALLOC_FAILS)
        return E_OUTOFMEMORY;
    return host->wrong == WRONG_MALLOC_S_FALSE ? S_FALSE : S_OK;
}

static HRESULT STDMETHODCALLTYPE memory_alloc(IHostMemoryManager *iface, void *address, SIZE_T size,
                                              DWORD type, DWORD protect, EMemoryCriticalLevel level,
                                              void **out)
{
    struct wrong_host *host = HOST_OF(iface, memory);
    char *memory = VirtualAlloc(address, size, type, protect);
    (void)level;
    if (memory == NULL) {
        HRESULT result = last_error();
        if (host->wrong != WRONG_ALLOC_OUT_FAILURE)
            *out = NULL;
        return result;
    }
    switch (host->wrong) {
    case WRONG_ALLOC_S_FALSE:
        *out = memory;
        return S_FALSE;
    case WRONG_ALLOC_NULL:
        *out = NULL;
        return S_OK;
    case WRONG_ALLOC_OUT:
        return S_OK;
    case WRONG_ALLOC_BOTH:
        *out = memory;
        return E_OUTOFMEMORY;
    case WRONG_ALLOC_BASE:
        *out = address != NULL ? address : memory;
        return S_OK;
    case WRONG_ALLOC_ALIGN:
        *out = address == NULL ? memory + 0x1000 : memory;
        return S_OK;
    case WRONG_ALLOC_DIRTY:
        if (type & MEM_COMMIT)
            memory[1] = 1;
        break;
    case WRONG_ALLOC_CALLS_BACK:
        if (host->callback != NULL)
            ICLRMemoryNotificationCallback_OnMemoryNotification(host->callback, eMemoryAvailableLow);
        break;
    default:
        break;
    }
    *out = memory;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE memory_free(IHostMemoryManager *iface, LPVOID address, SIZE_T size,
                                             DWORD type)
{
    (void)iface;
    return VirtualFree(address, size, type) ? S_OK : last_error();
}

static HRESULT STDMETHODCALLTYPE memory_query(IHostMemoryManager *iface, void *address, void *buffer,
                                              SIZE_T length, SIZE_T *written)
{
    SIZE_T bytes = VirtualQuery(address, buffer, length);
    if (HOST_OF(iface, memory)->wrong != WRONG_QUERY_OUT)
        *written = bytes;
    return bytes != 0 ? S_OK : last_error();
}

static HRESULT STDMETHODCALLTYPE memory_protect(IHostMemoryManager *iface, void *address, SIZE_T size,
                                                DWORD protect, DWORD *old)
{
    DWORD was;
    if (!VirtualProtect(address, size, protect, &was))
        return last_error();
    if (HOST_OF(iface, memory)->wrong != WRONG_PROTECT_OUT)
        *old = was;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE memory_load(IHostMemoryManager *iface, DWORD *load, SIZE_T *available)
{
    if (HOST_OF(iface, memory)->wrong != WRONG_LOAD_OUT)
        *load = 50, *available = 1 << 20;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE memory_register(IHostMemoryManager *iface,
                                                 ICLRMemoryNotificationCallback *callback)
{
    HOST_OF(iface, memory)->callback = callback;
    return E_NOTIMPL; /* the CLR does not look */
}

static HRESULT STDMETHODCALLTYPE memory_needs(IHostMemoryManager *iface, LPVOID start, SIZE_T size)
{
    (void)start, (void)size;
    return HOST_OF(iface, memory)->wrong == WRONG_NEEDS_S_FALSE ? S_FALSE : E_OUTOFMEMORY;
}

static HRESULT STDMETHODCALLTYPE memory_acquired(IHostMemoryManager *iface, LPVOID start, SIZE_T size)
{
    (void)iface, (void)start, (void)size;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE memory_released(IHostMemoryManager *iface, LPVOID start)
{
    (void)iface, (void)start;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE heap_alloc(IHostMalloc *iface, SIZE_T size, EMemoryCriticalLevel level,
                                            void **out)
{
    struct wrong_host *host = HOST_OF(iface, heap);
    (void)level;
    *out = HeapAlloc(GetProcessHeap(), 0, size);
    if (host->wrong == WRONG_HEAP_ALIGN)
        *out = (char *)*out + 4;
    return host->wrong == WRONG_HEAP_S_FALSE ? S_FALSE : S_OK;
}

static HRESULT STDMETHODCALLTYPE heap_debug_alloc(IHostMalloc *iface, SIZE_T size, EMemoryCriticalLevel level,
                                                  char *file, int line, void **out)
{
    (void)file, (void)line;
    return heap_alloc(iface, size, level, out);
}

static HRESULT STDMETHODCALLTYPE heap_free(IHostMalloc *iface, void *block)
{
    struct wrong_host *host = HOST_OF(iface, heap);
    if (block == NULL)
        return host->wrong == WRONG_FREE_NULL ? HOST_E_INVALIDOPERATION : S_OK;
    if (host->wrong == WRONG_HEAP_ALIGN)
        block = (char *)block - 4;
    return HeapFree(GetProcessHeap(), 0, block) ? S_OK : E_FAIL;
}

static const IHostControlVtbl control_vtbl = {
    (void *)no_interface, (void *)not_counted, (void *)not_counted, control_get, control_domain,
};

static const IHostMemoryManagerVtbl memory_vtbl = {
    (void *)no_interface, memory_add,      memory_release,  memory_malloc, memory_alloc,
    memory_free,          memory_query,    memory_protect,  memory_load,   memory_register,
    memory_needs,         memory_acquired, memory_released,
};

static const IHostMallocVtbl heap_vtbl = {
    (void *)no_interface, (void *)not_counted, (void *)not_counted, heap_alloc, heap_debug_alloc, heap_free,
};

void wrong_host_init(struct wrong_host *host, enum wrong wrong)
{
    *host = (struct wrong_host){.wrong = wrong, .references = 1};
    host->control.lpVtbl = (void *)&control_vtbl;
    host->memory.lpVtbl = (void *)&memory_vtbl;
    host->heap.lpVtbl = (void *)&heap_vtbl;
}
