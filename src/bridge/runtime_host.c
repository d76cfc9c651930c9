/*
 * The runtime's ICLRRuntimeHost with a SetHostControl that works.
 *
 * One object, one identity: versions 1, 2 and 4 are one vtable, each a prefix of the next, so every
 * QueryInterface gives the object itself, up to the version that the runtime has.  Everything but
 * SetHostControl goes to the runtime's own object, of which one reference is held.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "bridge/bind.h"
#include "bridge/runtime.h"
#include "com/iids.h"

struct runtime_host {
    ICLRRuntimeHost4 face;
    atomic_ulong references;
    unsigned version; /* of the runtime's object: 1, 2 or 4 */
    HMODULE module;
    hostmem_bridge_options options;
    ICLRRuntimeHost4 *inner; /* methods beyond its version are not called */
};

static struct runtime_host *host_of(ICLRRuntimeHost4 *self)
{
    return (struct runtime_host *)((char *)self - offsetof(struct runtime_host, face));
}

static ULONG STDMETHODCALLTYPE host_add_ref(ICLRRuntimeHost4 *self)
{
    return atomic_fetch_add_explicit(&host_of(self)->references, 1, memory_order_relaxed) + 1;
}

static ULONG STDMETHODCALLTYPE host_release(ICLRRuntimeHost4 *self)
{
    struct runtime_host *host = host_of(self);
    ULONG left = atomic_fetch_sub_explicit(&host->references, 1, memory_order_acq_rel) - 1;

    if (!left) {
        host->inner->lpVtbl->Release(host->inner);
        HeapFree(GetProcessHeap(), 0, host);
    }
    return left;
}

static HRESULT STDMETHODCALLTYPE host_query_interface(ICLRRuntimeHost4 *self, REFIID riid, void **object)
{
    struct runtime_host *host = host_of(self);

    if (!object)
        return E_POINTER;
    *object = NULL;
    if (!IsEqualIID(riid, &iid_unknown) && !IsEqualIID(riid, &iid_runtime_host) &&
        !(host->version >= 2 && IsEqualIID(riid, &IID_ICLRRuntimeHost2)) &&
        !(host->version >= 4 && IsEqualIID(riid, &IID_ICLRRuntimeHost4)))
        return E_NOINTERFACE;
    host_add_ref(self);
    *object = self;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE host_set_host_control(ICLRRuntimeHost4 *self, IHostControl *control)
{
    struct runtime_host *host = host_of(self);
    HRESULT hr = hostmem_bridge_bind(host->module, control, &host->options);

    return hr == S_FALSE ? S_OK : hr; /* a host without a memory manager is no error */
}

/* The rest: a method of ours for each of the runtime's, with the same arguments. */
#define INNER host_of(self)->inner
#define FORWARD(name, parameters, ...)                                                                       \
    static HRESULT STDMETHODCALLTYPE host_##name parameters                                                  \
    {                                                                                                        \
        return INNER->lpVtbl->name(INNER __VA_OPT__(, ) __VA_ARGS__);                                        \
    }

FORWARD(Start, (ICLRRuntimeHost4 * self))
FORWARD(Stop, (ICLRRuntimeHost4 * self))
FORWARD(GetCLRControl, (ICLRRuntimeHost4 * self, ICLRControl **control), control)
FORWARD(UnloadAppDomain, (ICLRRuntimeHost4 * self, DWORD id, BOOL wait), id, wait)
FORWARD(ExecuteInAppDomain,
        (ICLRRuntimeHost4 * self, DWORD id, FExecuteInAppDomainCallback call, void *cookie), id, call, cookie)
FORWARD(GetCurrentAppDomainId, (ICLRRuntimeHost4 * self, DWORD *id), id)
FORWARD(ExecuteApplication,
        (ICLRRuntimeHost4 * self, LPCWSTR name, DWORD paths, LPCWSTR *path, DWORD data_count, LPCWSTR *data,
         int *result),
        name, paths, path, data_count, data, result)
FORWARD(ExecuteInDefaultAppDomain,
        (ICLRRuntimeHost4 * self, LPCWSTR assembly, LPCWSTR type, LPCWSTR method, LPCWSTR argument,
         DWORD *result),
        assembly, type, method, argument, result)
FORWARD(CreateAppDomainWithManager,
        (ICLRRuntimeHost4 * self, LPCWSTR name, DWORD flags, LPCWSTR assembly, LPCWSTR type, int count,
         LPCWSTR *names, LPCWSTR *values, DWORD *id),
        name, flags, assembly, type, count, names, values, id)
FORWARD(CreateDelegate,
        (ICLRRuntimeHost4 * self, DWORD id, LPCWSTR assembly, LPCWSTR type, LPCWSTR method,
         INT_PTR *function),
        id, assembly, type, method, function)
FORWARD(Authenticate, (ICLRRuntimeHost4 * self, ULONGLONG key), key)
FORWARD(RegisterMacEHPort, (ICLRRuntimeHost4 * self))
FORWARD(SetStartupFlags, (ICLRRuntimeHost4 * self, DWORD flags), flags)
FORWARD(DllGetActivationFactory, (ICLRRuntimeHost4 * self, DWORD id, LPCWSTR type, IUnknown **factory), id,
        type, factory)
FORWARD(ExecuteAssembly,
        (ICLRRuntimeHost4 * self, DWORD id, LPCWSTR path, int count, LPCWSTR *arguments, DWORD *result), id,
        path, count, arguments, result)
FORWARD(UnloadAppDomain2, (ICLRRuntimeHost4 * self, DWORD id, BOOL wait, int *result), id, wait, result)

static const ICLRRuntimeHost4Vtbl vtable = {
    host_query_interface,
    host_add_ref,
    host_release,
    host_Start,
    host_Stop,
    host_set_host_control,
    host_GetCLRControl,
    host_UnloadAppDomain,
    host_ExecuteInAppDomain,
    host_GetCurrentAppDomainId,
    host_ExecuteApplication,
    host_ExecuteInDefaultAppDomain,
    host_CreateAppDomainWithManager,
    host_CreateDelegate,
    host_Authenticate,
    host_RegisterMacEHPort,
    host_SetStartupFlags,
    host_DllGetActivationFactory,
    host_ExecuteAssembly,
    host_UnloadAppDomain2,
};

/* The newest version that the runtime has, and which that is. */
static HRESULT inner_get(HMODULE runtime, ICLRRuntimeHost4 **inner, unsigned *version)
{
    HRESULT hr = hm_runtime_get_host(runtime, &IID_ICLRRuntimeHost4, (void **)inner);

    *version = 4;
    if (hr == E_NOINTERFACE) {
        *version = 2;
        hr = hm_runtime_get_host(runtime, &IID_ICLRRuntimeHost2, (void **)inner);
    }
    if (hr == E_NOINTERFACE) {
        *version = 1;
        hr = hm_runtime_get_host(runtime, &iid_runtime_host, (void **)inner);
    }
    return hr;
}

HRESULT HOSTMEM_CALL hostmem_bridge_get_runtime_host(HMODULE runtime, const hostmem_bridge_options *options,
                                                     REFIID riid, void **object)
{
    if (!object)
        return E_POINTER;
    *object = NULL;
    if (!runtime)
        return E_INVALIDARG;
    HRESULT hr = hm_bridge_options_check(options);
    if (hr != S_OK)
        return hr;

    struct runtime_host *host = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof *host);
    if (!host)
        return E_OUTOFMEMORY;
    hr = inner_get(runtime, &host->inner, &host->version);
    if (hr != S_OK) {
        HeapFree(GetProcessHeap(), 0, host);
        return hr;
    }
    host->face.lpVtbl = &vtable;
    host->references = 1;
    host->module = runtime;
    host->options.size = sizeof host->options;
    if (options)
        host->options = *options;
    hr = host_query_interface(&host->face, riid, object);
    host_release(&host->face);
    return hr;
}
