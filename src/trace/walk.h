/*
 * walk.h - the stack of the thread that is running
 */
#ifndef HOSTMEM_TRACE_WALK_H
#define HOSTMEM_TRACE_WALK_H

#include "trace/images.h"

/* The images of this process, as long as somebody notes them (nettrace/modules.h). */
extern struct images hm_process_images;

/* Return addresses, from the caller's on; how many.  x86: none. */
unsigned hm_walk(uint64_t *frame, unsigned most);

#endif
