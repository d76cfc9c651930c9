/*
 * table.h - numbers by number: a hash table with open addressing that grows up to a limit of its own
 *
 * The limit is what keeps a hostile file from having all memory: beyond it a new key is not taken. Where keys go, a file
 * cannot know, or it would have all the time.
 */
#ifndef HOSTMEM_REPORT_TABLE_H
#define HOSTMEM_REPORT_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct table_entry {
    uint64_t key;
    uint32_t value;
    bool used;
};

struct table {
    struct table_entry *entries;
    uint32_t capacity, count; /* capacity: 0 or a power of 2 */
    uint64_t seed;            /* of where a key goes */
};

/* NULL: there is none. */
uint32_t *hm_table_find(const struct table *table, uint64_t key);

/* The value of the key, a new one being 0; NULL: there are `limit` of them already, or there is no memory. */
uint32_t *hm_table_add(struct table *table, uint64_t key, uint32_t limit);

void hm_table_remove(struct table *table, uint64_t key);
void hm_table_clear(struct table *table); /* frees everything */

#endif
