/*
 * report_text.c - the report for people: what one wants to know first, on one screen
 *
 * In MiB, at most 40 lines; a bar for each use on a console.  Bytes, exact, are in the lists (report_lists.c) and in the
 * JSON (report.c).
 */
#include "tools/report.h"

enum { LABEL = 13, NUMBER = 10, BAR = 30 };

static void label(struct writer *writer, const char *name)
{
    writer_text(writer, "  ");
    writer_column(writer, name, LABEL);
}

/* ", " before everything but the first. */
static void separate(struct writer *writer, bool *first)
{
    if (!*first)
        writer_text(writer, ", ");
    *first = false;
}

static void text_head(struct writer *writer, const struct report *report)
{
    writer_text(writer, "\nhostmem-run: ");
    writer_wide(writer, report->program);
    writer_text(writer, report->mode == REPORT_RAW ? ", raw, without a manager\n" : "\n");
    label(writer, "ended");
    writer_text(writer, "by ");
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
        label(writer, "runtime");
        report_version(writer, report->runtime_version);
        writer_text(writer, ", ");
        writer_wide(writer, report->runtime);
        writer_text(writer, "\n");
    }
}

static void text_figure(struct writer *writer, bool *first, const char *name, uint64_t bytes)
{
    if (bytes == HOSTMEM_UNLIMITED)
        return;
    separate(writer, first);
    writer_text(writer, name);
    writer_megabytes(writer, bytes);
}

static void text_limits(struct writer *writer, const hostmem_limits *limits)
{
    bool first = true;

    label(writer, "limits");
    text_figure(writer, &first, "", limits->limit);
    text_figure(writer, &first, "heap ", limits->heap_limit);
    if (limits->limit != HOSTMEM_UNLIMITED)
        text_figure(writer, &first, "margin ", limits->margin);
    text_figure(writer, &first, "notified of low memory from ", limits->soft);
    text_figure(writer, &first,
                limits->soft != HOSTMEM_UNLIMITED ? "or from a whole process of "
                                                  : "notified of low memory from a whole process of ",
                limits->process_soft);
    if (limits->fail_after != HOSTMEM_UNLIMITED) {
        separate(writer, &first);
        writer_text_number(writer, "the heap refused after ", limits->fail_after);
        writer_text(writer, " commits");
    }
    writer_text(writer, first ? "none\n" : "\n");
}

/* What it was told, as far as that can be derived; sizes as a program sees them. */
static void text_collector(struct writer *writer, const hostmem_bridge_collector_limit *limit)
{
    if (!limit->known)
        return;
    label(writer, "collector");
    writer_text(writer, "hard limit ");
    if (limit->hard_limit == HOSTMEM_UNLIMITED) {
        writer_text(writer, "none");
    } else {
        writer_megabytes(writer, limit->hard_limit);
        writer_text(writer, " (");
        writer_text(writer, report_owners[limit->owner]);
        writer_text(writer, ")");
    }
    if (limit->pending != HOSTMEM_UNLIMITED) {
        writer_text(writer, limit->fixed ? ", and takes no other, not " : ", has not taken yet ");
        writer_megabytes(writer, limit->pending);
    }
    writer_text(writer, ", available ");
    writer_megabytes(writer, limit->available);
    writer_text(writer, ", high load from ");
    writer_megabytes(writer, limit->high_load);
    writer_text(writer, "\n");
    if (limit->beyond_start) {
        label(writer, "");
        writer_text(writer, "its limit was raised above what it had reserved at its start: "
                            "DOTNET_GCRegionRange reserves more\n");
    }
}

static void text_collections(struct writer *writer, const struct watched *watched)
{
    if (watched->counted == WATCH_NEVER)
        return;
    label(writer, "collections");
    writer_text_number(writer, "gen0 ", watched->collections[0]);
    writer_text_number(writer, ", gen1 ", watched->collections[1]);
    writer_text_number(writer, ", gen2 ", watched->collections[2]);
    writer_text(writer, watched->counted == WATCH_AT_END ? "\n" : ", as last seen before the end\n");
}

/* Filled as far as `now`, lighter up to `peak`. */
static void bar(struct writer *writer, const hostmem_gauge *gauge, uint64_t whole)
{
    if (!writer->console || whole == 0)
        return;
    writer_text(writer, "  ");
    writer_colour(writer, WRITER_ACCENT);
    for (uint64_t cell = 0; cell < BAR && cell * whole < gauge->peak * BAR; cell++)
        writer_wide(writer, cell * whole < gauge->now * BAR ? L"\u2588" : L"\u2591");
    writer_colour(writer, WRITER_PLAIN);
}

static void gauge_row(struct writer *writer, const char *name, const hostmem_gauge *gauge, uint64_t whole)
{
    label(writer, name);
    writer_mib(writer, gauge->now, NUMBER);
    writer_mib(writer, gauge->peak, NUMBER);
    bar(writer, gauge, whole);
    writer_text(writer, "\n");
}

static void text_memory(struct writer *writer, const struct report *report)
{
    const hostmem_statistics *statistics = &report->accounting.statistics;
    const uint64_t whole = statistics->charged.peak;

    writer_text(writer, "\n  committed, MiB      now      peak\n");
    for (unsigned i = 1; i <= HOSTMEM_USE_COUNT; i++) {
        const unsigned use = i % HOSTMEM_USE_COUNT; /* "other" last */
        if (statistics->committed_by_use[use].peak != 0)
            gauge_row(writer, report_uses[use], &statistics->committed_by_use[use], whole);
    }
    if (statistics->heap.peak != 0)
        gauge_row(writer, "IHostMalloc", &statistics->heap, whole);
    gauge_row(writer, "in all", &statistics->charged, whole);
}

static void text_refused(struct writer *writer, const hostmem_statistics *statistics)
{
    bool first = true;

    label(writer, "refused");
    if (statistics->refusals == 0) {
        writer_text(writer, "nothing\n");
        return;
    }
    writer_colour(writer, WRITER_ALARM);
    for (unsigned reason = 0; reason < HOSTMEM_REASON_COUNT; reason++)
        if (statistics->refused[reason]) {
            separate(writer, &first);
            writer_number(writer, statistics->refused[reason], 0);
            writer_text(writer, " by ");
            writer_text(writer, report_reasons[reason]);
        }
    writer_colour(writer, WRITER_PLAIN);
    writer_text(writer, "\n");
}

static void text_overrun(struct writer *writer, const hostmem_overrun *overrun, const char *above)
{
    if (overrun->count == 0)
        return;
    label(writer, "overruns");
    writer_colour(writer, WRITER_ALARM);
    writer_number(writer, overrun->count, 0);
    writer_text(writer, ", at most ");
    writer_megabytes(writer, overrun->peak);
    writer_text(writer, above);
    writer_colour(writer, WRITER_PLAIN);
    writer_text(writer, "\n");
}

static void text_pressure(struct writer *writer, const struct report *report)
{
    const hostmem_statistics *statistics = &report->accounting.statistics;
    const struct watched *watched = &report->watched;

    label(writer, "notified");
    writer_text_number(writer, "low ", statistics->notifications[eMemoryAvailableLow]);
    writer_text_number(writer, ", neutral ", statistics->notifications[eMemoryAvailableNeutral]);
    writer_text_number(writer, ", high ", statistics->notifications[eMemoryAvailableHigh]);
    writer_text(writer, "\n");
    if (watched->samples) {
        label(writer, "sampled");
        writer_number(writer, watched->samples, 0);
        writer_text(writer, " times: committed at most ");
        writer_megabytes(writer, watched->committed_peak);
        writer_text(writer, ", heap ");
        writer_megabytes(writer, watched->heap_peak);
        writer_text(writer, "\n");
    }
}

/* What was not given back. */
static void text_owned(struct writer *writer, const struct accounting *accounting)
{
    struct report_aged aged[HOSTMEM_USE_COUNT][REPORT_AGES];
    bool first = true;

    report_ages(accounting, aged);
    label(writer, "owned");
    for (unsigned age = 0; age < REPORT_AGES; age++) {
        struct report_aged sum = {0, 0};
        for (unsigned use = 0; use < HOSTMEM_USE_COUNT; use++) {
            sum.regions += aged[use][age].regions;
            sum.committed += aged[use][age].committed;
        }
        if (sum.regions == 0)
            continue;
        separate(writer, &first);
        writer_text(writer, report_age_names[age]);
        writer_text(writer, " ");
        writer_megabytes(writer, sum.committed);
        writer_text_number(writer, " in ", sum.regions);
    }
    writer_text(writer, first ? "nothing\n" : " regions\n");
}

static void text_frees(struct writer *writer, const hostmem_statistics *statistics)
{
    if (statistics->foreign_frees == 0)
        return;
    label(writer, "misused");
    writer_number(writer, statistics->foreign_frees, 0);
    writer_text(writer, " frees of what is not the runtime's");
    if (statistics->double_frees) {
        writer_text_number(writer, ", ", statistics->double_frees);
        writer_text(writer, " of them a second time");
    }
    writer_text(writer, "\n");
}

static void text_calls(struct writer *writer, const struct report *report)
{
    uint64_t calls = 0, failures = 0;

    for (unsigned method = 0; method < HOSTMEM_METHOD_COUNT; method++)
        for (unsigned level = 0; level < HOSTMEM_LEVEL_COUNT; level++) {
            calls += report->accounting.statistics.calls[method][level].calls;
            failures += report->accounting.statistics.calls[method][level].failures;
        }
    label(writer, "calls");
    writer_number(writer, calls, 0);
    writer_text_number(writer, ", ", failures);
    writer_text(writer, " failed\n");
}

/* Where the rest of the process is, in a few words; --process tells it kind by kind. */
static void text_rest(struct writer *writer, const struct report *report)
{
    const struct report_process_use *use = &report->process_use;

    label(writer, "process");
    writer_text(writer, "private ");
    writer_megabytes(writer, use->private_bytes.now);
    writer_text(writer, ", at most ");
    writer_megabytes(writer, use->private_bytes.peak);
    writer_text(writer, "; working set ");
    writer_megabytes(writer, use->working_set.now);
    writer_text(writer, ", at most ");
    writer_megabytes(writer, use->working_set.peak);
    writer_text(writer, "\n");
    if (report->mode == REPORT_RAW)
        return;
    const hostmem_statistics *statistics = &report->accounting.statistics;
    const uint64_t ours = statistics->committed.now + statistics->heap.now, all = use->private_bytes.now;
    label(writer, "");
    writer_megabytes(writer, all > ours ? all - ours : 0);
    writer_text(writer, " of it no limit covers: native heaps, stacks, images (--process)\n");
}

static void text_verified(struct writer *writer, const struct accounting *accounting)
{
    label(writer, "verified");
    if (accounting_agrees(accounting)) {
        writer_text(writer, "VirtualQuery agrees with the statistics, byte for byte");
    } else {
        uint64_t ours = accounting->statistics.committed.now, theirs = accounting->query_committed;
        writer_text_number(writer, "VirtualQuery DIFFERS from the statistics, which have ",
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
    const hostmem_statistics *statistics = &report->accounting.statistics;

    text_head(writer, report);
    if (report->mode == REPORT_RAW) {
        text_rest(writer, report);
        writer_flush(writer);
        return;
    }
    text_limits(writer, &report->limits);
    text_collector(writer, &report->bridge.collector_limit);
    text_collections(writer, &report->watched);
    text_memory(writer, report);
    writer_text(writer, "\n");
    text_refused(writer, statistics);
    text_overrun(writer, &statistics->overrun, " above limit and margin");
    text_overrun(writer, &statistics->heap_overrun, " above the heap limit");
    text_pressure(writer, report);
    text_calls(writer, report);
    text_frees(writer, statistics);
    text_owned(writer, &report->accounting);
    if (report->bridge.state & HOSTMEM_BRIDGE_HEAP_REDIRECTED) {
        label(writer, "native heap");
        writer_text_number(writer,
                           "in blocks of IHostMalloc; passed on to Windows: ", report->bridge.heap_foreign);
        writer_text(writer, " blocks\n");
    }
    text_rest(writer, report);
    text_verified(writer, &report->accounting);
    if (report->regions)
        report_list_regions(writer, &report->accounting);
    writer_flush(writer);
}

void report_text_process(struct writer *writer, const struct report *report)
{
    if (report->process)
        report_list_process(writer, report->process);
    writer_flush(writer);
}
