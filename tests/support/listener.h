/*
 * listener.h - who is told: callbacks of the CLR's and of the host's that write down what they hear
 *
 * They run on the library's thread, where CMocka's assertions must not be used: they only note, and the test
 * waits for what it expects. What is never to come is told apart by something later that does come.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include <stdatomic.h>

#include "support/manager_fixture.h"

/* Generous: only a test that fails waits so long. */
enum { WAIT_MS = 30000 };

#define wait_for(condition)                                                                                  \
    do {                                                                                                     \
        for (uint64_t end = GetTickCount64() + WAIT_MS; !(condition); Sleep(1))                              \
            if (GetTickCount64() > end)                                                                      \
                fail_msg("waited in vain for %s", #condition);                                               \
    } while (0)

enum { LISTENER_MOST = 4096, EVENT_LOG_MOST = 512 };

/* An ICLRMemoryNotificationCallback; its maker has one reference. */
struct listener {
    ICLRMemoryNotificationCallback iface;
    atomic_uint references;
    atomic_uint count; /* calls; the first LISTENER_MOST are noted */
    EMemoryAvailable told[LISTENER_MOST];
    DWORD thread[LISTENER_MOST];
    void (*action)(struct listener *listener); /* inside the call, after it is noted; may be NULL */
    void *context;                             /* the action's */
};

void listener_init(struct listener *listener, void (*action)(struct listener *), void *context);

/* Wait until there have been so many calls; the last of them. */
EMemoryAvailable listener_wait(struct listener *listener, unsigned count);

struct event_log {
    atomic_uint count; /* all of them are noted, or the process ends */
    hostmem_event event[EVENT_LOG_MOST];
    DWORD thread[EVENT_LOG_MOST];
    void (*action)(struct event_log *log, const hostmem_event *event);
    void *context;
};

/* The hostmem_event_callback, with the log as its context. */
void HOSTMEM_CALL event_log_note(const hostmem_event *event, void *log);

unsigned event_log_count(const struct event_log *log, hostmem_event_kind kind);

/* Wait for the n-th event of a kind, from 1. */
hostmem_event event_log_wait(struct event_log *log, hostmem_event_kind kind, unsigned n);

#endif
