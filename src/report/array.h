/*
 * array.h - arrays that get longer
 */
#ifndef HOSTMEM_REPORT_ARRAY_H
#define HOSTMEM_REPORT_ARRAY_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/*
 * Room for one more behind `count` items of `size` bytes: the items, which may have moved; NULL: there is no memory, and
 * all is as it was.  At first there is room for `least`, then for twice as many each time.
 */
static inline void *array_room(void *items, uint32_t count, uint32_t *capacity, uint32_t least, size_t size)
{
    const uint32_t larger = *capacity == 0 ? least : *capacity * 2;

    if (count < *capacity)
        return items;
    items = realloc(items, larger * size);
    if (items)
        *capacity = larger;
    return items;
}

#endif
