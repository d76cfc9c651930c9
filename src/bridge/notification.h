/*
 * The ICLRMemoryNotificationCallback that the bridge registers with a host's manager, as the CLR registers
 * its own.
 */
#ifndef HOSTMEM_BRIDGE_NOTIFICATION_H
#define HOSTMEM_BRIDGE_NOTIFICATION_H

#include <stdint.h>

#include <hostmem/clr.h>

/* The static object; its reference count is constant, like the CLR's (contract 3.1). */
ICLRMemoryNotificationCallback *notification_callback(void);

/* How often a level was told, by EMemoryAvailable; 0: any other value. */
uint64_t notification_count(unsigned level);

#endif
