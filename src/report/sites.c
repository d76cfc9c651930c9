/*
 * sites.c - see sites.h
 */
#include "report/sites.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/array.h"

enum { SITES_MAX = 4096, STACKS_MAX = 1 << 18, IMAGES_MAX = 4096, LEFT_OUT_MAX = 1 << 18 };

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
    const bool first = sites->capacity == 0;
    struct site *list = array_room(sites->list, sites->count + 1, &sites->capacity, 64, sizeof *list);
    if (!list) {
        hm_table_remove(&sites->by_hash, wanted->hash);
        return 0;
    }
    if (first)
        list[0] = (struct site){0};
    sites->list = list;
    sites->list[++sites->count] = *wanted;
    *index = sites->count;
    return *index;
}

/* The file has a stack anew behind each sequence point; beyond so many it is counted each time. */
static void leave_out(struct sites *sites, uint64_t hash)
{
    uint32_t *known = hm_table_add(&sites->by_left_out, hash, LEFT_OUT_MAX);

    sites->left_out += known == NULL || *known == 0;
    if (known)
        *known = 1;
}

void hm_sites_stack(struct sites *sites, uint32_t id, struct bytes addresses, unsigned pointer_size)
{
    struct site site = {.stacks = 1};

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
        leave_out(sites, site.hash);
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
    struct image *images =
        array_room(sites->images, sites->image_count, &sites->image_capacity, 64, sizeof *images);
    if (!images)
        return;
    sites->images = images;
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

/* The last that was there; NULL: none was. */
static const struct image *image_of(const struct sites *sites, uint64_t address)
{
    for (uint32_t i = sites->image_count; i-- > 0;)
        if (address >= sites->images[i].start && address < sites->images[i].end)
            return &sites->images[i];
    return NULL;
}

void hm_sites_frame(const struct sites *sites, const char *(*text)(const void *context, uint64_t index),
                    const void *context, uint64_t address, char name[SITE_NAME_MAX])
{
    const struct image *image = image_of(sites, address);

    if (!image) {
        snprintf(name, SITE_NAME_MAX, "0x%" PRIx64, address);
        return;
    }
    const char *file = file_name(text(context, image->name));
    snprintf(name, SITE_NAME_MAX, "%.80s+0x%" PRIx64, *file ? file : "?", address - image->start);
}

static bool is_in(const struct image *image, uint64_t address)
{
    return address >= image->start && address < image->end;
}

/* NULL: they do not all begin in the same one. */
static const struct image *recorder_of(const struct sites *sites)
{
    const struct image *image = sites->count < 2 ? NULL : image_of(sites, sites->list[1].frames[0]);

    for (uint32_t i = 2; i <= sites->count && image; i++)
        if (!is_in(image, sites->list[i].frames[0]))
            return NULL;
    return image;
}

static void strip(struct site *site, const struct image *recorder)
{
    uint32_t own = 0;

    while (own < site->depth && is_in(recorder, site->frames[own]))
        own++;
    if (own == site->depth)
        return;
    site->depth -= own;
    memmove(site->frames, site->frames + own, site->depth * sizeof *site->frames);
    site->hash = hash_of(site->frames, site->depth);
}

static void join(struct site *into, const struct site *other)
{
    into->stacks += other->stacks;
    into->calls += other->calls;
    into->failed += other->failed;
    into->committed += other->committed;
    into->reserved += other->reserved;
    into->held += other->held;
    for (unsigned use = 0; use < USE_COUNT; use++)
        into->by_use[use] += other->by_use[use];
}

/* A site of its own, or part of the one that is the same: its index. */
static uint32_t put(struct sites *sites, const struct site *site)
{
    const uint32_t before = sites->count, index = intern(sites, site);

    if (index == 0)
        sites->left_out++;
    else if (sites->count == before)
        join(&sites->list[index], site);
    return index;
}

static void put_all(struct sites *into, const struct sites *from, const struct image *recorder,
                    unsigned frames)
{
    into->became = calloc(from->count + 1, sizeof *into->became);
    into->became_count = from->count;
    for (uint32_t i = 1; i <= from->count; i++) {
        struct site site = from->list[i];
        if (recorder)
            strip(&site, recorder);
        if (site.depth > frames) {
            site.depth = frames;
            site.hash = hash_of(site.frames, frames);
        }
        const uint32_t index = put(into, &site);
        if (into->became)
            into->became[i] = index;
    }
}

void hm_sites_settle(struct sites *sites)
{
    const struct image *recorder = recorder_of(sites);
    struct sites settled = {.left_out = sites->left_out};

    if (!recorder)
        return;
    put_all(&settled, sites, recorder, SITE_FRAMES_MAX);
    settled.images = sites->images;
    settled.image_count = sites->image_count;
    settled.image_capacity = sites->image_capacity;
    sites->images = NULL;
    hm_sites_clear(sites);
    *sites = settled;
}

uint32_t hm_sites_became(const struct sites *sites, uint32_t index)
{
    if (sites->became_count == 0)
        return index; /* nothing has changed */
    return sites->became && index <= sites->became_count ? sites->became[index] : 0;
}

void hm_sites_group(struct sites *groups, const struct sites *sites, unsigned frames)
{
    put_all(groups, sites, NULL, frames);
}

void hm_sites_clear(struct sites *sites)
{
    free(sites->list);
    free(sites->images);
    free(sites->became);
    hm_table_clear(&sites->by_hash);
    hm_table_clear(&sites->by_stack);
    hm_table_clear(&sites->by_left_out);
    *sites = (struct sites){0};
}
