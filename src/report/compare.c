/*
 * compare.c - see compare.h
 *
 * Sites of two processes are the same if their stacks have the same names: images lie elsewhere each time.
 */
#include "report/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const void *context, uint64_t index)
{
    return hm_schema_text(context, index);
}

void hm_site_name(const struct model *model, const struct site *site, unsigned frames, const char *between,
                  char name[SITE_KEY_MAX])
{
    size_t length = 0;

    name[0] = 0;
    for (unsigned i = 0; i < frames && i < site->depth; i++) {
        char frame[SITE_NAME_MAX];
        hm_sites_frame(&model->sites, text_of, &model->schema, site->frames[i], frame);
        if (length + strlen(between) + strlen(frame) >= SITE_KEY_MAX)
            return;
        length +=
            (size_t)snprintf(name + length, SITE_KEY_MAX - length, "%s%s", i == 0 ? "" : between, frame);
    }
}

struct by_bytes {
    uint64_t committed, reserved;
    uint32_t index;
};

static int most_first(const void *left, const void *right)
{
    const struct by_bytes *a = left, *b = right;

    if (a->committed != b->committed)
        return a->committed > b->committed ? -1 : 1;
    if (a->reserved != b->reserved)
        return a->reserved > b->reserved ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

uint32_t *hm_sites_by_bytes(const struct sites *sites)
{
    const uint32_t count = sites->count;
    struct by_bytes *rows = count == 0 ? NULL : malloc(count * sizeof *rows);
    uint32_t *order = count == 0 ? NULL : malloc(count * sizeof *order);

    if (rows && order) {
        for (uint32_t i = 0; i < count; i++)
            rows[i] = (struct by_bytes){sites->list[i + 1].committed, sites->list[i + 1].reserved, i + 1};
        qsort(rows, count, sizeof *rows, most_first);
        for (uint32_t i = 0; i < count; i++)
            order[i] = rows[i].index;
    } else {
        free(order);
        order = NULL;
    }
    free(rows);
    return order;
}

/* ------------------------------------------------------------------------------------------------------ two traces */

struct named {
    char *name;
    uint32_t index; /* of the site; 0: there is none left */
};

static int by_name(const void *left, const void *right)
{
    const struct named *a = left, *b = right;
    const int order = strcmp(a->name, b->name);
    return order != 0 ? order : a->index < b->index ? -1 : a->index > b->index;
}

static void names_clear(struct named *names, uint32_t count)
{
    for (uint32_t i = 0; names && i < count; i++)
        free(names[i].name);
    free(names);
}

/* All groups by name; NULL: no memory. */
static struct named *names_of(const struct model *model, const struct sites *groups)
{
    const uint32_t count = groups->count;
    struct named *names = calloc(count + 1, sizeof *names);

    for (uint32_t i = 0; names && i < count; i++) {
        char name[SITE_KEY_MAX];
        hm_site_name(model, &groups->list[i + 1], GROUP_FRAMES, ";", name);
        const size_t size = strlen(name) + 1;
        names[i] = (struct named){malloc(size), i + 1};
        if (!names[i].name) {
            names_clear(names, count);
            return NULL;
        }
        memcpy(names[i].name, name, size);
    }
    if (names)
        qsort(names, count, sizeof *names, by_name);
    return names;
}

static uint64_t size_of(int64_t difference)
{
    return difference < 0 ? 0 - (uint64_t)difference : (uint64_t)difference;
}

static int most_different_first(const void *left, const void *right)
{
    const struct site_pair *a = left, *b = right;
    const uint64_t of_a = size_of(a->committed), of_b = size_of(b->committed);

    if (of_a != of_b)
        return of_a > of_b ? -1 : 1;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return a->second < b->second ? -1 : a->second > b->second;
}

static uint64_t committed_by(const struct sites *groups, uint32_t index)
{
    return index == 0 ? 0 : groups->list[index].committed;
}

bool hm_compare_sites(struct site_pairs *pairs, const struct model *first, const struct model *second)
{
    const struct model *models[2] = {first, second};
    struct named *names[2];
    uint32_t at[2] = {0, 0};

    *pairs = (struct site_pairs){0};
    for (unsigned i = 0; i < 2; i++) {
        hm_sites_group(&pairs->groups[i], &models[i]->sites, GROUP_FRAMES);
        names[i] = names_of(models[i], &pairs->groups[i]);
    }
    const uint32_t counts[2] = {pairs->groups[0].count, pairs->groups[1].count};
    pairs->list = malloc((counts[0] + counts[1] + 1) * sizeof *pairs->list);
    const bool done = names[0] && names[1] && pairs->list;
    while (done && (at[0] < counts[0] || at[1] < counts[1])) {
        const int order = at[0] == counts[0]   ? 1
                          : at[1] == counts[1] ? -1
                                               : strcmp(names[0][at[0]].name, names[1][at[1]].name);
        struct site_pair *pair = &pairs->list[pairs->count++];
        pair->first = order <= 0 ? names[0][at[0]++].index : 0;
        pair->second = order >= 0 ? names[1][at[1]++].index : 0;
        pair->committed = (int64_t)(committed_by(&pairs->groups[1], pair->second) -
                                    committed_by(&pairs->groups[0], pair->first));
    }
    names_clear(names[0], counts[0]);
    names_clear(names[1], counts[1]);
    if (done)
        qsort(pairs->list, pairs->count, sizeof *pairs->list, most_different_first);
    return done;
}

void hm_pairs_clear(struct site_pairs *pairs)
{
    free(pairs->list);
    hm_sites_clear(&pairs->groups[0]);
    hm_sites_clear(&pairs->groups[1]);
    *pairs = (struct site_pairs){0};
}
