/*
 * mscoree.h - in the place of the .NET Framework SDK's, which no package has: the order and the guards of what midl makes
 *
 * Enums and structures have no guards of their own; interfaces have. Methods are left out: nobody calls them.
 */
#ifndef __mscoree_h__
#define __mscoree_h__

#define TESTS_NETFX_MSCOREE /* for the test: this one was meant */

#include <rpc.h>
#include <rpcndr.h>
#include <windows.h>
#include <ole2.h>

#ifndef __IHostControl_FWD_DEFINED__
#    define __IHostControl_FWD_DEFINED__
typedef interface IHostControl IHostControl;
#endif
#ifndef __ICLRControl_FWD_DEFINED__
#    define __ICLRControl_FWD_DEFINED__
typedef interface ICLRControl ICLRControl;
#endif
#ifndef __IHostMalloc_FWD_DEFINED__
#    define __IHostMalloc_FWD_DEFINED__
typedef interface IHostMalloc IHostMalloc;
#endif

#include <unknwn.h>
#include "gchost.h"

#if defined(__cplusplus) && !defined(CINTERFACE)
#    define NETFX_INTERFACE(name, iid) MIDL_INTERFACE(iid) name : public IUnknown{};
#else
#    define NETFX_INTERFACE(name, iid)                                                                       \
        typedef struct name##Vtbl {                                                                          \
            HRESULT(STDMETHODCALLTYPE *QueryInterface)(name * This, REFIID riid, void **object);             \
            ULONG(STDMETHODCALLTYPE *AddRef)(name * This);                                                   \
            ULONG(STDMETHODCALLTYPE *Release)(name * This);                                                  \
        } name##Vtbl;                                                                                        \
        interface name                                                                                       \
        {                                                                                                    \
            CONST_VTBL struct name##Vtbl *lpVtbl;                                                            \
        };
#endif
#define NETFX_FORWARD(name) typedef interface name name;

EXTERN_GUID(CLSID_CLRRuntimeHost, 0x90f1a06e, 0x7712, 0x4762, 0x86, 0xb5, 0x7a, 0x5e, 0xba, 0x6b, 0xdb, 0x02);
EXTERN_GUID(IID_IHostControl, 0x02ca073c, 0x7079, 0x4860, 0x88, 0x0a, 0xc2, 0xf7, 0xa4, 0x49, 0xc9, 0x91);
EXTERN_GUID(IID_IHostMalloc, 0x1831991c, 0xcc53, 0x4a31, 0xb2, 0x18, 0x04, 0xe9, 0x10, 0x44, 0x64, 0x79);

typedef HRESULT(__stdcall *FExecuteInAppDomainCallback)(void *cookie);

typedef enum {
    eMemoryAvailableLow = 1,
    eMemoryAvailableNeutral = 2,
    eMemoryAvailableHigh = 3
} EMemoryAvailable;
typedef enum { eTaskCritical = 0, eAppDomainCritical = 1, eProcessCritical = 2 } EMemoryCriticalLevel;

#ifndef __ICLRMemoryNotificationCallback_INTERFACE_DEFINED__
#    define __ICLRMemoryNotificationCallback_INTERFACE_DEFINED__
EXTERN_C const IID IID_ICLRMemoryNotificationCallback;
NETFX_FORWARD(ICLRMemoryNotificationCallback)
NETFX_INTERFACE(ICLRMemoryNotificationCallback, "47EB8E57-0846-4546-AF76-6F42FCFC2649")
#endif

#ifndef __IHostMalloc_INTERFACE_DEFINED__
#    define __IHostMalloc_INTERFACE_DEFINED__
EXTERN_C const IID IID_IHostMalloc;
NETFX_INTERFACE(IHostMalloc, "1831991C-CC53-4A31-B218-04E910446479")
#endif

typedef enum { MALLOC_THREADSAFE = 0x1, MALLOC_EXECUTABLE = 0x2 } MALLOC_TYPE;

#ifndef __IHostMemoryManager_INTERFACE_DEFINED__
#    define __IHostMemoryManager_INTERFACE_DEFINED__
EXTERN_C const IID IID_IHostMemoryManager;
NETFX_FORWARD(IHostMemoryManager)
NETFX_INTERFACE(IHostMemoryManager, "7BC698D1-F9E3-4460-9CDE-D04248E9FA25")
#endif

#ifndef __IHostGCManager_INTERFACE_DEFINED__
#    define __IHostGCManager_INTERFACE_DEFINED__
EXTERN_C const IID IID_IHostGCManager;
NETFX_FORWARD(IHostGCManager)
NETFX_INTERFACE(IHostGCManager, "5D4EC34E-F248-457B-B603-255FAABA0D21")
#endif

#ifndef __ICLRGCManager_INTERFACE_DEFINED__
#    define __ICLRGCManager_INTERFACE_DEFINED__
EXTERN_C const IID IID_ICLRGCManager;
NETFX_FORWARD(ICLRGCManager)
NETFX_INTERFACE(ICLRGCManager, "54D9007E-A8E2-4885-B7BF-F998DEEE4F2A")
#endif

#ifndef __ICLRControl_INTERFACE_DEFINED__
#    define __ICLRControl_INTERFACE_DEFINED__
EXTERN_C const IID IID_ICLRControl;
NETFX_INTERFACE(ICLRControl, "9065597E-D1A1-4FB2-B6BA-7E1FCE230F61")
#endif

#ifndef __IHostControl_INTERFACE_DEFINED__
#    define __IHostControl_INTERFACE_DEFINED__
EXTERN_C const IID IID_IHostControl;
NETFX_INTERFACE(IHostControl, "02CA073C-7079-4860-880A-C2F7A449C991")
#endif

#ifndef __ICLRRuntimeHost_INTERFACE_DEFINED__
#    define __ICLRRuntimeHost_INTERFACE_DEFINED__
EXTERN_C const IID IID_ICLRRuntimeHost;
NETFX_FORWARD(ICLRRuntimeHost)
NETFX_INTERFACE(ICLRRuntimeHost, "90F1A06C-7712-4762-86B5-7A5EBA6BDB02")
#endif

#endif
