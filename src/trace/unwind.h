/*
 * unwind.h - a walk up the stack of x64, by the unwind data of images that were looked up before
 *
 * Windows' own unwinder takes a lock for every frame, which a thread that is suspended may hold.  This one reads the stack,
 * within its bounds, and the unwind data of images in the table, and nothing else; where an address lies in none of them
 * (what the JIT has made, for one) the walk ends.
 */
#ifndef HOSTMEM_TRACE_UNWIND_H
#define HOSTMEM_TRACE_UNWIND_H

#include "trace/images.h"

/* A thread in the middle of a function, somewhere behind its prologue; registers by their numbers in the unwind data. */
struct unwind_state {
    uint64_t instruction;
    uint64_t registers[16]; /* 4: the stack pointer */
    uint64_t bottom, top;   /* of the stack from there on: nothing else of it is read */
};

enum { UNWIND_STACK = 4 };

/* The return addresses from there on, innermost first; how many. */
unsigned hm_unwind(const struct images *images, struct unwind_state *state, uint64_t *frame, unsigned most);

#endif
