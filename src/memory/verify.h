/*
 * verify.h - do the books agree with themselves and with Windows?
 *
 * One look at everything.  Regions are held one at a time, and one in which somebody else is at work is passed over;
 * what is of no single region is judged only if no call ended meanwhile.  Even so a call that is about to
 * change the books can make them look wrong for a moment: the caller looks twice.
 */
#ifndef HOSTMEM_MEMORY_VERIFY_H
#define HOSTMEM_MEMORY_VERIFY_H

#include <hostmem/verify.h>

#include "memory/vm.h"

struct verify {
    struct vm *vm;
    hostmem_verify_report *report;
    uint64_t calls; /* that had ended at the beginning */
    /* Sums over what was seen; the blocks are for the caller to add up. */
    uint64_t reserved, by_use[HOSTMEM_USE_COUNT], mapped, blocks, block_bytes;
    uint64_t lost_block; /* a block where there is no memory; 0: none */
    uint32_t records;
    uint32_t arrays[BIT_STORE_CLASSES];
};

/* Begin a look; the report is cleared. */
void hm_verify_begin(struct verify *verify, struct vm *vm, hostmem_verify_report *report);

/* Look at the table, and compare the sums. */
void hm_verify_end(struct verify *verify);

/* Note a finding, if it is the first. */
void hm_verify_note(struct verify *verify, hostmem_finding finding, uint64_t address, uint64_t expected,
                    uint64_t found);

/* Every item of the pool that was ever taken is in use, `in_use` of them, or free. */
void hm_verify_pool(struct verify *verify, const struct pool *pool, uint32_t in_use);

#endif
