/*
 * host_control.c - a ready IHostControl that chains to the host's own
 *
 * The CLR uses what GetHostManager returns without asking further and never releases it (contract 3.1): each
 * answer is one reference, and from the first one on the module must stay.
 */
#include "com/manager.h"
#include "com/unknown.h"
#include "maps/pages.h"
#include "memory/os.h"

struct host_control {
    IHostControl iface;
    _Atomic uint32_t references;
    struct hostmem_manager *manager; /* referenced */
    IHostControl *next;              /* referenced, or NULL */
};

static struct host_control *impl_from_IHostControl(IHostControl *iface)
{
    return CONTAINING_RECORD(iface, struct host_control, iface);
}

static HRESULT STDMETHODCALLTYPE control_QueryInterface(IHostControl *iface, REFIID riid, void **out)
{
    return unknown_query(iface, &iid_host_control, riid, out);
}

static ULONG STDMETHODCALLTYPE control_AddRef(IHostControl *iface)
{
    return references_add(&impl_from_IHostControl(iface)->references);
}

static ULONG STDMETHODCALLTYPE control_Release(IHostControl *iface)
{
    struct host_control *control = impl_from_IHostControl(iface);
    uint32_t left;
    if (references_give(&control->references, &left)) {
        if (control->next != NULL)
            IHostControl_Release(control->next);
        hm_manager_release(control->manager);
        hm_pages_release(control, sizeof *control);
    }
    return left;
}

static HRESULT STDMETHODCALLTYPE control_GetHostManager(IHostControl *iface, REFIID riid, void **out)
{
    struct host_control *control = impl_from_IHostControl(iface);
    if (out == NULL)
        return E_POINTER;
    *out = NULL;
    if (IsEqualIID(riid, &IID_IHostMemoryManager)) {
        hm_os_pin_module();
        manager_add_reference(control->manager);
        *out = &control->manager->iface;
        return S_OK;
    }
    return control->next != NULL ? IHostControl_GetHostManager(control->next, riid, out) : E_NOINTERFACE;
}

static HRESULT STDMETHODCALLTYPE control_SetAppDomainManager(IHostControl *iface, DWORD domain,
                                                             IUnknown *manager)
{
    struct host_control *control = impl_from_IHostControl(iface);
    /* A failure here would break the creation of the domain. */
    return control->next != NULL ? IHostControl_SetAppDomainManager(control->next, domain, manager) : S_OK;
}

static const IHostControlVtbl control_vtbl = {
    control_QueryInterface,      control_AddRef, control_Release, control_GetHostManager,
    control_SetAppDomainManager,
};

HRESULT HOSTMEM_CALL hostmem_create_host_control(hostmem_manager *manager, IHostControl *next,
                                                 IHostControl **control)
{
    if (control == NULL)
        return E_POINTER;
    *control = NULL;
    if (manager == NULL)
        return E_POINTER;
    struct host_control *made = pages_take(sizeof *made);
    if (made == NULL)
        return E_OUTOFMEMORY;
    made->iface.lpVtbl = &control_vtbl;
    references_init(&made->references);
    made->manager = manager;
    manager_add_reference(manager);
    made->next = next;
    if (next != NULL)
        IHostControl_AddRef(next);
    *control = &made->iface;
    return S_OK;
}
