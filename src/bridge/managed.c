/*
 * Calls into the runtime.
 */
#include <stdatomic.h>
#include <string.h>

#include "bridge/event.h"
#include "bridge/managed.h"
#include "bridge/runtime.h"
#include "bridge/use.h"

/* The only application domain that there is. */
enum { APP_DOMAIN = 1 };

/* A burst of changes is one refresh: each stops the runtime's threads for a moment. */
enum { PACE_MS = 250, RETRY_MS = 500, RETRY_MOST_MS = 8000 };

/* System.GC.GCHeapHardLimitInfo: bytes, or parts of the machine's memory.  A figure of all ones stays as it is; all
 * figures 0 are no limit. */
struct heap_hard_limits {
    uint64_t limit, percent, soh, loh, poh, soh_percent, loh_percent, poh_percent;
};

typedef int(STDMETHODCALLTYPE *refresh_method)(struct heap_hard_limits limits);
typedef int(STDMETHODCALLTYPE *collection_count_method)(int generation);
/* .NET 8 and 9; from 10 on. */
typedef void(STDMETHODCALLTYPE *collect_method)(int generation, int mode);
typedef void(STDMETHODCALLTYPE *collect_low_method)(int generation, int mode, BOOL low_memory);
enum { COLLECT_LOW_FROM = 10 };

/* GC.InternalGCCollectionMode: Blocking, Compacting, Aggressive. */
enum { COLLECT_ALL = 2 | 8 | 16, OLDEST = 2 };

static _Atomic(ICLRRuntimeHost2 *) runtime;
static _Atomic(HANDLE) wanted;
static atomic_bool wants_refresh, wants_collection;
static uint64_t (*heap_limit)(void);
static _Atomic uint64_t refreshes;
static uint64_t runtime_version;

void hm_managed_set_version(uint64_t version)
{
    runtime_version = version;
}

static bool has_started(ICLRRuntimeHost2 *host)
{
    return host && hm_runtime_started((ICLRRuntimeHost *)host);
}

bool hm_managed_started(void)
{
    return has_started(atomic_load(&runtime));
}

static HRESULT method_of_gc(ICLRRuntimeHost2 *host, const wchar_t *name, _Atomic(INT_PTR) *cache,
                            INT_PTR *method)
{
    *method = atomic_load_explicit(cache, memory_order_relaxed);
    if (*method)
        return S_OK;
    HRESULT hr =
        host->lpVtbl->CreateDelegate(host, APP_DOMAIN, L"System.Private.CoreLib", L"System.GC", name, method);
    if (hr == S_OK)
        atomic_store_explicit(cache, *method, memory_order_relaxed);
    return hr;
}

/* A method that is not public; its signature is that of some versions. */
static HRESULT internal_of_gc(ICLRRuntimeHost2 *host, const wchar_t *name, _Atomic(INT_PTR) *cache,
                              INT_PTR *method)
{
    return hm_runtime_is_known(runtime_version) ? method_of_gc(host, name, cache, method) : E_NOTIMPL;
}

/* False: the collector does not take that limit now, but has read the machine's memory all the same. */
static bool refresh(ICLRRuntimeHost2 *host, uint64_t heap)
{
    static _Atomic(INT_PTR) cache;
    struct heap_hard_limits limits;
    INT_PTR method;

    if (internal_of_gc(host, L"_RefreshMemoryLimit", &cache, &method) != S_OK)
        return false;
    memset(&limits, heap == 0 ? 0 : 0xff, sizeof limits);
    limits.limit = heap;
    bool taken = ((refresh_method)method)(limits) == 0;
    if (!taken) { /* then nothing of it was */
        memset(&limits, 0xff, sizeof limits);
        ((refresh_method)method)(limits);
    }
    atomic_fetch_add(&refreshes, 1);
    return taken || heap == MANAGED_AS_IT_IS;
}

static void collect(ICLRRuntimeHost2 *host)
{
    static _Atomic(INT_PTR) cache;
    INT_PTR method;

    if (internal_of_gc(host, L"_Collect", &cache, &method) != S_OK)
        return;
    if (runtime_major(runtime_version) < COLLECT_LOW_FROM)
        ((collect_method)method)(OLDEST, COLLECT_ALL);
    else
        ((collect_low_method)method)(OLDEST, COLLECT_ALL, TRUE);
}

/* A thread's first call into managed code takes memory: better now than when there is none. */
static void get_ready(ICLRRuntimeHost2 *host)
{
    _Atomic(INT_PTR) cache = 0;
    INT_PTR method;

    if (method_of_gc(host, L"CollectionCount", &cache, &method) == S_OK)
        ((collection_count_method)method)(0);
}

static void heap_check(void)
{
    uint64_t ranges, bytes, dropped;

    hm_use_heap_figures(&ranges, &bytes, &dropped);
    if (!ranges)
        hm_bridge_event_tell(HOSTMEM_BRIDGE_EVENT_HEAP_UNKNOWN, NULL, S_OK, NULL);
}

/* The runtime reads its limits at its start by itself, so whatever is wanted before that can wait for it. */
static DWORD WINAPI managed_thread(void *event)
{
    DWORD retry = INFINITE;
    ULONGLONG collected = 0;
    ICLRRuntimeHost2 *host = atomic_load(&runtime);

    while (!has_started(host)) /* one that never starts is never looked at */
        WaitForSingleObject(event, INFINITE);
    heap_check();
    get_ready(host);
    SetEvent(event); /* for what was wanted before */
    for (;;) {
        bool again = WaitForSingleObject(event, retry) == WAIT_TIMEOUT;
        if (atomic_exchange(&wants_collection, false) &&
            (!collected || GetTickCount64() - collected >= MANAGED_COLLECT_MS)) {
            collect(host);
            collected = GetTickCount64();
        }
        if (atomic_exchange(&wants_refresh, false) || again) {
            if (refresh(host, heap_limit()))
                retry = INFINITE;
            else
                retry = !again ? RETRY_MS : retry < RETRY_MOST_MS ? 2 * retry : RETRY_MOST_MS;
            Sleep(PACE_MS);
        }
    }
    return 0;
}

/* Without memory for the thread the runtime is told nothing. */
static void wake_thread(void)
{
    HANDLE event = atomic_load(&wanted);
    if (event)
        SetEvent(event);
}

void hm_managed_bind(ICLRRuntimeHost *host, uint64_t (*new_heap_limit)(void))
{
    ICLRRuntimeHost2 *newer = NULL;

    /* Every runtime that the bridge knows has it; without it nothing of this works, and all the rest does. */
    if (ICLRRuntimeHost_QueryInterface(host, &IID_ICLRRuntimeHost2, (void **)&newer) != S_OK)
        return;
    heap_limit = new_heap_limit;
    atomic_store(&runtime, newer);
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
    HANDLE thread = event ? CreateThread(NULL, 0, managed_thread, event, 0, NULL) : NULL;
    if (thread) {
        CloseHandle(thread);
        atomic_store(&wanted, event);
    } else if (event) {
        CloseHandle(event);
    }
}

void hm_managed_refresh_limit(void)
{
    atomic_store(&wants_refresh, true);
    wake_thread();
}

void hm_managed_collect(void)
{
    atomic_store(&wants_collection, true);
    wake_thread();
}

void hm_managed_runs(void)
{
    wake_thread();
}

uint64_t hm_managed_refreshes(void)
{
    return atomic_load(&refreshes);
}

HRESULT HOSTMEM_CALL hostmem_bridge_get_collections(uint64_t counts[3])
{
    static _Atomic(INT_PTR) cache;
    ICLRRuntimeHost2 *host = atomic_load(&runtime);
    INT_PTR method;

    if (!counts)
        return E_POINTER;
    memset(counts, 0, 3 * sizeof *counts);
    if (!has_started(host))
        return HOST_E_CLRNOTAVAILABLE;
    HRESULT hr = method_of_gc(host, L"CollectionCount", &cache, &method);
    for (int generation = 0; hr == S_OK && generation < 3; ++generation)
        counts[generation] = (uint64_t)((collection_count_method)method)(generation);
    return hr;
}
