/*
 * HOSTMEM_BRIDGE_HARD_LIMIT: the collector was given a hard limit by the host, and keeps up with the budget.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/bridge_host.h"
#include "support/bridge_machine.h"
#include "support/verified.h"

#define MIB ((uint64_t)1 << 20)

enum { QUIET_MS = 600 }; /* more than the bridge waits between refreshes */

static struct fake_runtime *fake;
static hostmem_manager *manager;

static void set_limit(uint64_t limit, uint64_t task_limit, uint64_t margin)
{
    hostmem_limits limits = {
        .size = sizeof limits, .limit = limit, .task_limit = task_limit, .margin = margin};

    assert_int_equal(hostmem_set_limits(manager, &limits), S_OK);
}

static int group_setup(void **state)
{
    hostmem_bridge_options bridge = {.size = sizeof bridge, .flags = HOSTMEM_BRIDGE_HARD_LIMIT};
    hostmem_options options = {.size = sizeof options};
    HMODULE module;
    IHostControl *control;

    (void)state;
    fake = machine_load(L"fake_coreclr_10.dll", &module);
    if (!fake || hostmem_create(&options, &manager) != S_OK)
        return 1;
    machine_reset();
    set_limit(200 * MIB, 0, 16 * MIB);
    return hostmem_create_host_control(manager, NULL, &control) != S_OK ||
           hostmem_bridge_bind(module, control, &bridge) != S_OK;
}

static int group_teardown(void **state)
{
    (void)state;
    return !verified(manager);
}

/* Nothing but the size of the machine. */
static void no_job_is_shown(void **state)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;
    BOOL in_job = TRUE;

    (void)state;
    assert_true(fake->calls.in_job(GetCurrentProcess(), NULL, &in_job));
    assert_false(in_job);
    assert_false(
        fake->calls.job_limits(NULL, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL));
    assert_true(machine_memory(&fake->calls).ullTotalPhys == 200 * MIB);
}

/* What it was given at its start it has; what comes later is told. */
static void a_change_is_told(void **state)
{
    static const struct {
        uint64_t limit, task_limit, heap;
    } rows[] = {
        {200 * MIB, 120 * MIB, 120 * MIB},
        {300 * MIB, 0, 300 * MIB},
        {HOSTMEM_UNLIMITED, 0, 0},
        {100 * MIB, 0, 100 * MIB},
    };

    (void)state;
    fake->gc.present = TRUE;
    fake->started = TRUE;
    Sleep(QUIET_MS);
    assert_int_equal(fake->gc.refreshes, 0);
    for (unsigned row = 0; row < sizeof rows / sizeof *rows; ++row) {
        set_limit(rows[row].limit, rows[row].task_limit, 16 * MIB);
        WAIT_UNTIL(fake->gc.refresh_heap == rows[row].heap && fake->gc.refreshes == (LONG)row + 1);
    }
    assert_int_equal(fake->gc.wrong, 0);
    assert_int_equal(fake->gc.early, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_job_is_shown),
        cmocka_unit_test(a_change_is_told),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
