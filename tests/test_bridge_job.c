/*
 * The job object that a runtime is shown while it starts under hostmem's own manager: the budget is three quarters of its
 * limit.  What Windows says of real jobs is made up here, because Wine knows no limits of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/bridge_host.h"
#include "support/bridge_machine.h"
#include "support/verified.h"

#define MIB    ((uint64_t)1 << 20)
#define MARKER 0x1234567u /* a last error that nobody sets */

static struct fake_runtime *fake, *collector;
static hostmem_manager *manager;
static IHostMemoryManager *memory;
static const struct fake_calls *both[2];

/* The job of which three quarters are the limit. */
static uint64_t job_of(uint64_t limit)
{
    return limit + (limit + 2) / 3;
}

static void set_limit(uint64_t limit, uint64_t task_limit)
{
    hostmem_limits limits = {.size = sizeof limits, .limit = limit, .task_limit = task_limit};

    assert_int_equal(hostmem_set_limits(manager, &limits), S_OK);
}

static int group_setup(void **state)
{
    hostmem_limits limits = {.size = sizeof limits, .limit = 200 * MIB, .task_limit = 160 * MIB};
    hostmem_options options = {.size = sizeof options, .limits = &limits};
    HMODULE module, library;
    IHostControl *control;

    (void)state;
    fake = machine_load(L"fake_coreclr_9.dll", &module);
    collector = machine_load(L"fake_gc.dll", &library);
    if (!fake || !collector || hostmem_create(&options, &manager) != S_OK ||
        hostmem_get_memory_manager(manager, &memory) != S_OK ||
        hostmem_create_host_control(manager, NULL, &control) != S_OK ||
        hostmem_bridge_bind(module, control, NULL) != S_OK)
        return 1;
    both[0] = &fake->calls;
    both[1] = &collector->calls;
    return fake->calls.load(bridge_beside(L"fake_gc.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH) != library;
}

static int group_teardown(void **state)
{
    (void)state;
    return !verified(manager);
}

static int each_setup(void **state)
{
    (void)state;
    machine_reset();
    set_limit(200 * MIB, 160 * MIB);
    SetLastError(MARKER);
    return 0;
}

static BOOL ask_in_job(const struct fake_calls *calls, HANDLE process, HANDLE job)
{
    BOOL result = 77;

    SetLastError(MARKER);
    assert_true(calls->in_job(process, job, &result));
    assert_int_equal(GetLastError(), MARKER);
    assert_ptr_equal(machine.asked_process, process);
    assert_ptr_equal(machine.asked_job, job);
    assert_true(result == TRUE || result == FALSE);
    return result;
}

/* The answer of the class that the collector asks for, after it has asked whether there is a job. */
static JOBOBJECT_EXTENDED_LIMIT_INFORMATION ask_limits(const struct fake_calls *calls)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;
    DWORD written = 0;

    assert_true(ask_in_job(calls, GetCurrentProcess(), NULL));
    memset(&limits, 0x55, sizeof limits);
    SetLastError(MARKER);
    assert_true(calls->job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, &written));
    assert_int_equal(GetLastError(), MARKER);
    assert_int_equal(written, sizeof limits);
    assert_true(limits.BasicLimitInformation.LimitFlags & JOB_OBJECT_LIMIT_PROCESS_MEMORY);
    return limits;
}

static void in_a_job(void **state)
{
    HANDLE other = OpenProcess(PROCESS_ALL_ACCESS, FALSE, GetCurrentProcessId());
    HANDLE job = CreateJobObjectW(NULL, NULL);

    (void)state;
    assert_true(other && job);
    for (unsigned i = 0; i < 2; ++i) {
        set_limit(200 * MIB, 0);
        machine.in_job = FALSE;
        assert_true(ask_in_job(both[i], GetCurrentProcess(), NULL));
        assert_false(ask_in_job(both[i], GetCurrentProcess(), job));
        assert_false(ask_in_job(both[i], other, NULL));
        machine.in_job = TRUE;
        assert_true(ask_in_job(both[i], GetCurrentProcess(), NULL));
        assert_true(ask_in_job(both[i], other, NULL));

        /* a budget without a limit is no job */
        set_limit(HOSTMEM_UNLIMITED, 0);
        assert_true(ask_in_job(both[i], GetCurrentProcess(), NULL));
        machine.in_job = FALSE;
        assert_false(ask_in_job(both[i], GetCurrentProcess(), NULL));

        /* nor is one with a job that would be more than the machine has, of which the collector takes no more */
        set_limit(6144 * MIB, 0);
        assert_true(ask_in_job(both[i], GetCurrentProcess(), NULL));
        set_limit(6144 * MIB + 1, 0);
        assert_false(ask_in_job(both[i], GetCurrentProcess(), NULL));
        set_limit(200 * MIB, 0);
        machine.memory.ullTotalPhys = 200 * MIB;
        assert_false(ask_in_job(both[i], GetCurrentProcess(), NULL));
        machine_reset();
    }
    CloseHandle(job);
    CloseHandle(other);
}

static void the_limit_is_the_budget(void **state)
{
    const JOBOBJECT_EXTENDED_LIMIT_INFORMATION none = {0};
    static const struct {
        uint64_t limit, task_limit, told;
    } rows[] = {
        {200 * MIB, 160 * MIB, 160 * MIB},
        {80 * MIB, 0, 80 * MIB},
        {HOSTMEM_UNLIMITED, 90 * MIB, 90 * MIB},
        {4096 * MIB + 4096, 0, 4096 * MIB + 4096},
        {1, 0, 1},
    };

    (void)state;
    for (unsigned i = 0; i < 2; ++i)
        for (unsigned row = 0; row < sizeof rows / sizeof *rows; ++row) {
            machine_reset();
            set_limit(rows[row].limit, rows[row].task_limit);
            JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = ask_limits(both[i]), expected = none;
            expected.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_PROCESS_MEMORY;
            const uint64_t told = job_of(rows[row].told);
            expected.ProcessMemoryLimit = told < SIZE_MAX ? (SIZE_T)told : SIZE_MAX;
            assert_memory_equal(&limits, &expected, sizeof limits);

            /* in a real job its other limits stay, and a tighter one counts */
            machine.answers_job = TRUE;
            machine.job.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_WORKINGSET;
            machine.job.BasicLimitInformation.MaximumWorkingSetSize = 7 << 20;
            machine.job.PeakJobMemoryUsed = 99;
            limits = ask_limits(both[i]);
            JOBOBJECT_EXTENDED_LIMIT_INFORMATION real = machine.job;
            real.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_PROCESS_MEMORY;
            real.ProcessMemoryLimit = expected.ProcessMemoryLimit;
            assert_memory_equal(&limits, &real, sizeof limits);
            machine.job.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_PROCESS_MEMORY;
            machine.job.ProcessMemoryLimit = 50 << 20;
            limits = ask_limits(both[i]);
            assert_true(limits.ProcessMemoryLimit ==
                        (expected.ProcessMemoryLimit < (50 << 20) ? expected.ProcessMemoryLimit : 50 << 20));
        }

    /* no word of how much was written is fine, too */
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;
    machine_reset();
    assert_true(
        fake->calls.job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL));
    assert_int_equal(bridge_statistics().calls[HOSTMEM_BRIDGE_RUNTIME][HOSTMEM_BRIDGE_IN_JOB].calls,
                     bridge_statistics().calls[HOSTMEM_BRIDGE_COLLECTOR][HOSTMEM_BRIDGE_IN_JOB].calls);
}

/* Whatever a collector does not ask for gets Windows' own answer, and its error. */
static void other_questions(void **state)
{
    HANDLE job = CreateJobObjectW(NULL, NULL);
    const struct {
        HANDLE job;
        JOBOBJECTINFOCLASS kind;
        DWORD size;
        BOOL buffer;
    } rows[] = {
        {job, JobObjectExtendedLimitInformation, sizeof(JOBOBJECT_EXTENDED_LIMIT_INFORMATION), TRUE},
        {NULL, JobObjectBasicLimitInformation, sizeof(JOBOBJECT_EXTENDED_LIMIT_INFORMATION), TRUE},
        {NULL, JobObjectExtendedLimitInformation, sizeof(JOBOBJECT_EXTENDED_LIMIT_INFORMATION) - 1, TRUE},
        {NULL, JobObjectExtendedLimitInformation, sizeof(JOBOBJECT_EXTENDED_LIMIT_INFORMATION) + 8, TRUE},
        {NULL, JobObjectExtendedLimitInformation, 0, TRUE},
        {NULL, JobObjectExtendedLimitInformation, sizeof(JOBOBJECT_EXTENDED_LIMIT_INFORMATION), FALSE},
    };
    unsigned char buffer[sizeof(JOBOBJECT_EXTENDED_LIMIT_INFORMATION) + 8], before[sizeof buffer];

    (void)state;
    for (unsigned i = 0; i < 2; ++i)
        for (unsigned row = 0; row < sizeof rows / sizeof *rows; ++row) {
            DWORD written = 99;

            machine_reset();
            memset(buffer, 0x55, sizeof buffer);
            memcpy(before, buffer, sizeof buffer);
            SetLastError(MARKER);
            assert_false(both[i]->job_limits(rows[row].job, rows[row].kind, rows[row].buffer ? buffer : NULL,
                                             rows[row].size, &written));
            assert_int_equal(GetLastError(), ERROR_ACCESS_DENIED);
            assert_int_equal(machine.asked, 1);
            assert_ptr_equal(machine.asked_job, rows[row].job);
            assert_int_equal(machine.asked_kind, rows[row].kind);
            assert_int_equal(machine.asked_size, rows[row].size);
            assert_int_equal(written, 99);
            assert_memory_equal(buffer, before, sizeof buffer);
        }
    CloseHandle(job);

    /* nor are these in a budget without a limit */
    set_limit(HOSTMEM_UNLIMITED, 0);
    machine_reset();
    assert_false(fake->calls.job_limits(NULL, JobObjectExtendedLimitInformation, buffer,
                                        sizeof(JOBOBJECT_EXTENDED_LIMIT_INFORMATION), NULL));
    assert_int_equal(GetLastError(), ERROR_ACCESS_DENIED);
    assert_true(machine_working_set(&fake->calls, GetCurrentProcess()) == machine.process.WorkingSetSize);
}

/* The working set in percent of the job's limit is the manager's load, or what is not available of its own. */
static void working_set(void **state)
{
    static const uint64_t in_use[] = {0, 1 * MIB, 40 * MIB, 80 * MIB, 99 * MIB, 100 * MIB};

    (void)state;
    set_limit(100 * MIB, 0);
    for (unsigned i = 0; i < 2; ++i)
        for (unsigned row = 0; row < sizeof in_use / sizeof *in_use; ++row) {
            SIZE_T bytes = (SIZE_T)in_use[row], available, available_after, seen;
            DWORD load, load_after;
            LPVOID block = NULL;

            if (bytes)
                block = both[i]->alloc(NULL, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
            assert_true(block || !bytes);
            machine_memory(both[i]);
            ask_limits(both[i]);
            unsigned attempts = 0;
            do { /* the machine's own part of the load moves */
                assert_int_equal(IHostMemoryManager_GetMemoryLoad(memory, &load, &available), S_OK);
                seen = machine_working_set(both[i], GetCurrentProcess());
                assert_int_equal(IHostMemoryManager_GetMemoryLoad(memory, &load_after, &available_after),
                                 S_OK);
            } while ((load != load_after || available != available_after) && ++attempts < 1000);
            const double by_load = load / 100.0, by_rest = (double)(100 * MIB - available) / (100 * MIB);
            const double percent = (by_load > by_rest ? by_load : by_rest) * 100;
            const double seen_percent = (double)seen * 100 / (double)job_of(100 * MIB);
            assert_true(seen_percent > percent - 0.01 && seen_percent < percent + 0.01);
            assert_true(seen_percent >= (double)bytes / MIB - 0.01 && seen_percent < 100.01);

            HANDLE other = OpenProcess(PROCESS_ALL_ACCESS, FALSE, GetCurrentProcessId());
            assert_true(machine_working_set(both[i], other) == machine.process.WorkingSetSize);
            CloseHandle(other);
            if (block)
                assert_true(both[i]->free(block, 0, MEM_RELEASE));
        }
}

/* The machine is as big as the job. */
static void the_machine(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; ++i) {
        set_limit(60 * MIB, 0);
        assert_true(machine_memory(both[i]).ullTotalPhys == job_of(60 * MIB));
        set_limit(HOSTMEM_UNLIMITED, 0);
        assert_true(machine_memory(both[i]).ullTotalPhys == machine.memory.ullTotalPhys);
        set_limit(7168 * MIB, 0); /* no job is shown */
        assert_true(machine_memory(both[i]).ullTotalPhys == 7168 * MIB);
    }
}

/* From then on the limit is told, and there is no job but Windows' own. */
static void started(void **state)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;

    (void)state;
    fake->gc.present = TRUE;
    fake->started = TRUE;
    LPVOID block =
        fake->calls.alloc(NULL, MIB, MEM_RESERVE, PAGE_READWRITE); /* the start is noticed in a call */
    assert_true(block && fake->calls.free(block, 0, MEM_RELEASE));
    WAIT_UNTIL(fake->gc.refresh_heap == 160 * MIB);
    assert_true(fake->gc.refresh_sees == 160 * MIB);
    for (unsigned i = 0; i < 2; ++i) {
        assert_false(ask_in_job(both[i], GetCurrentProcess(), NULL));
        SetLastError(MARKER);
        assert_false(
            both[i]->job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL));
        assert_int_equal(GetLastError(), ERROR_ACCESS_DENIED);
        assert_true(machine_memory(both[i]).ullTotalPhys == 160 * MIB);
        assert_true(machine_working_set(both[i], GetCurrentProcess()) == machine.process.WorkingSetSize);
    }
    assert_int_equal(fake->gc.wrong, 0);
    assert_int_equal(fake->gc.early, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(in_a_job, each_setup),
        cmocka_unit_test_setup(the_limit_is_the_budget, each_setup),
        cmocka_unit_test_setup(other_questions, each_setup),
        cmocka_unit_test_setup(working_set, each_setup),
        cmocka_unit_test_setup(the_machine, each_setup),
        cmocka_unit_test_setup(started, each_setup),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
