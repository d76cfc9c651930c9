/*
 * windows_hooks.h - somebody between the library and Windows
 *
 * os_win32.c as it is, with a hook before and after each of its calls into Windows.  A program that links
 * windows_hooks.c gets it in place of the library's; until hooks are set it does nothing but call.
 */
#ifndef WINDOWS_HOOKS_H
#define WINDOWS_HOOKS_H

#include <stdatomic.h>
#include <stdbool.h>

#include <windows.h>

struct windows_hooks {
    DWORD thread; /* whose calls: this thread's */
    /* About to call Windows.  False: do not; the call fails, with the last error that the hook has set. */
    bool (*before)(const char *function, void *context);
    /* Windows has answered, or was not asked.  The last error must stay. */
    void (*after)(const char *function, void *context);
    void *context;
};

/* NULL: none. */
void windows_hooks_set(const struct windows_hooks *hooks);

#endif
