/*
 * sites.h - who asked: the stacks that events carry, each counted once, and the images that their addresses lie in
 *
 * Names are made at the end, when all images are known: an image and an offset, which are the same in every run of the
 * same files, unlike addresses.
 */
#ifndef HOSTMEM_REPORT_SITES_H
#define HOSTMEM_REPORT_SITES_H

#include "report/bytes.h"
#include "report/regions.h"
#include "report/table.h"

enum { SITE_FRAMES_MAX = 32, SITE_NAME_MAX = 128 };

struct site {
    uint64_t hash, frames[SITE_FRAMES_MAX]; /* innermost first */
    uint32_t depth;
    uint64_t calls, failed;
    uint64_t committed, reserved; /* bytes, by all its calls together */
    uint64_t by_use[USE_COUNT];   /* the committed ones */
    uint64_t stacks;              /* of a group: how many */
    uint64_t held;                /* still committed at the end, in regions that were reserved from here */
};

struct image {
    uint64_t start, end;
    uint64_t name; /* a text of the schema */
};

struct sites {
    struct site *list; /* site 0 is none */
    uint32_t count, capacity;
    struct image *images;
    uint32_t image_count, image_capacity;
    struct table by_hash, by_stack, by_left_out; /* the last: hashes */
    uint64_t left_out;                           /* stacks for which there was no room */
    uint32_t *became;                            /* by index of the sites that these were made of */
    uint32_t became_count;
};

/* A stack of the file, known by `id` until hm_sites_forget_ids. */
void hm_sites_stack(struct sites *sites, uint32_t id, struct bytes addresses, unsigned pointer_size);
void hm_sites_forget_ids(struct sites *sites);
uint32_t hm_sites_of_stack(const struct sites *sites, uint32_t id); /* 0: none */

void hm_sites_image(struct sites *sites, uint64_t start, uint64_t end, uint64_t name);

/* "coreclr.dll+0x1234", or the address. */
void hm_sites_frame(const struct sites *sites, const char *(*text)(const void *context, uint64_t index),
                    const void *context, uint64_t address, char name[SITE_NAME_MAX]);

/* When all is known: frames of the image that every stack begins in, which is the recorder's, go; and what is the same
 * without them becomes one. Indices are others then: hm_sites_became. */
void hm_sites_settle(struct sites *sites);

/* What a site of those that these were made of has become here: its index; 0: it was none, or there was no room. */
uint32_t hm_sites_became(const struct sites *sites, uint32_t index);

/* The same by their innermost frames only; `groups` is empty, and for hm_sites_clear. */
void hm_sites_group(struct sites *groups, const struct sites *sites, unsigned frames);

/* NULL: index 0, of what has none. */
static inline const struct site *sites_at(const struct sites *sites, uint32_t index)
{
    return index == 0 ? NULL : &sites->list[index];
}

void hm_sites_clear(struct sites *sites);

#endif
