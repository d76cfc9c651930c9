/*
 * fuzz_report.c - the reader of traces and the model behind it, from bytes of anybody's
 *
 * The first byte says what the rest is: a whole file; its blocks, behind a good beginning; the events of one block; or
 * numbers of which events are made that are all well formed. Whatever comes of it, what is known of the model holds, and
 * all of the report can be written.
 */
#include "fuzz.h"

#include "report/json.h"
#include "report/load.h"
#include "report/owned.h"
#include "support/trace_maker.h"

static void check_region(const struct region *region)
{
    uint64_t last = 0;

    for (uint32_t i = 0; i < region->run_count; i++) {
        const struct run *run = &region->runs[i];
        DEMAND(run->start < run->end && run->start >= region->base && (i == 0 || run->start > last));
        DEMAND(run->end - region->base <= region->bytes);
        last = run->end;
    }
}

/* All regions are in a group; every site that is named is there. */
static void check_ends(const struct model *model)
{
    const struct misuses *misuses = &model->misuses;
    struct owned owned;
    uint32_t regions = 0;

    DEMAND(hm_owned_find(&owned, model));
    for (uint32_t i = 0; i < owned.group_count; i++) {
        const struct owned_group *group = &owned.groups[i];
        DEMAND(group->site <= owned.sites.count && group->oldest <= group->youngest);
        DEMAND(i == 0 || group->committed <= owned.groups[i - 1].committed);
        regions += group->count;
    }
    DEMAND(regions == model->regions.count);
    hm_owned_clear(&owned);
    for (uint32_t i = 0; i < model->regions.count; i++)
        DEMAND(model->regions.list[i].site <= model->sites.count);
    DEMAND(misuses->count <= MISUSES_MAX && misuses->twice <= misuses->count);
    for (uint32_t i = 0; i < misuses->count; i++) {
        const struct misuse *misuse = &misuses->list[i];
        DEMAND(misuse->from <= model->sites.count && misuse->first.from <= model->sites.count &&
               misuse->first.reserved_from <= model->sites.count);
    }
}

static void check(const struct loaded *loaded)
{
    const struct model *model = &loaded->model;
    uint64_t runs = 0, calls = 0, counted = 0;

    DEMAND((loaded->result.ending == NETTRACE_COMPLETE) == (loaded->result.what == NULL));
    for (uint32_t i = 0; i < model->regions.count; i++) {
        check_region(&model->regions.list[i]);
        DEMAND(hm_regions_find((struct regions *)&model->regions, model->regions.list[i].base) ==
               &model->regions.list[i]);
        runs += model->regions.list[i].run_count;
    }
    DEMAND(runs == model->regions.run_count);
    DEMAND(model->timeline.count <= SLICES_MAX && model->frames.count <= FRAMES_MAX);
    for (unsigned i = 0; i < METHOD_COUNT; i++) {
        counted += model->calls[i];
        for (uint32_t slice = 0; slice < model->timeline.count; slice++)
            calls += model->timeline.slices[slice].calls[i];
    }
    DEMAND(calls == counted);
    for (uint32_t i = 0; i + 1 < model->frames.count; i++)
        DEMAND(model->frames.list[i].time <= model->frames.list[i + 1].time);
    check_ends(model);
}

static void write_all(const struct loaded *loaded)
{
    static FILE *nowhere;
    if (!nowhere)
        nowhere = fopen("/dev/null", "wb");
    struct out out = {.file = nowhere};
    const struct reported reported = {"fuzz", loaded};

    DEMAND(nowhere);
    hm_report_text(&out, &reported);
    DEMAND(hm_report_json(&out, &reported, &reported));
}

/* Few addresses and sizes, so that events meet. */
static uint64_t number(struct input *input)
{
    enum { NOT_OWNED = 0x80131022 };
    static const uint64_t pages[] = {0, 1, 2, 3, 4, 8, 16, 17, 64, 1 << 20};
    const uint32_t kind = take_byte(input);

    if (kind < 0xF0)
        return pages[kind % 10] * 4096 + (kind >= 0x80 ? (uint64_t)(kind >> 4) << 24 : 0);
    return kind == 0xFF   ? UINT64_MAX
           : kind == 0xFE ? take_number(input, 8)
           : kind == 0xFD ? NOT_OWNED
                          : kind - 0xF0;
}

static void make_events(struct trace_maker *maker, struct input *input)
{
    uint64_t time = 1000;

    while (more(input)) {
        uint64_t values[MAKER_FIELDS];
        const uint32_t kind = 1 + take_byte(input) % MADE_LOST;
        for (unsigned i = 0; i < MAKER_FIELDS; i++)
            values[i] = maker->types[kind][i] == 's' ? (uintptr_t) "text" : 0;
        for (unsigned i = 0; maker->types[kind][i]; i++)
            if (maker->types[kind][i] != 's')
                values[i] = number(input);
        const uint32_t step = take_byte(input);
        time += step < 0xC0 ? step : (uint64_t)1 << (step & 0x3F);
        maker_event(maker, kind, time, step % 3, values);
        if (step == 7)
            maker_sequence_point(maker, time);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { FILE_OF_ITS_OWN, BLOCKS, EVENTS, VALUES, KINDS };
    struct input input = {data, data + size};
    struct trace_maker maker = {0};
    struct loaded loaded;
    const uint32_t kind = take_byte(&input) % KINDS;
    const bool ended = kind == VALUES;

    if (kind != FILE_OF_ITS_OWN) {
        maker_begin(&maker, 8);
        maker_rows(&maker);
        maker_stack(&maker, 1, 2, (const uint64_t[]){0x1000, 0x2000});
        maker_stack(&maker, 2, 1, (const uint64_t[]){0x3000});
    }
    if (kind == EVENTS) {
        maker_open(&maker, BLOCK_EVENTS);
        maker_put(&maker, 20, 2);
        maker_put(&maker, take_byte(&input) & 1, 2);
        maker_put(&maker, 0, 8);
        maker_put(&maker, 0, 8);
    }
    if (kind == VALUES)
        make_events(&maker, &input);
    while (more(&input))
        maker_put(&maker, take_byte(&input), 1);
    if (kind == EVENTS || kind == VALUES)
        maker_end(&maker);

    struct bytes source = bytes_of(maker.bytes ? maker.bytes : data, maker.size);
    const bool told = hm_load(&loaded, (struct nettrace_source){maker_read, &source});
    DEMAND(!ended || (loaded.result.ending != NETTRACE_DAMAGED && loaded.result.ending != NETTRACE_CUT));
    if (told)
        check(&loaded);
    if (told && size % 8 == 0) { /* it takes long */
        hm_frames_fit(&loaded.model.frames, 1 << 16);
        write_all(&loaded);
    }
    hm_unload(&loaded);
    maker_free(&maker);
    return 0;
}
