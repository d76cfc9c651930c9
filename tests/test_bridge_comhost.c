/*
 * A COM component that comes by a watch: test_bridge_comhost FOLDER VERSION, FOLDER as scripts/setup makes it.
 *
 * The host has loaded its comhost.dll and knows nothing of .NET: it asks for an object, and what that takes is under the
 * host's limits.  comhost.dll finds the installed runtime by itself, with DOTNET_ROOT.  (Of ijwhost.dll only that it can be
 * watched: what calls it is compiled by MSVC.)
 */
#include <stdbool.h>
#include <stdio.h>
#include <wchar.h>

#include <windows.h>

#include <hostmem/bridge.h>
#include <hostmem/hostmem.h>
#include <hostmem/verify.h>

#define MIB   ((uint64_t)1 << 20)
#define LIMIT (64 * MIB)

enum { PATH = 1024, HELD = 8, MOST = 256, REGION_MIB = 4 };

/* As in tests/clr/component. */
static const GUID keeper_class = {
    0x0e6f3d5b, 0x8a14, 0x4f7e, {0xb2, 0xc6, 0x91, 0xd7, 0xa0, 0x4c, 0x3e, 0x22}};
static const GUID keeper_interface = {
    0x5d1c9a3e, 0x7b60, 0x4c52, {0x9f, 0x0e, 0x2a, 0x5f, 0x4f, 0x8f, 0x6b, 0x11}};
static const GUID class_factory = {0x00000001, 0, 0, {0xc0, 0, 0, 0, 0, 0, 0, 0x46}};

struct keeper {
    const struct keeper_methods {
        HRESULT(STDMETHODCALLTYPE *query_interface)(struct keeper *, REFIID, void **);
        ULONG(STDMETHODCALLTYPE *add_ref)(struct keeper *);
        ULONG(STDMETHODCALLTYPE *release)(struct keeper *);
        int(STDMETHODCALLTYPE *keep)(struct keeper *, int megabytes);
    } * methods;
};

typedef HRESULT(STDAPICALLTYPE *get_class_object)(REFCLSID, REFIID, void **);

static int complaints;

static void expect(bool good, const char *what, long long found)
{
    if (good)
        return;
    ++complaints;
    fprintf(stderr, "  %s: 0x%llx\n", what, (unsigned long long)found);
}

static hostmem_bridge_statistics statistics_now(void)
{
    hostmem_bridge_statistics bridge = {.size = sizeof bridge};
    hostmem_bridge_get_statistics(&bridge);
    return bridge;
}

static HMODULE load(const wchar_t *folder, const wchar_t *name)
{
    wchar_t path[PATH];

    swprintf(path, PATH, L"%ls\\%ls", folder, name);
    return LoadLibraryExW(path, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
}

static struct keeper *keeper_create(HMODULE comhost)
{
    IClassFactory *factory = NULL;
    struct keeper *keeper = NULL;

    HRESULT hr = ((get_class_object)(void *)GetProcAddress(comhost, "DllGetClassObject"))(
        &keeper_class, &class_factory, (void **)&factory);
    expect(hr == S_OK && factory, "DllGetClassObject", hr);
    if (!factory)
        return NULL;
    hr = IClassFactory_CreateInstance(factory, NULL, &keeper_interface, (void **)&keeper);
    expect(hr == S_OK && keeper, "CreateInstance", hr);
    IClassFactory_Release(factory);
    return keeper;
}

/* Until memory runs out; the megabytes that were kept. */
static int fill(struct keeper *keeper)
{
    int kept = 0, now = 0;

    while (kept < MOST && (now = keeper->methods->keep(keeper, 1)) > 0)
        kept = now;
    expect(now == -1, "no OutOfMemoryException", now);
    return kept;
}

int wmain(int argc, wchar_t **argv)
{
    static wchar_t clr[PATH], root[PATH], folder[PATH];
    hostmem_limits limits = {.size = sizeof limits, .limit = LIMIT, .margin = 16 * MIB};
    hostmem_options options = {.size = sizeof options, .limits = &limits};
    hostmem_statistics statistics = {.size = sizeof statistics};
    hostmem_manager *manager = NULL;
    IHostControl *control = NULL;

    if (argc != 3 || !GetFullPathNameW(argv[1], PATH / 2, clr, NULL))
        return fprintf(stderr, "usage: test_bridge_comhost FOLDER VERSION\n"), 2;
    swprintf(root, PATH, L"%ls\\dotnet-root", clr);
    swprintf(folder, PATH, L"%ls\\net%ls\\component", clr, argv[2]);
    SetEnvironmentVariableW(L"DOTNET_ROOT", root);
    SetEnvironmentVariableW(L"DOTNET_EnableWriteXorExecute", L"0");
    CoInitializeEx(NULL, COINIT_MULTITHREADED);
    hostmem_create(&options, &manager);
    hostmem_create_host_control(manager, NULL, &control);

    HMODULE ijwhost = load(folder, L"ijwhost.dll"), comhost = load(folder, L"component.comhost.dll");
    HRESULT hr = hostmem_bridge_watch(ijwhost, control, NULL);
    expect(hr == S_OK && hostmem_bridge_unwatch(ijwhost) == S_OK, "ijwhost.dll watched", hr);
    hr = hostmem_bridge_watch(comhost, control, NULL);
    expect(hr == S_OK, "comhost.dll watched", hr);
    expect(statistics_now().state == HOSTMEM_BRIDGE_WATCHING, "state", statistics_now().state);

    struct keeper *keeper = comhost ? keeper_create(comhost) : NULL;
    expect(statistics_now().state == (HOSTMEM_BRIDGE_REDIRECTED | HOSTMEM_BRIDGE_BOUND |
                                      HOSTMEM_BRIDGE_RUNNING | HOSTMEM_BRIDGE_WATCHING),
           "state", statistics_now().state);
    if (keeper) {
        expect(keeper->methods->keep(keeper, HELD) == HELD, "what it keeps", 0);
        hostmem_get_statistics(manager, &statistics);
        const uint64_t heap = statistics.committed_by_use[HOSTMEM_USE_GC_HEAP].now;
        expect(heap >= HELD * MIB, "heap in the accounting", (long long)heap);
        const int kept = fill(keeper);
        hostmem_get_statistics(manager, &statistics);
        const uint64_t most = statistics.committed_by_use[HOSTMEM_USE_GC_HEAP].peak;
        fprintf(stderr, "  %d MiB kept, heap at most %llu bytes\n", kept, (unsigned long long)most);
        expect(kept >= (int)(LIMIT / MIB / 2) && (uint64_t)kept <= LIMIT / MIB, "what fits", kept);
        expect(most <= LIMIT + REGION_MIB * MIB, "the heap", (long long)most);
        const hostmem_bridge_collector_limit told = statistics_now().collector_limit;
        expect(told.known && told.hard_limit == LIMIT && told.owner == HOSTMEM_BRIDGE_OF_HOST,
               "what the collector was told", (long long)told.hard_limit);
        keeper->methods->release(keeper);
    }
    expect(hostmem_verify(manager, NULL) == S_OK, "the accounting", 0);
    expect(hostmem_bridge_unwatch(comhost) == S_OK, "unwatch", 0);
    fflush(NULL);
    puts(complaints ? "failed" : "comhost: done");
    return complaints != 0;
}
