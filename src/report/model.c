/*
 * model.c - see model.h
 */
#include "report/model.h"

#include <string.h>

const char *const hm_use_names[USE_COUNT] = {"other",  "GC heap", "GC tables",  "code",
                                             "loader", "views",   "IHostMalloc"};
const char *const hm_use_keys[USE_COUNT] = {"other",  "gc_heap", "gc_tables", "code",
                                            "loader", "views",   "malloc"};
const char *const hm_method_names[METHOD_COUNT] = {"VirtualAlloc",
                                                   "VirtualFree",
                                                   "AcquiredVirtualAddressSpace",
                                                   "ReleasedVirtualAddressSpace",
                                                   "VirtualProtect",
                                                   "Alloc",
                                                   "Free"};
const char *const hm_reason_names[REASON_COUNT] = {"after shutdown", "no memory for the accounting",
                                                   "task limit",     "limit",
                                                   "limit + margin", "heap limit",
                                                   "reserve limit",  "shared",
                                                   "fail-after",     "another reason"};
const char *const hm_level_names[LEVEL_COUNT] = {"task critical", "app domain critical", "process critical",
                                                 "without a level"};

enum { MEM_COMMIT_FLAG = 0x1000, MEM_RESERVE_FLAG = 0x2000 };

static uint64_t less(uint64_t from, uint64_t amount)
{
    return amount > from ? 0 : from - amount;
}

/* As signed: what was lost may have been freed, so that less than nothing is counted. The sums of a hostile file may go
 * round, which does no harm. */
static uint64_t corrected(uint64_t counted, int64_t correction)
{
    const int64_t sum = (int64_t)(counted + (uint64_t)correction);
    return sum < 0 ? 0 : (uint64_t)sum;
}

/* What Windows makes of the bounds that it is given: whole pages. */
static uint64_t page_floor(uint64_t address)
{
    return address & ~(uint64_t)4095;
}

static uint64_t page_ceil(uint64_t address)
{
    return page_floor(address + 4095);
}

static unsigned use_of(uint64_t use)
{
    return use < USE_BLOCKS ? (unsigned)use : USE_OTHER;
}

/* The figures have changed: they go into the timeline, and the peak is looked at. */
static void changed(struct model *model)
{
    struct state *state = &model->state;

    for (unsigned use = 0; use < USE_BLOCKS; use++)
        state->committed[use] = corrected(model->counted[use], model->correction[use]);
    state->reserved = corrected(model->counted_reserved, model->reserved_correction);
    hm_timeline_changed(&model->timeline, state);
    const uint64_t total = hm_state_total(state);
    if (total > model->peak) {
        model->peak = total;
        model->peak_time = model->last_time;
        memcpy(model->peak_by_use, state->committed, sizeof model->peak_by_use);
    }
}

/* ------------------------------------------------------------------------------------------------------ the calls */

/* What was reserved, or is seen for the first time because its reservation was lost. */
static struct region *region_of(struct model *model, uint64_t base, uint64_t end, unsigned use)
{
    struct region *region = hm_regions_make(&model->regions, base);

    if (!region)
        return NULL;
    if (region->bytes == 0)
        region->use = (uint8_t)use;
    if (end > base && end - base > region->bytes) {
        model->counted_reserved += end - base - region->bytes;
        region->bytes = end - base;
    }
    return region;
}

static void apply_alloc(struct model *model, const struct event *event)
{
    const uint64_t *values = event->values;
    struct site *site = event->site ? &model->sites.list[event->site] : NULL;
    const bool failed = values[ALLOC_RESULT] != 0;
    /* The address that came back is lower than the one that was asked for where that is on no boundary. */
    const uint64_t address = values[ALLOC_ADDRESS],
                   asked = values[ALLOC_ASKED] != 0 ? values[ALLOC_ASKED] : address,
                   end = page_ceil(asked + values[ALLOC_BYTES]);
    const bool reserves = !failed && values[ALLOC_REGION] == address &&
                          (values[ALLOC_TYPE] & MEM_RESERVE_FLAG || values[ALLOC_ASKED] == 0);

    model->failed[METHOD_ALLOC] += failed;
    if (site) {
        site->calls++;
        site->failed += failed;
        site->committed += values[ALLOC_COMMITTED];
        site->reserved += reserves ? end - address : 0;
    }
    if (failed)
        return;
    unsigned use = use_of(values[ALLOC_USE]);
    if (values[ALLOC_REGION] != 0) {
        /* What was there has gone, and that was lost: the sums are the next sample's to put right. */
        struct region *before = reserves ? hm_regions_find(&model->regions, address) : NULL;
        if (before)
            hm_regions_remove(&model->regions, before);
        struct region *region = region_of(model, values[ALLOC_REGION], end, use);
        if (region) {
            if (reserves) {
                region->site = event->site;
                region->since = model->last_time;
            }
            use = region->use;
            region->committed += values[ALLOC_COMMITTED];
            if (values[ALLOC_TYPE] & MEM_COMMIT_FLAG)
                hm_regions_commit(&model->regions, region, address, end - address);
        }
    }
    if (values[ALLOC_REGION] != 0 || use == USE_VIEW) /* else it is nobody's, and in no sample */
        model->counted[use] += values[ALLOC_COMMITTED];
    if (site)
        site->by_use[use] += values[ALLOC_COMMITTED];
}

static void apply_free(struct model *model, const struct event *event)
{
    const uint64_t *values = event->values;
    struct region *region = hm_regions_find(&model->regions, values[FREE_REGION]);

    model->failed[METHOD_FREE] += values[FREE_RESULT] != 0;
    if (is_misuse(event))
        hm_misuses_add(&model->misuses, event, &model->regions, model->last_time);
    if (values[FREE_RESULT] != 0)
        return;
    if (values[FREE_RELEASED] != 0)
        hm_misuses_release(&model->misuses, event, region, model->last_time);
    if (region)
        region->committed = less(region->committed, values[FREE_DECOMMITTED]);
    model->counted[use_of(values[FREE_USE])] -= values[FREE_DECOMMITTED];
    model->counted_reserved -= values[FREE_RELEASED];
    if (!region)
        return;
    const uint64_t start = page_floor(values[FREE_ADDRESS]);
    if (values[FREE_RELEASED] != 0)
        hm_regions_remove(&model->regions, region);
    else if (values[FREE_BYTES] == 0) /* all of it */
        hm_regions_decommit(&model->regions, region, region->base, region->bytes);
    else
        hm_regions_decommit(&model->regions, region, start,
                            page_ceil(values[FREE_ADDRESS] + values[FREE_BYTES]) - start);
}

/* A view that was there at the start already: those come before the first sample, and no call has made them. */
static bool is_from_before(const struct model *model, const struct event *event)
{
    return event->kind == EVENT_VIEW_MAPPED && !model->sampled && event->site == 0;
}

/* What is there goes in either case: its end may have been lost. */
static void apply_view(struct model *model, const struct event *event)
{
    const uint64_t *values = event->values;
    struct region *region = hm_regions_find(&model->regions, values[VIEW_ADDRESS]);

    if (region) {
        model->counted[region->use] -= region->committed;
        hm_regions_remove(&model->regions, region);
    }
    if (event->kind != EVENT_VIEW_MAPPED)
        return;
    model->counted[USE_VIEW] += values[VIEW_COMMITTED];
    region = hm_regions_make(&model->regions, values[VIEW_ADDRESS]);
    if (!region)
        return;
    region->use = USE_VIEW;
    region->bytes = values[VIEW_BYTES];
    region->committed = values[VIEW_COMMITTED];
    region->site = event->site;
    region->since = is_from_before(model, event) ? NOT_SEEN : model->last_time;
}

/* A sample has put the sums right: they have what is heard of later. */
static bool sums_are_whole(const struct model *model)
{
    return model->sampled && !model->in_doubt;
}

/* Of a region whose reservation was not seen, calls have told a part only. */
static void catch_up(struct model *model, struct region *region, const uint64_t *values)
{
    const uint64_t bytes = less(values[REGION_BYTES], region->bytes);
    const uint64_t committed = less(values[REGION_COMMITTED], region->committed);

    region->bytes += bytes;
    region->committed += committed;
    if (region->committed == region->bytes)
        hm_regions_commit(&model->regions, region, region->base, region->bytes);
    if (sums_are_whole(model))
        return;
    model->counted[region->use] += committed;
    model->counted_reserved += region->use == USE_VIEW ? 0 : bytes;
}

/* Owned already, or of another use than it had seemed. */
static void apply_region(struct model *model, const uint64_t *values)
{
    struct region *region = hm_regions_find(&model->regions, values[REGION_BASE]);
    const unsigned use = use_of(values[REGION_USE]);

    if (region) {
        model->counted[region->use] -= region->committed;
        model->counted[use] += region->committed;
        region->use = (uint8_t)use;
        model->regions.changes++;
        if (region->since == NOT_SEEN)
            catch_up(model, region, values);
        return;
    }
    region = hm_regions_make(&model->regions, values[REGION_BASE]);
    if (!sums_are_whole(model)) {
        model->counted[use] += values[REGION_COMMITTED];
        model->counted_reserved += use == USE_VIEW ? 0 : values[REGION_BYTES];
    }
    if (!region)
        return;
    region->use = (uint8_t)use;
    region->bytes = values[REGION_BYTES];
    region->committed = values[REGION_COMMITTED];
    if (region->committed == region->bytes)
        hm_regions_commit(&model->regions, region, region->base, region->bytes);
}

/* -------------------------------------------------------------------------------------------------------- the rest */

static uint64_t distance(uint64_t one, uint64_t other)
{
    return one > other ? one - other : other - one;
}

/* It has what calls have done that are still at work, and whose events come later: of those that are believed, at the
 * beginning as behind a loss, the last one counts, before one that agrees. */
static void apply_sample(struct model *model, const uint64_t *values)
{
    uint64_t difference = 0;

    for (unsigned use = 0; use < USE_BLOCKS; use++)
        difference += distance(values[SAMPLE_OTHER + use], model->state.committed[use]);
    if (!model->sampled || (model->to_agree && difference != 0)) {
        for (unsigned use = 0; use < USE_BLOCKS; use++)
            model->correction[use] = (int64_t)(values[SAMPLE_OTHER + use] - model->counted[use]);
        model->last_sample_difference = UNKNOWN;
        model->to_agree = model->to_agree || difference != 0;
    } else {
        model->differences += difference != 0;
        model->last_sample_difference = difference;
        model->to_agree = false;
    }
    model->reserved_correction = (int64_t)(values[SAMPLE_RESERVED] - model->counted_reserved);
    model->state.committed[USE_BLOCKS] = values[SAMPLE_BLOCKS];
    model->state.process = values[SAMPLE_PROCESS] == 0 ? UNKNOWN : values[SAMPLE_PROCESS];
    for (unsigned i = 0; i < 3; i++)
        model->state.collections[i] =
            values[SAMPLE_GEN0 + i] >= UINT32_MAX ? UNKNOWN : values[SAMPLE_GEN0 + i];
    if (!model->sampled) {
        changed(model);
        memcpy(model->first_by_use, model->state.committed, sizeof model->first_by_use);
    }
    model->sampled = true;
    model->in_doubt = false;
}

static void apply_refusal(struct model *model, struct slice *slice, const uint64_t *values)
{
    const uint64_t reason = values[REFUSAL_REASON], level = values[REFUSAL_LEVEL];

    slice->refusals++;
    model->refusals++;
    model->refused_bytes += values[REFUSAL_BYTES];
    model->refused_reasons[reason < REASON_COUNT - 1 ? reason : REASON_COUNT - 1]++;
    model->refused_levels[level < LEVEL_COUNT ? level : LEVEL_COUNT - 1]++; /* EMemoryCriticalLevel */
}

static void apply_calls(struct model *model, const uint64_t *values)
{
    if (values[CALLS_METHOD] == 0 || model->row_count == CALL_ROWS_MAX)
        return;
    model->rows[model->row_count++] =
        (struct call_row){values[CALLS_METHOD], values[CALLS_COUNT], values[CALLS_FAILED]};
}

/* METHOD_COUNT: it is none. */
static unsigned method_of(unsigned kind)
{
    switch (kind) {
    case EVENT_ALLOC:
        return METHOD_ALLOC;
    case EVENT_FREE:
        return METHOD_FREE;
    case EVENT_VIEW_MAPPED:
        return METHOD_VIEW_MAPPED;
    case EVENT_VIEW_UNMAPPED:
        return METHOD_VIEW_UNMAPPED;
    case EVENT_PROTECT:
        return METHOD_PROTECT;
    case EVENT_BLOCK_ALLOC:
        return METHOD_BLOCK_ALLOC;
    case EVENT_BLOCK_FREE:
        return METHOD_BLOCK_FREE;
    default:
        return METHOD_COUNT;
    }
}

void hm_model_event(struct model *model, const struct event *event)
{
    const uint64_t *values = event->values;
    const uint64_t time = less(event->time, model->header.start);
    const unsigned method = method_of(event->kind);

    if (time > model->last_time)
        model->last_time = time;
    hm_frames_advance(&model->frames, &model->regions, model->last_time, model->header.frequency);
    struct slice *slice = hm_timeline_at(&model->timeline, model->last_time, &model->state);
    model->events++;
    if (method != METHOD_COUNT && !is_from_before(model, event)) {
        model->calls[method]++;
        slice->calls[method]++;
    }
    switch (event->kind) {
    case EVENT_ALLOC:
        apply_alloc(model, event);
        break;
    case EVENT_FREE:
        apply_free(model, event);
        break;
    case EVENT_VIEW_MAPPED:
    case EVENT_VIEW_UNMAPPED:
        apply_view(model, event);
        break;
    case EVENT_REFUSAL:
        apply_refusal(model, slice, values);
        break;
    case EVENT_OVERRUN:
        slice->overruns++;
        model->overruns++;
        model->overrun_bytes += values[OVERRUN_BYTES];
        break;
    case EVENT_NOTIFICATION:
        if (values[0] >= 1 && values[0] < NOTIFIED_COUNT) {
            slice->notified[values[0]]++;
            model->notified[values[0]]++;
        }
        break;
    case EVENT_LIMITS:
        memcpy(model->state.limits, values, sizeof model->state.limits);
        break;
    case EVENT_RUNTIME_STARTED:
        model->runtime = model->runtime ? model->runtime : values[RUNTIME_VERSION];
        break;
    case EVENT_PROTECT:
        model->failed[METHOD_PROTECT] += values[PROTECT_RESULT] != 0;
        break;
    case EVENT_SAMPLE:
        apply_sample(model, values);
        break;
    case EVENT_REGION:
        apply_region(model, values);
        break;
    case EVENT_CALLS:
        apply_calls(model, values);
        break;
    case EVENT_LOST:
        model->in_doubt = model->to_agree = true;
        slice->lost += values[LOST_COUNT];
        model->lost += values[LOST_COUNT];
        break;
    default: /* EVENT_PRESSURE: what was delivered, and is told, is the notification */
        break;
    }
    changed(model);
}

bool hm_model_begin(struct model *model, const struct nettrace_header *header)
{
    model->header = *header;
    model->state.process = model->last_sample_difference = UNKNOWN;
    for (unsigned i = 0; i < LIMITS_COUNT; i++)
        model->state.limits[i] = UNKNOWN;
    for (unsigned i = 0; i < 3; i++)
        model->state.collections[i] = UNKNOWN;
    return hm_timeline_begin(&model->timeline, header->frequency, &model->state);
}

void hm_model_end(struct model *model)
{
    hm_frames_end(&model->frames, &model->regions, model->last_time);
    for (uint32_t i = 0; i < model->regions.count; i++) {
        const struct region *region = &model->regions.list[i];
        if (region->site)
            model->sites.list[region->site].held += region->committed;
    }
    hm_sites_settle(&model->sites);
    for (uint32_t i = 0; i < model->regions.count; i++)
        model->regions.list[i].site = hm_sites_became(&model->sites, model->regions.list[i].site);
    hm_misuses_settle(&model->misuses, &model->sites);
}

void hm_model_clear(struct model *model)
{
    hm_schema_clear(&model->schema);
    hm_sites_clear(&model->sites);
    hm_regions_clear(&model->regions);
    hm_misuses_clear(&model->misuses);
    hm_frames_clear(&model->frames);
    hm_timeline_clear(&model->timeline);
}

double hm_model_seconds(const struct model *model, uint64_t ticks)
{
    return (double)ticks / (double)model->header.frequency;
}
