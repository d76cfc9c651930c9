/*
 * deaf_callback.h - callbacks of a CLR that listens to nothing; their counts are constant
 */
#ifndef TESTS_SUPPORT_DEAF_CALLBACK_H
#define TESTS_SUPPORT_DEAF_CALLBACK_H

#include <hostmem/clr.h>

extern ICLRMemoryNotificationCallback deaf_callbacks[2];

#endif
