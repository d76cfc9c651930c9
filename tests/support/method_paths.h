/*
 * method_paths.h - every method that a CLR's thread reaches, by each of its paths
 *
 * A path is one call, prepared so that it takes a certain way through the library: memory for the table is needed, a
 * budget refuses, Windows refuses, the memory is somebody else's, another thread comes in between.  Each is prepared on a
 * scene of its own: a manager with its host control, a heap, a region of a few committed pages, limits of 64 MiB.
 */
#ifndef METHOD_PATHS_H
#define METHOD_PATHS_H

#include <stdbool.h>

#include <hostmem/hostmem.h>

struct method_path {
    const char *method, *path;
    HRESULT expected;
};

/* NULL: there is no path of that number. */
const struct method_path *method_path(unsigned number);

struct scene {
    hostmem_manager *manager;
    hostmem_budget *shared;
    IHostMemoryManager *memory;
    IHostControl *control;
    IHostMalloc *heap; /* NULL after its last Release */
    char *region;      /* 64 granules, the first two committed */
    char *foreign;     /* raw, reserved */
    char *view;        /* reported */
    void *at;          /* what the call is about, if not the region */
};

/* The one that is prepared. */
extern struct scene scene;

/* False: could not. */
bool method_path_prepare(unsigned number);

/* Make the call, on any thread; its hook before calls into Windows (windows_hooks.h) has to ask method_path_windows. */
HRESULT method_path_call(unsigned number);
bool method_path_windows(const char *function);

/* Give everything back. */
void method_path_end(void);

#endif
