/*
 * govern.c - see govern.h
 */
#include "tools/govern.h"

#include <string.h>

#include "tools/run_hostfxr.h"
#include "tools/writer.h"

enum { DEFAULT_MARGIN = 16 << 20 };

/* What a program needs beside what the start of its runtime has taken, to come to anything. */
enum { LEAST_ROOM = 1 << 20 };

enum { PATIENCE_MS = 10000 };

/* CoreClrInitFailure, of hostfxr_run_app. */
#define HOSTFXR_START_FAILED 0x80008089u

static bool has_limit(const struct options *options)
{
    return options->limit || options->heap_limit;
}

uint64_t govern_least_limit(const struct options *options)
{
    bool of_heap = options->heap_limit && (!options->limit || options->heap_limit < options->limit);
    return of_heap ? options->heap_limit : options->limit;
}

bool govern_limits(const struct options *options, hostmem_limits *limits)
{
    *limits = (hostmem_limits){.size = sizeof *limits,
                               .limit = options->limit ? options->limit : HOSTMEM_UNLIMITED,
                               .margin = options->margin ? options->margin : DEFAULT_MARGIN,
                               .soft = options->soft,
                               .heap_limit = options->heap_limit,
                               .process_soft = options->process_soft,
                               .fail_after = options->fail_after};
    return has_limit(options) || options->soft || options->process_soft || options->fail_after;
}

static void begin_line(struct writer *writer, const struct options *options)
{
    writer_open(writer, GetStdHandle(STD_ERROR_HANDLE));
    writer_text(writer, "hostmem-run: ");
    writer_wide(writer, options->program);
}

/* `taken`: by the start, as far as it got; 0: it is not known, or not what failed. */
static void say_cannot_start(const struct options *options, uint64_t taken)
{
    static struct writer writer;
    const uint64_t limit = govern_least_limit(options);

    begin_line(&writer, options);
    writer_text(&writer, ": the runtime cannot start under a limit of ");
    writer_megabytes(&writer, limit);
    if (limit < LEAST_ROOM) { /* a unit forgotten? */
        writer_text_number(&writer, " (", limit);
        writer_text(&writer, " bytes)");
    }
    if (taken != 0) {
        writer_text(&writer, ": its start takes ");
        writer_megabytes(&writer, taken);
    }
    writer_text(&writer, "\n");
    writer_flush(&writer);
}

/* False: said, unless the program ends meanwhile. */
static bool can_start(const struct options *options, uint64_t taken)
{
    /* A runtime that ends for want of memory may need memory to come to its end. */
    if (!ending_cancel())
        Sleep(PATIENCE_MS);
    say_cannot_start(options, taken);
    return false;
}

/* Does this limit leave a runtime no room to run in, by which it was refused? */
static bool no_room(uint32_t reason, uint64_t limit, uint64_t started_charged)
{
    return (reason == HOSTMEM_REASON_TASK_LIMIT && started_charged + LEAST_ROOM > limit) ||
           (reason == HOSTMEM_REASON_HEAP_LIMIT && LEAST_ROOM > limit);
}

bool govern_start(const struct options *options, const hostmem_event *event)
{
    hostmem_bridge_statistics bridge = {.size = sizeof bridge};

    if (!has_limit(options) || event->kind == HOSTMEM_EVENT_PRESSURE ||
        hostmem_bridge_get_statistics(&bridge) != S_OK || !(bridge.state & HOSTMEM_BRIDGE_BOUND))
        return true;
    if (event->kind == HOSTMEM_EVENT_OVERRUN && !(bridge.state & HOSTMEM_BRIDGE_RUNNING))
        return can_start(options, event->used);
    if (event->kind == HOSTMEM_EVENT_REFUSED && no_room(event->reason, event->limit, bridge.started_charged))
        return can_start(options, bridge.started_charged);
    return true;
}

static uint64_t refused_by_limits(const hostmem_statistics *statistics)
{
    return statistics->refused[HOSTMEM_REASON_TASK_LIMIT] + statistics->refused[HOSTMEM_REASON_HEAP_LIMIT] +
           statistics->refused[HOSTMEM_REASON_LIMIT] + statistics->refused[HOSTMEM_REASON_MARGIN] +
           statistics->refused[HOSTMEM_REASON_FAIL_AFTER];
}

static bool refused_for_want_of_room(uint32_t reason, uint64_t limit, const hostmem_statistics *statistics,
                                     const hostmem_bridge_statistics *bridge)
{
    return statistics->refused[reason] != 0 && no_room(reason, limit, bridge->started_charged);
}

/* The runtime may notice before we do: hostfxr says that its initialization failed, or there is no room for anything else. */
bool govern_started(const struct options *options, bool own_limits, const struct ending *ending,
                    const hostmem_statistics *statistics, const hostmem_bridge_statistics *bridge)
{
    const bool no_start = ending->status == HOSTFXR_START_FAILED && refused_by_limits(statistics) != 0;
    const bool nothing_else =
        own_limits && ending->out_of_memory &&
        (refused_for_want_of_room(HOSTMEM_REASON_TASK_LIMIT, options->limit, statistics, bridge) ||
         refused_for_want_of_room(HOSTMEM_REASON_HEAP_LIMIT, options->heap_limit, statistics, bridge));
    if (!has_limit(options) || !(no_start || nothing_else))
        return true;
    say_cannot_start(options, bridge->started_charged);
    return false;
}

void govern_ending(const struct options *options, const hostmem_limits *limits, const struct ending *ending,
                   const hostmem_statistics *statistics, const hostmem_bridge_statistics *bridge)
{
    static const char *const owners[] = {[HOSTMEM_BRIDGE_OF_NOBODY] = "",
                                         [HOSTMEM_BRIDGE_OF_HOST] = "",
                                         [HOSTMEM_BRIDGE_OF_PROGRAM] = ", which the program has set",
                                         [HOSTMEM_BRIDGE_OF_JOB] = ", its part of a job object's"};
    static struct writer writer;
    const hostmem_bridge_collector_limit *collector = &bridge->collector_limit;
    const uint64_t limit = limits->heap_limit < limits->limit ? limits->heap_limit : limits->limit;
    uint64_t refused = refused_by_limits(statistics);
    bool by_exception =
        strcmp(ending->how, "unhandled exception") == 0 || strcmp(ending->how, "fail fast") == 0;
    if (refused == 0 && collector->hard_limit == HOSTMEM_UNLIMITED)
        return;
    if (!ending->out_of_memory && (refused == 0 || !by_exception))
        return;
    begin_line(&writer, options);
    /* Another exception may have come of it: of a type that could not be initialized, for one. */
    writer_text(&writer, ending->out_of_memory ? ": ended by OutOfMemoryException: "
                                               : ": ended by an exception that nobody handled, after ");
    if (refused == 0) {
        writer_text(&writer, "its collector has a limit of ");
        writer_megabytes(&writer, collector->hard_limit);
        writer_text(&writer, owners[collector->owner]);
    } else {
        writer_number(&writer, refused, 0);
        if (limit != HOSTMEM_UNLIMITED) {
            writer_text(&writer, " commits were refused under its limit of ");
            writer_megabytes(&writer, limit);
        } else {
            writer_text(&writer, limits->fail_after != HOSTMEM_UNLIMITED
                                     ? " commits were refused as --fail-after wants it"
                                     : " commits were refused under limits that it has no longer");
        }
    }
    writer_text(&writer, "\n");
    writer_flush(&writer);
}

bool govern_heap(const struct options *options, bool others, const hostmem_bridge_event *event)
{
    static struct writer writer;

    if (event->kind != HOSTMEM_BRIDGE_EVENT_HEAP_UNKNOWN ||
        (!has_limit(options) && !options->fail_after && !others))
        return true;
    if (!ending_cancel())
        Sleep(PATIENCE_MS);
    begin_line(&writer, options);
    writer_text(
        &writer,
        ": what its collector takes for its heap is not recognised, so nothing would keep it to a limit\n");
    writer_flush(&writer);
    return false;
}

bool govern_ran(const struct options *options, const struct ending *ending,
                const hostmem_bridge_statistics *bridge)
{
    const bool by_console = !ending->has_status && !ending->threads_are_gone; /* its user knows why */
    static struct writer writer;

    if (!(bridge->state & HOSTMEM_BRIDGE_BOUND) || bridge->state & HOSTMEM_BRIDGE_RUNNING || by_console)
        return true;
    begin_line(&writer, options);
    writer_text(&writer, ": the runtime whose memory was taken over has not started (");
    writer_hex(&writer, ending->status, 8);
    writer_text(&writer, ")\n");
    writer_flush(&writer);
    return false;
}

void govern_unknown(const struct options *options, const hostmem_bridge_statistics *bridge)
{
    static const char *const modules[] = {[HOSTMEM_BRIDGE_RUNTIME] = ": its runtime imports ",
                                          [HOSTMEM_BRIDGE_COLLECTOR] = ": its collector imports ",
                                          [HOSTMEM_BRIDGE_JIT] = ": its JIT compiler imports "};
    const bool incomplete = bridge->state & HOSTMEM_BRIDGE_INCOMPLETE;
    static struct writer writer;

    for (unsigned module = 0; module < HOSTMEM_BRIDGE_MODULE_COUNT; module++) {
        if (!bridge->unknown[module])
            continue;
        begin_line(&writer, options);
        writer_text(&writer, modules[module]);
        writer_text(&writer, bridge->unknown[module]);
        writer_text(&writer, ", which hostmem does not know and has left to Windows");
        writer_text(&writer, incomplete ? ": limits and figures do not cover all of its memory\n" : "\n");
        writer_flush(&writer);
    }
}
