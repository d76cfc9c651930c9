/*
 * test_dll.c - hostmem.dll as a program finds it: what it exports and imports, its version,
 * when it may be unloaded
 *
 * The list of exports is demanded from three sides: the public headers, the .def file, and the DLL itself.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <hostmem/hostmem.h>
#include <hostmem/trace.h>
#include <hostmem/verify.h>

enum { MOST_NAMES = 64, NAME_BYTES = 64 };

struct names {
    unsigned count;
    char name[MOST_NAMES][NAME_BYTES];
};

static wchar_t dll_path[MAX_PATH];

/* The tests' folder lies in the build tree, beside which the DLL is. */
static int find_dll(void **state)
{
    (void)state;
    assert_in_range(GetModuleFileNameW(NULL, dll_path, MAX_PATH), 1, MAX_PATH - 20);
    for (int levels = 0; levels < 2; levels++)
        *wcsrchr(dll_path, L'\\') = 0;
    wcscat(dll_path, L"\\hostmem.dll");
    assert_null(GetModuleHandleW(L"hostmem.dll"));
    return 0;
}

static HMODULE load(void)
{
    HMODULE module = LoadLibraryW(dll_path);
    if (module == NULL)
        fail_msg("LoadLibrary(%ls): error %lu", dll_path, GetLastError());
    return module;
}

static bool has(const struct names *names, const char *name)
{
    for (unsigned i = 0; i < names->count; i++)
        if (strcmp(names->name[i], name) == 0)
            return true;
    return false;
}

static void add(struct names *names, const char *name, size_t length)
{
    assert_true(names->count < MOST_NAMES && length < NAME_BYTES);
    memcpy(names->name[names->count], name, length);
    names->name[names->count][length] = 0;
    names->count++;
}

/* Every hostmem_... that follows `before` in a file. */
static void add_from_file(struct names *names, const char *path, const char *before)
{
    static char text[100000];
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("cannot read %s", path);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    for (const char *at = text; (at = strstr(at, before)) != NULL;) {
        at += strlen(before);
        if (strncmp(at, "hostmem_", 8) == 0)
            add(names, at, strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_"));
    }
}

static const IMAGE_OPTIONAL_HEADER *header_of(HMODULE module)
{
    const IMAGE_DOS_HEADER *dos = (const void *)module;
    return &((const IMAGE_NT_HEADERS *)((const char *)module + dos->e_lfanew))->OptionalHeader;
}

static const void *directory(HMODULE module, unsigned which)
{
    DWORD offset = header_of(module)->DataDirectory[which].VirtualAddress;
    return offset == 0 ? NULL : (const char *)module + offset;
}

static void test_exports(void **state)
{
    (void)state;
    HMODULE module = load();
    const char *base = (const char *)module;
    const IMAGE_EXPORT_DIRECTORY *exports = directory(module, IMAGE_DIRECTORY_ENTRY_EXPORT);
    const DWORD *offsets = (const void *)(base + exports->AddressOfNames);
    struct names in_dll = {0}, in_headers = {0}, in_list = {0};
    for (DWORD i = 0; i < exports->NumberOfNames; i++)
        add(&in_dll, base + offsets[i], strlen(base + offsets[i]));
    /* None by number only. (lld begins its table with an empty place.) */
    const DWORD *functions = (const void *)(base + exports->AddressOfFunctions);
    DWORD exported = 0;
    for (DWORD i = 0; i < exports->NumberOfFunctions; i++)
        exported += functions[i] != 0;
    assert_int_equal(exported, exports->NumberOfNames);
    assert_string_equal(base + exports->Name, "hostmem.dll");
    add_from_file(&in_headers, SOURCE_DIR "/include/hostmem/hostmem.h", "HOSTMEM_CALL ");
    add_from_file(&in_headers, SOURCE_DIR "/include/hostmem/bridge.h", "HOSTMEM_CALL ");
    add_from_file(&in_headers, SOURCE_DIR "/include/hostmem/trace.h", "HOSTMEM_CALL ");
    add_from_file(&in_headers, SOURCE_DIR "/include/hostmem/verify.h", "HOSTMEM_CALL ");
    add_from_file(&in_list, SOURCE_DIR "/src/com/hostmem.def", "    ");

    /* Undecorated on x86 as well; nothing is missing, nothing else is there. */
    assert_true(in_headers.count > 10);
    for (unsigned i = 0; i < in_headers.count; i++) {
        if (!has(&in_dll, in_headers.name[i]) || !has(&in_list, in_headers.name[i]))
            fail_msg("%s is declared but not exported", in_headers.name[i]);
        assert_non_null(GetProcAddress(module, in_headers.name[i]));
    }
    for (unsigned i = 0; i < in_dll.count; i++)
        if (!has(&in_headers, in_dll.name[i]))
            fail_msg("%s is exported but not declared", in_dll.name[i]);
    assert_int_equal(in_dll.count, in_list.count);
    assert_int_equal(in_dll.count, in_headers.count);
    assert_true(FreeLibrary(module));
}

/* Only what every Windows has. */
static void test_imports(void **state)
{
    (void)state;
    HMODULE module = load();
    const IMAGE_IMPORT_DESCRIPTOR *import = directory(module, IMAGE_DIRECTORY_ENTRY_IMPORT);
    unsigned count = 0;
    for (; import->Name != 0; import++, count++) {
        const char *name = (const char *)module + import->Name;
        if (_stricmp(name, "kernel32.dll") != 0 && _stricmp(name, "msvcrt.dll") != 0 &&
            _stricmp(name, "ntdll.dll") != 0)
            fail_msg("imports %s", name);
    }
    assert_in_range(count, 2, 3);
    assert_null(directory(module, IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT));
    assert_true(FreeLibrary(module));
}

static void test_image(void **state)
{
    (void)state;
    HMODULE module = load();
    const IMAGE_OPTIONAL_HEADER *header = header_of(module);
    assert_true(header->DllCharacteristics & IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE);
    assert_true(header->DllCharacteristics & IMAGE_DLLCHARACTERISTICS_NX_COMPAT);
    assert_non_null(directory(module, IMAGE_DIRECTORY_ENTRY_BASERELOC));
    assert_true(FreeLibrary(module));
}

static void test_version(void **state)
{
    (void)state;
    char info[4000];
    VS_FIXEDFILEINFO *fixed;
    wchar_t *text;
    UINT length;
    assert_in_range(GetFileVersionInfoSizeW(dll_path, NULL), 100, sizeof info);
    assert_true(GetFileVersionInfoW(dll_path, 0, sizeof info, info));
    assert_true(VerQueryValueW(info, L"\\", (void **)&fixed, &length));
    assert_int_equal(fixed->dwFileType, VFT_DLL);
    assert_true(
        VerQueryValueW(info, L"\\StringFileInfo\\040904B0\\OriginalFilename", (void **)&text, &length));
    assert_int_equal(wcscmp(text, L"hostmem.dll"), 0);

    HMODULE module = load();
    uint32_t(HOSTMEM_CALL * version)(void) = (void *)GetProcAddress(module, "hostmem_version");
    assert_int_equal(version(), HOSTMEM_VERSION);
    assert_int_equal(HIWORD(fixed->dwFileVersionMS) << 16 | LOWORD(fixed->dwFileVersionMS) << 8 |
                         HIWORD(fixed->dwFileVersionLS),
                     version());
    assert_int_equal(fixed->dwFileVersionMS, fixed->dwProductVersionMS);
    assert_true(FreeLibrary(module));
}

/* The functions of the DLL that the last tests call. */
struct api {
    HRESULT(HOSTMEM_CALL *create)(const hostmem_options *, hostmem_manager **);
    HRESULT(HOSTMEM_CALL *create_host_control)(hostmem_manager *, IHostControl *, IHostControl **);
    HRESULT(HOSTMEM_CALL *get_memory_manager)(hostmem_manager *, IHostMemoryManager **);
    HRESULT(HOSTMEM_CALL *force_pressure)(hostmem_manager *, uint32_t);
    void(HOSTMEM_CALL *release)(hostmem_manager *);
    HRESULT(HOSTMEM_CALL *verify)(hostmem_manager *, hostmem_verify_report *);
};

static struct api api_of(HMODULE module)
{
    return (struct api){.create = (void *)GetProcAddress(module, "hostmem_create"),
                        .create_host_control = (void *)GetProcAddress(module, "hostmem_create_host_control"),
                        .get_memory_manager = (void *)GetProcAddress(module, "hostmem_get_memory_manager"),
                        .force_pressure = (void *)GetProcAddress(module, "hostmem_force_pressure"),
                        .release = (void *)GetProcAddress(module, "hostmem_release"),
                        .verify = (void *)GetProcAddress(module, "hostmem_verify")};
}

/* Until a CLR has been handed something the DLL goes when its user says so, and leaves nothing behind. */
static void test_unloads(void **state)
{
    (void)state;
    HMODULE module = load();
    struct api api = api_of(module);
    hostmem_manager *manager;
    IHostControl *control;
    void *out;
    MEMORY_BASIC_INFORMATION info;
    assert_int_equal(api.create(NULL, &manager), S_OK);
    assert_int_equal(api.create_host_control(manager, NULL, &control), S_OK);
    assert_int_equal(IHostControl_GetHostManager(control, &IID_IHostGCManager, &out), E_NOINTERFACE);
    assert_int_equal(IHostControl_Release(control), 0);
    assert_int_equal(api.verify(manager, NULL), S_OK);
    api.release(manager);
    assert_true(VirtualQuery(manager, &info, sizeof info) != 0 && info.State == MEM_FREE);
    assert_true(FreeLibrary(module));
    assert_null(GetModuleHandleW(L"hostmem.dll"));
}

static void HOSTMEM_CALL hear(const hostmem_event *event, void *context)
{
    (void)event;
    SetEvent(context);
}

/* Freed while the library's own thread is on its way out, or in a callback: it goes when that has left. */
static void test_unloads_behind_its_thread(void **state)
{
    (void)state;
    HANDLE heard = CreateEventW(NULL, FALSE, FALSE, NULL);
    for (int i = 0; i < 20; i++) {
        HMODULE module = load();
        struct api api = api_of(module);
        hostmem_manager *manager;
        hostmem_options options = {.size = sizeof options, .event = hear, .context = heard};
        assert_int_equal(api.create(&options, &manager), S_OK);
        assert_int_equal(api.force_pressure(manager, eMemoryAvailableLow), S_OK);
        if (i % 2)
            assert_int_equal(WaitForSingleObject(heard, 30000), WAIT_OBJECT_0);
        assert_int_equal(api.verify(manager, NULL), S_OK);
        api.release(manager);
        assert_true(FreeLibrary(module));
        for (int n = 0; n < 30000 && GetModuleHandleW(L"hostmem.dll") != NULL; n++)
            Sleep(1);
        assert_null(GetModuleHandleW(L"hostmem.dll"));
    }
    CloseHandle(heard);
}

/* Of this process.  (Wine 8 answers GetProcessHandleCount with 0.) */
static unsigned open_handles(void)
{
    unsigned count = 0;
    DWORD flags;
    for (uintptr_t handle = 4; handle < 8192; handle += 4)
        count += GetHandleInformation((HANDLE)handle, &flags) != 0;
    return count;
}

/* A module with the library in it comes, makes a manager, is called back, and goes again. */
static void one_life(const wchar_t *path, bool plugin, HANDLE heard)
{
    HMODULE module = LoadLibraryW(path);
    if (module == NULL)
        fail_msg("LoadLibrary(%ls): error %lu", path, GetLastError());
    HRESULT(HOSTMEM_CALL * create)(const hostmem_options *, hostmem_manager **);
    HRESULT(HOSTMEM_CALL * force_pressure)(hostmem_manager *, uint32_t);
    void(HOSTMEM_CALL * release)(hostmem_manager *);
    create = (void *)GetProcAddress(module, plugin ? "plugin_create" : "hostmem_create");
    force_pressure =
        (void *)GetProcAddress(module, plugin ? "plugin_force_pressure" : "hostmem_force_pressure");
    release = (void *)GetProcAddress(module, plugin ? "plugin_release" : "hostmem_release");
    hostmem_manager *manager;
    hostmem_options options = {.size = sizeof options, .event = hear, .context = heard};
    assert_int_equal(create(&options, &manager), S_OK);
    assert_int_equal(force_pressure(manager, eMemoryAvailableLow), S_OK);
    assert_int_equal(WaitForSingleObject(heard, 30000), WAIT_OBJECT_0);
    release(manager);
    assert_true(FreeLibrary(module));
    for (int n = 0; n < 30000 && GetModuleHandleW(path) != NULL; n++)
        Sleep(1);
    assert_null(GetModuleHandleW(path));
}

/* Nothing that Windows counts stays behind, though nobody tells the library that it is being unloaded. */
static void test_loaded_again_and_again(void **state)
{
    (void)state;
    wchar_t plugin[MAX_PATH];
    wcscpy(plugin, dll_path);
    wcscpy(wcsrchr(plugin, L'\\'), L"\\tests\\plugin.dll");
    HANDLE heard = CreateEventW(NULL, FALSE, FALSE, NULL);
    for (int which = 0; which < 2; which++) {
        const wchar_t *path = which == 0 ? dll_path : plugin;
        for (int i = 0; i < 3; i++)
            one_life(path, which == 1, heard);
        unsigned before = open_handles();
        for (int i = 0; i < 100; i++)
            one_life(path, which == 1, heard);
        assert_int_equal(open_handles(), before);
    }
    CloseHandle(heard);
}

static ULONG STDMETHODCALLTYPE count_constantly(ICLRMemoryNotificationCallback *iface)
{
    (void)iface;
    return 1;
}

static HRESULT STDMETHODCALLTYPE hear_of_memory(ICLRMemoryNotificationCallback *iface,
                                                EMemoryAvailable available)
{
    (void)iface;
    (void)available;
    return S_OK;
}

/* Whoever registers a callback is a CLR, and stays.  A copy of the DLL: nothing undoes it. */
static void test_pinned_by_a_callback(void **state)
{
    (void)state;
    static ICLRMemoryNotificationCallbackVtbl vtable = {
        .AddRef = count_constantly, .Release = count_constantly, .OnMemoryNotification = hear_of_memory};
    ICLRMemoryNotificationCallback callback = {.lpVtbl = &vtable};
    wchar_t copy[MAX_PATH];
    wcscpy(copy, dll_path);
    wcscpy(wcsrchr(copy, L'\\'), L"\\tests\\hostmem_pinned.dll");
    assert_true(CopyFileW(dll_path, copy, FALSE));
    HMODULE module = LoadLibraryW(copy);
    assert_non_null(module);
    struct api api = api_of(module);
    hostmem_manager *manager;
    IHostMemoryManager *memory;
    assert_int_equal(api.create(NULL, &manager), S_OK);
    assert_int_equal(api.get_memory_manager(manager, &memory), S_OK);
    assert_int_equal(IHostMemoryManager_RegisterMemoryNotificationCallback(memory, &callback), S_OK);
    for (int i = 0; i < 100; i++)
        FreeLibrary(module);
    assert_ptr_equal(GetModuleHandleW(L"hostmem_pinned.dll"), module);
    assert_int_equal(api.force_pressure(manager, eMemoryAvailableLow), S_OK);
    assert_int_equal(IHostMemoryManager_RegisterMemoryNotificationCallback(memory, NULL), S_OK);
    assert_int_equal(api.verify(manager, NULL), S_OK);
    IHostMemoryManager_Release(memory);
    api.release(manager);
    assert_ptr_equal(GetModuleHandleW(L"hostmem_pinned.dll"), module);
}

/* From the first GetHostManager on it stays, however often it is freed.  The last test: nothing undoes it. */
static void test_pinned(void **state)
{
    (void)state;
    HMODULE module = load();
    struct api api = api_of(module);
    hostmem_manager *manager;
    IHostControl *control;
    IHostMemoryManager *memory;
    void *page;
    assert_int_equal(api.create(NULL, &manager), S_OK);
    assert_int_equal(api.create_host_control(manager, NULL, &control), S_OK);
    assert_int_equal(IHostControl_GetHostManager(control, &IID_IHostMemoryManager, (void **)&memory), S_OK);
    for (int i = 0; i < 100; i++)
        FreeLibrary(module);
    assert_ptr_equal(GetModuleHandleW(L"hostmem.dll"), module);
    assert_int_equal(IHostControl_Release(control), 0);
    api.release(manager);
    /* The CLR's reference is left, and works. */
    assert_int_equal(
        IHostMemoryManager_VirtualAlloc(memory, NULL, 100, MEM_COMMIT, PAGE_READWRITE, eTaskCritical, &page),
        S_OK);
    assert_int_equal(IHostMemoryManager_VirtualFree(memory, page, 0, MEM_RELEASE), S_OK);
    assert_int_equal(api.verify(manager, NULL), S_OK); /* kept by that reference */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exports),
        cmocka_unit_test(test_imports),
        cmocka_unit_test(test_image),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_unloads),
        cmocka_unit_test(test_unloads_behind_its_thread),
        cmocka_unit_test(test_loaded_again_and_again),
        cmocka_unit_test(test_pinned_by_a_callback),
        cmocka_unit_test(test_pinned),
    };
    return cmocka_run_group_tests(tests, find_dll, NULL);
}
