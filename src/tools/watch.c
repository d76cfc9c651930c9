/*
 * watch.c - see watch.h
 */
#include "tools/watch.h"

#include <stdatomic.h>

#include <hostmem/bridge.h>

#include "tools/accounting.h"
#include "tools/writer.h"

enum { LINE_MS = 500 };

static hostmem_manager *watched_manager;
static bool lines;
static atomic_bool ended;
static DWORD sample_ms;
static ULONGLONG started;
static _Atomic uint64_t samples, disturbed, committed_peak, heap_peak; /* one writer */

static void write_line(void)
{
    static const char *const pressures[] = {"-", "Low", "Neutral", "High"};
    static struct writer writer;
    hostmem_statistics statistics = {.size = sizeof statistics};
    hostmem_limits limits = {.size = sizeof limits};
    uint64_t collections[3];
    IHostMemoryManager *memory;
    DWORD load = 0;
    SIZE_T available;

    hostmem_get_statistics(watched_manager, &statistics);
    hostmem_get_limits(watched_manager, &limits);
    if (hostmem_get_memory_manager(watched_manager, &memory) == S_OK) {
        IHostMemoryManager_GetMemoryLoad(memory, &load, &available);
        IHostMemoryManager_Release(memory);
    }
    writer_open(&writer, GetStdHandle(STD_ERROR_HANDLE));
    const uint64_t tenths = (GetTickCount64() - started) / 100;
    writer_text_number(&writer, "watch: ", tenths / 10);
    writer_text_number(&writer, ".", tenths % 10);
    writer_text(&writer, " s, committed ");
    writer_megabytes(&writer, statistics.charged.now);
    if (limits.limit != HOSTMEM_UNLIMITED) {
        writer_text(&writer, " of ");
        writer_megabytes(&writer, limits.limit);
    }
    if (limits.heap_limit != HOSTMEM_UNLIMITED) {
        writer_text(&writer, ", heap ");
        writer_megabytes(&writer, statistics.committed_by_use[HOSTMEM_USE_GC_HEAP].now);
        writer_text(&writer, " of ");
        writer_megabytes(&writer, limits.heap_limit);
    }
    writer_text_number(&writer, ", load ", load);
    writer_text(&writer, "%, pressure ");
    writer_text(&writer, pressures[statistics.pressure < 4 ? statistics.pressure : 0]);
    if (hostmem_bridge_get_collections(collections) == S_OK) {
        writer_text_number(&writer, ", collections gen0 ", collections[0]);
        writer_text_number(&writer, " gen1 ", collections[1]);
        writer_text_number(&writer, " gen2 ", collections[2]);
    }
    writer_text_number(&writer, ", refused ", statistics.refusals);
    writer_text_number(&writer, ", overruns ", statistics.overrun.count + statistics.heap_overrun.count);
    writer_text(&writer, "\n");
    writer_flush(&writer);
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
    ULONGLONG line_due = GetTickCount64() + LINE_MS;

    (void)context;
    for (;;) {
        Sleep(sample_ms ? sample_ms : LINE_MS);
        if (atomic_load(&ended))
            return 0;
        if (sample_ms)
            take_sample();
        if (lines && !atomic_load(&ended) && GetTickCount64() >= line_due) {
            write_line();
            line_due = GetTickCount64() + LINE_MS;
        }
    }
    return 0;
}

bool watch_start(hostmem_manager *manager, bool want_lines, uint64_t milliseconds)
{
    watched_manager = manager;
    started = GetTickCount64();
    lines = want_lines;
    sample_ms = milliseconds < 60000 ? (DWORD)milliseconds : 60000;
    HANDLE thread = CreateThread(NULL, 0, watch_thread, NULL, 0, NULL);
    if (thread)
        CloseHandle(thread);
    return thread != NULL;
}

struct watched watch_end(void)
{
    atomic_store(&ended, true);
    return (struct watched){samples, disturbed, committed_peak, heap_peak};
}
