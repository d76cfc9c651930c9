/*
 * schema.h - the events of hostmem's traces, read by the names that the file itself gives
 *
 * A file says for each kind of event which fields it has, in which order, of which type. A field is found by its name; one
 * that is missing reads as 0, one that nobody knows is skipped, and so is an event of another provider.
 */
#ifndef HOSTMEM_REPORT_SCHEMA_H
#define HOSTMEM_REPORT_SCHEMA_H

#include "report/bytes.h"
#include "report/table.h"

enum event_kind {
    EVENT_OTHER, /* of another provider, or added later */
    EVENT_ALLOC,
    EVENT_FREE,
    EVENT_VIEW_MAPPED,
    EVENT_VIEW_UNMAPPED,
    EVENT_REFUSAL,
    EVENT_OVERRUN,
    EVENT_PRESSURE,
    EVENT_NOTIFICATION,
    EVENT_LIMITS,
    EVENT_RUNTIME_STARTED,
    EVENT_BLOCK_ALLOC,
    EVENT_BLOCK_FREE,
    EVENT_PROTECT,
    EVENT_SAMPLE,
    EVENT_REGION,
    EVENT_CALLS,
    EVENT_LOST,
    EVENT_IMAGE, /* Universal.System's ProcessMapping */
    EVENT_KINDS
};

/* Indices of fields: those that events of one kind have, by kind. */
enum {
    ALLOC_ASKED,
    ALLOC_BYTES,
    ALLOC_TYPE,
    ALLOC_LEVEL,
    ALLOC_USE,
    ALLOC_RESULT,
    ALLOC_ADDRESS,
    ALLOC_COMMITTED,
    ALLOC_REGION
};
enum {
    FREE_ADDRESS,
    FREE_BYTES,
    FREE_TYPE,
    FREE_USE,
    FREE_RESULT,
    FREE_DECOMMITTED,
    FREE_RELEASED,
    FREE_REGION
};
enum { VIEW_ADDRESS, VIEW_BYTES, VIEW_COMMITTED };
enum { REFUSAL_BYTES, REFUSAL_LEVEL, REFUSAL_USE, REFUSAL_REASON, REFUSAL_CHARGED };
enum { OVERRUN_BYTES, OVERRUN_LEVEL, OVERRUN_USE, OVERRUN_CHARGED };
enum { PRESSURE_LEVEL };
enum {
    LIMITS_LIMIT,
    LIMITS_TASK,
    LIMITS_MARGIN,
    LIMITS_SOFT,
    LIMITS_HEAP,
    LIMITS_PROCESS_SOFT,
    LIMITS_COUNT
};
enum { RUNTIME_VERSION }; /* a text */
enum { BLOCK_BYTES };
enum { PROTECT_RESULT };
enum {
    SAMPLE_RESERVED,
    SAMPLE_CHARGED,
    SAMPLE_OTHER, /* from here on as enum use has them */
    SAMPLE_GC_HEAP,
    SAMPLE_GC_TABLES,
    SAMPLE_CODE,
    SAMPLE_LOADER,
    SAMPLE_VIEW,
    SAMPLE_BLOCKS,
    SAMPLE_PROCESS,
    SAMPLE_GEN0,
    SAMPLE_GEN1,
    SAMPLE_GEN2
};
enum { REGION_BASE, REGION_BYTES, REGION_COMMITTED, REGION_USE, REGION_TYPE };
enum { CALLS_METHOD, CALLS_COUNT, CALLS_FAILED }; /* the first is a text */
enum { LOST_COUNT };
enum { IMAGE_START, IMAGE_END, IMAGE_NAME }; /* the last is a text */
enum { EVENT_FIELDS_MAX = 13 };

/* An event as the rest of the program knows it. */
struct event {
    uint64_t time;                     /* ticks */
    uint32_t order;                    /* in the file */
    uint32_t site;                     /* see sites.h; 0: without a stack */
    uint32_t kind;                     /* enum event_kind */
    uint32_t thread;                   /* the system's id; 0: not known */
    uint64_t values[EVENT_FIELDS_MAX]; /* a text: its index in `texts`, 0: none */
};

/* Texts that events carry. */
struct texts {
    char **list;
    uint32_t count, capacity;
};

struct schema_row;

struct schema {
    struct table by_id; /* index of a row + 1 */
    struct schema_row *rows;
    uint32_t count, capacity;
    struct texts texts;
};

/* A metadata row. What is wrong with it, or NULL. */
const char *hm_schema_add(struct schema *schema, struct bytes row);

/* An event's kind and values from its payload. What is wrong with it, or NULL. */
const char *hm_schema_decode(struct schema *schema, uint32_t id, struct bytes payload, struct event *event);

const char *hm_schema_text(const struct schema *schema, uint64_t index); /* "": none */
void hm_schema_clear(struct schema *schema);

#endif
