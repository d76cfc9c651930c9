/*
 * fuzz_region_map.c - the table of the address space beside a plain list
 *
 * A region occupies cells of three sizes, whole granules or whole nodes; the list has one run for as many cells
 * of a size as lie side by side.  That is what a purge of a part of a range depends on: it takes whole cells.
 */
#include "fuzz.h"

#include "maps/region_map.h"

enum { NODE = 1024, REGIONS = 24, RUNS = 1024 };

static const uint64_t root_span = (uint64_t)NODE * NODE;

static struct region_map map;
static _Atomic uint64_t metadata;

struct run {
    uint64_t start, end, unit;
    uint32_t number;
};

static struct run runs[RUNS];
static unsigned run_count;

static struct {
    uint64_t start, count; /* 0: not published */
} regions[REGIONS + 1];

static void add_run(uint64_t start, uint64_t end, uint64_t unit, uint32_t number)
{
    if (start == end)
        return;
    if (run_count == RUNS)
        abort();
    runs[run_count++] = (struct run){start, end, unit, number};
}

/* The largest cells that fit, from the left. */
static void model_publish(uint64_t start, uint64_t end, uint32_t number)
{
    while (start < end) {
        uint64_t unit = root_span;
        while (start % unit != 0 || end - start < unit)
            unit /= NODE;
        uint64_t next = start + unit;
        while (next < end && next % (unit * NODE) != 0 && end - next >= unit)
            next += unit;
        add_run(start, next, unit, number);
        start = next;
    }
}

/* Take [from, to) out of a run, in whole cells. */
static void cut(unsigned i, uint64_t from, uint64_t to)
{
    struct run run = runs[i];
    from -= from % run.unit;
    to += (run.unit - to % run.unit) % run.unit;
    runs[i] = runs[--run_count];
    if (run.start < from)
        add_run(run.start, from, run.unit, run.number);
    if (to < run.end)
        add_run(to, run.end, run.unit, run.number);
}

static void model_erase(uint64_t start, uint64_t end, uint32_t number)
{
    for (unsigned i = run_count; i-- > 0;)
        if (runs[i].number == number && start <= runs[i].start && runs[i].end <= end)
            runs[i] = runs[--run_count];
}

/* The run that is first in [start, end); RUNS: none. */
static unsigned model_first(uint64_t start, uint64_t end)
{
    unsigned first = RUNS;
    for (unsigned i = 0; i < run_count; i++)
        if (runs[i].start < end && start < runs[i].end && start < end &&
            (first == RUNS || runs[i].start < runs[first].start))
            first = i;
    return first;
}

static uint32_t model_number(uint64_t start, uint64_t end)
{
    unsigned first = model_first(start, end);
    return first == RUNS ? 0 : runs[first].number;
}

static void check_granule(uint64_t granule)
{
    uint32_t expected = granule < REGION_MAP_GRANULES ? model_number(granule, granule + 1) : 0;
    DEMAND(region_map_find(&map, granule << GRANULE_SHIFT) == expected);
    DEMAND(region_map_find(&map, (granule << GRANULE_SHIFT) + 0xFFFF) == expected);
}

static void check_range(uint64_t start, uint64_t count)
{
    uint64_t end = start + count < REGION_MAP_GRANULES ? start + count : REGION_MAP_GRANULES;
    DEMAND(hm_region_map_first(&map, start, count) == model_number(start, end));
}

static void check_all(void)
{
    for (unsigned i = 0; i < run_count; i++) {
        check_granule(runs[i].start);
        check_granule(runs[i].end - 1);
        check_granule(runs[i].end);
        if (runs[i].start != 0)
            check_granule(runs[i].start - 1);
    }
}

/* A place within a few areas, most often close to where nodes meet. */
static uint64_t take_place(struct input *input)
{
    static const uint64_t offsets[] = {0, NODE, 0x100000, 0x200000 + NODE};
    static const uint64_t areas[] = {0, 1000 << 20, 0x7FFFFFFF - 0x3FFFFF};
    uint64_t place = PICK(input, areas) + PICK(input, offsets);
    uint32_t how = take_byte(input);
    if (how < 0x80)
        return place + how % 8;
    if (how < 0xE0)
        return place >= 8 ? place - how % 8 : place;
    return place + take_below(input, 2 * NODE);
}

static uint64_t take_count(struct input *input)
{
    static const uint64_t counts[] = {1,        2,        3,       NODE - 1, NODE,
                                      NODE + 1, 3 * NODE, 0xFFFFF, 0x100000, 0x200001};
    uint32_t how = take_byte(input);
    return how < 0x80 ? 1 + how : PICK(input, counts) + how % 4;
}

/* As the records do before they publish: whatever is in the range is out of date. */
static void purge(uint64_t start, uint64_t count)
{
    uint32_t number = hm_region_map_first(&map, start, count);
    DEMAND(number == model_number(start, start + count));
    if (number == 0)
        return;
    hm_region_map_purge(&map, start, count, number);
    for (unsigned i; (i = model_first(start, start + count)) != RUNS && runs[i].number == number;)
        cut(i, runs[i].start > start ? runs[i].start : start,
            runs[i].end < start + count ? runs[i].end : start + count);
    check_range(start, count);
}

static void publish(struct input *input, uint32_t number)
{
    uint64_t start = take_place(input), count = take_count(input);
    bool may_fail = order_failures(input);
    bool fits = start <= REGION_MAP_GRANULES && count <= REGION_MAP_GRANULES - start;
    bool prepared = hm_region_map_prepare(&map, start, count);
    fake_pages_fail_from(0);
    DEMAND(prepared ? fits : !fits || may_fail);
    check_range(start, count);
    if (!prepared)
        return;
    while (hm_region_map_first(&map, start, count) != 0)
        purge(start, count);
    hm_region_map_publish(&map, start, count, number);
    model_publish(start, start + count, number);
    regions[number].start = start;
    regions[number].count = count;
}

static void erase(uint32_t number)
{
    hm_region_map_erase(&map, regions[number].start, regions[number].count, number);
    model_erase(regions[number].start, regions[number].start + regions[number].count, number);
    regions[number].count = 0;
}

static void step(struct input *input)
{
    uint32_t operation = take_byte(input);
    uint32_t number = 1 + take_byte(input) % REGIONS;
    switch (operation % 8) {
    case 0:
    case 1:
    case 2:
        if (regions[number].count != 0)
            erase(number);
        else
            publish(input, number);
        break;
    case 3: {
        uint64_t start = take_place(input), count = take_count(input);
        if (start + count <= REGION_MAP_GRANULES)
            purge(start, count);
        break;
    }
    case 4:
        check_granule(take_place(input));
        break;
    case 5:
        if (regions[number].count != 0)
            check_granule(regions[number].start + take_below(input, regions[number].count));
        break;
    case 6: /* its releaser stopped before erasing: the number may be another's soon */
        regions[number].count = 0;
        break;
    default: {
        uint64_t start = take_place(input);
        check_range(start, take_count(input));
    }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    metadata = 0;
    run_count = 0;
    memset(&map, 0, sizeof map);
    memset(regions, 0, sizeof regions);
    hm_region_map_init(&map, &metadata);
    while (more(&input) && run_count < RUNS / 2)
        step(&input);
    check_all();
    for (uint32_t number = 1; number <= REGIONS; number++)
        if (regions[number].count != 0)
            erase(number);
    for (unsigned i; (i = model_first(0, REGION_MAP_GRANULES)) != RUNS;)
        purge(runs[i].start, REGION_MAP_GRANULES - runs[i].start);
    DEMAND(hm_region_map_first(&map, 0, REGION_MAP_GRANULES) == 0);
    hm_region_map_destroy(&map);
    DEMAND(metadata == 0);
    DEMAND(fake_pages_outstanding() == 0);
    return 0;
}
