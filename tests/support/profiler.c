/*
 * A profiler, as the runtime loads one at its start (CORECLR_PROFILER_PATH): asks for modules and collections, and says
 * at the end what it was told.  With PROFILER_HOOKS=1 it also hooks VirtualAlloc and MapViewOfFileEx in coreclr.dll's
 * import table, as agents do.
 *
 * x86-64 only: the methods that it does not care for are one function, whatever their parameters.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <windows.h>

#define EXPORT __declspec(dllexport)

enum { SET_EVENT_MASK = 16, MONITOR_MODULES = 0x4, MONITOR_COLLECTIONS = 0x80, METHODS = 160 };

static const IID iid_unknown = {0, 0, 0, {0xc0, 0, 0, 0, 0, 0, 0, 0x46}};
static const IID iid_class_factory = {1, 0, 0, {0xc0, 0, 0, 0, 0, 0, 0, 0x46}};
static const IID iid_callback = {
    0x176fbed1, 0xa55c, 0x4796, {0x98, 0xca, 0xa9, 0xda, 0x0e, 0xf8, 0x83, 0xe7}};
static const IID iid_callback2 = {
    0x8a8cc829, 0xccf2, 0x49fe, {0xbb, 0xae, 0x0f, 0x02, 0x22, 0x28, 0x07, 0x1a}};
static const IID iid_info = {0x28b5557d, 0x3f3f, 0x48b4, {0x90, 0xb2, 0x5f, 0x9e, 0xea, 0x2f, 0x6c, 0x48}};

static volatile LONG modules, collections, allocations, views;
static LPVOID(WINAPI *alloc_before)(LPVOID, SIZE_T, DWORD, DWORD);
static LPVOID(WINAPI *map_before)(HANDLE, DWORD, DWORD, DWORD, SIZE_T, LPVOID);

static LPVOID WINAPI alloc_hook(LPVOID address, SIZE_T size, DWORD type, DWORD protect)
{
    InterlockedIncrement(&allocations);
    return alloc_before(address, size, type, protect);
}

static LPVOID WINAPI map_hook(HANDLE file, DWORD access, DWORD high, DWORD low, SIZE_T size, LPVOID base)
{
    InterlockedIncrement(&views);
    return map_before(file, access, high, low, size, base);
}

static void hook(const char *name, void *replacement, void **before)
{
    BYTE *base = (BYTE *)GetModuleHandleW(L"coreclr.dll");
    const IMAGE_NT_HEADERS *headers = (const void *)(base + ((const IMAGE_DOS_HEADER *)base)->e_lfanew);
    const IMAGE_IMPORT_DESCRIPTOR *dll =
        (const void *)(base +
                       headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT].VirtualAddress);
    DWORD protection;

    for (; dll->FirstThunk; ++dll) {
        const IMAGE_THUNK_DATA *names = (const void *)(base + dll->OriginalFirstThunk);
        void **slot = (void **)(base + dll->FirstThunk);
        for (; names->u1.AddressOfData; ++names, ++slot) {
            const IMAGE_IMPORT_BY_NAME *entry = (const void *)(base + names->u1.AddressOfData);
            if (IMAGE_SNAP_BY_ORDINAL(names->u1.Ordinal) || strcmp((const char *)entry->Name, name))
                continue;
            *before = *slot;
            VirtualProtect(slot, sizeof *slot, PAGE_READWRITE, &protection);
            *slot = replacement;
            VirtualProtect(slot, sizeof *slot, protection, &protection);
        }
    }
}

/* Both objects: nobody counts, they are static. */
struct object {
    void **methods;
};

static ULONG WINAPI refer(void *self)
{
    (void)self;
    return 1;
}

static HRESULT WINAPI nothing(void)
{
    return S_OK;
}

static HRESULT WINAPI callback_query(void *self, const IID *iid, void **object)
{
    const IID *const known[] = {&iid_unknown, &iid_callback, &iid_callback2};

    *object = NULL;
    for (unsigned i = 0; i < sizeof known / sizeof *known && !*object; ++i)
        if (!memcmp(iid, known[i], sizeof *iid))
            *object = self;
    return *object ? S_OK : E_NOINTERFACE;
}

static HRESULT WINAPI callback_initialize(void *self, struct object *unknown)
{
    struct object *info = NULL;
    char value[4];

    (void)self;
    HRESULT hr = ((HRESULT(WINAPI *)(void *, const IID *, void **))unknown->methods[0])(unknown, &iid_info,
                                                                                        (void **)&info);
    if (hr != S_OK)
        return hr;
    if (GetEnvironmentVariableA("PROFILER_HOOKS", value, sizeof value)) {
        hook("VirtualAlloc", (void *)alloc_hook, (void **)&alloc_before);
        hook("MapViewOfFileEx", (void *)map_hook, (void **)&map_before);
    }
    return ((HRESULT(WINAPI *)(void *, DWORD))info->methods[SET_EVENT_MASK])(info, MONITOR_MODULES |
                                                                                       MONITOR_COLLECTIONS);
}

static HRESULT WINAPI callback_shutdown(void *self)
{
    (void)self;
    fprintf(stderr, "profiler: %ld modules, %ld collections, %ld allocations, %ld views\n", modules,
            collections, allocations, views);
    fflush(stderr);
    return S_OK;
}

static HRESULT WINAPI callback_module_loaded(void *self, void *module, HRESULT hr)
{
    (void)self, (void)module, (void)hr;
    InterlockedIncrement(&modules);
    return S_OK;
}

static HRESULT WINAPI callback_collection(void *self, int generations, BOOL *collected, int reason)
{
    (void)self, (void)generations, (void)collected, (void)reason;
    InterlockedIncrement(&collections);
    return S_OK;
}

static void *callback_methods[METHODS] = {callback_query,
                                          refer,
                                          refer,
                                          callback_initialize,
                                          callback_shutdown,
                                          [14] = callback_module_loaded,
                                          [73] = callback_collection};
static struct object callback = {callback_methods};

static HRESULT WINAPI factory_query(void *self, const IID *iid, void **object)
{
    bool known = !memcmp(iid, &iid_unknown, sizeof *iid) || !memcmp(iid, &iid_class_factory, sizeof *iid);
    *object = known ? self : NULL;
    return known ? S_OK : E_NOINTERFACE;
}

static HRESULT WINAPI factory_create(void *self, void *outer, const IID *iid, void **object)
{
    (void)self, (void)outer;
    return callback_query(&callback, iid, object);
}

static void *factory_methods[] = {factory_query, refer, refer, factory_create, nothing};
static struct object factory = {factory_methods};

EXPORT HRESULT WINAPI DllGetClassObject(const IID *class, const IID *iid, void **object)
{
    (void)class;
    for (unsigned i = 0; i < METHODS; ++i)
        if (!callback_methods[i])
            callback_methods[i] = (void *)nothing;
    return factory_query(&factory, iid, object);
}
