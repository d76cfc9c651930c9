/*
 * trace_calls FILE.nettrace LANE_EVENTS THREADS PAIRS [killed|waiting]
 *
 * So many threads reserve and release so often each, while they are traced.  killed: the process ends by force in the middle
 * of it, without an end of the trace.  waiting: one thread after the other, and all keep their ids.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <wchar.h>

#include <windows.h>

#include <hostmem/trace.h>

static IHostMemoryManager *memory;
static unsigned pairs;

static DWORD WINAPI make_calls(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < pairs; i++) {
        void *base;
        if (IHostMemoryManager_VirtualAlloc(memory, NULL, 65536, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE,
                                            eTaskCritical, &base) != S_OK ||
            IHostMemoryManager_VirtualFree(memory, base, 0, MEM_RELEASE) != S_OK)
            abort();
    }
    return 0;
}

int wmain(int argc, wchar_t **argv)
{
    enum { THREADS_MOST = 2000, BEFORE_DEATH_MS = 1500 };
    static HANDLE thread[THREADS_MOST];
    const bool waiting = argc > 5 && wcscmp(argv[5], L"waiting") == 0;
    hostmem_manager *manager;
    if (argc < 5)
        return 2;
    const hostmem_trace_options options = {
        .size = sizeof options, .path = argv[1], .lane_events = (uint32_t)wcstoul(argv[2], NULL, 10)};
    const unsigned threads = (unsigned)wcstoul(argv[3], NULL, 10);
    pairs = (unsigned)wcstoul(argv[4], NULL, 10);
    if (threads > THREADS_MOST || hostmem_create(NULL, &manager) != S_OK ||
        hostmem_get_memory_manager(manager, &memory) != S_OK ||
        hostmem_trace_start(manager, &options) != S_OK)
        return 3;
    for (unsigned i = 0; i < threads; i++) {
        if ((thread[i] = CreateThread(NULL, 0, make_calls, NULL, 0, NULL)) == NULL)
            return 4;
        if (waiting)
            WaitForSingleObject(thread[i], INFINITE);
    }
    if (argc > 5 && !waiting) {
        Sleep(BEFORE_DEATH_MS);
        TerminateProcess(GetCurrentProcess(), 9);
    }
    for (unsigned i = 0; i < threads; i++)
        WaitForSingleObject(thread[i], INFINITE);
    if (hostmem_trace_stop(manager) != S_OK)
        return 5;
    return 0;
}
