/*
 * os_win32.c - the real operating system behind os.h and pages.h
 */
#include "memory/os.h"

#include <psapi.h>
#include <stdatomic.h>

#include "maps/pages.h"

void *hm_os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect)
{
    return VirtualAlloc(address, size, type, protect);
}

bool hm_os_virtual_free(void *address, SIZE_T size, DWORD type)
{
    return VirtualFree(address, size, type);
}

bool hm_os_virtual_protect(void *address, SIZE_T size, DWORD protect, DWORD *old)
{
    return VirtualProtect(address, size, protect, old);
}

SIZE_T hm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length)
{
    return VirtualQuery(address, buffer, length);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool hm_os_memory_status(struct os_memory *memory)
{
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    if (!GlobalMemoryStatusEx(&status))
        return false;
    *memory = (struct os_memory){.physical_total = status.ullTotalPhys,
                                 .physical_available = status.ullAvailPhys,
                                 .physical_load = status.dwMemoryLoad,
                                 .job_limit = UINT64_MAX,
                                 .working_set_limit = UINT64_MAX};

    DWORD error = GetLastError();
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION job = {0};
    if (QueryInformationJobObject(NULL, JobObjectExtendedLimitInformation, &job, sizeof job, NULL)) {
        DWORD flags = job.BasicLimitInformation.LimitFlags;
        if (flags & JOB_OBJECT_LIMIT_PROCESS_MEMORY)
            memory->job_limit = least(memory->job_limit, job.ProcessMemoryLimit);
        if (flags & JOB_OBJECT_LIMIT_JOB_MEMORY)
            memory->job_limit = least(memory->job_limit, job.JobMemoryLimit);
        if (flags & JOB_OBJECT_LIMIT_WORKINGSET)
            memory->working_set_limit = job.BasicLimitInformation.MaximumWorkingSetSize;
    }
    if (memory->job_limit != UINT64_MAX || memory->working_set_limit != UINT64_MAX) {
        PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof counters};
        if (K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters)) {
            memory->process_commit = counters.PagefileUsage;
            memory->process_working_set = counters.WorkingSetSize;
        }
    }
    SetLastError(error);
    return true;
}

HANDLE hm_os_heap_create(bool serialize, bool executable)
{
    return HeapCreate((serialize ? 0 : HEAP_NO_SERIALIZE) | (executable ? HEAP_CREATE_ENABLE_EXECUTE : 0), 0,
                      0);
}

void hm_os_heap_destroy(HANDLE heap)
{
    HeapDestroy(heap);
}

void *hm_os_heap_alloc(HANDLE heap, SIZE_T bytes)
{
    /* HEAP_ZERO_MEMORY never reaches a host: the caller may have asked for it (contract 3.5). */
    return HeapAlloc(heap, HEAP_ZERO_MEMORY, bytes);
}

bool hm_os_heap_free(HANDLE heap, void *block)
{
    return HeapFree(heap, 0, block);
}

bool hm_os_heap_lock(HANDLE heap)
{
    return HeapLock(heap);
}

void hm_os_heap_unlock(HANDLE heap)
{
    HeapUnlock(heap);
}

void hm_os_pin_module(void)
{
    HMODULE module;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                       (const wchar_t *)(void *)hm_os_pin_module, &module);
}

bool hm_os_pause(DWORD milliseconds)
{
    Sleep(milliseconds);
    return true;
}

uint64_t hm_os_ticks(void)
{
    return GetTickCount64();
}

/* Windows' events; made once, kept for good.  NULL: there is none, and so never low nor high. */
static HANDLE resource_event(MEMORY_RESOURCE_NOTIFICATION_TYPE type)
{
    static _Atomic(HANDLE) events[2];
    _Atomic(HANDLE) *slot = &events[type == HighMemoryResourceNotification];
    HANDLE event = atomic_load(slot);
    if (event != NULL)
        return event;
    HANDLE made = CreateMemoryResourceNotification(type);
    if (made != NULL && !atomic_compare_exchange_strong(slot, &event, made)) {
        CloseHandle(made);
        made = event;
    }
    return made;
}

static bool resource_is(MEMORY_RESOURCE_NOTIFICATION_TYPE type)
{
    HANDLE event = resource_event(type);
    BOOL state = FALSE;
    return event != NULL && QueryMemoryResourceNotification(event, &state) && state;
}

struct hm_os_resources hm_os_resources(void)
{
    return (struct hm_os_resources){.low = resource_is(LowMemoryResourceNotification),
                                    .high = resource_is(HighMemoryResourceNotification)};
}

HANDLE hm_os_event_create(void)
{
    return CreateEventW(NULL, FALSE, FALSE, NULL);
}

void hm_os_event_set(HANDLE event)
{
    DWORD error = GetLastError();
    SetEvent(event);
    SetLastError(error);
}

void hm_os_wait(HANDLE event, struct hm_os_resources now, DWORD milliseconds)
{
    HANDLE handles[3] = {event};
    DWORD count = 1;
    HANDLE low = now.low ? NULL : resource_event(LowMemoryResourceNotification);
    HANDLE high = now.high ? NULL : resource_event(HighMemoryResourceNotification);
    if (low != NULL)
        handles[count++] = low;
    if (high != NULL)
        handles[count++] = high;
    if (WaitForMultipleObjects(count, handles, FALSE, milliseconds) == WAIT_FAILED)
        Sleep(milliseconds);
}

struct thread_start {
    void (*run)(void);
    HMODULE module;
};

static DWORD WINAPI thread_main(void *argument)
{
    struct thread_start start = *(struct thread_start *)argument;
    HeapFree(GetProcessHeap(), 0, argument);
    start.run();
    FreeLibraryAndExitThread(start.module, 0);
}

HANDLE hm_os_thread_start(void (*run)(void))
{
    struct thread_start *start = HeapAlloc(GetProcessHeap(), 0, sizeof *start);
    if (start == NULL)
        return NULL;
    start->run = run;
    HANDLE thread = NULL;
    if (GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (const wchar_t *)(void *)thread_main,
                           &start->module)) {
        HMODULE module = start->module;
        thread = CreateThread(NULL, 0, thread_main, start, 0, NULL);
        if (thread == NULL)
            FreeLibrary(module);
    }
    if (thread == NULL)
        HeapFree(GetProcessHeap(), 0, start);
    return thread;
}

bool hm_os_thread_ended(HANDLE thread, DWORD milliseconds)
{
    return WaitForSingleObject(thread, milliseconds) == WAIT_OBJECT_0;
}

HANDLE hm_os_mutex_create(void)
{
    return CreateMutexW(NULL, FALSE, NULL);
}

void hm_os_mutex_lock(HANDLE mutex)
{
    WaitForSingleObject(mutex, INFINITE); /* abandoned is as good: what it guards is changed by one store */
}

void hm_os_mutex_unlock(HANDLE mutex)
{
    ReleaseMutex(mutex);
}

void hm_os_close(HANDLE handle)
{
    CloseHandle(handle);
}

/* The metadata's own pages: never ours to account as the CLR's, never in the region map. */

void *hm_pages_reserve(size_t bytes)
{
    return VirtualAlloc(NULL, bytes, MEM_RESERVE, PAGE_READWRITE);
}

bool hm_pages_commit(void *at, size_t bytes)
{
    return VirtualAlloc(at, bytes, MEM_COMMIT, PAGE_READWRITE) != NULL;
}

void hm_pages_release(void *base, size_t bytes)
{
    (void)bytes;
    VirtualFree(base, 0, MEM_RELEASE);
}
