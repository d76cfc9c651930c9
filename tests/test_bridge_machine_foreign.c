/*
 * The machine that a runtime under somebody else's manager is shown: load and what is available as its GetMemoryLoad
 * says, everything else as Windows does, because no method tells of a limit; nor is a job shown.  And the pulses of low
 * memory, one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/bridge_host.h"
#include "support/bridge_machine.h"

#define MIB    ((SIZE_T)1 << 20)
#define MARKER 0x1234567u /* a last error that nobody sets */

static struct fake_runtime *fake, *collector;
static struct bridge_host host;
static const struct fake_calls *both[2];

static int group_setup(void **state)
{
    HMODULE module, library;

    (void)state;
    fake = machine_load(L"fake_coreclr_8.dll", &module);
    collector = machine_load(L"fake_gc.dll", &library);
    bridge_host_init(&host);
    if (!fake || !collector || hostmem_bridge_bind(module, &host.control, NULL) != S_OK)
        return 1;
    both[0] = &fake->calls;
    both[1] = &collector->calls;
    return fake->calls.load(bridge_beside(L"fake_gc.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH) != library;
}

static int each_setup(void **state)
{
    (void)state;
    machine_reset();
    host.says_load = TRUE;
    host.load = 61;
    host.available = 123 * MIB;
    host.load_hr = S_OK;
    SetLastError(MARKER);
    return 0;
}

static void load_is_the_hosts(void **state)
{
    static const struct {
        HRESULT hr;
        BOOL used;
    } rows[] = {
        {S_OK, TRUE},
        {S_FALSE, FALSE},
        {E_FAIL, FALSE},
        {E_OUTOFMEMORY, FALSE},
    };

    (void)state;
    for (unsigned i = 0; i < 2; ++i)
        for (unsigned row = 0; row < sizeof rows / sizeof *rows; ++row) {
            host.load_hr = rows[row].hr;
            MEMORYSTATUSEX status = machine_memory(both[i]), expected = machine.memory;
            if (rows[row].used) {
                expected.dwMemoryLoad = 61;
                expected.ullAvailPhys = 123 * MIB;
            }
            assert_memory_equal(&status, &expected, sizeof status);
        }
}

/* A host may say what it likes; more than there is, nobody has. */
static void never_more_available_than_there_is(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; ++i) {
        host.available = SIZE_MAX;
        machine_reset();
        machine.memory.ullTotalPhys = 1000 * MIB;
        machine.memory.ullAvailPhys = 600 * MIB;
        MEMORYSTATUSEX status = machine_memory(both[i]);
        assert_true(status.ullTotalPhys == 1000 * MIB);
        assert_true(status.ullAvailPhys == 1000 * MIB);
        host.available = 0;
        host.load = 100;
        status = machine_memory(both[i]);
        assert_true(status.ullAvailPhys == 0 && status.dwMemoryLoad == 100);
    }
}

static void jobs_are_windows(void **state)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;

    (void)state;
    for (unsigned i = 0; i < 2; ++i) {
        BOOL result = TRUE;

        machine_reset();
        machine_memory(both[i]);
        assert_true(both[i]->in_job(GetCurrentProcess(), NULL, &result));
        assert_false(result);
        SetLastError(MARKER);
        assert_false(
            both[i]->job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL));
        assert_int_equal(GetLastError(), ERROR_ACCESS_DENIED);
        assert_true(machine_working_set(both[i], GetCurrentProcess()) == machine.process.WorkingSetSize);

        /* in a real job the collector relates its working set to the job's limit, and the host knows better */
        machine.answers_job = TRUE;
        machine.job.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_JOB_MEMORY;
        machine.job.JobMemoryLimit = 200 * MIB;
        assert_true(
            both[i]->job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL));
        assert_memory_equal(&limits, &machine.job, sizeof limits);
        host.load = 61;
        host.available = 123 * MIB;
        assert_true(machine_working_set(both[i], GetCurrentProcess()) == 122 * MIB); /* 61 % */
        host.load = 30;
        assert_true(machine_working_set(both[i], GetCurrentProcess()) == 77 * MIB); /* 200 - 123 */
        host.available = 300 * MIB;
        assert_true(machine_working_set(both[i], GetCurrentProcess()) == 60 * MIB);
        host.load_hr = S_FALSE;
        assert_true(machine_working_set(both[i], GetCurrentProcess()) == machine.process.WorkingSetSize);
        host.load_hr = S_OK;
    }
}

/* A collector makes whole percents of its working set, in floats and rounded down: not one less than the load. */
static void load_in_a_job(void **state)
{
    static const DWORD loads[] = {1, 60, 85, 90, 97, 100};

    (void)state;
    machine_reset();
    machine_memory(both[0]);
    machine.answers_job = TRUE;
    machine.job.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_JOB_MEMORY;
    for (uint64_t limit = 50 * MIB; limit < 2000 * MIB; limit += 7 * MIB + 4096)
        for (unsigned i = 0; i < sizeof loads / sizeof *loads; ++i) {
            JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;

            machine.job.JobMemoryLimit = (SIZE_T)limit;
            assert_true(
                both[0]->job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL));
            host.load = loads[i];
            host.available = (SIZE_T)limit;
            const SIZE_T seen = machine_working_set(both[0], GetCurrentProcess());
            assert_int_equal((DWORD)((float)seen * 100.0 / (float)limit), loads[i]);
        }
}

static void tell(EMemoryAvailable level)
{
    SetLastError(MARKER);
    assert_int_equal(ICLRMemoryNotificationCallback_OnMemoryNotification(host.callback, level), S_OK);
    assert_int_equal(GetLastError(), MARKER);
}

static BOOL is_low;

/* Low is over when the event has been made, and before anybody can have it. */
static HANDLE WINAPI over_meanwhile(LPSECURITY_ATTRIBUTES security, BOOL manual, BOOL initial, LPCWSTR name)
{
    HANDLE event = CreateEventExW(
        security, name, (manual ? CREATE_EVENT_MANUAL_RESET : 0) | (initial ? CREATE_EVENT_INITIAL_SET : 0),
        EVENT_ALL_ACCESS);
    if (is_low)
        tell(eMemoryAvailableNeutral);
    is_low = FALSE;
    return event;
}

static void no_pulse_of_a_low_that_is_over(void **state)
{
    (void)state;
    tell(eMemoryAvailableLow);
    is_low = TRUE;
    assert_true(bridge_hook(GetModuleHandleW(NULL), "CreateEventW", (void *)over_meanwhile));
    HANDLE low = fake->calls.low_memory(LowMemoryResourceNotification);
    assert_non_null(low);
    assert_int_equal(WaitForSingleObject(low, 0), WAIT_TIMEOUT);
    assert_true(CloseHandle(low));
}

static void pulses(void **state)
{
    (void)state;
    const hostmem_bridge_statistics before = bridge_statistics();
    tell(eMemoryAvailableLow); /* nobody waits yet */
    HANDLE first = fake->calls.low_memory(LowMemoryResourceNotification);
    HANDLE second = fake->calls.low_memory(LowMemoryResourceNotification);
    assert_true(first && second && first != second);
    assert_int_equal(machine.asked, 0);

    tell(eMemoryAvailableLow);
    assert_int_equal(WaitForSingleObject(first, 0), WAIT_OBJECT_0); /* one of them */
    assert_int_equal(WaitForSingleObject(first, 0), WAIT_TIMEOUT);
    assert_int_equal(WaitForSingleObject(second, 0), WAIT_TIMEOUT);
    tell(eMemoryAvailableLow);
    tell(eMemoryAvailableLow); /* two that nobody saw are one */
    assert_int_equal(WaitForSingleObject(second, 0), WAIT_OBJECT_0);
    assert_int_equal(WaitForSingleObject(second, 0), WAIT_TIMEOUT);
    tell(eMemoryAvailableLow);
    tell(eMemoryAvailableNeutral);
    assert_int_equal(WaitForSingleObject(first, 0), WAIT_TIMEOUT);
    tell(eMemoryAvailableLow);
    tell(eMemoryAvailableHigh);
    assert_int_equal(WaitForSingleObject(first, 0), WAIT_TIMEOUT);
    tell((EMemoryAvailable)77);
    tell((EMemoryAvailable)-1);
    assert_int_equal(WaitForSingleObject(first, 0), WAIT_TIMEOUT);

    assert_true(CloseHandle(first)); /* the caller's, and nobody else's */
    tell(eMemoryAvailableLow);
    assert_int_equal(WaitForSingleObject(second, 0), WAIT_OBJECT_0);
    assert_true(CloseHandle(second));
    tell(eMemoryAvailableLow);
    first = fake->calls.low_memory(LowMemoryResourceNotification);
    assert_int_equal(WaitForSingleObject(first, 0), WAIT_OBJECT_0);
    assert_true(CloseHandle(first));

    const hostmem_bridge_statistics after = bridge_statistics();
    const unsigned told[] = {2, 8, 1, 1};
    for (unsigned level = 0; level < HOSTMEM_BRIDGE_LEVEL_COUNT; ++level)
        assert_true(after.notifications[level] == before.notifications[level] + told[level]);
    assert_true(after.calls[HOSTMEM_BRIDGE_RUNTIME][HOSTMEM_BRIDGE_LOW_MEMORY].calls ==
                before.calls[HOSTMEM_BRIDGE_RUNTIME][HOSTMEM_BRIDGE_LOW_MEMORY].calls + 3);
}

static void no_budget_to_tell_of(void **state)
{
    uint64_t counts[3] = {1, 2, 3};

    (void)state;
    fake->gc.present = TRUE;
    fake->started = TRUE;
    memcpy(fake->gc.collections, (int[]){9, 5, 1}, sizeof fake->gc.collections);
    assert_true(bridge_statistics().started_charged == 0);
    assert_int_equal(hostmem_bridge_get_collections(counts), S_OK);
    assert_true(counts[0] == 9 && counts[1] == 5 && counts[2] == 1);
    Sleep(300);
    assert_int_equal(fake->gc.refreshes, 0);
    assert_true(bridge_statistics().limit_refreshes == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(load_is_the_hosts, each_setup),
        cmocka_unit_test_setup(never_more_available_than_there_is, each_setup),
        cmocka_unit_test_setup(jobs_are_windows, each_setup),
        cmocka_unit_test_setup(load_in_a_job, each_setup),
        cmocka_unit_test_setup(no_pulse_of_a_low_that_is_over, each_setup),
        cmocka_unit_test_setup(pulses, each_setup),
        cmocka_unit_test_setup(no_budget_to_tell_of, each_setup),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
