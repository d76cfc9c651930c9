/* See the header. */
#include "support/deaf_callback.h"

static HRESULT STDMETHODCALLTYPE callback_query(ICLRMemoryNotificationCallback *iface, REFIID riid,
                                                void **out)
{
    (void)iface, (void)riid, (void)out;
    return E_NOINTERFACE;
}

static ULONG STDMETHODCALLTYPE callback_count(ICLRMemoryNotificationCallback *iface)
{
    (void)iface;
    return 1;
}

static HRESULT STDMETHODCALLTYPE callback_tell(ICLRMemoryNotificationCallback *iface, EMemoryAvailable level)
{
    (void)iface, (void)level;
    return S_OK;
}

static ICLRMemoryNotificationCallbackVtbl callback_vtbl = {callback_query, callback_count, callback_count,
                                                           callback_tell};

ICLRMemoryNotificationCallback deaf_callbacks[2] = {{&callback_vtbl}, {&callback_vtbl}};
