/*
 * stack_depth.h - how deep a call goes, and a call with little stack left
 *
 * The stack below the call is painted; afterwards the lowest byte that has changed tells.  Before each call into Windows
 * the library's own depth is noted, and after it what Windows has used is painted over, so there are two figures: the
 * library alone, and with Windows.  The first may be some 200 bytes too high: the hooks' own.
 */
#ifndef STACK_DEPTH_H
#define STACK_DEPTH_H

#include <stdbool.h>
#include <stddef.h>

struct stack_depth {
    size_t own, with_windows;
};

struct stack_call {
    void (*run)(void *context);
    /* As in windows_hooks.h; may be NULL. */
    bool (*before)(const char *function, void *context);
    void *context;
};

/* Measure it, with 48 KiB painted: more is not seen. */
struct stack_depth stack_depth_of(const struct stack_call *call);

/*
 * Run it on a thread of its own, with `left` bytes above the guard page.  Returns how the guard page fared: true if it
 * is one still and where it was.
 */
bool stack_low_run(const struct stack_call *call, size_t left, struct stack_depth *depth);

#endif
