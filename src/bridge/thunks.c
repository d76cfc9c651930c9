/*
 * The functions that the runtime calls in place of kernel32's.
 *
 * They are called with threads suspended, in stack overflow and under the runtime's locks: no lock, no
 * memory, no C library, little stack.  Success leaves the last error alone, as Win32 does; failure sets the
 * code that Win32 would have set.  What the replaced function was is in the caller's import table copy, and
 * is called when there is no manager yet, for what the manager calls foreign, and for everything that is not
 * the manager's business.
 */
#include <stdatomic.h>

#include "bridge/caller.h"
#include "bridge/event.h"
#include "bridge/machine.h"
#include "bridge/managed.h"
#include "bridge/native_heap.h"
#include "bridge/notification.h"
#include "bridge/runtime.h"
#include "bridge/thunks.h"
#include "bridge/use.h"

#ifndef MEM_COALESCE_PLACEHOLDERS
#    define MEM_COALESCE_PLACEHOLDERS 0x1
#endif
#ifndef MEM_PRESERVE_PLACEHOLDER
#    define MEM_PRESERVE_PLACEHOLDER 0x2
#endif

typedef LPVOID(WINAPI *alloc_function)(LPVOID, SIZE_T, DWORD, DWORD);
typedef LPVOID(WINAPI *alloc_numa_function)(HANDLE, LPVOID, SIZE_T, DWORD, DWORD, DWORD);
typedef BOOL(WINAPI *free_function)(LPVOID, SIZE_T, DWORD);
typedef BOOL(WINAPI *protect_function)(LPVOID, SIZE_T, DWORD, PDWORD);
typedef SIZE_T(WINAPI *query_function)(LPCVOID, PMEMORY_BASIC_INFORMATION, SIZE_T);
typedef LPVOID(WINAPI *map_function)(HANDLE, DWORD, DWORD, DWORD, SIZE_T);
typedef LPVOID(WINAPI *map_at_function)(HANDLE, DWORD, DWORD, DWORD, SIZE_T, LPVOID);
typedef BOOL(WINAPI *unmap_function)(LPCVOID);
typedef HMODULE(WINAPI *load_function)(LPCWSTR, HANDLE, DWORD);

static struct caller runtime, collector, jit;
static _Atomic(ICLRRuntimeHost *) runtime_host;
static atomic_bool running;
static _Atomic uint64_t started_charged;
static _Atomic uint32_t other_state;
static struct wanted wanted;
static _Atomic(const char *) missing;
static atomic_size_t foreign_frees, placeholder_frees, other_process, map_retries;

/* The code that GetLastError is to give for a manager's failure (a success code other than S_OK is one
 * too). */
static void set_win32_error(HRESULT hr, DWORD otherwise)
{
    bool win32 = FAILED(hr) && HRESULT_FACILITY(hr) == FACILITY_WIN32 && HRESULT_CODE(hr);
    SetLastError(win32 ? (DWORD)HRESULT_CODE(hr) : otherwise);
}

/* Heap may be refused once the runtime runs: before that a refusal fails the start. */
static bool runtime_runs(void)
{
    if (atomic_load_explicit(&running, memory_order_relaxed))
        return true;
    ICLRRuntimeHost *host = atomic_load_explicit(&runtime_host, memory_order_acquire);
    if (!host || !hm_runtime_started(host))
        return false;
    uint64_t charged = hm_machine_charged(atomic_load_explicit(&hm_bridge_manager, memory_order_acquire)),
             none = 0;
    atomic_compare_exchange_strong(&started_charged, &none, charged);
    hm_use_started();
    if (!atomic_exchange(&running, true)) {
        hm_machine_record_start(atomic_load_explicit(&hm_bridge_manager, memory_order_acquire),
                                runtime.version);
        hm_managed_runs();
    }
    return true;
}

/* The start is noticed at the first call for memory after it: nobody has to look for it. */
static IHostMemoryManager *manager_now(void)
{
    IHostMemoryManager *manager = atomic_load_explicit(&hm_bridge_manager, memory_order_acquire);

    if (manager)
        runtime_runs();
    return manager;
}

static LPVOID allocate(struct caller *caller, unsigned index, IHostMemoryManager *manager, LPVOID address,
                       SIZE_T size, DWORD type, DWORD protect)
{
    EMemoryCriticalLevel level = eProcessCritical;
    DWORD error = GetLastError();
    void *memory = NULL;

    const bool commits = address && (type & (MEM_RESERVE | MEM_COMMIT)) == MEM_COMMIT;
    if (commits ? hm_use_commit(address, size, protect) : hm_use_is_heap(address))
        level = runtime_runs() ? eTaskCritical : eProcessCritical;
    HRESULT hr = IHostMemoryManager_VirtualAlloc(manager, address, size, type, protect, level, &memory);
    if (hr != S_OK || !memory) {
        count(&caller->failures[index]);
        set_win32_error(hr, ERROR_NOT_ENOUGH_MEMORY);
        return NULL;
    }
    if (!address || (type & MEM_RESERVE))
        hm_use_reserved(memory, address, size, type, protect, caller->shared);
    SetLastError(error);
    return memory;
}

static LPVOID call_alloc(struct caller *caller, LPVOID address, SIZE_T size, DWORD type, DWORD protect)
{
    const unsigned index = HOSTMEM_BRIDGE_VIRTUAL_ALLOC;
    IHostMemoryManager *manager = manager_now();

    if (!manager)
        return ORIGINAL(caller, index, alloc_function)(address, size, type, protect);
    count(&caller->calls[index]);
    return allocate(caller, index, manager, address, size, type, protect);
}

static LPVOID call_alloc_numa(struct caller *caller, HANDLE process, LPVOID address, SIZE_T size, DWORD type,
                              DWORD protect, DWORD node)
{
    const unsigned index = HOSTMEM_BRIDGE_VIRTUAL_ALLOC_EX_NUMA;
    IHostMemoryManager *manager = manager_now();

    if (manager && process != GetCurrentProcess()) {
        count(&other_process);
        manager = NULL;
    }
    if (!manager)
        return ORIGINAL(caller, index, alloc_numa_function)(process, address, size, type, protect, node);
    count(&caller->calls[index]);
    return allocate(caller, index, manager, address, size, type, protect);
}

static BOOL call_free(struct caller *caller, LPVOID address, SIZE_T size, DWORD type)
{
    const unsigned index = HOSTMEM_BRIDGE_VIRTUAL_FREE;
    IHostMemoryManager *manager = manager_now();

    if (manager && (type & MEM_RELEASE) && (type & (MEM_PRESERVE_PLACEHOLDER | MEM_COALESCE_PLACEHOLDERS))) {
        count(&placeholder_frees);
        manager = NULL;
    }
    if (!manager)
        return ORIGINAL(caller, index, free_function)(address, size, type);

    DWORD error = GetLastError();
    size_t heap = type & MEM_RELEASE ? hm_use_forget(address) : 0;
    count(&caller->calls[index]);
    HRESULT hr = IHostMemoryManager_VirtualFree(manager, address, size, type);
    if (hr == S_OK) {
        SetLastError(error);
        return TRUE;
    }
    if (hr == HOST_E_INVALIDOPERATION) {
        count(&foreign_frees);
        SetLastError(error);
        if (ORIGINAL(caller, index, free_function)(address, size, type))
            return TRUE;
    } else {
        set_win32_error(hr, ERROR_INVALID_ADDRESS);
    }
    count(&caller->failures[index]);
    hm_use_restore(heap);
    return FALSE;
}

static BOOL call_protect(struct caller *caller, LPVOID address, SIZE_T size, DWORD protect, PDWORD old)
{
    const unsigned index = HOSTMEM_BRIDGE_VIRTUAL_PROTECT;
    IHostMemoryManager *manager = manager_now();

    if (!manager)
        return ORIGINAL(caller, index, protect_function)(address, size, protect, old);
    DWORD error = GetLastError();
    count(&caller->calls[index]);
    HRESULT hr = IHostMemoryManager_VirtualProtect(manager, address, size, protect, old);
    if (hr == S_OK) {
        SetLastError(error);
        return TRUE;
    }
    count(&caller->failures[index]);
    set_win32_error(hr, ERROR_INVALID_ADDRESS);
    return FALSE;
}

static SIZE_T call_query(struct caller *caller, LPCVOID address, PMEMORY_BASIC_INFORMATION buffer,
                         SIZE_T length)
{
    const unsigned index = HOSTMEM_BRIDGE_VIRTUAL_QUERY;
    IHostMemoryManager *manager = manager_now();
    SIZE_T written = 0;

    if (!manager)
        return ORIGINAL(caller, index, query_function)(address, buffer, length);
    DWORD error = GetLastError();
    count(&caller->calls[index]);
    HRESULT hr = IHostMemoryManager_VirtualQuery(manager, (void *)address, buffer, length, &written);
    if (SUCCEEDED(hr)) { /* the one method that the CLR tests this way (contract 3.4) */
        SetLastError(error);
        return written;
    }
    count(&caller->failures[index]);
    set_win32_error(hr, ERROR_INVALID_PARAMETER);
    return 0;
}

/* The whole view, which the file's size need not tell: all regions of one allocation. */
static SIZE_T view_size(const BYTE *base)
{
    MEMORY_BASIC_INFORMATION info;
    SIZE_T size = 0;

    while (VirtualQuery(base + size, &info, sizeof info) == sizeof info && info.AllocationBase == base)
        size += info.RegionSize;
    return size;
}

/* error: from before the first try, of which a retry that helped says nothing. */
static void view_mapped(IHostMemoryManager *manager, void *base, DWORD error)
{
    IHostMemoryManager_AcquiredVirtualAddressSpace(manager, base, view_size(base));
    SetLastError(error);
}

/* After a failed map: asks the host for address space; true: one retry is worth it (contract 3.6). */
static bool view_retry(IHostMemoryManager *manager, LPVOID base, SIZE_T size)
{
    DWORD error = GetLastError();
    HRESULT hr = IHostMemoryManager_NeedsVirtualAddressSpace(manager, base, size);
    SetLastError(error ? error : ERROR_NOT_ENOUGH_MEMORY);
    if (FAILED(hr))
        return false;
    count(&map_retries);
    return true;
}

static LPVOID call_map(struct caller *caller, HANDLE file, DWORD access, DWORD high, DWORD low, SIZE_T size)
{
    const unsigned index = HOSTMEM_BRIDGE_MAP_VIEW;
    map_function original = ORIGINAL(caller, index, map_function);
    IHostMemoryManager *manager = manager_now();
    const DWORD error = GetLastError();
    LPVOID view = original(file, access, high, low, size);

    if (!manager)
        return view;
    count(&caller->calls[index]);
    if (!view && view_retry(manager, NULL, size))
        view = original(file, access, high, low, size);
    if (view)
        view_mapped(manager, view, error);
    else
        count(&caller->failures[index]);
    return view;
}

static LPVOID call_map_at(struct caller *caller, HANDLE file, DWORD access, DWORD high, DWORD low,
                          SIZE_T size, LPVOID base)
{
    const unsigned index = HOSTMEM_BRIDGE_MAP_VIEW_EX;
    map_at_function original = ORIGINAL(caller, index, map_at_function);
    IHostMemoryManager *manager = manager_now();
    const DWORD error = GetLastError();
    LPVOID view = original(file, access, high, low, size, base);

    if (!manager)
        return view;
    count(&caller->calls[index]);
    if (!view && view_retry(manager, base, size))
        view = original(file, access, high, low, size, base);
    if (view)
        view_mapped(manager, view, error);
    else
        count(&caller->failures[index]);
    return view;
}

static BOOL call_unmap(struct caller *caller, LPCVOID base)
{
    const unsigned index = HOSTMEM_BRIDGE_UNMAP_VIEW;
    IHostMemoryManager *manager = manager_now();
    BOOL done = ORIGINAL(caller, index, unmap_function)(base);

    if (!manager)
        return done;
    count(&caller->calls[index]);
    if (!done) {
        count(&caller->failures[index]);
        return FALSE;
    }
    DWORD error = GetLastError();
    IHostMemoryManager_ReleasedVirtualAddressSpace(manager, (void *)base);
    SetLastError(error);
    return TRUE;
}

static bool loaded_redirect(HMODULE module);

/* A standalone collector and a JIT compiler are loaded by the runtime's start, and have to be redirected before they
 * are called. */
static HMODULE call_load(struct caller *caller, LPCWSTR name, HANDLE file, DWORD flags)
{
    const unsigned index = HOSTMEM_BRIDGE_LOAD_LIBRARY_EX;
    HMODULE module = ORIGINAL(caller, index, load_function)(name, file, flags);

    DWORD error = GetLastError();
    if (!manager_now())
        return module;
    count(&caller->calls[index]);
    if (!module) {
        count(&caller->failures[index]);
    } else if (!((size_t)module & 3) && !runtime_runs() && !loaded_redirect(module)) {
        FreeLibrary(module);
        module = NULL;
        error = ERROR_PROC_NOT_FOUND;
        count(&caller->failures[index]);
    }
    SetLastError(error);
    return module;
}

/* One set of functions for each caller. */
#define FUNCTIONS_OF(caller)                                                                                 \
    static LPVOID WINAPI caller##_alloc(LPVOID address, SIZE_T size, DWORD type, DWORD protect)              \
    {                                                                                                        \
        return call_alloc(&caller, address, size, type, protect);                                            \
    }                                                                                                        \
    static LPVOID WINAPI caller##_alloc_numa(HANDLE process, LPVOID address, SIZE_T size, DWORD type,        \
                                             DWORD protect, DWORD node)                                      \
    {                                                                                                        \
        return call_alloc_numa(&caller, process, address, size, type, protect, node);                        \
    }                                                                                                        \
    static BOOL WINAPI caller##_free(LPVOID address, SIZE_T size, DWORD type)                                \
    {                                                                                                        \
        return call_free(&caller, address, size, type);                                                      \
    }                                                                                                        \
    static BOOL WINAPI caller##_protect(LPVOID address, SIZE_T size, DWORD protect, PDWORD old)              \
    {                                                                                                        \
        return call_protect(&caller, address, size, protect, old);                                           \
    }                                                                                                        \
    static SIZE_T WINAPI caller##_query(LPCVOID address, PMEMORY_BASIC_INFORMATION buffer, SIZE_T length)    \
    {                                                                                                        \
        return call_query(&caller, address, buffer, length);                                                 \
    }                                                                                                        \
    static LPVOID WINAPI caller##_map(HANDLE file, DWORD access, DWORD high, DWORD low, SIZE_T size)         \
    {                                                                                                        \
        return call_map(&caller, file, access, high, low, size);                                             \
    }                                                                                                        \
    static LPVOID WINAPI caller##_map_at(HANDLE file, DWORD access, DWORD high, DWORD low, SIZE_T size,      \
                                         LPVOID base)                                                        \
    {                                                                                                        \
        return call_map_at(&caller, file, access, high, low, size, base);                                    \
    }                                                                                                        \
    static BOOL WINAPI caller##_unmap(LPCVOID base)                                                          \
    {                                                                                                        \
        return call_unmap(&caller, base);                                                                    \
    }                                                                                                        \
    static HMODULE WINAPI caller##_load(LPCWSTR name, HANDLE file, DWORD flags)                              \
    {                                                                                                        \
        return call_load(&caller, name, file, flags);                                                        \
    }                                                                                                        \
    static BOOL WINAPI caller##_memory_status(LPMEMORYSTATUSEX status)                                       \
    {                                                                                                        \
        return hm_machine_call_memory_status(&caller, status);                                               \
    }                                                                                                        \
    static BOOL WINAPI caller##_process_memory(HANDLE process, PROCESS_MEMORY_COUNTERS *counters,            \
                                               DWORD size)                                                   \
    {                                                                                                        \
        return hm_machine_call_process_memory(&caller, process, counters, size);                             \
    }                                                                                                        \
    static BOOL WINAPI caller##_in_job(HANDLE process, HANDLE job, PBOOL result)                             \
    {                                                                                                        \
        return hm_machine_call_in_job(&caller, process, job, result);                                        \
    }                                                                                                        \
    static BOOL WINAPI caller##_job_limits(HANDLE job, JOBOBJECTINFOCLASS kind, LPVOID buffer, DWORD size,   \
                                           LPDWORD written)                                                  \
    {                                                                                                        \
        return hm_machine_call_job_limits(&caller, job, kind, buffer, size, written);                        \
    }                                                                                                        \
    static HANDLE WINAPI caller##_low_memory(MEMORY_RESOURCE_NOTIFICATION_TYPE type)                         \
    {                                                                                                        \
        return hm_machine_call_low_memory(&caller, type);                                                    \
    }

/* In the order of hostmem_bridge_function.
 * all: whether the module must import what a collector may do without. */
#define IMPORTS_OF(caller, all)                                                                              \
    {                                                                                                        \
        {"VirtualAlloc", (void *)caller##_alloc, true, NULL, NULL, false},                                   \
            {"VirtualAllocExNuma", (void *)caller##_alloc_numa, all, NULL, NULL, false},                     \
            {"VirtualFree", (void *)caller##_free, true, NULL, NULL, false},                                 \
            {"VirtualProtect", (void *)caller##_protect, all, NULL, NULL, false},                            \
            {"VirtualQuery", (void *)caller##_query, all, NULL, NULL, false},                                \
            {"MapViewOfFile", (void *)caller##_map, all, NULL, NULL, false},                                 \
            {"MapViewOfFileEx", (void *)caller##_map_at, all, NULL, NULL, false},                            \
            {"UnmapViewOfFile", (void *)caller##_unmap, all, NULL, NULL, false},                             \
            {"LoadLibraryExW", (void *)caller##_load, all, NULL, NULL, false},                               \
            {"GlobalMemoryStatusEx", (void *)caller##_memory_status, all, NULL, NULL, false},                \
            {"K32GetProcessMemoryInfo", (void *)caller##_process_memory, all, NULL, NULL, false},            \
            {"IsProcessInJob", (void *)caller##_in_job, all, NULL, NULL, false},                             \
            {"QueryInformationJobObject", (void *)caller##_job_limits, all, NULL, NULL, false},              \
            {"CreateMemoryResourceNotification", (void *)caller##_low_memory, all, NULL, NULL, false},       \
            NATIVE_HEAP_IMPORTS_OF(caller, all)                                                              \
    }

FUNCTIONS_OF(runtime)
FUNCTIONS_OF(collector)
NATIVE_HEAP_FUNCTIONS_OF(runtime)
NATIVE_HEAP_FUNCTIONS_OF(collector)
NATIVE_HEAP_FUNCTIONS_OF(jit)

static struct caller runtime = {.shared = true, .imports = IMPORTS_OF(runtime, true)};
static struct caller collector = {.shared = false, .imports = IMPORTS_OF(collector, false)};
static struct caller jit = {.heap_alone = true, .imports = {NATIVE_HEAP_IMPORTS_OF(jit, false)}};

void hm_bridge_forget_missing(void)
{
    atomic_store_explicit(&missing, NULL, memory_order_relaxed);
}

static HRESULT caller_redirect(struct caller *caller, HMODULE module)
{
    const char *culprit = NULL;
    HRESULT hr = hm_caller_redirect(caller, module, &wanted, &culprit);

    atomic_store_explicit(&missing, culprit, memory_order_relaxed);
    return hr;
}

static void notify_incomplete(const struct caller *caller)
{
    if (caller->incomplete)
        hm_bridge_event_notify(NULL, HOSTMEM_BRIDGE_EVENT_INCOMPLETE, caller->module, S_OK, caller->unknown);
}

void hm_bridge_notify_incomplete(void)
{
    notify_incomplete(&runtime);
}

static bool collector_redirect(HMODULE module)
{
    if (module == collector.module)
        return true;
    if (collector.module || caller_redirect(&collector, module) != S_OK)
        return false;
    hm_use_standalone();
    notify_incomplete(&collector);
    return true;
}

static bool jit_redirect(HMODULE module)
{
    /* A second one keeps to Windows: the heaps of two compilers have nothing to do with each other. */
    return !wanted.native_heap || jit.module || caller_redirect(&jit, module) == S_OK;
}

/* False: it is a module that has to be redirected, and is not. */
static bool loaded_redirect(HMODULE module)
{
    if (GetProcAddress(module, "GC_Initialize"))
        return collector_redirect(module);
    return !GetProcAddress(module, "getJit") || jit_redirect(module);
}

HRESULT hm_bridge_redirect(HMODULE module, const struct wanted *by_options)
{
    wanted = *by_options;
    return caller_redirect(&runtime, module);
}

void hm_bridge_restore(void)
{
    hm_caller_restore(&runtime);
}

void hm_bridge_publish(IHostMemoryManager *manager, ICLRRuntimeHost *host)
{
    atomic_store_explicit(&hm_bridge_manager, manager, memory_order_release);
    /* Last: by this a call finds that the runtime has started, and then needs the others. */
    atomic_store_explicit(&runtime_host, host, memory_order_release);
}

void hm_bridge_state_set(uint32_t bit, bool set)
{
    if (set)
        atomic_fetch_or(&other_state, bit);
    else
        atomic_fetch_and(&other_state, ~bit);
}

static bool is_incomplete(const struct caller *caller)
{
    return caller->module && caller->incomplete;
}

static const char *unknown_of(const struct caller *caller)
{
    return caller->module && caller->unknown[0] ? caller->unknown : NULL;
}

static void read_calls(struct caller *caller, hostmem_bridge_calls *calls)
{
    for (unsigned i = 0; i < HOSTMEM_BRIDGE_FUNCTION_COUNT; ++i) {
        calls[i].calls = atomic_load_explicit(&caller->calls[i], memory_order_relaxed);
        calls[i].failures = atomic_load_explicit(&caller->failures[i], memory_order_relaxed);
    }
}

HRESULT HOSTMEM_CALL hostmem_bridge_get_statistics(hostmem_bridge_statistics *statistics)
{
    if (!statistics)
        return E_POINTER;
    if (statistics->size != sizeof *statistics)
        return E_INVALIDARG;

    const char *name = atomic_load_explicit(&missing, memory_order_relaxed);
    IHostMemoryManager *manager = atomic_load_explicit(&hm_bridge_manager, memory_order_acquire);
    statistics->state =
        (runtime.module ? HOSTMEM_BRIDGE_REDIRECTED : 0) | (manager ? HOSTMEM_BRIDGE_BOUND : 0) |
        (runtime_runs() ? HOSTMEM_BRIDGE_RUNNING : 0) |
        (collector.module ? HOSTMEM_BRIDGE_STANDALONE_GC : 0) |
        (is_incomplete(&runtime) || is_incomplete(&collector) ? HOSTMEM_BRIDGE_INCOMPLETE : 0) |
        atomic_load(&other_state);
    statistics->runtime = runtime.module;
    statistics->collector = collector.module;
    statistics->runtime_version = runtime.module ? runtime.version : 0;
    statistics->missing = name;
    statistics->unknown[HOSTMEM_BRIDGE_RUNTIME] = unknown_of(&runtime);
    statistics->unknown[HOSTMEM_BRIDGE_COLLECTOR] = unknown_of(&collector);
    statistics->unknown[HOSTMEM_BRIDGE_JIT] = NULL;
    read_calls(&runtime, statistics->calls[HOSTMEM_BRIDGE_RUNTIME]);
    read_calls(&collector, statistics->calls[HOSTMEM_BRIDGE_COLLECTOR]);
    read_calls(&jit, statistics->calls[HOSTMEM_BRIDGE_JIT]);
    hm_native_heap_read(statistics);
    statistics->foreign_frees = atomic_load_explicit(&foreign_frees, memory_order_relaxed);
    statistics->placeholder_frees = atomic_load_explicit(&placeholder_frees, memory_order_relaxed);
    statistics->other_process = atomic_load_explicit(&other_process, memory_order_relaxed);
    statistics->map_retries = atomic_load_explicit(&map_retries, memory_order_relaxed);
    statistics->started_charged = atomic_load(&started_charged);
    statistics->limit_refreshes = hm_managed_refreshes();
    hm_managed_get_limit(&statistics->collector_limit);
    hm_use_heap_figures(&statistics->heap_ranges, &statistics->heap_reserved, &statistics->heap_unknown);
    if (statistics->state & HOSTMEM_BRIDGE_RUNNING && !statistics->heap_ranges)
        statistics->state |= HOSTMEM_BRIDGE_HEAP_UNKNOWN;
    for (unsigned level = 0; level < HOSTMEM_BRIDGE_LEVEL_COUNT; ++level)
        statistics->notifications[level] = hm_notification_count(level);
    return S_OK;
}

HRESULT HOSTMEM_CALL hostmem_bridge_is_heap(const void *address)
{
    return hm_use_is_heap(address) ? S_OK : S_FALSE;
}
