/*
 * listener.c - see listener.h
 */
#include "tools/check/listener.h"

#include <stdatomic.h>

static atomic_uint told[HOSTMEM_PRESSURE_COUNT], last;

static HRESULT STDMETHODCALLTYPE listener_query(ICLRMemoryNotificationCallback *self, REFIID riid,
                                                void **object)
{
    (void)riid;
    *object = self;
    return S_OK;
}

static ULONG STDMETHODCALLTYPE listener_refer(ICLRMemoryNotificationCallback *self)
{
    (void)self;
    return 1;
}

static HRESULT STDMETHODCALLTYPE listener_notify(ICLRMemoryNotificationCallback *self,
                                                 EMemoryAvailable available)
{
    (void)self;
    atomic_fetch_add(&told[(unsigned)available % HOSTMEM_PRESSURE_COUNT], 1);
    atomic_store(&last, (unsigned)available);
    return S_OK;
}

static const ICLRMemoryNotificationCallbackVtbl vtable = {listener_query, listener_refer, listener_refer,
                                                          listener_notify};
static ICLRMemoryNotificationCallback object = {(ICLRMemoryNotificationCallbackVtbl *)&vtable};

ICLRMemoryNotificationCallback *listener(void)
{
    return &object;
}

bool listener_was_told(EMemoryAvailable available)
{
    return atomic_load(&told[available]) != 0;
}

unsigned listener_told_last(void)
{
    return atomic_load(&last);
}

bool comes_true(bool (*condition)(void), unsigned milliseconds)
{
    const ULONGLONG end = GetTickCount64() + milliseconds;

    while (!condition()) {
        if (GetTickCount64() >= end)
            return false;
        Sleep(10);
    }
    return true;
}
