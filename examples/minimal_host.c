/* minimal_host HOSTFXR.dll PROGRAM.dll [ARGUMENTS]: runs a .NET 8 to 11 program whose heap may have 200 MiB. */
#include <stdio.h>
#include <hostmem/bridge.h>

int wmain(int argc, wchar_t **argv)
{
    hostmem_limits limits = {.size = sizeof limits, .limit = HOSTMEM_UNLIMITED, .heap_limit = 200 << 20};
    hostmem_options options = {.size = sizeof options, .limits = &limits};
    hostmem_statistics statistics = {.size = sizeof statistics};
    hostmem_manager *manager;
    IHostControl *control;
    void *program;

    HMODULE hostfxr = argc > 2 ? LoadLibraryExW(argv[1], NULL, LOAD_WITH_ALTERED_SEARCH_PATH) : NULL;
    if (hostfxr == NULL || hostmem_create(&options, &manager) != S_OK ||
        hostmem_create_host_control(manager, NULL, &control) != S_OK ||
        hostmem_bridge_watch(hostfxr, control, NULL) != S_OK)
        return 1;
    int(__cdecl * initialize)(int, wchar_t **, const void *, void **) =
        (void *)GetProcAddress(hostfxr, "hostfxr_initialize_for_dotnet_command_line");
    int(__cdecl * run)(void *) = (void *)GetProcAddress(hostfxr, "hostfxr_run_app");
    if (initialize(argc - 2, argv + 2, NULL, &program) != 0)
        return 1;
    int status = run(program);
    hostmem_get_statistics(manager, &statistics);
    printf("the runtime had committed %llu bytes at most\n", (unsigned long long)statistics.committed.peak);
    return status;
}
