/*
 * verify.h - does the accounting agree with itself and with Windows?
 *
 * One look at everything.  A region in which somebody else is at work is passed over; what is of no single region is judged
 * only if no call ended meanwhile.  A call that is about to change something can still make it look wrong: look twice.
 */
#ifndef HOSTMEM_MEMORY_VERIFY_H
#define HOSTMEM_MEMORY_VERIFY_H

#include <hostmem/verify.h>

#include "memory/vm.h"

/* What was seen of every IHostMalloc. */
struct block_sums {
    const struct pool *pool; /* of IHostMallocs */
    uint32_t objects;
    uint64_t blocks, bytes; /* live ones, orphans included */
    void *lost;             /* a block where there is no memory; NULL: none */
};

/* How many calls of all methods have ended: to be asked before the blocks are looked at. */
uint64_t hm_verify_calls_ended(const struct vm *vm);

void hm_verify_look(struct vm *vm, const struct block_sums *blocks, uint64_t calls_ended,
                    hostmem_verify_report *report);

#endif
