/*
 * recorder.c - see recorder.h
 */
#include "tools/check/recorder.h"

#include <stdio.h>
#include <string.h>

#include "tools/check/rows.h"

struct recorder recorder;

static hostmem_manager *manager;
static IHostMemoryManager *next;
static DWORD thread;

static unsigned note(enum recorded_event event)
{
    unsigned at = atomic_fetch_add(&recorder.event_count, 1);

    if (at >= RECORDED_EVENTS)
        return RECORDED_EVENTS - 1;
    recorder.events[at] = (unsigned char)event;
    recorder.other_thread |= GetCurrentThreadId() != thread;
    return at;
}

/* IHostMemoryManager */

static HRESULT STDMETHODCALLTYPE memory_query(IHostMemoryManager *self, REFIID riid, void **object)
{
    (void)self;
    return IHostMemoryManager_QueryInterface(next, riid, object);
}

static ULONG STDMETHODCALLTYPE memory_addref(IHostMemoryManager *self)
{
    (void)self;
    return IHostMemoryManager_AddRef(next);
}

static ULONG STDMETHODCALLTYPE memory_release(IHostMemoryManager *self)
{
    (void)self;
    note(RELEASED_MANAGER);
    return IHostMemoryManager_Release(next);
}

static HRESULT STDMETHODCALLTYPE memory_create_malloc(IHostMemoryManager *self, DWORD type,
                                                      IHostMalloc **heap)
{
    (void)self;
    note(CREATED_MALLOC);
    recorder.malloc_flags = type;
    return IHostMemoryManager_CreateMalloc(next, type, heap);
}

static uint64_t key_of(const void *address, DWORD type, DWORD protect, EMemoryCriticalLevel level)
{
    return (uint64_t)type << 32 | (uint64_t)(protect & 0xFFFFFF) << 4 | ((uint64_t)level & 3) << 1 |
           (address == NULL);
}

static void note_kind(uint64_t key)
{
    for (unsigned i = 0; i < RECORDED_KINDS; i++) {
        uint64_t here = 0;
        if (atomic_compare_exchange_strong(&recorder.kinds[i].key, &here, key) || here == key) {
            atomic_fetch_add(&recorder.kinds[i].calls, 1);
            return;
        }
    }
}

static HRESULT STDMETHODCALLTYPE memory_alloc(IHostMemoryManager *self, void *address, SIZE_T size,
                                              DWORD type, DWORD protect, EMemoryCriticalLevel level,
                                              void **at)
{
    unsigned none = 0;

    (void)self;
    atomic_compare_exchange_strong(&recorder.first_level, &none, (unsigned)level + 1);
    note_kind(key_of(address, type, protect, level));
    if (type & MEM_COMMIT && size % 4096 != 0)
        atomic_fetch_add(&recorder.odd_sizes, 1);
    return IHostMemoryManager_VirtualAlloc(next, address, size, type, protect, level, at);
}

static HRESULT STDMETHODCALLTYPE memory_free(IHostMemoryManager *self, LPVOID address, SIZE_T size,
                                             DWORD type)
{
    (void)self;
    return IHostMemoryManager_VirtualFree(next, address, size, type);
}

static HRESULT STDMETHODCALLTYPE memory_vquery(IHostMemoryManager *self, void *address, void *buffer,
                                               SIZE_T length, SIZE_T *result)
{
    (void)self;
    if (hostmem_owns(manager, address) != S_OK)
        atomic_fetch_add(&recorder.foreign_queries, 1);
    return IHostMemoryManager_VirtualQuery(next, address, buffer, length, result);
}

static HRESULT STDMETHODCALLTYPE memory_protect(IHostMemoryManager *self, void *address, SIZE_T size,
                                                DWORD protect, DWORD *old)
{
    (void)self;
    if (hostmem_owns(manager, address) != S_OK)
        atomic_fetch_add(&recorder.foreign_protects, 1);
    return IHostMemoryManager_VirtualProtect(next, address, size, protect, old);
}

static HRESULT STDMETHODCALLTYPE memory_load(IHostMemoryManager *self, DWORD *load, SIZE_T *available)
{
    (void)self;
    return IHostMemoryManager_GetMemoryLoad(next, load, available);
}

static HRESULT STDMETHODCALLTYPE memory_register(IHostMemoryManager *self,
                                                 ICLRMemoryNotificationCallback *callback)
{
    (void)self;
    note(REGISTERED_CALLBACK);
    recorder.callback = callback;
    return IHostMemoryManager_RegisterMemoryNotificationCallback(next, callback);
}

static HRESULT STDMETHODCALLTYPE memory_needs(IHostMemoryManager *self, LPVOID address, SIZE_T size)
{
    (void)self;
    atomic_fetch_add(address ? &recorder.needs_with_base : &recorder.needs_anywhere, 1);
    return IHostMemoryManager_NeedsVirtualAddressSpace(next, address, size);
}

static HRESULT STDMETHODCALLTYPE memory_acquired(IHostMemoryManager *self, LPVOID address, SIZE_T size)
{
    (void)self;
    atomic_fetch_add(size ? &recorder.views_sized : &recorder.views_unsized, 1);
    return IHostMemoryManager_AcquiredVirtualAddressSpace(next, address, size);
}

static HRESULT STDMETHODCALLTYPE memory_released(IHostMemoryManager *self, LPVOID address)
{
    (void)self;
    return IHostMemoryManager_ReleasedVirtualAddressSpace(next, address);
}

static const IHostMemoryManagerVtbl memory_vtable = {
    memory_query, memory_addref,   memory_release,  memory_create_malloc, memory_alloc,
    memory_free,  memory_vquery,   memory_protect,  memory_load,          memory_register,
    memory_needs, memory_acquired, memory_released,
};
static IHostMemoryManager memory_object = {(IHostMemoryManagerVtbl *)&memory_vtable};

/* IHostControl */

static HRESULT STDMETHODCALLTYPE control_query(IHostControl *self, REFIID riid, void **object)
{
    (void)self, (void)riid;
    *object = NULL;
    return E_NOINTERFACE;
}

static ULONG STDMETHODCALLTYPE control_addref(IHostControl *self)
{
    (void)self;
    return atomic_fetch_add(&recorder.control_references, 1) + 1;
}

static ULONG STDMETHODCALLTYPE control_release(IHostControl *self)
{
    (void)self;
    return atomic_fetch_sub(&recorder.control_references, 1) - 1;
}

/* The first 32 bits tell them apart. */
static const char *name_of(REFIID riid)
{
    static const struct {
        DWORD first;
        const char *name;
    } names[] = {{0x7bc698d1, "Memory"},       {0x997ff24c, "Task"},     {0x983d50e2, "Threadpool"},
                 {0x8bde9d80, "IoCompletion"}, {0x234330c7, "Sync"},     {0x613dabd7, "Assembly"},
                 {0x5d4ec34e, "GC"},           {0x75ad2468, "Security"}, {0x7ae49844, "Policy"}};

    for (unsigned i = 0; i < ARRAYSIZE(names); i++)
        if (riid->Data1 == names[i].first)
            return names[i].name;
    return "another";
}

static HRESULT STDMETHODCALLTYPE control_get(IHostControl *self, REFIID riid, void **object)
{
    const bool is_memory = memcmp(riid, &IID_IHostMemoryManager, sizeof *riid) == 0;

    (void)self;
    recorder.asked[note(is_memory ? ASKED_FOR_MEMORY : ASKED_FOR_OTHER)] = name_of(riid);
    *object = is_memory ? &memory_object : NULL;
    if (!is_memory)
        return E_NOINTERFACE;
    IHostMemoryManager_AddRef(next);
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE control_domain(IHostControl *self, DWORD id, IUnknown *domain_manager)
{
    (void)self, (void)id, (void)domain_manager;
    return S_OK;
}

static const IHostControlVtbl control_vtable = {control_query, control_addref, control_release, control_get,
                                                control_domain};
static IHostControl control_object = {(IHostControlVtbl *)&control_vtable};

IHostControl *recorder_begin(hostmem_manager *of, IHostMemoryManager *memory)
{
    manager = of;
    next = memory;
    thread = GetCurrentThreadId();
    atomic_store(&recorder.control_references, 1);
    return &control_object;
}

unsigned recorder_count(enum recorded_event event)
{
    unsigned count = 0;

    for (unsigned i = 0; i < RECORDED_EVENTS; i++)
        count += recorder.events[i] == event;
    return count;
}

int recorder_first(enum recorded_event event)
{
    for (int i = 0; i < RECORDED_EVENTS; i++)
        if (recorder.events[i] == event)
            return i;
    return -1;
}

static void describe_flags(DWORD type, char *text, unsigned capacity)
{
    static const struct {
        DWORD flag;
        const char *name;
    } names[] = {
        {MEM_RESERVE, "reserve"},   {MEM_COMMIT, "commit"},           {MEM_RESET, "reset"},
        {MEM_TOP_DOWN, "top-down"}, {MEM_WRITE_WATCH, "write-watch"}, {MEM_LARGE_PAGES, "LARGE-PAGES"}};
    unsigned length = 0;

    *text = 0;
    for (unsigned i = 0; i < ARRAYSIZE(names); i++)
        if (type & names[i].flag) {
            length += (unsigned)snprintf(text + length, capacity - length, "%s%s", length ? "+" : "",
                                         names[i].name);
            type &= ~names[i].flag;
        }
    if (type)
        snprintf(text + length, capacity - length, "+0x%lx", type);
}

void recorder_describe_kinds(char *text, unsigned capacity)
{
    static const char *const levels[] = {"task", "domain", "process", "?"};
    char flags[100];

    *text = 0;
    for (unsigned i = 0; i < RECORDED_KINDS; i++) {
        const uint64_t key = atomic_load(&recorder.kinds[i].key);
        if (!key)
            continue;
        describe_flags((DWORD)(key >> 32), flags, sizeof flags);
        text_add(text, capacity, "%s 0x%x %s%s x%u", flags, (unsigned)(key >> 4 & 0xFFFFFF),
                 levels[key >> 1 & 3], key & 1 ? "" : " at", atomic_load(&recorder.kinds[i].calls));
    }
}
