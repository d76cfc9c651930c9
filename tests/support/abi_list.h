/*
 * The binary interface as the documents and the CLR's IDL give it: the expected values, written out by hand.
 *
 * ABI_SLOTS(X): X(interface, method, slot, result type, number of arguments with This, argument types...).
 * ABI_INTERFACES(X): X(interface, number of slots, IID).
 * ABI_VALUES(X): X(expression, value).
 */
#ifndef TESTS_SUPPORT_ABI_LIST_H
#define TESTS_SUPPORT_ABI_LIST_H

/* clang-format off */
#define ABI_INTERFACES(X) \
    X(ICLRMemoryNotificationCallback, 4, "47EB8E57-0846-4546-AF76-6F42FCFC2649") \
    X(IHostMalloc,                    6, "1831991C-CC53-4A31-B218-04E910446479") \
    X(IHostMemoryManager,            13, "7BC698D1-F9E3-4460-9CDE-D04248E9FA25") \
    X(IHostGCManager,                 6, "5D4EC34E-F248-457B-B603-255FAABA0D21") \
    X(ICLRGCManager,                  6, "54D9007E-A8E2-4885-B7BF-F998DEEE4F2A") \
    X(ICLRGCManager2,                 7, "0603B793-A97A-4712-9CB4-0CD1C74C0F7C") \
    X(IHostControl,                   5, "02CA073C-7079-4860-880A-C2F7A449C991") \
    X(ICLRControl,                    5, "9065597E-D1A1-4FB2-B6BA-7E1FCE230F61") \
    X(ICLRRuntimeHost,               12, "90F1A06C-7712-4762-86B5-7A5EBA6BDB02")

#define ABI_UNKNOWN(X, I) \
    X(I, QueryInterface, 0, HRESULT, 3, REFIID, void **) \
    X(I, AddRef, 1, ULONG, 1) \
    X(I, Release, 2, ULONG, 1)

#define ABI_GC_MANAGER(X, I) \
    ABI_UNKNOWN(X, I) \
    X(I, Collect, 3, HRESULT, 2, LONG) \
    X(I, GetStats, 4, HRESULT, 2, COR_GC_STATS *) \
    X(I, SetGCStartupLimits, 5, HRESULT, 3, DWORD, DWORD)

#define ABI_SLOTS(X) \
    ABI_UNKNOWN(X, ICLRMemoryNotificationCallback) \
    X(ICLRMemoryNotificationCallback, OnMemoryNotification, 3, HRESULT, 2, EMemoryAvailable) \
    ABI_UNKNOWN(X, IHostMalloc) \
    X(IHostMalloc, Alloc, 3, HRESULT, 4, SIZE_T, EMemoryCriticalLevel, void **) \
    X(IHostMalloc, DebugAlloc, 4, HRESULT, 6, SIZE_T, EMemoryCriticalLevel, char *, int, void **) \
    X(IHostMalloc, Free, 5, HRESULT, 2, void *) \
    ABI_UNKNOWN(X, IHostMemoryManager) \
    X(IHostMemoryManager, CreateMalloc, 3, HRESULT, 3, DWORD, IHostMalloc **) \
    X(IHostMemoryManager, VirtualAlloc, 4, HRESULT, 7, void *, SIZE_T, DWORD, DWORD, EMemoryCriticalLevel, \
      void **) \
    X(IHostMemoryManager, VirtualFree, 5, HRESULT, 4, LPVOID, SIZE_T, DWORD) \
    X(IHostMemoryManager, VirtualQuery, 6, HRESULT, 5, void *, void *, SIZE_T, SIZE_T *) \
    X(IHostMemoryManager, VirtualProtect, 7, HRESULT, 5, void *, SIZE_T, DWORD, DWORD *) \
    X(IHostMemoryManager, GetMemoryLoad, 8, HRESULT, 3, DWORD *, SIZE_T *) \
    X(IHostMemoryManager, RegisterMemoryNotificationCallback, 9, HRESULT, 2, \
      ICLRMemoryNotificationCallback *) \
    X(IHostMemoryManager, NeedsVirtualAddressSpace, 10, HRESULT, 3, LPVOID, SIZE_T) \
    X(IHostMemoryManager, AcquiredVirtualAddressSpace, 11, HRESULT, 3, LPVOID, SIZE_T) \
    X(IHostMemoryManager, ReleasedVirtualAddressSpace, 12, HRESULT, 2, LPVOID) \
    ABI_UNKNOWN(X, IHostGCManager) \
    X(IHostGCManager, ThreadIsBlockingForSuspension, 3, HRESULT, 1) \
    X(IHostGCManager, SuspensionStarting, 4, HRESULT, 1) \
    X(IHostGCManager, SuspensionEnding, 5, HRESULT, 2, DWORD) \
    ABI_GC_MANAGER(X, ICLRGCManager) \
    ABI_GC_MANAGER(X, ICLRGCManager2) \
    X(ICLRGCManager2, SetGCStartupLimitsEx, 6, HRESULT, 3, SIZE_T, SIZE_T) \
    ABI_UNKNOWN(X, IHostControl) \
    X(IHostControl, GetHostManager, 3, HRESULT, 3, REFIID, void **) \
    X(IHostControl, SetAppDomainManager, 4, HRESULT, 3, DWORD, IUnknown *) \
    ABI_UNKNOWN(X, ICLRControl) \
    X(ICLRControl, GetCLRManager, 3, HRESULT, 3, REFIID, void **) \
    X(ICLRControl, SetAppDomainManagerType, 4, HRESULT, 3, LPCWSTR, LPCWSTR) \
    ABI_UNKNOWN(X, ICLRRuntimeHost) \
    X(ICLRRuntimeHost, Start, 3, HRESULT, 1) \
    X(ICLRRuntimeHost, Stop, 4, HRESULT, 1) \
    X(ICLRRuntimeHost, SetHostControl, 5, HRESULT, 2, IHostControl *) \
    X(ICLRRuntimeHost, GetCLRControl, 6, HRESULT, 2, ICLRControl **) \
    X(ICLRRuntimeHost, UnloadAppDomain, 7, HRESULT, 3, DWORD, BOOL) \
    X(ICLRRuntimeHost, ExecuteInAppDomain, 8, HRESULT, 4, DWORD, FExecuteInAppDomainCallback, void *) \
    X(ICLRRuntimeHost, GetCurrentAppDomainId, 9, HRESULT, 2, DWORD *) \
    X(ICLRRuntimeHost, ExecuteApplication, 10, HRESULT, 7, LPCWSTR, DWORD, LPCWSTR *, DWORD, LPCWSTR *, \
      int *) \
    X(ICLRRuntimeHost, ExecuteInDefaultAppDomain, 11, HRESULT, 6, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR, DWORD *)

#define ABI_STAT(X, member, word) X(offsetof(COR_GC_STATS, member), (word) * sizeof(void *))

#define ABI_VALUES(X) \
    X(eMemoryAvailableLow, 1) \
    X(eMemoryAvailableNeutral, 2) \
    X(eMemoryAvailableHigh, 3) \
    X(sizeof(EMemoryAvailable), 4) \
    X(eTaskCritical, 0) \
    X(eAppDomainCritical, 1) \
    X(eProcessCritical, 2) \
    X(sizeof(EMemoryCriticalLevel), 4) \
    X(MALLOC_THREADSAFE, 1) \
    X(MALLOC_EXECUTABLE, 2) \
    X(sizeof(MALLOC_TYPE), 4) \
    X(COR_GC_COUNTS, 1) \
    X(COR_GC_MEMORYUSAGE, 2) \
    X(sizeof(COR_GC_STAT_TYPES), 4) \
    X(sizeof(COR_GC_STATS), 13 * sizeof(void *)) \
    X(sizeof(((COR_GC_STATS *)0)->Flags), 4) \
    ABI_STAT(X, Flags, 0) \
    ABI_STAT(X, ExplicitGCCount, 1) \
    ABI_STAT(X, GenCollectionsTaken, 2) \
    ABI_STAT(X, CommittedKBytes, 5) \
    ABI_STAT(X, ReservedKBytes, 6) \
    ABI_STAT(X, Gen0HeapSizeKBytes, 7) \
    ABI_STAT(X, Gen1HeapSizeKBytes, 8) \
    ABI_STAT(X, Gen2HeapSizeKBytes, 9) \
    ABI_STAT(X, LargeObjectHeapSizeKBytes, 10) \
    ABI_STAT(X, KBytesPromotedFromGen0, 11) \
    ABI_STAT(X, KBytesPromotedFromGen1, 12) \
    X((DWORD)HOST_E_DEADLOCK, 0x80131020) \
    X((DWORD)HOST_E_INTERRUPTED, 0x80131021) \
    X((DWORD)HOST_E_INVALIDOPERATION, 0x80131022) \
    X((DWORD)HOST_E_CLRNOTAVAILABLE, 0x80131023) \
    X((DWORD)HOST_E_TIMEOUT, 0x80131024) \
    X((DWORD)HOST_E_NOT_OWNER, 0x80131025) \
    X((DWORD)HOST_E_ABANDONED, 0x80131026)
/* clang-format on */

#endif
