/*
 * method_depths.h - every method that a CLR's thread reaches, by each of its paths
 *
 * A path is one call, prepared so that it takes a certain way through the library: memory for the books is needed, a
 * budget refuses, Windows refuses, the memory is somebody else's, another thread comes in between.
 */
#ifndef METHOD_DEPTHS_H
#define METHOD_DEPTHS_H

#include <stdbool.h>
#include <stdint.h>

#include "support/stack_depth.h"
#include <hostmem/hostmem.h>

struct method_depth {
    const char *method;
    const char *path; /* the deepest one */
    struct stack_depth depth;
};

enum { METHODS_MOST = 48 };

/* Measure all; one entry a method.  Returns how many; 0: a path went wrong. */
unsigned method_depths(struct method_depth table[METHODS_MOST]);

/* One path after the other, for a test of its own. */
struct method_path {
    const char *method, *path;
    HRESULT expected;
};

/* The path's description; NULL: there is no path of that number. */
const struct method_path *method_path(unsigned number);

/* Prepare it on a new manager, make the call as `left` says (0: with plenty of stack), clean up.  The outcomes: what the
 * call returned, and whether the guard page is intact. */
struct method_outcome {
    HRESULT result;
    bool guard_intact;
    struct stack_depth depth;
};
struct method_outcome method_path_run(unsigned number, size_t left);

#endif
