/*
 * Calls into the runtime.
 */
#include <stdatomic.h>
#include <string.h>

#include "bridge/managed.h"
#include "bridge/runtime.h"

/* The only application domain that there is. */
enum { DOMAIN = 1 };

/* A burst of changes is one refresh: each stops the runtime's threads for a moment. */
enum { PACE_MS = 250, START_POLL_MS = 20 };

/* System.GC.GCHeapHardLimitInfo.  All ones: what the runtime was told by its configuration stays. */
struct heap_hard_limits {
    uint64_t limit, percent, small, large, pinned, small_percent, large_percent, pinned_percent;
};

typedef int(STDMETHODCALLTYPE *refresh_method)(struct heap_hard_limits limits);
typedef int(STDMETHODCALLTYPE *collection_count_method)(int generation);

static _Atomic(ICLRRuntimeHost2 *) runtime;
static _Atomic(HANDLE) wanted;
static _Atomic uint64_t refreshes;

void managed_bind(ICLRRuntimeHost *host)
{
    ICLRRuntimeHost2 *newer = NULL;

    /* Every runtime that the bridge knows has it; without it nothing of this works, and all the rest does. */
    if (ICLRRuntimeHost_QueryInterface(host, &IID_ICLRRuntimeHost2, (void **)&newer) == S_OK)
        atomic_store(&runtime, newer);
}

static bool has_started(ICLRRuntimeHost2 *host)
{
    return host && runtime_started((ICLRRuntimeHost *)host);
}

bool managed_started(void)
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
        host->lpVtbl->CreateDelegate(host, DOMAIN, L"System.Private.CoreLib", L"System.GC", name, method);
    if (hr == S_OK)
        atomic_store_explicit(cache, *method, memory_order_relaxed);
    return hr;
}

static void refresh(ICLRRuntimeHost2 *host)
{
    static _Atomic(INT_PTR) cache;
    struct heap_hard_limits as_configured;
    INT_PTR method;

    memset(&as_configured, 0xff, sizeof as_configured);
    if (method_of_gc(host, L"_RefreshMemoryLimit", &cache, &method) != S_OK)
        return;
    ((refresh_method)method)(as_configured);
    atomic_fetch_add(&refreshes, 1);
}

/* The runtime reads its limits at its start by itself, so a change before that can wait for it. */
static DWORD WINAPI refresh_thread(void *event)
{
    for (;;) {
        WaitForSingleObject(event, INFINITE);
        ICLRRuntimeHost2 *host = atomic_load(&runtime);
        while (host && !has_started(host))
            Sleep(START_POLL_MS);
        if (host)
            refresh(host);
        Sleep(PACE_MS);
    }
    return 0;
}

void managed_refresh_limit(void)
{
    HANDLE event = atomic_load(&wanted), none = NULL;

    if (!event) {
        event = CreateEventW(NULL, FALSE, FALSE, NULL);
        if (!event)
            return;
        if (!atomic_compare_exchange_strong(&wanted, &none, event)) {
            CloseHandle(event);
            event = none;
        } else {
            HANDLE thread = CreateThread(NULL, 0, refresh_thread, event, 0, NULL);
            if (thread)
                CloseHandle(thread);
        }
    }
    SetEvent(event);
}

uint64_t managed_refreshes(void)
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
