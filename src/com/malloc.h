/*
 * malloc.h - IHostMalloc over a private heap of Windows
 *
 * A block is a small header and what the caller asked for.  Which addresses are blocks is known to a
 * block_map, so a pointer that is not one (foreign, interior, freed) is refused without being read through.
 */
#ifndef HOSTMEM_COM_MALLOC_H
#define HOSTMEM_COM_MALLOC_H

#include "maps/block_map.h"
#include "com/manager.h"
#include "memory/verify.h"

/* An item of the manager's pool: its memory stays when the object has gone. */
struct malloc_object {
    _Atomic uint32_t link; /* the pool's */
    uint32_t flags;        /* MALLOC_TYPE bits */
    IHostMalloc iface;
    _Atomic uint32_t references; /* 0 or REFERENCES_ENDING: no object here */
    HANDLE heap;
    struct block_map *blocks;
    struct hostmem_manager *manager; /* referenced */
    uint32_t number;                 /* in the pool */
};

/* IHostMemoryManager::CreateMalloc, arguments checked. */
HRESULT hm_malloc_create(struct hostmem_manager *manager, DWORD flags, IHostMalloc **out);

/* Look at every IHostMalloc of a manager. */
void hm_malloc_sum(struct hostmem_manager *manager, struct block_sums *sums);

#endif
