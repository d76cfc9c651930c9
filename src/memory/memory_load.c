/*
 * memory_load.c - the machine's load, or a job object's where that is tighter
 *
 * Available means physical: the CLR compares it with physical memory and caps it by address space itself
 * (contract 3.7).  Of a limit on the whole job only this process' part is known; the figure is the best that
 * any process gets to see.
 */
#include "memory/memory_load.h"

#include "memory/hresult.h"

static void tighten(struct memory_load *load, uint64_t limit, uint64_t used)
{
    if (limit == UINT64_MAX)
        return;
    uint64_t left = used < limit ? limit - used : 0;
    DWORD percent = limit == 0 || used >= limit ? 100 : (DWORD)((double)used * 100 / (double)limit);
    if (percent > load->percent)
        load->percent = percent;
    if (left < load->available)
        load->available = (SIZE_T)left;
}

struct memory_load memory_load_of(const struct os_memory *memory)
{
    struct memory_load load = {
        .percent = memory->physical_load,
        .available = memory->physical_available < SIZE_MAX ? (SIZE_T)memory->physical_available : SIZE_MAX};
    tighten(&load, memory->job_limit, memory->process_commit);
    tighten(&load, memory->working_set_limit, memory->process_working_set);
    return load;
}

HRESULT memory_load_read(struct memory_load *load)
{
    struct os_memory memory;
    if (!os_memory_status(&memory))
        return hresult_from_last_error();
    *load = memory_load_of(&memory);
    return S_OK;
}
