/*
 * report.h - what is known at the end of one run, as text or as JSON
 */
#ifndef HOSTMEM_TOOLS_REPORT_H
#define HOSTMEM_TOOLS_REPORT_H

#include <stdbool.h>

#include <hostmem/bridge.h>

#include "tools/accounting.h"
#include "tools/ending.h"
#include "tools/process_map.h"
#include "tools/watch.h"
#include "tools/writer.h"

/* How the program's runtime was given its memory. */
enum report_mode {
    REPORT_RAW,      /* it keeps its memory to itself: accounting and bridge are empty */
    REPORT_BRIDGE,   /* .NET, through the bridge */
    REPORT_FRAMEWORK /* .NET Framework, which asks by itself: bridge is empty */
};

/* The whole process, as Windows counts it. */
struct report_process_use {
    hostmem_gauge private_bytes, working_set;
};

struct report {
    enum report_mode mode;
    const wchar_t *program; /* the managed file */
    struct ending ending;
    struct accounting accounting;
    hostmem_limits limits;
    struct watched watched; /* no samples: none were asked for */
    hostmem_bridge_statistics bridge;
    const wchar_t *runtime; /* path of the coreclr.dll, or empty */
    uint64_t runtime_version;
    struct report_process_use process_use;
    bool regions;                      /* they have been asked for, as a list */
    const struct process_map *process; /* NULL: nobody has asked for it */
};

/* In two parts, flushed one by one: all but `process`, then `process`, which need not be read before. */
void report_text_accounting(struct writer *writer, const struct report *report);
void report_text_process(struct writer *writer, const struct report *report);
/* Committed in owned regions, by use and by how long ago they were reserved. */
enum report_age { REPORT_UNDER_SECOND, REPORT_UNDER_MINUTE, REPORT_UNDER_HOUR, REPORT_OLDER, REPORT_AGES };
struct report_aged {
    uint64_t regions, committed;
};
void report_ages(const struct accounting *accounting,
                 struct report_aged aged[HOSTMEM_USE_COUNT][REPORT_AGES]);
extern const char *const report_age_names[REPORT_AGES];

void report_list_regions(struct writer *writer, const struct accounting *accounting);
void report_list_process(struct writer *writer, const struct process_map *process);
void report_json_accounting(struct writer *writer, const struct report *report);
void report_json_process(struct writer *writer, const struct report *report);

/* Names, by hostmem_use, process_kind and hostmem_reason, and whose a collector's limit is. */
extern const char *const report_uses[HOSTMEM_USE_COUNT];
extern const char *const report_kinds[PROCESS_KIND_COUNT];
extern const char *const report_reasons[HOSTMEM_REASON_COUNT];
extern const char *const report_owners[];

/* "10.0.1226.42308". */
void report_version(struct writer *writer, uint64_t version);

#endif
