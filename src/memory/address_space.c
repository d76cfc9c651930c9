/*
 * address_space.c - views in and out of the table
 *
 * A release is reported after the unmap, so the base may be another view's or region's by then.  hm_region_publish drops an
 * old view; and Windows is asked about the very view that is held, so that no later one can go in its place.
 */
#include "memory/address_space.h"

#include "memory/os.h"
#include "memory/reconcile.h"

/* Length of the mapped view that begins at `base`; 0: there is none. */
static uint64_t view_bytes(uint64_t base)
{
    struct page_run run = {.allocation = base, .end = base};
    while (hm_reconcile_next_run(&run, UINT64_MAX))
        if (run.type == MEM_PRIVATE)
            return 0;
    return run.end - base;
}

bool hm_address_space_is_free(const void *start, SIZE_T size)
{
    MEMORY_BASIC_INFORMATION info;
    DWORD error = GetLastError();
    bool known = hm_os_virtual_query(start, &info, sizeof info) != 0;
    SetLastError(error);
    return known && info.State == MEM_FREE &&
           (uintptr_t)info.BaseAddress + info.RegionSize - (uintptr_t)start >= size;
}

void hm_address_space_acquired(struct vm *vm, void *address)
{
    uint64_t base = (uintptr_t)address;
    DWORD error = GetLastError();
    uint64_t bytes = base % ((uint64_t)1 << GRANULE_SHIFT) == 0 ? view_bytes(base) : 0;
    const struct region_origin origin = {.base = base,
                                         .pages = bytes >> PAGE_SHIFT,
                                         .kind = HOSTMEM_REGION_VIEW,
                                         .level = HOSTMEM_LEVEL_NONE,
                                         .use = HOSTMEM_USE_VIEW,
                                         .time = hm_os_ticks()};
    if (hm_region_publish(&vm->table, &origin) != 0)
        RECORD(vm, TRACE_VIEW_MAPPED, base, bytes);
    SetLastError(error);
}

void hm_address_space_released(struct vm *vm, void *address)
{
    uint64_t base = (uintptr_t)address;
    struct region_hold hold;
    if (!hm_region_enter(&vm->table, base, &hold))
        return;
    DWORD error = GetLastError();
    if (hold.region->kind == HOSTMEM_REGION_VIEW && geometry_base(hold.geometry) == base &&
        view_bytes(base) == 0 && hm_region_unpublish(&vm->table, &hold))
        RECORD(vm, TRACE_VIEW_UNMAPPED, base, geometry_pages(hold.geometry) << PAGE_SHIFT);
    SetLastError(error);
    hm_region_leave_unchanged(&vm->table, &hold);
}
