/*
 * What the host is told of a bridge that does not govern as it was meant to.
 */
#ifndef HOSTMEM_BRIDGE_EVENT_H
#define HOSTMEM_BRIDGE_EVENT_H

#include <hostmem/bridge.h>

struct bridge_listener {
    hostmem_bridge_event_callback callback;
    void *context;
};

/* Whose callback: that of the last bind or watch with one.  NULL options change nothing.  Returns who it was before. */
struct bridge_listener hm_bridge_event_set(const hostmem_bridge_options *options);

/* The bind or watch came to nothing: its host may free the context. */
void hm_bridge_event_restore(struct bridge_listener before);

/* On the caller's thread, with no lock of ours held; missing: a name, or NULL. */
void hm_bridge_event_tell(hostmem_bridge_event_kind kind, HMODULE module, HRESULT result,
                          const char *missing);

#endif
