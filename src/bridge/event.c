/*
 * event.c - see event.h
 */
#include "bridge/event.h"

static SRWLOCK lock = SRWLOCK_INIT;
static hostmem_bridge_options last; /* whose callback is called, with its context */

void hm_bridge_event_set(const hostmem_bridge_options *options)
{
    if (!options || !options->event)
        return;
    AcquireSRWLockExclusive(&lock);
    last = *options;
    ReleaseSRWLockExclusive(&lock);
}

hostmem_bridge_options hm_bridge_event_last(void)
{
    AcquireSRWLockShared(&lock);
    const hostmem_bridge_options set = last;
    ReleaseSRWLockShared(&lock);
    return set;
}

void hm_bridge_event_take_back(const hostmem_bridge_options *options, const hostmem_bridge_options *before)
{
    if (!options || !options->event)
        return;
    AcquireSRWLockExclusive(&lock);
    if (last.event == options->event && last.context == options->context)
        last = *before;
    ReleaseSRWLockExclusive(&lock);
}

void hm_bridge_event_notify(const hostmem_bridge_options *options, hostmem_bridge_event_kind kind,
                            HMODULE module, HRESULT result, const char *missing)
{
    const hostmem_bridge_event event = {sizeof event, (uint32_t)kind, module, result, missing};

    AcquireSRWLockShared(&lock);
    const hostmem_bridge_options notified = options && options->event ? *options : last;
    ReleaseSRWLockShared(&lock);
    if (notified.event)
        notified.event(&event, notified.context);
}
