/*
 * listener.h - the CLR's end of a manager's notifications, where there is no CLR
 */
#ifndef HOSTMEM_CHECK_LISTENER_H
#define HOSTMEM_CHECK_LISTENER_H

#include <stdbool.h>

#include <hostmem/hostmem.h>

/* Lives as long as the process. */
ICLRMemoryNotificationCallback *listener(void);

/* Has it ever been told that?  What was it told last?  EMemoryAvailable; 0: nothing yet. */
bool listener_was_told(EMemoryAvailable available);
unsigned listener_told_last(void);

/* Waits until the condition is true, so many milliseconds at most; whether it is. */
bool comes_true(bool (*condition)(void), unsigned milliseconds);

#endif
