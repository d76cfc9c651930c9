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
enum { PACE_MS = 250, REGION_POLL_MS = 50, RETRY_MS = 500, RETRY_MOST_MS = 8000 };

/* MANAGED_COLLECT_MS is doubled so often. */
enum { DOUBLED_MOST = 3 };

/* System.GC.GCHeapHardLimitInfo: bytes, or parts of the machine's memory.  With all ones a figure is as the program has
 * set it; if it has not, as it was. */
struct heap_hard_limits {
    uint64_t limit, percent, soh, loh, poh, soh_percent, loh_percent, poh_percent;
};

typedef void(STDMETHODCALLTYPE *setting_callback)(void *context, const char *name, const char *public_name,
                                                  int type, int64_t value);
typedef void(STDMETHODCALLTYPE *enumerate_method)(void *context, setting_callback callback);
typedef int(STDMETHODCALLTYPE *refresh_method)(struct heap_hard_limits limits);
typedef int(STDMETHODCALLTYPE *collection_count_method)(int generation);
typedef int(STDMETHODCALLTYPE *latency_method)(void);
/* .NET 8 and 9; from 10 on. */
typedef void(STDMETHODCALLTYPE *collect_method)(int generation, int mode);
typedef void(STDMETHODCALLTYPE *collect_low_method)(int generation, int mode, BOOL low_memory);
enum { COLLECT_LOW_FROM = 10 };

/* GC.InternalGCCollectionMode: Blocking, Compacting, Aggressive. */
enum { COLLECT_ALL = 2 | 8 | 16, OLDEST = 2 };

/* GCLatencyMode.NoGCRegion */
enum { NO_GC_REGION = 4 };

/* Of a refresh. */
#define AS_IT_IS        UINT64_MAX
#define TOO_LOW_FOR_ANY 1

static const wchar_t class_gc[] = L"System.GC", class_settings[] = L"System.Runtime.GCSettings";

static _Atomic(ICLRRuntimeHost2 *) runtime;
static _Atomic(HANDLE) wanted;
static atomic_bool wants_refresh, wants_collection;
static atomic_uint in_vain; /* collections since it was last not low, or the limit another */
static void (*_Atomic wants_pulse)(void);
static void (*read_surroundings)(struct managed_surroundings *);
static _Atomic uint64_t refreshes;
static uint64_t runtime_version;
/* The program's latency mode; NULL: it cannot be read, and has_regions says whether the program uses no-GC regions at all.
 * Written by the thread of ours, as what follows. */
static latency_method latency;
static bool has_regions;
static enum { ROOM_ENOUGH, ROOM_WANTED, ROOM_MADE } room; /* for a limit that was refused */
/* The collector's hard limit. */
static struct gc_settings settings;
static atomic_bool settings_known;
static _Atomic uint64_t in_force = HARD_LIMIT_NONE, pending = HARD_LIMIT_NONE;
static _Atomic unsigned in_force_owner;
static _Atomic enum { TAKES_UNKNOWN, TAKES_LIMITS, TAKES_NONE } takes;
static atomic_bool beyond_start;

static bool has_started(ICLRRuntimeHost2 *host)
{
    return host && hm_runtime_started((ICLRRuntimeHost *)host);
}

bool hm_managed_started(void)
{
    return has_started(atomic_load(&runtime));
}

static HRESULT method_of(ICLRRuntimeHost2 *host, const wchar_t *class, const wchar_t *name,
                         _Atomic(INT_PTR) *cache, INT_PTR *method)
{
    *method = atomic_load_explicit(cache, memory_order_relaxed);
    if (*method)
        return S_OK;
    HRESULT hr =
        host->lpVtbl->CreateDelegate(host, APP_DOMAIN, L"System.Private.CoreLib", class, name, method);
    if (hr == S_OK)
        atomic_store_explicit(cache, *method, memory_order_relaxed);
    return hr;
}

/* A method that is not public; its signature is that of some versions. */
static HRESULT internal_of_gc(ICLRRuntimeHost2 *host, const wchar_t *name, _Atomic(INT_PTR) *cache,
                              INT_PTR *method)
{
    return hm_runtime_is_known(runtime_version) ? method_of(host, class_gc, name, cache, method) : E_NOTIMPL;
}

/* Each setting in turn; the names are the collector's own. */
static void STDMETHODCALLTYPE note_setting(void *context, const char *name, const char *public_name, int type,
                                           int64_t value)
{
    struct gc_settings *noted = context;
    const struct {
        const char *name;
        uint64_t *sum;
    } known[] = {
        {"GCHeapHardLimit", &noted->limit},
        {"GCHeapHardLimitPercent", &noted->percent},
        {"GCHeapHardLimitSOH", &noted->by_heap},
        {"GCHeapHardLimitLOH", &noted->by_heap},
        {"GCHeapHardLimitPOH", &noted->by_heap},
        {"GCHeapHardLimitSOHPercent", &noted->by_heap_percent},
        {"GCHeapHardLimitLOHPercent", &noted->by_heap_percent},
        {"GCHeapHardLimitPOHPercent", &noted->by_heap_percent},
        {"GCTotalPhysicalMemory", &noted->physical},
        {"GCHighMemPercent", &noted->high_percent},
    };

    (void)public_name;
    for (unsigned i = 0; type == 0 && i < sizeof known / sizeof *known; ++i)
        if (strcmp(name, known[i].name) == 0)
            *known[i].sum += (uint64_t)value;
}

/* False: they are not known, in a trimmed program for instance, which has no such method. */
static bool read_settings(ICLRRuntimeHost2 *host, struct gc_settings *noted)
{
    static _Atomic(INT_PTR) cache;
    INT_PTR method;

    *noted = (struct gc_settings){0};
    if (internal_of_gc(host, L"_EnumerateConfigurationValues", &cache, &method) != S_OK)
        return false;
    ((enumerate_method)method)(noted, note_setting);
    return true;
}

/* At its start a collector writes the limit that it has come to where the program's own was. */
static void read_start(ICLRRuntimeHost2 *host)
{
    struct managed_surroundings around;

    const bool known = read_settings(host, &settings);
    read_surroundings(&around);
    const struct hard_limit limit = hm_hard_limit_at_start(&settings, &around.shown, &around.real);
    if (limit.owner != HOSTMEM_BRIDGE_OF_PROGRAM)
        settings.limit = 0;
    atomic_store(&in_force, limit.bytes);
    atomic_store(&in_force_owner, limit.owner);
    atomic_store(&settings_known, known);
}

/* 0: the collector has taken the limit - or takes none, and has ignored it. */
static int ask(refresh_method refresh, uint64_t limit)
{
    struct heap_hard_limits limits;

    memset(&limits, 0xff, sizeof limits);
    limits.limit = limit;
    return refresh(limits);
}

/*
 * Limits are taken by those that refuse one which no heap fits in.  They have it as the program's then, if the program has
 * set none.
 */
static bool takes_limits(ICLRRuntimeHost2 *host, refresh_method refresh)
{
    if (takes == TAKES_UNKNOWN && ask(refresh, TOO_LOW_FOR_ANY) == 0) {
        takes = TAKES_NONE;
    } else if (takes == TAKES_UNKNOWN) {
        struct gc_settings own;
        ask(refresh, AS_IT_IS);
        read_settings(host, &own);
        settings.limit = own.limit != TOO_LOW_FOR_ANY ? own.limit : 0;
        takes = TAKES_LIMITS;
    }
    return takes == TAKES_LIMITS;
}

/* Has the heap address space for it? */
static void compare_with_reserved(uint64_t limit, uint64_t physical)
{
    uint64_t ranges, reserved, dropped;

    hm_use_heap_figures(&ranges, &reserved, &dropped);
    if (ranges != 0 && (limit < physical ? limit : physical) > reserved)
        atomic_store(&beyond_start, true);
}

/* False: the collector does not take its limit now, but has read the machine's memory all the same. */
static bool refresh_limit(ICLRRuntimeHost2 *host)
{
    static _Atomic(INT_PTR) cache;
    struct managed_surroundings around;
    INT_PTR method;

    if (internal_of_gc(host, L"_RefreshMemoryLimit", &cache, &method) != S_OK)
        return true;
    const refresh_method refresh = (refresh_method)method;
    if (!atomic_load(&settings_known)) { /* the program's own limit may be lower */
        ask(refresh, AS_IT_IS);
        return true;
    }
    const uint64_t before = atomic_load(&in_force);
    const bool takes_one = hm_hard_limit_may_change(&settings) && takes_limits(host, refresh);
    read_surroundings(&around);
    const struct hard_limit limit = hm_hard_limit_wanted(&settings, &around.real, around.host);
    const bool ours = around.host != HARD_LIMIT_NONE;

    if (!takes_one) {
        ask(refresh, AS_IT_IS); /* for the size of the machine */
        atomic_store(&pending, limit.bytes < before ? limit.bytes : HARD_LIMIT_NONE);
        if (limit.bytes > before && atomic_load(&in_force_owner) == HOSTMEM_BRIDGE_OF_HOST)
            atomic_store(&beyond_start, true);
        return true;
    }
    if (ask(refresh, ours ? limit.bytes : settings.limit) != 0) { /* then nothing of it was taken */
        ask(refresh, before != HARD_LIMIT_NONE ? before : settings.limit);
        atomic_store(&pending, limit.bytes);
        return false;
    }
    atomic_store(&in_force, limit.bytes);
    atomic_store(&in_force_owner, limit.owner);
    atomic_store(&pending, HARD_LIMIT_NONE);
    atomic_fetch_add(&refreshes, 1);
    compare_with_reserved(limit.bytes, around.real.physical);
    return true;
}

/* A trimmed program that does not read its latency mode has no method for it; it may be in a region if it can leave one. */
static void find_regions(ICLRRuntimeHost2 *host)
{
    _Atomic(INT_PTR) cache = 0;
    INT_PTR method;

    if (method_of(host, class_settings, L"get_LatencyMode", &cache, &method) == S_OK)
        latency = (latency_method)method;
    else
        has_regions = method_of(host, class_gc, L"EndNoGCRegion", &cache, &method) == S_OK;
}

static bool in_no_gc_region(void)
{
    return latency ? latency() == NO_GC_REGION : has_regions;
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
        ((collect_low_method)method)(OLDEST, COLLECT_ALL,
                                     FALSE); /* for low memory it would not be aggressive */
}

/* A thread's first call into managed code takes memory: better now than when there is none. */
static void get_ready(ICLRRuntimeHost2 *host)
{
    _Atomic(INT_PTR) cache = 0;
    INT_PTR method;

    if (method_of(host, class_gc, L"CollectionCount", &cache, &method) == S_OK)
        ((collection_count_method)method)(0);
    find_regions(host);
    read_start(host);
}

/* A Low that lasts whatever is collected, or a limit that is still too low: what lives, lives. */
static ULONGLONG collection_pace(void)
{
    const unsigned before = atomic_load(&in_vain), doubled = before > 0 ? before - 1 : 0;
    return (ULONGLONG)MANAGED_COLLECT_MS << (doubled < DOUBLED_MOST ? doubled : DOUBLED_MOST);
}

/* What a Low asks for, or a limit that the heap is too big for.  The program is asked for its region directly before
 * each; it may still enter one in between. */
static DWORD relieve(ICLRRuntimeHost2 *host)
{
    static ULONGLONG last_collection; /* 0: none */

    if (atomic_load(&wants_pulse)) {
        if (in_no_gc_region())
            return REGION_POLL_MS;
        void (*pulse)(void) = atomic_exchange(&wants_pulse, NULL);
        if (pulse)
            pulse();
    }
    if (atomic_load(&wants_collection) || room == ROOM_WANTED) {
        ULONGLONG now = GetTickCount64(), due = last_collection + collection_pace();
        if (last_collection != 0 && now < due)
            return (DWORD)(due - now);
        if (in_no_gc_region())
            return REGION_POLL_MS;
        if (atomic_exchange(&wants_collection, false) || room == ROOM_WANTED) {
            last_collection = now;
            atomic_fetch_add(&in_vain, 1);
            collect(host);
            if (room == ROOM_WANTED)
                room = ROOM_MADE;
        }
    }
    return INFINITE;
}

static void heap_check(void)
{
    uint64_t ranges, bytes, dropped;

    hm_use_heap_figures(&ranges, &bytes, &dropped);
    if (!ranges)
        hm_bridge_event_notify(NULL, HOSTMEM_BRIDGE_EVENT_HEAP_UNKNOWN, NULL, S_OK, NULL);
}

/* The runtime reads its limits at its start by itself, so whatever is wanted before that can wait for it.  One that was refused
 * is tried again at once when a collection may have made room for it. */
static DWORD keep_limit(ICLRRuntimeHost2 *host)
{
    static ULONGLONG not_before, retry_at;
    static DWORD retry;
    ULONGLONG now = GetTickCount64();

    if (!atomic_load(&wants_refresh) && (!retry || (now < retry_at && room != ROOM_MADE)))
        return retry ? (DWORD)(retry_at - now) : INFINITE;
    if (now < not_before)
        return (DWORD)(not_before - now);
    const bool again = !atomic_exchange(&wants_refresh, false);
    const bool taken = refresh_limit(host);
    now = GetTickCount64();
    not_before = now + PACE_MS;
    room = taken ? ROOM_ENOUGH : ROOM_WANTED;
    if (!again || (taken && retry)) /* another limit, or one that fits by now */
        atomic_store(&in_vain, 0);
    if (taken)
        retry = 0;
    else if (!again || !retry)
        retry = RETRY_MS;
    else
        retry = 2 * retry < RETRY_MOST_MS ? 2 * retry : RETRY_MOST_MS;
    retry_at = now + retry;
    return retry ? retry : INFINITE;
}

static DWORD WINAPI managed_thread(void *event)
{
    ICLRRuntimeHost2 *host = atomic_load(&runtime);

    while (!has_started(host)) /* one that never starts is never looked at */
        WaitForSingleObject(event, INFINITE);
    heap_check();
    get_ready(host);
    SetEvent(event); /* for what was wanted before */
    for (;;) {
        DWORD relieved = relieve(host), kept = keep_limit(host);
        WaitForSingleObject(event, relieved < kept ? relieved : kept);
    }
    return 0;
}

/* Without memory for the thread nothing reaches the runtime. */
static void wake_thread(void)
{
    HANDLE event = atomic_load(&wanted);
    if (event)
        SetEvent(event);
}

void hm_managed_bind(ICLRRuntimeHost *host, uint64_t version,
                     void (*surroundings)(struct managed_surroundings *))
{
    ICLRRuntimeHost2 *newer = NULL;

    /* Every runtime that the bridge knows has it; without it nothing of this works, and all the rest does. */
    if (ICLRRuntimeHost_QueryInterface(host, &IID_ICLRRuntimeHost2, (void **)&newer) != S_OK)
        return;
    runtime_version = version;
    read_surroundings = surroundings;
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

void hm_managed_low(void (*pulse)(void))
{
    if (!atomic_load(&wanted) || !hm_managed_started())
        pulse();
    else
        atomic_store(&wants_pulse, pulse);
    atomic_store(&wants_collection, true);
    wake_thread();
}

void hm_managed_runs(void)
{
    wake_thread();
}

void hm_managed_low_is_over(void)
{
    atomic_store(&wants_pulse, NULL);
    atomic_store(&wants_collection, false);
    atomic_store(&in_vain, 0);
}

uint64_t hm_managed_refreshes(void)
{
    return atomic_load(&refreshes);
}

uint64_t hm_managed_hard_limit(void)
{
    return atomic_load(&in_force);
}

/* GCHighMemPercent as the collector makes it a threshold; older ones do not tell what theirs is without it. */
static uint64_t high_percent(void)
{
    enum { USUAL = 90, MOST = 99 };
    return settings.high_percent == 0 ? USUAL : settings.high_percent < MOST ? settings.high_percent : MOST;
}

void hm_managed_get_limit(hostmem_bridge_collector_limit *limit)
{
    struct managed_surroundings around;

    *limit = (hostmem_bridge_collector_limit){.hard_limit = HOSTMEM_UNLIMITED, .pending = HOSTMEM_UNLIMITED};
    if (!atomic_load(&settings_known))
        return;
    read_surroundings(&around);
    const uint64_t physical = hm_hard_limit_physical(&settings, &around.shown);
    limit->known = 1;
    limit->owner = atomic_load(&in_force_owner);
    limit->fixed = takes == TAKES_NONE || !hm_hard_limit_may_change(&settings);
    limit->beyond_start = atomic_load(&beyond_start);
    limit->hard_limit = hm_managed_hard_limit();
    limit->pending = atomic_load(&pending);
    limit->available = limit->hard_limit != HOSTMEM_UNLIMITED ? limit->hard_limit : physical;
    limit->high_load = percent_of(physical, high_percent());
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
    HRESULT hr = method_of(host, class_gc, L"CollectionCount", &cache, &method);
    for (int generation = 0; hr == S_OK && generation < 3; ++generation)
        counts[generation] = (uint64_t)((collection_count_method)method)(generation);
    return hr;
}
