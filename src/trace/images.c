/*
 * images.c - see images.h
 */
#include "trace/images.h"

#include <stddef.h>

static uint32_t taken(const struct images *images)
{
    const uint32_t count = atomic_load_explicit(&images->taken, memory_order_acquire);
    return count < IMAGES_MOST ? count : IMAGES_MOST;
}

void hm_images_add(struct images *images, uint64_t base, uint32_t bytes,
                   const struct unwind_function *function, uint32_t functions)
{
    for (uint32_t i = taken(images); i-- != 0;)
        if (atomic_load_explicit(&images->image[i].base, memory_order_relaxed) == base)
            return;
    const uint32_t place = atomic_fetch_add_explicit(&images->taken, 1, memory_order_acq_rel);
    if (place >= IMAGES_MOST) {
        atomic_store_explicit(&images->taken, IMAGES_MOST, memory_order_relaxed);
        return;
    }
    struct image *image = &images->image[place];
    image->bytes = bytes;
    image->function = function;
    image->functions = functions;
    atomic_store_explicit(&image->base, base, memory_order_release);
}

void hm_images_remove(struct images *images, uint64_t base)
{
    for (uint32_t i = taken(images); i-- != 0;) {
        uint64_t expected = base;
        atomic_compare_exchange_strong_explicit(&images->image[i].base, &expected, 0, memory_order_relaxed,
                                                memory_order_relaxed);
    }
}

const struct image *hm_images_find(const struct images *images, uint64_t address)
{
    const uint32_t count = taken(images);
    for (uint32_t i = 0; i < count; i++) {
        const struct image *image = &images->image[i];
        const uint64_t base = atomic_load_explicit(&image->base, memory_order_acquire);
        if (base != 0 && address - base < image->bytes)
            return image;
    }
    return NULL;
}
