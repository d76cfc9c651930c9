/*
 * manager.h - the object behind hostmem_manager and IHostMemoryManager
 */
#ifndef HOSTMEM_COM_MANAGER_H
#define HOSTMEM_COM_MANAGER_H

#include "com/limits.h"
#include "com/region_use.h"
#include "maps/pool.h"
#include "memory/pressure.h"
#include "memory/vm.h"

struct hostmem_manager {
    IHostMemoryManager iface;
    IHostmemRegionUse use; /* the same object's */
    _Atomic uint32_t references;
    hostmem_options options;
    struct hostmem_budget *shared;                      /* referenced, or NULL */
    _Atomic(ICLRMemoryNotificationCallback *) callback; /* referenced */
    _Atomic(ICLRMemoryNotificationCallback *) in_use;   /* the pressure thread is calling it */
    struct tenant tenant;
    struct pool mallocs; /* struct malloc_object */
    /* Blocks that were still live when their IHostMalloc went. */
    _Atomic uint64_t orphans, orphan_bytes;
    struct vm vm;
};

void hm_manager_add_reference(struct hostmem_manager *manager);
uint32_t hm_manager_release(struct hostmem_manager *manager);

/* The manager behind an interface; NULL: it is somebody else's. */
struct hostmem_manager *hm_manager_of(IHostMemoryManager *iface);

/* Exchange the notification callback, whose reference goes to the manager; the old one's is given back, at the latest
 * when the call that is under way has returned. */
void hm_manager_replace_callback(struct hostmem_manager *manager, ICLRMemoryNotificationCallback *callback);

/* Visit every region and view; see hostmem_walk_regions. */
HRESULT hm_manager_walk_regions(struct hostmem_manager *manager, bool stop_early,
                                hostmem_region_callback callback, void *context);

/* The vtables (manager.c), for the constructor (lifetime.c). */
extern const IHostMemoryManagerVtbl hm_manager_vtbl;
extern const IHostmemRegionUseVtbl hm_region_use_vtbl;

#endif
