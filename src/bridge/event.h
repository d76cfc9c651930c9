/*
 * What the host is told of a bridge that does not govern as it was meant to.
 */
#ifndef HOSTMEM_BRIDGE_EVENT_H
#define HOSTMEM_BRIDGE_EVENT_H

#include <hostmem/bridge.h>

/* Whose callback: that of the last bind or watch with one.  NULL options change nothing. */
void hm_bridge_event_set(const hostmem_bridge_options *options);

/* On the caller's thread, with no lock of ours held; missing: a name, or NULL. */
void hm_bridge_event_tell(hostmem_bridge_event_kind kind, HMODULE module, HRESULT result,
                          const char *missing);

#endif
