/*
 * stacks.h - the stacks of a trace, each written once between two sequence points
 */
#ifndef HOSTMEM_NETTRACE_STACKS_H
#define HOSTMEM_NETTRACE_STACKS_H

#include "nettrace/bytes.h"

enum { STACKS_MOST = 4096 };

struct stacks {
    struct bytes block;   /* those that are to be written */
    uint32_t first, next; /* ids: of the first in the block, and of the next one */
    unsigned count;
    struct {
        uint64_t hash; /* 0: free */
        uint32_t id;
    } known[STACKS_MOST];
};

/* Nothing is known and nothing to be written; ids go on. */
void hm_stacks_forget(struct stacks *stacks);

static inline bool stacks_have_room(const struct stacks *stacks, unsigned frames)
{
    return stacks->block.room - stacks->block.used >= 4 + frames * sizeof(uint64_t);
}

/* The id of a stack; one that is new comes into the block, which has room for it. */
uint32_t hm_stacks_id(struct stacks *stacks, const uint64_t *frame, unsigned frames);

/* Is there something to be written?  The block is whole then, until hm_stacks_begin. */
bool hm_stacks_end(struct stacks *stacks);
void hm_stacks_begin(struct stacks *stacks);

#endif
