/*
 * commit_map.h - which pages of a region are committed
 *
 * One bit a page, changed a word at a time by atomic or / and-not; each change tells how many bits it turned,
 * so that any number of threads committing overlapping ranges together count every page once.
 *
 *      up to 64 pages        the word itself
 *      up to 64 MiB          words, in rows of 32
 *      beyond                a directory of such rows (stripes of 64 MiB), made as they are touched
 *
 * Each sector of 4 MiB has a version beside its bits, which the map's user advances (memory/overlap.h).
 */
#ifndef HOSTMEM_MAPS_COMMIT_MAP_H
#define HOSTMEM_MAPS_COMMIT_MAP_H

#include "maps/pool.h"

/* Bits or pointers in 32 bytes << 2c: a directory for 32 TiB has 524,288 pointers. */
enum { BIT_STORE_CLASSES = 10 };

enum { SECTOR_PAGES = 1024 }; /* 4 MiB, as the regions of a GC heap are */

struct bit_store {
    struct pool classes[BIT_STORE_CLASSES];
};

struct row; /* of words */

struct directory {
    uint64_t unused;
    _Atomic(void *) stripe[]; /* a struct row *; NULL: nothing committed there */
};

struct commit_map {
    union {
        _Atomic uint64_t word;
        struct row *rows;
        struct directory *directory;
    };
    _Atomic uint32_t version; /* beside the word */
};

void hm_bit_store_init(struct bit_store *store, _Atomic uint64_t *metadata);
void hm_bit_store_destroy(struct bit_store *store);

/* An empty map for `pages` pages.  Every other call is given the same `pages`.  False: no memory. */
bool hm_commit_map_init(struct commit_map *map, struct bit_store *store, uint64_t pages);

/* Give back what init and prepare took; returns how many bits were still set.  Nobody else may use the
 * map. */
uint64_t hm_commit_map_clear_all(struct commit_map *map, struct bit_store *store, uint64_t pages);

/* Get the memory that set needs for the range, so that set cannot fail.  False: no memory. */
bool hm_commit_map_prepare(struct commit_map *map, struct bit_store *store, uint64_t pages, uint64_t first,
                           uint64_t count);

/*
 * Is the map's memory what its size says, and no bit set beyond its pages?  Adds to `arrays` how many arrays of each
 * class it has taken.
 */
bool hm_commit_map_check(const struct commit_map *map, const struct bit_store *store, uint64_t pages,
                         uint32_t arrays[BIT_STORE_CLASSES]);

/* How many bits were turned (set, clear), or are set (count), in [first, first + count) within `pages`. */
uint64_t hm_commit_map_set(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count);
uint64_t hm_commit_map_clear(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count);
uint64_t hm_commit_map_count(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count);

/*
 * The sum of the versions of all sectors that the range touches; each is advanced by `amount` (0: only looked at).  They
 * begin at 0, and stay there where nothing was prepared yet.
 */
uint32_t hm_commit_map_versions(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count,
                                uint32_t amount);

#endif
