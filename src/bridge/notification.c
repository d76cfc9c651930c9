/*
 * The ICLRMemoryNotificationCallback that the bridge registers with a host's manager.
 *
 * It counts what it is told, on any thread, and never blocks.
 */
#include <stdatomic.h>

#include <hostmem/bridge.h>

#include "bridge/notification.h"
#include "com/unknown.h"

static atomic_size_t counts[HOSTMEM_BRIDGE_LEVEL_COUNT];

static HRESULT STDMETHODCALLTYPE notification_query_interface(ICLRMemoryNotificationCallback *self,
                                                              REFIID riid, void **object)
{
    return unknown_query(self, &IID_ICLRMemoryNotificationCallback, riid, object);
}

static ULONG STDMETHODCALLTYPE notification_refer(ICLRMemoryNotificationCallback *self)
{
    (void)self;
    return 1;
}

static HRESULT STDMETHODCALLTYPE notification_told(ICLRMemoryNotificationCallback *self,
                                                   EMemoryAvailable level)
{
    unsigned index = (unsigned)level < HOSTMEM_BRIDGE_LEVEL_COUNT ? (unsigned)level : 0;
    (void)self;
    atomic_fetch_add_explicit(&counts[index], 1, memory_order_relaxed);
    return S_OK;
}

static const ICLRMemoryNotificationCallbackVtbl vtable = {
    notification_query_interface,
    notification_refer,
    notification_refer,
    notification_told,
};

static ICLRMemoryNotificationCallback object = {&vtable};

ICLRMemoryNotificationCallback *notification_callback(void)
{
    return &object;
}

uint64_t notification_count(unsigned level)
{
    return atomic_load_explicit(&counts[level], memory_order_relaxed);
}
