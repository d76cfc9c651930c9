/*
 * The bridge's part of SetHostControl, against a stand-in for coreclr.dll and hosts that misbehave.
 *
 * A bind that succeeds is for good, so the tests run in order: first everything that must leave no trace,
 * then the one bind, then what comes after it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

#include <cmocka.h>

#include "support/bridge_fake.h"
#include "support/bridge_host.h"

#define WIN32_HR(code) HRESULT_FROM_WIN32(code)

static HMODULE module;
static struct fake_runtime *fake;
static struct bridge_host host;
static struct bridge_call calls[4096];

static HMODULE fake_load(const wchar_t *name, struct fake_runtime **state)
{
    HMODULE loaded = LoadLibraryExW(bridge_beside(name), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);

    assert_non_null(loaded);
    if (state)
        *state = ((fake_runtime_get)(void *)GetProcAddress(loaded, "fake_runtime_state"))();
    return loaded;
}

/* Proves that the stand-in's calls reach Windows and nobody else. */
static void assert_not_redirected(void)
{
    unsigned before = host.count;
    LPVOID memory = fake->calls.alloc(NULL, 4096, MEM_RESERVE, PAGE_NOACCESS);

    assert_non_null(memory);
    assert_true(fake->calls.free(memory, 0, MEM_RELEASE));
    assert_int_equal(host.count, before);
    assert_int_equal(bridge_statistics().state & (HOSTMEM_BRIDGE_REDIRECTED | HOSTMEM_BRIDGE_BOUND), 0);
}

static void host_reset(void)
{
    bridge_host_init(&host);
    host.calls = calls;
    host.capacity = sizeof calls / sizeof *calls;
}

static int each_setup(void **state)
{
    (void)state;
    host_reset();
    fake->started = FALSE;
    fake->odd_answer = 0;
    fake->newest_version = 4;
    return 0;
}

/* The string of methods called on the host so far. */
static const char *order(void)
{
    static char text[64];
    unsigned i;

    for (i = 0; i < host.count && i < sizeof text - 1; ++i)
        text[i] = calls[i].method;
    text[i] = 0;
    return text;
}

static void bad_arguments(void **state)
{
    hostmem_bridge_options options = {.size = sizeof options};
    hostmem_bridge_options unknown_flag = {.size = sizeof options, .flags = 0x80000000u};
    hostmem_bridge_options no_size = {.size = 0};
    hostmem_bridge_options too_big = {.size = sizeof options + 4};
    void *object = &object;
    HMODULE runtime = module;

    (void)state;
    assert_int_equal(hostmem_bridge_bind(NULL, &host.control, &options), E_INVALIDARG);
    assert_int_equal(hostmem_bridge_bind(module, NULL, &options), E_INVALIDARG);
    assert_int_equal(hostmem_bridge_bind(module, &host.control, &unknown_flag), E_INVALIDARG);
    assert_int_equal(hostmem_bridge_bind(module, &host.control, &no_size), E_INVALIDARG);
    assert_int_equal(hostmem_bridge_bind(module, &host.control, &too_big), E_INVALIDARG);
    assert_int_equal(hostmem_bridge_load(NULL, &host.control, NULL, &runtime), E_INVALIDARG);
    assert_null(runtime);
    assert_int_equal(hostmem_bridge_load(L"C:\\coreclr.dll", NULL, NULL, NULL), E_INVALIDARG);
    assert_int_equal(hostmem_bridge_get_runtime_host(module, NULL, &IID_ICLRRuntimeHost, NULL), E_POINTER);
    assert_int_equal(hostmem_bridge_get_runtime_host(NULL, NULL, &IID_ICLRRuntimeHost, &object),
                     E_INVALIDARG);
    assert_null(object);
    object = &object;
    assert_int_equal(hostmem_bridge_get_runtime_host(module, &unknown_flag, &IID_ICLRRuntimeHost, &object),
                     E_INVALIDARG);
    assert_null(object);
    assert_int_equal(host.count, 0);
    assert_int_equal(host.control_references, 1);
}

static void bad_statistics(void **state)
{
    hostmem_bridge_statistics cut = {.size = sizeof cut - 8};

    (void)state;
    assert_int_equal(hostmem_bridge_get_statistics(NULL), E_POINTER);
    assert_int_equal(hostmem_bridge_get_statistics(&cut), E_INVALIDARG);
    assert_int_equal(hostmem_bridge_is_heap(NULL), S_FALSE);
    assert_int_equal(hostmem_bridge_is_heap(&cut), S_FALSE);
}

static void not_a_runtime(void **state)
{
    void *object = &object;
    HMODULE kernel = GetModuleHandleW(L"kernel32.dll");

    (void)state;
    assert_int_equal(hostmem_bridge_bind(kernel, &host.control, NULL), WIN32_HR(ERROR_PROC_NOT_FOUND));
    assert_int_equal(hostmem_bridge_get_runtime_host(kernel, NULL, &IID_ICLRRuntimeHost, &object),
                     WIN32_HR(ERROR_PROC_NOT_FOUND));
    assert_null(object);
    assert_int_equal(host.count, 0);
}

/* A version nobody has tried is no reason; it is one for hosts that ask for that. */
static void unknown_version(void **state)
{
    hostmem_bridge_options known = {.size = sizeof known, .flags = HOSTMEM_BRIDGE_KNOWN_ONLY};
    static const wchar_t *const names[] = {L"fake_coreclr_7.dll", L"fake_coreclr_12.dll",
                                           L"fake_coreclr_none.dll"};

    (void)state;
    host.get_hr = E_NOINTERFACE; /* it is asked, so nothing before that refused */
    for (unsigned i = 0; i < 3; ++i) {
        HMODULE other = fake_load(names[i], NULL);
        assert_int_equal(hostmem_bridge_bind(other, &host.control, &known), WIN32_HR(ERROR_NOT_SUPPORTED));
        assert_null(bridge_statistics().missing);
        assert_int_equal(host.count, 0);
        assert_int_equal(hostmem_bridge_bind(other, &host.control, NULL), S_FALSE);
        assert_string_equal(order(), "G");
        host.count = 0;
        FreeLibrary(other);
    }
    for (unsigned version = 8; version <= 11; ++version) {
        wchar_t name[32];
        swprintf(name, sizeof name / sizeof *name, L"fake_coreclr_%u.dll", version);
        HMODULE other = fake_load(name, NULL);
        assert_int_equal(hostmem_bridge_bind(other, &host.control, &known), S_FALSE);
        FreeLibrary(other);
    }
}

static void missing_import(void **state)
{
    HMODULE other = fake_load(L"fake_coreclr_gap.dll", NULL);

    (void)state;
    assert_int_equal(hostmem_bridge_bind(other, &host.control, NULL), WIN32_HR(ERROR_PROC_NOT_FOUND));
    assert_string_equal(bridge_statistics().missing, "MapViewOfFileEx");
    assert_int_equal(host.count, 0);
    assert_int_equal(host.control_references, 1);
    FreeLibrary(other);
    assert_null(GetModuleHandleW(L"fake_coreclr_gap.dll"));
}

/* Imported from two DLLs: there is no telling which of them a call would go on to. */
static void import_twice(void **state)
{
    HMODULE other = fake_load(L"fake_coreclr_twice.dll", NULL);

    (void)state;
    assert_int_equal(hostmem_bridge_bind(other, &host.control, NULL), WIN32_HR(ERROR_DUP_NAME));
    assert_string_equal(bridge_statistics().missing, "UnmapViewOfFile");
    assert_int_equal(host.count, 0);
    FreeLibrary(other);
}

/* What is left of the unknown functions while the host is asked. */
struct unknown_names {
    char names[64];
    uint32_t state;
};

static void unknown_note(struct bridge_host *self, void *context)
{
    struct unknown_names *names = context;

    (void)self;
    names->state = bridge_statistics().state;
    lstrcpynA(names->names, bridge_statistics().unknown[HOSTMEM_BRIDGE_RUNTIME], sizeof names->names);
    assert_null(bridge_statistics().unknown[HOSTMEM_BRIDGE_COLLECTOR]);
}

/* Functions that we do not know are Windows'.  Whether they are among those that take memory is told. */
static void unknown_import(void **state)
{
    static const struct {
        const wchar_t *file;
        const char *names;
        BOOL incomplete;
    } rows[] = {{L"fake_coreclr_more.dll", "VirtualAllocEx VirtualQueryEx", TRUE},
                {L"fake_coreclr_sized.dll", "VirtualQueryEx", FALSE}};
    hostmem_bridge_options known = {.size = sizeof known, .flags = HOSTMEM_BRIDGE_KNOWN_ONLY};

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        struct unknown_names seen = {"", 0};
        HMODULE other = fake_load(rows[i].file, NULL);
        host_reset();
        assert_int_equal(hostmem_bridge_bind(other, &host.control, &known), WIN32_HR(ERROR_NOT_SUPPORTED));
        assert_int_equal(host.count, 0);
        assert_string_equal(bridge_statistics().missing, rows[i].names);

        host.get_hr = E_NOINTERFACE;
        host.asked = unknown_note;
        host.asked_context = &seen;
        assert_int_equal(hostmem_bridge_bind(other, &host.control, NULL), S_FALSE);
        assert_string_equal(seen.names, rows[i].names);
        assert_true((seen.state & HOSTMEM_BRIDGE_INCOMPLETE) ==
                    (rows[i].incomplete ? HOSTMEM_BRIDGE_INCOMPLETE : 0));
        assert_null(bridge_statistics().unknown[HOSTMEM_BRIDGE_RUNTIME]);
        assert_int_equal(bridge_statistics().state, 0);
        assert_null(bridge_statistics().missing);
        FreeLibrary(other);
    }
}

static void started_runtime(void **state)
{
    (void)state;
    fake->started = TRUE;
    assert_int_equal(hostmem_bridge_bind(module, &host.control, NULL), E_ACCESSDENIED);
    fake->started = FALSE;
    fake->odd_answer = E_NOTIMPL; /* a runtime that cannot be asked may have started */
    assert_int_equal(hostmem_bridge_bind(module, &host.control, NULL), E_ACCESSDENIED);
    assert_int_equal(host.count, 0);
    assert_int_equal(fake->objects, 0);
    assert_not_redirected();
}

/* "Used only if exactly S_OK and not NULL": anything else is a host without a manager. */
static void host_without_manager(void **state)
{
    static const struct {
        HRESULT hr;
        BOOL null;
    } answers[] = {{E_NOINTERFACE, FALSE}, {E_FAIL, FALSE}, {S_FALSE, FALSE}, {S_OK, TRUE}};

    (void)state;
    for (unsigned i = 0; i < 4; ++i) {
        host_reset();
        host.get_hr = answers[i].hr;
        host.null_manager = answers[i].null;
        assert_int_equal(hostmem_bridge_bind(module, &host.control, NULL), S_FALSE);
        assert_string_equal(order(), "G");
        assert_int_equal(host.control_references, 2);
        assert_int_equal(fake->objects, 0);
        assert_not_redirected();
    }
    assert_int_equal(host.others_asked, 0);
}

/* CreateMalloc comes at once, and anything but S_OK gives the manager back. */
static void host_without_malloc(void **state)
{
    static const HRESULT answers[] = {E_OUTOFMEMORY, E_NOTIMPL, S_FALSE};

    (void)state;
    for (unsigned i = 0; i < 3; ++i) {
        host_reset();
        host.malloc_hr = answers[i];
        assert_int_equal(hostmem_bridge_bind(module, &host.control, NULL), E_UNEXPECTED);
        assert_string_equal(order(), "GCr");
        assert_int_equal(calls[1].type, MALLOC_THREADSAFE);
        assert_int_equal(host.memory_references, 1);
        assert_int_equal(host.control_references, 1);
        assert_int_equal(fake->objects, 0);
        assert_not_redirected();
    }
}

struct inside {
    HRESULT bind;
    BOOL worked;
};

static void bind_again(struct bridge_host *self, void *context)
{
    struct inside *inside = context;
    LPVOID memory;

    inside->bind = hostmem_bridge_bind(module, &self->control, NULL);
    memory = fake->calls.alloc(NULL, 4096, MEM_RESERVE, PAGE_NOACCESS); /* redirected, but no manager yet */
    inside->worked = memory && fake->calls.free(memory, 0, MEM_RELEASE);
}

static void host_binds_from_inside(void **state)
{
    struct inside inside = {S_OK, FALSE};

    (void)state;
    host.get_hr = E_NOINTERFACE;
    host.asked = bind_again;
    host.asked_context = &inside;
    assert_int_equal(hostmem_bridge_bind(module, &host.control, NULL), S_FALSE);
    assert_int_equal(inside.bind, HOST_E_INVALIDOPERATION);
    assert_true(inside.worked);
    assert_string_equal(order(), "G");
}

static void load_errors(void **state)
{
    HMODULE runtime = module;

    (void)state;
    assert_int_equal(hostmem_bridge_load(L"coreclr.dll", &host.control, NULL, &runtime),
                     WIN32_HR(ERROR_BAD_PATHNAME));
    assert_null(runtime);
    assert_int_equal(hostmem_bridge_load(L".\\coreclr.dll", &host.control, NULL, NULL),
                     WIN32_HR(ERROR_BAD_PATHNAME));
    assert_int_equal(hostmem_bridge_load(L"C:coreclr.dll", &host.control, NULL, NULL),
                     WIN32_HR(ERROR_BAD_PATHNAME));
    assert_int_equal(hostmem_bridge_load(L"", &host.control, NULL, NULL), WIN32_HR(ERROR_BAD_PATHNAME));
    assert_int_equal(hostmem_bridge_load(bridge_beside(L"no such.dll"), &host.control, NULL, NULL),
                     WIN32_HR(ERROR_MOD_NOT_FOUND));
    /* a bind that fails lets the module go */
    assert_int_equal(
        hostmem_bridge_load(bridge_beside(L"fake_coreclr_gap.dll"), &host.control, NULL, &runtime),
        WIN32_HR(ERROR_PROC_NOT_FOUND));
    assert_null(runtime);
    assert_null(GetModuleHandleW(L"fake_coreclr_gap.dll"));
    assert_int_equal(host.count, 0);
}

static void file_make(const wchar_t *path)
{
    HANDLE file = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    assert_true(file != INVALID_HANDLE_VALUE);
    CloseHandle(file);
}

/* Beside System.Private.CoreLib.dll, wherever else one may lie. */
static void find_runtime(void **state)
{
    wchar_t folder[MAX_PATH], list[4 * MAX_PATH], path[MAX_PATH], expected[MAX_PATH], left[MAX_PATH];
    DWORD length = GetTempPathW(MAX_PATH, folder);

    (void)state;
    assert_true(length > 0);
    lstrcpyW(left, folder);
    lstrcatW(left, L"coreclr.dll");
    file_make(left);
    lstrcpyW(list, left);
    lstrcatW(list, L";relative\\System.Private.CoreLib.dll;System.Private.CoreLib.dll;;");
    lstrcatW(list, folder);
    lstrcatW(list, L"Not.System.Private.CoreLib.dll;");
    lstrcatW(list, folder);
    lstrcatW(list, L"System.Private.CoreLib.dll.config;");
    lstrcatW(folder, L"hostmem_find");
    CreateDirectoryW(folder, NULL);
    lstrcpyW(expected, folder);
    lstrcatW(expected, L"\\coreclr.dll");

    assert_int_equal(hostmem_bridge_find(list, path, MAX_PATH), WIN32_HR(ERROR_FILE_NOT_FOUND));
    assert_int_equal(path[0], 0);
    lstrcatW(list, folder);
    lstrcatW(list, L"\\system.private.CORELIB.dll"); /* Windows does not mind */
    DeleteFileW(expected);
    assert_int_equal(hostmem_bridge_find(list, path, MAX_PATH), WIN32_HR(ERROR_FILE_NOT_FOUND));
    assert_int_equal(path[0], 0);

    file_make(expected);
    assert_int_equal(hostmem_bridge_find(list, path, MAX_PATH), S_OK);
    assert_int_equal(lstrcmpW(path, expected), 0);
    lstrcatW(list, L";C:\\windows\\other.dll");
    assert_int_equal(hostmem_bridge_find(list, path, MAX_PATH), S_OK);
    assert_int_equal(lstrcmpW(path, expected), 0);

    assert_int_equal(hostmem_bridge_find(list, path, lstrlenW(expected)),
                     WIN32_HR(ERROR_INSUFFICIENT_BUFFER));
    assert_int_equal(path[0], 0);
    assert_int_equal(hostmem_bridge_find(list, path, lstrlenW(expected) + 1), S_OK);
    assert_int_equal(hostmem_bridge_find(L"", path, MAX_PATH), WIN32_HR(ERROR_FILE_NOT_FOUND));
    wcscpy(path, expected);
    assert_int_equal(hostmem_bridge_find(NULL, path, MAX_PATH), E_POINTER);
    assert_int_equal(path[0], 0);
    assert_int_equal(hostmem_bridge_find(L"C:\\", NULL, MAX_PATH), E_POINTER);
    assert_int_equal(hostmem_bridge_find(L"C:\\", path, 0), E_POINTER);
    DeleteFileW(left);
    DeleteFileW(expected);
    RemoveDirectoryW(folder);
}

/* The wrapper is one object, as new as the runtime's own. */
static void runtime_host_identity(void **state)
{
    static const IID unknown = {0x12345678, 1, 2, {3, 4, 5, 6, 7, 8, 9, 10}};
    static const unsigned versions[] = {1, 2, 4};
    const IID *const iids[] = {&IID_ICLRRuntimeHost, &IID_ICLRRuntimeHost2, &IID_ICLRRuntimeHost4};

    (void)state;
    for (unsigned newest = 0; newest < 3; ++newest) {
        ICLRRuntimeHost *runtime;
        void *other;

        fake->newest_version = versions[newest];
        assert_int_equal(hostmem_bridge_get_runtime_host(module, NULL, &IID_IUnknown, (void **)&runtime),
                         S_OK);
        assert_int_equal(fake->objects, 1);
        for (unsigned i = 0; i < 3; ++i) {
            HRESULT expected = i <= newest ? S_OK : E_NOINTERFACE;
            other = &other;
            assert_int_equal(runtime->lpVtbl->QueryInterface(runtime, iids[i], &other), expected);
            assert_ptr_equal(other, expected == S_OK ? runtime : NULL);
            if (expected == S_OK)
                assert_int_equal(runtime->lpVtbl->Release(runtime), 1);
            assert_int_equal(hostmem_bridge_get_runtime_host(module, NULL, iids[i], &other), expected);
            if (expected == S_OK)
                assert_int_equal(((IUnknown *)other)->lpVtbl->Release(other), 0);
            assert_int_equal(fake->objects, 1);
        }
        assert_int_equal(runtime->lpVtbl->QueryInterface(runtime, &unknown, &other), E_NOINTERFACE);
        assert_null(other);
        assert_int_equal(runtime->lpVtbl->QueryInterface(runtime, &unknown, NULL), E_POINTER);
        assert_int_equal(runtime->lpVtbl->AddRef(runtime), 2);
        assert_int_equal(runtime->lpVtbl->Release(runtime), 1);
        assert_int_equal(runtime->lpVtbl->Release(runtime), 0);
        assert_int_equal(fake->objects, 0);
    }
}

static void assert_forwarded(HRESULT hr, const char *name, unsigned count)
{
    assert_string_equal(fake->called, name);
    assert_int_equal(fake->argument_count, count);
    assert_int_equal(hr, 0x40000 + count);
    for (unsigned i = 0; i < count; ++i)
        assert_int_equal(fake->arguments[i], i + 1);
}

/* Every other method goes through, argument by argument. */
static void runtime_host_forwards(void **state)
{
#define P(number) (void *)(size_t)(number)
    ICLRRuntimeHost4 *runtime;
    ICLRControl *control = NULL;
    DWORD id = 0;

    (void)state;
    assert_int_equal(hostmem_bridge_get_runtime_host(module, NULL, &IID_ICLRRuntimeHost4, (void **)&runtime),
                     S_OK);
    const ICLRRuntimeHost4Vtbl *methods = runtime->lpVtbl;
    assert_forwarded(methods->Start(runtime), "Start", 0);
    assert_forwarded(methods->Stop(runtime), "Stop", 0);
    assert_forwarded(methods->UnloadAppDomain(runtime, 1, 2), "UnloadAppDomain", 2);
    assert_forwarded(methods->ExecuteInAppDomain(runtime, 1, P(2), P(3)), "ExecuteInAppDomain", 3);
    assert_forwarded(methods->ExecuteApplication(runtime, P(1), 2, P(3), 4, P(5), P(6)), "ExecuteApplication",
                     6);
    assert_forwarded(methods->ExecuteInDefaultAppDomain(runtime, P(1), P(2), P(3), P(4), P(5)),
                     "ExecuteInDefaultAppDomain", 5);
    assert_forwarded(methods->CreateAppDomainWithManager(runtime, P(1), 2, P(3), P(4), 5, P(6), P(7), P(8)),
                     "CreateAppDomainWithManager", 8);
    assert_forwarded(methods->CreateDelegate(runtime, 1, P(2), P(3), P(4), P(5)), "CreateDelegate", 5);
    assert_int_equal(methods->Authenticate(runtime, 0x123456789abcdef0ull), 0x40001);
    assert_string_equal(fake->called, "Authenticate");
    assert_true(fake->arguments[0] == 0x123456789abcdef0ull);
    assert_forwarded(methods->RegisterMacEHPort(runtime), "RegisterMacEHPort", 0);
    assert_forwarded(methods->SetStartupFlags(runtime, 1), "SetStartupFlags", 1);
    assert_forwarded(methods->DllGetActivationFactory(runtime, 1, P(2), P(3)), "DllGetActivationFactory", 3);
    assert_forwarded(methods->ExecuteAssembly(runtime, 1, P(2), 3, P(4), P(5)), "ExecuteAssembly", 5);
    assert_forwarded(methods->UnloadAppDomain2(runtime, 1, 2, P(3)), "UnloadAppDomain2", 3);
    assert_int_equal(methods->GetCurrentAppDomainId(runtime, &id), HOST_E_CLRNOTAVAILABLE);
    assert_int_equal(methods->GetCLRControl(runtime, &control), E_NOTIMPL);
    assert_string_equal(fake->called, "GetCLRControl");

    /* SetHostControl does not reach the runtime, and has the CLR's results */
    fake->called = "nothing";
    assert_int_equal(methods->SetHostControl(runtime, NULL), E_INVALIDARG);
    host.get_hr = E_NOINTERFACE;
    assert_int_equal(methods->SetHostControl(runtime, &host.control), S_OK);
    assert_string_equal(order(), "G");
    assert_int_equal(host.control_references, 2);
    host_reset();
    host.malloc_hr = E_OUTOFMEMORY;
    assert_int_equal(methods->SetHostControl(runtime, &host.control), E_UNEXPECTED);
    assert_string_not_equal(fake->called, "SetHostControl");
    fake->started = TRUE;
    assert_int_equal(methods->SetHostControl(runtime, &host.control), E_ACCESSDENIED);
    assert_int_equal(methods->Release(runtime), 0);
    assert_int_equal(fake->objects, 0);
    fake->started = FALSE;
    assert_not_redirected();
}

/* The import table's pages: made read-only, as MSVC's linker leaves them, they are read-only afterwards. */
static DWORD slots_protection(DWORD change)
{
    BYTE *base = (BYTE *)module;
    const IMAGE_NT_HEADERS *headers = (const void *)(base + ((const IMAGE_DOS_HEADER *)base)->e_lfanew);
    const IMAGE_DATA_DIRECTORY *slots = &headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IAT];
    MEMORY_BASIC_INFORMATION info;
    DWORD old;

    if (change)
        assert_true(VirtualProtect(base + slots->VirtualAddress, slots->Size, change, &old));
    VirtualQuery(base + slots->VirtualAddress, &info, sizeof info);
    return info.Protect;
}

/* From here on the process is bound. */
static void the_bind(void **state)
{
    static const IID unknown = {0x12345678, 1, 2, {3, 4, 5, 6, 7, 8, 9, 10}};
    ICLRMemoryNotificationCallback *callback;
    void *object;

    (void)state;
    assert_int_equal(slots_protection(PAGE_READONLY), PAGE_READONLY);
    host.register_hr = E_FAIL; /* ignored, as the CLR ignores it */
    assert_int_equal(hostmem_bridge_bind(module, &host.control, NULL), S_OK);
    assert_string_equal(order(), "GCR");
    assert_true(IsEqualIID(&host.last_asked, &IID_IHostMemoryManager));
    assert_int_equal(calls[1].type, MALLOC_THREADSAFE);
    assert_int_equal(host.others_asked, 0);
    assert_int_equal(host.control_references, 2);
    assert_int_equal(host.memory_references, 2); /* the one that GetHostManager gave */
    assert_int_equal(slots_protection(0), PAGE_READONLY);
    assert_int_equal(bridge_statistics().state, HOSTMEM_BRIDGE_REDIRECTED | HOSTMEM_BRIDGE_BOUND);
    assert_ptr_equal(bridge_statistics().runtime, module);
    assert_true(bridge_statistics().runtime_version == ((uint64_t)10 << 48 | (uint64_t)1234 << 16 | 5678));
    assert_null(bridge_statistics().missing);

    callback = host.callback;
    assert_non_null(callback);
    assert_int_equal(callback->lpVtbl->AddRef(callback), 1);
    assert_int_equal(callback->lpVtbl->Release(callback), 1);
    assert_int_equal(callback->lpVtbl->QueryInterface(callback, &IID_IUnknown, &object), S_OK);
    assert_ptr_equal(object, callback);
    assert_int_equal(callback->lpVtbl->QueryInterface(callback, &IID_ICLRMemoryNotificationCallback, &object),
                     S_OK);
    assert_ptr_equal(object, callback);
    assert_int_equal(callback->lpVtbl->QueryInterface(callback, &unknown, &object), E_NOINTERFACE);
    assert_null(object);
    assert_int_equal(callback->lpVtbl->QueryInterface(callback, &unknown, NULL), E_POINTER);
    assert_int_equal(callback->lpVtbl->OnMemoryNotification(callback, eMemoryAvailableLow), S_OK);
    assert_int_equal(callback->lpVtbl->OnMemoryNotification(callback, eMemoryAvailableLow), S_OK);
    assert_int_equal(callback->lpVtbl->OnMemoryNotification(callback, eMemoryAvailableHigh), S_OK);
    assert_int_equal(callback->lpVtbl->OnMemoryNotification(callback, (EMemoryAvailable)17), S_OK);
    assert_int_equal(bridge_statistics().notifications[eMemoryAvailableLow], 2);
    assert_int_equal(bridge_statistics().notifications[eMemoryAvailableNeutral], 0);
    assert_int_equal(bridge_statistics().notifications[eMemoryAvailableHigh], 1);
    assert_int_equal(bridge_statistics().notifications[0], 1);
}

/* The first manager stays; the second host is not even asked. */
static void second_bind(void **state)
{
    struct bridge_host second;

    (void)state;
    bridge_host_init(&second);
    assert_int_equal(hostmem_bridge_bind(module, &second.control, NULL), S_OK);
    assert_int_equal(second.count, 0);
    assert_int_equal(second.control_references, 2);

    LPVOID memory = fake->calls.alloc(NULL, 4096, MEM_RESERVE, PAGE_NOACCESS);
    assert_non_null(memory);
    assert_true(fake->calls.free(memory, 0, MEM_RELEASE));
    assert_string_equal(order(), "AF"); /* on the first host */
    assert_int_equal(second.count, 0);

    fake->started = TRUE;
    assert_int_equal(hostmem_bridge_bind(module, &second.control, NULL), E_ACCESSDENIED);
    assert_int_equal(second.control_references, 2);
}

static void second_runtime(void **state)
{
    HMODULE other = fake_load(L"fake_coreclr_8.dll", NULL);

    (void)state;
    assert_int_equal(hostmem_bridge_bind(other, &host.control, NULL), HOST_E_INVALIDOPERATION);
    assert_int_equal(host.count, 0);
    assert_int_equal(host.control_references, 1);
    FreeLibrary(other);
}

/* A plug-in with a copy of its own finds that the runtime has been bound by another. */
static void second_copy(void **state)
{
    typedef HRESULT (*bind_function)(HMODULE, IHostControl *);
    HMODULE plugin = fake_load(L"fake_plugin.dll", NULL);
    bind_function bind = (bind_function)(void *)GetProcAddress(plugin, "plugin_bind");

    (void)state;
    assert_int_equal(bind(module, &host.control), WIN32_HR(ERROR_ALREADY_EXISTS));
    assert_int_equal(host.count, 0);
    assert_int_equal(host.control_references, 1);
    LPVOID memory = fake->calls.alloc(NULL, 4096, MEM_RESERVE, PAGE_NOACCESS);
    assert_true(fake->calls.free(memory, 0, MEM_RELEASE));
    assert_string_equal(order(), "AF");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, each_setup)
    const struct CMUnitTest tests[] = {
        TEST(bad_arguments),
        TEST(bad_statistics),
        TEST(not_a_runtime),
        TEST(unknown_version),
        TEST(missing_import),
        TEST(import_twice),
        TEST(unknown_import),
        TEST(started_runtime),
        TEST(host_without_manager),
        TEST(host_without_malloc),
        TEST(host_binds_from_inside),
        TEST(load_errors),
        TEST(find_runtime),
        TEST(runtime_host_identity),
        TEST(runtime_host_forwards),
        TEST(the_bind),
        TEST(second_bind),
        TEST(second_runtime),
        TEST(second_copy),
    };

    module = fake_load(L"fake_coreclr_10.dll", &fake);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
