/*
 * os_win32.c - the real operating system behind os.h and pages.h
 */
#include "memory/os.h"

#include <psapi.h>

#include "maps/pages.h"

void *os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect)
{
    return VirtualAlloc(address, size, type, protect);
}

bool os_virtual_free(void *address, SIZE_T size, DWORD type)
{
    return VirtualFree(address, size, type);
}

bool os_virtual_protect(void *address, SIZE_T size, DWORD protect, DWORD *old)
{
    return VirtualProtect(address, size, protect, old);
}

SIZE_T os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length)
{
    return VirtualQuery(address, buffer, length);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool os_memory_status(struct os_memory *memory)
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

HANDLE os_heap_create(bool serialize, bool executable)
{
    return HeapCreate((serialize ? 0 : HEAP_NO_SERIALIZE) | (executable ? HEAP_CREATE_ENABLE_EXECUTE : 0), 0,
                      0);
}

void os_heap_destroy(HANDLE heap)
{
    HeapDestroy(heap);
}

void *os_heap_alloc(HANDLE heap, SIZE_T bytes)
{
    /* HEAP_ZERO_MEMORY never reaches a host: the caller may have asked for it (contract 3.5). */
    return HeapAlloc(heap, HEAP_ZERO_MEMORY, bytes);
}

bool os_heap_free(HANDLE heap, void *block)
{
    return HeapFree(heap, 0, block);
}

bool os_heap_lock(HANDLE heap)
{
    return HeapLock(heap);
}

void os_heap_unlock(HANDLE heap)
{
    HeapUnlock(heap);
}

void os_pin_module(void)
{
    HMODULE module;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                       (const wchar_t *)(void *)os_pin_module, &module);
}

/* The metadata's own pages: never ours to account as the CLR's, never in the region map. */

void *pages_reserve(size_t bytes)
{
    return VirtualAlloc(NULL, bytes, MEM_RESERVE, PAGE_READWRITE);
}

bool pages_commit(void *at, size_t bytes)
{
    return VirtualAlloc(at, bytes, MEM_COMMIT, PAGE_READWRITE) != NULL;
}

void pages_release(void *base, size_t bytes)
{
    (void)bytes;
    VirtualFree(base, 0, MEM_RELEASE);
}
