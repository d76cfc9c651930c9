/* A Windows that says what a test wants; see the header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/bridge_host.h"
#include "support/bridge_machine.h"

enum { MARKER = 0x1234567 };

struct machine machine;

static BOOL answer(void)
{
    ++machine.asked;
    if (machine.fails)
        SetLastError(machine.error);
    return !machine.fails;
}

static BOOL WINAPI memory_status(LPMEMORYSTATUSEX status)
{
    if (!answer())
        return FALSE;
    *status = machine.memory;
    return TRUE;
}

static BOOL WINAPI process_memory(HANDLE process, PROCESS_MEMORY_COUNTERS *counters, DWORD size)
{
    machine.asked_process = process;
    machine.asked_size = size;
    if (!answer())
        return FALSE;
    *counters = machine.process;
    return TRUE;
}

static BOOL WINAPI in_job(HANDLE process, HANDLE job, PBOOL result)
{
    machine.asked_process = process;
    machine.asked_job = job;
    if (!answer())
        return FALSE;
    *result = machine.in_job;
    return TRUE;
}

static BOOL WINAPI job_limits(HANDLE job, JOBOBJECTINFOCLASS kind, LPVOID buffer, DWORD size, LPDWORD written)
{
    machine.asked_job = job;
    machine.asked_kind = kind;
    machine.asked_size = size;
    if (!answer())
        return FALSE;
    if (!machine.answers_job || !buffer || size < sizeof machine.job) {
        SetLastError(machine.answers_job ? ERROR_BAD_LENGTH : ERROR_ACCESS_DENIED);
        return FALSE;
    }
    memcpy(buffer, &machine.job, sizeof machine.job);
    if (written)
        *written = sizeof machine.job;
    return TRUE;
}

static HANDLE WINAPI low_memory(MEMORY_RESOURCE_NOTIFICATION_TYPE type)
{
    machine.asked_kind = type;
    return answer() ? machine.notification : NULL;
}

void machine_reset(void)
{
    memset(&machine, 0, sizeof machine);
    machine.error = ERROR_GEN_FAILURE;
    machine.memory = (MEMORYSTATUSEX){
        .dwLength = sizeof machine.memory,
        .dwMemoryLoad = 3,
        .ullTotalPhys = (ULONGLONG)8 << 30,
        .ullAvailPhys = (ULONGLONG)5 << 30,
        .ullTotalPageFile = (ULONGLONG)16 << 30,
        .ullAvailPageFile = (ULONGLONG)11 << 30,
        .ullTotalVirtual = (ULONGLONG)1 << 46,
        .ullAvailVirtual = (ULONGLONG)1 << 45,
        .ullAvailExtendedVirtual = 7,
    };
    machine.process = (PROCESS_MEMORY_COUNTERS){
        .cb = sizeof machine.process,
        .PageFaultCount = 11,
        .PeakWorkingSetSize = 1300 << 16,
        .WorkingSetSize = 1200 << 16,
        .QuotaPeakPagedPoolUsage = 12,
        .QuotaPagedPoolUsage = 13,
        .QuotaPeakNonPagedPoolUsage = 14,
        .QuotaNonPagedPoolUsage = 15,
        .PagefileUsage = 1500 << 16,
        .PeakPagefileUsage = 1600 << 16,
    };
    machine.notification = (HANDLE)(ULONG_PTR)0x1234;
}

struct fake_runtime *machine_load(const wchar_t *name, HMODULE *module)
{
    static const struct {
        const char *name;
        void *hook;
        BOOL collectors; /* import it as well */
    } hooks[] = {
        {"GlobalMemoryStatusEx", (void *)memory_status, TRUE},
        {"K32GetProcessMemoryInfo", (void *)process_memory, TRUE},
        {"IsProcessInJob", (void *)in_job, TRUE},
        {"QueryInformationJobObject", (void *)job_limits, TRUE},
        {"CreateMemoryResourceNotification", (void *)low_memory, FALSE},
    };

    *module = LoadLibraryExW(bridge_beside(name), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    if (!*module)
        return NULL;
    struct fake_runtime *fake = ((fake_runtime_get)(void *)GetProcAddress(*module, "fake_runtime_state"))();
    for (unsigned i = 0; i < sizeof hooks / sizeof *hooks; ++i)
        if ((hooks[i].collectors || fake->calls.low_memory) &&
            !bridge_hook(*module, hooks[i].name, hooks[i].hook))
            return NULL;
    return fake;
}

MEMORYSTATUSEX machine_memory(const struct fake_calls *calls)
{
    MEMORYSTATUSEX status = {.dwLength = sizeof status};

    SetLastError(MARKER);
    assert_true(calls->memory_status(&status));
    assert_int_equal(GetLastError(), MARKER);
    return status;
}

SIZE_T machine_working_set(const struct fake_calls *calls, HANDLE process)
{
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof counters}, expected = machine.process;

    SetLastError(MARKER);
    assert_true(calls->process_memory(process, &counters, sizeof counters));
    assert_int_equal(GetLastError(), MARKER);
    assert_ptr_equal(machine.asked_process, process);
    assert_int_equal(machine.asked_size, sizeof counters);
    expected.WorkingSetSize = counters.WorkingSetSize;
    assert_memory_equal(&counters, &expected, sizeof expected);
    return counters.WorkingSetSize;
}
