/*
 * Following the loader from a host component to coreclr.dll.
 *
 * comhost.dll and ijwhost.dll load hostfxr.dll, that loads hostpolicy.dll, and that loads coreclr.dll, all by the
 * LoadLibraryExW that they import.  So this one import is redirected in each of them as it comes, and coreclr.dll is
 * bound between its load and its start.  Each followed module has a function of its own, since each may have been
 * hooked by somebody else before, whom only that module's calls may reach.
 *
 * The lock guards the table and is held for no call of the loader's, and for none of the host's but an AddRef, so it may
 * be taken under the loader lock, where it is notified that a followed module is gone.
 */
#include <stdatomic.h>
#include <windows.h>
#include <psapi.h>
#include <winternl.h>

#include "bridge/bind.h"
#include "bridge/event.h"
#include "bridge/imports.h"
#include "bridge/runtime.h"
#include "bridge/thunks.h"

typedef HMODULE(WINAPI *load_function)(LPCWSTR, HANDLE, DWORD);

enum { MOST_FOLLOWED = 16 };

struct followed {
    HMODULE module; /* NULL: free */
    HMODULE root;   /* which the host has named: itself, or the one by which we came here */
    /* One reference.  NULL: not followed any more, but another hook in it chains to us.  With module NULL: still to be released,
     * by the next watch or unwatch, or by whoever gets the place: not where it was unloaded, under the loader lock. */
    IHostControl *control;
    hostmem_bridge_options options;
    struct import load;
};

static SRWLOCK lock = SRWLOCK_INIT;
static struct followed table[MOST_FOLLOWED];

static HMODULE call_load(struct followed *by, LPCWSTR name, HANDLE file, DWORD flags);

#define LOAD(number)                                                                                         \
    static HMODULE WINAPI load_##number(LPCWSTR name, HANDLE file, DWORD flags)                              \
    {                                                                                                        \
        return call_load(&table[number], name, file, flags);                                                 \
    }
LOAD(0)
LOAD(1)
LOAD(2)
LOAD(3)
LOAD(4)
LOAD(5)
LOAD(6)
LOAD(7)
LOAD(8)
LOAD(9)
LOAD(10)
LOAD(11)
LOAD(12)
LOAD(13)
LOAD(14)
LOAD(15)

static const load_function loads[MOST_FOLLOWED] = {load_0,  load_1,  load_2,  load_3, load_4,  load_5,
                                                   load_6,  load_7,  load_8,  load_9, load_10, load_11,
                                                   load_12, load_13, load_14, load_15};

/* What it chains to stays: a thread may be on its way there.  So does the control, which is to be released. */
static void followed_clear(struct followed *one)
{
    one->module = one->root = NULL;
    one->load.placed = false;
}

static void state_publish(void)
{
    bool follows = false;

    for (unsigned i = 0; i < MOST_FOLLOWED; ++i)
        follows |= table[i].module && table[i].control;
    hm_bridge_state_set(HOSTMEM_BRIDGE_WATCHING, follows);
}

/* Told by the loader; the structure is that of documented LDR_DLL_NOTIFICATION_DATA. */
struct dll_notification {
    ULONG flags;
    const UNICODE_STRING *full_name, *base_name;
    void *base;
    ULONG size;
};

enum { DLL_UNLOADED = 2 };

static void CALLBACK module_changed(ULONG reason, const struct dll_notification *notified, void *context)
{
    (void)context;
    if (reason != DLL_UNLOADED)
        return;
    AcquireSRWLockExclusive(&lock);
    for (unsigned i = 0; i < MOST_FOLLOWED; ++i)
        if (table[i].module && (void *)table[i].module == notified->base)
            followed_clear(&table[i]);
    state_publish();
    ReleaseSRWLockExclusive(&lock);
}

/* Exactly this module, which stays until FreeLibrary; NULL: it is gone. */
static HMODULE module_hold(HMODULE module)
{
    HMODULE held = NULL;

    if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (LPCWSTR)module, &held))
        return NULL;
    if (held == module)
        return held;
    FreeLibrary(held);
    return NULL;
}

static struct followed *followed_find(HMODULE module)
{
    for (unsigned i = 0; i < MOST_FOLLOWED; ++i)
        if (table[i].module == module)
            return &table[i];
    return NULL;
}

static struct followed *followed_free(void)
{
    for (unsigned i = 0; i < MOST_FOLLOWED; ++i)
        if (!table[i].module)
            return &table[i];
    return NULL;
}

static void unfollow(HMODULE module)
{
    IHostControl *control = NULL;
    HMODULE held = module_hold(module); /* so that its slot is there, or it is told to be gone */

    AcquireSRWLockExclusive(&lock);
    struct followed *one = followed_find(module);
    if (one) {
        control = one->control;
        one->control = NULL;
        if (!held || hm_imports_restore(&one->load, 1))
            followed_clear(one);
        state_publish();
    }
    ReleaseSRWLockExclusive(&lock);
    if (held)
        FreeLibrary(held);
    if (control)
        IHostControl_Release(control);
}

/* Is this still a component that the host watches? */
static bool is_watched(HMODULE root)
{
    const struct followed *one = root ? followed_find(root) : NULL;
    return one && one->control && one->root == root;
}

/* One that came from a root that is gone; NULL: there is none. */
static HMODULE next_orphan(void)
{
    HMODULE module = NULL;

    AcquireSRWLockShared(&lock);
    for (unsigned i = 0; i < MOST_FOLLOWED && !module; ++i)
        if (table[i].module && table[i].control && !is_watched(table[i].root))
            module = table[i].module;
    ReleaseSRWLockShared(&lock);
    return module;
}

/* What modules that are gone have left. */
static void controls_release(void)
{
    IHostControl *controls[MOST_FOLLOWED];
    unsigned count = 0;
    HMODULE orphan;

    while ((orphan = next_orphan()) != NULL)
        unfollow(orphan);

    AcquireSRWLockExclusive(&lock);
    for (unsigned i = 0; i < MOST_FOLLOWED; ++i)
        if (!table[i].module && table[i].control) {
            controls[count++] = table[i].control;
            table[i].control = NULL;
        }
    ReleaseSRWLockExclusive(&lock);
    for (unsigned i = 0; i < count; ++i)
        IHostControl_Release(controls[i]);
}

/* Without it a followed module would have to stay loaded. */
static HRESULT notifications_start(void)
{
    typedef NTSTATUS(NTAPI * register_function)(
        ULONG, void(CALLBACK *)(ULONG, const struct dll_notification *, void *), void *, void **);
    static _Atomic(void *) cookie;
    void *made = NULL, *none = NULL;

    if (atomic_load(&cookie))
        return S_OK;
    register_function start = (register_function)(void *)GetProcAddress(GetModuleHandleW(L"ntdll.dll"),
                                                                        "LdrRegisterDllNotification");
    if (!start || start(0, module_changed, NULL, &made) != 0)
        return HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED);
    atomic_compare_exchange_strong(&cookie, &none, made); /* notified twice does no harm */
    return S_OK;
}

/* S_FALSE: it is followed, and for whom is not changed; or the root is watched no more. */
static HRESULT follow_locked(HMODULE root, HMODULE module, IHostControl **control,
                             const hostmem_bridge_options *options)
{
    const char *culprit;

    struct followed *one = followed_find(module);
    if (root != module && (!is_watched(root) || (one && one->control && is_watched(one->root))))
        return S_FALSE;
    if (!one)
        one = followed_free();
    if (!one)
        return E_OUTOFMEMORY;
    one->load.name = "LoadLibraryExW";
    one->load.replacement = (void *)loads[one - table];
    one->load.required = true;
    HRESULT hr = hm_imports_find(module, &one->load, 1, &culprit);
    if (hr == S_OK)
        hr = hm_imports_redirect(&one->load, 1);
    if (hr != S_OK)
        return hr;
    IHostControl *before = one->control;
    one->module = module;
    one->root = root;
    one->control = *control;
    one->options = options ? *options : (hostmem_bridge_options){.size = sizeof *options};
    *control = before; /* of one that was followed on another's account until now, or is gone */
    state_publish();
    return S_OK;
}

/* The module is loaded and held by the caller. */
static HRESULT follow(HMODULE root, HMODULE module, IHostControl *control,
                      const hostmem_bridge_options *options)
{
    IHostControl_AddRef(control);
    AcquireSRWLockExclusive(&lock);
    HRESULT hr = follow_locked(root, module, &control, options);
    ReleaseSRWLockExclusive(&lock);
    if (control)
        IHostControl_Release(control);
    return SUCCEEDED(hr) ? S_OK : hr;
}

static bool has_export(HMODULE module, const char *name)
{
    return GetProcAddress(module, name) != NULL;
}

/* What a NativeAOT binary or a single-file executable exports: their runtime is part of them. */
static bool has_runtime_inside(HMODULE module)
{
    return !has_export(module, "GetCLRRuntimeHost") &&
           (has_export(module, "DotNetRuntimeDebugHeader") || has_export(module, "DotNetRuntimeInfo"));
}

/* A runtime of ours may be met again, running. */
static bool is_bound(HMODULE module)
{
    hostmem_bridge_statistics now = {.size = sizeof now};

    hostmem_bridge_get_statistics(&now);
    return now.state & HOSTMEM_BRIDGE_BOUND && now.runtime == module;
}

static HRESULT runtime_met(HMODULE module, IHostControl *control, const hostmem_bridge_options *options)
{
    hostmem_bridge_statistics now = {.size = sizeof now};

    HRESULT hr = is_bound(module) ? S_OK : hostmem_bridge_bind(module, control, options);
    if (SUCCEEDED(hr) || is_bound(module)) /* by somebody else meanwhile, who has also started it */
        return S_OK;
    hostmem_bridge_get_statistics(&now);
    hm_bridge_event_notify(options, HOSTMEM_BRIDGE_EVENT_NOT_BOUND, module, hr, now.missing);
    return hr;
}

/* hostfxr, hostpolicy and coreclr are known by what they export, whatever their files are called; each loads the next. */
enum component { OTHER, HOSTFXR, HOSTPOLICY, RUNTIME };

static enum component component_of(HMODULE module)
{
    if (has_export(module, "GetCLRRuntimeHost"))
        return RUNTIME;
    if (has_export(module, "corehost_main"))
        return HOSTPOLICY;
    return has_export(module, "hostfxr_main") ? HOSTFXR : OTHER;
}

static HRESULT met(HMODULE root, HMODULE module, IHostControl *control, const hostmem_bridge_options *options)
{
    switch (component_of(module)) {
    case RUNTIME:
        return runtime_met(module, control, options);
    case HOSTPOLICY:
    case HOSTFXR:
        return follow(root, module, control, options);
    default:
        return S_OK;
    }
}

static HMODULE call_load(struct followed *by, LPCWSTR name, HANDLE file, DWORD flags)
{
    HMODULE module = ((load_function)by->load.original)(name, file, flags);
    if (!module || (size_t)module & 3) /* nothing, or a file that is only read */
        return module;

    DWORD error = GetLastError();
    AcquireSRWLockShared(&lock);
    hostmem_bridge_options options = by->options;
    HMODULE root = by->root;
    IHostControl *control = is_watched(root) ? by->control : NULL;
    if (control)
        IHostControl_AddRef(control);
    ReleaseSRWLockShared(&lock);
    if (control) {
        HRESULT hr = met(root, module, control, &options);
        IHostControl_Release(control);
        if (FAILED(hr) && options.flags & HOSTMEM_BRIDGE_RUN_UNGOVERNED) {
            hm_bridge_state_set(HOSTMEM_BRIDGE_UNGOVERNED, true);
        } else if (FAILED(hr)) {
            FreeLibrary(module);
            module = NULL;
            error = HRESULT_FACILITY(hr) == FACILITY_WIN32 ? (DWORD)HRESULT_CODE(hr) : (DWORD)hr;
        }
    }
    SetLastError(error);
    return module;
}

/* EnumProcessModules, which Windows lets fail now and then while another thread loads or unloads. */
static bool modules_list(HMODULE *modules, DWORD size, DWORD *needed)
{
    for (unsigned tries = 10; tries > 0; --tries)
        if (EnumProcessModules(GetCurrentProcess(), modules, size, needed))
            return true;
    return false;
}

/* What has come before the watch. */
static HRESULT loaded_meet(HMODULE root, IHostControl *control, const hostmem_bridge_options *options)
{
    HMODULE *modules = NULL;
    const enum component from = component_of(root);
    DWORD size = 0, needed = 0;
    bool known;

    while ((known = modules_list(modules, size, &needed)) && needed > size) {
        if (modules)
            HeapFree(GetProcessHeap(), 0, modules);
        size = needed;
        modules = HeapAlloc(GetProcessHeap(), 0, size);
        if (!modules)
            return E_OUTOFMEMORY;
    }
    HRESULT hr = known ? S_OK : HRESULT_FROM_WIN32(GetLastError());
    for (DWORD i = 0; hr == S_OK && i < (needed < size ? needed : size) / sizeof *modules; ++i) {
        HMODULE held = module_hold(modules[i]);
        if (!held)
            continue;
        if (component_of(held) > from)
            hr = met(root, held, control, options);
        FreeLibrary(held);
    }
    if (modules)
        HeapFree(GetProcessHeap(), 0, modules);
    return hr;
}

HRESULT HOSTMEM_CALL hostmem_bridge_watch(HMODULE module, IHostControl *control,
                                          const hostmem_bridge_options *options)
{
    if (!module || !control)
        return E_INVALIDARG;
    HRESULT hr = hm_bridge_options_check(options);
    if (hr != S_OK)
        return hr;
    HMODULE held = module_hold(module);
    if (!held)
        return HRESULT_FROM_WIN32(ERROR_MOD_NOT_FOUND);

    const hostmem_bridge_options before = hm_bridge_event_last();
    controls_release();
    if (has_runtime_inside(module))
        hr = HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED);
    if (hr == S_OK && !hm_module_pin((const void *)hostmem_bridge_watch))
        hr = HRESULT_FROM_WIN32(GetLastError());
    if (hr == S_OK)
        hr = notifications_start();
    if (hr == S_OK)
        hr = follow(module, module, control, options);
    if (hr == S_OK)
        hr = loaded_meet(module, control, options);
    if (SUCCEEDED(hr)) {
        hm_bridge_event_set(options);
    } else {
        hostmem_bridge_unwatch(module);
        hm_bridge_event_take_back(options, &before);
    }
    FreeLibrary(held);
    return hr;
}

/* One of those that came from this root; NULL: none is left. */
static HMODULE next_of_root(HMODULE root)
{
    HMODULE module = NULL;

    AcquireSRWLockShared(&lock);
    for (unsigned i = 0; i < MOST_FOLLOWED && !module; ++i)
        if (table[i].module && table[i].control && table[i].root == root)
            module = table[i].module;
    ReleaseSRWLockShared(&lock);
    return module;
}

HRESULT HOSTMEM_CALL hostmem_bridge_unwatch(HMODULE module)
{
    HRESULT hr = S_FALSE;
    HMODULE next;

    if (!module)
        return E_INVALIDARG;
    controls_release();
    while ((next = next_of_root(module)) != NULL) {
        unfollow(next);
        hr = S_OK;
    }
    return hr;
}
