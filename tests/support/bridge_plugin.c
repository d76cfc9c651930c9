/* A module with a copy of the bridge of its own, as a plug-in that links the static library. */
#include <hostmem/bridge.h>

__declspec(dllexport) HRESULT plugin_bind(HMODULE runtime, IHostControl *control)
{
    return hostmem_bridge_bind(runtime, control, NULL);
}
