/*
 * sites.c - see sites.h
 */
#include "report/sites.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SITES_MAX = 4096, STACKS_MAX = 1 << 18, IMAGES_MAX = 4096 };

static uint64_t hash_of(const uint64_t *frames, uint32_t depth)
{
    uint64_t hash = 0xCBF29CE484222325u + depth;

    for (uint32_t i = 0; i < depth; i++) {
        hash = (hash ^ frames[i]) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 32;
    }
    return hash;
}

static bool is_same(const struct site *site, const struct site *other)
{
    return site->depth == other->depth &&
           memcmp(site->frames, other->frames, site->depth * sizeof *site->frames) == 0;
}

/* Its index; 0: there is no room. */
static uint32_t intern(struct sites *sites, const struct site *wanted)
{
    uint32_t *index = hm_table_add(&sites->by_hash, wanted->hash, SITES_MAX);

    if (!index)
        return 0;
    if (*index != 0)
        return is_same(&sites->list[*index], wanted) ? *index : 0;
    if (sites->count + 1 >= sites->capacity) {
        const uint32_t capacity = sites->capacity == 0 ? 64 : sites->capacity * 2;
        struct site *list = realloc(sites->list, capacity * sizeof *list);
        if (!list) {
            hm_table_remove(&sites->by_hash, wanted->hash);
            return 0;
        }
        if (sites->capacity == 0)
            list[0] = (struct site){0};
        sites->list = list;
        sites->capacity = capacity;
    }
    sites->list[++sites->count] = *wanted;
    *index = sites->count;
    return *index;
}

void hm_sites_stack(struct sites *sites, uint32_t id, struct bytes addresses, unsigned pointer_size)
{
    struct site site = {0};

    while (site.depth < SITE_FRAMES_MAX && bytes_left(&addresses) >= pointer_size)
        site.frames[site.depth++] = take_uint(&addresses, pointer_size);
    if (site.depth == 0)
        return;
    site.hash = hash_of(site.frames, site.depth);
    const uint32_t index = intern(sites, &site);
    uint32_t *known = index == 0 ? NULL : hm_table_add(&sites->by_stack, id, STACKS_MAX);
    if (known)
        *known = index;
    else
        sites->left_out++;
}

void hm_sites_forget_ids(struct sites *sites)
{
    hm_table_clear(&sites->by_stack);
}

uint32_t hm_sites_of_stack(const struct sites *sites, uint32_t id)
{
    const uint32_t *index = hm_table_find(&sites->by_stack, id);
    return index ? *index : 0;
}

void hm_sites_image(struct sites *sites, uint64_t start, uint64_t end, uint64_t name)
{
    if (sites->image_count == IMAGES_MAX || start >= end)
        return;
    if (sites->image_count == sites->image_capacity) {
        const uint32_t capacity = sites->image_capacity == 0 ? 64 : sites->image_capacity * 2;
        struct image *images = realloc(sites->images, capacity * sizeof *images);
        if (!images)
            return;
        sites->images = images;
        sites->image_capacity = capacity;
    }
    sites->images[sites->image_count++] = (struct image){start, end, name};
}

/* Of a path of either kind. */
static const char *file_name(const char *path)
{
    const char *name = path;

    for (; *path; path++)
        if (*path == '/' || *path == '\\')
            name = path + 1;
    return name;
}

void hm_sites_frame(const struct sites *sites, const char *(*text)(const void *context, uint64_t index),
                    const void *context, uint64_t address, char name[SITE_NAME_MAX])
{
    for (uint32_t i = sites->image_count; i-- > 0;) { /* the last that was there */
        const struct image *image = &sites->images[i];
        if (address < image->start || address >= image->end)
            continue;
        const char *file = file_name(text(context, image->name));
        snprintf(name, SITE_NAME_MAX, "%.80s+0x%" PRIx64, *file ? file : "?", address - image->start);
        return;
    }
    snprintf(name, SITE_NAME_MAX, "0x%" PRIx64, address);
}

void hm_sites_clear(struct sites *sites)
{
    free(sites->list);
    free(sites->images);
    hm_table_clear(&sites->by_hash);
    hm_table_clear(&sites->by_stack);
    *sites = (struct sites){0};
}
