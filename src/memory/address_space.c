/*
 * address_space.c - views in and out of the table
 *
 * A release is reported after the unmap, so another thread may have mapped and reported the same base, or may
 * have been given it by VirtualAlloc, before the release of the old view arrives: region_publish drops the old
 * view, and a base that is no view is left alone.
 */
#include "memory/address_space.h"

#include "memory/os.h"

/* Length of the mapped view that begins at `base`; 0: there is none. */
static uint64_t view_bytes(uint64_t base)
{
    uint64_t at = base;
    for (;;) {
        MEMORY_BASIC_INFORMATION info;
        if (os_virtual_query((void *)(uintptr_t)at, &info, sizeof info) == 0 || info.State == MEM_FREE ||
            (uintptr_t)info.AllocationBase != base || info.Type == MEM_PRIVATE)
            return at - base;
        at = (uint64_t)(uintptr_t)info.BaseAddress + info.RegionSize;
    }
}

void address_space_acquired(struct vm *vm, void *address)
{
    uint64_t base = (uintptr_t)address;
    uint64_t bytes = base % ((uint64_t)1 << GRANULE_SHIFT) == 0 ? view_bytes(base) : 0;
    if (bytes == 0)
        return;
    uint32_t number = region_take(&vm->table);
    if (number == 0)
        return;
    struct region_origin origin = {
        .base = base, .pages = bytes >> PAGE_SHIFT, .kind = HOSTMEM_REGION_VIEW, .level = HOSTMEM_LEVEL_NONE};
    if (!region_publish(&vm->table, number, &origin))
        region_give(&vm->table, number);
}

void address_space_released(struct vm *vm, void *address)
{
    DWORD error = GetLastError();
    bool mapped_again = view_bytes((uintptr_t)address) != 0;
    SetLastError(error);
    struct region_hold hold;
    if (mapped_again || !region_enter(&vm->table, (uintptr_t)address, REGION_CHANGE, &hold))
        return;
    if (hold.region->kind == HOSTMEM_REGION_VIEW && geometry_base(hold.geometry) == (uintptr_t)address)
        region_unpublish(&vm->table, &hold);
    region_leave_unchanged(&vm->table, &hold);
}
