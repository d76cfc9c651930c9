/*
 * method_depths.c - see method_depths.h
 */
#include "support/method_depths.h"

#include <string.h>

struct measured {
    unsigned number;
    HRESULT result;
};

static void call(void *context)
{
    struct measured *measured = context;
    measured->result = method_path_call(measured->number);
}

static bool before(const char *function, void *context)
{
    (void)context;
    return method_path_windows(function);
}

struct path_outcome path_measure(unsigned number, size_t left)
{
    struct path_outcome outcome = {.result = E_UNEXPECTED};
    struct measured measured = {.number = number};
    const struct stack_call measure = {.run = call, .before = before, .context = &measured};
    if (!method_path_prepare(number))
        return outcome;
    if (left == 0)
        outcome.depth = stack_depth_of(&measure);
    else
        outcome.guard_intact = stack_low_run(&measure, left, &outcome.depth);
    outcome.result = measured.result;
    method_path_end();
    return outcome;
}

unsigned method_depths(struct method_depth table[METHODS_MOST])
{
    unsigned methods = 0;
    const struct method_path *path;
    for (unsigned i = 0; (path = method_path(i)) != NULL; i++) {
        struct path_outcome outcome = path_measure(i, 0);
        if (outcome.result != path->expected)
            return 0;
        if (methods == 0 || strcmp(table[methods - 1].method, path->method) != 0)
            table[methods++] = (struct method_depth){.method = path->method};
        struct method_depth *method = &table[methods - 1];
        if (outcome.depth.own > method->depth.own) {
            method->depth.own = outcome.depth.own;
            method->path = path->path;
        }
        if (outcome.depth.with_windows > method->depth.with_windows)
            method->depth.with_windows = outcome.depth.with_windows;
    }
    return methods;
}
