/*
 * report_text.c - the report for people
 *
 * Bytes are exact, not rounded to megabytes: the point is that the sums can be checked.
 */
#include "tools/report.h"

enum { NAME_WIDTH = 36, NUMBER_WIDTH = 18 };

static void number_row(struct writer *writer, const char *name, uint64_t a, uint64_t b)
{
    writer_text(writer, "  ");
    writer_column(writer, name, NAME_WIDTH);
    writer_number(writer, a, NUMBER_WIDTH);
    writer_number(writer, b, NUMBER_WIDTH);
    writer_text(writer, "\n");
}

static void text_head(struct writer *writer, const struct report *report)
{
    static const char *const modes[] = {
        [REPORT_RAW] = "hostmem-run: raw, without a manager: ",
        [REPORT_BRIDGE] = "hostmem-run: memory of ",
        [REPORT_FRAMEWORK] = "hostmem-run: memory of ",
    };

    writer_text(writer, "\n");
    writer_text(writer, modes[report->mode]);
    writer_wide(writer, report->program);
    writer_text(writer, "\nended by ");
    writer_text(writer, report->ending.how);
    if (report->ending.has_status) {
        writer_text_number(writer, ", status ", report->ending.status);
        if (report->ending.status > 255) {
            writer_text(writer, " (");
            writer_hex(writer, report->ending.status, 8);
            writer_text(writer, ")");
        }
    }
    writer_text(writer, "\n");
    if (report->runtime[0]) {
        writer_text(writer, "runtime ");
        report_version(writer, report->runtime_version);
        writer_text(writer, " from ");
        writer_wide(writer, report->runtime);
        writer_text(writer, "\n");
    }
}

static void text_calls(struct writer *writer, const struct accounting *accounting)
{
    writer_text(writer, "\n  calls of the manager                               calls          failures\n");
    for (unsigned method = 0; method < HOSTMEM_METHOD_COUNT; method++)
        for (unsigned level = 0; level < HOSTMEM_LEVEL_COUNT; level++) {
            const hostmem_calls *calls = &accounting->statistics.calls[method][level];
            if (!calls->calls)
                continue;
            if (level == HOSTMEM_LEVEL_NONE) {
                number_row(writer, report_methods[method], calls->calls, calls->failures);
                continue;
            }
            writer_text(writer, "  ");
            writer_column(writer, report_methods[method], 16);
            writer_column(writer, report_levels[level], NAME_WIDTH - 16);
            writer_number(writer, calls->calls, NUMBER_WIDTH);
            writer_number(writer, calls->failures, NUMBER_WIDTH);
            writer_text(writer, "\n");
        }
    writer_text_number(writer, "  refusals ", accounting->statistics.refusals);
    writer_text(writer, "\n");
}

static void text_bytes(struct writer *writer, const char *text, uint64_t bytes)
{
    if (bytes == HOSTMEM_UNLIMITED) {
        writer_text(writer, text);
        writer_text(writer, "none");
    } else {
        writer_text_number(writer, text, bytes);
    }
}

static void text_overrun(struct writer *writer, const char *name, const hostmem_overrun *overrun,
                         const char *above)
{
    if (overrun->count == 0)
        return;
    writer_text_number(writer, name, overrun->count);
    writer_text_number(writer, ", at most ", overrun->peak);
    writer_text(writer, above);
}

static void text_limits(struct writer *writer, const struct report *report)
{
    const hostmem_statistics *statistics = &report->accounting.statistics;

    if (report->limits.limit != HOSTMEM_UNLIMITED || report->limits.soft != HOSTMEM_UNLIMITED ||
        report->limits.heap_limit != HOSTMEM_UNLIMITED) {
        text_bytes(writer, "  limit ", report->limits.limit);
        if (report->limits.heap_limit != HOSTMEM_UNLIMITED)
            text_bytes(writer, ", heap limit ", report->limits.heap_limit);
        text_bytes(writer, ", margin ", report->limits.margin);
        text_bytes(writer, ", soft ", report->limits.soft);
        writer_text_number(writer, "; charged at most ", statistics->charged.peak);
        writer_text(writer, "\n");
    }
    if (report->limits.process_soft != HOSTMEM_UNLIMITED) {
        text_bytes(writer, "  the whole process: notified from ", report->limits.process_soft);
        text_bytes(writer, ", ", statistics->process.now);
        text_bytes(writer, " at last, at most ", statistics->process.peak);
        writer_text(writer, "\n");
    }
    for (unsigned reason = 0; reason < HOSTMEM_REASON_COUNT; reason++)
        if (statistics->refused[reason]) {
            writer_text(writer, "  refused by ");
            writer_text(writer, report_reasons[reason]);
            writer_text_number(writer, ": ", statistics->refused[reason]);
            writer_text(writer, "\n");
        }
    text_overrun(writer, "  overruns ", &statistics->overrun, " bytes above limit and margin\n");
    text_overrun(writer, "  heap overruns ", &statistics->heap_overrun, " bytes above heap limit\n");
    writer_text_number(writer, "  notified low ", statistics->notifications[eMemoryAvailableLow]);
    writer_text_number(writer, ", neutral ", statistics->notifications[eMemoryAvailableNeutral]);
    writer_text_number(writer, ", high ", statistics->notifications[eMemoryAvailableHigh]);
    if (report->watched.samples) {
        writer_text_number(writer, "; sampled ", report->watched.samples);
        writer_text_number(writer, " times: committed at most ", report->watched.committed_peak);
        writer_text_number(writer, ", heap ", report->watched.heap_peak);
    }
    writer_text(writer, "\n");
}

/* As far as it can be derived; sizes as a program sees them. */
static void text_collector(struct writer *writer, const hostmem_bridge_collector_limit *limit)
{
    if (!limit->known)
        return;
    writer_text(writer, "  the collector was told: hard limit ");
    if (limit->hard_limit == HOSTMEM_UNLIMITED) {
        writer_text(writer, "none");
    } else {
        writer_number(writer, limit->hard_limit, 0);
        writer_text(writer, " (");
        writer_text(writer, report_owners[limit->owner]);
        writer_text(writer, ")");
    }
    if (limit->pending != HOSTMEM_UNLIMITED)
        writer_text_number(writer, limit->fixed ? ", and takes no other, not " : ", has not taken yet ",
                           limit->pending);
    writer_text_number(writer, "; available ", limit->available);
    writer_text_number(writer, ", high load from ", limit->high_load);
    writer_text(writer, "\n");
    if (limit->beyond_start)
        writer_text(writer,
                    "  its limit was raised above what it had reserved at its start: DOTNET_GCRegionRange "
                    "reserves more\n");
}

static void text_bridge(struct writer *writer, const struct report *report)
{
    static const char *const modules[] = {[HOSTMEM_BRIDGE_RUNTIME] = "coreclr.dll",
                                          [HOSTMEM_BRIDGE_COLLECTOR] = "standalone GC",
                                          [HOSTMEM_BRIDGE_JIT] = "JIT compiler"};
    const hostmem_bridge_statistics *bridge = &report->bridge;

    writer_text(writer, "\n  calls that the bridge took over                    calls          failures\n");
    for (unsigned module = 0; module < HOSTMEM_BRIDGE_MODULE_COUNT; module++) {
        uint64_t failures = 0;
        if (module == HOSTMEM_BRIDGE_JIT && !report_bridge_calls(report, module))
            continue;
        for (unsigned function = 0; function < HOSTMEM_BRIDGE_FUNCTION_COUNT; function++)
            failures += bridge->calls[module][function].failures;
        number_row(writer, modules[module], report_bridge_calls(report, module), failures);
        for (unsigned function = 0; function < HOSTMEM_BRIDGE_FUNCTION_COUNT; function++) {
            const hostmem_bridge_calls *calls = &bridge->calls[module][function];
            if (!calls->calls)
                continue;
            writer_text(writer, "  ");
            number_row(writer, report_functions[function], calls->calls, calls->failures);
        }
    }
    writer_text_number(writer, "  GC heap: ", bridge->heap_ranges);
    writer_text_number(writer, " ranges, ", bridge->heap_reserved);
    writer_text_number(writer, " bytes reserved; frees passed on to Windows: ", bridge->foreign_frees);
    writer_text(writer, "\n");
    if (bridge->state & HOSTMEM_BRIDGE_HEAP_REDIRECTED) {
        writer_text_number(writer, "  native heap: blocks passed on to Windows: ", bridge->heap_foreign);
        writer_text_number(writer, "; to know them: ", bridge->heap_metadata);
        writer_text(writer, " bytes\n");
    }
    text_collector(writer, &bridge->collector_limit);
}

static void text_statistics(struct writer *writer, const hostmem_statistics *statistics)
{
    writer_text(writer, "\n  bytes                                                now              peak\n");
    number_row(writer, "reserved", statistics->reserved.now, statistics->reserved.peak);
    number_row(writer, "committed", statistics->committed.now, statistics->committed.peak);
    for (unsigned use = 0; use < HOSTMEM_USE_COUNT; use++)
        if (use != HOSTMEM_USE_VIEW && statistics->committed_by_use[use].peak != 0) {
            const hostmem_gauge *gauge = &statistics->committed_by_use[use];
            number_row(writer, report_uses[use], gauge->now, gauge->peak);
        }
    number_row(writer, "mapped views", statistics->mapped.now, statistics->mapped.peak);
    number_row(writer, "committed in views", statistics->view_committed.now, statistics->view_committed.peak);
    number_row(writer, "heap (IHostMalloc)", statistics->heap.now, statistics->heap.peak);
    writer_text_number(writer, "  regions ", statistics->regions);
    writer_text_number(writer, ", views ", statistics->views);
    writer_text_number(writer, ", blocks ", statistics->blocks);
    writer_text_number(writer, ", committed in foreign memory ", statistics->foreign_committed);
    writer_text_number(writer, ", foreign frees ", statistics->foreign_frees);
    writer_text_number(writer, ", stale regions ", statistics->stale_regions);
    writer_text_number(writer, ", metadata ", statistics->metadata);
    writer_text(writer, "\n");
}

static void region_row(struct writer *writer, const char *name, uintptr_t base, uint64_t reserved,
                       uint64_t committed)
{
    writer_text(writer, "  ");
    writer_column(writer, name, NAME_WIDTH - 18);
    writer_hex(writer, base, 16);
    writer_number(writer, reserved, NUMBER_WIDTH);
    writer_number(writer, committed, NUMBER_WIDTH);
    writer_text(writer, "\n");
}

static void text_regions(struct writer *writer, const struct accounting *accounting)
{
    writer_text(writer, "\n  regions                                         reserved         committed\n");
    for (uint32_t i = 0; i < accounting->region_count; i++) {
        const hostmem_region *region = &accounting->regions[i];
        region_row(writer, region->kind == HOSTMEM_REGION_VIEW ? "view" : "private", (uintptr_t)region->base,
                   region->reserved, region->committed);
    }
    number_row(writer, "sum of the private regions", accounting->reserved, accounting->committed);
    number_row(writer, "VirtualQuery over them", accounting->query_reserved, accounting->query_committed);
    number_row(writer, "the statistics", accounting->statistics.reserved.now,
               accounting->statistics.committed.now);
    if (accounting_agrees(accounting)) {
        writer_text(writer, "  VirtualQuery agrees with the statistics, byte for byte");
    } else {
        uint64_t ours = accounting->statistics.committed.now, theirs = accounting->query_committed;
        writer_text_number(writer, "  VirtualQuery DIFFERS from the statistics, which have ",
                           ours > theirs ? ours - theirs : theirs - ours);
        writer_text(writer, ours >= theirs ? " bytes more committed" : " bytes less committed");
        if (!accounting->complete)
            writer_text(writer, ", and the list is not complete");
        if (accounting->finding != HOSTMEM_FINDING_NONE) {
            writer_text_number(writer, ", and hostmem_verify has finding ", accounting->finding);
            writer_text(writer, " at ");
            writer_hex(writer, (uintptr_t)accounting->finding_address, 1);
        }
    }
    writer_text(writer, accounting->quiet ? "\n" : " (other threads kept allocating meanwhile)\n");
}

void report_text_accounting(struct writer *writer, const struct report *report)
{
    text_head(writer, report);
    if (report->mode != REPORT_RAW) {
        text_calls(writer, &report->accounting);
        text_limits(writer, report);
        if (report->mode == REPORT_BRIDGE)
            text_bridge(writer, report);
        text_statistics(writer, &report->accounting.statistics);
        text_regions(writer, &report->accounting);
    }
    writer_flush(writer);
}

void report_text_process(struct writer *writer, const struct report *report)
{
    const struct process_map *process = report->process;

    if (!process)
        return;
    writer_text(writer, "\n  all of the process            regions          reserved         committed\n");
    for (unsigned kind = 0; kind < PROCESS_KIND_COUNT; kind++) {
        const struct process_row *row = &process->rows[kind];
        writer_text(writer, "  ");
        writer_column(writer, report_kinds[kind], NAME_WIDTH - 18);
        writer_number(writer, row->regions, NUMBER_WIDTH);
        writer_number(writer, row->reserved, NUMBER_WIDTH);
        writer_number(writer, row->committed, NUMBER_WIDTH);
        writer_text(writer, "\n");
    }
    for (unsigned i = 0; i < process->rows[PROCESS_OTHER].regions && i < PROCESS_OTHERS_MAX; i++) {
        const struct process_other *other = &process->others[i];
        region_row(writer, "  other at", other->base, other->reserved, other->committed);
        if (!other->module[0])
            continue;
        writer_text(writer, "      in use by ");
        writer_wide(writer, other->module);
        writer_text(writer, "\n");
    }
    if (!process->heaps_walked || !process->complete)
        writer_text(writer, "  a heap could not be walked to its end: some of \"other\" is heap\n");
    writer_flush(writer);
}
