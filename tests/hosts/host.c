/*
 * host.c - a host that names every IID, and asks the library's objects for each; compiled as C and as C++
 *
 * Its argument is a stand-in for coreclr.dll. WITH_ORDERS: it has a file for each order in which headers may be
 * included (orders.h, made by CMake), and all are to see the same constants. WITH_UUID: it names IIDs of uuid's.
 */
#ifdef WITH_INITGUID
#    include <initguid.h>
#endif
#include <hostmem/bridge.h>
#include <hostmem/hostmem.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "hosts/iids.h"
#ifdef WITH_ORDERS
#    include "orders.h"
#else
#    define HOST_ORDERS(X)
#endif

#ifdef __cplusplus
#    define CALL(object, method, ...) (object)->method(__VA_ARGS__)
#    define RELEASE(object)           (object)->Release()
#    define REF(iid)                  (iid)
#else
#    define CALL(object, method, ...) (object)->lpVtbl->method(object, __VA_ARGS__)
#    define RELEASE(object)           (object)->lpVtbl->Release(object)
#    define REF(iid)                  (&(iid))
#endif

static int failures;

static void expect(const char *what, const char *which, HRESULT result, HRESULT expected)
{
    if (result == expected)
        return;
    printf("%s, %s: %08lx, not %08lx\n", what, which, (unsigned long)result, (unsigned long)expected);
    failures++;
}

HOST_DEFINE_IIDS(iids);

#define HOST_NAME(I, text) text,
static const char *const texts[] = {HOST_IIDS(HOST_NAME)};

static void format(const IID *iid, char text[39])
{
    const unsigned char *b = iid->Data4;
    snprintf(text, 39, "{%08lX-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X}", (unsigned long)iid->Data1,
             iid->Data2, iid->Data3, b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]);
}

/* One constant each, with the right bytes, whoever looks. */
static void check_order(const char *order, host_iids seen)
{
    for (int i = 0; i < HOST_IID_COUNT; i++) {
        char text[39];
        format(seen[i], text);
        expect(order, texts[i], strcmp(text, texts[i]) == 0 && seen[i] == iids[i] ? S_OK : S_FALSE, S_OK);
    }
}

/* The object answers `own`, IUnknown where the host names it, and nothing else of ours. */
#define CHECK_OBJECT(what, object, own)                                                                      \
    do {                                                                                                     \
        void *out;                                                                                           \
        for (int i = 0; i < HOST_IID_COUNT; i++) {                                                           \
            HRESULT result = CALL(object, QueryInterface, REF(*iids[i]), &out);                              \
            expect(what, texts[i], result, iids[i] == &(own) ? S_OK : E_NOINTERFACE);                        \
            if (result == S_OK)                                                                              \
                RELEASE(object);                                                                             \
        }                                                                                                    \
        CHECK_UNKNOWN(what, object);                                                                         \
    } while (0)

#ifdef WITH_UUID
#    define CHECK_UNKNOWN(what, object)                                                                      \
        expect(what, "IUnknown", CALL(object, QueryInterface, REF(IID_IUnknown), &out), S_OK);               \
        RELEASE(object);                                                                                     \
        expect(what, "IStream", CALL(object, QueryInterface, REF(IID_IStream), &out), E_NOINTERFACE)
#else
#    define CHECK_UNKNOWN(what, object)
#endif

static void check_objects(void)
{
    hostmem_manager *manager;
    IHostControl *control;
    IHostMalloc *heap;
    expect("hostmem_create", "", hostmem_create(NULL, &manager), S_OK);
    expect("hostmem_create_host_control", "", hostmem_create_host_control(manager, NULL, &control), S_OK);
    CHECK_OBJECT("control", control, IID_IHostControl);

    IHostMemoryManager *memory = NULL;
    for (int i = 0; i < HOST_IID_COUNT; i++) {
        void *out;
        HRESULT result = CALL(control, GetHostManager, REF(*iids[i]), &out);
        expect("GetHostManager", texts[i], result, iids[i] == &IID_IHostMemoryManager ? S_OK : E_NOINTERFACE);
        if (result == S_OK)
            memory = (IHostMemoryManager *)out;
    }
    if (memory == NULL)
        return;
    CHECK_OBJECT("memory manager", memory, IID_IHostMemoryManager);
    expect("CreateMalloc", "", CALL(memory, CreateMalloc, MALLOC_THREADSAFE, &heap), S_OK);
    CHECK_OBJECT("malloc", heap, IID_IHostMalloc);
    RELEASE(heap);
    RELEASE(memory);
    RELEASE(control);
    hostmem_release(manager);
}

/* The runtime's host interface, by each of its IIDs. */
static void check_runtime(const char *path)
{
    HMODULE module = LoadLibraryA(path);
    if (module == NULL)
        printf("%s: error %lu\n", path, GetLastError());
    for (int i = 0; i < HOST_IID_COUNT; i++) {
        void *out;
        bool its = iids[i] == &IID_ICLRRuntimeHost || iids[i] == &IID_ICLRRuntimeHost2 ||
                   iids[i] == &IID_ICLRRuntimeHost4;
        HRESULT result = hostmem_bridge_get_runtime_host(module, NULL, REF(*iids[i]), &out);
        expect("runtime", texts[i], result, its ? S_OK : E_NOINTERFACE);
        if (result == S_OK) {
            ICLRRuntimeHost *runtime = (ICLRRuntimeHost *)out;
            RELEASE(runtime);
        }
    }
}

int main(int argc, char **argv)
{
#define CHECK_ORDER(order) check_order(#order, order);
    CHECK_ORDER(iids)
    HOST_ORDERS(CHECK_ORDER)
    check_objects();
    if (argc == 2)
        check_runtime(argv[1]);
    else
        failures++;
    if (failures == 0)
        printf("host: done\n");
    return failures;
}
