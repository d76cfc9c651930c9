/*
 * compare.h - two traces side by side: what differs by use, by method and by call site
 */
#ifndef HOSTMEM_REPORT_COMPARE_H
#define HOSTMEM_REPORT_COMPARE_H

#include "report/model.h"

enum { SITE_KEY_MAX = 2048, GROUP_FRAMES = 3 };

/* A group of call sites of one trace or of both, by its innermost frames; an index is 0 where it is not. */
struct site_pair {
    uint32_t first, second; /* in `groups` */
    int64_t committed;      /* bytes: of the second less of the first */
};

struct site_pairs {
    struct sites groups[2];
    struct site_pair *list; /* those that differ most come first */
    uint32_t count;
};

/* Indices of the sites, the one that committed most first; NULL: no memory, or there are none. For free(). */
uint32_t *hm_sites_by_bytes(const struct sites *sites);

/* A name for a whole stack, innermost first: what it calls in `frames` lines at most is joined by `between`. */
void hm_site_name(const struct model *model, const struct site *site, unsigned frames, const char *between,
                  char name[SITE_KEY_MAX]);

/* False: no memory. hm_pairs_clear in either case. */
bool hm_compare_sites(struct site_pairs *pairs, const struct model *first, const struct model *second);
void hm_pairs_clear(struct site_pairs *pairs);

#endif
