/*
 * method_depths.h - how deep each method goes, over all its paths
 */
#ifndef METHOD_DEPTHS_H
#define METHOD_DEPTHS_H

#include "support/method_paths.h"
#include "support/stack_depth.h"

/* One path, with plenty of stack (`left` 0), or with so many bytes above the guard page. */
struct path_outcome {
    HRESULT result;
    bool guard_intact;
    struct stack_depth depth;
};
struct path_outcome path_measure(unsigned number, size_t left);

struct method_depth {
    const char *method;
    const char *path; /* the deepest one */
    struct stack_depth depth;
};

enum { METHODS_MOST = 48 };

/* Measure all; one entry a method.  Returns how many; 0: a path went wrong. */
unsigned method_depths(struct method_depth table[METHODS_MOST]);

#endif
