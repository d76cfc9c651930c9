/*
 * Somebody else's IHostControl and IHostMemoryManager: passes everything on to Windows, or to another manager, and
 * can be told to misbehave.  The bridge has to work against any implementation, so this one shares no code with ours.
 */
#ifndef BRIDGE_HOST_H
#define BRIDGE_HOST_H

#include <stdatomic.h>
#include <stdint.h>

#include <hostmem/bridge.h>

#include "com/region_use.h"

/* One call of the manager, in order.  Only the fields that the method has are filled. */
struct bridge_call {
    char method; /* A: VirtualAlloc  F: VirtualFree  P: VirtualProtect  Q: VirtualQuery
                    N, +, -: Needs, Acquired, Released
                    C: CreateMalloc  R: Register  G: GetHostManager  r: Release of the manager
                    U: SetUse
                    M, m: Alloc and Free of IHostMalloc */
    DWORD thread;
    DWORD type;
    DWORD protect;
    DWORD level;
    const void *address; /* as asked */
    SIZE_T size;
    void *result;
    BOOL heap; /* what `classify` said of the address at that moment */
    HRESULT hr;
    uint32_t use; /* U only: `result` is the base of the region */
    BOOL late;    /* something was committed in it */
};

struct bridge_host {
    IHostControl control;
    IHostMemoryManager memory;
    IHostMalloc heap;
    IHostmemRegionUse use;

    BOOL takes_use;      /* it has the private interface that only hostmem's managers have */
    BOOL takes_anything; /* its QueryInterface gives the manager itself, whatever it is asked for */

    /* Another manager behind this one: calls are noted, and passed on; NULL: none. */
    IHostMemoryManager *next;
    IHostmemRegionUse *next_use;

    /* what to answer; 0 = behave */
    HRESULT get_hr, malloc_hr, alloc_hr, free_hr, protect_hr, query_hr, needs_hr, register_hr;
    HRESULT block_hr; /* of IHostMalloc's Alloc */
    BOOL null_manager, null_malloc;
    SIZE_T block_shift;                          /* its blocks begin so many bytes behind where they should */
    BOOL passive;                                /* do nothing on alloc: *ppMem stays unwritten */
    void (*asked)(struct bridge_host *, void *); /* called from GetHostManager */
    void *asked_context;
    BOOL (*classify)(const void *address); /* asked for each VirtualAlloc at an address; may be NULL */
    const void *claims;                    /* VirtualFree of this is foreign */
    BOOL says_load; /* GetMemoryLoad: these figures and that result, instead of Windows' */
    DWORD load;
    SIZE_T available;
    HRESULT load_hr;

    atomic_uint blocks;       /* of IHostMalloc, alive */
    atomic_uint wrong_blocks; /* freed, and none of them */

    atomic_uint control_references, memory_references;
    ICLRMemoryNotificationCallback *callback;
    IID last_asked;
    atomic_uint others_asked; /* GetHostManager for anything else than the memory manager */

    struct bridge_call *calls; /* the log; NULL: none */
    unsigned capacity;
    atomic_uint count;
};

void bridge_host_init(struct bridge_host *host);

/* Calls are passed on to this manager, and the use of regions too.  FALSE: it does not take it. */
BOOL bridge_host_chain(struct bridge_host *host, IHostMemoryManager *next);

/* The use that was last set of the region with this base; BRIDGE_NO_USE: none, since it was reserved. */
#define BRIDGE_NO_USE UINT32_MAX
uint32_t bridge_host_use(const struct bridge_host *host, const void *base);

/* The path of a file beside this program; valid until the next call. */
const wchar_t *bridge_beside(const wchar_t *name);

/* Where a module reads the target of its calls of an imported function; NULL: it does not import it. */
void **bridge_slot(HMODULE of, const char *name);

/* Puts a hook where a module imports a function of kernel32.dll, as somebody else could; FALSE: it does not. */
BOOL bridge_hook(HMODULE module, const char *name, void *replacement);

/* What the bridge counts now. */
hostmem_bridge_statistics bridge_statistics(void);

#endif
