/*
 * report.c - what text and JSON have in common; the JSON report
 *
 * One object. Sizes are numbers of bytes, addresses strings of the form "0x%016x"; a key is always there,
 * except where noted ("process", "other" and "heaps_walked": with --process only).
 *
 *   "program"        path of the managed file
 *   "mode"           "bridge" (.NET), "framework" (.NET Framework) or "raw" (no manager: besides "program"
 *                    and "mode" only "runtime", "exit", "process", "other" and "heaps_walked")
 *   "runtime"        {"path", "version"} of coreclr.dll; version "10.0.1226.42308" is its file version
 *   "exit"           {"how", "status"}: how is "return", "ExitProcess", "TerminateProcess", "fail fast",
 *                    "unhandled exception", "Ctrl-C", "Ctrl-Break", "console closed" or "process exit";
 *                    status, exit status or exception code, is null where it is not known
 *   "statistics"     {"reserved", "committed", "mapped", "view_committed", "heap"} each {"now", "peak"}, "by_use" (of
 *                    what is committed: "GC heap", "GC tables", "code", "loader", "view", "other") likewise, and
 *                    "regions", "views", "blocks", "foreign_committed", "foreign_frees", "double_frees", "stale_regions",
 *                    "metadata"
 *   "calls"          [{"method", "level", "calls", "failures"}], rows with calls only; level "none" for
 *                    methods without
 *   "refusals"       requests for memory that the manager itself refused; what Windows refused is a failure
 *                    only
 *   "limits"         {"limit", "task_limit", "margin", "soft", "heap_limit", "process_soft", "fail_after"}, null: none;
 *                    the last one is a number of commits
 *   "charged"        {"now", "peak"}: what counts under the limits
 *   "process_used"   {"now", "peak"}: the whole process, as last sampled for process_soft, and the most; 0: never
 *   "refused"        {reason: count}, of "refusals"; reasons with a count only
 *   "overruns"       {"count", "bytes", "peak"}: granted above limit and margin, and the most by which they were passed
 *   "heap_overruns"  the same, above heap_limit
 *   "os_retries"     how often calls were tried again after Windows had no memory
 *   "os_compared"    commits and decommits whose pages were compared with VirtualQuery, as calls for them overlapped
 *   "notifications"  {"low", "neutral", "high"}: how often the runtime was notified
 *   "sampled"        (--sample) {"samples", "disturbed", "committed_peak", "heap_peak"}: the most that Windows said was
 *                    committed in owned regions, and in the collector's heap; disturbed: of no one moment, not counted
 *   "bridge"         (mode "bridge") {"coreclr_calls", "gc_calls", "standalone_gc", "heap_found", "heap_ranges",
 *                    "heap_reserved", "heap_unknown", "foreign_frees", "started_charged", "limit_refreshes",
 *                    "unknown_coreclr", "unknown_gc": memory functions that these import and hostmem does not know,
 *                    left to Windows, with blanks between them; "incomplete": one of them takes memory;
 *                    "native_heap": true: with --native-heap; "native_foreign": blocks of others that it passed on;
 *                    "native_metadata": bytes to know whose a block is;
 *                    "collector": what it was told, as far as that can be derived, null: it has not started;
 *                    {"hard_limit", "owner", "pending", "fixed", "beyond_start", "available", "high_load"}, null:
 *                    none, as hostmem_bridge_collector_limit has them; owner is "host", "program", "job object" or
 *                    "nobody",
 *                    "collections": {"gen0", "gen1", "gen2", "at_end"}, as GC.CollectionCount has them; the runtime is
 *                    asked at the end, whatever that is. at_end false: it has not answered then, and these are of
 *                    the last line of --watch; null: without one,
 *                    "functions": [{"module", "function", "calls", "failures"}]}
 *   "owned"          {use: {"under 1 s", "under 1 min", "under 1 h", "older"}}: what is owned still, by use and age, each
 *                    {"regions", "committed"}; uses and ages with a region only
 *   "regions"        [{"base", "kind", "reserved", "committed", "use", "age"}], kind "private" or "view", ascending; age in
 *                    milliseconds
 *   "virtual_query"  {"reserved", "committed", "finding", "agrees", "quiet"}: the owned regions as VirtualQuery has
 *                    them; agrees: the same totals as "statistics" and "regions"; quiet: no call came while
 *                    they were read
 *   "process"        [{"kind", "regions", "reserved", "committed"}], all of the process: "owned", "stack",
 *                    "heap", "environment", "metadata", "report", "other", "outside" are private memory, then
 *                    "mapped", "image"
 *   "other"          [{"base", "reserved", "committed", "protect", "referenced_by"}]: private regions that
 *                    nobody claims, up to 256; referenced_by: a module whose data points there, or ""
 *   "heaps_walked"   false: a heap was locked for too long, and "other" may hold parts of heaps
 */
#include "tools/report.h"

#include "memory/stats.h"

const char *const report_uses[HOSTMEM_USE_COUNT] = {
    [HOSTMEM_USE_OTHER] = "other", [HOSTMEM_USE_GC_HEAP] = "GC heap", [HOSTMEM_USE_GC_TABLES] = "GC tables",
    [HOSTMEM_USE_CODE] = "code",   [HOSTMEM_USE_LOADER] = "loader",   [HOSTMEM_USE_VIEW] = "view"};

static const char *const levels[HOSTMEM_LEVEL_COUNT] = {"eTaskCritical", "eAppDomainCritical",
                                                        "eProcessCritical", "none"};

const char *const report_kinds[PROCESS_KIND_COUNT] = {
    [PROCESS_OWNED] = "owned",       [PROCESS_STACK] = "stack",
    [PROCESS_HEAP] = "heap",         [PROCESS_ENVIRONMENT] = "environment",
    [PROCESS_METADATA] = "metadata", [PROCESS_REPORT] = "report",
    [PROCESS_OTHER] = "other",       [PROCESS_OUTSIDE] = "outside",
    [PROCESS_MAPPED] = "mapped",     [PROCESS_IMAGE] = "image",
};

static const char *const functions[HOSTMEM_BRIDGE_FUNCTION_COUNT] = {
    [HOSTMEM_BRIDGE_VIRTUAL_ALLOC] = "VirtualAlloc",
    [HOSTMEM_BRIDGE_VIRTUAL_ALLOC_EX_NUMA] = "VirtualAllocExNuma",
    [HOSTMEM_BRIDGE_VIRTUAL_FREE] = "VirtualFree",
    [HOSTMEM_BRIDGE_VIRTUAL_PROTECT] = "VirtualProtect",
    [HOSTMEM_BRIDGE_VIRTUAL_QUERY] = "VirtualQuery",
    [HOSTMEM_BRIDGE_MAP_VIEW] = "MapViewOfFile",
    [HOSTMEM_BRIDGE_MAP_VIEW_EX] = "MapViewOfFileEx",
    [HOSTMEM_BRIDGE_UNMAP_VIEW] = "UnmapViewOfFile",
    [HOSTMEM_BRIDGE_LOAD_LIBRARY_EX] = "LoadLibraryExW",
    [HOSTMEM_BRIDGE_MEMORY_STATUS] = "GlobalMemoryStatusEx",
    [HOSTMEM_BRIDGE_PROCESS_MEMORY] = "K32GetProcessMemoryInfo",
    [HOSTMEM_BRIDGE_IN_JOB] = "IsProcessInJob",
    [HOSTMEM_BRIDGE_JOB_LIMITS] = "QueryInformationJobObject",
    [HOSTMEM_BRIDGE_LOW_MEMORY] = "CreateMemoryResourceNotification",
    [HOSTMEM_BRIDGE_MALLOC] = "malloc",
    [HOSTMEM_BRIDGE_CALLOC] = "calloc",
    [HOSTMEM_BRIDGE_REALLOC] = "realloc",
    [HOSTMEM_BRIDGE_FREE] = "free",
    [HOSTMEM_BRIDGE_HEAP_ALLOC] = "HeapAlloc",
    [HOSTMEM_BRIDGE_HEAP_REALLOC] = "HeapReAlloc",
    [HOSTMEM_BRIDGE_HEAP_FREE] = "HeapFree",
};

const char *const report_reasons[HOSTMEM_REASON_COUNT] = {
    [HOSTMEM_REASON_SHUTDOWN] = "shutdown",           [HOSTMEM_REASON_METADATA] = "metadata",
    [HOSTMEM_REASON_TASK_LIMIT] = "task limit",       [HOSTMEM_REASON_LIMIT] = "limit",
    [HOSTMEM_REASON_HEAP_LIMIT] = "heap limit",       [HOSTMEM_REASON_MARGIN] = "margin",
    [HOSTMEM_REASON_RESERVE_LIMIT] = "reserve limit", [HOSTMEM_REASON_SHARED] = "shared budget",
    [HOSTMEM_REASON_FAIL_AFTER] = "fail after",
};

const char *const report_owners[] = {[HOSTMEM_BRIDGE_OF_NOBODY] = "nobody",
                                     [HOSTMEM_BRIDGE_OF_HOST] = "host",
                                     [HOSTMEM_BRIDGE_OF_PROGRAM] = "program",
                                     [HOSTMEM_BRIDGE_OF_JOB] = "job object"};

const char *const report_age_names[REPORT_AGES] = {"under 1 s", "under 1 min", "under 1 h", "older"};

static enum report_age age_of(uint64_t milliseconds)
{
    static const uint64_t from[REPORT_AGES] = {0, 1000, 60 * 1000, 60 * 60 * 1000};
    unsigned age = REPORT_AGES;

    while (milliseconds < from[--age])
        ;
    return age;
}

void report_ages(const struct accounting *accounting, struct report_aged aged[HOSTMEM_USE_COUNT][REPORT_AGES])
{
    for (unsigned i = 0; i < HOSTMEM_USE_COUNT * REPORT_AGES; i++)
        aged[i / REPORT_AGES][i % REPORT_AGES] = (struct report_aged){0, 0};
    for (uint32_t i = 0; i < accounting->region_count; i++) {
        const hostmem_region *region = &accounting->regions[i];
        struct report_aged *at = &aged[region->use][age_of(region->age)];
        at->regions++;
        at->committed += region->committed;
    }
}

void report_version(struct writer *writer, uint64_t version)
{
    for (unsigned part = 0; part < 4; part++) {
        writer_text(writer, part ? "." : "");
        writer_number(writer, version >> (48 - 16 * part) & 0xFFFF, 0);
    }
}

/* `before` the value holds what separates it from its neighbour: "{", ", " or nothing. */
static void key(struct writer *writer, const char *before, const char *name)
{
    writer_text(writer, before);
    writer_json(writer, name);
    writer_text(writer, ": ");
}

static void key_number(struct writer *writer, const char *before, const char *name, uint64_t number)
{
    key(writer, before, name);
    writer_number(writer, number, 0);
}

static void key_text(struct writer *writer, const char *before, const char *name, const char *text)
{
    key(writer, before, name);
    writer_json(writer, text);
}

static void key_bool(struct writer *writer, const char *before, const char *name, bool value)
{
    key(writer, before, name);
    writer_text(writer, value ? "true" : "false");
}

static void key_address(struct writer *writer, const char *before, const char *name, uintptr_t address)
{
    key(writer, before, name);
    writer_text(writer, "\"");
    writer_hex(writer, address, 16);
    writer_text(writer, "\"");
}

static void key_gauge(struct writer *writer, const char *before, const char *name, const hostmem_gauge *gauge)
{
    key(writer, before, name);
    key_number(writer, "{", "now", gauge->now);
    key_number(writer, ", ", "peak", gauge->peak);
    writer_text(writer, "}");
}

static void json_head(struct writer *writer, const struct report *report)
{
    static const char *const modes[] = {
        [REPORT_RAW] = "raw", [REPORT_BRIDGE] = "bridge", [REPORT_FRAMEWORK] = "framework"};

    key(writer, "{\n", "program");
    writer_json_wide(writer, report->program);
    key_text(writer, ",\n", "mode", modes[report->mode]);
    key(writer, ",\n", "runtime");
    key(writer, "{", "path");
    writer_json_wide(writer, report->runtime);
    key(writer, ", ", "version");
    writer_text(writer, "\"");
    report_version(writer, report->runtime_version);
    writer_text(writer, "\"}");
    key(writer, ",\n", "exit");
    key_text(writer, "{", "how", report->ending.how);
    key(writer, ", ", "status");
    if (report->ending.has_status)
        writer_number(writer, report->ending.status, 0);
    else
        writer_text(writer, "null");
    writer_text(writer, "}");
}

static void json_statistics(struct writer *writer, const hostmem_statistics *statistics)
{
    key(writer, ",\n", "statistics");
    key_gauge(writer, "{", "reserved", &statistics->reserved);
    key_gauge(writer, ", ", "committed", &statistics->committed);
    key_gauge(writer, ", ", "mapped", &statistics->mapped);
    key_gauge(writer, ", ", "view_committed", &statistics->view_committed);
    key(writer, ",\n  ", "by_use");
    for (unsigned use = 0; use < HOSTMEM_USE_COUNT; use++)
        key_gauge(writer, use == 0 ? "{" : ", ", report_uses[use], &statistics->committed_by_use[use]);
    writer_text(writer, "}");
    key_gauge(writer, ", ", "heap", &statistics->heap);
    key_number(writer, ",\n  ", "regions", statistics->regions);
    key_number(writer, ", ", "views", statistics->views);
    key_number(writer, ", ", "blocks", statistics->blocks);
    key_number(writer, ", ", "foreign_committed", statistics->foreign_committed);
    key_number(writer, ", ", "foreign_frees", statistics->foreign_frees);
    key_number(writer, ", ", "double_frees", statistics->double_frees);
    key_number(writer, ", ", "stale_regions", statistics->stale_regions);
    key_number(writer, ", ", "metadata", statistics->metadata);
    writer_text(writer, "}");
}

/* One row of a list of calls; *before is what separates it from the row before. */
static void json_call_row(struct writer *writer, const char **before, const char *key_a, const char *a,
                          const char *key_b, const char *b, uint64_t calls, uint64_t failures)
{
    writer_text(writer, *before);
    key_text(writer, "{", key_a, a);
    key_text(writer, ", ", key_b, b);
    key_number(writer, ", ", "calls", calls);
    key_number(writer, ", ", "failures", failures);
    writer_text(writer, "}");
    *before = ",\n  ";
}

static void json_calls(struct writer *writer, const struct accounting *accounting)
{
    const char *before = "\n  ";

    key(writer, ",\n", "calls");
    writer_text(writer, "[");
    for (unsigned method = 0; method < HOSTMEM_METHOD_COUNT; method++)
        for (unsigned level = 0; level < HOSTMEM_LEVEL_COUNT; level++) {
            const hostmem_calls *calls = &accounting->statistics.calls[method][level];
            if (!calls->calls)
                continue;
            json_call_row(writer, &before, "method", hm_stats_method_names[method], "level", levels[level],
                          calls->calls, calls->failures);
        }
    writer_text(writer, "]");
    key_number(writer, ",\n", "refusals", accounting->statistics.refusals);
}

static void key_limit(struct writer *writer, const char *before, const char *name, uint64_t limit)
{
    if (limit != HOSTMEM_UNLIMITED) {
        key_number(writer, before, name, limit);
        return;
    }
    key(writer, before, name);
    writer_text(writer, "null");
}

static void json_overrun(struct writer *writer, const hostmem_overrun *overrun)
{
    key_number(writer, "{", "count", overrun->count);
    key_number(writer, ", ", "bytes", overrun->bytes);
    key_number(writer, ", ", "peak", overrun->peak);
    writer_text(writer, "}");
}

static void json_limits(struct writer *writer, const struct report *report)
{
    const hostmem_statistics *statistics = &report->accounting.statistics;
    const struct watched *watched = &report->watched;
    const char *before = "{";

    key(writer, ",\n", "limits");
    key_limit(writer, "{", "limit", report->limits.limit);
    key_limit(writer, ", ", "task_limit", report->limits.task_limit);
    key_limit(writer, ", ", "margin", report->limits.margin);
    key_limit(writer, ", ", "soft", report->limits.soft);
    key_limit(writer, ", ", "heap_limit", report->limits.heap_limit);
    key_limit(writer, ", ", "process_soft", report->limits.process_soft);
    key_limit(writer, ", ", "fail_after", report->limits.fail_after);
    writer_text(writer, "}");
    key_gauge(writer, ",\n", "charged", &statistics->charged);
    key_gauge(writer, ",\n", "process_used", &statistics->process);
    key(writer, ",\n", "refused");
    for (unsigned reason = 0; reason < HOSTMEM_REASON_COUNT; reason++)
        if (statistics->refused[reason]) {
            key_number(writer, before, report_reasons[reason], statistics->refused[reason]);
            before = ", ";
        }
    writer_text(writer, before[0] == '{' ? "{}" : "}");
    key(writer, ",\n", "overruns");
    json_overrun(writer, &statistics->overrun);
    key(writer, ",\n", "heap_overruns");
    json_overrun(writer, &statistics->heap_overrun);
    key_number(writer, ",\n", "os_retries", statistics->os_retries);
    key_number(writer, ",\n", "os_compared", statistics->os_compared);
    key(writer, ",\n", "notifications");
    key_number(writer, "{", "low", statistics->notifications[eMemoryAvailableLow]);
    key_number(writer, ", ", "neutral", statistics->notifications[eMemoryAvailableNeutral]);
    key_number(writer, ", ", "high", statistics->notifications[eMemoryAvailableHigh]);
    writer_text(writer, "}");
    if (watched->samples + watched->disturbed == 0)
        return;
    key(writer, ",\n", "sampled");
    key_number(writer, "{", "samples", watched->samples);
    key_number(writer, ", ", "disturbed", watched->disturbed);
    key_number(writer, ", ", "committed_peak", watched->committed_peak);
    key_number(writer, ", ", "heap_peak", watched->heap_peak);
    writer_text(writer, "}");
}

static void key_unknown(struct writer *writer, const char *before, const char *name, const char *functions)
{
    key(writer, before, name);
    writer_json(writer, functions ? functions : "");
}

static void json_collector(struct writer *writer, const hostmem_bridge_collector_limit *limit)
{
    key(writer, ",\n  ", "collector");
    if (!limit->known) {
        writer_text(writer, "null");
        return;
    }
    key_limit(writer, "{", "hard_limit", limit->hard_limit);
    key_text(writer, ", ", "owner", report_owners[limit->owner]);
    key_limit(writer, ", ", "pending", limit->pending);
    key_bool(writer, ", ", "fixed", limit->fixed);
    key_bool(writer, ", ", "beyond_start", limit->beyond_start);
    key_number(writer, ", ", "available", limit->available);
    key_number(writer, ", ", "high_load", limit->high_load);
    writer_text(writer, "}");
}

static void json_collections(struct writer *writer, const struct watched *watched)
{
    key(writer, ",\n  ", "collections");
    if (watched->counted == WATCH_NEVER) {
        writer_text(writer, "null");
        return;
    }
    key_number(writer, "{", "gen0", watched->collections[0]);
    key_number(writer, ", ", "gen1", watched->collections[1]);
    key_number(writer, ", ", "gen2", watched->collections[2]);
    key_bool(writer, ", ", "at_end", watched->counted == WATCH_AT_END);
    writer_text(writer, "}");
}

/* All that came through the bridge from one module. */
static uint64_t bridge_calls(const hostmem_bridge_statistics *bridge, hostmem_bridge_module module)
{
    uint64_t calls = 0;

    for (unsigned function = 0; function < HOSTMEM_BRIDGE_FUNCTION_COUNT; function++)
        calls += bridge->calls[module][function].calls;
    return calls;
}

static void json_bridge(struct writer *writer, const struct report *report)
{
    static const char *const modules[] = {[HOSTMEM_BRIDGE_RUNTIME] = "coreclr",
                                          [HOSTMEM_BRIDGE_COLLECTOR] = "gc",
                                          [HOSTMEM_BRIDGE_JIT] = "jit"};
    const hostmem_bridge_statistics *bridge = &report->bridge;
    const char *before = "\n  ";

    key(writer, ",\n", "bridge");
    key_number(writer, "{", "coreclr_calls", bridge_calls(bridge, HOSTMEM_BRIDGE_RUNTIME));
    key_number(writer, ", ", "gc_calls", bridge_calls(bridge, HOSTMEM_BRIDGE_COLLECTOR));
    key_bool(writer, ", ", "standalone_gc", bridge->state & HOSTMEM_BRIDGE_STANDALONE_GC);
    key_bool(writer, ", ", "heap_found", !(bridge->state & HOSTMEM_BRIDGE_HEAP_UNKNOWN));
    key_number(writer, ", ", "heap_ranges", bridge->heap_ranges);
    key_number(writer, ", ", "heap_reserved", bridge->heap_reserved);
    key_number(writer, ", ", "heap_unknown", bridge->heap_unknown);
    key_number(writer, ", ", "foreign_frees", bridge->foreign_frees);
    key_number(writer, ", ", "started_charged", bridge->started_charged);
    key_number(writer, ", ", "limit_refreshes", bridge->limit_refreshes);
    key_unknown(writer, ", ", "unknown_coreclr", bridge->unknown[HOSTMEM_BRIDGE_RUNTIME]);
    key_unknown(writer, ", ", "unknown_gc", bridge->unknown[HOSTMEM_BRIDGE_COLLECTOR]);
    key_bool(writer, ", ", "incomplete", bridge->state & HOSTMEM_BRIDGE_INCOMPLETE);
    key_bool(writer, ", ", "native_heap", bridge->state & HOSTMEM_BRIDGE_HEAP_REDIRECTED);
    key_number(writer, ", ", "native_foreign", bridge->heap_foreign);
    key_number(writer, ", ", "native_metadata", bridge->heap_metadata);
    json_collector(writer, &bridge->collector_limit);
    json_collections(writer, &report->watched);
    key(writer, ",\n  ", "functions");
    writer_text(writer, "[");
    for (unsigned module = 0; module < HOSTMEM_BRIDGE_MODULE_COUNT; module++)
        for (unsigned function = 0; function < HOSTMEM_BRIDGE_FUNCTION_COUNT; function++) {
            const hostmem_bridge_calls *calls = &bridge->calls[module][function];
            if (!calls->calls)
                continue;
            json_call_row(writer, &before, "module", modules[module], "function", functions[function],
                          calls->calls, calls->failures);
        }
    writer_text(writer, "]}");
}

static void json_owned(struct writer *writer, const struct accounting *accounting)
{
    struct report_aged aged[HOSTMEM_USE_COUNT][REPORT_AGES];
    const char *before_use = "{";

    report_ages(accounting, aged);
    key(writer, ",\n", "owned");
    for (unsigned use = 0; use < HOSTMEM_USE_COUNT; use++) {
        const char *before = "{";
        for (unsigned age = 0; age < REPORT_AGES; age++) {
            if (aged[use][age].regions == 0)
                continue;
            if (*before == '{')
                key(writer, before_use, report_uses[use]);
            key(writer, before, report_age_names[age]);
            key_number(writer, "{", "regions", aged[use][age].regions);
            key_number(writer, ", ", "committed", aged[use][age].committed);
            writer_text(writer, "}");
            before = ", ";
            before_use = "},\n  ";
        }
    }
    writer_text(writer, *before_use == '{' ? "{}" : "}}");
}

static void json_regions(struct writer *writer, const struct accounting *accounting)
{
    key(writer, ",\n", "regions");
    writer_text(writer, "[");
    for (uint32_t i = 0; i < accounting->region_count; i++) {
        const hostmem_region *region = &accounting->regions[i];
        writer_text(writer, i ? ",\n  " : "\n  ");
        key_address(writer, "{", "base", (uintptr_t)region->base);
        key_text(writer, ", ", "kind", region->kind == HOSTMEM_REGION_VIEW ? "view" : "private");
        key_number(writer, ", ", "reserved", region->reserved);
        key_number(writer, ", ", "committed", region->committed);
        key_text(writer, ", ", "use", report_uses[region->use]);
        key_number(writer, ", ", "age", region->age);
        writer_text(writer, "}");
    }
    writer_text(writer, "]");
    key(writer, ",\n", "virtual_query");
    key_number(writer, "{", "reserved", accounting->query_reserved);
    key_number(writer, ", ", "committed", accounting->query_committed);
    key_number(writer, ", ", "finding", accounting->finding);
    key_bool(writer, ", ", "agrees", accounting_agrees(accounting));
    key_bool(writer, ", ", "quiet", accounting->quiet);
    writer_text(writer, "}");
}

void report_json_accounting(struct writer *writer, const struct report *report)
{
    json_head(writer, report);
    if (report->mode != REPORT_RAW) {
        json_statistics(writer, &report->accounting.statistics);
        json_calls(writer, &report->accounting);
        json_limits(writer, report);
        if (report->mode == REPORT_BRIDGE)
            json_bridge(writer, report);
        json_owned(writer, &report->accounting);
        json_regions(writer, &report->accounting);
    }
    writer_flush(writer);
}

static void json_process(struct writer *writer, const struct process_map *process)
{
    key(writer, ",\n", "process");
    writer_text(writer, "[");
    for (unsigned kind = 0; kind < PROCESS_KIND_COUNT; kind++) {
        const struct process_row *row = &process->rows[kind];
        writer_text(writer, kind ? ",\n  " : "\n  ");
        key_text(writer, "{", "kind", report_kinds[kind]);
        key_number(writer, ", ", "regions", row->regions);
        key_number(writer, ", ", "reserved", row->reserved);
        key_number(writer, ", ", "committed", row->committed);
        writer_text(writer, "}");
    }
    writer_text(writer, "]");
    key(writer, ",\n", "other");
    writer_text(writer, "[");
    for (unsigned i = 0; i < process->rows[PROCESS_OTHER].regions && i < PROCESS_OTHERS_MAX; i++) {
        const struct process_other *other = &process->others[i];
        writer_text(writer, i ? ",\n  " : "\n  ");
        key_address(writer, "{", "base", other->base);
        key_number(writer, ", ", "reserved", other->reserved);
        key_number(writer, ", ", "committed", other->committed);
        key_number(writer, ", ", "protect", other->protect);
        key(writer, ", ", "referenced_by");
        writer_json_wide(writer, other->module);
        writer_text(writer, "}");
    }
    writer_text(writer, "]");
    key_bool(writer, ",\n", "heaps_walked", process->heaps_walked && process->complete);
}

void report_json_process(struct writer *writer, const struct report *report)
{
    if (report->process)
        json_process(writer, report->process);
    writer_text(writer, "\n}\n");
    writer_flush(writer);
}
