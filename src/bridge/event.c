/*
 * What the host is told; see event.h.
 */
#include "bridge/event.h"

static SRWLOCK lock = SRWLOCK_INIT;
static hostmem_bridge_event_callback callback;
static void *callback_context;

void hm_bridge_event_set(const hostmem_bridge_options *options)
{
    if (!options || !options->event)
        return;
    AcquireSRWLockExclusive(&lock);
    callback = options->event;
    callback_context = options->context;
    ReleaseSRWLockExclusive(&lock);
}

void hm_bridge_event_tell(hostmem_bridge_event_kind kind, HMODULE module, HRESULT result, const char *missing)
{
    const hostmem_bridge_event event = {sizeof event, (uint32_t)kind, module, result, missing};

    AcquireSRWLockExclusive(&lock);
    hostmem_bridge_event_callback call = callback;
    void *context = callback_context;
    ReleaseSRWLockExclusive(&lock);
    if (call)
        call(&event, context);
}
