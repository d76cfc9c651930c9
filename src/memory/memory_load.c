/*
 * memory_load.c - the machine's load, or that of a job object or a budget where it is tighter
 *
 * Available means physical: the CLR caps it by address space itself (contract 3.7).  Of a limit on the whole job only this
 * process' part is known.  Of a budget it is what eTaskCritical may take, in all or as heap.
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

struct memory_load hm_memory_load_of(const struct os_memory *memory)
{
    struct memory_load load = {
        .percent = memory->physical_load,
        .available = memory->physical_available < SIZE_MAX ? (SIZE_T)memory->physical_available : SIZE_MAX};
    tighten(&load, memory->job_limit, memory->process_commit);
    tighten(&load, memory->working_set_limit, memory->process_working_set);
    return load;
}

void hm_memory_load_tighten(struct memory_load *load, const struct quota *quota)
{
    for (const struct quota *q = quota; q != NULL; q = q->parent) {
        tighten(load, budget_ceiling(&q->commit, BUDGET_TASK), hm_budget_used(&q->commit));
        tighten(load, budget_ceiling(&q->heap, BUDGET_TASK), hm_budget_used(&q->heap));
    }
}

HRESULT hm_memory_load_read(struct memory_load *load, const struct quota *quota)
{
    struct os_memory memory;
    if (!hm_os_memory_status(&memory))
        return hresult_from_last_error();
    /* Only where a limit is compared with it: this is called at each collection. */
    if (os_memory_has_job_limit(&memory))
        hm_os_process_use(&memory);
    *load = hm_memory_load_of(&memory);
    hm_memory_load_tighten(load, quota);
    return S_OK;
}
