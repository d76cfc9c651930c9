/*
 * The CLR's hosting interfaces for memory, for hosts without the .NET Framework SDK.
 *
 * For C (define COBJMACROS for the call macros) and C++, MinGW-w64 and MSVC, x86 and x86-64. All interfaces
 * are raw in-process vtables, __stdcall on x86, without marshalling.
 *
 * What a mscoree.h declares is left to it: to a complete one (the .NET Framework SDK's) everything, to others
 * (MinGW-w64's, or .NET's own) what they have. One that the compiler finds is included from here, so that it may
 * come before this header or after; one that it finds only by a path of its own has to come before. The same goes
 * for corerror.h. Where there is none, as in the Windows SDK, nothing is missing.
 *
 * The IIDs of the interfaces that are declared here are selectany constants of this header: a host links no library
 * for them, and <initguid.h> may come before or after. Those of IHostControl, ICLRControl and ICLRRuntimeHost, which
 * MinGW-w64's mscoree.h declares and its libraries lack, are in the static library and in the DLL's import library.
 * IID_IUnknown is libuuid's, as ever. Definitions of a host's own have to be selectany too (DEFINE_GUID's after
 * <initguid.h> are): linkers take no other kind beside these.
 *
 * With CONST_VTABLE defined before the Windows headers, lpVtbl points to const in C.
 *
 * "Contract n" is section n of docs/clr-contract.md (how the CLR calls its host), the source of a statement.
 */
#ifndef HOSTMEM_CLR_H
#define HOSTMEM_CLR_H

#include <unknwn.h> /* windows.h, ole2.h */

#if defined(__has_include)
#    if __has_include(<mscoree.h>)
#        include <mscoree.h>
#    endif
#    if __has_include(<corerror.h>)
#        include <corerror.h>
#    endif
#endif

#ifndef HOST_E_DEADLOCK
#    define HOST_E_DEADLOCK         MAKE_HRESULT(SEVERITY_ERROR, FACILITY_URT, 0x1020)
#    define HOST_E_INTERRUPTED      MAKE_HRESULT(SEVERITY_ERROR, FACILITY_URT, 0x1021)
#    define HOST_E_INVALIDOPERATION MAKE_HRESULT(SEVERITY_ERROR, FACILITY_URT, 0x1022)
#    define HOST_E_CLRNOTAVAILABLE  MAKE_HRESULT(SEVERITY_ERROR, FACILITY_URT, 0x1023)
#    define HOST_E_TIMEOUT          MAKE_HRESULT(SEVERITY_ERROR, FACILITY_URT, 0x1024)
#    define HOST_E_NOT_OWNER        MAKE_HRESULT(SEVERITY_ERROR, FACILITY_URT, 0x1025)
#    define HOST_E_ABANDONED        MAKE_HRESULT(SEVERITY_ERROR, FACILITY_URT, 0x1026)
#endif

#ifndef __ICLRRuntimeHost_INTERFACE_DEFINED__
/* What ICLRRuntimeHost::ExecuteInAppDomain calls. */
typedef HRESULT(STDMETHODCALLTYPE *FExecuteInAppDomainCallback)(void *cookie);
#endif

/* A complete mscoree.h declares the enums without guards of their own, just before the first user of each. */

#ifndef __ICLRMemoryNotificationCallback_INTERFACE_DEFINED__
/* How much physical memory there is: what a host tells the CLR. Low lasts until another (contract 3.8). */
typedef enum EMemoryAvailable {
    eMemoryAvailableLow = 1,
    eMemoryAvailableNeutral = 2,
    eMemoryAvailableHigh = 3
} EMemoryAvailable;
#endif

#if !defined(__ICLRMemoryNotificationCallback_INTERFACE_DEFINED__) &&                                        \
    !defined(__IHostMalloc_INTERFACE_DEFINED__) && !defined(__IHostMemoryManager_INTERFACE_DEFINED__)
/* What a refusal costs: the task, the application domain, the process (contract 1, 3.2). */
typedef enum EMemoryCriticalLevel {
    eTaskCritical = 0,
    eAppDomainCritical = 1,
    eProcessCritical = 2
} EMemoryCriticalLevel;
#endif

#ifndef __IHostMemoryManager_INTERFACE_DEFINED__
/* Bits of CreateMalloc's dwMallocType (contract 1, 3.1). */
typedef enum MALLOC_TYPE {
    MALLOC_THREADSAFE = 0x1, /* without it the caller serialises the calls on the object */
    MALLOC_EXECUTABLE = 0x2  /* blocks are PAGE_EXECUTE_READWRITE; the CLR never asks for it */
} MALLOC_TYPE;
#endif

/* gchost.h, which a complete mscoree.h includes, has these two. */
#if !defined(__gchost_h__) && !defined(__ICLRGCManager_INTERFACE_DEFINED__)
/* What ICLRGCManager::GetStats is to fill in. */
typedef enum COR_GC_STAT_TYPES {
    COR_GC_COUNTS = 0x1,     /* the two counters */
    COR_GC_MEMORYUSAGE = 0x2 /* the sizes */
} COR_GC_STAT_TYPES;

typedef struct _COR_GC_STATS {
    ULONG Flags; /* in: COR_GC_STAT_TYPES */
    SIZE_T ExplicitGCCount;
    SIZE_T GenCollectionsTaken[3];
    SIZE_T CommittedKBytes;
    SIZE_T ReservedKBytes;
    SIZE_T Gen0HeapSizeKBytes;
    SIZE_T Gen1HeapSizeKBytes;
    SIZE_T Gen2HeapSizeKBytes;
    SIZE_T LargeObjectHeapSizeKBytes;
    SIZE_T KBytesPromotedFromGen0;
    SIZE_T KBytesPromotedFromGen1;
} COR_GC_STATS;
#endif

/* clang-format off */

/* An IID: one constant in the program, however many files define it. */
#ifdef __cplusplus
#define HOSTMEM_CONST_IID_ EXTERN_C const IID DECLSPEC_SELECTANY
#else
#define HOSTMEM_CONST_IID_ const IID DECLSPEC_SELECTANY
#endif
#define HOSTMEM_IID_(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8) \
    HOSTMEM_CONST_IID_ name = {l, w1, w2, {b1, b2, b3, b4, b5, b6, b7, b8}}

/* DECLARE_INTERFACE_IID_ of the Windows headers, but gcc has nothing to say against it with CONST_VTABLE. */
#if defined(__cplusplus) && !defined(CINTERFACE)
#define HOSTMEM_INTERFACE_(iface, base, iid) \
    interface DECLSPEC_UUID(iid) DECLSPEC_NOVTABLE iface : public base
#else
#define HOSTMEM_INTERFACE_(iface, base, iid)                                  \
    typedef interface iface { CONST_VTBL struct iface##Vtbl *lpVtbl; } iface; \
    typedef struct iface##Vtbl iface##Vtbl;                                   \
    struct iface##Vtbl
#endif

/*
 * IHostControl: implemented by the host; the CLR asks it for the host's managers (contract 2, 3.1).
 */
#ifndef __IHostControl_INTERFACE_DEFINED__
#define __IHostControl_INTERFACE_DEFINED__
HOSTMEM_IID_(IID_IHostControl,
             0x02ca073c, 0x7079, 0x4860, 0x88, 0x0a, 0xc2, 0xf7, 0xa4, 0x49, 0xc9, 0x91);
#undef INTERFACE
#define INTERFACE IHostControl
HOSTMEM_INTERFACE_(IHostControl, IUnknown, "02CA073C-7079-4860-880A-C2F7A449C991")
{
    BEGIN_INTERFACE
    STDMETHOD(QueryInterface)(THIS_ REFIID riid, void **ppvObject) PURE;
    STDMETHOD_(ULONG, AddRef)(THIS) PURE;
    STDMETHOD_(ULONG, Release)(THIS) PURE;

    /* The host's manager of that interface; E_NOINTERFACE where it has none (contract 3.1). */
    STDMETHOD(GetHostManager)(THIS_ REFIID riid, void **ppObject) PURE;
    /* A new domain has a manager of its own. */
    STDMETHOD(SetAppDomainManager)(THIS_ DWORD dwAppDomainID, IUnknown *pUnkAppDomainManager) PURE;
    END_INTERFACE
};
#if defined(__cplusplus) && defined(__CRT_UUID_DECL)
__CRT_UUID_DECL(IHostControl,
                0x02ca073c, 0x7079, 0x4860, 0x88, 0x0a, 0xc2, 0xf7, 0xa4, 0x49, 0xc9, 0x91)
#endif
#if defined(COBJMACROS) && (!defined(__cplusplus) || defined(CINTERFACE))
#define IHostControl_QueryInterface(This, riid, ppvObject) \
    ((This)->lpVtbl->QueryInterface(This, riid, ppvObject))
#define IHostControl_AddRef(This) ((This)->lpVtbl->AddRef(This))
#define IHostControl_Release(This) ((This)->lpVtbl->Release(This))
#define IHostControl_GetHostManager(This, riid, ppObject) \
    ((This)->lpVtbl->GetHostManager(This, riid, ppObject))
#define IHostControl_SetAppDomainManager(This, dwAppDomainID, pUnkAppDomainManager) \
    ((This)->lpVtbl->SetAppDomainManager(This, dwAppDomainID, pUnkAppDomainManager))
#endif
#endif /* __IHostControl_INTERFACE_DEFINED__ */

/*
 * ICLRControl: the CLR's, from ICLRRuntimeHost::GetCLRControl; the way to its managers.
 */
#ifndef __ICLRControl_INTERFACE_DEFINED__
#define __ICLRControl_INTERFACE_DEFINED__
HOSTMEM_IID_(IID_ICLRControl,
             0x9065597e, 0xd1a1, 0x4fb2, 0xb6, 0xba, 0x7e, 0x1f, 0xce, 0x23, 0x0f, 0x61);
#undef INTERFACE
#define INTERFACE ICLRControl
HOSTMEM_INTERFACE_(ICLRControl, IUnknown, "9065597E-D1A1-4FB2-B6BA-7E1FCE230F61")
{
    BEGIN_INTERFACE
    STDMETHOD(QueryInterface)(THIS_ REFIID riid, void **ppvObject) PURE;
    STDMETHOD_(ULONG, AddRef)(THIS) PURE;
    STDMETHOD_(ULONG, Release)(THIS) PURE;

    /* The CLR's manager of that interface. */
    STDMETHOD(GetCLRManager)(THIS_ REFIID riid, void **ppObject) PURE;
    /* The managed type of which each domain gets a manager. Before Start. */
    STDMETHOD(SetAppDomainManagerType)(THIS_ LPCWSTR pwzAppDomainManagerAssembly,
                                       LPCWSTR pwzAppDomainManagerType) PURE;
    END_INTERFACE
};
#if defined(__cplusplus) && defined(__CRT_UUID_DECL)
__CRT_UUID_DECL(ICLRControl,
                0x9065597e, 0xd1a1, 0x4fb2, 0xb6, 0xba, 0x7e, 0x1f, 0xce, 0x23, 0x0f, 0x61)
#endif
#if defined(COBJMACROS) && (!defined(__cplusplus) || defined(CINTERFACE))
#define ICLRControl_QueryInterface(This, riid, ppvObject) \
    ((This)->lpVtbl->QueryInterface(This, riid, ppvObject))
#define ICLRControl_AddRef(This) ((This)->lpVtbl->AddRef(This))
#define ICLRControl_Release(This) ((This)->lpVtbl->Release(This))
#define ICLRControl_GetCLRManager(This, riid, ppObject) \
    ((This)->lpVtbl->GetCLRManager(This, riid, ppObject))
#define ICLRControl_SetAppDomainManagerType(This, pwzAppDomainManagerAssembly, pwzAppDomainManagerType) \
    ((This)->lpVtbl->SetAppDomainManagerType(This, pwzAppDomainManagerAssembly, pwzAppDomainManagerType))
#endif
#endif /* __ICLRControl_INTERFACE_DEFINED__ */

/*
 * ICLRRuntimeHost: a runtime as its host starts it.
 */
#ifndef __ICLRRuntimeHost_INTERFACE_DEFINED__
#define __ICLRRuntimeHost_INTERFACE_DEFINED__
HOSTMEM_IID_(IID_ICLRRuntimeHost,
             0x90f1a06c, 0x7712, 0x4762, 0x86, 0xb5, 0x7a, 0x5e, 0xba, 0x6b, 0xdb, 0x02);
#undef INTERFACE
#define INTERFACE ICLRRuntimeHost
HOSTMEM_INTERFACE_(ICLRRuntimeHost, IUnknown, "90F1A06C-7712-4762-86B5-7A5EBA6BDB02")
{
    BEGIN_INTERFACE
    STDMETHOD(QueryInterface)(THIS_ REFIID riid, void **ppvObject) PURE;
    STDMETHOD_(ULONG, AddRef)(THIS) PURE;
    STDMETHOD_(ULONG, Release)(THIS) PURE;

    STDMETHOD(Start)(THIS) PURE;
    STDMETHOD(Stop)(THIS) PURE;
    /* Before Start; the CLR then asks the control for its managers (contract 3.1). */
    STDMETHOD(SetHostControl)(THIS_ IHostControl *pHostControl) PURE;
    STDMETHOD(GetCLRControl)(THIS_ ICLRControl **pCLRControl) PURE;
    STDMETHOD(UnloadAppDomain)(THIS_ DWORD dwAppDomainId, BOOL fWaitUntilDone) PURE;
    STDMETHOD(ExecuteInAppDomain)(THIS_ DWORD dwAppDomainId, FExecuteInAppDomainCallback pCallback,
                                  void *cookie) PURE;
    STDMETHOD(GetCurrentAppDomainId)(THIS_ DWORD *pdwAppDomainId) PURE;
    STDMETHOD(ExecuteApplication)(THIS_ LPCWSTR pwzAppFullName, DWORD dwManifestPaths, LPCWSTR *ppwzManifestPaths,
                                  DWORD dwActivationData, LPCWSTR *ppwzActivationData, int *pReturnValue) PURE;
    /* Runs static int Method(string), what it returns is *pReturnValue. */
    STDMETHOD(ExecuteInDefaultAppDomain)(THIS_ LPCWSTR pwzAssemblyPath, LPCWSTR pwzTypeName, LPCWSTR pwzMethodName,
                                         LPCWSTR pwzArgument, DWORD *pReturnValue) PURE;
    END_INTERFACE
};
#if defined(__cplusplus) && defined(__CRT_UUID_DECL)
__CRT_UUID_DECL(ICLRRuntimeHost,
                0x90f1a06c, 0x7712, 0x4762, 0x86, 0xb5, 0x7a, 0x5e, 0xba, 0x6b, 0xdb, 0x02)
#endif
#if defined(COBJMACROS) && (!defined(__cplusplus) || defined(CINTERFACE))
#define ICLRRuntimeHost_QueryInterface(This, riid, ppvObject) \
    ((This)->lpVtbl->QueryInterface(This, riid, ppvObject))
#define ICLRRuntimeHost_AddRef(This) ((This)->lpVtbl->AddRef(This))
#define ICLRRuntimeHost_Release(This) ((This)->lpVtbl->Release(This))
#define ICLRRuntimeHost_Start(This) ((This)->lpVtbl->Start(This))
#define ICLRRuntimeHost_Stop(This) ((This)->lpVtbl->Stop(This))
#define ICLRRuntimeHost_SetHostControl(This, pHostControl) ((This)->lpVtbl->SetHostControl(This, pHostControl))
#define ICLRRuntimeHost_GetCLRControl(This, pCLRControl) ((This)->lpVtbl->GetCLRControl(This, pCLRControl))
#define ICLRRuntimeHost_UnloadAppDomain(This, dwAppDomainId, fWaitUntilDone) \
    ((This)->lpVtbl->UnloadAppDomain(This, dwAppDomainId, fWaitUntilDone))
#define ICLRRuntimeHost_ExecuteInAppDomain(This, dwAppDomainId, pCallback, cookie) \
    ((This)->lpVtbl->ExecuteInAppDomain(This, dwAppDomainId, pCallback, cookie))
#define ICLRRuntimeHost_GetCurrentAppDomainId(This, pdwAppDomainId) \
    ((This)->lpVtbl->GetCurrentAppDomainId(This, pdwAppDomainId))
#define ICLRRuntimeHost_ExecuteApplication(This, pwzAppFullName, dwManifestPaths, ppwzManifestPaths, \
                                           dwActivationData, ppwzActivationData, pReturnValue) \
    ((This)->lpVtbl->ExecuteApplication(This, pwzAppFullName, dwManifestPaths, ppwzManifestPaths, \
                                        dwActivationData, ppwzActivationData, pReturnValue))
#define ICLRRuntimeHost_ExecuteInDefaultAppDomain(This, pwzAssemblyPath, pwzTypeName, pwzMethodName, pwzArgument, \
                                                  pReturnValue) \
    ((This)->lpVtbl->ExecuteInDefaultAppDomain(This, pwzAssemblyPath, pwzTypeName, pwzMethodName, pwzArgument, \
                                               pReturnValue))
#endif
#endif /* __ICLRRuntimeHost_INTERFACE_DEFINED__ */

/*
 * ICLRMemoryNotificationCallback: implemented by the CLR, called by the host (contract 1, 3.8). Its reference
 * count is constant. Call it with no lock held, best from a thread of its own.
 */
#ifndef __ICLRMemoryNotificationCallback_INTERFACE_DEFINED__
#define __ICLRMemoryNotificationCallback_INTERFACE_DEFINED__
HOSTMEM_IID_(IID_ICLRMemoryNotificationCallback,
             0x47eb8e57, 0x0846, 0x4546, 0xaf, 0x76, 0x6f, 0x42, 0xfc, 0xfc, 0x26, 0x49);
#undef INTERFACE
#define INTERFACE ICLRMemoryNotificationCallback
HOSTMEM_INTERFACE_(ICLRMemoryNotificationCallback, IUnknown, "47EB8E57-0846-4546-AF76-6F42FCFC2649")
{
    BEGIN_INTERFACE
    STDMETHOD(QueryInterface)(THIS_ REFIID riid, void **ppvObject) PURE;
    STDMETHOD_(ULONG, AddRef)(THIS) PURE;
    STDMETHOD_(ULONG, Release)(THIS) PURE;

    /* Tells the CLR the state of memory. Returns S_OK at once; what it causes (a GC on Low) comes later.
     * Ignored until the CLR has started (contract 3.8). */
    STDMETHOD(OnMemoryNotification)(THIS_ EMemoryAvailable eMemoryAvailable) PURE;
    END_INTERFACE
};
#if defined(__cplusplus) && defined(__CRT_UUID_DECL)
__CRT_UUID_DECL(ICLRMemoryNotificationCallback,
                0x47eb8e57, 0x0846, 0x4546, 0xaf, 0x76, 0x6f, 0x42, 0xfc, 0xfc, 0x26, 0x49)
#endif
#if defined(COBJMACROS) && (!defined(__cplusplus) || defined(CINTERFACE))
#define ICLRMemoryNotificationCallback_QueryInterface(This, riid, ppvObject) \
    ((This)->lpVtbl->QueryInterface(This, riid, ppvObject))
#define ICLRMemoryNotificationCallback_AddRef(This) ((This)->lpVtbl->AddRef(This))
#define ICLRMemoryNotificationCallback_Release(This) ((This)->lpVtbl->Release(This))
#define ICLRMemoryNotificationCallback_OnMemoryNotification(This, eMemoryAvailable) \
    ((This)->lpVtbl->OnMemoryNotification(This, eMemoryAvailable))
#endif
#endif /* __ICLRMemoryNotificationCallback_INTERFACE_DEFINED__ */

/*
 * IHostMalloc: the heap that a host gives the CLR by IHostMemoryManager::CreateMalloc (contract 1, 3.5). All
 * threads share one; the CLR never releases it. Success is exactly S_OK.
 */
#ifndef __IHostMalloc_INTERFACE_DEFINED__
#define __IHostMalloc_INTERFACE_DEFINED__
HOSTMEM_IID_(IID_IHostMalloc,
             0x1831991c, 0xcc53, 0x4a31, 0xb2, 0x18, 0x04, 0xe9, 0x10, 0x44, 0x64, 0x79);
#undef INTERFACE
#define INTERFACE IHostMalloc
HOSTMEM_INTERFACE_(IHostMalloc, IUnknown, "1831991C-CC53-4A31-B218-04E910446479")
{
    BEGIN_INTERFACE
    STDMETHOD(QueryInterface)(THIS_ REFIID riid, void **ppvObject) PURE;
    STDMETHOD_(ULONG, AddRef)(THIS) PURE;
    STDMETHOD_(ULONG, Release)(THIS) PURE;

    /* A block of cbSize bytes, aligned as HeapAlloc aligns; *ppMem is NULL on failure (contract 1, 3.5). */
    STDMETHOD(Alloc)(THIS_ SIZE_T cbSize, EMemoryCriticalLevel eCriticalLevel, void **ppMem) PURE;
    /* The same, with the place in the source that asks; never called by the CLR (contract 3.5). */
    STDMETHOD(DebugAlloc)(THIS_ SIZE_T cbSize, EMemoryCriticalLevel eCriticalLevel, char *pszFileName,
                          int iLineNo, void **ppMem) PURE;
    /* Frees a block of this object; NULL does reach the host and is S_OK (contract 3.5). */
    STDMETHOD(Free)(THIS_ void *pMem) PURE;
    END_INTERFACE
};
#if defined(__cplusplus) && defined(__CRT_UUID_DECL)
__CRT_UUID_DECL(IHostMalloc,
                0x1831991c, 0xcc53, 0x4a31, 0xb2, 0x18, 0x04, 0xe9, 0x10, 0x44, 0x64, 0x79)
#endif
#if defined(COBJMACROS) && (!defined(__cplusplus) || defined(CINTERFACE))
#define IHostMalloc_QueryInterface(This, riid, ppvObject) \
    ((This)->lpVtbl->QueryInterface(This, riid, ppvObject))
#define IHostMalloc_AddRef(This) ((This)->lpVtbl->AddRef(This))
#define IHostMalloc_Release(This) ((This)->lpVtbl->Release(This))
#define IHostMalloc_Alloc(This, cbSize, eCriticalLevel, ppMem) \
    ((This)->lpVtbl->Alloc(This, cbSize, eCriticalLevel, ppMem))
#define IHostMalloc_DebugAlloc(This, cbSize, eCriticalLevel, pszFileName, iLineNo, ppMem) \
    ((This)->lpVtbl->DebugAlloc(This, cbSize, eCriticalLevel, pszFileName, iLineNo, ppMem))
#define IHostMalloc_Free(This, pMem) ((This)->lpVtbl->Free(This, pMem))
#endif
#endif /* __IHostMalloc_INTERFACE_DEFINED__ */

/*
 * IHostMemoryManager: what the CLR calls instead of VirtualAlloc and its relatives, once IHostControl's
 * GetHostManager has given it one (contract 1, 3.1). Called on any thread, with other threads suspended and
 * locks of the CLR held (contract 3.9). Success is exactly S_OK, except where noted.
 */
#ifndef __IHostMemoryManager_INTERFACE_DEFINED__
#define __IHostMemoryManager_INTERFACE_DEFINED__
HOSTMEM_IID_(IID_IHostMemoryManager,
             0x7bc698d1, 0xf9e3, 0x4460, 0x9c, 0xde, 0xd0, 0x42, 0x48, 0xe9, 0xfa, 0x25);
#undef INTERFACE
#define INTERFACE IHostMemoryManager
HOSTMEM_INTERFACE_(IHostMemoryManager, IUnknown, "7BC698D1-F9E3-4460-9CDE-D04248E9FA25")
{
    BEGIN_INTERFACE
    STDMETHOD(QueryInterface)(THIS_ REFIID riid, void **ppvObject) PURE;
    STDMETHOD_(ULONG, AddRef)(THIS) PURE;
    STDMETHOD_(ULONG, Release)(THIS) PURE;

    /* A heap; dwMallocType is made of MALLOC_TYPE bits. The CLR calls it once, with MALLOC_THREADSAFE, when
     * it has just got the manager (contract 3.1). */
    STDMETHOD(CreateMalloc)(THIS_ DWORD dwMallocType, IHostMalloc **ppMalloc) PURE;
    /* Win32's VirtualAlloc. *ppMem is written always, NULL on failure (contract 3.2). */
    STDMETHOD(VirtualAlloc)(THIS_ void *pAddress, SIZE_T dwSize, DWORD flAllocationType, DWORD flProtect,
                            EMemoryCriticalLevel eCriticalLevel, void **ppMem) PURE;
    /* Win32's VirtualFree; HOST_E_INVALIDOPERATION for memory not from this manager (contract 3.3, 3.10). */
    STDMETHOD(VirtualFree)(THIS_ LPVOID lpAddress, SIZE_T dwSize, DWORD dwFreeType) PURE;
    /* Win32's VirtualQuery, of any address; *pResult is what Win32 returns. Must take no lock. The CLR tests
     * the result with FAILED (contract 1, 3.4, 3.9). */
    STDMETHOD(VirtualQuery)(THIS_ void *lpAddress, void *lpBuffer, SIZE_T dwLength, SIZE_T *pResult) PURE;
    /* Win32's VirtualProtect, of any address (contract 3.4). */
    STDMETHOD(VirtualProtect)(THIS_ void *lpAddress, SIZE_T dwSize, DWORD flNewProtect,
                              DWORD *pflOldProtect) PURE;
    /* Percent of physical memory in use, bytes available to the CLR; they guide the GC (contract 3.7). */
    STDMETHOD(GetMemoryLoad)(THIS_ DWORD *pMemoryLoad, SIZE_T *pAvailableBytes) PURE;
    /* Where the CLR wants to hear of memory; at most one call, its result ignored (contract 3.1, 3.8). */
    STDMETHOD(RegisterMemoryNotificationCallback)(THIS_ ICLRMemoryNotificationCallback *pCallback) PURE;
    /* A file could not be mapped here; any success makes the CLR try once more. size is 0 for a whole file
     * (contract 3.6). */
    STDMETHOD(NeedsVirtualAddressSpace)(THIS_ LPVOID startAddress, SIZE_T size) PURE;
    /* A file has been mapped here; size may be 0 (contract 3.6). */
    STDMETHOD(AcquiredVirtualAddressSpace)(THIS_ LPVOID startAddress, SIZE_T size) PURE;
    /* A view has been unmapped, perhaps one never reported (contract 3.6). */
    STDMETHOD(ReleasedVirtualAddressSpace)(THIS_ LPVOID startAddress) PURE;
    END_INTERFACE
};
#if defined(__cplusplus) && defined(__CRT_UUID_DECL)
__CRT_UUID_DECL(IHostMemoryManager,
                0x7bc698d1, 0xf9e3, 0x4460, 0x9c, 0xde, 0xd0, 0x42, 0x48, 0xe9, 0xfa, 0x25)
#endif
#if defined(COBJMACROS) && (!defined(__cplusplus) || defined(CINTERFACE))
#define IHostMemoryManager_QueryInterface(This, riid, ppvObject) \
    ((This)->lpVtbl->QueryInterface(This, riid, ppvObject))
#define IHostMemoryManager_AddRef(This) ((This)->lpVtbl->AddRef(This))
#define IHostMemoryManager_Release(This) ((This)->lpVtbl->Release(This))
#define IHostMemoryManager_CreateMalloc(This, dwMallocType, ppMalloc) \
    ((This)->lpVtbl->CreateMalloc(This, dwMallocType, ppMalloc))
#define IHostMemoryManager_VirtualAlloc(This, pAddress, dwSize, flAllocationType, flProtect, eCriticalLevel, \
                                        ppMem) \
    ((This)->lpVtbl->VirtualAlloc(This, pAddress, dwSize, flAllocationType, flProtect, eCriticalLevel, ppMem))
#define IHostMemoryManager_VirtualFree(This, lpAddress, dwSize, dwFreeType) \
    ((This)->lpVtbl->VirtualFree(This, lpAddress, dwSize, dwFreeType))
#define IHostMemoryManager_VirtualQuery(This, lpAddress, lpBuffer, dwLength, pResult) \
    ((This)->lpVtbl->VirtualQuery(This, lpAddress, lpBuffer, dwLength, pResult))
#define IHostMemoryManager_VirtualProtect(This, lpAddress, dwSize, flNewProtect, pflOldProtect) \
    ((This)->lpVtbl->VirtualProtect(This, lpAddress, dwSize, flNewProtect, pflOldProtect))
#define IHostMemoryManager_GetMemoryLoad(This, pMemoryLoad, pAvailableBytes) \
    ((This)->lpVtbl->GetMemoryLoad(This, pMemoryLoad, pAvailableBytes))
#define IHostMemoryManager_RegisterMemoryNotificationCallback(This, pCallback) \
    ((This)->lpVtbl->RegisterMemoryNotificationCallback(This, pCallback))
#define IHostMemoryManager_NeedsVirtualAddressSpace(This, startAddress, size) \
    ((This)->lpVtbl->NeedsVirtualAddressSpace(This, startAddress, size))
#define IHostMemoryManager_AcquiredVirtualAddressSpace(This, startAddress, size) \
    ((This)->lpVtbl->AcquiredVirtualAddressSpace(This, startAddress, size))
#define IHostMemoryManager_ReleasedVirtualAddressSpace(This, startAddress) \
    ((This)->lpVtbl->ReleasedVirtualAddressSpace(This, startAddress))
#endif
#endif /* __IHostMemoryManager_INTERFACE_DEFINED__ */

/*
 * IHostGCManager: implemented by the host, notified of the GC's suspensions (contract 2, 3.12).
 */
#ifndef __IHostGCManager_INTERFACE_DEFINED__
#define __IHostGCManager_INTERFACE_DEFINED__
HOSTMEM_IID_(IID_IHostGCManager,
             0x5d4ec34e, 0xf248, 0x457b, 0xb6, 0x03, 0x25, 0x5f, 0xaa, 0xba, 0x0d, 0x21);
#undef INTERFACE
#define INTERFACE IHostGCManager
HOSTMEM_INTERFACE_(IHostGCManager, IUnknown, "5D4EC34E-F248-457B-B603-255FAABA0D21")
{
    BEGIN_INTERFACE
    STDMETHOD(QueryInterface)(THIS_ REFIID riid, void **ppvObject) PURE;
    STDMETHOD_(ULONG, AddRef)(THIS) PURE;
    STDMETHOD_(ULONG, Release)(THIS) PURE;

    /* The calling thread is about to block for a suspension; give it no other work (contract 3.12). */
    STDMETHOD(ThreadIsBlockingForSuspension)(THIS) PURE;
    /* The calling thread begins a suspension, for a GC or something else (contract 3.12). */
    STDMETHOD(SuspensionStarting)(THIS) PURE;
    /* It is over; Generation is what was collected, ~0 if it was not for a GC (contract 4). */
    STDMETHOD(SuspensionEnding)(THIS_ DWORD Generation) PURE;
    END_INTERFACE
};
#if defined(__cplusplus) && defined(__CRT_UUID_DECL)
__CRT_UUID_DECL(IHostGCManager,
                0x5d4ec34e, 0xf248, 0x457b, 0xb6, 0x03, 0x25, 0x5f, 0xaa, 0xba, 0x0d, 0x21)
#endif
#if defined(COBJMACROS) && (!defined(__cplusplus) || defined(CINTERFACE))
#define IHostGCManager_QueryInterface(This, riid, ppvObject) \
    ((This)->lpVtbl->QueryInterface(This, riid, ppvObject))
#define IHostGCManager_AddRef(This) ((This)->lpVtbl->AddRef(This))
#define IHostGCManager_Release(This) ((This)->lpVtbl->Release(This))
#define IHostGCManager_ThreadIsBlockingForSuspension(This) \
    ((This)->lpVtbl->ThreadIsBlockingForSuspension(This))
#define IHostGCManager_SuspensionStarting(This) ((This)->lpVtbl->SuspensionStarting(This))
#define IHostGCManager_SuspensionEnding(This, Generation) ((This)->lpVtbl->SuspensionEnding(This, Generation))
#endif
#endif /* __IHostGCManager_INTERFACE_DEFINED__ */

/*
 * ICLRGCManager: the CLR's, from ICLRControl::GetCLRManager (contract 2, 3.12).
 */
#ifndef __ICLRGCManager_INTERFACE_DEFINED__
#define __ICLRGCManager_INTERFACE_DEFINED__
HOSTMEM_IID_(IID_ICLRGCManager,
             0x54d9007e, 0xa8e2, 0x4885, 0xb7, 0xbf, 0xf9, 0x98, 0xde, 0xee, 0x4f, 0x2a);
#undef INTERFACE
#define INTERFACE ICLRGCManager
HOSTMEM_INTERFACE_(ICLRGCManager, IUnknown, "54D9007E-A8E2-4885-B7BF-F998DEEE4F2A")
{
    BEGIN_INTERFACE
    STDMETHOD(QueryInterface)(THIS_ REFIID riid, void **ppvObject) PURE;
    STDMETHOD_(ULONG, AddRef)(THIS) PURE;
    STDMETHOD_(ULONG, Release)(THIS) PURE;

    /* Collects that generation, all for -1 (contract 3.12). */
    STDMETHOD(Collect)(THIS_ LONG Generation) PURE;
    /* Fills in what pStats->Flags asks for (contract 2). */
    STDMETHOD(GetStats)(THIS_ COR_GC_STATS *pStats) PURE;
    /* Once, before Start; 0 or ~0 leaves a figure as it is (contract 3.12, 4). */
    STDMETHOD(SetGCStartupLimits)(THIS_ DWORD SegmentSize, DWORD MaxGen0Size) PURE;
    END_INTERFACE
};
#if defined(__cplusplus) && defined(__CRT_UUID_DECL)
__CRT_UUID_DECL(ICLRGCManager,
                0x54d9007e, 0xa8e2, 0x4885, 0xb7, 0xbf, 0xf9, 0x98, 0xde, 0xee, 0x4f, 0x2a)
#endif
#if defined(COBJMACROS) && (!defined(__cplusplus) || defined(CINTERFACE))
#define ICLRGCManager_QueryInterface(This, riid, ppvObject) \
    ((This)->lpVtbl->QueryInterface(This, riid, ppvObject))
#define ICLRGCManager_AddRef(This) ((This)->lpVtbl->AddRef(This))
#define ICLRGCManager_Release(This) ((This)->lpVtbl->Release(This))
#define ICLRGCManager_Collect(This, Generation) ((This)->lpVtbl->Collect(This, Generation))
#define ICLRGCManager_GetStats(This, pStats) ((This)->lpVtbl->GetStats(This, pStats))
#define ICLRGCManager_SetGCStartupLimits(This, SegmentSize, MaxGen0Size) \
    ((This)->lpVtbl->SetGCStartupLimits(This, SegmentSize, MaxGen0Size))
#endif
#endif /* __ICLRGCManager_INTERFACE_DEFINED__ */

/*
 * ICLRGCManager2: .NET Framework 4.5 and later; sizes past 4 GB (contract 2, 3.12).
 */
#ifndef __ICLRGCManager2_INTERFACE_DEFINED__
#define __ICLRGCManager2_INTERFACE_DEFINED__
HOSTMEM_IID_(IID_ICLRGCManager2,
             0x0603b793, 0xa97a, 0x4712, 0x9c, 0xb4, 0x0c, 0xd1, 0xc7, 0x4c, 0x0f, 0x7c);
#undef INTERFACE
#define INTERFACE ICLRGCManager2
HOSTMEM_INTERFACE_(ICLRGCManager2, ICLRGCManager, "0603B793-A97A-4712-9CB4-0CD1C74C0F7C")
{
    BEGIN_INTERFACE
    STDMETHOD(QueryInterface)(THIS_ REFIID riid, void **ppvObject) PURE;
    STDMETHOD_(ULONG, AddRef)(THIS) PURE;
    STDMETHOD_(ULONG, Release)(THIS) PURE;
    STDMETHOD(Collect)(THIS_ LONG Generation) PURE;
    STDMETHOD(GetStats)(THIS_ COR_GC_STATS *pStats) PURE;
    STDMETHOD(SetGCStartupLimits)(THIS_ DWORD SegmentSize, DWORD MaxGen0Size) PURE;

    /* The same with SIZE_T figures (contract 2, 3.12). */
    STDMETHOD(SetGCStartupLimitsEx)(THIS_ SIZE_T SegmentSize, SIZE_T MaxGen0Size) PURE;
    END_INTERFACE
};
#if defined(__cplusplus) && defined(__CRT_UUID_DECL)
__CRT_UUID_DECL(ICLRGCManager2,
                0x0603b793, 0xa97a, 0x4712, 0x9c, 0xb4, 0x0c, 0xd1, 0xc7, 0x4c, 0x0f, 0x7c)
#endif
#if defined(COBJMACROS) && (!defined(__cplusplus) || defined(CINTERFACE))
#define ICLRGCManager2_QueryInterface(This, riid, ppvObject) \
    ((This)->lpVtbl->QueryInterface(This, riid, ppvObject))
#define ICLRGCManager2_AddRef(This) ((This)->lpVtbl->AddRef(This))
#define ICLRGCManager2_Release(This) ((This)->lpVtbl->Release(This))
#define ICLRGCManager2_Collect(This, Generation) ((This)->lpVtbl->Collect(This, Generation))
#define ICLRGCManager2_GetStats(This, pStats) ((This)->lpVtbl->GetStats(This, pStats))
#define ICLRGCManager2_SetGCStartupLimits(This, SegmentSize, MaxGen0Size) \
    ((This)->lpVtbl->SetGCStartupLimits(This, SegmentSize, MaxGen0Size))
#define ICLRGCManager2_SetGCStartupLimitsEx(This, SegmentSize, MaxGen0Size) \
    ((This)->lpVtbl->SetGCStartupLimitsEx(This, SegmentSize, MaxGen0Size))
#endif
#endif /* __ICLRGCManager2_INTERFACE_DEFINED__ */

#undef INTERFACE

/* clang-format on */

#endif /* HOSTMEM_CLR_H */
