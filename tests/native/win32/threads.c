/*
 * threads.c - threads and events over pthreads
 *
 * Locks and conditions only, so that a race detector sees every order that a wait makes.
 */
#include <windows.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct waitable {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool signalled, manual;
    bool is_thread;
    pthread_t thread;
    DWORD (*run)(void *);
    void *context;
    DWORD code;
};

static _Thread_local DWORD last_error;

DWORD GetLastError(void)
{
    return last_error;
}

void SetLastError(DWORD error)
{
    last_error = error;
}

/* Multiples of 4, as Windows has them. */
DWORD GetCurrentThreadId(void)
{
    static _Atomic DWORD last;
    static _Thread_local DWORD own;
    if (own == 0)
        own = atomic_fetch_add(&last, 4) + 4;
    return own;
}

static HANDLE make(bool manual, bool signalled)
{
    HANDLE object = calloc(1, sizeof *object);
    if (object == NULL)
        abort();
    pthread_mutex_init(&object->lock, NULL);
    pthread_cond_init(&object->changed, NULL);
    object->manual = manual;
    object->signalled = signalled;
    return object;
}

BOOL SetEvent(HANDLE event)
{
    pthread_mutex_lock(&event->lock);
    event->signalled = true;
    pthread_cond_broadcast(&event->changed);
    pthread_mutex_unlock(&event->lock);
    return TRUE;
}

HANDLE CreateEventW(void *security, BOOL manual, BOOL signalled, const void *name)
{
    (void)security;
    (void)name;
    return make(manual, signalled);
}

static void *begin(void *context)
{
    HANDLE thread = context;
    thread->code = thread->run(thread->context);
    SetEvent(thread);
    return NULL;
}

HANDLE CreateThread(void *security, SIZE_T stack, DWORD (*run)(void *), void *context, DWORD flags, DWORD *id)
{
    (void)security;
    (void)stack;
    (void)flags;
    (void)id;
    HANDLE thread = make(true, false);
    thread->is_thread = true;
    thread->run = run;
    thread->context = context;
    if (pthread_create(&thread->thread, NULL, begin, thread) != 0)
        abort();
    return thread;
}

BOOL GetExitCodeThread(HANDLE thread, DWORD *code)
{
    *code = thread->code;
    return TRUE;
}

DWORD WaitForSingleObject(HANDLE object, DWORD milliseconds)
{
    struct timespec until;
    int error = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += milliseconds % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&object->lock);
    while (!object->signalled && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&object->changed, &object->lock, &until);
    bool signalled = object->signalled;
    if (!object->manual)
        object->signalled = false;
    pthread_mutex_unlock(&object->lock);
    return signalled ? WAIT_OBJECT_0 : WAIT_TIMEOUT;
}

DWORD WaitForMultipleObjects(DWORD count, const HANDLE *objects, BOOL all, DWORD milliseconds)
{
    (void)all;
    for (DWORD i = 0; i < count; i++)
        if (WaitForSingleObject(objects[i], milliseconds) != WAIT_OBJECT_0)
            return WAIT_TIMEOUT;
    return WAIT_OBJECT_0;
}

BOOL CloseHandle(HANDLE object)
{
    if (object->is_thread)
        pthread_join(object->thread, NULL);
    pthread_cond_destroy(&object->changed);
    pthread_mutex_destroy(&object->lock);
    free(object);
    return TRUE;
}
