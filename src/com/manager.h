/*
 * manager.h - the object behind hostmem_manager and IHostMemoryManager
 */
#ifndef HOSTMEM_COM_MANAGER_H
#define HOSTMEM_COM_MANAGER_H

#include "com/limits.h"
#include "com/references.h"
#include "com/region_use.h"
#include "maps/pool.h"
#include "memory/pressure.h"
#include "memory/vm.h"
#include "nettrace/trace.h"

struct hostmem_manager {
    IHostMemoryManager iface;
    IHostmemRegionUse use; /* the same object's */
    _Atomic uint32_t references;
    hostmem_options options;
    struct hostmem_budget *shared;                      /* referenced, or NULL */
    _Atomic(ICLRMemoryNotificationCallback *) callback; /* referenced */
    _Atomic(ICLRMemoryNotificationCallback *) in_use;   /* the pressure thread is calling it */
    struct tenant tenant;
    _Atomic(struct trace *) trace; /* NULL: it is not traced, or about to be */
    struct pool mallocs;           /* struct malloc_object */
    /* Blocks that were still live when their IHostMalloc went. */
    _Atomic uint64_t orphans, orphan_bytes;
    struct vm vm;
};

/* Zeroed memory becomes a manager with one reference; its vtable, options and pool of mallocs are its maker's. */
void hm_manager_init(struct hostmem_manager *manager);

static inline uint32_t manager_add_reference(struct hostmem_manager *manager)
{
    return references_add(&manager->references);
}

/* The last one ends the manager; see hostmem_release. */
uint32_t hm_manager_release(struct hostmem_manager *manager);

/* The manager behind an interface; NULL: it is somebody else's. */
struct hostmem_manager *hm_manager_of(IHostMemoryManager *iface);

/* Exchange the notification callback, whose reference goes to the manager; the old one's is given back, at the latest
 * when the call that is under way has returned. */
void hm_manager_replace_callback(struct hostmem_manager *manager, ICLRMemoryNotificationCallback *callback);

#endif
