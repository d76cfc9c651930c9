/*
 * What the host is told; see event.h.
 */
#include "bridge/event.h"

static SRWLOCK lock = SRWLOCK_INIT;
static struct bridge_listener listener;

struct bridge_listener hm_bridge_event_set(const hostmem_bridge_options *options)
{
    AcquireSRWLockExclusive(&lock);
    const struct bridge_listener before = listener;
    if (options && options->event)
        listener = (struct bridge_listener){options->event, options->context};
    ReleaseSRWLockExclusive(&lock);
    return before;
}

void hm_bridge_event_restore(struct bridge_listener before)
{
    AcquireSRWLockExclusive(&lock);
    listener = before;
    ReleaseSRWLockExclusive(&lock);
}

void hm_bridge_event_tell(hostmem_bridge_event_kind kind, HMODULE module, HRESULT result, const char *missing)
{
    const hostmem_bridge_event event = {sizeof event, (uint32_t)kind, module, result, missing};

    AcquireSRWLockExclusive(&lock);
    const struct bridge_listener told = listener;
    ReleaseSRWLockExclusive(&lock);
    if (told.callback)
        told.callback(&event, told.context);
}
