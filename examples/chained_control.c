/*
 * chained_control.c - a host that has an IHostControl of its own already: hostmem answers for memory, it for the rest
 *
 *     chained_control HOSTFXR.dll PROGRAM.dll [ARGUMENTS]
 *
 * The CLR of .NET Framework asks its host for up to eleven managers.  hostmem's control gives it the memory manager, and
 * passes every other question, and the AppDomainManager, on to the host's control.  The bridge, which plays that CLR's
 * part for .NET 8 to 11, asks for memory only; so here the host asks once itself, as that CLR would.
 */
#define COBJMACROS
#include <stdio.h>
#include <string.h>

#include <hostmem/bridge.h>

/* A control that lives as long as the program: nobody counts its references. */
struct own_control {
    IHostControl face;
    unsigned asked;
};

static HRESULT STDMETHODCALLTYPE own_query_interface(IHostControl *face, REFIID iid, void **object)
{
    *object = IsEqualIID(iid, &IID_IHostControl) ? face : NULL;
    return *object ? S_OK : E_NOINTERFACE;
}

static ULONG STDMETHODCALLTYPE own_reference(IHostControl *face)
{
    (void)face;
    return 1;
}

static HRESULT STDMETHODCALLTYPE own_get_host_manager(IHostControl *face, REFIID iid, void **manager)
{
    struct own_control *own = CONTAINING_RECORD(face, struct own_control, face);
    own->asked++;
    printf("asked for a manager {%08lx-...}: this host has none\n", (unsigned long)iid->Data1);
    *manager = NULL;
    return E_NOINTERFACE;
}

static HRESULT STDMETHODCALLTYPE own_set_app_domain_manager(IHostControl *face, DWORD domain,
                                                            IUnknown *manager)
{
    (void)face;
    (void)manager;
    printf("domain %lu has a manager\n", (unsigned long)domain);
    return S_OK;
}

static IHostControlVtbl own_methods = {own_query_interface, own_reference, own_reference,
                                       own_get_host_manager, own_set_app_domain_manager};

int wmain(int argc, wchar_t **argv)
{
    static struct own_control own = {.face = {&own_methods}};
    static const GUID iid_host_task_manager = {
        0x997ff24c, 0x43b7, 0x4352, {0x86, 0x67, 0x0d, 0xc0, 0x4f, 0xaf, 0xd3, 0x54}};
    hostmem_manager *manager;
    IHostControl *control;
    IHostMemoryManager *memory = NULL;
    void *other, *program;

    HMODULE hostfxr = argc > 2 ? LoadLibraryExW(argv[1], NULL, LOAD_WITH_ALTERED_SEARCH_PATH) : NULL;
    if (hostfxr == NULL || hostmem_create(NULL, &manager) != S_OK ||
        hostmem_create_host_control(manager, &own.face, &control) != S_OK)
        return 1;

    /* As the CLR asks, which takes what it gets and returns none of it. */
    HRESULT result = IHostControl_GetHostManager(control, &IID_IHostMemoryManager, (void **)&memory);
    printf("memory: 0x%08lx, from hostmem: %s\n", (unsigned long)result, memory != NULL ? "yes" : "no");
    result = IHostControl_GetHostManager(control, &iid_host_task_manager, &other);
    printf("tasks: 0x%08lx, from the host, which was asked %u times\n", (unsigned long)result, own.asked);

    if (hostmem_bridge_watch(hostfxr, control, NULL) != S_OK)
        return 1;
    int(__cdecl * initialize)(int, wchar_t **, const void *, void **) =
        (void *)GetProcAddress(hostfxr, "hostfxr_initialize_for_dotnet_command_line");
    int(__cdecl * run)(void *) = (void *)GetProcAddress(hostfxr, "hostfxr_run_app");
    if (initialize(argc - 2, argv + 2, NULL, &program) != 0)
        return 1;
    int status = run(program);
    printf("the host was asked %u times in all\n", own.asked);
    return status;
}
