/*
 * beacon.c - see beacon.h
 */
#include "support/beacon.h"

#include "support/fake_os.h"
#include "support/fake_pages.h"
#include "support/listener.h"
#include "support/verified.h"

static hostmem_manager *beacon;
static atomic_uint seen;
static uint64_t now;

static void HOSTMEM_CALL see(const hostmem_event *event, void *context)
{
    (void)context;
    if (event->kind == HOSTMEM_EVENT_PRESSURE)
        seen++;
}

void beacon_light(void)
{
    fake_os_reset();
    fake_pages_fail_from(0);
    fake_os_stop_clock();
    now = 1000000;
    fake_os_set_ticks_ahead(now);
    hostmem_options options = {.size = sizeof options, .event = see};
    assert_hresult(hostmem_create(&options, &beacon), S_OK);
    beacon_settle();
}

/* From whatever it is to one of the others, and back. */
void beacon_settle(void)
{
    static const uint32_t levels[] = {eMemoryAvailableLow, eMemoryAvailableHigh, eMemoryAvailableLow,
                                      eMemoryAvailableNeutral};
    for (unsigned i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        unsigned before = seen;
        assert_hresult(hostmem_force_pressure(beacon, levels[i]), S_OK);
        wait_for(seen > before);
    }
}

void beacon_let_pass(unsigned milliseconds)
{
    now += milliseconds;
    fake_os_set_ticks_ahead(now);
    beacon_settle();
}

void beacon_put_out(void)
{
    assert_true(verified(beacon));
    hostmem_release(beacon);
    fake_os_reset();
    assert_int_equal(fake_pages_outstanding(), 0);
    assert_int_equal(fake_os_outstanding(), 0);
}
