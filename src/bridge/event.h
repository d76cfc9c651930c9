/*
 * event.h - the host notified of a bridge that does not govern as it was meant to
 */
#ifndef HOSTMEM_BRIDGE_EVENT_H
#define HOSTMEM_BRIDGE_EVENT_H

#include <hostmem/bridge.h>

/* A bind or watch has succeeded: events go to its callback from now on, if it has one.  Not before: the host of one that
 * fails may free the context. */
void hm_bridge_event_set(const hostmem_bridge_options *options);

/* A watch that fails has its callback taken back, which a bind inside it may have set: the one that was last before holds. */
hostmem_bridge_options hm_bridge_event_last(void);
void hm_bridge_event_take_back(const hostmem_bridge_options *options, const hostmem_bridge_options *before);

/*
 * On the caller's thread, with no lock of ours held, to the callback of these options; if they are NULL or have none, to the
 * one that was set last.  missing: a name, or NULL.
 */
void hm_bridge_event_notify(const hostmem_bridge_options *options, hostmem_bridge_event_kind kind,
                            HMODULE module, HRESULT result, const char *missing);

#endif
