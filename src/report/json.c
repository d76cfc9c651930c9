/*
 * json.c - see json.h
 *
 * What the fields mean is told in docs/report.md. The timeline is in columns; one in which nothing happens is left out.
 * Frames after the first say only what is different.
 */
#include "report/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report/compare.h"
#include "report/json_owned.h"
#include "report/json_parts.h"

enum { SITES_SHOWN = 300, PAIRS_SHOWN = 100, GROUPS_SHOWN = 100 };

static const char *const limit_keys[LIMITS_COUNT] = {"limit", "task_limit", "margin",
                                                     "soft",  "heap_limit", "process_soft"};
static const char *const notified_keys[NOTIFIED_COUNT] = {"", "low", "neutral", "high"};

/* --------------------------------------------------------------------------------------------------------- figures */

static void by_use(struct out *out, const char *before, const char *name, const uint64_t *bytes)
{
    key(out, before, name);
    for (unsigned use = 0; use < USE_COUNT; use++)
        key_number(out, use == 0 ? "{" : ", ", hm_use_keys[use], bytes[use]);
    hm_out_text(out, "}");
}

static void named_counts(struct out *out, const char *name, const char *const *names, const uint64_t *counts,
                         unsigned count)
{
    const char *before = "{";

    key(out, ", ", name);
    for (unsigned i = 0; i < count; i++)
        if (counts[i] != 0) {
            key_number(out, before, names[i], counts[i]);
            before = ", ";
        }
    hm_out_text(out, *before == '{' ? "{}" : "}");
}

static void head(struct out *out, const struct reported *reported)
{
    const struct loaded *loaded = reported->loaded;
    const struct model *model = &loaded->model;
    const struct nettrace_header *header = &model->header;
    char date[64];

    key_number(out, "{", "format", 1);
    key_text(out, ",\n ", "file", reported->file);
    key(out, ",\n ", "wrong");
    if (loaded->result.what)
        hm_out_json(out, loaded->result.what);
    else
        hm_out_text(out, "null");
    snprintf(date, sizeof date, "%04u-%02u-%02uT%02u:%02u:%02uZ", header->year, header->month, header->day,
             header->hour, header->minute, header->second);
    key_text(out, ",\n ", "started", date);
    key(out, ",\n ", "seconds");
    seconds(out, hm_model_seconds(model, model->last_time));
    key_text(out, ",\n ", "runtime", hm_schema_text(&model->schema, model->runtime));
    key_number(out, ",\n ", "pointer_size", header->pointer_size);
    key_number(out, ",\n ", "events", model->events);
    key_number(out, ",\n ", "lost", loaded_lost(loaded));
}

static void figures(struct out *out, const struct model *model)
{
    key(out, ",\n ", "committed");
    by_use(out, "{", "start", model->first_by_use);
    by_use(out, ",\n  ", "peak", model->peak_by_use);
    by_use(out, ",\n  ", "end", model->state.committed);
    key_number(out, ",\n  ", "most", model->peak);
    key(out, ", ", "most_at_seconds");
    seconds(out, hm_model_seconds(model, model->peak_time));
    hm_out_text(out, "}");
    key_number(out, ",\n ", "reserved", model->state.reserved);
    key_number(out, ",\n ", "regions", model->regions.count);
    key(out, ",\n ", "limits");
    for (unsigned i = 0; i < LIMITS_COUNT; i++)
        key_known(out, i == 0 ? "{" : ", ", limit_keys[i], model->state.limits[i]);
    hm_out_text(out, "}");
    key(out, ",\n ", "refusals");
    key_number(out, "{", "count", model->refusals);
    key_number(out, ", ", "bytes", model->refused_bytes);
    named_counts(out, "reasons", hm_reason_names, model->refused_reasons, REASON_COUNT);
    named_counts(out, "levels", hm_level_names, model->refused_levels, LEVEL_COUNT);
    hm_out_text(out, "}");
    key(out, ",\n ", "overruns");
    key_number(out, "{", "count", model->overruns);
    key_number(out, ", ", "bytes", model->overrun_bytes);
    hm_out_text(out, "}");
    key(out, ",\n ", "notified");
    for (unsigned i = 1; i < NOTIFIED_COUNT; i++)
        key_number(out, i == 1 ? "{" : ", ", notified_keys[i], model->notified[i]);
    hm_out_text(out, "}");
    key(out, ",\n ", "collections");
    for (unsigned i = 0; i < 3; i++) {
        hm_out_text(out, i == 0 ? "[" : ", ");
        if (model->state.collections[i] == UNKNOWN)
            hm_out_text(out, "null");
        else
            hm_out_number(out, model->state.collections[i]);
    }
    hm_out_text(out, "]");
    key(out, ",\n ", "accounting");
    key_number(out, "{", "samples_that_differ", model->differences);
    key_known(out, ", ", "last_difference", model->last_sample_difference);
    hm_out_text(out, "}");
}

static void calls(struct out *out, const struct model *model)
{
    key(out, ",\n ", "calls");
    hm_out_text(out, "[");
    const char *before = "";
    for (unsigned i = 0; i < METHOD_COUNT; i++)
        if (model->calls[i] != 0) {
            hm_out_text(out, before);
            key_text(out, "{", "method", hm_method_names[i]);
            key_number(out, ", ", "traced", model->calls[i]);
            key_number(out, ", ", "failed", model->failed[i]);
            hm_out_text(out, "}");
            before = ", ";
        }
    hm_out_text(out, "]");
    key(out, ",\n ", "counted_calls"); /* by the accounting, traced or not */
    hm_out_text(out, "[");
    for (unsigned i = 0; i < model->row_count; i++) {
        const struct call_row *row = &model->rows[i];
        hm_out_text(out, i == 0 ? "" : ", ");
        key_text(out, "{", "method", hm_schema_text(&model->schema, row->method));
        key_number(out, ", ", "count", row->count);
        key_number(out, ", ", "failed", row->failed);
        hm_out_text(out, "}");
    }
    hm_out_text(out, "]");
}

/* -------------------------------------------------------------------------------------------------------- timeline */

/* One figure of every slice, which is where it is in the first one. */
static void column(struct out *out, const char **before, const char *name, const struct timeline *timeline,
                   const uint64_t *first)
{
    const size_t offset = (size_t)((const char *)first - (const char *)timeline->slices);
    bool any = false;

    for (uint32_t i = 0; i < timeline->count && !any; i++) {
        uint64_t number;
        memcpy(&number, (const char *)&timeline->slices[i] + offset, sizeof number);
        any = number != 0 && number != UNKNOWN;
    }
    if (!any)
        return;
    key(out, *before, name);
    *before = ",\n   ";
    for (uint32_t i = 0; i < timeline->count; i++) {
        uint64_t number;
        memcpy(&number, (const char *)&timeline->slices[i] + offset, sizeof number);
        hm_out_text(out, i == 0 ? "[" : ",");
        if (number == UNKNOWN)
            hm_out_text(out, "null");
        else
            hm_out_number(out, number);
    }
    hm_out_text(out, "]");
}

static void columns(struct out *out, const char **before, const char *name, const char *const *names,
                    const struct timeline *timeline, const uint64_t *first, unsigned from, unsigned count)
{
    const char *inner = "{";

    key(out, *before, name);
    for (unsigned i = from; i < count; i++)
        column(out, &inner, names[i], timeline, first + i);
    hm_out_text(out, *inner == '{' ? "{}" : "}");
    *before = ",\n  ";
}

static void timeline(struct out *out, const struct model *model)
{
    static const char *const generations[3] = {"gen0", "gen1", "gen2"};
    const struct timeline *times = &model->timeline;
    const struct slice *first = times->slices;
    const char *before = ",\n  ";

    key(out, ",\n ", "timeline");
    key(out, "{", "slice_seconds");
    seconds(out, hm_model_seconds(model, times->width));
    key_number(out, ",\n  ", "slices", times->count);
    columns(out, &before, "committed", hm_use_keys, times, first->state.committed, 0, USE_COUNT);
    columns(out, &before, "limits", limit_keys, times, first->state.limits, 0, LIMITS_COUNT);
    columns(out, &before, "collections", generations, times, first->state.collections, 0, 3);
    columns(out, &before, "calls", hm_method_names, times, first->calls, 0, METHOD_COUNT);
    columns(out, &before, "notified", notified_keys, times, first->notified, 1, NOTIFIED_COUNT);
    column(out, &before, "peak", times, &first->peak);
    column(out, &before, "reserved", times, &first->state.reserved);
    column(out, &before, "process", times, &first->state.process);
    column(out, &before, "refusals", times, &first->refusals);
    column(out, &before, "overruns", times, &first->overruns);
    column(out, &before, "lost", times, &first->lost);
    hm_out_text(out, "}");
}

/* ---------------------------------------------------------------------------------------------------------- frames */

static void frame_region(struct out *out, const struct frame *frame, const struct frame_region *region)
{
    hm_out_format(out, "[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%u,[", region->base, region->bytes,
                  region->committed, region->use);
    for (uint32_t i = 0; i < region->run_count; i++) {
        const struct run *run = &frame->runs[region->first_run + i];
        hm_out_format(out, "%s%" PRIu64 ",%" PRIu64, i == 0 ? "" : ",", (run->start - region->base) / 1024,
                      (run->end - run->start) / 1024);
    }
    hm_out_text(out, "]]");
}

static void frames(struct out *out, const struct model *model)
{
    static const struct frame nothing;

    key(out, ",\n ", "frames");
    hm_out_text(out, "[");
    for (uint32_t i = 0; i < model->frames.count; i++) {
        const struct frame *frame = &model->frames.list[i];
        const struct frame *last = i == 0 ? &nothing : &model->frames.list[i - 1];
        const char *before = "";

        key(out, i == 0 ? "{" : ",\n  {", "seconds");
        seconds(out, hm_model_seconds(model, frame->time));
        key(out, ", ", "all");
        hm_out_text(out, frame->cut ? "false" : "true");
        key(out, ", ", "set");
        hm_out_text(out, "[");
        for (uint32_t at = 0; at < frame->region_count; at++)
            if (!hm_frames_has(last, frame, &frame->regions[at])) {
                hm_out_text(out, before);
                frame_region(out, frame, &frame->regions[at]);
                before = ",";
            }
        hm_out_text(out, "]");
        key(out, ", ", "gone");
        hm_out_text(out, "[");
        before = "";
        for (uint32_t at = 0; at < last->region_count; at++)
            if (!hm_frames_find(frame, last->regions[at].base)) {
                hm_out_format(out, "%s%" PRIu64, before, last->regions[at].base);
                before = ",";
            }
        hm_out_text(out, "]}");
    }
    hm_out_text(out, "]");
}

/* ----------------------------------------------------------------------------------------------------------- sites */

/* Of most of what it committed. */
static const char *main_use(const struct site *site)
{
    unsigned most = 0;

    for (unsigned use = 0; use < USE_COUNT; use++)
        if (site->by_use[use] > site->by_use[most])
            most = use;
    return site->by_use[most] == 0 ? "" : hm_use_names[most];
}

/* The first `shown` of them. */
static bool site_list(struct out *out, const char *name, const struct model *model, const struct sites *list,
                      uint32_t shown)
{
    uint32_t *order = hm_sites_by_bytes(list);

    if (list->count != 0 && !order)
        return false;
    key(out, ",\n ", name);
    hm_out_text(out, "[");
    for (uint32_t i = 0; i < list->count && i < shown; i++) {
        const struct site *site = &list->list[order[i]];
        key_number(out, i == 0 ? "{" : ",\n  {", "committed", site->committed);
        key_number(out, ", ", "reserved", site->reserved);
        key_number(out, ", ", "held", site->held);
        key_text(out, ", ", "use", main_use(site));
        key_number(out, ", ", "stacks", site->stacks);
        key_number(out, ", ", "calls", site->calls);
        key_number(out, ", ", "failed", site->failed);
        hm_json_stack(out, ", ", "stack", model, site, SITE_FRAMES_MAX);
        hm_out_text(out, "}");
    }
    hm_out_text(out, "]");
    free(order);
    return true;
}

static bool sites(struct out *out, const struct model *model)
{
    struct sites groups = {0};

    key_number(out, ",\n ", "site_count", model->sites.count);
    key_number(out, ",\n ", "stacks_left_out", model->sites.left_out);
    hm_sites_group(&groups, &model->sites, GROUP_FRAMES);
    const bool done = site_list(out, "site_groups", model, &groups, GROUPS_SHOWN) &&
                      site_list(out, "sites", model, &model->sites, SITES_SHOWN);
    hm_sites_clear(&groups);
    return done;
}

/* ------------------------------------------------------------------------------------------------------ comparison */

static void other(struct out *out, const struct reported *second)
{
    const struct model *model = &second->loaded->model;

    key_text(out, "{", "file", second->file);
    key(out, ",\n  ", "seconds");
    seconds(out, hm_model_seconds(model, model->last_time));
    key_number(out, ",\n  ", "events", model->events);
    by_use(out, ",\n  ", "peak", model->peak_by_use);
    by_use(out, ",\n  ", "end", model->state.committed);
    key_number(out, ",\n  ", "refusals", model->refusals);
    key_number(out, ",\n  ", "low", model->notified[NOTIFIED_LOW]);
    key(out, ",\n  ", "slice_seconds");
    seconds(out, hm_model_seconds(model, model->timeline.width));
    const char *before = ",\n  ";
    column(out, &before, "most", &model->timeline, &model->timeline.slices->peak);
}

static bool comparison(struct out *out, const struct reported *first, const struct reported *second)
{
    const struct model *a = &first->loaded->model, *b = &second->loaded->model;
    struct site_pairs pairs;

    if (!hm_compare_sites(&pairs, a, b)) {
        hm_pairs_clear(&pairs);
        return false;
    }
    key(out, ",\n ", "compared");
    other(out, second);
    key(out, ",\n  ", "sites");
    hm_out_text(out, "[");
    for (uint32_t i = 0; i < pairs.count && i < PAIRS_SHOWN; i++) {
        const struct site_pair *pair = &pairs.list[i];
        const struct site *of_a = pair->first ? &pairs.groups[0].list[pair->first] : NULL;
        const struct site *of_b = pair->second ? &pairs.groups[1].list[pair->second] : NULL;
        key_number(out, i == 0 ? "{" : ",\n   {", "first", of_a ? of_a->committed : 0);
        key_number(out, ", ", "second", of_b ? of_b->committed : 0);
        key(out, ", ", "difference");
        hm_out_signed(out, pair->committed);
        hm_json_stack(out, ", ", "stack", of_b ? b : a, of_b ? of_b : of_a, SITE_FRAMES_MAX);
        hm_out_text(out, "}");
    }
    hm_out_text(out, "]}");
    hm_pairs_clear(&pairs);
    return true;
}

bool hm_report_json(struct out *out, const struct reported *reported, const struct reported *second)
{
    const struct model *model = &reported->loaded->model;

    head(out, reported);
    figures(out, model);
    calls(out, model);
    timeline(out, model);
    frames(out, model);
    hm_json_misuses(out, model);
    if (!hm_json_owned(out, model) || !sites(out, model) || (second && !comparison(out, reported, second)))
        return false;
    hm_out_text(out, "}\n");
    return true;
}
