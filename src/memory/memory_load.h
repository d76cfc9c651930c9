/*
 * memory_load.h - what GetMemoryLoad answers
 */
#ifndef HOSTMEM_MEMORY_MEMORY_LOAD_H
#define HOSTMEM_MEMORY_MEMORY_LOAD_H

#include "memory/os.h"
#include "memory/quota.h"

struct memory_load {
    DWORD percent;    /* of the tightest of machine, job limits and budgets, 0..100 */
    SIZE_T available; /* bytes left under the tightest */
};

/* Takes no lock, waits for nothing.  Returns S_OK or Windows' error. */
HRESULT hm_memory_load_read(struct memory_load *load, const struct quota *quota);

/* The arithmetic alone: of machine and job; and tightened by the budgets of a quota and its parent. */
struct memory_load hm_memory_load_of(const struct os_memory *memory);
void hm_memory_load_tighten(struct memory_load *load, const struct quota *quota);

#endif
