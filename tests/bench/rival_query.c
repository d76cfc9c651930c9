/*
 * rival_query.c - see rival_query.h
 */
#include "bench/rival_query.h"

#include <stdatomic.h>
#include <stdint.h>

static _Atomic uint64_t committed;

void *rival_query_alloc(void *address, SIZE_T size, DWORD type, DWORD protect)
{
    void *base = VirtualAlloc(address, size, type, protect);
    if (base != NULL && (type & MEM_COMMIT) != 0)
        atomic_fetch_add(&committed, size);
    return base;
}

bool rival_query_free(void *address, SIZE_T size, DWORD type)
{
    MEMORY_BASIC_INFORMATION info;
    if (VirtualQuery(address, &info, sizeof info) == 0 || info.State == MEM_FREE || info.Type != MEM_PRIVATE)
        return false;
    if (type == MEM_RELEASE && info.AllocationBase != address)
        return false;
    if (info.State == MEM_COMMIT)
        atomic_fetch_sub(&committed, type == MEM_DECOMMIT && size < info.RegionSize ? size : info.RegionSize);
    return VirtualFree(address, size, type);
}
