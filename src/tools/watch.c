/*
 * watch.c - see watch.h
 */
#include "tools/watch.h"

#include <stdatomic.h>
#include <wchar.h>

#include <hostmem/bridge.h>
#include <hostmem/trace.h>

#include "tools/accounting.h"
#include "tools/panel.h"
#include "tools/writer.h"

/* The runtime answers between two collections only, and when memory is low there is little time between them.  So where
 * lines or samples would wait for it it is asked ever more rarely, at last every COUNT_MS.  The program's end waits for its
 * last answer for LAST_MS. */
enum { LINE_MS = 500, COUNT_MS = 8000, LAST_MS = 1000 };

static hostmem_manager *watched_manager;
static bool lines, traced, on_panel;
static struct screen screen;        /* the watching thread's */
static HANDLE end_wanted, end_done; /* events */
static DWORD sample_ms;
static ULONGLONG started;
static _Atomic uint64_t samples, disturbed, committed_peak, heap_peak; /* one writer */
static _Atomic uint64_t collections[3];
static atomic_bool counted;

static bool has_ended(void)
{
    return WaitForSingleObject(end_wanted, 0) == WAIT_OBJECT_0;
}

/* On this thread, not on one that ends the process: that may be in the middle of a collection.  Without lines or a trace it
 * is asked at the end only: from the first question on the runtime has this thread among its own. */
static void count_collections(void)
{
    uint64_t counts[3];

    if (hostmem_bridge_get_collections(counts) != S_OK)
        return;
    for (unsigned generation = 0; generation < 3; generation++)
        atomic_store(&collections[generation], counts[generation]);
    atomic_store(&counted, true);
}

struct watched watch_so_far(void)
{
    struct watched watched = {samples, disturbed, committed_peak, heap_peak, .counted = WATCH_NEVER};

    if (atomic_load(&counted))
        watched.counted = WATCH_BEFORE;
    for (unsigned generation = 0; generation < 3; generation++)
        watched.collections[generation] = atomic_load(&collections[generation]);
    return watched;
}

static void trace_collections(struct watched watched)
{
    if (traced && watched.counted != WATCH_NEVER)
        hostmem_trace_collections(watched_manager, watched.collections);
}

/* What there is to show now. */
static void look(void)
{
    IHostMemoryManager *memory;
    DWORD load = 0;
    SIZE_T available;

    screen.now.size = sizeof screen.now;
    hostmem_get_statistics(watched_manager, &screen.now);
    screen.limits.size = sizeof screen.limits;
    hostmem_get_limits(watched_manager, &screen.limits);
    if (hostmem_get_memory_manager(watched_manager, &memory) == S_OK) {
        IHostMemoryManager_GetMemoryLoad(memory, &load, &available);
        IHostMemoryManager_Release(memory);
    }
    screen.load = load;
    screen.watched = watch_so_far();
    const uint64_t elapsed = GetTickCount64() - started;
    screen.since = elapsed - screen.elapsed;
    screen.elapsed = elapsed;
}

static void write_line(void)
{
    static struct writer writer;
    const hostmem_statistics *statistics = &screen.now;
    const hostmem_limits *limits = &screen.limits;

    writer_open(&writer, GetStdHandle(STD_ERROR_HANDLE));
    writer_text_number(&writer, "watch: ", screen.elapsed / 1000);
    writer_text_number(&writer, ".", screen.elapsed / 100 % 10);
    writer_text(&writer, " s, committed ");
    writer_megabytes(&writer, statistics->charged.now);
    if (limits->limit != HOSTMEM_UNLIMITED) {
        writer_text(&writer, " of ");
        writer_megabytes(&writer, limits->limit);
    }
    if (limits->heap_limit != HOSTMEM_UNLIMITED) {
        writer_text(&writer, ", heap ");
        writer_megabytes(&writer, statistics->committed_by_use[HOSTMEM_USE_GC_HEAP].now);
        writer_text(&writer, " of ");
        writer_megabytes(&writer, limits->heap_limit);
    }
    writer_text_number(&writer, ", load ", screen.load);
    writer_text(&writer, "%, pressure ");
    writer_text(&writer, screen_pressure(statistics));
    if (screen.watched.counted != WATCH_NEVER) {
        writer_text_number(&writer, ", collections gen0 ", screen.watched.collections[0]);
        writer_text_number(&writer, " gen1 ", screen.watched.collections[1]);
        writer_text_number(&writer, " gen2 ", screen.watched.collections[2]);
    }
    writer_text_number(&writer, ", refused ", statistics->refusals);
    writer_text_number(&writer, ", overruns ", statistics->overrun.count + statistics->heap_overrun.count);
    writer_text(&writer, "\n");
    writer_flush(&writer);
}

/* On a terminal in its place, elsewhere as a line. */
static void show(void)
{
    if (on_panel && panel_draw(&screen)) {
        screen.before = screen.now;
        return;
    }
    panel_close();
    write_line();
    screen.before = screen.now;
}

static void raise_to(_Atomic uint64_t *peak, uint64_t value)
{
    if (value > atomic_load(peak))
        atomic_store(peak, value);
}

static void take_sample(void)
{
    uint64_t committed, heap;

    if (!accounting_sample(watched_manager, &committed, &heap)) {
        disturbed++;
        return;
    }
    samples++;
    raise_to(&committed_peak, committed);
    raise_to(&heap_peak, heap);
}

static DWORD WINAPI watch_thread(void *context)
{
    const bool looks = lines || traced;
    DWORD until_sample = sample_ms ? sample_ms : INFINITE, wait;
    ULONGLONG due = started + LINE_MS, count_due = due, pause = LINE_MS;

    (void)context;
    while (wait = looks && LINE_MS < until_sample ? LINE_MS : until_sample,
           WaitForSingleObject(end_wanted, wait) == WAIT_TIMEOUT) {
        if (sample_ms && (until_sample -= wait) == 0) {
            take_sample();
            until_sample = sample_ms;
        }
        if (!looks || GetTickCount64() < due)
            continue;
        if (GetTickCount64() >= count_due) {
            count_collections();
            count_due = GetTickCount64() + pause;
            if ((lines || sample_ms) && atomic_load(&counted) && pause < COUNT_MS)
                pause *= 2;
            if (!has_ended())
                trace_collections(watch_so_far());
        }
        if (lines) {
            look();
            if (!has_ended())
                show();
        }
        due = GetTickCount64() + LINE_MS;
    }
    panel_close();
    count_collections();
    SetEvent(end_done);
    Sleep(INFINITE); /* the process ends: a thread that ends at the same moment is in its way under Wine */
    return 0;
}

bool watch_start(hostmem_manager *manager, const wchar_t *program, bool want_lines, bool is_traced,
                 uint64_t milliseconds)
{
    const wchar_t *name = wcsrchr(program, L'\\');
    watched_manager = manager;
    started = GetTickCount64();
    lines = want_lines;
    traced = is_traced;
    screen.program = name ? name + 1 : program;
    on_panel = lines && panel_open();
    sample_ms = milliseconds < 60000 ? (DWORD)milliseconds : 60000;
    end_wanted = CreateEventW(NULL, TRUE, FALSE, NULL);
    end_done = CreateEventW(NULL, TRUE, FALSE, NULL);
    HANDLE thread = end_wanted && end_done ? CreateThread(NULL, 0, watch_thread, NULL, 0, NULL) : NULL;
    if (thread)
        CloseHandle(thread);
    return thread != NULL;
}

struct watched watch_end(bool threads_are_gone)
{
    SetEvent(end_wanted);
    const bool last = !threads_are_gone && WaitForSingleObject(end_done, LAST_MS) == WAIT_OBJECT_0;
    struct watched watched = watch_so_far();
    trace_collections(watched);
    panel_close(); /* unless the thread has done it */
    if (last && watched.counted == WATCH_BEFORE)
        watched.counted = WATCH_AT_END;
    return watched;
}

void watch_leave(void)
{
    SetEvent(end_wanted);
    WaitForSingleObject(end_done, LAST_MS); /* it may be drawing */
    panel_close();
}
