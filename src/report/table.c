/*
 * table.c - see table.h
 */
#include "report/table.h"

#include <stdlib.h>

static uint32_t home_of(const struct table *table, uint64_t key)
{
    key ^= key >> 29; /* bases of regions differ in the middle only */
    key *= 0x9E3779B97F4A7C15u;
    return (uint32_t)(key >> 32) & (table->capacity - 1);
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

/* The entries behind it that would not be found any more are put anew. */
void hm_table_remove(struct table *table, uint64_t key)
{
    if (!hm_table_find(table, key))
        return;
    struct table_entry *hole = entry_of(table, key);
    uint32_t at = (uint32_t)(hole - table->entries);

    hole->used = false;
    table->count--;
    for (;;) {
        at = (at + 1) & (table->capacity - 1);
        if (!table->entries[at].used)
            return;
        const struct table_entry moved = table->entries[at];
        table->entries[at].used = false;
        *entry_of(table, moved.key) = moved;
    }
}

void hm_table_clear(struct table *table)
{
    free(table->entries);
    *table = (struct table){0};
}
