/*
 * json_owned.c - see json_owned.h
 */
#include "report/json_owned.h"

#include "report/compare.h"
#include "report/json_parts.h"
#include "report/owned.h"

enum { GROUPS_SHOWN = 300, REGIONS_SHOWN = 1000 };

/* A moment, or how long ago it was; null: it is not in the trace. */
static void key_moment(struct out *out, const char *before, const char *name, const struct model *model,
                       uint64_t time)
{
    key(out, before, name);
    if (time == NOT_SEEN)
        hm_out_text(out, "null");
    else
        seconds(out, hm_model_seconds(model, time));
}

/* One that is in the trace. */
static void key_seconds(struct out *out, const char *before, const char *name, const struct model *model,
                        uint64_t time)
{
    key(out, before, name);
    seconds(out, hm_model_seconds(model, time));
}

static uint64_t age_of(const struct model *model, uint64_t since)
{
    return since == NOT_SEEN ? NOT_SEEN : model->last_time - since;
}

static void region_list(struct out *out, const struct model *model, const struct owned_region *regions,
                        uint32_t count)
{
    key(out, ",\n   ", "regions");
    hm_out_text(out, "[");
    for (uint32_t i = 0; i < count; i++) {
        const struct region *region = regions[i].region;
        key_number(out, i == 0 ? "{" : ",\n    {", "base", region->base);
        key_number(out, ", ", "bytes", region->bytes);
        key_number(out, ", ", "committed", region->committed);
        key_moment(out, ", ", "age", model, age_of(model, region->since));
        hm_out_text(out, "}");
    }
    hm_out_text(out, "]");
}

bool hm_json_owned(struct out *out, const struct model *model)
{
    struct owned owned;
    uint32_t shown = 0;

    if (!hm_owned_find(&owned, model)) {
        hm_owned_clear(&owned);
        return false;
    }
    key(out, ",\n ", "owned");
    key_number(out, "{", "group_count", owned.group_count);
    key_number(out, ", ", "events_left_out", model->regions.left_out);
    key(out, ",\n  ", "groups");
    hm_out_text(out, "[");
    for (uint32_t i = 0; i < owned.group_count && i < GROUPS_SHOWN; i++) {
        const struct owned_group *group = &owned.groups[i];
        const uint32_t room = REGIONS_SHOWN - shown, listed = group->count < room ? group->count : room;
        key_text(out, i == 0 ? "{" : ",\n   {", "use", hm_use_names[group->use]);
        key_number(out, ", ", "count", group->count);
        key_number(out, ", ", "bytes", group->bytes);
        key_number(out, ", ", "committed", group->committed);
        key_moment(out, ", ", "oldest", model, age_of(model, group->oldest));
        key_moment(out, ", ", "youngest", model, age_of(model, group->youngest));
        hm_json_stack(out, ", ", "stack", model, sites_at(&owned.sites, group->site), GROUP_FRAMES);
        region_list(out, model, owned.regions + group->first, listed);
        shown += listed;
        hm_out_text(out, "}");
    }
    hm_out_text(out, "]}");
    hm_owned_clear(&owned);
    return true;
}

static void stack_of(struct out *out, const char *name, const struct model *model, uint32_t site)
{
    hm_json_stack(out, ", ", name, model, sites_at(&model->sites, site), GROUP_FRAMES);
}

void hm_json_misuses(struct out *out, const struct model *model)
{
    const struct misuses *misuses = &model->misuses;

    key(out, ",\n ", "misuses");
    key_number(out, "{", "count", misuses->count + misuses->left_out);
    key_number(out, ", ", "left_out", misuses->left_out);
    key_number(out, ", ", "twice", misuses->twice);
    key(out, ",\n  ", "list");
    hm_out_text(out, "[");
    for (uint32_t i = 0; i < misuses->count; i++) {
        const struct misuse *misuse = &misuses->list[i];
        key_seconds(out, i == 0 ? "{" : ",\n   {", "seconds", model, misuse->time);
        key_known(out, ", ", "thread", misuse->thread == 0 ? UNKNOWN : misuse->thread);
        key_number(out, ", ", "address", misuse->address);
        key_text(out, ", ", "call", misuse->decommits ? "decommit" : "release");
        stack_of(out, "stack", model, misuse->from);
        key(out, ",\n    ", "first");
        if (misuse->twice) {
            key_seconds(out, "{", "seconds", model, misuse->first.time);
            stack_of(out, "stack", model, misuse->first.from);
            key_number(out, ", ", "base", misuse->first.base);
            key_number(out, ", ", "bytes", misuse->first.bytes);
            key_moment(out, ", ", "reserved_seconds", model, misuse->first.since);
            stack_of(out, "reserved_stack", model, misuse->first.reserved_from);
            hm_out_text(out, "}");
        } else {
            hm_out_text(out, "null");
        }
        hm_out_text(out, "}");
    }
    hm_out_text(out, "]}");
}
