/*
 * What a Low asks of a runtime that has started: a pulse each, full collections at their pace, and neither in a no-GC
 * region.  The runtime is a stand-in; time is real.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/bridge_host.h"
#include "support/bridge_machine.h"

/* As bridge.h has it. */
enum { PACE_MS = 8192 };

enum { QUIET_MS = 800, LATE_MS = 2000, TICK_MS = 16, NO_GC_REGION = 4 };

static struct fake_runtime *fake;
static struct bridge_host host;
static HANDLE event;

static void tell(EMemoryAvailable level)
{
    assert_int_equal(ICLRMemoryNotificationCallback_OnMemoryNotification(host.callback, level), S_OK);
}

static void assert_pulse(void)
{
    assert_int_equal(WaitForSingleObject(event, LATE_MS), WAIT_OBJECT_0);
}

static void assert_no_pulse(DWORD milliseconds)
{
    assert_int_equal(WaitForSingleObject(event, milliseconds), WAIT_TIMEOUT);
}

static int group_setup(void **state)
{
    HMODULE module;

    (void)state;
    fake = machine_load(L"fake_coreclr_10.dll", &module);
    bridge_host_init(&host);
    machine_reset();
    if (!fake || hostmem_bridge_bind(module, &host.control, NULL) != S_OK)
        return 1;
    event = fake->calls.low_memory(LowMemoryResourceNotification);
    fake->gc.present = TRUE;
    fake->started = TRUE;
    return event == NULL;
}

static void a_region_is_left_alone(void **state)
{
    (void)state;
    fake->gc.latency = NO_GC_REGION;
    tell(eMemoryAvailableLow);
    assert_no_pulse(QUIET_MS);
    assert_int_equal(fake->gc.collects, 0);

    /* over before it was left: nothing to make up for */
    tell(eMemoryAvailableNeutral);
    fake->gc.latency = 1;
    assert_no_pulse(QUIET_MS);
    assert_int_equal(fake->gc.collects, 0);

    fake->gc.latency = NO_GC_REGION;
    tell(eMemoryAvailableLow);
    assert_no_pulse(QUIET_MS);
    fake->gc.latency = 1;
    assert_pulse();
    WAIT_UNTIL(fake->gc.collects == 1);
}

/* Pulses come with each Low; a collection waits, for its time and for the region's end, as long as it is low. */
static void collections_have_a_pace(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; ++i) {
        tell(eMemoryAvailableNeutral);
        assert_no_pulse(100);
        tell(eMemoryAvailableLow);
        assert_pulse();
    }
    fake->gc.latency = NO_GC_REGION;
    while (GetTickCount64() - fake->gc.collected_at[0] < PACE_MS + QUIET_MS) {
        assert_int_equal(fake->gc.collects, 1);
        Sleep(10);
    }
    fake->gc.latency = 1;
    WAIT_UNTIL(fake->gc.collects == 2);
    tell(eMemoryAvailableLow);
    assert_pulse();
    WAIT_UNTIL(fake->gc.collects == 3);
    const ULONGLONG apart = fake->gc.collected_at[2] - fake->gc.collected_at[1];
    assert_true(apart >= PACE_MS - TICK_MS && apart < PACE_MS + LATE_MS);

    tell(eMemoryAvailableLow);
    assert_pulse();
    tell(eMemoryAvailableNeutral);
    assert_no_pulse(PACE_MS + QUIET_MS);
    assert_int_equal(fake->gc.collects, 3);
    assert_int_equal(fake->gc.collects_in_region, 0);
    assert_int_equal(fake->gc.wrong, 0);
    assert_int_equal(fake->gc.early, 0);
}

/* A Low that lasts, told again and again, is not collected at that pace for ever; the next one is. */
static void collections_in_vain_get_rare(void **state)
{
    (void)state;
    const LONG before = fake->gc.collects;
    const ULONGLONG end = GetTickCount64() + 4 * PACE_MS;
    while (fake->gc.collects < before + 3 && GetTickCount64() < end) {
        tell(eMemoryAvailableLow);
        assert_pulse();
        Sleep(100);
    }
    assert_int_equal(fake->gc.collects, before + 3);
    const volatile ULONGLONG *at = &fake->gc.collected_at[before];
    assert_true(at[1] - at[0] >= PACE_MS - TICK_MS && at[1] - at[0] < PACE_MS + LATE_MS);
    assert_true(at[2] - at[1] >= 2 * (PACE_MS - TICK_MS) && at[2] - at[1] < 2 * PACE_MS + LATE_MS);

    tell(eMemoryAvailableNeutral);
    tell(eMemoryAvailableLow);
    assert_pulse();
    while (fake->gc.collects < before + 4 && GetTickCount64() < end + 2 * PACE_MS)
        Sleep(10);
    assert_int_equal(fake->gc.collects, before + 4);
    assert_true(at[3] - at[2] >= PACE_MS - TICK_MS && at[3] - at[2] < PACE_MS + LATE_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_region_is_left_alone),
        cmocka_unit_test(collections_have_a_pace),
        cmocka_unit_test(collections_in_vain_get_rare),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
