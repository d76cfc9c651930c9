/*
 * What the collector's hard limit is made, by the kind of collector, by what its program has set, and by the job that the
 * process is in; and what is said to be in force.  Collector and Windows are stand-ins.
 *
 * A bind is for good, so each case is a child process of this program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <wchar.h>

#include <cmocka.h>

#include "support/bridge_child.h"
#include "support/bridge_host.h"
#include "support/bridge_machine.h"
#include "support/verified.h"

#define MIB  ((uint64_t)1 << 20)
#define GIB  ((uint64_t)1 << 30)
#define NONE HOSTMEM_UNLIMITED

enum { GOOD = 77, QUIET_MS = 600 /* more than the bridge waits between refreshes */, CHILD_MS = 60000 };
enum { NOBODY = HOSTMEM_BRIDGE_OF_NOBODY, HOST, PROGRAM, JOB };

static struct fake_runtime *fake;
static hostmem_manager *manager;

static void set_limit(uint64_t limit, uint64_t heap_limit)
{
    hostmem_limits limits = {
        .size = sizeof limits, .limit = limit, .heap_limit = heap_limit, .margin = 16 * MIB};

    assert_int_equal(hostmem_set_limits(manager, &limits), S_OK);
}

static hostmem_bridge_collector_limit said(void)
{
    return bridge_statistics().collector_limit;
}

/* As a collector does when it starts; `limit`: what it makes of it. */
static void start(ULONGLONG limit)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;
    BOOL in_job = FALSE;

    assert_true(fake->calls.in_job(GetCurrentProcess(), NULL, &in_job));
    if (in_job)
        fake->calls.job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL);
    machine_memory(&fake->calls);
    fake->gc.start_limit = limit;
    fake->gc.present = TRUE;
    assert_int_equal(said().known, 0);
    assert_true(said().hard_limit == NONE && said().pending == NONE);
    fake->started = TRUE;
    WAIT_UNTIL(said().known == 1);
}

static void says(uint64_t limit, unsigned owner, uint64_t pending)
{
    WAIT_UNTIL(said().hard_limit == limit && said().pending == pending);
    assert_int_equal(said().owner, owner);
    assert_true(limit == NONE || said().available == limit);
}

/* The collector has the host's limit from its start on, keeps up with it, and is as it was without it. */
static void regions(void)
{
    fake->gc.committed = 50 * MIB;
    start(200 * MIB);
    says(200 * MIB, HOST, NONE);
    WAIT_UNTIL(fake->gc.refresh_heap == 200 * MIB && fake->gc.refresh_sees == 200 * MIB);
    assert_int_equal(fake->gc.probes, 2); /* what it is, and what is its own */
    assert_int_equal(said().fixed, 0);
    assert_true(said().high_load == 180 * MIB);

    set_limit(300 * MIB, 0);
    WAIT_UNTIL(fake->gc.refresh_heap == 300 * MIB);
    says(300 * MIB, HOST, NONE);
    set_limit(300 * MIB, 90 * MIB);
    WAIT_UNTIL(fake->gc.refresh_heap == 90 * MIB);
    assert_true(fake->gc.refresh_sees == 90 * MIB);
    WAIT_UNTIL(said().high_load == 81 * MIB);

    /* below what its heap is: pending, the one before holds, and it is tried again */
    LONG taken = fake->gc.refreshes;
    set_limit(40 * MIB, 0);
    says(90 * MIB, HOST, 40 * MIB);
    WAIT_UNTIL(fake->gc.refreshes > taken); /* the one before, for the size of the machine */
    assert_true(fake->gc.refresh_heap == 90 * MIB && fake->gc.refresh_sees == 40 * MIB);
    assert_true(bridge_statistics().limit_refreshes == 3);
    fake->gc.committed = 30 * MIB;
    says(40 * MIB, HOST, NONE);
    assert_true(bridge_statistics().limit_refreshes == 4);

    set_limit(NONE, 0);
    says(NONE, NOBODY, NONE);
    assert_true(fake->gc.refresh_heap == 0 && fake->gc.refresh_sees == 8 * GIB);
    assert_true(said().available == 8 * GIB);
    assert_int_equal(fake->gc.probes, 2);
}

/* The least of the host's and the program's own; taken away, the program's own is back. */
static void own_limit(void)
{
    fake->gc.settings.limit = 100 * MIB;
    start(0);
    says(100 * MIB, PROGRAM, NONE);
    WAIT_UNTIL(bridge_statistics().limit_refreshes == 1);
    assert_true(fake->gc.refresh_heap == 100 * MIB);
    set_limit(60 * MIB, 0);
    says(60 * MIB, HOST, NONE);
    set_limit(500 * MIB, 0);
    says(100 * MIB, PROGRAM, NONE);
    set_limit(NONE, 0);
    Sleep(QUIET_MS);
    says(100 * MIB, PROGRAM, NONE);
    assert_true(fake->gc.refresh_heap == 100 * MIB);
}

/* The same figure twice: whose it is, is known all the same. */
static void own_limit_is_the_hosts(void)
{
    fake->gc.settings.limit = 200 * MIB;
    start(200 * MIB);
    WAIT_UNTIL(bridge_statistics().limit_refreshes == 1);
    set_limit(300 * MIB, 0);
    Sleep(QUIET_MS);
    assert_true(fake->gc.refresh_heap == 200 * MIB);
    says(200 * MIB, PROGRAM, NONE);
}

/* Of the machine that is shown. */
static void own_percent(void)
{
    fake->gc.settings.percent = 50;
    start(133 * MIB);
    says(100 * MIB, PROGRAM, NONE);
    set_limit(400 * MIB, 0);
    says(200 * MIB, PROGRAM, NONE);
    assert_true(fake->gc.refresh_heap == 200 * MIB);
    set_limit(NONE, 0);
    says(4 * GIB, PROGRAM, NONE);
    assert_true(fake->gc.refresh_heap == 0); /* from here it is the collector's to compute */
}

/* Segments: 0, and nothing happens. */
static void it_ignores(void)
{
    fake->gc.ignores = TRUE;
    start(200 * MIB);
    WAIT_UNTIL(said().fixed == 1);
    says(200 * MIB, HOST, NONE);
    LONG ignored = fake->gc.ignored;
    set_limit(90 * MIB, 0);
    says(200 * MIB, HOST, 90 * MIB);
    WAIT_UNTIL(fake->gc.ignored > ignored);
    assert_true(fake->gc.refresh_sees == 90 * MIB);
    assert_int_equal(said().beyond_start, 0);
    set_limit(300 * MIB, 0);
    WAIT_UNTIL(said().beyond_start == 1);
    says(200 * MIB, HOST, NONE);
    set_limit(NONE, 0);
    Sleep(QUIET_MS);
    says(200 * MIB, HOST, NONE);
    assert_true(bridge_statistics().limit_refreshes == 0);
    assert_int_equal(fake->gc.refreshes, 0);
}

static void left_alone(struct fake_settings settings, uint64_t limit, uint64_t lower)
{
    fake->gc.settings = settings;
    fake->gc.committed = 10 * MIB;
    start(limit);
    WAIT_UNTIL(said().fixed == 1);
    says(limit, PROGRAM, lower);
    set_limit(50 * MIB, 0);
    says(limit, PROGRAM, 50 * MIB);
    set_limit(NONE, 0);
    says(limit, PROGRAM, NONE);
    assert_int_equal(fake->gc.probes, 0);
    assert_true(bridge_statistics().limit_refreshes == 0);
    assert_int_equal(said().beyond_start, 0);
}

static void limits_of_single_heaps(void)
{
    left_alone((struct fake_settings){.soh = 200 * MIB, .loh = 100 * MIB}, 300 * MIB, 200 * MIB);
}

static void own_physical_memory(void)
{
    left_alone((struct fake_settings){.physical = 400 * MIB}, 300 * MIB, 200 * MIB);
    assert_true(said().high_load == 360 * MIB);
}

/* The host comes later. */
static void unlimited(void)
{
    fake->gc.settings.limit = 100 * MIB;
    fake->gc.settings.high_percent = 70;
    start(0);
    Sleep(QUIET_MS);
    says(100 * MIB, PROGRAM, NONE);
    assert_true(said().high_load == 8 * GIB / 100 * 70 + 8 * GIB % 100 * 70 / 100);
    assert_int_equal(fake->gc.refreshes + fake->gc.probes + fake->gc.ignored, 0);
    set_limit(60 * MIB, 0);
    says(60 * MIB, HOST, NONE);
    set_limit(NONE, 0);
    says(100 * MIB, PROGRAM, NONE);
    assert_true(fake->gc.refresh_heap == 100 * MIB);
}

/* Three quarters of the real one. */
static void in_a_job(void)
{
    machine.in_job = machine.answers_job = TRUE;
    machine.job.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_JOB_MEMORY;
    machine.job.JobMemoryLimit = 100 << 20;
    fake->gc.committed = 10 * MIB;
    start(75 * MIB);
    says(75 * MIB, JOB, NONE);
    WAIT_UNTIL(fake->gc.refresh_heap == 75 * MIB);
    set_limit(80 * MIB, 0);
    WAIT_UNTIL(fake->gc.refreshes == 2);
    says(75 * MIB, JOB, NONE);
    set_limit(70 * MIB, 0);
    says(70 * MIB, HOST, NONE);
    set_limit(NONE, 0);
    says(75 * MIB, JOB, NONE);
    assert_true(fake->gc.refresh_heap == 0);
}

/* The heap has address space for five times its limit, and no more. */
static void raised_too_far(void)
{
    LPVOID heap = fake->calls.alloc(NULL, 1000 * MIB, MEM_RESERVE, PAGE_READWRITE);
    LPVOID table = fake->calls.alloc(NULL, 4 * MIB, MEM_RESERVE, PAGE_READWRITE);

    assert_true(heap && table && fake->calls.alloc(table, 4096, MEM_COMMIT, PAGE_READWRITE));
    assert_true(bridge_statistics().heap_reserved == 1000 * MIB);
    start(200 * MIB);
    set_limit(1000 * MIB, 0);
    says(1000 * MIB, HOST, NONE);
    assert_int_equal(said().beyond_start, 0);
    set_limit(1001 * MIB, 0);
    says(1001 * MIB, HOST, NONE);
    WAIT_UNTIL(said().beyond_start == 1);
    set_limit(200 * MIB, 0);
    says(200 * MIB, HOST, NONE);
    assert_int_equal(said().beyond_start, 1); /* once is enough */
}

/* Of a trimmed program nothing says what it has set: its limit stays, and only the machine is read again. */
static void settings_trimmed_away(void)
{
    fake->gc.gone[0] = L"_EnumerateConfigurationValues";
    fake->gc.settings.limit = 100 * MIB;
    fake->gc.present = TRUE;
    machine_memory(&fake->calls);
    fake->started = TRUE;
    assert_int_equal(said().known, 0); /* by which the start is noticed */
    WAIT_UNTIL(fake->gc.refresh_sees == 200 * MIB);
    set_limit(300 * MIB, 0);
    WAIT_UNTIL(fake->gc.refresh_sees == 300 * MIB);
    assert_true(fake->gc.refresh_heap == 100 * MIB);
    assert_int_equal(fake->gc.probes, 0);
    assert_int_equal(said().known, 0);
    assert_true(bridge_statistics().limit_refreshes == 0);
}

static BOOL is_shown_a_job(void)
{
    BOOL in_job = FALSE;

    assert_true(fake->calls.in_job(GetCurrentProcess(), NULL, &in_job));
    return in_job;
}

/* A percentage in the environment, as the collector reads it, is of the limit: no job is shown that is more. */
static void percent_is_set(void)
{
    assert_false(is_shown_a_job());
    assert_true(machine_memory(&fake->calls).ullTotalPhys == 200 * MIB);
}

static void percent_of_a_heap(void)
{
    percent_is_set();
}

static void percent_is_not_set(void)
{
    assert_true(is_shown_a_job());
}

/* 32-bit collectors have none, whatever is set, and no more memory than their address space.  The host's limit is shown to
 * them as the machine's size, and is said to be pending for good. */
static void no_hard_limit(void)
{
    machine.memory.ullTotalVirtual = 2 * GIB;
    fake->gc.ignores = TRUE;
    fake->gc.settings.percent = 50;
    start(0);
    WAIT_UNTIL(said().fixed == 1);
    says(NONE, NOBODY, 200 * MIB);
    WAIT_UNTIL(said().available == 200 * MIB && said().high_load == 180 * MIB);
    set_limit(90 * MIB, 0);
    says(NONE, NOBODY, 90 * MIB);
    WAIT_UNTIL(fake->gc.refresh_sees == 90 * MIB && said().available == 90 * MIB);
    set_limit(NONE, 0);
    says(NONE, NOBODY, NONE);
    WAIT_UNTIL(said().available == 2 * GIB);
    assert_int_equal(said().beyond_start, 0);
    assert_true(bridge_statistics().limit_refreshes == 0);
}

static const struct {
    const wchar_t *name;
    void (*run)(void);
    unsigned bits;              /* of the collector */
    const wchar_t *percents[2]; /* in the environment: DOTNET_, COMPlus_ */
} cases[] = {
    {L"regions", regions, 64, {0}},
    {L"own limit", own_limit, 64, {0}},
    {L"own limit is the host's", own_limit_is_the_hosts, 64, {0}},
    {L"own percent", own_percent, 64, {0}},
    {L"trimmed", settings_trimmed_away, 64, {0}},
    {L"percent", percent_is_set, 64, {L"4B"}},
    {L"percent, the old name", percent_is_set, 64, {NULL, L"0x32"}},
    {L"percent, and a blank", percent_is_set, 64, {L"4B "}},
    {L"percent, of a single heap", percent_of_a_heap, 64, {L"32"}},
    {L"percent, none", percent_is_not_set, 64, {L"64"}},
    {L"percent, no number", percent_is_not_set, 64, {L"half"}},
    {L"percent, the new name first", percent_is_not_set, 64, {L"0", L"32"}},
    {L"it ignores", it_ignores, 64, {0}},
    {L"limits of single heaps", limits_of_single_heaps, 64, {0}},
    {L"own physical memory", own_physical_memory, 64, {0}},
    {L"unlimited", unlimited, 64, {0}},
    {L"in a job", in_a_job, 64, {0}},
    {L"raised too far", raised_too_far, 64, {0}},
    {L"no hard limit", no_hard_limit, 32, {0}},
};

static unsigned chosen;

static void one(void **state)
{
    hostmem_options options = {.size = sizeof options};
    HMODULE module;
    IHostControl *control;

    (void)state;
    fake = machine_load(L"fake_coreclr_10.dll", &module);
    assert_non_null(fake);
    machine_reset();
    assert_int_equal(hostmem_create(&options, &manager), S_OK);
    SetEnvironmentVariableW(cases[chosen].run == percent_of_a_heap ? L"DOTNET_GCHeapHardLimitSOHPercent"
                                                                   : L"DOTNET_GCHeapHardLimitPercent",
                            cases[chosen].percents[0]);
    SetEnvironmentVariableW(L"COMPlus_GCHeapHardLimitPercent", cases[chosen].percents[1]);
    set_limit(cases[chosen].run == unlimited ? NONE : 200 * MIB, 0);
    assert_int_equal(hostmem_create_host_control(manager, NULL, &control), S_OK);
    assert_int_equal(hostmem_bridge_bind(module, control, NULL), S_OK);
    cases[chosen].run();
    assert_int_equal(fake->gc.wrong, 0);
    assert_int_equal(fake->gc.early, 0);
    assert_true(verified(manager));
}

static void all(void **state)
{
    unsigned failed = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; ++i) {
        wchar_t line[16];
        if (sizeof(void *) * 8 != cases[i].bits)
            continue;
        print_message("%ls\n", cases[i].name);
        swprintf(line, sizeof line / sizeof *line, L"%u", i);
        DWORD code = bridge_child(line, CHILD_MS);
        if (code != GOOD)
            print_error("%ls: the child ended with %lu\n", cases[i].name, code);
        failed += code != GOOD;
    }
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all)}, child[] = {cmocka_unit_test(one)};
    int count;
    wchar_t **arguments = CommandLineToArgvW(GetCommandLineW(), &count);

    if (count == 1)
        return cmocka_run_group_tests(tests, NULL, NULL);
    chosen = (unsigned)_wtoi(arguments[1]);
    if (chosen >= sizeof cases / sizeof *cases)
        return 2;
    return cmocka_run_group_tests(child, NULL, NULL) == 0 ? GOOD : 1;
}
