/*
 * memory_load.h - what GetMemoryLoad answers
 */
#ifndef HOSTMEM_MEMORY_MEMORY_LOAD_H
#define HOSTMEM_MEMORY_MEMORY_LOAD_H

#include "memory/os.h"

struct memory_load {
    DWORD percent;    /* of the tightest of machine and job limits, 0..100 */
    SIZE_T available; /* bytes left under the tightest */
};

/* Takes no lock, waits for nothing.  Returns S_OK or Windows' error. */
HRESULT memory_load_read(struct memory_load *load);

/* The arithmetic alone. */
struct memory_load memory_load_of(const struct os_memory *memory);

#endif
