/*
 * plugin_server.c - two managers under one budget: managed plug-ins and the server's own cache share what there is
 *
 *     plugin_server HOSTFXR.dll PROGRAM.dll [ARGUMENTS]
 *
 * The server may spend 256 MiB on plug-ins. The .NET runtime has a manager of its own, of which the heap may have 160 MiB;
 * the cache takes its pages from a second one, as a CLR of .NET Framework in the same process would. Both charge what
 * they commit to the budget as well. The cache fills what is left, and gives it back when the pressure rises: it is told
 * on the library's thread, and does its work on its own.
 */
#include <stdio.h>
#include <stdlib.h>

#include <hostmem/bridge.h>

enum { MIB = 1 << 20, CACHE_BLOCKS = 256 };

struct cache {
    IHostMemoryManager *memory;
    void *blocks[CACHE_BLOCKS]; /* of 1 MiB each */
    unsigned filled;
    HANDLE trim, stop, thread;
};

static void fail(const char *what, HRESULT result)
{
    fprintf(stderr, "plugin_server: %s (0x%08lx)\n", what, (unsigned long)result);
    exit(1);
}

/* Until the budget refuses. eAppDomainCritical: whoever asks can do without. */
static void cache_fill(struct cache *cache)
{
    void *block;
    while (cache->filled < CACHE_BLOCKS &&
           cache->memory->lpVtbl->VirtualAlloc(cache->memory, NULL, MIB, MEM_RESERVE | MEM_COMMIT,
                                               PAGE_READWRITE, eAppDomainCritical, &block) == S_OK)
        cache->blocks[cache->filled++] = block;
}

static void cache_trim(struct cache *cache, unsigned keep)
{
    while (cache->filled > keep)
        cache->memory->lpVtbl->VirtualFree(cache->memory, cache->blocks[--cache->filled], 0, MEM_RELEASE);
}

static DWORD WINAPI cache_work(void *context)
{
    struct cache *cache = context;
    HANDLE handles[] = {cache->stop, cache->trim};
    while (WaitForMultipleObjects(2, handles, FALSE, INFINITE) == WAIT_OBJECT_0 + 1)
        cache_trim(cache, cache->filled / 2);
    return 0;
}

/* On the library's thread: be quick. */
static void HOSTMEM_CALL on_event(const hostmem_event *event, void *context)
{
    struct cache *cache = context;
    if (event->kind == HOSTMEM_EVENT_REFUSED || event->pressure == eMemoryAvailableLow)
        SetEvent(cache->trim);
}

/* A manager that charges `shared` as well. */
static hostmem_manager *make_manager(hostmem_budget *shared, uint64_t heap_limit,
                                     hostmem_event_callback event, void *context)
{
    hostmem_limits limits = {.size = sizeof limits, .limit = HOSTMEM_UNLIMITED, .heap_limit = heap_limit};
    hostmem_options options = {
        .size = sizeof options, .limits = &limits, .shared = shared, .event = event, .context = context};
    hostmem_manager *manager;
    HRESULT result = hostmem_create(&options, &manager);
    if (result != S_OK)
        fail("hostmem_create", result);
    return manager;
}

static int run_program(HMODULE hostfxr, int argc, wchar_t **argv)
{
    int(__cdecl * initialize)(int, wchar_t **, const void *, void **) =
        (void *)GetProcAddress(hostfxr, "hostfxr_initialize_for_dotnet_command_line");
    int(__cdecl * run)(void *) = (void *)GetProcAddress(hostfxr, "hostfxr_run_app");
    void *program;
    int status = initialize(argc, argv, NULL, &program);
    return status != 0 ? status : run(program);
}

int wmain(int argc, wchar_t **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: plugin_server HOSTFXR.dll PROGRAM.dll [ARGUMENTS]\n");
        return 2;
    }
    hostmem_limits limits = {.size = sizeof limits, .limit = 256 * MIB, .margin = 16 * MIB};
    hostmem_budget *budget;
    HRESULT result = hostmem_create_budget(&limits, &budget);
    if (result != S_OK)
        fail("hostmem_create_budget", result);

    static struct cache cache;
    cache.trim = CreateEventW(NULL, FALSE, FALSE, NULL);
    cache.stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    hostmem_manager *for_cache = make_manager(budget, 0, NULL, NULL);
    hostmem_manager *for_plugins = make_manager(budget, 160 * MIB, on_event, &cache);
    hostmem_get_memory_manager(for_cache, &cache.memory);
    cache_fill(&cache);
    printf("the cache holds %u MiB before the runtime starts\n", cache.filled);
    cache.thread = CreateThread(NULL, 0, cache_work, &cache, 0, NULL);

    IHostControl *control;
    HMODULE hostfxr = LoadLibraryExW(argv[1], NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    result = hostmem_create_host_control(for_plugins, NULL, &control);
    if (result == S_OK)
        result = hostmem_bridge_watch(hostfxr, control, NULL);
    if (result != S_OK)
        fail("the runtime that comes cannot be watched", result);
    int status = run_program(hostfxr, argc - 2, argv + 2);

    SetEvent(cache.stop);
    WaitForSingleObject(cache.thread, INFINITE);
    hostmem_budget_usage usage = {.size = sizeof usage};
    hostmem_get_budget(budget, NULL, &usage);
    printf("the cache holds %u MiB after it; the budget had %llu of %u MiB at most\n", cache.filled,
           (unsigned long long)usage.charged.peak / MIB, 256u);
    cache_trim(&cache, 0);
    return status;
}
