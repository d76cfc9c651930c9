/*
 * standin_clr.h - plays the CLR towards its host
 *
 * Each function does what the runtime's function of that purpose does (contract 3.1 to 3.8): the same calls
 * in the same order, with the same tests of the answer.  Out-variables are poisoned where the CLR leaves them
 * uninitialised.  What a host does that would hurt the CLR is noted as a fault; the CLR itself would not have
 * noticed.
 */
#ifndef STANDIN_CLR_H
#define STANDIN_CLR_H

#include <stdatomic.h>
#include <stdbool.h>

#include <hostmem/clr.h>

enum standin_fault {
    FAULT_OTHER_SUCCESS = 1 << 0, /* a success code that is not S_OK: taken for a failure, the memory leaks */
    FAULT_OUT_UNWRITTEN = 1 << 1, /* the CLR would use what was in its variable */
    FAULT_OUT_ON_FAILURE = 1 << 2,  /* memory handed out together with a failure */
    FAULT_NULL_ON_SUCCESS = 1 << 3, /* S_OK and no memory, or no heap */
    FAULT_MISPLACED = 1 << 4,   /* not a multiple of 64 KiB, not the page's base, not aligned for the heap */
    FAULT_NOT_ZERO = 1 << 5,    /* fresh pages with something in them */
    FAULT_CALLED_BACK = 1 << 6, /* OnMemoryNotification from within a call */
    FAULT_FREE_NULL = 1 << 7,   /* Free(NULL) refused */
    FAULT_DOMAIN_REFUSED = 1 << 8, /* SetAppDomainManager failed: no domain */
    FAULT_REFERENCE = 1 << 9       /* the manager was handed over without a reference of its own */
};

/* Where a thread of the CLR is, which decides the critical level. */
enum standin_place { OUTSIDE_LOCKS, LOCK_IN_DEFAULT_DOMAIN, LOCK_IN_OTHER_DOMAIN };

struct standin_clr {
    IHostControl *control;
    IHostMemoryManager *memory;
    IHostMalloc *heap;
    ICLRMemoryNotificationCallback callback;
    bool started;
    atomic_uint faults;
    atomic_uint notifications;
    unsigned maps;       /* attempts to map a file */
    HRESULT last_result; /* of the host, for the test */
    unsigned releases;   /* of the manager, by the CLR */
};

void standin_init(struct standin_clr *clr);

/* ICLRRuntimeHost. */
HRESULT standin_set_host_control(struct standin_clr *clr, IHostControl *control);
void standin_start(struct standin_clr *clr);
void standin_stop(struct standin_clr *clr);
HRESULT standin_make_domain(struct standin_clr *clr, DWORD domain, IUnknown *manager);

/* What the rest of the runtime calls instead of Win32; results as Win32's. */
void *standin_virtual_alloc(struct standin_clr *clr, enum standin_place place, void *address, SIZE_T size,
                            DWORD type, DWORD protect);
bool standin_virtual_free(struct standin_clr *clr, void *address, SIZE_T size, DWORD type);
SIZE_T standin_virtual_query(struct standin_clr *clr, const void *address, MEMORY_BASIC_INFORMATION *info,
                             SIZE_T length);
bool standin_virtual_protect(struct standin_clr *clr, void *address, SIZE_T size, DWORD protect, DWORD *old);
void *standin_heap_alloc(struct standin_clr *clr, enum standin_place place, SIZE_T size);
bool standin_heap_free(struct standin_clr *clr, void *block);

/* Reserve within [low, high), found by a scan: the first free 64 KiB step that the host grants. */
void *standin_reserve_within(struct standin_clr *clr, char *low, char *high, SIZE_T size);

/* Files; `reported` is the size told to the host, 0 for "whole file". */
void *standin_map_file(struct standin_clr *clr, HANDLE mapping, void *base, SIZE_T reported);
bool standin_unmap_file(struct standin_clr *clr, void *view);

/* Physical memory: the host's figures, or Windows' own when it has none. */
void standin_memory_load(struct standin_clr *clr, DWORD *load, SIZE_T *available);

#endif
