/*
 * os_win32.c - the real operating system behind os.h and pages.h
 */
#include "memory/os.h"

#include <intrin.h>
#include <psapi.h>
#include <stdatomic.h>

#include "maps/least.h"
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
    SetLastError(error);
    return true;
}

void hm_os_process_use(struct os_memory *memory)
{
    DWORD error = GetLastError();
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof counters};
    if (K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters)) {
        memory->process_commit = counters.PagefileUsage;
        memory->process_working_set = counters.WorkingSetSize;
    }
    SetLastError(error);
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

static HMODULE own_module(DWORD flags)
{
    HMODULE module = NULL;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | flags,
                       (const wchar_t *)(void *)hm_os_pin_module, &module);
    return module;
}

void hm_os_pin_module(void)
{
    own_module(GET_MODULE_HANDLE_EX_FLAG_PIN);
}

bool hm_os_module_keep(void)
{
    return own_module(0) != NULL;
}

void hm_os_module_release(void)
{
    FreeLibrary(own_module(GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT));
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

uint64_t hm_os_counter(void)
{
    LARGE_INTEGER counter;
    QueryPerformanceCounter(&counter);
    return (uint64_t)counter.QuadPart;
}

uint64_t hm_os_counter_frequency(void)
{
    LARGE_INTEGER frequency;
    QueryPerformanceFrequency(&frequency);
    return (uint64_t)frequency.QuadPart;
}

/*
 * Does the processor's counter rise evenly, whatever the processor does, and is it the same on all?  The first is said by the
 * processor; the second is known by Windows, whose performance counter is made of it then: at 10 MHz (since Windows 10).
 * Asking is slow where the machine is virtual.
 */
static bool stamps_of_processor(void)
{
    static _Atomic int known; /* 1: it does; -1: it does not */
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == 0) {
        enum { EXTENDED = (int)0x80000000, POWER = (int)0x80000007, EDX = 3, INVARIANT_TSC = 1 << 8 };
        const uint64_t of_processors = 10000000; /* Hz */
        int leaf[4];
        __cpuid(leaf, EXTENDED);
        if ((uint32_t)leaf[0] >= (uint32_t)POWER)
            __cpuid(leaf, POWER);
        else
            leaf[EDX] = 0;
        answer = leaf[EDX] & INVARIANT_TSC && hm_os_counter_frequency() == of_processors ? 1 : -1;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer > 0;
}

uint64_t hm_os_stamp(void)
{
    return stamps_of_processor() ? __rdtsc() : hm_os_counter();
}

static const MEMORY_RESOURCE_NOTIFICATION_TYPE resource_types[2] = {LowMemoryResourceNotification,
                                                                    HighMemoryResourceNotification};

/* Without memory for a notification it is never low, nor high. */
void hm_os_resources_look(struct hm_os_resources *resources)
{
    BOOL state[2] = {FALSE, FALSE};
    for (unsigned i = 0; i < 2; i++) {
        HANDLE *event = &resources->events[i];
        if (*event == NULL)
            *event = CreateMemoryResourceNotification(resource_types[i]);
        if (*event == NULL || !QueryMemoryResourceNotification(*event, &state[i]))
            state[i] = FALSE;
    }
    resources->low = state[0];
    resources->high = state[1];
}

void hm_os_resources_close(struct hm_os_resources *resources)
{
    for (unsigned i = 0; i < 2; i++)
        if (resources->events[i] != NULL)
            CloseHandle(resources->events[i]);
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

void hm_os_wait(HANDLE event, const struct hm_os_resources *now, DWORD milliseconds)
{
    HANDLE handles[3] = {event};
    DWORD count = 1;
    if (!now->low && now->events[0] != NULL)
        handles[count++] = now->events[0];
    if (!now->high && now->events[1] != NULL)
        handles[count++] = now->events[1];
    if (WaitForMultipleObjects(count, handles, FALSE, milliseconds) == WAIT_FAILED)
        Sleep(milliseconds);
}

static DWORD WINAPI thread_main(void *thread)
{
    ((struct hm_os_thread *)thread)->run(thread);
    FreeLibraryAndExitThread(own_module(GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT), 0);
}

bool hm_os_thread_start(struct hm_os_thread *thread)
{
    HANDLE handle = CreateThread(NULL, 0, thread_main, thread, 0, NULL);
    if (handle == NULL)
        return false;
    CloseHandle(handle);
    return true;
}

HANDLE hm_os_mutex_create(void)
{
    return CreateMutexW(NULL, FALSE, NULL);
}

bool hm_os_mutex_lock(HANDLE mutex)
{
    return WaitForSingleObject(mutex, INFINITE) != WAIT_ABANDONED;
}

void hm_os_mutex_unlock(HANDLE mutex)
{
    ReleaseMutex(mutex);
}

HANDLE hm_os_copy(HANDLE handle)
{
    const HANDLE process = GetCurrentProcess();
    HANDLE copy;
    return DuplicateHandle(process, handle, process, &copy, 0, FALSE, DUPLICATE_SAME_ACCESS) ? copy : NULL;
}

void hm_os_close(HANDLE handle)
{
    CloseHandle(handle);
}

HANDLE hm_os_file_create(const wchar_t *path)
{
    HANDLE file = CreateFileW(path, GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_ALWAYS, 0, NULL);
    return file == INVALID_HANDLE_VALUE ? NULL : file;
}

bool hm_os_file_write(HANDLE file, uint64_t offset, const void *bytes, size_t count)
{
    OVERLAPPED at = {.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
    DWORD written;
    return WriteFile(file, bytes, (DWORD)count, &written, &at) && written == count;
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
