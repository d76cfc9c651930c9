/* A plug-in that links the static library, and passes on to it. */
#include <hostmem/hostmem.h>

__declspec(dllexport) HRESULT HOSTMEM_CALL
    plugin_create(const hostmem_options *options, hostmem_manager **manager)
{
    return hostmem_create(options, manager);
}

__declspec(dllexport) HRESULT HOSTMEM_CALL plugin_force_pressure(hostmem_manager *manager, uint32_t level)
{
    return hostmem_force_pressure(manager, level);
}

__declspec(dllexport) void HOSTMEM_CALL plugin_release(hostmem_manager *manager)
{
    hostmem_release(manager);
}
