/*
 * table.c - see table.h
 */
#include "report/table.h"

#include <stdlib.h>
#include <time.h>

static uint32_t home_of(const struct table *table, uint64_t key)
{
    key = (key ^ table->seed) * 0x9E3779B97F4A7C15u;
    key = (key ^ key >> 32) * (table->seed | 1);
    return (uint32_t)((key >> 32) * table->capacity >> 32);
}

/* Which no file knows that is made to have all its keys in one place. */
static uint64_t seed_of(const void *memory)
{
    const uint64_t seed = (uintptr_t)memory ^ (uint64_t)time(NULL) << 32 ^ (uint64_t)clock() << 16;
    return (seed ^ seed >> 31) * 0xBF58476D1CE4E5B9u;
}

/* Where the key is, or would go. There is always a free entry. */
static struct table_entry *entry_of(const struct table *table, uint64_t key)
{
    uint32_t at = home_of(table, key);

    while (table->entries[at].used && table->entries[at].key != key)
        at = (at + 1) & (table->capacity - 1);
    return &table->entries[at];
}

uint32_t *hm_table_find(const struct table *table, uint64_t key)
{
    struct table_entry *entry = table->capacity == 0 ? NULL : entry_of(table, key);
    return entry && entry->used ? &entry->value : NULL;
}

static bool grow(struct table *table)
{
    struct table larger = {.capacity = table->capacity == 0 ? 64 : table->capacity * 2,
                           .count = table->count};

    larger.entries = calloc(larger.capacity, sizeof *larger.entries);
    if (!larger.entries)
        return false;
    larger.seed = seed_of(larger.entries);
    for (uint32_t i = 0; i < table->capacity; i++)
        if (table->entries[i].used)
            *entry_of(&larger, table->entries[i].key) = table->entries[i];
    free(table->entries);
    *table = larger;
    return true;
}

uint32_t *hm_table_add(struct table *table, uint64_t key, uint32_t limit)
{
    uint32_t *value = hm_table_find(table, key);

    if (value)
        return value;
    if (table->count >= limit)
        return NULL;
    if (table->count >= table->capacity / 4 * 3 && !grow(table))
        return NULL;
    struct table_entry *entry = entry_of(table, key);
    *entry = (struct table_entry){.key = key, .used = true};
    table->count++;
    return &entry->value;
}

/* An entry behind it moves into the hole where it would not be found any more, and leaves one of its own. */
void hm_table_remove(struct table *table, uint64_t key)
{
    if (!hm_table_find(table, key))
        return;
    const uint32_t mask = table->capacity - 1;
    uint32_t hole = (uint32_t)(entry_of(table, key) - table->entries);

    for (uint32_t at = (hole + 1) & mask; table->entries[at].used; at = (at + 1) & mask) {
        const uint32_t home = home_of(table, table->entries[at].key);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            table->entries[hole] = table->entries[at];
            hole = at;
        }
    }
    table->entries[hole].used = false;
    table->count--;
}

void hm_table_clear(struct table *table)
{
    free(table->entries);
    *table = (struct table){0};
}
