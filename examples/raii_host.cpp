/*
 * raii_host.cpp - the same in C++: what is acquired is given back by its owner
 *
 *     raii_host HOSTFXR.dll PROGRAM.dll [ARGUMENTS]
 *
 * Once a runtime has taken its memory from a manager it never gives its references back, so the handle of the manager is
 * one reference of several: letting it go is right, and the manager stays for the runtime.
 */
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

#include <hostmem/bridge.h>

namespace
{

struct release_manager {
    void operator()(hostmem_manager *manager) const
    {
        hostmem_release(manager);
    }
};
struct release_interface {
    void operator()(IUnknown *object) const
    {
        object->Release();
    }
};
using manager_handle = std::unique_ptr<hostmem_manager, release_manager>;
template <class Interface> using com_handle = std::unique_ptr<Interface, release_interface>;

void check(HRESULT result, const char *what)
{
    if (result != S_OK) {
        char code[16];
        std::snprintf(code, sizeof code, "0x%08lx", static_cast<unsigned long>(result));
        throw std::runtime_error(std::string(what) + ": " + code);
    }
}

template <class Function> Function function(HMODULE module, const char *name)
{
    auto address = reinterpret_cast<void *>(GetProcAddress(module, name));
    if (address == nullptr)
        throw std::runtime_error(std::string(name) + ": not found");
    return reinterpret_cast<Function>(address);
}

manager_handle make_manager(const hostmem_limits &limits)
{
    hostmem_options options = {};
    options.size = sizeof options;
    options.limits = &limits;
    hostmem_manager *manager;
    check(hostmem_create(&options, &manager), "hostmem_create");
    return manager_handle(manager);
}

com_handle<IHostControl> make_control(const manager_handle &manager)
{
    IHostControl *control;
    check(hostmem_create_host_control(manager.get(), nullptr, &control), "hostmem_create_host_control");
    return com_handle<IHostControl>(control);
}

int run_program(HMODULE hostfxr, int argc, wchar_t **argv)
{
    using handle = void *;
    auto initialize = function<int(__cdecl *)(int, wchar_t **, const void *, handle *)>(
        hostfxr, "hostfxr_initialize_for_dotnet_command_line");
    auto run = function<int(__cdecl *)(handle)>(hostfxr, "hostfxr_run_app");
    auto close = function<int(__cdecl *)(handle)>(hostfxr, "hostfxr_close");
    handle program = nullptr;
    check(initialize(argc, argv, nullptr, &program), "hostfxr_initialize_for_dotnet_command_line");
    int status = run(program);
    close(program);
    return status;
}

} // namespace

int wmain(int argc, wchar_t **argv)
try {
    if (argc < 3) {
        std::fprintf(stderr, "usage: raii_host HOSTFXR.dll PROGRAM.dll [ARGUMENTS]\n");
        return 2;
    }
    hostmem_limits limits = {};
    limits.size = sizeof limits;
    limits.limit = HOSTMEM_UNLIMITED;
    limits.heap_limit = 200 << 20;

    HMODULE hostfxr = LoadLibraryExW(argv[1], nullptr, LOAD_WITH_ALTERED_SEARCH_PATH);
    if (hostfxr == nullptr)
        throw std::runtime_error("hostfxr.dll does not load");
    manager_handle manager = make_manager(limits);
    com_handle<IHostControl> control = make_control(manager);
    check(hostmem_bridge_watch(hostfxr, control.get(), nullptr), "hostmem_bridge_watch");
    int status = run_program(hostfxr, argc - 2, argv + 2);

    hostmem_statistics statistics = {};
    statistics.size = sizeof statistics;
    check(hostmem_get_statistics(manager.get(), &statistics), "hostmem_get_statistics");
    std::printf("the runtime had committed %llu bytes at most\n",
                static_cast<unsigned long long>(statistics.committed.peak));
    return status;
} catch (const std::exception &error) {
    std::fprintf(stderr, "raii_host: %s\n", error.what());
    return 1;
}
