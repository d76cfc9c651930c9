/*
 * fuzz_region.c - the records beside a plain table of them, with several calls at work at once
 *
 * One thread plays many: each hold is somebody in the middle of a call, and the input says who goes on.  The
 * caller's rules are kept: charged before published, prepared before set, and the range of a region whose release
 * Windows refused is given to nobody else.  What a region is for changes at any time.
 */
#include "fuzz.h"

#include "memory/overlap.h"
#include "support/answers.h"

enum { RECORDS = 8, HOLDS = 6, PAGES = 17000, FIRST_GRANULE = 1000 };
enum { STRIPE_PAGES = 16384, STRIPES = 2, BLOCKS = PAGES / SECTOR_PAGES + 2 };

static struct region_table table;
static struct stats stats;
static struct quota quota;

static struct record {
    bool taken, live, refused; /* refused: closed, and to be opened again */
    uint64_t base, pages;
    hostmem_region_kind kind;
    hostmem_use use;
    unsigned level, at_work;
    bool prepared[STRIPES]; /* for certain: what failed may have got there */
    struct ended {
        unsigned seen, all; /* calls that ended there; seen: those that left a trace for certain */
    } commits[BLOCKS], changes[BLOCKS];
    uint64_t set; /* of the pages below */
    bool committed[PAGES];
} records[RECORDS + 1]; /* by number */

static struct hold {
    bool open;
    enum work { COMMIT, CHANGE, LOOK } work;
    struct region_hold real;
    struct record *record;
    uint64_t range_first, range_count; /* that it might change */
    unsigned seen, all;                /* ended there before */
    bool releases;                     /* has closed the region, and its entries are there still */
    uint64_t first, count;             /* a commit under way; count 0: none */
    struct charge charge;
} holds[HOLDS];

static uint64_t stale, charged_more, heap_charged_more, committed_peak, mapped_peak,
    use_peak[HOSTMEM_USE_COUNT];
static hostmem_calls calls[HOSTMEM_METHOD_COUNT][HOSTMEM_LEVEL_COUNT];

static uint64_t granule_end(const struct record *record)
{
    return record->base + (record->pages + GRANULE_PAGES - 1) / GRANULE_PAGES * (GRANULE_PAGES * PAGE_BYTES);
}

static uint64_t committed_in(const struct record *record, uint64_t first, uint64_t count)
{
    return count_set(record->committed + first, count);
}

static void note(struct record *record, uint64_t first, uint64_t count, bool committed)
{
    record->set -= committed_in(record, first, count);
    record->set += committed ? count : 0;
    memset(record->committed + first, committed, count);
}

static struct record *find(uint64_t address)
{
    for (struct record *r = records + 1; r <= records + RECORDS; r++)
        if (r->live && address >= r->base && address - r->base < r->pages * PAGE_BYTES)
            return r;
    return NULL;
}

static uint32_t number_of(const struct record *record)
{
    return record == NULL ? 0 : (uint32_t)(record - records);
}

static void check_address(uint64_t address)
{
    uint64_t geometry;
    unsigned kind;
    struct record *expected = find(address);
    DEMAND(hm_region_find(&table, address, &geometry, &kind) == number_of(expected));
    DEMAND(hm_region_kind_at(&table, address) == (expected == NULL ? 0 : expected->kind));
    if (expected == NULL)
        return;
    DEMAND(kind == expected->kind);
    DEMAND(geometry_base(geometry) == expected->base && geometry_pages(geometry) == expected->pages);
    DEMAND(geometry_end(geometry) == expected->base + expected->pages * PAGE_BYTES);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What the calls of IHostMalloc leave, as many as have succeeded. */
static uint64_t blocks_called_for(void)
{
    int64_t blocks = 0;
    for (unsigned l = 0; l < HOSTMEM_LEVEL_COUNT; l++) {
        blocks += calls[HOSTMEM_MALLOC_ALLOC][l].calls - calls[HOSTMEM_MALLOC_ALLOC][l].failures;
        blocks += calls[HOSTMEM_MALLOC_DEBUG_ALLOC][l].calls - calls[HOSTMEM_MALLOC_DEBUG_ALLOC][l].failures;
        blocks -= calls[HOSTMEM_MALLOC_FREE][l].calls - calls[HOSTMEM_MALLOC_FREE][l].failures;
    }
    return blocks < 0 ? 0 : (uint64_t)blocks;
}

/* The accounting says what the table does; the budgets only, or all of them. */
static void check_statistics(bool all)
{
    static hostmem_statistics statistics;
    uint64_t reserved = 0, mapped = 0, committed = 0, regions = 0, views = 0, by_use[HOSTMEM_USE_COUNT] = {0};
    for (struct record *r = records + 1; r <= records + RECORDS; r++) {
        if (!r->live && r->at_work == 0)
            continue;
        bool view = r->kind == HOSTMEM_REGION_VIEW;
        *(view ? &views : &regions) += 1;
        *(view ? &mapped : &reserved) += r->pages * PAGE_BYTES;
        committed += view ? 0 : r->set * PAGE_BYTES;
        by_use[r->use] += view ? 0 : r->set * PAGE_BYTES;
    }
    mapped_peak = larger(mapped_peak, mapped);
    committed_peak = larger(committed_peak, committed);
    for (unsigned use = 0; use < HOSTMEM_USE_COUNT; use++)
        use_peak[use] = larger(use_peak[use], by_use[use]);
    DEMAND(quota.commit.used == committed + charged_more);
    DEMAND(quota.heap.used == by_use[HOSTMEM_USE_GC_HEAP] + heap_charged_more);
    DEMAND(quota.reserve.used == reserved);
    if (!all)
        return;
    hm_stats_read(&stats, &statistics);
    DEMAND(statistics.regions == regions && statistics.views == views &&
           statistics.blocks == blocks_called_for());
    DEMAND(statistics.mapped.now == mapped && statistics.mapped.peak == mapped_peak);
    DEMAND(statistics.committed.now == committed && statistics.committed.peak == committed_peak);
    for (unsigned use = 0; use < HOSTMEM_USE_COUNT; use++) {
        DEMAND(statistics.committed_by_use[use].now == by_use[use]);
        DEMAND(statistics.committed_by_use[use].peak == use_peak[use]);
    }
    DEMAND(statistics.stale_regions == stale);
    DEMAND(memcmp(statistics.calls, calls, sizeof calls) == 0);
}

/* ---------------------------------------------------------------------------------------------------- overlaps */

/* What has ended where the hold is at work, and could have turned its pages the other way; with `end` it ends, too. */
static void count_ended(const struct hold *hold, bool end, unsigned *seen, unsigned *all)
{
    struct record *record = hold->record;
    bool commit = hold->work == COMMIT;
    uint64_t begin = hold->range_first, limit = begin + hold->range_count;
    *seen = *all = 0;
    for (uint64_t b = begin / SECTOR_PAGES; begin < limit && b * SECTOR_PAGES < limit; b++) {
        *seen += record->changes[b].seen + (commit ? 0 : record->commits[b].seen);
        *all += record->changes[b].all + (commit ? 0 : record->commits[b].all);
        bool traced = record->pages <= STRIPE_PAGES || record->prepared[b / (STRIPE_PAGES / SECTOR_PAGES)];
        struct ended *ended = commit ? &record->commits[b] : &record->changes[b];
        ended->seen += end && traced;
        ended->all += end;
    }
}

static void begin_overlap(struct input *input, struct hold *hold)
{
    const struct record *record = hold->record;
    hold->range_first = take_below(input, record->pages);
    hold->range_count = take_below(input, record->pages - hold->range_first + 1);
    count_ended(hold, false, &hold->seen, &hold->all);
    overlap_begin(&hold->real, hold->range_first, hold->range_count);
}

/* Only others at work in the region need a trace. */
static bool end_overlap(struct hold *hold)
{
    unsigned seen, all;
    count_ended(hold, hold->record->at_work > 1, &seen, &all);
    bool overlapped = overlap_end(&hold->real, hold->range_first, hold->range_count, hold->work == COMMIT);
    if (!hold->record->live)
        DEMAND(!overlapped);
    else if (overlapped)
        DEMAND(all != hold->all);
    else
        DEMAND(seen == hold->seen);
    if (overlapped) { /* to stay, and write what is so */
        hold->work = CHANGE;
        count_ended(hold, false, &hold->seen, &hold->all);
        overlap_begin(&hold->real, hold->range_first, hold->range_count);
    }
    return overlapped;
}

static void note_prepared(struct record *record, uint64_t first, uint64_t count)
{
    for (uint64_t s = first / STRIPE_PAGES; count != 0 && s <= (first + count - 1) / STRIPE_PAGES; s++)
        record->prepared[s] = true;
}

/* ------------------------------------------------------------------------------------------------- publishing */

static void leave_record(struct record *record)
{
    record->at_work--;
    if (record->live || record->at_work != 0)
        return;
    record->taken = false;
}

static bool overlaps(const struct record *record, const struct region_origin *origin)
{
    uint64_t granules = (origin->pages + GRANULE_PAGES - 1) / GRANULE_PAGES;
    return origin->base < granule_end(record) &&
           record->base < origin->base + granules * (GRANULE_PAGES * PAGE_BYTES);
}

static bool all_taken(void)
{
    unsigned taken = 0;
    for (const struct record *r = records + 1; r <= records + RECORDS; r++)
        taken += r->taken;
    return taken == RECORDS;
}

/* Has the table let go of what the range held?  With `done` it must have, else all or nothing. */
static void drop_stale(const struct region_origin *origin, bool done)
{
    uint64_t geometry;
    unsigned kind;
    for (struct record *r = records + 1; r <= records + RECORDS; r++) {
        if (!r->live || !overlaps(r, origin))
            continue;
        if (!done && hm_region_find(&table, r->base, &geometry, &kind) == number_of(r))
            continue;
        r->live = false;
        r->at_work++;
        leave_record(r);
        stale += r->kind == HOSTMEM_REGION_PRIVATE;
    }
}

static bool allowed(const struct region_origin *origin)
{
    for (struct record *r = records + 1; r <= records + RECORDS; r++)
        if (r->refused && overlaps(r, origin))
            return false;
    return true;
}

/* What a region is charged, before it is there; and settled, or given back. */
static struct charge space_of(const struct region_origin *origin)
{
    uint64_t bytes = origin->kind == HOSTMEM_REGION_VIEW ? 0 : origin->pages * PAGE_BYTES;
    return (struct charge){.bytes = bytes, .kind = CHARGE_RESERVE};
}

static struct charge pages_of(const struct region_origin *origin)
{
    bool any = origin->kind != HOSTMEM_REGION_VIEW && origin->committed;
    return (struct charge){.bytes = any ? origin->pages * PAGE_BYTES : 0,
                           .kind = charge_kind_of(origin->use)};
}

static hostmem_use take_use(struct input *input)
{
    static const hostmem_use uses[] = {HOSTMEM_USE_GC_HEAP, HOSTMEM_USE_OTHER, HOSTMEM_USE_GC_HEAP,
                                       HOSTMEM_USE_CODE};
    return PICK(input, uses);
}

static void publish(struct input *input)
{
    static const uint64_t sizes[] = {1, 15, 16, 17, 63, 64, 65, 200, 4000, 16384, 16385, PAGES};
    uint32_t how = take_byte(input);
    struct region_origin origin = {.base = (FIRST_GRANULE + take_number(input, 2) % 2500) << GRANULE_SHIFT,
                                   .pages = how & 0x80 ? 1 + take_byte(input) : PICK(input, sizes),
                                   .committed = how & 1,
                                   .kind = how & 6 ? HOSTMEM_REGION_PRIVATE : HOSTMEM_REGION_VIEW,
                                   .level = how >> 4 & 7,
                                   .type = how,
                                   .protect = ~how,
                                   .use = take_use(input)};
    static const uint64_t bad_sizes[] = {0, REGION_MAX_PAGES, REGION_MAX_PAGES + 1};
    bool bad = (how & 0x78) == 0x78;
    if (bad) {
        origin.pages = PICK(input, bad_sizes);
        origin.base = (REGION_MAP_GRANULES - 1) << GRANULE_SHIFT;
    }
    if (!allowed(&origin))
        return;
    bool may_fail = order_failures(input);
    if (bad || all_taken()) {
        DEMAND(!bad || hm_region_publish(&table, &origin) == 0);
        fake_pages_fail_from(0);
        return;
    }
    struct charge space = space_of(&origin), pages = pages_of(&origin);
    DEMAND(quota_charged(&quota, &space).verdict == CHARGE_GRANTED);
    DEMAND(quota_charged(&quota, &pages).verdict == CHARGE_GRANTED);
    const uint32_t number = hm_region_publish(&table, &origin);
    fake_pages_fail_from(0);
    DEMAND(number != 0 || may_fail);
    drop_stale(&origin, number != 0);
    if (number == 0) {
        hm_quota_cancel(&quota, &pages);
        hm_quota_cancel(&quota, &space);
        return;
    }
    struct record *record = &records[number];
    DEMAND(number <= RECORDS && !record->taken);
    quota_settled(&quota, &space, space.bytes);
    quota_settled(&quota, &pages, pages.bytes);
    record->taken = record->live = true;
    record->base = origin.base;
    record->pages = origin.pages;
    record->kind = origin.kind;
    record->use = origin.kind == HOSTMEM_REGION_VIEW ? 0 : origin.use;
    record->level = origin.level > HOSTMEM_LEVEL_NONE ? HOSTMEM_LEVEL_NONE : origin.level;
    memset(record->committed, 0, sizeof record->committed);
    memset(record->prepared, 0, sizeof record->prepared);
    memset(record->commits, 0, sizeof record->commits);
    memset(record->changes, 0, sizeof record->changes);
    if (origin.committed)
        note_prepared(record, 0, origin.pages);
    record->set = 0;
    note(record, 0, origin.pages, origin.committed);
    check_address(origin.base + origin.pages * PAGE_BYTES - 1);
    check_address(origin.base + origin.pages * PAGE_BYTES);
}

/* ------------------------------------------------------------------------------------------------------- holds */

/* An address that is somebody's, or close to it. */
static uint64_t take_address(struct input *input)
{
    uint32_t how = take_byte(input);
    const struct record *record = &records[1 + how % RECORDS];
    uint64_t at = record->base + take_number(input, 2) * 1024;
    if (how >= 0xF0)
        return take_number(input, 6);
    return how < 0xA0 && record->pages != 0
               ? record->base + (at - record->base) % (record->pages * PAGE_BYTES)
               : at;
}

static void enter(struct input *input, struct hold *hold)
{
    static const enum work works[] = {COMMIT, CHANGE, LOOK, CHANGE};
    uint32_t how = take_byte(input);
    hold->work = works[how % 4];
    if (how & 0x80) {
        uint32_t number = 1 + how / 4 % RECORDS;
        if (number > pool_used(&table.records))
            return;
        hold->record = &records[number];
        hold->open = hm_region_enter_number(&table, number, &hold->real);
        DEMAND(hold->open == records[number].live);
        hold->work = LOOK;
    } else {
        uint64_t address = take_address(input);
        hold->record = find(address);
        hold->open = hm_region_enter(&table, address, &hold->real);
        DEMAND(hold->open == (hold->record != NULL));
    }
    if (!hold->open)
        return;
    struct record *record = hold->record;
    record->at_work++;
    DEMAND(hold->real.number == number_of(record));
    DEMAND(geometry_base(hold->real.geometry) == record->base);
    DEMAND(geometry_pages(hold->real.geometry) == record->pages);
    DEMAND(hold->real.region->kind == record->kind && hold->real.region->level == record->level);
    hold->range_first = hold->range_count = hold->seen = hold->all = 0;
    if (hold->work != LOOK && record->kind != HOSTMEM_REGION_VIEW)
        begin_overlap(input, hold);
}

static void no_more_charged(struct hold *hold)
{
    charged_more -= hold->charge.bytes;
    heap_charged_more -= hold->charge.kind == CHARGE_HEAP ? hold->charge.bytes : 0;
    hold->count = 0;
}

static void end_commit(struct hold *hold)
{
    hm_quota_cancel(&quota, &hold->charge);
    no_more_charged(hold);
}

/* Windows has answered. */
static void end_release(struct hold *hold)
{
    struct record *record = hold->record;
    if (record->refused) {
        DEMAND(hm_region_reopen(&table, &hold->real));
        record->live = true;
    } else {
        hm_region_erase(&table, &hold->real); /* another region may be there by now */
    }
    record->refused = hold->releases = false;
}

static void leave(struct hold *hold, bool unchanged)
{
    struct record *record = hold->record;
    if (hold->count != 0)
        end_commit(hold);
    if (hold->releases)
        end_release(hold);
    if (unchanged || hold->work == LOOK) {
        hm_region_leave_unchanged(&table, &hold->real);
        hold->open = false;
        leave_record(record);
        return;
    }
    if (record->kind != HOSTMEM_REGION_VIEW && end_overlap(hold))
        return;
    DEMAND(hm_region_leave(&table, &hold->real) == record->live);
    hold->open = false;
    leave_record(record);
}

static void begin_release(struct input *input, struct hold *hold)
{
    struct record *record = hold->record;
    if (record->refused) /* one release at a time gets to Windows */
        return;
    DEMAND(region_close(&hold->real) == record->live);
    hold->releases = record->live;
    record->refused = record->live && take_byte(input) % 2;
    record->live = false;
}

/* In two steps: pages are counted and charged, and others may come in between before they are set. */
static void commit(struct input *input, struct hold *hold)
{
    struct record *record = hold->record;
    if (record->kind == HOSTMEM_REGION_VIEW)
        return;
    if (hold->count == 0) {
        uint64_t offset = take_below(input, record->pages * PAGE_BYTES), size = 1 + take_number(input, 3);
        hold->count = region_pages_within(&hold->real, record->base + offset, size, &hold->first);
        uint64_t end =
            offset + size < record->pages * PAGE_BYTES ? offset + size : record->pages * PAGE_BYTES;
        DEMAND(hold->first == offset / PAGE_BYTES);
        DEMAND(hold->first + hold->count == (end + PAGE_BYTES - 1) / PAGE_BYTES);
        uint64_t bytes = hm_region_uncommitted(&hold->real, hold->first, hold->count);
        DEMAND(bytes == (hold->count - committed_in(record, hold->first, hold->count)) * PAGE_BYTES);
        DEMAND(region_use(hold->real.region) == record->use);
        hold->charge = (struct charge){.bytes = bytes, .kind = charge_kind_of(record->use)};
        DEMAND(quota_charged(&quota, &hold->charge).verdict == CHARGE_GRANTED);
        charged_more += bytes;
        heap_charged_more += hold->charge.kind == CHARGE_HEAP ? bytes : 0;
        return;
    }
    bool may_fail = order_failures(input);
    bool prepared = hm_region_prepare_commit(&table, &hold->real, hold->first, hold->count);
    fake_pages_fail_from(0);
    DEMAND(prepared || may_fail);
    if (!prepared) {
        end_commit(hold);
        return;
    }
    note_prepared(record, hold->first, hold->count);
    const uint64_t fresh = (hold->count - committed_in(record, hold->first, hold->count)) * PAGE_BYTES;
    struct charge charge = hold->charge;
    DEMAND(hm_region_set_committed(&table, &hold->real, hold->first, hold->count, &charge) == NULL);
    DEMAND(charge.bytes == fresh);
    note(record, hold->first, hold->count, true);
    no_more_charged(hold);
}

static void decommit(struct input *input, struct hold *hold)
{
    struct record *record = hold->record;
    if (record->kind == HOSTMEM_REGION_VIEW)
        return;
    uint64_t first = take_below(input, record->pages), count = take_below(input, record->pages - first + 1);
    uint64_t set = committed_in(record, first, count);
    DEMAND(hm_region_agrees(&hold->real, first, count, true) == (set == count));
    DEMAND(hm_region_agrees(&hold->real, first, count, false) == (set == 0));
    hm_region_set_decommitted(&table, &hold->real, first, count);
    note(record, first, count, false);
}

static void change_use(struct input *input)
{
    uint64_t address = take_address(input);
    hostmem_use use = take_use(input);
    struct record *record = find(address);
    bool ours = record != NULL && record->kind == HOSTMEM_REGION_PRIVATE;
    struct region_hold hold;
    DEMAND(region_enter_owned(&table, address, &hold) == ours);
    if (ours) {
        hm_region_set_use(&table, &hold, use);
        hm_region_leave_unchanged(&table, &hold);
    }
    if (ours)
        record->use = use;
}

static void go_on(struct input *input, struct hold *hold, uint32_t operation)
{
    switch (operation) {
    case 0:
    case 1:
        leave(hold, false);
        break;
    case 2:
        leave(hold, true);
        break;
    case 3:
        if (hold->releases)
            end_release(hold);
        else
            begin_release(input, hold);
        break;
    case 4:
        decommit(input, hold);
        break;
    case 5:
        if (hold->work != LOOK && hold->record->kind != HOSTMEM_REGION_VIEW)
            begin_overlap(input, hold);
        break;
    default:
        commit(input, hold);
    }
    if (hold->open)
        DEMAND(region_committed(&hold->real) ==
               (hold->record->kind == HOSTMEM_REGION_VIEW ? 0 : hold->record->set));
}

/* ------------------------------------------------------------------------------------------------------- inputs */

static void count_call(struct input *input)
{
    hostmem_method method = take_byte(input) % HOSTMEM_METHOD_COUNT;
    unsigned level = take_byte(input) % 6;
    hostmem_calls *expected = &calls[method][level < HOSTMEM_LEVEL_NONE ? level : HOSTMEM_LEVEL_NONE];
    HRESULT result = level & 1 ? E_FAIL : S_OK;
    DEMAND(stats_call(&stats, method, level, result) == result);
    expected->calls++;
    expected->failures += result != S_OK;
}

static void step(struct input *input)
{
    uint32_t operation = take_byte(input);
    struct hold *hold = &holds[operation / 16 % HOLDS];
    switch (operation % 16) {
    case 0:
    case 1:
    case 2:
    case 3:
        publish(input);
        break;
    case 4:
        check_address(take_address(input));
        break;
    case 5:
        if (operation >= 0x80)
            change_use(input);
        else
            count_call(input);
        break;
    default:
        if (hold->open)
            go_on(input, hold, operation % 16 - 6);
        else
            enter(input, hold);
    }
}

static void begin(void)
{
    memset(&table, 0, sizeof table);
    memset(&stats, 0, sizeof stats);
    memset(holds, 0, sizeof holds);
    memset(calls, 0, sizeof calls);
    for (struct record *r = records; r <= records + RECORDS; r++)
        memset(r, 0, offsetof(struct record, committed));
    stale = charged_more = heap_charged_more = committed_peak = mapped_peak = 0;
    memset(use_peak, 0, sizeof use_peak);
    memset(&quota, 0, sizeof quota);
    hm_quota_init(&quota, NULL);
    hm_region_table_init(&table, &stats, &quota);
}

/* Everybody leaves, everything is released. */
static void end(void)
{
    for (struct hold *hold = holds; hold < holds + HOLDS; hold++)
        if (hold->open)
            leave(hold, true);
    for (struct record *r = records + 1; r <= records + RECORDS; r++) {
        struct hold last = {.open = true, .record = r};
        if (!r->live)
            continue;
        DEMAND(hm_region_enter(&table, r->base, &last.real));
        r->at_work++;
        DEMAND(hm_region_unpublish(&table, &last.real));
        r->live = false;
        leave(&last, true);
    }
    check_statistics(true);
    DEMAND(hm_region_map_first(&table.map, 0, REGION_MAP_GRANULES) == 0);
    hm_region_table_destroy(&table);
    DEMAND(stats.metadata == 0);
    DEMAND(fake_pages_outstanding() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    begin();
    for (unsigned steps = 1; more(&input); steps++) {
        step(&input);
        check_statistics(steps % 16 == 0);
    }
    end();
    return 0;
}
