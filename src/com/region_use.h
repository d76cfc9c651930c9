/*
 * region_use.h - the private interface by which the bridge tells a manager what a region is for
 *
 * Asked of a host's manager by QueryInterface; one that is not ours lacks it, and gets criticality alone.
 */
#ifndef HOSTMEM_COM_REGION_USE_H
#define HOSTMEM_COM_REGION_USE_H

#include <hostmem/hostmem.h>

typedef struct IHostmemRegionUse IHostmemRegionUse;

typedef struct IHostmemRegionUseVtbl {
    HRESULT(STDMETHODCALLTYPE *QueryInterface)(IHostmemRegionUse *self, REFIID riid, void **object);
    ULONG(STDMETHODCALLTYPE *AddRef)(IHostmemRegionUse *self);
    ULONG(STDMETHODCALLTYPE *Release)(IHostmemRegionUse *self);

    /*
     * The region that `address` lies in is for this, a hostmem_use other than HOSTMEM_USE_VIEW.  Best before its first
     * commit; later, what is committed moves from one account to the other.  No lock; the last error stays.
     * Returns S_OK; HOST_E_INVALIDOPERATION: nobody's region; E_INVALIDARG: no such use.
     */
    HRESULT(STDMETHODCALLTYPE *SetUse)(IHostmemRegionUse *self, void *address, uint32_t use);
} IHostmemRegionUseVtbl;

struct IHostmemRegionUse {
    const IHostmemRegionUseVtbl *lpVtbl;
};

/* 8E0F5B1A-6C0D-4B57-9C52-3D2E5C0A7F41 */
static const IID iid_region_use = {
    0x8e0f5b1a, 0x6c0d, 0x4b57, {0x9c, 0x52, 0x3d, 0x2e, 0x5c, 0x0a, 0x7f, 0x41}};

#endif
