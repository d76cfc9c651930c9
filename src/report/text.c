/*
 * text.c - see text.h
 */
#include "report/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report/compare.h"
#include "report/owned.h"

enum { BAR = 28, SITES_SHOWN = 5, SITE_FRAMES_SHOWN = GROUP_FRAMES, OWNED_SHOWN = 5, MISUSES_SHOWN = 3 };

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* Of BAR characters. */
static unsigned length_of(uint64_t bytes, uint64_t whole)
{
    return whole == 0 ? 0 : bytes >= whole ? BAR : (unsigned)((double)bytes / (double)whole * BAR + 0.5);
}

static void bar(struct out *out, uint64_t most, uint64_t now, uint64_t whole)
{
    const unsigned full = length_of(now, whole);

    for (unsigned i = 0; i < full; i++)
        hm_out_text(out, "\xE2\x96\x88");
    for (unsigned i = full; i < length_of(most, whole); i++)
        hm_out_text(out, "\xE2\x96\x91");
}

static void size_text(struct out *out, uint64_t bytes)
{
    static const char units[] = "KMGTPE";
    double size = (double)bytes / 1024;
    unsigned unit = 0;

    for (; size >= 1024 && units[unit + 1]; unit++)
        size /= 1024;
    hm_out_format(out, "%.1f%c", size, units[unit]);
}

static void heading(struct out *out, const struct reported *reported)
{
    const struct loaded *loaded = reported->loaded;
    const struct model *model = &loaded->model;
    const struct nettrace_header *header = &model->header;

    hm_out_text(out, "hostmem-report: ");
    hm_out_foreign(out, reported->file);
    hm_out_format(out, "\n  traced       %04u-%02u-%02u %02u:%02u:%02u UTC, %.3f s", header->year,
                  header->month, header->day, header->hour, header->minute, header->second,
                  hm_model_seconds(model, model->last_time));
    hm_out_format(out, "; %" PRIu64 " events, %" PRIu64 " lost\n", model->events, loaded_lost(loaded));
    if (loaded->result.what)
        hm_out_format(out, "  incomplete   %s (byte %" PRIu64 "): what comes before it is reported\n",
                      loaded->result.what, loaded->result.offset);
    hm_out_text(out, "  runtime      ");
    hm_out_foreign(out, model->runtime ? hm_schema_text(&model->schema, model->runtime) : "not known");
    hm_out_format(out, ", %u-bit\n", header->pointer_size * 8);
}

static void limits(struct out *out, const struct model *model)
{
    static const char *const names[LIMITS_COUNT] = {"limit",    "task limit", "margin",
                                                    "low from", "heap limit", "low (process) from"};
    bool any = false;

    hm_out_text(out, "  limits       ");
    for (unsigned i = 0; i < LIMITS_COUNT; i++) {
        if (model->state.limits[i] == UNKNOWN ||
            (i == LIMITS_MARGIN && model->state.limits[LIMITS_LIMIT] == UNKNOWN))
            continue;
        hm_out_format(out, "%s%s ", any ? ", " : "", names[i]);
        size_text(out, model->state.limits[i]);
        any = true;
    }
    hm_out_text(out, any ? "\n" : "none\n");
}

static void uses(struct out *out, const struct model *model)
{
    static const unsigned order[USE_COUNT] = {USE_GC_HEAP, USE_GC_TABLES, USE_CODE,  USE_LOADER,
                                              USE_VIEW,    USE_OTHER,     USE_BLOCKS};

    hm_out_text(out, "\n  committed, MiB    start       end   at peak\n");
    for (unsigned i = 0; i < USE_COUNT; i++) {
        const unsigned use = order[i];
        const uint64_t now = model->state.committed[use], peak = model->peak_by_use[use];
        if (now == 0 && peak == 0 && model->first_by_use[use] == 0)
            continue;
        hm_out_format(out, "  %-13s %9.1f %9.1f %9.1f  ", hm_use_names[use],
                      mebibytes(model->first_by_use[use]), mebibytes(now), mebibytes(peak));
        bar(out, peak, now, model->peak);
        hm_out_text(out, "\n");
    }
    uint64_t first = 0;
    for (unsigned use = 0; use < USE_COUNT; use++)
        first += model->first_by_use[use];
    hm_out_format(out, "  %-13s %9.1f %9.1f %9.1f  ", "in all", mebibytes(first),
                  mebibytes(hm_state_total(&model->state)), mebibytes(model->peak));
    bar(out, model->peak, hm_state_total(&model->state), model->peak);
    hm_out_format(out, "\n  peak at %.3f s; %u regions at the end, reserved ",
                  hm_model_seconds(model, model->peak_time), model->regions.count);
    size_text(out, model->state.reserved);
    hm_out_text(out, "\n");
}

static void happenings(struct out *out, const struct model *model)
{
    hm_out_text(out, "\n  refused      ");
    if (model->refusals == 0)
        hm_out_text(out, "nothing");
    else {
        hm_out_format(out, "%" PRIu64 ", ", model->refusals);
        size_text(out, model->refused_bytes);
        for (unsigned i = 0; i < REASON_COUNT; i++)
            if (model->refused_reasons[i])
                hm_out_format(out, "; %s %" PRIu64, hm_reason_names[i], model->refused_reasons[i]);
    }
    hm_out_format(out, "\n  overruns     %" PRIu64 ", ", model->overruns);
    size_text(out, model->overrun_bytes);
    hm_out_format(out, "\n  notified     low %" PRIu64 ", neutral %" PRIu64 ", high %" PRIu64 "\n",
                  model->notified[NOTIFIED_LOW], model->notified[NOTIFIED_NEUTRAL],
                  model->notified[NOTIFIED_HIGH]);
    const uint64_t *collections = model->state.collections;
    if (collections[0] != UNKNOWN)
        hm_out_format(out, "  collections  gen0 %" PRIu64 ", gen1 %" PRIu64 ", gen2 %" PRIu64 "\n",
                      collections[0], collections[1], collections[2]);
    if (!model->sampled)
        return;
    if (model->last_sample_difference == UNKNOWN)
        hm_out_text(out,
                    "  accounting   the last sample is not compared: none has agreed since the beginning, or "
                    "since events were lost\n");
    else if (model->last_sample_difference == 0)
        hm_out_text(out, "  accounting   the last sample agrees with the events, byte for byte\n");
    else
        hm_out_format(out, "  accounting   the last sample differs from the events by %" PRIu64 " bytes\n",
                      model->last_sample_difference);
}

static void calls(struct out *out, const struct model *model)
{
    const double seconds = hm_model_seconds(model, model->last_time);

    hm_out_text(out, "\n  calls traced                       count    failed  a second\n");
    for (unsigned i = 0; i < METHOD_COUNT; i++)
        if (model->calls[i] != 0)
            hm_out_format(out, "  %-28s %11" PRIu64 " %9" PRIu64 " %9.0f\n", hm_method_names[i],
                          model->calls[i], model->failed[i],
                          seconds > 0 ? (double)model->calls[i] / seconds : 0.0);
}

static void sites(struct out *out, const struct model *model)
{
    struct sites groups = {0};

    hm_sites_group(&groups, &model->sites, SITE_FRAMES_SHOWN);
    uint32_t *order = hm_sites_by_bytes(&groups);
    if (order)
        hm_out_text(out, "\n  call sites, MiB   committed  reserved     calls\n");
    for (uint32_t i = 0, shown = 0; order && i < groups.count && shown < SITES_SHOWN; i++) {
        const struct site *site = &groups.list[order[i]];
        char name[SITE_KEY_MAX];
        if (site->calls == 0) /* of frees alone */
            continue;
        shown++;
        hm_site_name(model, site, SITE_FRAMES_SHOWN, " < ", name);
        hm_out_format(out, "  %26.1f %9.1f %9" PRIu64 "  ", mebibytes(site->committed),
                      mebibytes(site->reserved), site->calls);
        hm_out_foreign(out, name);
        hm_out_text(out, "\n");
    }
    free(order);
    hm_sites_clear(&groups);
}

/* ", from SITE", or nothing. */
static void from(struct out *out, const struct model *model, const struct site *site)
{
    char name[SITE_KEY_MAX];

    if (!site)
        return;
    hm_site_name(model, site, SITE_FRAMES_SHOWN, " < ", name);
    hm_out_text(out, ", from ");
    hm_out_foreign(out, name);
}

/* When somebody reserved what is not seen to be reserved. */
static const char *not_seen(const struct loaded *loaded)
{
    return loaded_lost(loaded) || loaded->model.regions.left_out ? "before the trace, or lost"
                                                                 : "before the trace";
}

static void owned_group(struct out *out, const struct loaded *loaded, const struct owned *owned,
                        const struct owned_group *group)
{
    const struct model *model = &loaded->model;
    const double oldest = hm_model_seconds(model, model->last_time - group->oldest);
    const double youngest = hm_model_seconds(model, model->last_time - group->youngest);

    hm_out_format(out, "  %26.1f %9.1f %9" PRIu32 "  %s", mebibytes(group->committed),
                  mebibytes(group->bytes), group->count, hm_use_names[group->use]);
    if (group->oldest == NOT_SEEN)
        hm_out_format(out, ", there %s", not_seen(loaded));
    else if (oldest - youngest < 0.1)
        hm_out_format(out, ", %.1f s old", oldest);
    else
        hm_out_format(out, ", %.1f to %.1f s old", youngest, oldest);
    from(out, model, sites_at(&owned->sites, group->site));
    hm_out_text(out, "\n");
}

static void owned_regions(struct out *out, const struct loaded *loaded)
{
    struct owned owned;

    if (hm_owned_find(&owned, &loaded->model) && owned.group_count != 0) {
        hm_out_text(out, "\n  still owned, MiB  committed  reserved   regions\n");
        for (uint32_t i = 0; i < owned.group_count && i < OWNED_SHOWN; i++)
            owned_group(out, loaded, &owned, &owned.groups[i]);
        if (owned.group_count > OWNED_SHOWN)
            hm_out_format(out, "  and %" PRIu32 " more\n", owned.group_count - OWNED_SHOWN);
    }
    hm_owned_clear(&owned);
}

static void misuse_lines(struct out *out, const struct loaded *loaded, const struct misuse *misuse)
{
    const struct model *model = &loaded->model;
    const struct release *first = &misuse->first;

    hm_out_format(out, "  %9.3f s  0x%" PRIx64 "%s", hm_model_seconds(model, misuse->time), misuse->address,
                  misuse->decommits ? " (decommit)" : "");
    if (misuse->thread != 0)
        hm_out_format(out, ", thread %" PRIu32, misuse->thread);
    from(out, model, sites_at(&model->sites, misuse->from));
    hm_out_text(out, "\n");
    if (!misuse->twice)
        return;
    hm_out_format(out, "               freed %s at %.3f s",
                  first->time > misuse->time ? "by another thread," : "before,",
                  hm_model_seconds(model, first->time));
    from(out, model, sites_at(&model->sites, first->from));
    hm_out_text(out, "\n               reserved ");
    if (first->since == NOT_SEEN)
        hm_out_text(out, not_seen(loaded));
    else
        hm_out_format(out, "at %.3f s", hm_model_seconds(model, first->since));
    from(out, model, sites_at(&model->sites, first->reserved_from));
    hm_out_text(out, "\n");
}

static void misuses(struct out *out, const struct loaded *loaded)
{
    const struct misuses *all = &loaded->model.misuses;
    const uint64_t count = all->count + all->left_out;

    if (count == 0)
        return;
    hm_out_format(
        out, "\n  misused      %" PRIu64 " frees of what is not owned, %" PRIu64 " of what was freed before",
        count, all->twice);
    if (all->left_out != 0)
        hm_out_format(out, ", as far as is known: of %" PRIu64 " only the number is kept", all->left_out);
    hm_out_text(out, "\n");
    for (uint32_t i = 0; i < all->count && i < MISUSES_SHOWN; i++)
        misuse_lines(out, loaded, &all->list[i]);
    if (count > MISUSES_SHOWN)
        hm_out_format(out, "  and %" PRIu64 " more\n", count - MISUSES_SHOWN);
}

void hm_report_text(struct out *out, const struct reported *reported)
{
    const struct model *model = &reported->loaded->model;

    heading(out, reported);
    limits(out, model);
    uses(out, model);
    happenings(out, model);
    calls(out, model);
    sites(out, model);
    owned_regions(out, reported->loaded);
    misuses(out, reported->loaded);
}

/* ------------------------------------------------------------------------------------------------------ comparison */

static void difference_row(struct out *out, const char *name, uint64_t first, uint64_t second)
{
    if (first == 0 && second == 0)
        return;
    hm_out_format(out, "  %-13s %9.1f %9.1f %+10.1f\n", name, mebibytes(first), mebibytes(second),
                  mebibytes(second) - mebibytes(first));
}

static void difference_of_uses(struct out *out, const char *title, const uint64_t *first,
                               const uint64_t *second)
{
    uint64_t sums[2] = {0, 0};

    hm_out_format(out, "\n  %-15s%9s %9s %10s\n", title, "first", "second", "difference");
    for (unsigned use = 0; use < USE_COUNT; use++) {
        difference_row(out, hm_use_names[use], first[use], second[use]);
        sums[0] += first[use];
        sums[1] += second[use];
    }
    difference_row(out, "in all", sums[0], sums[1]);
}

bool hm_report_comparison(struct out *out, const struct reported *first, const struct reported *second)
{
    const struct model *a = &first->loaded->model, *b = &second->loaded->model;
    struct site_pairs pairs;

    if (!hm_compare_sites(&pairs, a, b)) {
        hm_pairs_clear(&pairs);
        return false;
    }
    hm_out_text(out, "hostmem-report: ");
    hm_out_foreign(out, first->file);
    hm_out_text(out, " (first) and ");
    hm_out_foreign(out, second->file);
    hm_out_format(out, " (second)\n  traced       %.3f s and %.3f s; %" PRIu64 " and %" PRIu64 " events\n",
                  hm_model_seconds(a, a->last_time), hm_model_seconds(b, b->last_time), a->events, b->events);
    hm_out_format(out,
                  "  refused      %" PRIu64 " and %" PRIu64 "; notified of low memory %" PRIu64
                  " and %" PRIu64 "\n",
                  a->refusals, b->refusals, a->notified[NOTIFIED_LOW], b->notified[NOTIFIED_LOW]);
    difference_of_uses(out, "at peak, MiB", a->peak_by_use, b->peak_by_use);
    difference_of_uses(out, "at the end, MiB", a->state.committed, b->state.committed);
    for (uint32_t i = 0; i < pairs.count && i < 2 * SITES_SHOWN && pairs.list[i].committed != 0; i++) {
        const struct site_pair *pair = &pairs.list[i];
        const struct model *model = pair->second ? b : a;
        char name[SITE_KEY_MAX];
        if (i == 0)
            hm_out_text(out, "\n  committed by call sites, MiB   difference\n");
        const struct site *site =
            pair->second ? &pairs.groups[1].list[pair->second] : &pairs.groups[0].list[pair->first];
        hm_site_name(model, site, SITE_FRAMES_SHOWN, " < ", name);
        hm_out_format(out, "  %+39.1f  ", (double)pair->committed / (1 << 20));
        hm_out_foreign(out, name);
        hm_out_text(out, "\n");
    }
    hm_pairs_clear(&pairs);
    return true;
}
