/*
 * The machine that a runtime under hostmem's own manager is shown: as much memory as the budget gives it, pulses of
 * low memory, and a word when the budget changes.  The runtime and the collector are stand-ins, and so is Windows
 * where they ask it.
 *
 * The bind is for good, so the tests run in order: the runtime starts in the middle.
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
#define GIB    ((uint64_t)1 << 30)
#define MARKER 0x1234567u /* a last error that nobody sets */

enum { QUIET_MS = 400 }; /* long enough for what must not happen */

static HMODULE module, collector_module;
static struct fake_runtime *fake, *collector;
static hostmem_manager *manager;
static IHostMemoryManager *memory;
static IHostControl *control;

static void set_limit(uint64_t limit, uint64_t task_limit)
{
    hostmem_limits limits = {.size = sizeof limits, .limit = limit, .task_limit = task_limit, .margin = MIB};

    assert_int_equal(hostmem_set_limits(manager, &limits), S_OK);
}

static hostmem_statistics statistics(void)
{
    hostmem_statistics result = {.size = sizeof result};

    assert_int_equal(hostmem_get_statistics(manager, &result), S_OK);
    return result;
}

static hostmem_bridge_calls counted(hostmem_bridge_module caller, hostmem_bridge_function function)
{
    return bridge_statistics().calls[caller][function];
}

static int group_setup(void **state)
{
    hostmem_limits limits = {.size = sizeof limits, .limit = 24 * MIB};
    hostmem_options options = {.size = sizeof options, .limits = &limits};

    (void)state;
    fake = machine_load(L"fake_coreclr_10.dll", &module);
    collector = machine_load(L"fake_gc.dll", &collector_module);
    return !fake || !collector || hostmem_create(&options, &manager) != S_OK ||
           hostmem_get_memory_manager(manager, &memory) != S_OK ||
           hostmem_create_host_control(manager, NULL, &control) != S_OK;
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
    SetLastError(MARKER);
    return 0;
}

static void before_a_bind(void **state)
{
    const struct fake_calls *calls = &fake->calls;
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;
    MEMORYSTATUSEX status = machine_memory(calls);
    uint64_t counts[3] = {1, 2, 3};
    BOOL result = TRUE;

    (void)state;
    assert_memory_equal(&status, &machine.memory, sizeof status);
    assert_true(machine_working_set(calls, GetCurrentProcess()) == machine.process.WorkingSetSize);
    assert_true(calls->in_job(GetCurrentProcess(), NULL, &result));
    assert_false(result);
    SetLastError(MARKER);
    assert_false(calls->job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL));
    assert_int_equal(GetLastError(), ERROR_ACCESS_DENIED);
    assert_ptr_equal(calls->low_memory(LowMemoryResourceNotification), machine.notification);
    assert_int_equal(machine.asked, 5);
    for (unsigned i = 0; i < HOSTMEM_BRIDGE_FUNCTION_COUNT; ++i)
        assert_int_equal(counted(HOSTMEM_BRIDGE_RUNTIME, i).calls, 0);

    assert_int_equal(hostmem_bridge_get_collections(NULL), E_POINTER);
    assert_int_equal(hostmem_bridge_get_collections(counts), HOST_E_CLRNOTAVAILABLE);
    assert_true(counts[0] == 0 && counts[1] == 0 && counts[2] == 0);
    assert_true(bridge_statistics().started_charged == 0);
}

static void options(void **state)
{
    static const struct {
        uint32_t size, flags;
        HRESULT hr;
    } rows[] = {
        {sizeof(hostmem_bridge_options), 0, S_OK},
        {sizeof(hostmem_bridge_options), HOSTMEM_BRIDGE_KNOWN_ONLY, S_OK},
        {sizeof(hostmem_bridge_options), HOSTMEM_BRIDGE_RUN_UNGOVERNED, S_OK},
        {sizeof(hostmem_bridge_options), HOSTMEM_BRIDGE_HEAP, S_OK},
        {sizeof(hostmem_bridge_options), 0x4, E_INVALIDARG}, /* a hard limit, once */
        {sizeof(hostmem_bridge_options), HOSTMEM_BRIDGE_KNOWN_ONLY | 0x80000000u, E_INVALIDARG},
        {sizeof(hostmem_bridge_options) + 4, HOSTMEM_BRIDGE_KNOWN_ONLY, E_INVALIDARG},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        hostmem_bridge_options wanted = {.size = rows[i].size, .flags = rows[i].flags};
        void *host = NULL;
        HRESULT hr = hostmem_bridge_get_runtime_host(module, &wanted, &IID_ICLRRuntimeHost, &host);
        assert_int_equal(hr, rows[i].hr);
        if (hr == S_OK)
            ICLRRuntimeHost_Release((ICLRRuntimeHost *)host);
        else
            assert_int_equal(hostmem_bridge_bind(module, control, &wanted), rows[i].hr);
    }
    assert_false(bridge_statistics().state & HOSTMEM_BRIDGE_BOUND);
}

/* Load and what is available are the manager's; all else but the total is Windows'. */
static void check_memory(const struct fake_calls *calls, uint64_t total)
{
    for (unsigned attempt = 0;; ++attempt) { /* the machine's own part of the load moves */
        DWORD load, load_after;
        SIZE_T available, available_after;

        assert_int_equal(IHostMemoryManager_GetMemoryLoad(memory, &load, &available), S_OK);
        MEMORYSTATUSEX status = machine_memory(calls), expected = machine.memory;
        assert_int_equal(IHostMemoryManager_GetMemoryLoad(memory, &load_after, &available_after), S_OK);
        if ((load != load_after || available != available_after) && attempt < 1000)
            continue;
        expected.dwMemoryLoad = load;
        expected.ullTotalPhys = total;
        expected.ullAvailPhys = available < total ? available : total;
        assert_memory_equal(&status, &expected, sizeof status);
        return;
    }
}

static void bound(void **state)
{
    HMODULE loaded;
    uint64_t counts[3] = {1, 2, 3};

    (void)state;
    assert_int_equal(hostmem_bridge_bind(module, control, NULL), S_OK);
    loaded = fake->calls.load(bridge_beside(L"fake_gc.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    assert_ptr_equal(loaded, collector_module);
    assert_ptr_equal(bridge_statistics().collector, loaded);

    /* the limit is below what a runtime needs to start at all */
    check_memory(&fake->calls, 32 * MIB);
    check_memory(&collector->calls, 32 * MIB);
    machine.memory.ullTotalPhys = 20 * MIB; /* a smaller machine is what it is */
    check_memory(&fake->calls, 20 * MIB);
    machine_reset();
    set_limit(48 * MIB, 42 * MIB); /* as the job that is shown */
    check_memory(&fake->calls, 56 * MIB);
    set_limit(24 * MIB, 0);

    assert_int_equal(hostmem_bridge_get_collections(counts), HOST_E_CLRNOTAVAILABLE);
    assert_true(counts[0] == 0 && counts[1] == 0 && counts[2] == 0);
}

/* Asked while it starts, CreateDelegate ends a real runtime. */
static void nothing_is_asked_before_the_start(void **state)
{
    ULONGLONG end = GetTickCount64() + QUIET_MS;

    (void)state;
    fake->gc.present = TRUE;
    for (uint64_t limit = 25 * MIB; GetTickCount64() < end; limit ^= MIB) {
        set_limit(limit, 0);
        Sleep(20);
        assert_int_equal(fake->gc.delegates, 0);
    }
    set_limit(24 * MIB, 0);
    assert_true(bridge_statistics().limit_refreshes == 0);
    assert_true(bridge_statistics().started_charged == 0);
}

/* A limit below 32 MiB was not shown at the start, so it is told right after it. */
static void start(void **state)
{
    LPVOID block = fake->calls.alloc(NULL, 3 * MIB, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);

    (void)state;
    assert_non_null(block);
    assert_true(bridge_statistics().started_charged == 0);
    fake->started = TRUE;
    assert_true(bridge_statistics().started_charged == 3 * MIB);
    check_memory(&fake->calls, 24 * MIB);
    assert_true(fake->calls.free(block, 0, MEM_RELEASE));
    assert_true(statistics().charged.now == 0);
    assert_true(bridge_statistics().started_charged == 3 * MIB);

    WAIT_UNTIL(bridge_statistics().limit_refreshes > 0);
    assert_true(fake->gc.refresh_sees == 24 * MIB);
    assert_int_not_equal(fake->gc.refresh_thread, GetCurrentThreadId());
    assert_int_equal(fake->gc.wrong, 0);
    assert_int_equal(fake->gc.early, 0);
}

static void totals(void **state)
{
    static const struct {
        uint64_t machine, limit, task_limit, total;
    } rows[] = {
        {8 * GIB, 512 * MIB, 0, 512 * MIB},
        {8 * GIB, 512 * MIB, 256 * MIB, 256 * MIB},
        {100 * MIB, 512 * MIB, 256 * MIB, 100 * MIB},
        {8 * GIB, HOSTMEM_UNLIMITED, 300 * MIB, 300 * MIB},
        {8 * GIB, HOSTMEM_UNLIMITED, 0, 8 * GIB},
        {MIB, HOSTMEM_UNLIMITED, 0, MIB}, /* never more available than there is */
        {8 * GIB, 1, 0, 1},
    };
    LPVOID block;

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        machine_reset();
        machine.memory.ullTotalPhys = rows[i].machine;
        set_limit(rows[i].limit, rows[i].task_limit);
        check_memory(&fake->calls, rows[i].total);
        check_memory(&collector->calls, rows[i].total);
    }

    /* what is in use is load */
    machine_reset();
    set_limit(100 * MIB, 0);
    block = fake->calls.alloc(NULL, 99 * MIB, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    assert_non_null(block);
    check_memory(&fake->calls, 100 * MIB);
    assert_int_equal(machine_memory(&fake->calls).dwMemoryLoad, 99);
    assert_true(machine_memory(&fake->calls).ullAvailPhys == MIB);
    assert_true(fake->calls.free(block, 0, MEM_RELEASE));
}

static void failures_of_windows(void **state)
{
    const struct fake_calls *both[] = {&fake->calls, &collector->calls};
    MEMORYSTATUSEX status, status_before;
    PROCESS_MEMORY_COUNTERS counters, counters_before;
    BOOL result = 77;

    (void)state;
    machine.fails = TRUE;
    memset(&status, 0x55, sizeof status);
    memset(&counters, 0x55, sizeof counters);
    status_before = status;
    counters_before = counters;
    for (unsigned i = 0; i < 2; ++i) {
        hostmem_bridge_calls before = counted(i, HOSTMEM_BRIDGE_MEMORY_STATUS);
        SetLastError(MARKER);
        assert_false(both[i]->memory_status(&status));
        assert_int_equal(GetLastError(), ERROR_GEN_FAILURE);
        hostmem_bridge_calls after = counted(i, HOSTMEM_BRIDGE_MEMORY_STATUS);
        assert_true(after.calls == before.calls + 1 && after.failures == before.failures + 1);

        before = counted(i, HOSTMEM_BRIDGE_PROCESS_MEMORY);
        SetLastError(MARKER);
        assert_false(both[i]->process_memory(GetCurrentProcess(), &counters, sizeof counters));
        assert_int_equal(GetLastError(), ERROR_GEN_FAILURE);
        after = counted(i, HOSTMEM_BRIDGE_PROCESS_MEMORY);
        assert_true(after.calls == before.calls + 1 && after.failures == before.failures + 1);

        before = counted(i, HOSTMEM_BRIDGE_IN_JOB);
        SetLastError(MARKER);
        assert_false(both[i]->in_job(GetCurrentProcess(), NULL, &result));
        assert_int_equal(GetLastError(), ERROR_GEN_FAILURE);
        after = counted(i, HOSTMEM_BRIDGE_IN_JOB);
        assert_true(after.calls == before.calls + 1 && after.failures == before.failures + 1);
    }
    assert_memory_equal(&status, &status_before, sizeof status);
    assert_memory_equal(&counters, &counters_before, sizeof counters);
    assert_int_equal(result, 77);
    assert_null(fake->calls.low_memory(HighMemoryResourceNotification));
}

/* When it has started, Windows alone tells of jobs; the working set is its as well, but in a job with a limit. */
static void jobs_are_windows(void **state)
{
    const struct fake_calls *both[] = {&fake->calls, &collector->calls};
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;

    (void)state;
    set_limit(100 * MIB, 0);
    for (unsigned i = 0; i < 2; ++i) {
        BOOL result = 77;

        machine_reset();
        machine_memory(both[i]);
        assert_true(both[i]->in_job(GetCurrentProcess(), NULL, &result));
        assert_false(result);
        machine.in_job = TRUE;
        assert_true(both[i]->in_job(GetCurrentProcess(), NULL, &result));
        assert_true(result);
        SetLastError(MARKER);
        assert_false(
            both[i]->job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL));
        assert_int_equal(GetLastError(), ERROR_ACCESS_DENIED);
        assert_true(machine_working_set(both[i], GetCurrentProcess()) == machine.process.WorkingSetSize);

        machine.answers_job = TRUE;
        machine.job.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_PROCESS_MEMORY;
        machine.job.ProcessMemoryLimit = 60 << 20;
        assert_true(
            both[i]->job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL));
        assert_memory_equal(&limits, &machine.job, sizeof limits);
        HANDLE other = OpenProcess(PROCESS_ALL_ACCESS, FALSE, GetCurrentProcessId());
        assert_true(machine_working_set(both[i], other) == machine.process.WorkingSetSize);
        CloseHandle(other);
        /* the collector will make a load of it, in percent of 60 MB */
        assert_true(machine_working_set(both[i], GetCurrentProcess()) <= 60 << 20);
        machine.job.BasicLimitInformation.LimitFlags = 0;
        assert_true(
            both[i]->job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL));
        assert_true(machine_working_set(both[i], GetCurrentProcess()) == machine.process.WorkingSetSize);
    }
}

static void low_memory(void **state)
{
    HANDLE first, second;
    uint64_t calls = counted(HOSTMEM_BRIDGE_RUNTIME, HOSTMEM_BRIDGE_LOW_MEMORY).calls;
    uint64_t low, neutral;

    (void)state;
    assert_int_equal(hostmem_force_pressure(manager, eMemoryAvailableHigh), S_OK);
    WAIT_UNTIL(statistics().pressure == eMemoryAvailableHigh);
    assert_int_equal(hostmem_force_pressure(manager, eMemoryAvailableNeutral), S_OK);
    WAIT_UNTIL(statistics().pressure == eMemoryAvailableNeutral);
    assert_ptr_equal(fake->calls.low_memory(HighMemoryResourceNotification), machine.notification);
    assert_int_equal(machine.asked_kind, HighMemoryResourceNotification);
    SetLastError(MARKER);
    first = fake->calls.low_memory(LowMemoryResourceNotification);
    second = fake->calls.low_memory(LowMemoryResourceNotification);
    assert_int_equal(machine.asked, 1);
    assert_int_equal(GetLastError(), MARKER);
    assert_true(counted(HOSTMEM_BRIDGE_RUNTIME, HOSTMEM_BRIDGE_LOW_MEMORY).calls == calls + 3);
    assert_true(first && second && first != second);
    assert_int_equal(WaitForSingleObject(first, 0), WAIT_TIMEOUT);

    /* one Low, one wait; it comes again after 8 s, not before */
    low = bridge_statistics().notifications[eMemoryAvailableLow];
    assert_int_equal(hostmem_force_pressure(manager, eMemoryAvailableLow), S_OK);
    assert_int_equal(WaitForSingleObject(first, 10000), WAIT_OBJECT_0);
    assert_int_equal(WaitForSingleObject(first, QUIET_MS), WAIT_TIMEOUT);
    assert_int_equal(WaitForSingleObject(second, 0), WAIT_TIMEOUT);
    assert_true(bridge_statistics().notifications[eMemoryAvailableLow] == low + 1);

    /* the handles are the caller's: one may go */
    assert_true(CloseHandle(first));
    neutral = statistics().notifications[eMemoryAvailableNeutral];
    assert_int_equal(hostmem_force_pressure(manager, eMemoryAvailableNeutral), S_OK);
    WAIT_UNTIL(statistics().notifications[eMemoryAvailableNeutral] == neutral + 1);
    assert_int_equal(hostmem_force_pressure(manager, eMemoryAvailableLow), S_OK);
    assert_int_equal(WaitForSingleObject(second, 10000), WAIT_OBJECT_0);

    /* Neutral takes back what nobody has seen */
    assert_int_equal(hostmem_force_pressure(manager, eMemoryAvailableNeutral), S_OK);
    WAIT_UNTIL(statistics().notifications[eMemoryAvailableNeutral] == neutral + 2);
    low = statistics().notifications[eMemoryAvailableLow];
    assert_int_equal(hostmem_force_pressure(manager, eMemoryAvailableLow), S_OK);
    WAIT_UNTIL(statistics().notifications[eMemoryAvailableLow] ==
               low + 1); /* counted when it has been told */
    assert_int_equal(hostmem_force_pressure(manager, eMemoryAvailableNeutral), S_OK);
    WAIT_UNTIL(statistics().notifications[eMemoryAvailableNeutral] == neutral + 3);
    assert_int_equal(WaitForSingleObject(second, 0), WAIT_TIMEOUT);
    assert_true(bridge_statistics().notifications[eMemoryAvailableNeutral] ==
                statistics().notifications[eMemoryAvailableNeutral]);
    assert_true(CloseHandle(second));
}

static void refreshes_have_settled(void)
{
    LONG before;

    do {
        before = fake->gc.refreshes;
        Sleep(QUIET_MS);
    } while (before != fake->gc.refreshes);
}

static void a_change_is_told_once(void **state)
{
    (void)state;
    set_limit(100 * MIB, 0);
    refreshes_have_settled();
    for (unsigned i = 0; i < 3; ++i) {
        LONG before = fake->gc.refreshes;
        set_limit(200 * MIB, (150 + i) * MIB);
        WAIT_UNTIL(fake->gc.refreshes == before + 1);
        assert_true(fake->gc.refresh_sees == (150 + i) * MIB);
        assert_true(fake->gc.refresh_heap == (150 + i) * MIB);
        Sleep(QUIET_MS);
        assert_int_equal(fake->gc.refreshes, before + 1);
    }
    LONG before = fake->gc.refreshes;
    set_limit(300 * MIB, 152 * MIB); /* what the heap may take is the same */
    Sleep(QUIET_MS);
    assert_int_equal(fake->gc.refreshes, before);
    assert_true(bridge_statistics().limit_refreshes == (uint64_t)before);
}

static void a_burst_is_few_refreshes(void **state)
{
    enum { CHANGES = 60 };
    LONG before = fake->gc.refreshes;

    (void)state;
    for (unsigned i = 1; i <= CHANGES; ++i) {
        set_limit(200 * MIB, (100 + i) * MIB);
        Sleep(2);
    }
    refreshes_have_settled();
    assert_true(fake->gc.refreshes > before);
    assert_true(fake->gc.refreshes - before <= CHANGES / 4);
    assert_true(fake->gc.refresh_sees == (100 + CHANGES) * MIB); /* the last word is the last change */
    assert_int_equal(fake->gc.wrong, 0);
    assert_int_equal(fake->gc.early, 0);
}

static void collections(void **state)
{
    uint64_t counts[3] = {1, 2, 3};

    (void)state;
    memcpy(fake->gc.collections, (int[]){40, 7, 2}, sizeof fake->gc.collections);
    fake->gc.answer = (HRESULT)0x80131522;
    assert_int_equal(hostmem_bridge_get_collections(counts), (HRESULT)0x80131522);
    assert_true(counts[0] == 0 && counts[1] == 0 && counts[2] == 0);
    assert_int_equal(hostmem_bridge_get_collections(NULL), E_POINTER);
    fake->gc.answer = S_OK;
    LONG delegates = fake->gc.delegates;
    assert_int_equal(hostmem_bridge_get_collections(counts), S_OK);
    assert_true(counts[0] == 40 && counts[1] == 7 && counts[2] == 2);
    ++fake->gc.collections[0];
    assert_int_equal(hostmem_bridge_get_collections(counts), S_OK);
    assert_true(counts[0] == 41 && counts[1] == 7 && counts[2] == 2);
    assert_int_equal(fake->gc.delegates, delegates + 1); /* a function once got is kept */
}

/* Each is counted by its own name. */
static void each_function_is_counted(void **state)
{
    const struct fake_calls *calls = &fake->calls;
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;
    MEMORY_BASIC_INFORMATION info;
    enum { FUNCTIONS = HOSTMEM_BRIDGE_MALLOC }; /* from there on: test_native_heap */
    uint64_t before[FUNCTIONS];
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 0x10000, NULL);
    DWORD old;
    BOOL result;

    (void)state;
    assert_int_equal(FUNCTIONS, 14);
    for (unsigned i = 0; i < FUNCTIONS; ++i)
        before[i] = counted(HOSTMEM_BRIDGE_RUNTIME, i).calls;
    LPVOID block = calls->alloc(NULL, 0x1000, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    LPVOID other = calls->alloc_numa(GetCurrentProcess(), NULL, 0x1000, MEM_RESERVE, PAGE_READWRITE, 0);
    assert_true(calls->protect(block, 0x1000, PAGE_READONLY, &old));
    assert_int_equal(calls->query(block, &info, sizeof info), sizeof info);
    LPVOID view = calls->map(section, FILE_MAP_WRITE, 0, 0, 0);
    LPVOID second = calls->map_at(section, FILE_MAP_WRITE, 0, 0, 0, NULL);
    HMODULE version = calls->load(L"version.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    machine_memory(calls);
    machine_working_set(calls, GetCurrentProcess());
    assert_true(calls->in_job(GetCurrentProcess(), NULL, &result));
    assert_false(calls->job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL));
    HANDLE event = calls->low_memory(LowMemoryResourceNotification);
    assert_true(block && other && view && second && version && event);
    assert_true(calls->free(block, 0, MEM_RELEASE));
    assert_true(calls->unmap(view));
    for (unsigned i = 0; i < FUNCTIONS; ++i)
        assert_true(counted(HOSTMEM_BRIDGE_RUNTIME, i).calls == before[i] + 1);
    assert_true(calls->free(other, 0, MEM_RELEASE));
    assert_true(calls->unmap(second));
    CloseHandle(section);
    CloseHandle(event);
    FreeLibrary(version);
}

/* A collector with the host's limit for its own hears of high load only when next to nothing is left of it. */
static void high_load(void **state)
{
    static const struct {
        uint64_t used;
        DWORD told, to_the_collector_of_a_busy_machine;
    } rows[] = {{89, 89, 89}, {90, 89, 90}, {97, 89, 97}, {98, 98, 98}, {100, 100, 100}};
    const struct fake_calls *calls = &fake->calls;
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;
    BOOL in_job;

    (void)state;
    set_limit(100 * MIB, 0);
    WAIT_UNTIL(fake->gc.refresh_sees == 100 * MIB);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        LPVOID block = calls->alloc(NULL, rows[i].used * MIB, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
        assert_non_null(block);
        WAIT_UNTIL(machine_memory(calls).dwMemoryLoad == rows[i].told);
        assert_true(machine_memory(calls).ullAvailPhys == (100 - rows[i].used) * MIB);

        machine.memory.dwMemoryLoad = 91;
        assert_int_equal(machine_memory(calls).dwMemoryLoad, rows[i].to_the_collector_of_a_busy_machine);
        machine_reset();

        machine.in_job = machine.answers_job = TRUE; /* a real one, of which our limit is a part */
        machine.job.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_PROCESS_MEMORY;
        machine.job.ProcessMemoryLimit = 200 << 20;
        assert_true(calls->in_job(GetCurrentProcess(), NULL, &in_job));
        assert_true(calls->job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL));
        assert_int_equal(machine_memory(calls).dwMemoryLoad, rows[i].used);
        machine_reset();
        assert_true(calls->in_job(GetCurrentProcess(), NULL, &in_job));

        assert_true(calls->free(block, 0, MEM_RELEASE));
    }

    /* One that has not taken the limit: what it knows of it is the load. */
    fake->gc.committed = 60 * MIB;
    set_limit(50 * MIB, 0);
    WAIT_UNTIL(fake->gc.refresh_sees == 50 * MIB);
    LPVOID block = calls->alloc(NULL, 47 * MIB, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    assert_non_null(block);
    assert_int_equal(machine_memory(calls).dwMemoryLoad, 94);
    fake->gc.committed = 0;
    WAIT_UNTIL(machine_memory(calls).dwMemoryLoad == 89);
    assert_true(calls->free(block, 0, MEM_RELEASE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(before_a_bind, each_setup),
        cmocka_unit_test_setup(options, each_setup),
        cmocka_unit_test_setup(bound, each_setup),
        cmocka_unit_test_setup(nothing_is_asked_before_the_start, each_setup),
        cmocka_unit_test_setup(start, each_setup),
        cmocka_unit_test_setup(totals, each_setup),
        cmocka_unit_test_setup(failures_of_windows, each_setup),
        cmocka_unit_test_setup(jobs_are_windows, each_setup),
        cmocka_unit_test_setup(low_memory, each_setup),
        cmocka_unit_test_setup(a_change_is_told_once, each_setup),
        cmocka_unit_test_setup(a_burst_is_few_refreshes, each_setup),
        cmocka_unit_test_setup(collections, each_setup),
        cmocka_unit_test_setup(each_function_is_counted, each_setup),
        cmocka_unit_test_setup(high_load, each_setup),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
