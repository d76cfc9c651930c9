/*
 * trace.c - the writer: a thread that goes over the lanes
 *
 * Whoever has the mutex writes: the thread every now and then, and in the end whoever ends the trace, for whom the thread
 * need not be there any more.  Where it was killed while it wrote, what it had taken out of a ring is missing, and the
 * sequence of the next event shows it; a block that it had not written to its end is overwritten.
 *
 * Whoever ends it may have the loader lock: nothing that takes that is done with the mutex.
 */
#include "nettrace/trace.h"

#include "maps/pages.h"
#include "memory/hresult.h"
#include "memory/os.h"
#include "nettrace/clock.h"
#include "nettrace/modules.h"
#include "nettrace/survey.h"

enum { LOOK_MS = 50, SAMPLE_MS = 250, SLOTS_USUAL = 2048 };

struct trace {
    struct hm_os_thread thread;
    _Atomic uint32_t references; /* who ends it, and the thread */
    HANDLE mutex;
    HANDLE due; /* the recorder's event, which the thread may wait for when the recorder is gone */
    /* The mutex's. */
    bool ended;
    struct vm *vm; /* until it is ended */
    struct recorder *recorder;
    struct clock clock;
    uint64_t sampled;          /* ticks */
    uint64_t lost[RING_LANES]; /* of each lane, as far as the file tells */
    void *noted;               /* what has images noted for stacks; the thread ends it */
    struct modules modules;
    struct trace_file file;
};

/* Events that are lost and that the file does not tell of yet, each as a number that is missing, and in one event. */
static void tell_lost(struct trace *trace, unsigned lane, uint64_t lost, uint64_t time)
{
    const uint64_t fresh = lost - trace->lost[lane];
    if ((int64_t)fresh <= 0)
        return;
    const struct file_event event = {.capture = lane,
                                     .event = TRACE_LOST,
                                     .time = time,
                                     .thread = GetCurrentThreadId(),
                                     .skipped = (uint32_t)fresh,
                                     .figures = &fresh};
    hm_trace_file_add(&trace->file, &event);
    trace->lost[lane] = lost;
}

/* "11.0.26.53018", from four times 16 bits. */
static const char *version_text(uint64_t version, char text[24])
{
    char *at = text + 23;
    *at = 0;
    for (unsigned part = 0; part < 4; part++) {
        unsigned number = (unsigned)(version >> 16 * part & 0xFFFF);
        do {
            *--at = (char)('0' + number % 10);
        } while ((number /= 10) != 0);
        if (part != 3)
            *--at = '.';
    }
    return at;
}

/* Before the last look at the clock, or a little after it; else it was stamped before a leap, and nobody knows. */
static uint64_t time_of(const struct trace *trace, const struct trace_event *event)
{
    const uint64_t time = clock_time(&trace->clock, event->time), look = trace->clock.last.counter;
    return (int64_t)(time - look) < (int64_t)trace->clock.second ? time : look - 1;
}

static void write_event(struct trace *trace, unsigned lane, const struct trace_event *event, uint64_t time)
{
    char text[24];
    const struct file_event out = {
        .capture = lane,
        .event = event->kind,
        .time = time,
        .thread = event->thread,
        .figures = event->value,
        .text = event->kind == TRACE_RUNTIME_STARTED ? version_text(event->value[0], text) : NULL,
        .frame = event->frame,
        .frames = event->frames};
    hm_trace_file_add(&trace->file, &out);
}

/*
 * What the lanes have.  last: nobody has time to finish any more.  Else events stay that came after the look at the clock:
 * of those before it none comes later, so a sequence point can stand there, and what several lanes have can be put in order.
 * False: but for events behind one that is waited for.
 */
static bool go_over_lanes(struct trace *trace, bool last)
{
    bool all = true;
    struct ring *ring = &trace->recorder->ring;
    hm_clock_look(&trace->clock);
    for (unsigned lane = 0; lane < RING_LANES; lane++) {
        const struct trace_event *event;
        for (unsigned i = 0; i < ring->slots && (event = hm_ring_next(ring, lane, last)) != NULL; i++) {
            const uint64_t time = time_of(trace, event);
            if (time >= trace->clock.last.counter && !last)
                break;
            tell_lost(trace, lane, hm_ring_lost(ring, lane, false), time);
            write_event(trace, lane, event, time);
            hm_ring_free(ring, lane);
        }
        all &= !ring_waits(ring, lane);
        if (last)
            tell_lost(trace, lane, hm_ring_lost(ring, lane, true), hm_os_counter());
    }
    hm_trace_file_flush(&trace->file);
    return all;
}

static void sample(struct trace *trace)
{
    hm_survey_sample(&trace->file, trace->vm);
    trace->sampled = hm_os_ticks();
}

/* For whoever is to write; false: it has been ended. */
static bool lock(struct trace *trace)
{
    const bool whole = hm_os_mutex_lock(trace->mutex);
    if (!whole && !trace->ended)
        hm_trace_file_take_over(&trace->file);
    return !trace->ended;
}

static void tell_modules(struct trace *trace)
{
    hm_modules_look(&trace->modules);
    while (hm_modules_next(&trace->modules)) {
        if (lock(trace))
            hm_modules_tell(&trace->modules, &trace->file);
        hm_os_mutex_unlock(trace->mutex);
    }
}

static void release(struct trace *trace)
{
    if (atomic_fetch_sub(&trace->references, 1) != 1)
        return;
    if (trace->mutex != NULL)
        hm_os_close(trace->mutex);
    if (trace->due != NULL)
        hm_os_close(trace->due);
    hm_pages_release(trace, sizeof *trace);
}

static void run(struct hm_os_thread *thread)
{
    struct trace *trace = CONTAINING_RECORD(thread, struct trace, thread);
    const struct hm_os_resources none = {.low = false};
    for (bool goes_on = true; goes_on;) {
        bool due = false;
        hm_os_wait(trace->due, &none, LOOK_MS);
        goes_on = lock(trace);
        if (goes_on) {
            const bool all = go_over_lanes(trace, false);
            due = hm_os_ticks() - trace->sampled >= SAMPLE_MS;
            if (due && all)
                hm_trace_file_point(&trace->file, trace->clock.last.counter);
            if (due)
                sample(trace);
        }
        hm_os_mutex_unlock(trace->mutex);
        if (goes_on && (due || hm_modules_due(&trace->modules)))
            tell_modules(trace);
    }
    if (trace->noted != NULL)
        hm_modules_forget(trace->noted);
    release(trace);
}

static void begin(struct trace *trace)
{
    hm_trace_file_begin(&trace->file, trace->clock.first.counter);
    hm_survey_limits(&trace->file, trace->vm);
    hm_survey_regions(&trace->file, trace->vm);
    sample(trace);
    tell_modules(trace);
    hm_trace_file_flush(&trace->file);
}

/* Events that an earlier trace has not waited for are dropped; those that are lost by now are not this one's. */
static bool take_recorder(struct trace *trace, const hostmem_trace_options *options)
{
    struct vm *vm = trace->vm;
    const unsigned slots = options->lane_events != 0 ? options->lane_events : SLOTS_USUAL;
    const unsigned frames = options->flags & HOSTMEM_TRACE_STACKS ? TRACE_FRAMES_MOST : 0;
    struct recorder *recorder = hm_recorder_take(&vm->recorders, &vm->stats.metadata, slots, frames);
    if (recorder == NULL)
        return false;
    const HANDLE due = hm_shared_handle_take(&recorder->due, hm_os_event_create);
    if (due == NULL) {
        hm_recorder_give(&vm->recorders, recorder);
        return false;
    }
    trace->recorder = recorder;
    trace->due = hm_os_copy(due);
    recorder->flags = options->flags;
    for (unsigned lane = 0; lane < RING_LANES; lane++) {
        while (hm_ring_next(&recorder->ring, lane, true) != NULL)
            hm_ring_free(&recorder->ring, lane);
        trace->lost[lane] = hm_ring_lost(&recorder->ring, lane, true);
    }
    return trace->due != NULL;
}

static void give_recorder(struct trace *trace)
{
    hm_shared_handle_give(&trace->recorder->due);
    hm_recorder_give(&trace->vm->recorders, trace->recorder);
}

/* The file and the thread; all else is there, and calls are recorded. */
static HRESULT set_out(struct trace *trace, const wchar_t *path)
{
    trace->file.file = hm_os_file_create(path);
    if (trace->file.file == NULL)
        return hresult_from_last_error();
    begin(trace);
    const HRESULT result = trace->file.error != 0 ? hresult_from_win32(trace->file.error) : E_OUTOFMEMORY;
    if (trace->file.error == 0 && hm_os_module_keep()) {
        trace->references = 2;
        if (hm_os_thread_start(&trace->thread))
            return S_OK;
        trace->references = 1;
        hm_os_module_release();
    }
    hm_os_close(trace->file.file);
    return result;
}

/* In this order: a call that is recorded may walk up its stack, and finds what images are there now. */
static HRESULT record(struct trace *trace, const wchar_t *path)
{
    struct recorder *none = NULL;
    HRESULT result = trace->recorder->frames == 0 ? S_OK : hm_modules_note(&trace->modules, &trace->noted);
    if (result != S_OK)
        return result;
    hm_clock_start(&trace->clock);
    result = HOST_E_INVALIDOPERATION;
    if (atomic_compare_exchange_strong(&trace->vm->recorders.running, &none, trace->recorder)) {
        result = set_out(trace, path);
        if (result == S_OK)
            return S_OK;
        atomic_store(&trace->vm->recorders.running, NULL);
    }
    if (trace->noted != NULL)
        hm_modules_forget(trace->noted);
    return result;
}

HRESULT hm_trace_start(struct vm *vm, const hostmem_trace_options *options, struct trace **out)
{
    if (recording(&vm->recorders) != NULL)
        return HOST_E_INVALIDOPERATION;
    struct trace *trace = pages_take(sizeof *trace);
    if (trace == NULL)
        return E_OUTOFMEMORY;
    trace->thread.run = run;
    trace->references = 1;
    trace->vm = vm;
    trace->mutex = hm_os_mutex_create();
    const bool ready = take_recorder(trace, options) && trace->mutex != NULL;
    const HRESULT result = ready ? record(trace, options->path) : E_OUTOFMEMORY;
    if (result == S_OK) {
        *out = trace;
        return S_OK;
    }
    if (trace->recorder != NULL)
        give_recorder(trace);
    release(trace);
    return result;
}

HRESULT hm_trace_end(struct trace *trace)
{
    lock(trace);
    trace->ended = true;
    struct survey_calls calls;
    atomic_store(&trace->vm->recorders.running, NULL);
    hm_survey_count_calls(&calls, trace->vm);
    go_over_lanes(trace, true);
    hm_survey_sample(&trace->file, trace->vm);
    hm_survey_calls(&trace->file, &calls);
    hm_trace_file_point(&trace->file, hm_os_counter());
    hm_trace_file_end(&trace->file);
    hm_os_close(trace->file.file);
    const DWORD error = trace->file.error;
    give_recorder(trace);
    hm_os_mutex_unlock(trace->mutex);
    hm_os_event_set(trace->due);
    release(trace);
    return error == 0 ? S_OK : hresult_from_win32(error);
}
