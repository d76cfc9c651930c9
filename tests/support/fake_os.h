/*
 * fake_os.h - os.h over the real Windows, with failures to order
 */
#ifndef TESTS_SUPPORT_FAKE_OS_H
#define TESTS_SUPPORT_FAKE_OS_H

#include "memory/os.h"

enum fake_os_call {
    FAKE_OS_ALLOC,
    FAKE_OS_FREE,
    FAKE_OS_PROTECT,
    FAKE_OS_QUERY,
    FAKE_OS_STATUS,
    FAKE_OS_PROCESS,
    FAKE_OS_HEAP_CREATE,
    FAKE_OS_HEAP_ALLOC,
    FAKE_OS_HEAP_FREE,
    FAKE_OS_HEAP_LOCK,
    FAKE_OS_THREAD,
    FAKE_OS_EVENT,
    FAKE_OS_MUTEX,
    FAKE_OS_COPY,
    FAKE_OS_MODULE,
    FAKE_OS_FILE,
    FAKE_OS_WRITE,
    FAKE_OS_CALLS
};

/* The n-th call of the function from now fails once, leaving `error` as the last error; n == 0: none. */
void fake_os_fail(enum fake_os_call call, long n, DWORD error);

/* It fails that many times in a row. */
void fake_os_fail_times(enum fake_os_call call, long n, long times, DWORD error);

/* Calls of the function since fake_os_fail or fake_os_reset; the failed one too. */
long fake_os_count(enum fake_os_call call);

/* Regions that hm_os_virtual_alloc made and hm_os_virtual_free has not released. */
long fake_os_outstanding(void);

/* Threads of hm_os_thread_start that have not ended. */
long fake_os_threads(void);

/* Events, mutexes and files that were made and not closed; references to the module, a thread's included. */
long fake_os_handles(void);
long fake_os_module_references(void);

/* Called at such a moment, on the thread that has come to it; NULL: nothing. */
enum fake_os_moment {
    FAKE_OS_STARTED, /* inside hm_os_thread_start; the thread may be running already */
    FAKE_OS_BEGINS,  /* on the thread, before it does anything */
    FAKE_OS_CLOSES,  /* inside hm_os_resources_close: the thread has decided to end */
    FAKE_OS_ENDS,    /* on the thread, which does nothing any more */
    FAKE_OS_SETS,    /* inside hm_os_event_set, before Windows is asked */
    FAKE_OS_QUERIES, /* inside hm_os_virtual_query, before Windows is asked */
    FAKE_OS_MOMENTS
};
void fake_os_at(enum fake_os_moment moment, void (*action)(void));

/* Nothing fails, all counts 0; what is answered by order stays. */
void fake_os_count_again(void);

/* Nothing fails, all counts 0, nothing is answered by order. */
void fake_os_reset(void);

/* What hm_os_memory_status and hm_os_process_use answer from now on. */
void fake_os_set_memory(const struct os_memory *memory);

/* Private bytes of the process. */
void fake_os_set_private(uint64_t bytes);

/* hm_os_pause passes the time (at once), and counts; by default it refuses to, so that a failure stays one. */
void fake_os_allow_pauses(bool allowed);
long fake_os_pauses(void);

/* Called inside hm_os_pause, where it passes; NULL: nothing. */
void fake_os_in_pause(void (*action)(void));

/* What hm_os_resources answers from now on, and how far hm_os_ticks is ahead of the real time. */
void fake_os_set_resources(struct hm_os_resources resources);
void fake_os_set_ticks_ahead(uint64_t milliseconds);

/* hm_os_ticks is what was set ahead and nothing else: no time passes by itself. */
void fake_os_stop_clock(void);

/* Called inside hm_os_virtual_free, before Windows is asked; NULL: nothing. */
void fake_os_before_free(void (*action)(void *address));

/* Called once, inside the next hm_os_virtual_alloc, before Windows is asked; NULL: nothing. */
void fake_os_before_alloc(void (*action)(void));

/* What hm_os_virtual_alloc reserves is no longer than this, though it is called a success: Wine keeps a byte for each page
 * of what is reserved.  0: as long as it was asked for. */
void fake_os_cut_reserves(SIZE_T most);

#endif
