/*
 * The machine that the runtime is shown: Windows' answers, made smaller.
 */
#include <stdatomic.h>

#include "bridge/machine.h"
#include "bridge/managed.h"
#include "bridge/notification.h"
#include "com/manager.h"

typedef BOOL(WINAPI *memory_status_function)(LPMEMORYSTATUSEX);
typedef BOOL(WINAPI *process_memory_function)(HANDLE, PROCESS_MEMORY_COUNTERS *, DWORD);
typedef BOOL(WINAPI *in_job_function)(HANDLE, HANDLE, PBOOL);
typedef BOOL(WINAPI *job_limits_function)(HANDLE, JOBOBJECTINFOCLASS, LPVOID, DWORD, LPDWORD);
typedef HANDLE(WINAPI *low_memory_function)(MEMORY_RESOURCE_NOTIFICATION_TYPE);

static _Atomic uint32_t asked_for; /* HOSTMEM_BRIDGE_... */

/* The limits that the runtime has been told last: what it relates its working set to. */
static _Atomic uint64_t told_total = UINT64_MAX, told_job = UINT64_MAX;

/*
 * .NET 10 reserves twice the machine's memory for the heap, and does not start with much less than twice this.  A
 * smaller budget is shown when it has started.
 */
static const uint64_t least_to_start = (uint64_t)32 << 20;

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void hm_machine_set_flags(uint32_t bridge_flags)
{
    atomic_store_explicit(&asked_for, bridge_flags, memory_order_relaxed);
}

static bool is_set(uint32_t any_of)
{
    return (atomic_load_explicit(&asked_for, memory_order_relaxed) & any_of) != 0;
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

/* The process is to be in a job, whatever Windows says. */
static bool in_job(IHostMemoryManager *manager)
{
    return is_set(HOSTMEM_BRIDGE_JOB) && shown(manager) != UINT64_MAX;
}

/*
 * In a job the collector keeps a quarter of the limit free for what is not heap.  Once it has started it is given all of
 * it: the budget knows how much of it is not heap, and refuses.  One that the host gave it follows the budget.
 */
uint64_t hm_machine_heap_limit(void)
{
    uint64_t limit = shown(atomic_load_explicit(&hm_bridge_manager, memory_order_acquire));

    if (!is_set(HOSTMEM_BRIDGE_JOB | HOSTMEM_BRIDGE_HARD_LIMIT))
        return MANAGED_AS_IT_IS;
    return limit == UINT64_MAX ? 0 : limit;
}

void hm_machine_watch_budget(IHostMemoryManager *manager)
{
    struct hostmem_manager *own = hm_manager_of(manager);
    if (!own)
        return;
    atomic_store(&own->tenant.shown_changed, hm_managed_refresh_limit);
    /* What the start needed to see is not what the collector is to go by. */
    if (shown(manager) < least_to_start || in_job(manager))
        hm_managed_refresh_limit();
}

static void show_memory(IHostMemoryManager *manager, MEMORYSTATUSEX *status)
{
    DWORD load;
    SIZE_T available;

    uint64_t size = shown(manager);
    if (size < least_to_start && !hm_managed_started())
        size = least_to_start;
    status->ullTotalPhys = least(status->ullTotalPhys, size);
    if (IHostMemoryManager_GetMemoryLoad(manager, &load, &available) == S_OK) {
        status->dwMemoryLoad = load;
        status->ullAvailPhys = available > status->ullTotalVirtual ? status->ullAvailVirtual : available;
    }
    status->ullAvailPhys = least(status->ullAvailPhys, status->ullTotalPhys);
    atomic_store_explicit(&told_total, status->ullTotalPhys, memory_order_relaxed);
}

/* The collector makes a load of it, in percent of the limit: it has to be the manager's. */
static void show_process(IHostMemoryManager *manager, PROCESS_MEMORY_COUNTERS *counters)
{
    uint64_t job = atomic_load_explicit(&told_job, memory_order_relaxed);
    uint64_t limit = least(job, atomic_load_explicit(&told_total, memory_order_relaxed));
    DWORD load;
    SIZE_T available;

    if (job == UINT64_MAX || IHostMemoryManager_GetMemoryLoad(manager, &load, &available) != S_OK)
        return;
    uint64_t by_load = limit / 100 * load, by_rest = limit - least(limit, available);
    counters->WorkingSetSize = (SIZE_T)(by_load > by_rest ? by_load : by_rest);
}

/* `answered`: Windows has, and *limits is valid; returns whether it is now. */
static bool show_job_limits(IHostMemoryManager *manager, JOBOBJECT_EXTENDED_LIMIT_INFORMATION *limits,
                            bool answered)
{
    uint64_t told = UINT64_MAX;

    if (in_job(manager)) {
        if (!answered)
            ZeroMemory(limits, sizeof *limits);
        DWORD *flags = &limits->BasicLimitInformation.LimitFlags;
        uint64_t limit = least(shown(manager), SIZE_MAX);
        if (*flags & JOB_OBJECT_LIMIT_PROCESS_MEMORY)
            limit = least(limit, limits->ProcessMemoryLimit);
        limits->ProcessMemoryLimit = (SIZE_T)limit;
        *flags |= JOB_OBJECT_LIMIT_PROCESS_MEMORY;
        answered = true;
    }
    if (answered) {
        DWORD flags = limits->BasicLimitInformation.LimitFlags;
        if (flags & JOB_OBJECT_LIMIT_PROCESS_MEMORY)
            told = least(told, limits->ProcessMemoryLimit);
        if (flags & JOB_OBJECT_LIMIT_JOB_MEMORY)
            told = least(told, limits->JobMemoryLimit);
        if (flags & JOB_OBJECT_LIMIT_WORKINGSET)
            told = least(told, limits->BasicLimitInformation.MaximumWorkingSetSize);
    }
    atomic_store_explicit(&told_job, told, memory_order_relaxed);
    return answered;
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

    if (good && manager && !job && process == GetCurrentProcess() && in_job(manager))
        *result = TRUE;
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
