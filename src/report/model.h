/*
 * model.h - what a trace comes to: everything that a report says, in bounded memory
 *
 * Events have to come by time (load.c). What is committed is counted from the events, and corrected by samples only at the
 * beginning and after events were lost, until one agrees, so that an error shows as a difference to the samples.
 */
#ifndef HOSTMEM_REPORT_MODEL_H
#define HOSTMEM_REPORT_MODEL_H

#include "report/frames.h"
#include "report/misuse.h"
#include "report/nettrace.h"
#include "report/regions.h"
#include "report/schema.h"
#include "report/sites.h"
#include "report/timeline.h"

enum { REASON_COUNT = 10, CALL_ROWS_MAX = 32, LEVEL_COUNT = 4 }; /* the last reason: any other */

struct call_row {
    uint64_t method; /* a text of the schema */
    uint64_t count, failed;
};

struct model {
    struct nettrace_header header;
    struct schema schema;
    struct sites sites;
    struct regions regions;
    struct misuses misuses;
    struct frames frames;
    struct timeline timeline;

    struct state state;
    int64_t correction[USE_COUNT]; /* of what the events say, by a sample */
    int64_t reserved_correction;
    uint64_t counted[USE_COUNT], counted_reserved; /* by events */
    bool sampled, in_doubt;                        /* in_doubt: events were lost since the last sample */
    bool to_agree;                                 /* samples are believed until one agrees */
    uint64_t differences; /* samples that said something else: calls were at work, or events are missing */
    uint64_t last_sample_difference; /* bytes, all uses together; UNKNOWN: it was not compared */

    uint64_t last_time; /* of an event: ticks since the start */
    uint64_t events, calls[METHOD_COUNT], failed[METHOD_COUNT];
    uint64_t peak, peak_time, peak_by_use[USE_COUNT];
    uint64_t first_by_use[USE_COUNT];
    uint64_t refusals, refused_bytes, refused_reasons[REASON_COUNT], refused_levels[LEVEL_COUNT];
    uint64_t overruns, overrun_bytes;
    uint64_t notified[NOTIFIED_COUNT];
    uint64_t lost;                       /* as Lost events say */
    uint64_t runtime;                    /* a text of the schema */
    struct call_row rows[CALL_ROWS_MAX]; /* of the accounting, at the end */
    unsigned row_count;
};

/* False: no memory. */
bool hm_model_begin(struct model *model, const struct nettrace_header *header);
void hm_model_event(struct model *model, const struct event *event);
void hm_model_end(struct model *model);
void hm_model_clear(struct model *model);

double hm_model_seconds(const struct model *model, uint64_t ticks);

extern const char *const hm_use_names[USE_COUNT];
extern const char *const hm_use_keys[USE_COUNT]; /* for JSON */
extern const char *const hm_method_names[METHOD_COUNT];
extern const char *const hm_reason_names[REASON_COUNT];
extern const char *const hm_level_names[LEVEL_COUNT];

#endif
