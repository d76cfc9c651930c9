/*
 * wrong_host.h - a host that passes everything on to Windows, but for one deliberate mistake
 *
 * It proves that the stand-in CLR notices mistakes: a test that our manager passes must be one that this host
 * fails.
 */
#ifndef WRONG_HOST_H
#define WRONG_HOST_H

#include <hostmem/clr.h>

enum wrong {
    WRONG_NOTHING,
    WRONG_MANAGER_S_FALSE, /* GetHostManager: S_FALSE with a manager */
    WRONG_MANAGER_NULL,    /* S_OK without one */
    WRONG_MANAGER_OUT,     /* E_NOINTERFACE without writing */
    WRONG_NO_REFERENCE,    /* no AddRef for the CLR */
    WRONG_MALLOC_FAILS,
    WRONG_MALLOC_S_FALSE,
    WRONG_MALLOC_NULL,
    WRONG_ALLOC_S_FALSE,
    WRONG_ALLOC_NULL,
    WRONG_ALLOC_OUT,         /* S_OK without writing */
    WRONG_ALLOC_OUT_FAILURE, /* a failure without writing */
    WRONG_ALLOC_BOTH,        /* a failure, and memory */
    WRONG_ALLOC_BASE,        /* a commit answers with the address as asked */
    WRONG_ALLOC_ALIGN,       /* a reservation that does not begin at 64 KiB */
    WRONG_ALLOC_DIRTY,
    WRONG_ALLOC_CALLS_BACK,
    WRONG_QUERY_OUT,
    WRONG_PROTECT_OUT,
    WRONG_LOAD_OUT,
    WRONG_HEAP_S_FALSE,
    WRONG_HEAP_ALIGN,
    WRONG_FREE_NULL,
    WRONG_DOMAIN,
    WRONG_NEEDS_S_FALSE
};

struct wrong_host {
    IHostControl control;
    IHostMemoryManager memory;
    IHostMalloc heap;
    enum wrong wrong;
    unsigned references; /* of memory */
    unsigned mallocs;    /* CreateMalloc calls */
    ICLRMemoryNotificationCallback *callback;
};

void wrong_host_init(struct wrong_host *host, enum wrong wrong);

#endif
