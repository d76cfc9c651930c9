/*
 * region.c - records in and out of the table, and the state word
 */
#include "memory/region.h"

void hm_region_table_init(struct region_table *table, struct stats *stats, struct quota *quota)
{
    table->stats = stats;
    table->quota = quota;
    hm_region_map_init(&table->map, &stats->metadata);
    hm_bit_store_init(&table->bits, &stats->metadata);
    hm_pool_init(&table->records, sizeof(struct region), 1024, &stats->metadata);
}

void hm_region_table_destroy(struct region_table *table)
{
    hm_pool_destroy(&table->records);
    hm_bit_store_destroy(&table->bits);
    hm_region_map_destroy(&table->map);
}

static struct region *record(const struct region_table *table, uint32_t number)
{
    return pool_item(&table->records, number);
}

uint32_t hm_region_find(const struct region_table *table, uint64_t address, uint64_t *geometry,
                        unsigned *kind)
{
    uint32_t number = region_map_find(&table->map, address);
    while (number != 0) {
        const struct region *region = record(table, number);
        *geometry = atomic_load_explicit(&region->geometry, memory_order_acquire);
        const bool live = atomic_load_explicit(&region->state, memory_order_acquire) & LIVE;
        *kind = atomic_load_explicit(&region->kind, memory_order_acquire);
        uint32_t again = region_map_find(&table->map, address);
        /* Else the record may have been recycled before it was read, or between its figures. */
        if (again == number && atomic_load_explicit(&region->geometry, memory_order_relaxed) == *geometry)
            return live && geometry_has(*geometry, address) ? number : 0;
        number = again;
    }
    return 0;
}

unsigned hm_region_kind_at(const struct region_table *table, uint64_t address)
{
    uint64_t geometry;
    unsigned kind;
    return hm_region_find(table, address, &geometry, &kind) != 0 ? kind : 0;
}

static enum stats_counter kind_counter(const struct region *region)
{
    return region->kind == HOSTMEM_REGION_VIEW ? STATS_VIEWS : STATS_REGIONS;
}

static uint64_t in_account(uint64_t pages)
{
    return pages << 8;
}

static void count_use(struct stats *stats, hostmem_use use, uint64_t bytes)
{
    gauge_add(&stats->by_use[use], bytes);
    raise_to(&stats->committed_peak, stats_committed(stats));
}

/* So many pages more of a region are committed; the use that they are charged for. */
static hostmem_use add_committed(struct region *region, uint64_t pages)
{
    return atomic_fetch_add_explicit(&region->account, in_account(pages), memory_order_relaxed) & 0xFF;
}

/* The other way round, and given back. */
static void refund_committed(struct region_table *table, struct region *region, uint64_t pages)
{
    if (pages == 0)
        return;
    hostmem_use use =
        atomic_fetch_sub_explicit(&region->account, in_account(pages), memory_order_relaxed) & 0xFF;
    gauge_sub(&table->stats->by_use[use], pages << PAGE_SHIFT);
    hm_quota_refund(table->quota, charge_kind_of(use), pages << PAGE_SHIFT);
}

void hm_region_set_use(struct region_table *table, struct region_hold *hold, hostmem_use use)
{
    uint64_t account = atomic_load_explicit(&hold->region->account, memory_order_relaxed);
    while ((account & 0xFF) != use && !atomic_compare_exchange_weak_explicit(
                                          &hold->region->account, &account, (account & ~(uint64_t)0xFF) | use,
                                          memory_order_relaxed, memory_order_relaxed))
        ;
    const hostmem_use before = account & 0xFF;
    const uint64_t bytes = account_pages(account) << PAGE_SHIFT;
    if (before != use && bytes != 0) {
        gauge_sub(&table->stats->by_use[before], bytes);
        hm_quota_move(table->quota, charge_kind_of(before), charge_kind_of(use), bytes);
        count_use(table->stats, use, bytes);
    }
}

/* Nobody can find the record and nobody is in it: refund and recycle. */
static void recycle(struct region_table *table, struct region *region, uint32_t number)
{
    uint64_t pages = geometry_pages(atomic_load_explicit(&region->geometry, memory_order_relaxed));
    if (region->kind == HOSTMEM_REGION_PRIVATE) {
        refund_committed(table, region, hm_commit_map_clear_all(&region->commit, &table->bits, pages));
        hm_quota_refund(table->quota, CHARGE_RESERVE, pages << PAGE_SHIFT);
    } else {
        gauge_sub(&table->stats->mapped, pages << PAGE_SHIFT);
    }
    stats_count(table->stats, kind_counter(region), -1);
    atomic_store_explicit(&region->geometry, 0, memory_order_relaxed);
    hm_pool_give(&table->records, number);
}

bool hm_region_enter_number(struct region_table *table, uint32_t number, struct region_hold *hold)
{
    struct region *region = record(table, number);
    uint64_t state = atomic_load_explicit(&region->state, memory_order_relaxed);
    do {
        if (!(state & LIVE))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&region->state, &state, state + AT_WORK_ONE,
                                                    memory_order_acq_rel, memory_order_relaxed));
    *hold = (struct region_hold){.region = region,
                                 .number = number,
                                 .entered = state + AT_WORK_ONE,
                                 .geometry = atomic_load_explicit(&region->geometry, memory_order_acquire)};
    return true;
}

/*
 * Windows has given the range to us, so whatever the table says of it is out of date: a region that was freed
 * behind our back, a view that was unmapped and not reported yet, entries whose releaser has not come to erase them.
 * Entries first: a releaser that Windows refuses makes its region live again, and then looks for them.  With a fence between
 * the two on either side one of them sees the other.
 */
static void drop_stale(struct region_table *table, uint64_t granule, uint64_t granules)
{
    uint32_t number;
    while ((number = hm_region_map_first(&table->map, granule, granules)) != 0) {
        struct region_hold hold;
        hm_region_map_purge(&table->map, granule, granules, number);
        atomic_thread_fence(memory_order_seq_cst);
        if (hm_region_enter_number(table, number, &hold)) {
            uint64_t first = geometry_base(hold.geometry) >> GRANULE_SHIFT;
            /* Not if the record has come to stand for a region elsewhere. */
            bool here = first < granule + granules && granule < first + geometry_granules(hold.geometry);
            if (here && hm_region_unpublish(table, &hold) && hold.region->kind == HOSTMEM_REGION_PRIVATE)
                stats_bump(&table->stats->stale_regions);
            hm_region_leave_unchanged(table, &hold);
        }
    }
}

/* The pages of a region of ours, and the charge that follows them; false: no memory. */
static bool begin_commit_map(struct region_table *table, struct region *region,
                             const struct region_origin *origin)
{
    if (!hm_commit_map_init(&region->commit, &table->bits, origin->pages))
        return false;
    if (!origin->committed)
        return true;
    if (!hm_commit_map_prepare(&region->commit, &table->bits, origin->pages, 0, origin->pages)) {
        hm_commit_map_clear_all(&region->commit, &table->bits, origin->pages);
        return false;
    }
    hm_commit_map_set(&region->commit, origin->pages, 0, origin->pages);
    count_use(table->stats, add_committed(region, origin->pages), origin->pages << PAGE_SHIFT);
    return true;
}

uint32_t hm_region_publish(struct region_table *table, const struct region_origin *origin)
{
    const uint64_t granule = origin->base >> GRANULE_SHIFT, geometry = granule << 33 | origin->pages,
                   granules = geometry_granules(geometry);
    if (origin->pages == 0 || origin->pages > REGION_MAX_PAGES ||
        !hm_region_map_prepare(&table->map, granule, granules))
        return 0;
    drop_stale(table, granule, granules); /* first, so that no peak holds both */
    const uint32_t number = hm_pool_take(&table->records);
    if (number == 0)
        return 0;
    struct region *region = record(table, number);
    atomic_store_explicit(&region->account, origin->use, memory_order_relaxed);
    if (origin->kind != HOSTMEM_REGION_PRIVATE) {
        gauge_add(&table->stats->mapped, origin->pages << PAGE_SHIFT);
    } else if (!begin_commit_map(table, region, origin)) {
        hm_pool_give(&table->records, number);
        return 0;
    }
    atomic_store_explicit(&region->kind, (uint8_t)origin->kind, memory_order_release);
    region->level = (uint8_t)level_or_none(origin->level);
    region->time = origin->time;
    region->allocation_type = origin->type;
    region->allocation_protect = origin->protect;
    stats_count(table->stats, kind_counter(region), 1);

    atomic_store_explicit(&region->geometry, geometry, memory_order_release);
    /* Before it is live: who releases a region must find all of its entries there. */
    hm_region_map_publish(&table->map, granule, granules, number);
    /* No read-modify-write: nobody changes the state of a record that is not live and has nobody at work. */
    uint64_t state = atomic_load_explicit(&region->state, memory_order_relaxed);
    atomic_store_explicit(&region->state, state | LIVE, memory_order_release);
    return number;
}

bool hm_region_enter(struct region_table *table, uint64_t address, struct region_hold *hold)
{
    uint32_t number;
    while ((number = region_map_find(&table->map, address)) != 0) {
        if (hm_region_enter_number(table, number, hold)) {
            /* A live one that has the address is it: another comes there only when this one is not live any more. */
            if (geometry_has(hold->geometry, address))
                return true;
            hm_region_leave_unchanged(table, hold);
        }
        /* It has gone, or ends in its last granule before the address; or the record has just been recycled. */
        if (region_map_find(&table->map, address) == number)
            break;
    }
    return false;
}

static void after_leaving(struct region_table *table, const struct region_hold *hold, uint64_t state)
{
    if (!(state & (LIVE | AT_WORK)))
        recycle(table, hold->region, hold->number);
}

bool hm_region_leave(struct region_table *table, struct region_hold *hold)
{
    const uint64_t end = ENDED_ONE - AT_WORK_ONE;
    uint64_t state = atomic_fetch_add_explicit(&hold->region->state, end, memory_order_acq_rel) + end;
    after_leaving(table, hold, state);
    return (state & LIVE) != 0;
}

void hm_region_leave_unchanged(struct region_table *table, struct region_hold *hold)
{
    uint64_t state =
        atomic_fetch_sub_explicit(&hold->region->state, AT_WORK_ONE, memory_order_acq_rel) - AT_WORK_ONE;
    after_leaving(table, hold, state);
}

void hm_region_erase(struct region_table *table, const struct region_hold *hold)
{
    hm_region_map_erase(&table->map, geometry_base(hold->geometry) >> GRANULE_SHIFT,
                        geometry_granules(hold->geometry), hold->number);
}

bool hm_region_unpublish(struct region_table *table, struct region_hold *hold)
{
    if (!region_close(hold))
        return false;
    hm_region_erase(table, hold);
    return true;
}

bool hm_region_reopen(struct region_table *table, struct region_hold *hold)
{
    const uint64_t granule = geometry_base(hold->geometry) >> GRANULE_SHIFT,
                   granules = geometry_granules(hold->geometry);
    atomic_fetch_or_explicit(&hold->region->state, LIVE, memory_order_acq_rel);
    atomic_thread_fence(memory_order_seq_cst);
    return hm_region_map_missing(&table->map, granule, granules, hold->number) == granule + granules ||
           !region_close(hold); /* whoever has come there has dropped it */
}

bool hm_region_prepare_commit(struct region_table *table, struct region_hold *hold, uint64_t first,
                              uint64_t count)
{
    return hm_commit_map_prepare(&hold->region->commit, &table->bits, geometry_pages(hold->geometry), first,
                                 count);
}

/*
 * Another thread may have committed some of the pages since they were counted for the charge: less is owed.  Or
 * decommitted some that were: more is, and it is committed by now.  Or the use has changed.
 */
const struct budget *hm_region_set_committed(struct region_table *table, struct region_hold *hold,
                                             uint64_t first, uint64_t count, struct charge *charge)
{
    const uint64_t bytes =
        hm_commit_map_set(&hold->region->commit, geometry_pages(hold->geometry), first, count) << PAGE_SHIFT;
    const hostmem_use use = add_committed(hold->region, bytes >> PAGE_SHIFT);
    const struct budget *overrun = hm_quota_settle(table->quota, charge, bytes);
    hm_quota_move(table->quota, charge->kind, charge_kind_of(use), bytes);
    count_use(table->stats, use, bytes);
    charge->bytes = bytes;
    return overrun;
}

uint64_t hm_region_set_decommitted(struct region_table *table, struct region_hold *hold, uint64_t first,
                                   uint64_t count)
{
    const uint64_t pages = geometry_pages(hold->geometry),
                   cleared = hm_commit_map_clear(&hold->region->commit, pages, first, count);
    refund_committed(table, hold->region, cleared);
    return cleared << PAGE_SHIFT;
}

uint64_t hm_region_uncommitted(struct region_hold *hold, uint64_t first, uint64_t count)
{
    uint64_t pages = geometry_pages(hold->geometry);
    return (count - hm_commit_map_count(&hold->region->commit, pages, first, count)) << PAGE_SHIFT;
}

bool hm_region_agrees(struct region_hold *hold, uint64_t first, uint64_t count, bool committed)
{
    return hm_commit_map_count(&hold->region->commit, geometry_pages(hold->geometry), first, count) ==
           (committed ? count : 0);
}
