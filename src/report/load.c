/*
 * load.c - see load.h
 *
 * Events of several threads are in the file as they were written, each thread's in a row. Between two sequence points they
 * are put in order by time; where there are very many, the earlier half of them at a time.
 */
#include "report/load.h"

#include <stdlib.h>
#include <string.h>

#include "report/array.h"

enum { EVENTS_MAX = 1 << 18 };

struct loader {
    struct loaded *loaded;
    struct event *events;
    uint32_t count, capacity; /* EVENTS_MAX at most */
    uint32_t order;
    bool begun;
};

static int by_time(const void *left, const void *right)
{
    const struct event *a = left, *b = right;

    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* The first `count` in order. */
static void apply(struct loader *loader, uint32_t count)
{
    bool in_order = true;

    for (uint32_t i = 1; i < loader->count && in_order; i++)
        in_order = loader->events[i - 1].time <= loader->events[i].time;
    if (!in_order)
        qsort(loader->events, loader->count, sizeof *loader->events, by_time);
    for (uint32_t i = 0; i < count; i++)
        hm_model_event(&loader->loaded->model, &loader->events[i]);
    loader->count -= count;
    if (loader->count != 0)
        memmove(loader->events, loader->events + count, loader->count * sizeof *loader->events);
}

static const char *on_header(void *context, const struct nettrace_header *header)
{
    struct loader *loader = context;

    loader->begun = hm_model_begin(&loader->loaded->model, header);
    return loader->begun ? NULL : "no memory";
}

static const char *on_metadata(void *context, struct bytes row)
{
    struct loader *loader = context;
    return hm_schema_add(&loader->loaded->model.schema, row);
}

static const char *on_event(void *context, const struct nettrace_event *read)
{
    struct loader *loader = context;
    struct model *model = &loader->loaded->model;

    if (loader->count == EVENTS_MAX)
        apply(loader, EVENTS_MAX / 2);
    struct event *events = array_room(loader->events, loader->count, &loader->capacity, 1024, sizeof *events);
    if (!events)
        return "no memory";
    loader->events = events;
    struct event *event = &loader->events[loader->count];
    const char *wrong = hm_schema_decode(&model->schema, read->metadata, read->payload, event);
    if (wrong || event->kind == EVENT_OTHER)
        return wrong;
    if (event->kind == EVENT_IMAGE) {
        hm_sites_image(&model->sites, event->values[IMAGE_START], event->values[IMAGE_END],
                       event->values[IMAGE_NAME]);
        return NULL;
    }
    event->time = read->time;
    event->order = loader->order++;
    event->thread = read->thread;
    event->site = hm_sites_of_stack(&model->sites, read->stack);
    loader->count++;
    return NULL;
}

static const char *on_stack(void *context, uint32_t id, struct bytes addresses)
{
    struct model *model = &((struct loader *)context)->loaded->model;

    hm_sites_stack(&model->sites, id, addresses, model->header.pointer_size);
    return NULL;
}

static const char *on_sequence_point(void *context)
{
    struct loader *loader = context;

    apply(loader, loader->count);
    hm_sites_forget_ids(&loader->loaded->model.sites);
    return NULL;
}

bool hm_load(struct loaded *loaded, struct nettrace_source source)
{
    struct loader loader = {.loaded = loaded};
    const struct nettrace_visitor visitor = {.header = on_header,
                                             .metadata = on_metadata,
                                             .event = on_event,
                                             .stack = on_stack,
                                             .sequence_point = on_sequence_point,
                                             .context = &loader};

    *loaded = (struct loaded){0};
    loaded->result = hm_nettrace_read(source, &visitor);
    if (loader.begun) {
        apply(&loader, loader.count);
        hm_model_end(&loaded->model);
    }
    free(loader.events);
    if (loaded->model.events != 0)
        return true;
    if (loaded->result.ending == NETTRACE_COMPLETE) {
        loaded->result.ending = NETTRACE_FOREIGN;
        loaded->result.what = "a .nettrace file without events of hostmem";
    }
    return false;
}

void hm_unload(struct loaded *loaded)
{
    hm_model_clear(&loaded->model);
}
