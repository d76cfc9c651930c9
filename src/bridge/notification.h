/*
 * The ICLRMemoryNotificationCallback that the bridge registers with a host's manager, as the CLR registers
 * its own.
 */
#ifndef HOSTMEM_BRIDGE_NOTIFICATION_H
#define HOSTMEM_BRIDGE_NOTIFICATION_H

#include <stdint.h>
#include <windows.h>

#include <hostmem/clr.h>

/* The static object; its reference count is constant, like the CLR's (contract 3.1). */
ICLRMemoryNotificationCallback *hm_notification_callback(void);

/*
 * What the runtime is to have for CreateMemoryResourceNotification(Low): an event that is pulsed by each Low, releases
 * one wait and is then reset, so that one Low is one collection; Neutral and High take back a pulse that nobody has
 * seen.  The caller owns the handle.  NULL: Windows cannot make one; the last error tells.
 */
HANDLE hm_notification_low_event(void);

/* How often it was notified of a level, by EMemoryAvailable; 0: any other value. */
uint64_t hm_notification_count(unsigned level);

#endif
