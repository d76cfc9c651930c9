/*
 * The binary interface of the hosting interfaces, as <hostmem/clr.h>, the header widl makes, and mscoree.h
 * declare it, against the values of support/abi_list.h, which are written out by hand.
 *
 * Three views are compared with the list: the facts that the compiler gives for each header (test_abi_clr.c,
 * test_abi_widl.c), calls through C vtables, and calls through the C++ declarations (test_abi_cpp.cpp).
 */
#define COBJMACROS
#include <hostmem/clr.h>
#include <hostmem/clr.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "support/abi_facts.h"
#include "support/abi_cpp.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define EXPECT_SLOT(I, method, slot, result, count, ...) {#I "." #method, slot, count},
static const struct {
    const char *name;
    size_t slot, count;
} slots[] = {ABI_SLOTS(EXPECT_SLOT)};

#define EXPECT_INTERFACE(I, slots, iid) {#I, slots, iid},
static const struct {
    const char *name;
    size_t slots;
    const char *iid;
} interfaces[] = {ABI_INTERFACES(EXPECT_INTERFACE)};

#define EXPECT_VALUE(expression, value) {#expression, value},
static const struct {
    const char *name;
    unsigned long long value;
} values[] = {ABI_VALUES(EXPECT_VALUE)};

#ifdef __clang__
#    pragma clang diagnostic ignored "-Wc2x-extensions" /* parameters without names */
#endif

/* Objects whose every method answers its slot's number from the list. */
#define STUB(I, method, slot, result, count, ...)                                                            \
    static result STDMETHODCALLTYPE stub_##I##_##method(I *This __VA_OPT__(, ) __VA_ARGS__)                  \
    {                                                                                                        \
        (void)This;                                                                                          \
        return slot;                                                                                         \
    }
ABI_SLOTS(STUB)

/* Filled in by name, so that a call by number finds out the order. */
static struct {
#define OBJECT(I, slots, iid)                                                                                \
    I##Vtbl I##_vtbl;                                                                                        \
    I I##_object;
    ABI_INTERFACES(OBJECT)
} stubs;

static int make_stubs(void **state)
{
    (void)state;
#define SET_VTBL(I, slots, iid) stubs.I##_object.lpVtbl = &stubs.I##_vtbl;
    ABI_INTERFACES(SET_VTBL)
#define SET_METHOD(I, method, ...) stubs.I##_vtbl.method = stub_##I##_##method;
    ABI_SLOTS(SET_METHOD)
    return 0;
}

#define STUB_OBJECT(I, ...) &stubs.I##_object,
static void *const stub_objects[] = {ABI_SLOTS(STUB_OBJECT)};

/* The registry's text of the 16 bytes as they lie in memory. */
static void format_iid(const IID *iid, char text[37])
{
    const unsigned char *b = (const unsigned char *)iid;
    snprintf(text, 37, "%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X", b[3], b[2],
             b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static void check_facts(const struct abi_facts *facts)
{
    for (size_t i = 0; i < COUNT(slots); i++) {
        if (facts->slots[i].offset != slots[i].slot * sizeof(void *) || !facts->slots[i].exact)
            fail_msg("%s: offset %u, type %s", slots[i].name, (unsigned)facts->slots[i].offset,
                     facts->slots[i].exact ? "right" : "wrong");
    }
    for (size_t i = 0; i < COUNT(interfaces); i++) {
        char text[37];
        format_iid(facts->interfaces[i].iid, text);
        assert_string_equal(text, interfaces[i].iid);
        assert_int_equal(facts->interfaces[i].vtbl_size, interfaces[i].slots * sizeof(void *));
        assert_int_equal(facts->interfaces[i].object_size, sizeof(void *));
    }
    for (size_t i = 0; i < COUNT(values); i++) {
        if (facts->values[i] != values[i].value)
            fail_msg("%s is %#llx", values[i].name, facts->values[i]);
    }
}

static void test_clr_header(void **state)
{
    (void)state;
    check_facts(&abi_facts_clr);
}

static void test_widl_header(void **state)
{
    (void)state;
    check_facts(&abi_facts_widl);
}

/* Calls slot n of an object as the CLR's own compiler would, with zeros, knowing no declaration of ours;
 * says how many bytes of arguments the method took off the stack. x86-64 has no such thing: 0. */
static long call_slot(void *object, size_t n, size_t *popped)
{
    void *method = (*(void ***)object)[n];
#ifdef __i386__
    long result = (long)(intptr_t)method;
    __asm__ volatile("movl %%esp, %%esi\n\t"
                     "pushl $0\n\tpushl $0\n\tpushl $0\n\tpushl $0\n\tpushl $0\n\tpushl $0\n\tpushl $0\n\t"
                     "pushl %%edx\n\t"
                     "movl %%esp, %%edi\n\t"
                     "call *%%eax\n\t"
                     "movl %%esp, %%ecx\n\t"
                     "subl %%edi, %%ecx\n\t"
                     "movl %%esi, %%esp"
                     : "+a"(result), "=c"(*popped), "+d"(object)
                     :
                     : "esi", "edi", "memory", "cc");
    return result;
#else
    *popped = 0;
    union {
        void *pointer;
        long (*function)(void *, void *, void *, void *, void *, void *, void *);
    } u = {method};
    return u.function(object, NULL, NULL, NULL, NULL, NULL, NULL);
#endif
}

static size_t stdcall_bytes(size_t count)
{
    return sizeof(void *) == 4 ? 4 * count : 0;
}

static long __cdecl cdecl_method(void *This, void *argument)
{
    (void)This;
    (void)argument;
    return 7;
}

static void test_calling_convention(void **state)
{
    (void)state;
    size_t popped;
    for (size_t i = 0; i < COUNT(slots); i++) {
        long result = call_slot(stub_objects[i], slots[i].slot, &popped);
        if (result != (long)slots[i].slot || popped != stdcall_bytes(slots[i].count))
            fail_msg("%s: slot %ld, %u bytes popped", slots[i].name, result, (unsigned)popped);
    }

    /* The two checks of the calling convention do tell another one. */
    struct {
        void **vtbl;
    } object = {(void *[]){(void *)(uintptr_t)cdecl_method}};
    assert_int_equal(call_slot(&object, 0, &popped), 7);
    assert_int_equal(popped, 0);
    bool exact = _Generic(cdecl_method, long(STDMETHODCALLTYPE *)(void *, void *) : true, default : false);
    assert_int_equal(exact, sizeof(void *) == 8);
}

static void test_call_macros(void **state)
{
    (void)state;
    ICLRMemoryNotificationCallback *callback = &stubs.ICLRMemoryNotificationCallback_object;
    IHostMalloc *heap = &stubs.IHostMalloc_object;
    IHostMemoryManager *manager = &stubs.IHostMemoryManager_object;
    IHostGCManager *host_gc = &stubs.IHostGCManager_object;
    ICLRGCManager *gc = &stubs.ICLRGCManager_object;
    ICLRGCManager2 *gc2 = &stubs.ICLRGCManager2_object;

#define CHECK_UNKNOWN(I, object)                                                                             \
    assert_int_equal(I##_QueryInterface(object, &IID_IUnknown, NULL), 0);                                    \
    assert_int_equal(I##_AddRef(object), 1);                                                                 \
    assert_int_equal(I##_Release(object), 2)
    CHECK_UNKNOWN(ICLRMemoryNotificationCallback, callback);
    CHECK_UNKNOWN(IHostMalloc, heap);
    CHECK_UNKNOWN(IHostMemoryManager, manager);
    CHECK_UNKNOWN(IHostGCManager, host_gc);
    CHECK_UNKNOWN(ICLRGCManager, gc);
    CHECK_UNKNOWN(ICLRGCManager2, gc2);

    assert_int_equal(ICLRMemoryNotificationCallback_OnMemoryNotification(callback, eMemoryAvailableLow), 3);
    assert_int_equal(IHostMalloc_Alloc(heap, 1, eTaskCritical, NULL), 3);
    assert_int_equal(IHostMalloc_DebugAlloc(heap, 1, eTaskCritical, NULL, 1, NULL), 4);
    assert_int_equal(IHostMalloc_Free(heap, NULL), 5);
    assert_int_equal(IHostMemoryManager_CreateMalloc(manager, MALLOC_THREADSAFE, NULL), 3);
    assert_int_equal(IHostMemoryManager_VirtualAlloc(manager, NULL, 1, 2, 3, eTaskCritical, NULL), 4);
    assert_int_equal(IHostMemoryManager_VirtualFree(manager, NULL, 1, 2), 5);
    assert_int_equal(IHostMemoryManager_VirtualQuery(manager, NULL, NULL, 1, NULL), 6);
    assert_int_equal(IHostMemoryManager_VirtualProtect(manager, NULL, 1, 2, NULL), 7);
    assert_int_equal(IHostMemoryManager_GetMemoryLoad(manager, NULL, NULL), 8);
    assert_int_equal(IHostMemoryManager_RegisterMemoryNotificationCallback(manager, NULL), 9);
    assert_int_equal(IHostMemoryManager_NeedsVirtualAddressSpace(manager, NULL, 1), 10);
    assert_int_equal(IHostMemoryManager_AcquiredVirtualAddressSpace(manager, NULL, 1), 11);
    assert_int_equal(IHostMemoryManager_ReleasedVirtualAddressSpace(manager, NULL), 12);
    assert_int_equal(IHostGCManager_ThreadIsBlockingForSuspension(host_gc), 3);
    assert_int_equal(IHostGCManager_SuspensionStarting(host_gc), 4);
    assert_int_equal(IHostGCManager_SuspensionEnding(host_gc, 1), 5);
    assert_int_equal(ICLRGCManager_Collect(gc, -1), 3);
    assert_int_equal(ICLRGCManager_GetStats(gc, NULL), 4);
    assert_int_equal(ICLRGCManager_SetGCStartupLimits(gc, 1, 2), 5);
    assert_int_equal(ICLRGCManager2_Collect(gc2, -1), 3);
    assert_int_equal(ICLRGCManager2_GetStats(gc2, NULL), 4);
    assert_int_equal(ICLRGCManager2_SetGCStartupLimits(gc2, 1, 2), 5);
    assert_int_equal(ICLRGCManager2_SetGCStartupLimitsEx(gc2, 1, 2), 6);
}

static void test_cpp_calls_c(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(slots); i++) {
        if (abi_cpp_call(i, stub_objects[i]) != (long)slots[i].slot)
            fail_msg("%s: slot %ld", slots[i].name, abi_cpp_call(i, stub_objects[i]));
    }
    for (size_t i = 0; i < COUNT(interfaces); i++) {
        char text[37];
        format_iid(abi_cpp_uuidof(i), text);
        assert_string_equal(text, interfaces[i].iid);
    }
}

static void test_c_calls_cpp(void **state)
{
    (void)state;
    IHostMalloc *heap = abi_cpp_malloc();
    void *first, *second, *none = heap;
    char file[] = "file.c";

    assert_int_equal(IHostMalloc_AddRef(heap), 2);
    assert_int_equal(IHostMalloc_Release(heap), 1);
    assert_int_equal(IHostMalloc_QueryInterface(heap, &IID_IHostMalloc, &first), S_OK);
    assert_ptr_equal(first, heap);
    assert_int_equal(IHostMalloc_QueryInterface(heap, &IID_IHostMemoryManager, &none), E_NOINTERFACE);
    assert_null(none);

    assert_int_equal(IHostMalloc_Alloc(heap, 40, eProcessCritical, &first), S_OK);
    assert_non_null(first);
    assert_int_equal(IHostMalloc_Alloc(heap, 4, eTaskCritical, &none), E_OUTOFMEMORY);
    assert_int_equal(IHostMalloc_DebugAlloc(heap, 24, eProcessCritical, file, 42, &second), S_OK);
    assert_ptr_equal(second, (char *)first + 40);
    assert_int_equal(IHostMalloc_DebugAlloc(heap, 24, eProcessCritical, file, 41, &none), E_INVALIDARG);
    none = heap;
    assert_int_equal(IHostMalloc_Alloc(heap, 1, eProcessCritical, &none), E_OUTOFMEMORY);
    assert_null(none);
    assert_int_equal(IHostMalloc_Free(heap, first), HOST_E_INVALIDOPERATION);
    assert_int_equal(IHostMalloc_Free(heap, second), S_OK);
    assert_int_equal(IHostMalloc_Free(heap, NULL), S_OK);

    static const size_t counts[] = {3, 1, 1, 4, 6, 2};
    for (size_t i = 0; i < COUNT(counts); i++) {
        size_t popped;
        (void)call_slot(heap, i, &popped);
        assert_int_equal(popped, stdcall_bytes(counts[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clr_header),         cmocka_unit_test(test_widl_header),
        cmocka_unit_test(test_calling_convention), cmocka_unit_test(test_call_macros),
        cmocka_unit_test(test_cpp_calls_c),        cmocka_unit_test(test_c_calls_cpp),
    };
    int failed = cmocka_run_group_tests(tests, make_stubs, NULL);
    printf("test_abi: %d failed\n", failed);
    return failed;
}
