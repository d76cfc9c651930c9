/*
 * stacks.c - known by a hash of 64 bits: two stacks that share one are not looked for
 */
#include "nettrace/stacks.h"

#include "nettrace/block.h"

enum { FIRST_AND_COUNT = 8 };

void hm_stacks_begin(struct stacks *stacks)
{
    hm_block_begin(&stacks->block);
    put_number(&stacks->block, 0, FIRST_AND_COUNT);
    stacks->first = stacks->next;
}

void hm_stacks_forget(struct stacks *stacks)
{
    if (stacks->next == 0)
        stacks->next = 1; /* 0: no stack */
    stacks->count = 0;
    for (unsigned i = 0; i < STACKS_MOST; i++)
        stacks->known[i].hash = 0;
    hm_stacks_begin(stacks);
}

static uint64_t hash_of(const uint64_t *frame, unsigned frames)
{
    uint64_t hash = frames;
    for (unsigned i = 0; i < frames; i++) {
        hash = (hash ^ frame[i]) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    return hash | 1;
}

static uint32_t add(struct stacks *stacks, const uint64_t *frame, unsigned frames)
{
    put_number(&stacks->block, frames * sizeof *frame, 4);
    for (unsigned i = 0; i < frames; i++)
        put_number(&stacks->block, frame[i], sizeof *frame);
    return stacks->next++;
}

uint32_t hm_stacks_id(struct stacks *stacks, const uint64_t *frame, unsigned frames)
{
    const uint64_t hash = hash_of(frame, frames);
    unsigned place = (unsigned)(hash >> 32) % STACKS_MOST;
    if (frames == 0)
        return 0;
    while (stacks->known[place].hash != 0) {
        if (stacks->known[place].hash == hash)
            return stacks->known[place].id;
        place = (place + 1) % STACKS_MOST;
    }
    const uint32_t id = add(stacks, frame, frames);
    if (stacks->count < STACKS_MOST / 4 * 3) {
        stacks->count++;
        stacks->known[place].hash = hash;
        stacks->known[place].id = id;
    }
    return id;
}

bool hm_stacks_end(struct stacks *stacks)
{
    if (stacks->next == stacks->first)
        return false;
    hm_block_end(&stacks->block, BLOCK_STACK);
    patch_number(&stacks->block, 4, stacks->first, 4);
    patch_number(&stacks->block, 8, stacks->next - stacks->first, 4);
    return true;
}
