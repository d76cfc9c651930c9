/*
 * A module whose imports are redirected: what each function replaced, and how often it was called.
 */
#ifndef HOSTMEM_BRIDGE_CALLER_H
#define HOSTMEM_BRIDGE_CALLER_H

#include <stdatomic.h>

#include <hostmem/bridge.h>

#include "bridge/imports.h"

struct caller {
    bool shared;     /* it reserves for others than the collector too */
    bool heap_alone; /* its malloc and its Heap functions are all that is redirected */
    HMODULE module;
    HMODULE held; /* was restored, but other hooks in it chain to us: what they call does what it replaced */
    uint64_t version;  /* of module */
    char unknown[256]; /* memory functions that it imports and we do not know, by name */
    bool incomplete;   /* one of them allocates */
    struct import imports[HOSTMEM_BRIDGE_FUNCTION_COUNT];
    atomic_size_t calls[HOSTMEM_BRIDGE_FUNCTION_COUNT];
    atomic_size_t failures[HOSTMEM_BRIDGE_FUNCTION_COUNT];
};

/* What a bind's options want of every module. */
struct wanted {
    bool known_only;
    bool native_heap;
};

/* The manager that calls go to; NULL: none yet. */
extern _Atomic(IHostMemoryManager *) hm_bridge_manager;

/*
 * Redirects the module to the caller's functions, or nothing of it; those of the native heap if that is wanted.  Then
 * *culprit, in static storage, names the function that was not found, was found twice, or - with known_only, or because
 * they take a block of the native heap - those that are unknown; NULL: none is to blame.  On failure calls of the module do
 * what they did before, also where another hook that was placed meanwhile chains to ours: then both modules stay loaded for
 * good, and only this one can be redirected later.
 */
HRESULT hm_caller_redirect(struct caller *caller, HMODULE module, const struct wanted *wanted,
                           const char **culprit);
void hm_caller_restore(struct caller *caller);

static inline void count(atomic_size_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

#define ORIGINAL(caller, index, type) ((type)(caller)->imports[index].original)

#endif
