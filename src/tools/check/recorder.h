/*
 * recorder.h - an IHostControl that takes down what a CLR asks of it, and in which order
 *
 * Between the CLR and hostmem's own objects: every call is passed on unchanged.  What the manager counts by itself
 * (hostmem_statistics) is not counted here again.  No lock: a CLR calls with other threads suspended.
 */
#ifndef HOSTMEM_CHECK_RECORDER_H
#define HOSTMEM_CHECK_RECORDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <hostmem/hostmem.h>

/* What can come in an order. */
enum recorded_event {
    ASKED_FOR_MEMORY = 1,
    ASKED_FOR_OTHER,
    CREATED_MALLOC,
    REGISTERED_CALLBACK,
    RELEASED_MANAGER
};

enum { RECORDED_EVENTS = 64, RECORDED_KINDS = 64 };

/* Calls of VirtualAlloc that are alike but for sizes. */
struct recorded_kind {
    _Atomic uint64_t key; /* recorder_key; 0: free */
    atomic_uint calls;
};

struct recorder {
    unsigned char events[RECORDED_EVENTS]; /* enum recorded_event, in their order */
    const char *asked[RECORDED_EVENTS];    /* name of the manager that was asked for */
    atomic_uint event_count;
    DWORD malloc_flags; /* of the last CreateMalloc */
    bool other_thread;  /* something of SetHostControl came on another thread than that of recorder_begin */
    ICLRMemoryNotificationCallback *callback;
    atomic_uint control_references;
    atomic_uint first_level; /* of VirtualAlloc; EMemoryCriticalLevel + 1, 0: none yet */
    struct recorded_kind kinds[RECORDED_KINDS];
    atomic_uint foreign_queries, foreign_protects, odd_sizes;
    atomic_uint views_sized, views_unsized, needs_with_base, needs_anywhere;
};

extern struct recorder recorder;

/* In front of this manager; `control` is what the CLR is given. */
IHostControl *recorder_begin(hostmem_manager *manager, IHostMemoryManager *memory);

/* How often that event has come, and when for the first time (-1: never). */
unsigned recorder_count(enum recorded_event event);
int recorder_first(enum recorded_event event);

/* "MEM_RESERVE+WRITE_WATCH PAGE_READWRITE task x12, ..." */
void recorder_describe_kinds(char *text, unsigned capacity);

#endif
