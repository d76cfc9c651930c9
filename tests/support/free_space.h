/*
 * free_space.h - address space that allocations without an address do not get
 */
#ifndef FREE_SPACE_H
#define FREE_SPACE_H

#include <stdint.h>

#include <windows.h>

/* `bytes` of free address space, aligned to 64 KiB, away from the ends of the largest free range, where
 * Windows begins to look; NULL: there is none. */
static inline char *free_space_find(uint64_t bytes)
{
    MEMORY_BASIC_INFORMATION best = {.RegionSize = 0}, info;
    for (char *at = NULL; VirtualQuery(at, &info, sizeof info) != 0; at += info.RegionSize) {
        if (info.State == MEM_FREE && info.RegionSize > best.RegionSize)
            best = info;
        if ((uintptr_t)at > UINTPTR_MAX - info.RegionSize)
            break;
    }
    uintptr_t end = (uintptr_t)best.BaseAddress + best.RegionSize / 8 * 7;
    return best.RegionSize / 2 < bytes ? NULL : (char *)((end - (uintptr_t)bytes) & ~(uintptr_t)0xFFFF);
}

#endif
