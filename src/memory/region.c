/*
 * region.c - records in and out of the table, and the state word
 */
#include "memory/region.h"

#define LIVE          ((uint64_t)1)
#define CHANGE_ONE    ((uint64_t)1 << 1)
#define COMMIT_ONE    ((uint64_t)1 << 15)
#define CHANGE_ENDED  ((uint64_t)1 << 29)
#define COMMIT_ENDED  ((uint64_t)1 << 46)
#define CHANGES       (COMMIT_ONE - CHANGE_ONE)
#define COMMITS       (CHANGE_ENDED - COMMIT_ONE)
#define CHANGES_ENDED (COMMIT_ENDED - CHANGE_ENDED)
#define COMMITS_ENDED (~(COMMIT_ENDED - 1))

void region_table_init(struct region_table *table, struct stats *stats)
{
    table->stats = stats;
    region_map_init(&table->map, &stats->metadata);
    bit_store_init(&table->bits, &stats->metadata);
    pool_init(&table->records, sizeof(struct region), 1024, &stats->metadata);
}

void region_table_destroy(struct region_table *table)
{
    pool_destroy(&table->records);
    bit_store_destroy(&table->bits);
    region_map_destroy(&table->map);
}

static struct region *record(const struct region_table *table, uint32_t number)
{
    return pool_item(&table->records, number);
}

uint32_t region_find(const struct region_table *table, uint64_t address, uint64_t *geometry)
{
    uint32_t number = region_map_find(&table->map, address);
    while (number != 0) {
        uint64_t word = atomic_load_explicit(&record(table, number)->geometry, memory_order_acquire);
        uint32_t again = region_map_find(&table->map, address);
        if (again == number) {
            *geometry = word;
            return geometry_has(word, address) ? number : 0;
        }
        number = again;
    }
    return 0;
}

unsigned region_kind_at(const struct region_table *table, uint64_t address)
{
    uint64_t geometry;
    uint32_t number = region_find(table, address, &geometry);
    return number == 0 ? 0 : record(table, number)->kind;
}

uint32_t region_take(struct region_table *table)
{
    return pool_take(&table->records);
}

void region_give(struct region_table *table, uint32_t number)
{
    pool_give(&table->records, number);
}

static struct gauge *size_gauge(struct region_table *table, const struct region *region)
{
    return region->kind == HOSTMEM_REGION_VIEW ? &table->stats->mapped : &table->stats->reserved;
}

static _Atomic uint64_t *kind_counter(struct region_table *table, const struct region *region)
{
    return region->kind == HOSTMEM_REGION_VIEW ? &table->stats->views : &table->stats->regions;
}

/* Nobody can find the record and nobody is in it: refund and recycle. */
static void recycle(struct region_table *table, struct region *region, uint32_t number)
{
    uint64_t pages = geometry_pages(atomic_load_explicit(&region->geometry, memory_order_relaxed));
    if (region->kind == HOSTMEM_REGION_PRIVATE)
        gauge_sub(&table->stats->committed, commit_map_clear_all(&region->commit, &table->bits, pages)
                                                << PAGE_SHIFT);
    gauge_sub(size_gauge(table, region), pages << PAGE_SHIFT);
    atomic_fetch_sub_explicit(kind_counter(table, region), 1, memory_order_relaxed);
    atomic_store_explicit(&region->geometry, 0, memory_order_relaxed);
    region_give(table, number);
}

static void drop_stale(struct region_table *table, uint64_t granule, uint64_t granules)
{
    uint32_t number;
    while ((number = region_map_first(&table->map, granule, granules)) != 0) {
        struct region_hold hold;
        if (!region_enter_number(table, number, &hold)) {
            /* Its releaser is between taking LIVE away and erasing; our own entry overwrites what it leaves, and
             * its erasing spares our entry. */
            return;
        }
        if (region_unpublish(table, &hold)) {
            /* A view that was unmapped and not yet reported is in order (contract 3.6). */
            if (hold.region->kind == HOSTMEM_REGION_PRIVATE)
                stats_bump(&table->stats->stale_regions);
        }
        region_leave_unchanged(table, &hold);
    }
}

bool region_publish(struct region_table *table, uint32_t number, const struct region_origin *origin)
{
    struct region *region = record(table, number);
    uint64_t granule = origin->base >> GRANULE_SHIFT;
    uint64_t geometry = granule << 33 | origin->pages;
    uint64_t granules = geometry_granules(geometry);
    if (origin->pages == 0 || origin->pages > REGION_MAX_PAGES ||
        !region_map_prepare(&table->map, granule, granules))
        return false;
    if (origin->kind == HOSTMEM_REGION_PRIVATE) {
        if (!commit_map_init(&region->commit, &table->bits, origin->pages))
            return false;
        if (origin->committed) {
            if (!commit_map_prepare(&region->commit, &table->bits, origin->pages, 0, origin->pages)) {
                commit_map_clear_all(&region->commit, &table->bits, origin->pages);
                return false;
            }
            commit_map_set(&region->commit, origin->pages, 0, origin->pages);
            gauge_add(&table->stats->committed, origin->pages << PAGE_SHIFT);
        }
    }
    region->kind = (uint8_t)origin->kind;
    region->level = (uint8_t)(origin->level > HOSTMEM_LEVEL_NONE ? HOSTMEM_LEVEL_NONE : origin->level);
    region->allocation_type = origin->type;
    region->allocation_protect = origin->protect;
    gauge_add(size_gauge(table, region), origin->pages << PAGE_SHIFT);
    stats_bump(kind_counter(table, region));

    drop_stale(table, granule, granules);
    atomic_store_explicit(&region->geometry, geometry, memory_order_release);
    uint64_t state = atomic_load_explicit(&region->state, memory_order_relaxed);
    atomic_store_explicit(&region->state, state | LIVE, memory_order_release);
    region_map_publish(&table->map, granule, granules, number);
    return true;
}

static uint64_t use_one(enum region_use use)
{
    return use == REGION_COMMIT ? COMMIT_ONE : CHANGE_ONE;
}

/* The state with this hold's work ended. */
static uint64_t ended(enum region_use use, uint64_t state)
{
    return use == REGION_COMMIT ? state - COMMIT_ONE + COMMIT_ENDED : state - CHANGE_ONE + CHANGE_ENDED;
}

bool region_enter_number(struct region_table *table, uint32_t number, struct region_hold *hold)
{
    struct region *region = record(table, number);
    uint64_t state = atomic_load_explicit(&region->state, memory_order_relaxed);
    do {
        if (!(state & LIVE))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&region->state, &state, state + COMMIT_ONE,
                                                    memory_order_acq_rel, memory_order_relaxed));
    *hold = (struct region_hold){.region = region,
                                 .number = number,
                                 .use = REGION_COMMIT,
                                 .entered = state + COMMIT_ONE,
                                 .geometry = atomic_load_explicit(&region->geometry, memory_order_acquire)};
    return true;
}

bool region_enter(struct region_table *table, uint64_t address, enum region_use use, struct region_hold *hold)
{
    for (;;) {
        uint64_t geometry;
        uint32_t number = region_find(table, address, &geometry);
        if (number == 0)
            return false;
        struct region *region = record(table, number);
        uint64_t state = atomic_load_explicit(&region->state, memory_order_relaxed);
        do {
            if (!(state & LIVE))
                return false;
        } while (!atomic_compare_exchange_weak_explicit(&region->state, &state, state + use_one(use),
                                                        memory_order_acq_rel, memory_order_relaxed));
        *hold = (struct region_hold){.region = region,
                                     .number = number,
                                     .use = use,
                                     .entered = state + use_one(use),
                                     .geometry = geometry};
        /* Held now, but the record may have been recycled just before. */
        if (region_map_find(&table->map, address) == number &&
            atomic_load_explicit(&region->geometry, memory_order_acquire) == geometry)
            return true;
        region_leave_unchanged(table, hold);
    }
}

/* Did a call that could have turned this one's bits the other way run beside it? */
static bool overlapped(const struct region_hold *hold, uint64_t now)
{
    uint64_t then = hold->entered;
    bool commits_ended = ((then ^ now) & COMMITS_ENDED) != 0;
    bool changes_ended = ((then ^ now) & CHANGES_ENDED) != 0;
    switch (hold->use) {
    case REGION_COMMIT:
        return changes_ended || ((then | now) & CHANGES) != 0;
    case REGION_CHANGE:
        /* Another change as well: it may be a repair. */
        return commits_ended || changes_ended || ((then | now) & COMMITS) != 0 ||
               (then & CHANGES) != CHANGE_ONE || (now & CHANGES) != CHANGE_ONE;
    case REGION_REPAIR:
        /* Whoever is still at work will see this repair and do its own. */
        return commits_ended || changes_ended;
    }
    return true;
}

static void after_leaving(struct region_table *table, const struct region_hold *hold, uint64_t state)
{
    if (!(state & (LIVE | COMMITS | CHANGES)))
        recycle(table, hold->region, hold->number);
}

bool region_leave(struct region_table *table, struct region_hold *hold)
{
    uint64_t state = atomic_load_explicit(&hold->region->state, memory_order_acquire);
    for (;;) {
        bool repair = (state & LIVE) != 0 && overlapped(hold, state);
        uint64_t wanted = ended(hold->use, state) + (repair ? CHANGE_ONE : 0);
        if (!atomic_compare_exchange_weak_explicit(&hold->region->state, &state, wanted, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        if (repair) {
            hold->use = REGION_REPAIR;
            hold->entered = wanted;
            return true;
        }
        after_leaving(table, hold, wanted);
        return false;
    }
}

void region_leave_unchanged(struct region_table *table, struct region_hold *hold)
{
    uint64_t state =
        atomic_fetch_sub_explicit(&hold->region->state, use_one(hold->use), memory_order_acq_rel);
    after_leaving(table, hold, state - use_one(hold->use));
}

bool region_unpublish(struct region_table *table, struct region_hold *hold)
{
    if (!(atomic_fetch_and_explicit(&hold->region->state, ~LIVE, memory_order_acq_rel) & LIVE))
        return false;
    region_map_erase(&table->map, geometry_base(hold->geometry) >> GRANULE_SHIFT,
                     geometry_granules(hold->geometry), hold->number);
    return true;
}

void region_restore(struct region_table *table, struct region_hold *hold)
{
    region_map_publish(&table->map, geometry_base(hold->geometry) >> GRANULE_SHIFT,
                       geometry_granules(hold->geometry), hold->number);
    atomic_fetch_or_explicit(&hold->region->state, LIVE, memory_order_acq_rel);
}

bool region_prepare_commit(struct region_table *table, struct region_hold *hold, uint64_t first,
                           uint64_t count)
{
    return commit_map_prepare(&hold->region->commit, &table->bits, geometry_pages(hold->geometry), first,
                              count);
}

void region_set_committed(struct region_table *table, struct region_hold *hold, uint64_t first,
                          uint64_t count)
{
    uint64_t pages = geometry_pages(hold->geometry);
    gauge_add(&table->stats->committed, commit_map_set(&hold->region->commit, pages, first, count)
                                            << PAGE_SHIFT);
}

void region_set_decommitted(struct region_table *table, struct region_hold *hold, uint64_t first,
                            uint64_t count)
{
    uint64_t pages = geometry_pages(hold->geometry);
    gauge_sub(&table->stats->committed, commit_map_clear(&hold->region->commit, pages, first, count)
                                            << PAGE_SHIFT);
}

uint64_t region_committed(struct region_hold *hold)
{
    uint64_t pages = geometry_pages(hold->geometry);
    return hold->region->kind == HOSTMEM_REGION_PRIVATE
               ? commit_map_count(&hold->region->commit, pages, 0, pages)
               : 0;
}
