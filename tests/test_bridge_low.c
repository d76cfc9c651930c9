/*
 * What a Low asks of a runtime that has started: a pulse each, full collections at their pace, and neither in a no-GC
 * region.  The runtime is a stand-in; time is real.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/managed.h"
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

/* Tells Low until there are so many collections; the last one came so long after the one before it. */
static void assert_collected_after(LONG count, ULONGLONG pace)
{
    const ULONGLONG end = GetTickCount64() + 3 * PACE_MS;
    while (fake->gc.collects < count && GetTickCount64() < end) {
        tell(eMemoryAvailableLow);
        assert_pulse();
        Sleep(100);
    }
    assert_int_equal(fake->gc.collects, count);
    const ULONGLONG apart = fake->gc.collected_at[count - 1] - fake->gc.collected_at[count - 2];
    assert_true(apart >= pace - TICK_MS && apart < pace + LATE_MS);
}

/* A Low that lasts is not collected at that pace for ever; the next one is, and so is another limit. */
static void collections_in_vain_get_rare(void **state)
{
    (void)state;
    LONG count = fake->gc.collects;
    tell(eMemoryAvailableLow);
    WAIT_UNTIL(fake->gc.collects == count + 1); /* PACE_MS have gone by */
    count += 1;
    assert_pulse();
    assert_collected_after(count + 1, PACE_MS);
    assert_collected_after(count + 2, 2 * PACE_MS);

    tell(eMemoryAvailableNeutral);
    assert_collected_after(count + 3, PACE_MS);

    assert_collected_after(count + 4, PACE_MS);
    hm_managed_refresh_limit();
    assert_collected_after(count + 5, PACE_MS);
}

/* A limit that was refused is taken when a collection has made room, however rarely it is tried by then. */
static void room_is_used_at_once(void **state)
{
    (void)state;
    const LONG collects = fake->gc.collects, refreshes = fake->gc.refreshes;
    const ULONGLONG end = GetTickCount64() + PACE_MS + LATE_MS;
    tell(eMemoryAvailableNeutral);
    assert_no_pulse(100);
    fake->gc.refuses = 1000;
    fake->gc.collect_makes_room = TRUE;
    hm_managed_refresh_limit();
    while (fake->gc.collects == collects && GetTickCount64() < end) {
        assert_int_equal(fake->gc.refreshes, refreshes);
        Sleep(10);
    }
    assert_int_equal(fake->gc.collects, collects + 1);
    Sleep(LATE_MS);
    assert_int_equal(fake->gc.refreshes, refreshes + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_region_is_left_alone),
        cmocka_unit_test(collections_have_a_pace),
        cmocka_unit_test(collections_in_vain_get_rare),
        cmocka_unit_test(room_is_used_at_once),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
