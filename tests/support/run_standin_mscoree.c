/*
 * A DLL in the place of mscoree.dll, for hostmem-run --mscoree: .NET Framework's side of the hosting
 * contract, without a runtime. Its ICLRRuntimeHost asks the host in the CLR's order and by the CLR's tests
 * (contract 3.1), and Start uses the memory manager with every flag combination that the contract names (3.2
 * to 3.8, 4). What it finds wrong goes to stderr as "stand-in: FAILED ...", and the call fails with E_FAIL.
 *
 * ExecuteInDefaultAppDomain "runs" Sample.Entry.Run: it prints its argument and returns that as a number. The
 * argument "exit" calls ExitProcess(45) instead, the way native code in a program would. And Hostmem.Check.Run, which
 * is hostmem-check's C# program: what it holds is committed here, and a Low is a collection.
 *
 * STANDIN_FAULT in the environment names something that no CLR is to do, for tests of whoever has to notice.
 */
#include <initguid.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <hostmem/clr.h>

DEFINE_GUID(clsid_meta_host, 0x9280188D, 0x0E8E, 0x4867, 0xB3, 0x0C, 0x7F, 0xA8, 0x38, 0x84, 0xE8, 0xDE);
DEFINE_GUID(iid_meta_host, 0xD332DB9E, 0xB9B3, 0x4125, 0x82, 0x07, 0xA1, 0x48, 0x84, 0xF5, 0x32, 0x16);
DEFINE_GUID(iid_runtime_info, 0xBD39D1D2, 0xBA2F, 0x486A, 0x89, 0xB0, 0xB4, 0xB0, 0xCB, 0x46, 0x68, 0x91);
DEFINE_GUID(clsid_runtime_host, 0x90F1A06E, 0x7712, 0x4762, 0x86, 0xB5, 0x7A, 0x5E, 0xBA, 0x6B, 0xDB, 0x02);
DEFINE_GUID(iid_runtime_host, 0x90F1A06C, 0x7712, 0x4762, 0x86, 0xB5, 0x7A, 0x5E, 0xBA, 0x6B, 0xDB, 0x02);
DEFINE_GUID(iid_task, 0x997FF24C, 0x43B7, 0x4352, 0x86, 0x67, 0x0D, 0xC0, 0x4F, 0xAF, 0xD3, 0x54);
DEFINE_GUID(iid_threadpool, 0x983D50E2, 0xCB15, 0x466B, 0x80, 0xFC, 0x84, 0x5D, 0xC6, 0xE8, 0xC5, 0xFD);
DEFINE_GUID(iid_io, 0x8BDE9D80, 0xEC06, 0x41D6, 0x83, 0xE6, 0x22, 0x58, 0x0E, 0xFF, 0xCC, 0x20);
DEFINE_GUID(iid_sync, 0x234330C7, 0x5F10, 0x4F20, 0x96, 0x15, 0x51, 0x22, 0xDA, 0xB7, 0xA0, 0xAC);
DEFINE_GUID(iid_assembly, 0x613DABD7, 0x62B2, 0x493E, 0x9E, 0x65, 0xC1, 0xE3, 0x2A, 0x1E, 0x0C, 0x5E);
DEFINE_GUID(iid_gc, 0x5D4EC34E, 0xF248, 0x457B, 0xB6, 0x03, 0x25, 0x5F, 0xAA, 0xBA, 0x0D, 0x21);
DEFINE_GUID(iid_security, 0x75AD2468, 0xA349, 0x4D02, 0xA7, 0x64, 0x76, 0xA6, 0x8A, 0xEE, 0x0C, 0x4F);
DEFINE_GUID(iid_policy, 0x7AE49844, 0xB1E3, 0x4683, 0xBA, 0x7C, 0x1E, 0x82, 0x12, 0xEA, 0x3B, 0x79);

enum { PAGE = 4096, GRANULE = 65536 };

static IHostControl *host_control;
static IHostMemoryManager *memory;
static IHostMalloc *heap;
static bool started;

/* What is wrong with this CLR. */
static bool has_fault(const char *name)
{
    char fault[32] = "";
    GetEnvironmentVariableA("STANDIN_FAULT", fault, sizeof fault);
    return strcmp(fault, name) == 0;
}

#define EXPECT(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "stand-in: FAILED line %d: %s\n", __LINE__, #condition);                         \
            return E_FAIL;                                                                                   \
        }                                                                                                    \
    } while (0)

/* Objects that live for ever: constant reference counts, as those of the CLR's callback. */
static HRESULT STDMETHODCALLTYPE no_interface(IUnknown *self, REFIID riid, void **object)
{
    (void)self;
    (void)riid;
    *object = NULL;
    return E_NOINTERFACE;
}

static ULONG STDMETHODCALLTYPE count_one(IUnknown *self)
{
    (void)self;
    return 1;
}

static LONG volatile collections;

static HRESULT STDMETHODCALLTYPE callback_notify(ICLRMemoryNotificationCallback *self,
                                                 EMemoryAvailable available)
{
    (void)self;
    if (available == eMemoryAvailableLow && started && !has_fault("deaf"))
        InterlockedIncrement(&collections);
    return S_OK;
}

/* One that counts. */
static ULONG STDMETHODCALLTYPE count_two(IUnknown *self)
{
    (void)self;
    return 2;
}

static struct {
    void *query, *add_ref, *release;
    HRESULT(STDMETHODCALLTYPE *notify)(ICLRMemoryNotificationCallback *self, EMemoryAvailable available);
} callback_vtable = {no_interface, count_one, count_one, callback_notify};
static struct {
    const void *vtable;
} callback = {&callback_vtable};

/* As EEVirtualAlloc: the out variable is not initialised, and only S_OK counts. */
static void *allocate(void *address, SIZE_T size, DWORD type, DWORD protect)
{
    void *result = (void *)(uintptr_t)0xDEADBEEF;
    EMemoryCriticalLevel level = started || has_fault("early-task") ? eTaskCritical : eProcessCritical;

    return IHostMemoryManager_VirtualAlloc(memory, address, size, type, protect, level, &result) == S_OK
               ? result
               : NULL;
}

static bool release(void *address, SIZE_T size, DWORD type)
{
    return IHostMemoryManager_VirtualFree(memory, address, size, type) == S_OK;
}

static SIZE_T query(const void *address, MEMORY_BASIC_INFORMATION *found)
{
    SIZE_T result = 0xDEADBEEF;

    return FAILED(IHostMemoryManager_VirtualQuery(memory, (void *)(uintptr_t)address, found, sizeof *found,
                                                  &result))
               ? 0
               : result;
}

/* Start-up of the collector: the write-watch probe, a segment, tables with odd sizes, decommit and reset. */
static HRESULT use_as_collector(void)
{
    char *probe = allocate(NULL, GRANULE, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);
    EXPECT(probe && (uintptr_t)probe % GRANULE == 0);
    EXPECT(release(probe, 0, MEM_RELEASE));

    char *segment = allocate(NULL, 16 << 20, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);
    EXPECT(segment);
    EXPECT(allocate(segment, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE) == segment);
    EXPECT(segment[0] == 0 && segment[2 * PAGE - 1] == 0);
    EXPECT(allocate(segment + PAGE, 16 * PAGE, MEM_COMMIT, PAGE_READWRITE) ==
           segment + PAGE); /* one page again */
    EXPECT(allocate(segment + 4 * PAGE, 2 * PAGE, MEM_RESET, PAGE_READWRITE) == segment + 4 * PAGE);
    EXPECT(release(segment + 8 * PAGE, 32 * PAGE, MEM_DECOMMIT)); /* and some that never was committed */

    ULONG_PTR written = 1;
    DWORD granularity;
    void *pages[1];
    segment[0] = 1;
    EXPECT(GetWriteWatch(0, segment, PAGE, pages, &written, &granularity) == 0 && written == 1);

    char *tables = allocate(NULL, 1 << 20, MEM_RESERVE, PAGE_READWRITE);
    EXPECT(tables && allocate(tables + 100, 5000, MEM_COMMIT, PAGE_READWRITE) == tables);
    EXPECT(!release(tables, 1 << 20, MEM_RELEASE)); /* a size with MEM_RELEASE: Windows refuses */
    EXPECT(release(tables, 0, MEM_RELEASE));
    return S_OK;
}

/* Loader, JIT and others. */
static HRESULT use_as_loader(void)
{
    MEMORY_BASIC_INFORMATION found;
    char *at = NULL;

    /* As the CLR looks for room near its code: by VirtualQuery, and on where Windows refuses. */
    for (char *look = (char *)0x10000000; !at && query(look, &found) == sizeof found;) {
        char *end = (char *)found.BaseAddress + found.RegionSize;
        if (found.State == MEM_FREE && end - look >= 4 * GRANULE && (uintptr_t)look % GRANULE == 0)
            at = allocate(look, 4 * GRANULE, MEM_RESERVE, PAGE_NOACCESS);
        look = found.State == MEM_FREE ? (char *)((uintptr_t)look / GRANULE * GRANULE + 16 * GRANULE) : end;
    }
    EXPECT(at);
    EXPECT(allocate(at + PAGE, PAGE, MEM_COMMIT, PAGE_EXECUTE_READWRITE) == at + PAGE);
    EXPECT(allocate(at + PAGE, PAGE, MEM_COMMIT, PAGE_READONLY) == at + PAGE);
    EXPECT(query(at + PAGE, &found) == sizeof found && found.Protect == PAGE_READONLY &&
           found.RegionSize == PAGE);

    EXPECT(allocate(NULL, GRANULE, MEM_RESERVE | MEM_TOP_DOWN, PAGE_EXECUTE_READWRITE));
    EXPECT(allocate(NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));

    char *arena = allocate(NULL, GRANULE, MEM_COMMIT, PAGE_READWRITE); /* reserves by itself */
    EXPECT(arena && arena[GRANULE - 1] == 0);
    EXPECT(release(arena, 0, MEM_RELEASE));
    arena = allocate(NULL, 3 * GRANULE, MEM_COMMIT, PAGE_READWRITE);
    EXPECT(arena);
    return S_OK;
}

/* Memory that the host never gave out. */
static HRESULT use_of_others(void)
{
    MEMORY_BASIC_INFORMATION found;
    DWORD old = 0xDEADBEEF;

    EXPECT(query(&found, &found) == sizeof found && found.State == MEM_COMMIT);
    EXPECT(!release(&found, 0, MEM_RELEASE));
    char *raw = VirtualAlloc(NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    EXPECT(raw);
    EXPECT(IHostMemoryManager_VirtualProtect(memory, raw, 1, PAGE_READONLY, &old) == S_OK &&
           old == PAGE_READWRITE);
    EXPECT(IHostMemoryManager_VirtualFree(memory, raw, 0, MEM_RELEASE) == HOST_E_INVALIDOPERATION);
    EXPECT(VirtualFree(raw, 0, MEM_RELEASE));

    HANDLE mapping = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 2 * GRANULE, NULL);
    char *view = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
    EXPECT(view);
    IHostMemoryManager_AcquiredVirtualAddressSpace(memory, view, 0); /* "the whole file" */
    UnmapViewOfFile(view);
    IHostMemoryManager_ReleasedVirtualAddressSpace(memory, view);
    view = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0); /* stays */
    EXPECT(view);
    IHostMemoryManager_AcquiredVirtualAddressSpace(memory, view, 2 * GRANULE);
    CloseHandle(mapping);
    return S_OK;
}

static HRESULT use_heap(void)
{
    void *block = (void *)(uintptr_t)0xDEADBEEF, *kept = NULL;
    DWORD load = 0xDEADBEEF;
    SIZE_T available = 0;

    EXPECT(IHostMalloc_Alloc(heap, 100, eProcessCritical, &block) == S_OK && block);
    EXPECT((uintptr_t)block % (2 * sizeof(void *)) == 0);
    EXPECT(IHostMalloc_Free(heap, block) == S_OK);
    EXPECT(IHostMalloc_Free(heap, NULL) == S_OK);
    EXPECT(IHostMalloc_Alloc(heap, 1000, eTaskCritical, &kept) == S_OK && kept);
    EXPECT(IHostMemoryManager_GetMemoryLoad(memory, &load, &available) == S_OK && load <= 100 && available);
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE runtime_start(ICLRRuntimeHost *self)
{
    HRESULT hr = S_OK;

    (void)self;
    if (memory) {
        hr = use_as_loader();
        if (hr == S_OK)
            hr = use_of_others();
        started = true;
        if (hr == S_OK)
            hr = use_as_collector();
        if (hr == S_OK && heap)
            hr = use_heap();
    }
    started = true;
    if (has_fault("start"))
        return E_FAIL;
    if (has_fault("protect")) { /* nothing is there */
        DWORD old;
        IHostMemoryManager_VirtualProtect(memory, NULL, 1, PAGE_READONLY, &old);
    }
    if (has_fault("behind-the-back"))
        VirtualFree(allocate(NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE), 0, MEM_RELEASE);
    if (hr == S_OK)
        fprintf(stderr, "stand-in: started %s\n", memory ? "under the host's manager" : "raw");
    return hr;
}

static bool ask_for(IHostControl *control, const GUID *iid)
{
    void *object = (void *)(uintptr_t)0xDEADBEEF;
    return IHostControl_GetHostManager(control, iid, &object) == E_NOINTERFACE && !object;
}

static HRESULT take_memory_manager(IHostControl *control)
{
    IHostMemoryManager *manager = NULL;
    DWORD type = has_fault("executable-malloc") ? MALLOC_THREADSAFE | MALLOC_EXECUTABLE : MALLOC_THREADSAFE;

    if (has_fault("task-first"))
        EXPECT(ask_for(control, &iid_task));
    if (IHostControl_GetHostManager(control, &IID_IHostMemoryManager, (void **)&manager) != S_OK || !manager)
        return S_OK; /* not hosted */
    if (has_fault("late-malloc"))
        EXPECT(ask_for(control, &iid_task));
    if (IHostMemoryManager_CreateMalloc(manager, type, &heap) != S_OK) {
        IHostMemoryManager_Release(manager);
        return E_UNEXPECTED;
    }
    if (has_fault("counting-callback"))
        callback_vtable.add_ref = count_two;
    if (!has_fault("no-callback"))
        IHostMemoryManager_RegisterMemoryNotificationCallback(manager,
                                                              (ICLRMemoryNotificationCallback *)&callback);
    memory = manager;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE runtime_set_host_control(ICLRRuntimeHost *self, IHostControl *control)
{
    static const GUID *const others[] = {&iid_task,     &iid_threadpool, &iid_io,       &iid_sync,
                                         &iid_assembly, &iid_gc,         &iid_security, &iid_policy};

    (void)self;
    if (!control)
        return has_fault("null-control") ? S_OK : E_INVALIDARG;
    if (started)
        return has_fault("late-control") ? S_OK : E_ACCESSDENIED;
    if (!memory || has_fault("asks-twice")) { /* the first one stays */
        HRESULT hr = take_memory_manager(control);
        if (hr != S_OK)
            return hr;
    }
    for (unsigned i = 0; i < ARRAYSIZE(others); i++)
        EXPECT(ask_for(control, others[i]));
    if (!host_control) {
        IHostControl_AddRef(control);
        host_control = control;
    }
    return has_fault("control") ? E_FAIL : S_OK;
}

static HRESULT STDMETHODCALLTYPE runtime_stop(ICLRRuntimeHost *self)
{
    (void)self;
    if (has_fault("dies"))
        TerminateProcess(GetCurrentProcess(), 3);
    if (has_fault("releases"))
        IHostMemoryManager_Release(memory);
    IHostControl_Release(host_control);
    return has_fault("stop") ? E_FAIL : S_OK;
}

/* hostmem-check's program: what it holds. */
enum { PIECE = 1 << 20, PIECES = 512 };
static char *pieces[PIECES];
static unsigned piece_count;

static void pieces_drop(void)
{
    while (piece_count) {
        char *piece = pieces[--piece_count];
        if (!release(piece, 0, MEM_RELEASE))
            VirtualFree(piece, 0, MEM_RELEASE);
    }
    InterlockedIncrement(&collections);
}

static char *piece_take(void)
{
    char *piece = has_fault("own-memory") ? NULL : allocate(NULL, PIECE, MEM_RESERVE, PAGE_READWRITE);

    if (piece && allocate(piece, PIECE, MEM_COMMIT, PAGE_READWRITE))
        return piece;
    if (piece)
        release(piece, 0, MEM_RELEASE);
    return has_fault("own-memory") || has_fault("swallows-refusal")
               ? VirtualAlloc(NULL, PIECE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE)
               : NULL;
}

static unsigned pieces_hold(unsigned count)
{
    unsigned done = 0;

    while (done < count && piece_count < PIECES && (pieces[piece_count] = piece_take()) != NULL) {
        piece_count++;
        done++;
    }
    return done;
}

static DWORD check_run(const wchar_t *command)
{
    const wchar_t *blank = wcschr(command, L' ');
    const unsigned number = blank ? wcstoul(blank, NULL, 10) : 0;

    if (wcsncmp(command, L"echo", 4) == 0)
        return has_fault("echo") ? 0 : number;
    if (wcsncmp(command, L"hold", 4) == 0)
        return pieces_hold(number) == number ? piece_count : (DWORD)-1;
    if (wcsncmp(command, L"fill", 4) == 0) {
        unsigned fit = pieces_hold(number);
        pieces_drop();
        return fit;
    }
    if (wcscmp(command, L"drop") == 0)
        pieces_drop();
    return wcscmp(command, L"collections") == 0 ? (DWORD)collections : 0;
}

static HRESULT STDMETHODCALLTYPE runtime_execute(ICLRRuntimeHost *self, LPCWSTR assembly, LPCWSTR type,
                                                 LPCWSTR method, LPCWSTR argument, DWORD *result)
{
    (void)self;
    if (!started)
        return HOST_E_CLRNOTAVAILABLE;
    if (GetFileAttributesW(assembly) == INVALID_FILE_ATTRIBUTES)
        return HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND);
    if (wcscmp(type, L"Hostmem.Check") == 0) {
        *result = check_run(argument);
        return S_OK;
    }
    if (wcscmp(type, L"Sample.Entry") != 0)
        return (HRESULT)0x80131522; /* COR_E_TYPELOAD */
    if (wcscmp(method, L"Run") != 0)
        return (HRESULT)0x80131513; /* COR_E_MISSINGMETHOD */
    printf("Sample.Entry.Run(\"%ls\")\n", argument);
    fflush(stdout);
    if (wcscmp(argument, L"exit") == 0)
        ExitProcess(45);
    if (wcscmp(argument, L"throw") == 0) /* COR_E_INVALIDOPERATION, or for want of room */
        return allocate(NULL, 64 << 20, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) ? (HRESULT)0x80131509
                                                                                  : E_OUTOFMEMORY;
    *result = wcstoul(argument, NULL, 10);
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE not_here(void)
{
    return E_NOTIMPL; /* never called: the slots have other parameters */
}

static const ICLRRuntimeHostVtbl runtime_vtable = {
    .QueryInterface = (void *)no_interface,
    .AddRef = (void *)count_one,
    .Release = (void *)count_one,
    .Start = runtime_start,
    .Stop = runtime_stop,
    .SetHostControl = runtime_set_host_control,
    .GetCLRControl = (void *)not_here,
    .UnloadAppDomain = (void *)not_here,
    .ExecuteInAppDomain = (void *)not_here,
    .GetCurrentAppDomainId = (void *)not_here,
    .ExecuteApplication = (void *)not_here,
    .ExecuteInDefaultAppDomain = runtime_execute,
};
static struct {
    const void *vtable;
} runtime = {&runtime_vtable};

static HRESULT STDMETHODCALLTYPE info_get_interface(void *self, REFCLSID clsid, REFIID riid, void **object)
{
    (void)self;
    EXPECT(IsEqualGUID(clsid, &clsid_runtime_host) && IsEqualGUID(riid, &iid_runtime_host));
    if (has_fault("unloadable"))
        return (HRESULT)0x80131700; /* CLR_E_SHIM_RUNTIMELOAD */
    *object = &runtime;
    return S_OK;
}

static const void *const info_vtable[15] = {
    [0] = no_interface, count_one, count_one, [9] = info_get_interface};
static struct {
    const void *vtable;
} info = {info_vtable};

static HRESULT STDMETHODCALLTYPE meta_get_runtime(void *self, LPCWSTR version, REFIID riid, void **object)
{
    (void)self;
    *object = NULL;
    EXPECT(IsEqualGUID(riid, &iid_runtime_info));
    if (wcscmp(version, L"v4.0.30319") != 0)
        return (HRESULT)0x80131700; /* CLR_E_SHIM_RUNTIMELOAD */
    *object = &info;
    return S_OK;
}

static const void *const meta_vtable[10] = {no_interface, count_one, count_one, meta_get_runtime};
static struct {
    const void *vtable;
} meta = {meta_vtable};

HRESULT STDAPICALLTYPE CLRCreateInstance(REFCLSID clsid, REFIID riid, void **object);

__declspec(dllexport) HRESULT STDAPICALLTYPE CLRCreateInstance(REFCLSID clsid, REFIID riid, void **object)
{
    *object = NULL;
    EXPECT(IsEqualGUID(clsid, &clsid_meta_host) && IsEqualGUID(riid, &iid_meta_host));
    *object = &meta;
    return S_OK;
}
