/*
 * The machine that the runtime is shown: Windows' answers, made smaller.
 */
#include <stdatomic.h>
#include <wchar.h>

#include "bridge/hard_limit.h"
#include "bridge/machine.h"
#include "bridge/managed.h"
#include "bridge/notification.h"
#include "com/manager.h"
#include "memory/memory_load.h"

typedef BOOL(WINAPI *memory_status_function)(LPMEMORYSTATUSEX);
typedef BOOL(WINAPI *process_memory_function)(HANDLE, PROCESS_MEMORY_COUNTERS *, DWORD);
typedef BOOL(WINAPI *in_job_function)(HANDLE, HANDLE, PBOOL);
typedef BOOL(WINAPI *job_limits_function)(HANDLE, JOBOBJECTINFOCLASS, LPVOID, DWORD, LPDWORD);
typedef HANDLE(WINAPI *low_memory_function)(MEMORY_RESOURCE_NOTIFICATION_TYPE);

/* What a collector was shown when it last asked how much memory there is: what it relates its working set to. */
static _Atomic uint64_t last_total = UINT64_MAX, last_job = UINT64_MAX;
static atomic_bool asks; /* it has asked for its job, and will ask for the machine */

/* The user wants a part of the machine for the heap, or for single heaps: of the host's limit then, and not of a job that is
 * more. */
static bool percent_is_set;

/* What Windows said at that. */
static _Atomic uint64_t real_total = UINT64_MAX, real_job = UINT64_MAX;

/*
 * .NET 10 reserves twice the machine's memory for the heap, and does not start with much less than twice this.  A
 * smaller budget is shown when it has started.
 */
static const uint64_t least_to_start = (uint64_t)32 << 20;

/* What a collector takes for the machine: no more than fits in its address space. */
static uint64_t usable(const MEMORYSTATUSEX *status)
{
    return least(status->ullTotalPhys, status->ullTotalVirtual);
}

uint64_t hm_machine_charged(IHostMemoryManager *manager)
{
    struct hostmem_manager *own = hm_manager_of(manager);
    return own ? hm_budget_used(&own->vm.quota.commit) : 0;
}

/* The size of the machine, or of the job, that the runtime is shown; UINT64_MAX: there is no limit, or the manager does
 * not tell. */
static uint64_t shown(IHostMemoryManager *manager)
{
    struct hostmem_manager *own = hm_manager_of(manager);
    return own ? hm_quota_shown(&own->vm.quota) : UINT64_MAX;
}

/* The limit of the job that is shown while the runtime starts, or UINT64_MAX: none, since the machine is smaller or the
 * host has no limit. */
static uint64_t shown_job(IHostMemoryManager *manager)
{
    const uint64_t size = shown(manager);

    if (size == UINT64_MAX || percent_is_set || hm_managed_started())
        return UINT64_MAX;
    const uint64_t job = hm_hard_limit_as_job(size);
    return job <= atomic_load_explicit(&real_total, memory_order_relaxed) ? job : UINT64_MAX;
}

void hm_machine_read(struct managed_surroundings *around)
{
    IHostMemoryManager *manager = atomic_load_explicit(&hm_bridge_manager, memory_order_acquire);

    *around = (struct managed_surroundings){
        .real = {.physical = atomic_load(&real_total), .job = atomic_load(&real_job)},
        .shown = {.physical = atomic_load(&last_total), .job = atomic_load(&last_job)},
        .host = manager ? shown(manager) : HARD_LIMIT_NONE};
}

/* As the collector reads it: hexadecimal, whatever follows the number, and the old name where the new one is not set. */
static bool is_percent(const wchar_t *variable, const wchar_t *old)
{
    wchar_t text[20];
    const DWORD most = sizeof text / sizeof *text;
    DWORD length = GetEnvironmentVariableW(variable, text, most);

    if (length == 0)
        length = GetEnvironmentVariableW(old, text, most);
    if (length == 0 || length >= most)
        return false;
    const unsigned long percent = wcstoul(text, NULL, 16);
    return percent > 0 && percent < 100;
}

#define BY_EITHER_NAME(name) L"DOTNET_" name, L"COMPlus_" name

void hm_machine_record_start(IHostMemoryManager *manager, uint64_t version)
{
    struct hostmem_manager *own = hm_manager_of(manager);
    if (own)
        RECORD(&own->vm, TRACE_RUNTIME_STARTED, version);
}

void hm_machine_watch_budget(IHostMemoryManager *manager)
{
    struct hostmem_manager *own = hm_manager_of(manager);
    if (!own)
        return;
    percent_is_set = is_percent(BY_EITHER_NAME(L"GCHeapHardLimitPercent")) ||
                     is_percent(BY_EITHER_NAME(L"GCHeapHardLimitSOHPercent")) ||
                     is_percent(BY_EITHER_NAME(L"GCHeapHardLimitLOHPercent")) ||
                     is_percent(BY_EITHER_NAME(L"GCHeapHardLimitPOHPercent"));
    atomic_store(&own->tenant.shown_changed, hm_managed_refresh_limit);
    /* What the start needed to see is not what the collector is to go by. */
    if (shown(manager) != UINT64_MAX)
        hm_managed_refresh_limit();
}

/* How much memory there is: of the machine, less if the host says so, but enough for the start. */
static uint64_t shown_total(IHostMemoryManager *manager, uint64_t real)
{
    const uint64_t job = shown_job(manager);
    uint64_t size = job != UINT64_MAX ? job : shown(manager);

    if (size < least_to_start && !hm_managed_started())
        size = least_to_start;
    return least(real, size);
}

/*
 * A collector that has the host's limit for its own collects in full when it gets there.  Told of high load before, it does
 * so again and again within the last tenth, and a program that has nothing to trim loses a fifth of its time.  So our limits
 * are high load when next to nothing is left of them; what the machine is, or its job, is high load from the mark on.
 */
static DWORD load_to_show(IHostMemoryManager *manager, DWORD load, DWORD machine)
{
    enum { HIGH = 90, NEARLY_ALL = 98 };
    struct hostmem_manager *own = hm_manager_of(manager);
    struct memory_load limits = {.available = SIZE_MAX};

    if (!own || load < HIGH || load >= NEARLY_ALL || hm_managed_hard_limit() > shown(manager) ||
        atomic_load_explicit(&real_job, memory_order_relaxed) != UINT64_MAX)
        return load;
    hm_memory_load_tighten(&limits, &own->vm.quota);
    return limits.percent < load || machine >= HIGH ? load : HIGH - 1;
}

static void show_memory(IHostMemoryManager *manager, MEMORYSTATUSEX *status)
{
    DWORD load;
    SIZE_T available;

    atomic_store_explicit(&real_total, usable(status), memory_order_relaxed);
    status->ullTotalPhys = shown_total(manager, status->ullTotalPhys);
    if (IHostMemoryManager_GetMemoryLoad(manager, &load, &available) == S_OK) {
        status->dwMemoryLoad = load_to_show(manager, load, status->dwMemoryLoad);
        status->ullAvailPhys = available > status->ullTotalVirtual ? status->ullAvailVirtual : available;
    }
    status->ullAvailPhys = least(status->ullAvailPhys, status->ullTotalPhys);
    if (atomic_exchange_explicit(&asks, false, memory_order_relaxed))
        atomic_store_explicit(&last_total, usable(status), memory_order_relaxed);
}

/* The collector makes a load of it, in percent of the limit: it has to be the manager's. */
static void show_process(IHostMemoryManager *manager, PROCESS_MEMORY_COUNTERS *counters)
{
    uint64_t job = atomic_load_explicit(&last_job, memory_order_relaxed);
    uint64_t limit = least(job, atomic_load_explicit(&last_total, memory_order_relaxed));
    DWORD load;
    SIZE_T available;

    if (job == UINT64_MAX || IHostMemoryManager_GetMemoryLoad(manager, &load, &available) != S_OK)
        return;
    const uint64_t size = least(limit, shown(manager)); /* a job that is shown is more */
    const uint64_t used = size - least(size, available);
    const DWORD to_show = load_to_show(manager, load, 0);
    const uint64_t by_load = percent_of(limit, to_show),
                   by_rest = size == limit ? used : (uint64_t)((double)limit * (double)used / (double)size);
    uint64_t working_set = to_show < load || by_load > by_rest ? by_load : by_rest;
    /* As collectors reckon; not one percent less. */
    if ((DWORD)((float)working_set * 100.0 / (float)limit) < to_show)
        working_set += (limit >> 20) + 1;
    counters->WorkingSetSize = (SIZE_T)working_set;
}

/* The limit of a job; UINT64_MAX: none that a collector minds. */
static uint64_t limit_of(const JOBOBJECT_EXTENDED_LIMIT_INFORMATION *limits)
{
    const DWORD flags = limits->BasicLimitInformation.LimitFlags;
    uint64_t limit = UINT64_MAX;

    if (flags & JOB_OBJECT_LIMIT_PROCESS_MEMORY)
        limit = least(limit, limits->ProcessMemoryLimit);
    if (flags & JOB_OBJECT_LIMIT_JOB_MEMORY)
        limit = least(limit, limits->JobMemoryLimit);
    if (flags & JOB_OBJECT_LIMIT_WORKINGSET)
        limit = least(limit, limits->BasicLimitInformation.MaximumWorkingSetSize);
    return limit;
}

/* `answered`: Windows has, and *limits is valid; returns whether it is now. */
static bool show_job_limits(IHostMemoryManager *manager, JOBOBJECT_EXTENDED_LIMIT_INFORMATION *limits,
                            bool answered)
{
    const uint64_t job = shown_job(manager), ours = least(job, SIZE_MAX);

    atomic_store_explicit(&real_job, answered ? limit_of(limits) : UINT64_MAX, memory_order_relaxed);
    if (job != UINT64_MAX) {
        if (!answered)
            ZeroMemory(limits, sizeof *limits);
        DWORD *flags = &limits->BasicLimitInformation.LimitFlags;
        const bool is_set = (*flags & JOB_OBJECT_LIMIT_PROCESS_MEMORY) != 0;
        limits->ProcessMemoryLimit = (SIZE_T)(is_set ? least(ours, limits->ProcessMemoryLimit) : ours);
        *flags |= JOB_OBJECT_LIMIT_PROCESS_MEMORY;
        answered = true;
    }
    atomic_store_explicit(&last_job, answered ? limit_of(limits) : UINT64_MAX, memory_order_relaxed);
    return answered;
}

/* The collector asks for its job first, then for the machine. */
static BOOL show_in_job(struct caller *caller, IHostMemoryManager *manager, BOOL in_job)
{
    memory_status_function ask = ORIGINAL(caller, HOSTMEM_BRIDGE_MEMORY_STATUS, memory_status_function);
    MEMORYSTATUSEX status = {.dwLength = sizeof status};

    if (ask && ask(&status)) /* not every collector imports it */
        atomic_store_explicit(&real_total, usable(&status), memory_order_relaxed);
    atomic_store_explicit(&asks, true, memory_order_relaxed);
    if (!in_job) {
        atomic_store_explicit(&real_job, UINT64_MAX, memory_order_relaxed);
        atomic_store_explicit(&last_job, UINT64_MAX, memory_order_relaxed);
    }
    return in_job || shown_job(manager) != UINT64_MAX;
}

/* The manager, if the call is to be counted; Windows has answered `good`. */
static IHostMemoryManager *answered(struct caller *caller, unsigned index, bool good)
{
    IHostMemoryManager *manager = atomic_load_explicit(&hm_bridge_manager, memory_order_acquire);

    if (manager)
        count(&caller->calls[index]);
    if (manager && !good)
        count(&caller->failures[index]);
    return manager;
}

BOOL hm_machine_call_memory_status(struct caller *caller, LPMEMORYSTATUSEX status)
{
    const unsigned index = HOSTMEM_BRIDGE_MEMORY_STATUS;
    BOOL good = ORIGINAL(caller, index, memory_status_function)(status);
    IHostMemoryManager *manager = answered(caller, index, good);
    DWORD error = GetLastError();

    if (good && manager)
        show_memory(manager, status);
    SetLastError(error);
    return good;
}

BOOL hm_machine_call_process_memory(struct caller *caller, HANDLE process, PROCESS_MEMORY_COUNTERS *counters,
                                    DWORD size)
{
    const unsigned index = HOSTMEM_BRIDGE_PROCESS_MEMORY;
    BOOL good = ORIGINAL(caller, index, process_memory_function)(process, counters, size);
    IHostMemoryManager *manager = answered(caller, index, good);
    DWORD error = GetLastError();

    if (good && manager && process == GetCurrentProcess())
        show_process(manager, counters);
    SetLastError(error);
    return good;
}

BOOL hm_machine_call_in_job(struct caller *caller, HANDLE process, HANDLE job, PBOOL result)
{
    const unsigned index = HOSTMEM_BRIDGE_IN_JOB;
    BOOL good = ORIGINAL(caller, index, in_job_function)(process, job, result);
    IHostMemoryManager *manager = answered(caller, index, good);
    DWORD error = GetLastError();

    if (good && manager && !job && process == GetCurrentProcess())
        *result = show_in_job(caller, manager, *result);
    SetLastError(error);
    return good;
}

BOOL hm_machine_call_job_limits(struct caller *caller, HANDLE job, JOBOBJECTINFOCLASS kind, LPVOID buffer,
                                DWORD size, LPDWORD written)
{
    const unsigned index = HOSTMEM_BRIDGE_JOB_LIMITS;
    DWORD before = GetLastError();
    BOOL good = ORIGINAL(caller, index, job_limits_function)(job, kind, buffer, size, written);
    IHostMemoryManager *manager = answered(caller, index, true);

    if (!manager || job || kind != JobObjectExtendedLimitInformation || !buffer ||
        size != sizeof(JOBOBJECT_EXTENDED_LIMIT_INFORMATION) || !show_job_limits(manager, buffer, good)) {
        if (manager && !good)
            count(&caller->failures[index]);
        return good;
    }
    if (!good)
        SetLastError(before);
    if (written)
        *written = size;
    return TRUE;
}

HANDLE hm_machine_call_low_memory(struct caller *caller, MEMORY_RESOURCE_NOTIFICATION_TYPE type)
{
    const unsigned index = HOSTMEM_BRIDGE_LOW_MEMORY;
    IHostMemoryManager *manager = answered(caller, index, true);
    DWORD error = GetLastError();
    bool ours = manager && type == LowMemoryResourceNotification;
    HANDLE event = ours ? hm_notification_low_event() : ORIGINAL(caller, index, low_memory_function)(type);

    if (manager && !event)
        count(&caller->failures[index]);
    if (ours && event)
        SetLastError(error);
    return event;
}
