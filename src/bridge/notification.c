/*
 * The ICLRMemoryNotificationCallback that the bridge registers with a host's manager.
 *
 * It passes on what it is told to what the runtime's finalizer thread waits for, on any thread, and never blocks.
 * For .NET that means a collection of the youngest generation, after which an idle program has as much as before; so
 * the runtime is also asked for a full one.  Both wait while the program is in a no-GC region.
 */
#include <stdatomic.h>

#include <hostmem/bridge.h>

#include "bridge/managed.h"
#include "bridge/notification.h"
#include "com/unknown.h"
#include "memory/os.h"

/* Ours of the handle pair; the runtime closes its own when it likes. */
static _Atomic(HANDLE) low_event;
static atomic_bool is_low;
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

/* Not a pulse that has been taken back meanwhile. */
static void pulse(void)
{
    HANDLE event = atomic_load(&low_event); /* whoever makes it calls this when it is there */
    if (event && atomic_load(&is_low))
        SetEvent(event);
    if (event && !atomic_load(&is_low))
        ResetEvent(event);
}

static HRESULT STDMETHODCALLTYPE notification_on_memory(ICLRMemoryNotificationCallback *self,
                                                        EMemoryAvailable level)
{
    unsigned index = (unsigned)level < HOSTMEM_BRIDGE_LEVEL_COUNT ? (unsigned)level : 0;
    DWORD error = GetLastError();

    (void)self;
    atomic_fetch_add_explicit(&counts[index], 1, memory_order_relaxed);
    atomic_store(&is_low, level == eMemoryAvailableLow);
    if (level == eMemoryAvailableLow) {
        hm_managed_low(pulse);
    } else {
        hm_managed_low_is_over();
        pulse();
    }
    SetLastError(error);
    return S_OK;
}

static const ICLRMemoryNotificationCallbackVtbl vtable = {
    notification_query_interface,
    notification_refer,
    notification_refer,
    notification_on_memory,
};

static ICLRMemoryNotificationCallback object = {&vtable};

ICLRMemoryNotificationCallback *hm_notification_callback(void)
{
    return &object;
}

HANDLE hm_notification_low_event(void)
{
    HANDLE ours = atomic_load_explicit(&low_event, memory_order_acquire);

    if (!ours) {
        HANDLE made = CreateEventW(NULL, FALSE, FALSE, NULL);
        if (!made)
            return NULL;
        if (atomic_compare_exchange_strong(&low_event, &ours, made)) {
            ours = made;
            pulse();
        } else {
            CloseHandle(made);
        }
    }
    return hm_os_copy(ours);
}

uint64_t hm_notification_count(unsigned level)
{
    return atomic_load_explicit(&counts[level], memory_order_relaxed);
}
