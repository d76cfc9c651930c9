/*
 * listener.c - see listener.h
 */
#include "support/listener.h"

#include <stdlib.h>
#include <string.h>

static HRESULT STDMETHODCALLTYPE listener_QueryInterface(ICLRMemoryNotificationCallback *iface, REFIID riid,
                                                         void **out)
{
    (void)iface;
    (void)riid;
    abort(); /* nobody has a reason to ask */
    *out = NULL;
    return E_NOINTERFACE;
}

static ULONG STDMETHODCALLTYPE listener_AddRef(ICLRMemoryNotificationCallback *iface)
{
    return ++CONTAINING_RECORD(iface, struct listener, iface)->references;
}

static ULONG STDMETHODCALLTYPE listener_Release(ICLRMemoryNotificationCallback *iface)
{
    return --CONTAINING_RECORD(iface, struct listener, iface)->references;
}

static HRESULT STDMETHODCALLTYPE listener_OnMemoryNotification(ICLRMemoryNotificationCallback *iface,
                                                               EMemoryAvailable available)
{
    struct listener *listener = CONTAINING_RECORD(iface, struct listener, iface);
    unsigned at = listener->count;
    if (at < LISTENER_MOST) {
        listener->told[at] = available;
        listener->thread[at] = GetCurrentThreadId();
    }
    listener->count = at + 1;
    if (listener->action != NULL)
        listener->action(listener);
    return S_OK;
}

static const ICLRMemoryNotificationCallbackVtbl listener_vtbl = {
    listener_QueryInterface, listener_AddRef, listener_Release, listener_OnMemoryNotification};

void listener_init(struct listener *listener, void (*action)(struct listener *), void *context)
{
    memset(listener, 0, sizeof *listener);
    listener->iface.lpVtbl = (ICLRMemoryNotificationCallbackVtbl *)&listener_vtbl;
    listener->references = 1;
    listener->action = action;
    listener->context = context;
}

EMemoryAvailable listener_wait(struct listener *listener, unsigned count)
{
    wait_for(listener->count >= count);
    assert_true(count <= LISTENER_MOST);
    return listener->told[count - 1];
}

void HOSTMEM_CALL event_log_note(const hostmem_event *event, void *context)
{
    struct event_log *log = context;
    unsigned at = log->count;
    if (at == EVENT_LOG_MOST)
        abort();
    log->event[at] = *event;
    log->thread[at] = GetCurrentThreadId();
    log->count = at + 1;
    if (log->action != NULL)
        log->action(log, event);
}

/* The n-th of a kind; NULL: not yet. */
static const hostmem_event *find(const struct event_log *log, hostmem_event_kind kind, unsigned n)
{
    unsigned count = log->count;
    for (unsigned i = 0; i < count; i++)
        if (log->event[i].kind == (uint32_t)kind && --n == 0)
            return &log->event[i];
    return NULL;
}

unsigned event_log_count(const struct event_log *log, hostmem_event_kind kind)
{
    unsigned n = 0;
    while (find(log, kind, n + 1) != NULL)
        n++;
    return n;
}

hostmem_event event_log_wait(struct event_log *log, hostmem_event_kind kind, unsigned n)
{
    wait_for(find(log, kind, n) != NULL);
    return *find(log, kind, n);
}
