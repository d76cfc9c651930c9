/* A stand-in for coreclr.dll or for a standalone collector (FAKE_COLLECTOR); see the header. */
#include <initguid.h>

#include "support/bridge_fake.h"
#include "support/bridge_fake_heap.h"

#ifdef FAKE_WITHOUT_MAP_AT
#    define MapViewOfFileEx(file, access, high, low, size, base)                                             \
        ((void)(access), (void)(high), (void)(low), (void)(size), (void)(base), (LPVOID)(file))
#endif

#if defined(FAKE_WITH_MORE) || defined(FAKE_WITH_SIZES)
/* One more function of a family that is known, which takes none. */
EXPORT SIZE_T fake_query_elsewhere(MEMORY_BASIC_INFORMATION *info)
{
    return VirtualQueryEx(GetCurrentProcess(), info, info, sizeof *info);
}
#endif

#ifdef FAKE_WITH_MORE
/* One more function that takes pages from Windows. */
EXPORT void *fake_alloc_elsewhere(SIZE_T size)
{
    return VirtualAllocEx(GetCurrentProcess(), NULL, size, MEM_RESERVE, PAGE_READWRITE);
}
#endif

#ifdef FAKE_TWICE
/* UnmapViewOfFile once more, from another DLL; see bridge_twice.def. */
__declspec(dllimport) void second_unmap(void);
EXPORT void *fake_second_unmap(void)
{
    return (void *)second_unmap;
}
#endif

static LPVOID WINAPI call_alloc(LPVOID address, SIZE_T size, DWORD type, DWORD protect)
{
    return VirtualAlloc(address, size, type, protect);
}

#ifndef FAKE_WITHOUT_FREE
static BOOL WINAPI call_free(LPVOID address, SIZE_T size, DWORD type)
{
    return VirtualFree(address, size, type);
}
#endif

static BOOL WINAPI call_memory_status(LPMEMORYSTATUSEX status)
{
    return GlobalMemoryStatusEx(status);
}

static BOOL WINAPI call_process_memory(HANDLE process, PROCESS_MEMORY_COUNTERS *counters, DWORD size)
{
    return K32GetProcessMemoryInfo(process, counters, size);
}

static BOOL WINAPI call_in_job(HANDLE process, HANDLE job, PBOOL result)
{
    return IsProcessInJob(process, job, result);
}

static BOOL WINAPI call_job_limits(HANDLE job, JOBOBJECTINFOCLASS kind, LPVOID buffer, DWORD size,
                                   LPDWORD written)
{
    return QueryInformationJobObject(job, kind, buffer, size, written);
}

#ifdef FAKE_COLLECTOR

static struct fake_runtime state = {
    .calls =
        {
            .alloc = call_alloc,
#    ifndef FAKE_WITHOUT_FREE
            .free = call_free,
#    endif
            .memory_status = call_memory_status,
            .process_memory = call_process_memory,
            .in_job = call_in_job,
            .job_limits = call_job_limits,
            NATIVE_HEAP_CALLS,
        },
};

EXPORT HRESULT GC_Initialize(void)
{
    return S_OK;
}

#else

static LPVOID WINAPI call_alloc_numa(HANDLE process, LPVOID address, SIZE_T size, DWORD type, DWORD protect,
                                     DWORD node)
{
    return VirtualAllocExNuma(process, address, size, type, protect, node);
}

static BOOL WINAPI call_protect(LPVOID address, SIZE_T size, DWORD protect, PDWORD old)
{
    return VirtualProtect(address, size, protect, old);
}

static SIZE_T WINAPI call_query(LPCVOID address, PMEMORY_BASIC_INFORMATION buffer, SIZE_T length)
{
    return VirtualQuery(address, buffer, length);
}

static LPVOID WINAPI call_map(HANDLE file, DWORD access, DWORD high, DWORD low, SIZE_T size)
{
    return MapViewOfFile(file, access, high, low, size);
}

static LPVOID WINAPI call_map_at(HANDLE file, DWORD access, DWORD high, DWORD low, SIZE_T size, LPVOID base)
{
    return MapViewOfFileEx(file, access, high, low, size, base);
}

static BOOL WINAPI call_unmap(LPCVOID base)
{
    return UnmapViewOfFile(base);
}

static HANDLE WINAPI call_low_memory(MEMORY_RESOURCE_NOTIFICATION_TYPE type)
{
    return CreateMemoryResourceNotification(type);
}

static HMODULE WINAPI call_load(LPCWSTR name, HANDLE file, DWORD flags)
{
    return LoadLibraryExW(name, file, flags);
}

static struct fake_runtime state = {
    .calls = {call_alloc, call_alloc_numa, call_free, call_protect, call_query, call_map, call_map_at,
              call_unmap, call_load, call_memory_status, call_process_memory, call_in_job, call_job_limits,
              call_low_memory, NATIVE_HEAP_CALLS},
    .newest_version = 4,
};

/* GCHeapHardLimitInfo */
struct fake_limits {
    uint64_t figures[8];
};

struct fake_host {
    ICLRRuntimeHost4 face;
    long references;
};

static ULONG STDMETHODCALLTYPE fake_addref(ICLRRuntimeHost4 *self)
{
    return InterlockedIncrement(&((struct fake_host *)self)->references);
}

static ULONG STDMETHODCALLTYPE fake_release(ICLRRuntimeHost4 *self)
{
    long left = InterlockedDecrement(&((struct fake_host *)self)->references);
    if (!left) {
        HeapFree(GetProcessHeap(), 0, self);
        InterlockedDecrement(&state.objects);
    }
    return left;
}

static HRESULT STDMETHODCALLTYPE fake_query(ICLRRuntimeHost4 *self, REFIID riid, void **object)
{
    *object = NULL;
    if (IsEqualIID(riid, &IID_IUnknown) || IsEqualIID(riid, &IID_ICLRRuntimeHost) ||
        (state.newest_version >= 2 && IsEqualIID(riid, &IID_ICLRRuntimeHost2)) ||
        (state.newest_version >= 4 && IsEqualIID(riid, &IID_ICLRRuntimeHost4))) {
        fake_addref(self);
        *object = self;
        return S_OK;
    }
    return E_NOINTERFACE;
}

static HRESULT note(const char *name, unsigned count, const uint64_t *arguments)
{
    state.called = name;
    state.argument_count = count;
    for (unsigned i = 0; i < count; ++i)
        state.arguments[i] = arguments[i];
    return 0x40000 + count; /* a success code of its own, to see that it comes through */
}

#    define N(value) (uint64_t)(size_t)(value)
#    define NOTE(name, ...)                                                                                  \
        {                                                                                                    \
            const uint64_t arguments[] = {0 __VA_OPT__(, ) __VA_ARGS__};                                     \
            (void)self;                                                                                      \
            return note(name, sizeof arguments / sizeof *arguments - 1, arguments + 1);                      \
        }

/* System.GC */

static int STDMETHODCALLTYPE gc_collection_count(int generation)
{
    return generation >= 0 && generation < 3 ? state.gc.collections[generation] : -1;
}

/* As collectors ask: for the job, then for the machine. */
static ULONGLONG ask_machine(void)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    BOOL in_job = FALSE;

    if (call_in_job(GetCurrentProcess(), NULL, &in_job) && in_job)
        call_job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL);
    return call_memory_status(&status) ? status.ullTotalPhys : 0;
}

static ULONGLONG last_limit; /* where GCHeapHardLimit is kept */
static BOOL has_last;

static ULONGLONG setting_of_limit(void)
{
    return has_last ? last_limit : state.gc.start_limit != 0 ? state.gc.start_limit : state.gc.settings.limit;
}

static int STDMETHODCALLTYPE gc_refresh(struct fake_limits limits)
{
    ULONGLONG limit = limits.figures[0];

    for (unsigned i = 1; i < sizeof limits.figures / sizeof *limits.figures; ++i)
        if (limits.figures[i] != UINT64_MAX)
            InterlockedIncrement(&state.gc.wrong);
    state.gc.refresh_thread = GetCurrentThreadId();
    state.gc.refresh_stack = (size_t)&limits;
    state.gc.refresh_sees = ask_machine();
    if (state.gc.ignores) {
        InterlockedIncrement(&state.gc.ignored);
        return 0;
    }
    if (limit == UINT64_MAX)
        limit = state.gc.settings.limit != 0 ? state.gc.settings.limit : setting_of_limit();
    last_limit = limit;
    has_last = TRUE;
    if (limit == 1) {
        InterlockedIncrement(&state.gc.probes);
        return 1;
    }
    if (limit != 0 && limit < state.gc.committed)
        return 1;
    if (state.gc.refuses != 0) {
        InterlockedDecrement(&state.gc.refuses);
        return 1;
    }
    state.gc.refresh_heap = limit;
    InterlockedIncrement(&state.gc.refreshes);
    return 0;
}

typedef void(STDMETHODCALLTYPE *setting_callback)(void *, const char *, const char *, int, int64_t);

static void STDMETHODCALLTYPE gc_enumerate(void *context, setting_callback callback)
{
    const struct fake_settings *set = &state.gc.settings;

    callback(context, "ServerGC", "System.GC.Server", 2, 1);
    callback(context, "GCHeapHardLimit", "System.GC.HeapHardLimit", 0, (int64_t)setting_of_limit());
    callback(context, "GCHeapHardLimitPercent", "System.GC.HeapHardLimitPercent", 0, (int64_t)set->percent);
    callback(context, "GCHeapHardLimitSOH", "System.GC.HeapHardLimitSOH", 0, (int64_t)set->soh);
    callback(context, "GCHeapHardLimitLOH", "System.GC.HeapHardLimitLOH", 0, (int64_t)set->loh);
    callback(context, "GCTotalPhysicalMemory", NULL, 0, (int64_t)set->physical);
    callback(context, "GCHighMemPercent", "System.GC.HighMemoryPercent", 0, (int64_t)set->high_percent);
    callback(context, "GCName", "System.GC.Name", 1, 0);
}

static int STDMETHODCALLTYPE gc_latency(void)
{
    return (int)state.gc.latency;
}

/* Which is the program's business alone. */
static void STDMETHODCALLTYPE gc_end_region(void)
{
    InterlockedIncrement(&state.gc.wrong);
}

static void collected(int generation, int mode)
{
    LONG number = state.gc.collects;

    state.gc.collect_generation = generation;
    state.gc.collect_mode = mode;
    if (generation != 2 || mode != 26 || state.gc.collect_low)
        InterlockedIncrement(&state.gc.wrong);
    if (state.gc.latency == 4)
        InterlockedIncrement(&state.gc.collects_in_region);
    if (number < (LONG)(sizeof state.gc.collected_at / sizeof *state.gc.collected_at))
        state.gc.collected_at[number] = GetTickCount64();
    if (state.gc.collect_makes_room)
        state.gc.refuses = 0;
    InterlockedIncrement(&state.gc.collects);
}

#    define MISSING_METHOD ((HRESULT)0x80131513) /* COR_E_MISSINGMETHOD */

#    ifndef FAKE_VERSION
#        define FAKE_VERSION 0
#    endif

/* As the version has it: on x86 a caller that gives one argument too many finds its stack elsewhere. */
#    if FAKE_VERSION < 10
static void STDMETHODCALLTYPE gc_collect(int generation, int mode)
{
    collected(generation, mode);
}
#    else
static void STDMETHODCALLTYPE gc_collect(int generation, int mode, BOOL low_memory)
{
    state.gc.collect_low = low_memory;
    collected(generation, mode);
}
#    endif

static HRESULT STDMETHODCALLTYPE fake_start(ICLRRuntimeHost4 *self) NOTE("Start")

    static HRESULT STDMETHODCALLTYPE fake_stop(ICLRRuntimeHost4 *self) NOTE("Stop")

        static HRESULT STDMETHODCALLTYPE fake_set_host_control(ICLRRuntimeHost4 *self, IHostControl *control)
{
    (void)self, (void)control;
    state.called = "SetHostControl";
    return E_NOTIMPL;
}

static HRESULT STDMETHODCALLTYPE fake_get_clr_control(ICLRRuntimeHost4 *self, ICLRControl **control)
{
    (void)self, (void)control;
    state.called = "GetCLRControl";
    return E_NOTIMPL;
}

static HRESULT STDMETHODCALLTYPE fake_unload(ICLRRuntimeHost4 *self, DWORD id, BOOL wait)
    NOTE("UnloadAppDomain", id, wait)

        static HRESULT STDMETHODCALLTYPE
    fake_execute_in(ICLRRuntimeHost4 *self, DWORD id, FExecuteInAppDomainCallback call, void *cookie)
        NOTE("ExecuteInAppDomain", id, N(call), N(cookie))

            static HRESULT STDMETHODCALLTYPE fake_domain(ICLRRuntimeHost4 *self, DWORD *id)
{
    (void)self;
    state.called = "GetCurrentAppDomainId";
    InterlockedIncrement(&state.asked);
    if (state.odd_answer)
        return state.odd_answer;
    if (!state.started)
        return HOST_E_CLRNOTAVAILABLE;
    return id ? E_UNEXPECTED : E_POINTER;
}

static HRESULT STDMETHODCALLTYPE fake_application(ICLRRuntimeHost4 *self, LPCWSTR name, DWORD paths,
                                                  LPCWSTR *path, DWORD count, LPCWSTR *data, int *result)
    NOTE("ExecuteApplication", N(name), paths, N(path), count, N(data), N(result))

        static HRESULT STDMETHODCALLTYPE fake_default(ICLRRuntimeHost4 *self, LPCWSTR assembly, LPCWSTR type,
                                                      LPCWSTR method, LPCWSTR argument, DWORD *result)
            NOTE("ExecuteInDefaultAppDomain", N(assembly), N(type), N(method), N(argument), N(result))

                static HRESULT STDMETHODCALLTYPE
    fake_create_domain(ICLRRuntimeHost4 *self, LPCWSTR name, DWORD flags, LPCWSTR assembly, LPCWSTR type,
                       int count, LPCWSTR *names, LPCWSTR *values, DWORD *id)
        NOTE("CreateAppDomainWithManager", N(name), flags, N(assembly), N(type), count, N(names), N(values),
             N(id))

            static HRESULT STDMETHODCALLTYPE fake_delegate(ICLRRuntimeHost4 *self, DWORD id, LPCWSTR assembly,
                                                           LPCWSTR type, LPCWSTR method, INT_PTR *function)
{
    InterlockedIncrement(&state.gc.delegates);
    if (method && state.gc.present && method[0] == L'_')
        InterlockedIncrement(&state.gc.internals);
    if (!state.started)
        InterlockedIncrement(&state.gc.early);
    if (!state.gc.present)
        NOTE("CreateDelegate", id, N(assembly), N(type), N(method), N(function))
    if (state.gc.answer)
        return state.gc.answer;
    static const struct {
        const wchar_t *type, *name;
        INT_PTR function;
    } methods[] = {
        {L"System.GC", L"CollectionCount", (INT_PTR)gc_collection_count},
        {L"System.GC", L"_RefreshMemoryLimit", (INT_PTR)gc_refresh},
        {L"System.GC", L"_EnumerateConfigurationValues", (INT_PTR)gc_enumerate},
        {L"System.GC", L"_Collect", (INT_PTR)gc_collect},
        {L"System.GC", L"EndNoGCRegion", (INT_PTR)gc_end_region},
        {L"System.Runtime.GCSettings", L"get_LatencyMode", (INT_PTR)gc_latency},
    };
    if (id != 1 || wcscmp(assembly, L"System.Private.CoreLib"))
        return E_INVALIDARG;
    for (unsigned i = 0; i < sizeof state.gc.gone / sizeof *state.gc.gone; ++i)
        if (state.gc.gone[i] && !wcscmp(method, state.gc.gone[i]))
            return MISSING_METHOD;
    for (unsigned i = 0; i < sizeof methods / sizeof *methods; ++i)
        if (!wcscmp(type, methods[i].type) && !wcscmp(method, methods[i].name)) {
            *function = methods[i].function;
            return S_OK;
        }
    return MISSING_METHOD;
}

static HRESULT STDMETHODCALLTYPE fake_authenticate(ICLRRuntimeHost4 *self, ULONGLONG key)
    NOTE("Authenticate", key)

        static HRESULT STDMETHODCALLTYPE fake_mac(ICLRRuntimeHost4 *self) NOTE("RegisterMacEHPort")

            static HRESULT STDMETHODCALLTYPE fake_flags(ICLRRuntimeHost4 *self, DWORD flags)
                NOTE("SetStartupFlags", flags)

                    static HRESULT STDMETHODCALLTYPE
    fake_factory(ICLRRuntimeHost4 *self, DWORD id, LPCWSTR type, IUnknown **factory)
        NOTE("DllGetActivationFactory", id, N(type), N(factory))

            static HRESULT STDMETHODCALLTYPE fake_execute(ICLRRuntimeHost4 *self, DWORD id, LPCWSTR path,
                                                          int count, LPCWSTR *arguments_, DWORD *result)
                NOTE("ExecuteAssembly", id, N(path), count, N(arguments_), N(result))

                    static HRESULT STDMETHODCALLTYPE
    fake_unload2(ICLRRuntimeHost4 *self, DWORD id, BOOL wait, int *result)
        NOTE("UnloadAppDomain2", id, wait, N(result))

            static const ICLRRuntimeHost4Vtbl vtable = {
                fake_query,         fake_addref,           fake_release,         fake_start,
                fake_stop,          fake_set_host_control, fake_get_clr_control, fake_unload,
                fake_execute_in,    fake_domain,           fake_application,     fake_default,
                fake_create_domain, fake_delegate,         fake_authenticate,    fake_mac,
                fake_flags,         fake_factory,          fake_execute,         fake_unload2,
};

EXPORT HRESULT STDMETHODCALLTYPE GetCLRRuntimeHost(REFIID riid, IUnknown **object)
{
    struct fake_host *host = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof *host);

    host->face.lpVtbl = (ICLRRuntimeHost4Vtbl *)&vtable;
    host->references = 1;
    InterlockedIncrement(&state.objects);
    HRESULT hr = fake_query(&host->face, riid, (void **)object);
    fake_release(&host->face);
    return hr;
}

#endif

EXPORT struct fake_runtime *fake_runtime_state(void)
{
    return &state;
}
