/*
 * The CLR's part of SetHostControl, for runtimes that have given it up.
 *
 * The order and the tests are the CLR's (contract 3.1).  What can fail without the host is done first, so
 * that a host that has been asked for its manager is always used or told why not in the CLR's own way; until
 * the end the redirected functions do what they replaced.
 *
 * One bind at a time: a lock, held while the host is called, with its owner beside it so that a host that
 * binds again from GetHostManager gets an error instead of a deadlock.  No function that the runtime calls
 * takes it.
 */
#include <stdatomic.h>

#include "bridge/bind.h"
#include "bridge/event.h"
#include "bridge/machine.h"
#include "bridge/managed.h"
#include "bridge/native_heap.h"
#include "bridge/notification.h"
#include "bridge/runtime.h"
#include "bridge/thunks.h"
#include "bridge/use.h"
#include "com/iids.h"

static SRWLOCK bind_lock = SRWLOCK_INIT;
static _Atomic(DWORD) bind_owner;
static HMODULE bound_runtime;
static ICLRRuntimeHost *bound_host;

/* Kept until the process ends, as the CLR keeps it; so are its IHostMalloc and the control that gave it. */
static IHostMemoryManager *host_manager;

HRESULT hm_bridge_options_check(const hostmem_bridge_options *options)
{
    if (!options)
        return S_OK;
    if (options->size != sizeof *options ||
        options->flags &
            ~(uint32_t)(HOSTMEM_BRIDGE_KNOWN_ONLY | HOSTMEM_BRIDGE_RUN_UNGOVERNED | HOSTMEM_BRIDGE_HEAP))
        return E_INVALIDARG;
    return S_OK;
}

static struct wanted wanted_by(const hostmem_bridge_options *options)
{
    const uint32_t flags = options ? options->flags : 0;
    return (struct wanted){.known_only = flags & HOSTMEM_BRIDGE_KNOWN_ONLY,
                           .native_heap = flags & HOSTMEM_BRIDGE_HEAP};
}

static HRESULT version_check(HMODULE runtime, const struct wanted *wanted)
{
    if (!wanted->known_only || hm_runtime_is_known(hm_runtime_version(runtime)))
        return S_OK;
    return HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED);
}

/* Threads of the runtime may be in our functions at any time from now on. */
static bool modules_pin(HMODULE runtime)
{
    return hm_module_pin((const void *)hostmem_bridge_bind) && hm_module_pin(runtime);
}

/* Asks the host as the CLR does, which can live without *heap.  S_OK: manager taken; S_FALSE: the host has none. */
static HRESULT host_ask(IHostControl *control, bool needs_heap, IHostMalloc **heap)
{
    IHostMemoryManager *manager = NULL;

    HRESULT hr = IHostControl_GetHostManager(control, &IID_IHostMemoryManager, (void **)&manager);
    if (hr != S_OK || !manager)
        return S_FALSE;
    *heap = NULL;
    if (IHostMemoryManager_CreateMalloc(manager, MALLOC_THREADSAFE, heap) != S_OK || (needs_heap && !*heap)) {
        IHostMemoryManager_Release(manager);
        return E_UNEXPECTED;
    }
    IHostMemoryManager_RegisterMemoryNotificationCallback(manager, hm_notification_callback());
    host_manager = manager;
    return S_OK;
}

static HRESULT bind_locked(HMODULE runtime, IHostControl *control, const hostmem_bridge_options *options)
{
    const struct wanted wanted = wanted_by(options);
    ICLRRuntimeHost *host = bound_host;
    IHostMalloc *heap;
    HRESULT hr;

    if (host_manager && runtime != bound_runtime)
        return HOST_E_INVALIDOPERATION;
    if (!host_manager) {
        hr = hm_runtime_get_host(runtime, &iid_runtime_host, (void **)&host);
        if (FAILED(hr))
            return hr;
        hr = version_check(runtime, &wanted);
        if (hr != S_OK)
            goto host;
    }
    if (!hm_runtime_not_started(host)) {
        hr = E_ACCESSDENIED;
        goto host;
    }
    if (host_manager) { /* the first manager stays, and is not asked for again */
        hm_bridge_event_set(options);
        IHostControl_AddRef(control);
        return S_OK;
    }
    hr = hm_bridge_redirect(runtime, &wanted);
    if (hr != S_OK)
        goto host;
    if (!modules_pin(runtime)) {
        hr = HRESULT_FROM_WIN32(GetLastError());
        goto redirection;
    }
    if (wanted.native_heap && !hm_native_heap_prepare()) {
        hr = E_OUTOFMEMORY;
        goto redirection;
    }
    hr = host_ask(control, wanted.native_heap, &heap);
    if (hr != S_OK)
        goto native_heap;

    hm_bridge_event_set(options);
    hm_managed_bind(host, hm_runtime_version(runtime), hm_machine_read);
    hm_use_bind(host_manager);
    if (wanted.native_heap)
        hm_native_heap_publish(heap);
    hm_bridge_publish(host_manager, host);
    hm_machine_watch_budget(host_manager);
    bound_runtime = runtime;
    bound_host = host;
    IHostControl_AddRef(control);
    return S_OK;

native_heap:
    if (wanted.native_heap)
        hm_native_heap_forget();
redirection:
    hm_bridge_restore();
host:
    if (host != bound_host)
        ICLRRuntimeHost_Release(host);
    if (hr == S_FALSE)
        IHostControl_AddRef(control);
    return hr;
}

HRESULT HOSTMEM_CALL hostmem_bridge_bind(HMODULE runtime, IHostControl *control,
                                         const hostmem_bridge_options *options)
{
    DWORD thread = GetCurrentThreadId();

    if (!runtime || !control)
        return E_INVALIDARG;
    HRESULT hr = hm_bridge_options_check(options);
    if (hr != S_OK)
        return hr;
    if (atomic_load_explicit(&bind_owner, memory_order_relaxed) == thread)
        return HOST_E_INVALIDOPERATION;

    AcquireSRWLockExclusive(&bind_lock);
    atomic_store_explicit(&bind_owner, thread, memory_order_relaxed);
    const bool first = !host_manager;
    hm_bridge_forget_missing();
    hr = bind_locked(runtime, control, options);
    atomic_store_explicit(&bind_owner, 0, memory_order_relaxed);
    ReleaseSRWLockExclusive(&bind_lock);
    if (hr == S_OK && first)
        hm_bridge_notify_incomplete();
    return hr;
}

HRESULT HOSTMEM_CALL hostmem_bridge_load(const wchar_t *path, IHostControl *control,
                                         const hostmem_bridge_options *options, HMODULE *runtime)
{
    if (runtime)
        *runtime = NULL;
    if (!path || !control)
        return E_INVALIDARG;
    if (!hm_path_is_absolute(path))
        return HRESULT_FROM_WIN32(ERROR_BAD_PATHNAME);

    /* Its own imports are searched for beside it and in the system folder, never in the current one or along PATH. */
    HMODULE module =
        LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (!module)
        return HRESULT_FROM_WIN32(GetLastError());
    HRESULT hr = hostmem_bridge_bind(module, control, options);
    if (FAILED(hr)) {
        FreeLibrary(module);
        return hr;
    }
    if (runtime)
        *runtime = module;
    return hr;
}
