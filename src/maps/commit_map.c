/*
 * commit_map.c - words of page bits, found through at most one directory
 */
#include "maps/commit_map.h"

#include "maps/compiler.h"
#include "maps/least.h"

enum {
    WORD_PAGES = 64,
    ROW_WORDS = 32,
    STRIPE_PAGES = 16384, /* 64 MiB */
    STRIPE_WORDS = STRIPE_PAGES / WORD_PAGES,
    STRIPE_ROWS = STRIPE_WORDS / ROW_WORDS,
    STRIPE_BYTES = STRIPE_WORDS * sizeof(uint64_t)
};

/* Words are in rows, each of two sectors. */
struct row {
    _Atomic uint32_t version[2];
    _Atomic uint64_t word[ROW_WORDS];
};

/* Pool items are rows, the last one perhaps shorter, or a directory.  Free ones are zero, but for the pool's link in the
 * first four bytes. */
enum { HEAD = offsetof(struct row, word) };
_Static_assert(HEAD == offsetof(struct directory, stripe), "classes are for both");

static size_t class_bytes(unsigned c)
{
    return (size_t)32 << 2 * c;
}

static unsigned class_for(size_t bytes)
{
    unsigned c = 0;
    while (class_bytes(c) < bytes)
        c++;
    return c;
}

static unsigned class_rows(unsigned c)
{
    size_t words = class_bytes(c) / sizeof(uint64_t);
    return words <= ROW_WORDS ? 1 : (unsigned)(words / ROW_WORDS);
}

void hm_bit_store_init(struct bit_store *store, _Atomic uint64_t *metadata)
{
    for (unsigned c = 0; c < BIT_STORE_CLASSES; c++) {
        size_t heads = class_rows(c) <= STRIPE_ROWS ? class_rows(c) : 1; /* beyond, only directories */
        uint32_t first = c < 4 ? 512u >> 2 * c : 1;
        hm_pool_init(&store->classes[c], (uint32_t)(heads * HEAD + class_bytes(c)), first, metadata);
    }
}

void hm_bit_store_destroy(struct bit_store *store)
{
    for (unsigned c = 0; c < BIT_STORE_CLASSES; c++)
        hm_pool_destroy(&store->classes[c]);
}

/* Of items for bits or pointers of `bytes`. */
static struct pool *pool_for(struct bit_store *store, size_t bytes)
{
    return &store->classes[class_for(bytes)];
}

static void *take_item(struct bit_store *store, size_t bytes)
{
    struct pool *pool = pool_for(store, bytes);
    uint32_t number = hm_pool_take(pool);
    return number == 0 ? NULL : pool_item(pool, number);
}

static void give_item(struct bit_store *store, void *item, size_t bytes)
{
    struct pool *pool = pool_for(store, bytes);
    hm_pool_give(pool, hm_pool_number(pool, item));
}

/* No bit is set. */
static void give_rows(struct bit_store *store, struct row *rows, size_t bytes)
{
    for (unsigned r = 0; r < class_rows(class_for(bytes)); r++)
        for (unsigned v = 0; v < 2; v++)
            atomic_store_explicit(&rows[r].version[v], 0, memory_order_relaxed);
    give_item(store, rows, bytes);
}

static uint64_t stripe_count(uint64_t pages)
{
    return (pages + STRIPE_PAGES - 1) / STRIPE_PAGES;
}

static size_t directory_bytes(uint64_t pages)
{
    return (size_t)stripe_count(pages) * sizeof(void *);
}

static size_t bits_bytes(uint64_t pages)
{
    return (size_t)((pages + WORD_PAGES - 1) / WORD_PAGES * sizeof(uint64_t));
}

static struct row *stripe_of(const struct commit_map *map, uint64_t page)
{
    return atomic_load_explicit(&map->directory->stripe[page / STRIPE_PAGES], memory_order_acquire);
}

bool hm_commit_map_init(struct commit_map *map, struct bit_store *store, uint64_t pages)
{
    if (pages <= WORD_PAGES) {
        atomic_init(&map->word, 0);
        atomic_init(&map->version, 0);
        return true;
    }
    if (pages <= STRIPE_PAGES) {
        map->rows = take_item(store, bits_bytes(pages));
        return map->rows != NULL;
    }
    map->directory = take_item(store, directory_bytes(pages));
    return map->directory != NULL;
}

bool hm_commit_map_prepare(struct commit_map *map, struct bit_store *store, uint64_t pages, uint64_t first,
                           uint64_t count)
{
    if (pages <= STRIPE_PAGES || count == 0)
        return true;
    struct pool *stripes = pool_for(store, STRIPE_BYTES);
    for (uint64_t s = first / STRIPE_PAGES; s <= (first + count - 1) / STRIPE_PAGES; s++)
        if (pool_node(&map->directory->stripe[s], stripes) == NULL)
            return false;
    return true;
}

/* Of the stripe that `page` is in; NULL: it was never touched. */
static inline struct row *rows_of(const struct commit_map *map, uint64_t pages, uint64_t page)
{
    return pages <= STRIPE_PAGES ? map->rows : stripe_of(map, page);
}

/* The word that holds `page`; NULL: its stripe was never touched. */
static inline _Atomic uint64_t *word_of(struct commit_map *map, uint64_t pages, uint64_t page)
{
    if (pages <= WORD_PAGES)
        return &map->word;
    struct row *rows = rows_of(map, pages, page);
    uint64_t word = page % STRIPE_PAGES / WORD_PAGES;
    return rows == NULL ? NULL : &rows[word / ROW_WORDS].word[word % ROW_WORDS];
}

enum operation { SET, CLEAR, COUNT, EMPTY };

/* On `count` bits of one word, from `bit` on. */
static inline uint64_t apply_to_word(_Atomic uint64_t *word, unsigned bit, uint64_t count,
                                     enum operation operation)
{
    uint64_t mask = (UINT64_MAX >> (WORD_PAGES - count)) << bit;
    uint64_t hit;
    if (operation == SET)
        hit = mask & ~atomic_fetch_or_explicit(word, mask, memory_order_acq_rel);
    else if (operation == CLEAR)
        hit = mask & atomic_fetch_and_explicit(word, ~mask, memory_order_acq_rel);
    else
        hit = mask & atomic_load_explicit(word, memory_order_acquire);
    if (operation == EMPTY && hit != 0) /* nobody else is there */
        atomic_store_explicit(word, 0, memory_order_relaxed);
    if (hit == mask || hit == 0) /* mostly so: a call less */
        return hit == 0 ? 0 : count;
    return count_bits(hit);
}

static inline uint64_t apply(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count,
                             enum operation operation)
{
    uint64_t turned = 0;
    uint64_t end = first + count;
    while (first < end) {
        _Atomic uint64_t *word = word_of(map, pages, first);
        if (word == NULL) {
            first = (first / STRIPE_PAGES + 1) * STRIPE_PAGES;
            continue;
        }
        unsigned bit = (unsigned)(first % WORD_PAGES);
        uint64_t n = least(WORD_PAGES - bit, end - first);
        turned += apply_to_word(word, bit, n, operation);
        first += n;
    }
    return turned;
}

uint64_t hm_commit_map_set(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count)
{
    return apply(map, pages, first, count, SET);
}

uint64_t hm_commit_map_clear(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count)
{
    return apply(map, pages, first, count, CLEAR);
}

uint64_t hm_commit_map_count(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count)
{
    return apply(map, pages, first, count, COUNT);
}

/* Of the sector that `page` is in; NULL: its stripe was never touched. */
static inline _Atomic uint32_t *version_of(struct commit_map *map, uint64_t pages, uint64_t page)
{
    if (pages <= WORD_PAGES)
        return &map->version;
    struct row *rows = rows_of(map, pages, page);
    unsigned sector = (unsigned)(page % STRIPE_PAGES / SECTOR_PAGES);
    return rows == NULL ? NULL : &rows[sector / 2].version[sector % 2];
}

uint32_t hm_commit_map_versions(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count,
                                uint32_t amount)
{
    uint32_t sum = 0;
    for (uint64_t page = first; page < first + count; page = (page / SECTOR_PAGES + 1) * SECTOR_PAGES) {
        _Atomic uint32_t *version = version_of(map, pages, page);
        if (version == NULL)
            continue;
        sum += amount == 0 ? atomic_load_explicit(version, memory_order_acquire)
                           : atomic_fetch_add_explicit(version, amount, memory_order_acq_rel);
    }
    return sum;
}

uint64_t hm_commit_map_clear_all(struct commit_map *map, struct bit_store *store, uint64_t pages)
{
    uint64_t set = 0;
    if (pages <= STRIPE_PAGES) {
        set = apply(map, pages, 0, pages, EMPTY);
        if (pages > WORD_PAGES)
            give_rows(store, map->rows, bits_bytes(pages));
        return set;
    }
    struct directory *directory = map->directory;
    for (uint64_t s = 0, stripes = stripe_count(pages); s < stripes; s++) {
        struct row *stripe = atomic_load_explicit(&directory->stripe[s], memory_order_relaxed);
        if (stripe == NULL)
            continue;
        set += apply(map, pages, s * STRIPE_PAGES, STRIPE_PAGES, EMPTY);
        atomic_store_explicit(&directory->stripe[s], NULL, memory_order_relaxed);
        give_rows(store, stripe, STRIPE_BYTES);
    }
    give_item(store, directory, directory_bytes(pages));
    return set;
}

/* Is it an item that was taken before? */
static bool check_item(const struct bit_store *store, const void *item, size_t bytes,
                       uint32_t arrays[BIT_STORE_CLASSES])
{
    unsigned class = class_for(bytes);
    if (hm_pool_number(&store->classes[class], item) == 0)
        return false;
    arrays[class]++;
    return true;
}

bool hm_commit_map_check(const struct commit_map *map, const struct bit_store *store, uint64_t pages,
                         uint32_t arrays[BIT_STORE_CLASSES])
{
    uint64_t end = (pages + WORD_PAGES - 1) / WORD_PAGES * WORD_PAGES;
    if (pages > STRIPE_PAGES) {
        end = stripe_count(pages) * STRIPE_PAGES;
        if (!check_item(store, map->directory, directory_bytes(pages), arrays))
            return false;
        for (uint64_t at = 0; at < pages; at += STRIPE_PAGES) {
            const struct row *stripe = stripe_of(map, at);
            if (stripe != NULL && !check_item(store, stripe, STRIPE_BYTES, arrays))
                return false;
        }
    } else if (pages > WORD_PAGES && !check_item(store, map->rows, bits_bytes(pages), arrays)) {
        return false;
    }
    struct commit_map *bits = (struct commit_map *)map; /* only to count */
    return apply(bits, pages, pages, end - pages, COUNT) == 0;
}
