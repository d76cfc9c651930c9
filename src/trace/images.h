/*
 * images.h - images in memory, with what a walk up the stack needs of them
 *
 * Read by any thread, without a lock.  A place is taken once and never again for another image, so whoever has found one
 * reads of it what belongs together; when all are taken images are not noted any more, and stacks end there.
 */
#ifndef HOSTMEM_TRACE_IMAGES_H
#define HOSTMEM_TRACE_IMAGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { IMAGES_MOST = 1024 };

/* As the unwind data of x64 has it: offsets from the image's base. */
struct unwind_function {
    uint32_t begin, end, info;
};

struct image {
    _Atomic uint64_t base; /* 0: not there yet, or unloaded */
    uint32_t bytes;
    uint32_t functions;
    const struct unwind_function *function; /* sorted */
};

struct images {
    _Atomic uint32_t taken;
    struct image image[IMAGES_MOST];
};

/* While the image cannot be unloaded.  One that is there already is not added again. */
void hm_images_add(struct images *images, uint64_t base, uint32_t bytes,
                   const struct unwind_function *function, uint32_t functions);

/* Before it is unloaded, or when it is known to be gone. */
void hm_images_remove(struct images *images, uint64_t base);

/* The one that an address lies in, or NULL. */
const struct image *hm_images_find(const struct images *images, uint64_t address);

#endif
