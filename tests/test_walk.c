/*
 * test_walk.c - the walk up the stack beside Windows' own unwinder, and by unwind data that is not to be trusted
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <windows.h>

#include "memory/hresult.h"
#include "nettrace/modules.h"
#include "trace/unwind.h"
#include "trace/walk.h"

enum { MOST = 64, LOWEST = 24 };

static struct {
    uint64_t ours[MOST], windows[MOST];
    unsigned of_ours, of_windows, looks;
} seen;

/* As Windows does it: from here to the thread's start. */
static __attribute__((noinline)) void windows_walks(void)
{
    CONTEXT context;
    RtlCaptureContext(&context);
    seen.of_windows = 0;
    while (seen.of_windows < MOST) {
        DWORD64 base, frame;
        void *data;
        PRUNTIME_FUNCTION function = RtlLookupFunctionEntry(context.Rip, &base, NULL);
        if (function == NULL)
            break;
        RtlVirtualUnwind(UNW_FLAG_NHANDLER, base, context.Rip, function, &context, &data, &frame, NULL);
        if (context.Rip == 0)
            break;
        seen.windows[seen.of_windows++] = context.Rip;
    }
}

static __attribute__((noinline)) void look(void)
{
    seen.of_ours = hm_walk(seen.ours, MOST);
    windows_walks();
    seen.looks++; /* no jump instead of the call */
}

/* Frames of every kind: with a frame pointer, big, with all registers in use, one in another. */
static __attribute__((noinline)) int variable(unsigned bytes, int (*next)(unsigned), unsigned depth)
{
    volatile char *memory = __builtin_alloca(bytes);
    memory[0] = 1;
    memory[bytes - 1] = 2;
    return next(depth) + memory[0];
}

static __attribute__((noinline)) int big(int (*next)(unsigned), unsigned depth)
{
    volatile char memory[200000];
    memory[0] = (char)depth;
    memory[sizeof memory - 1] = 2;
    return next(depth) + memory[0];
}

static __attribute__((noinline)) int busy(int (*next)(unsigned), unsigned depth, int a, int b, int c, int d)
{
    int e = a * b, f = b * c, g = c * d, h = d * a;
    for (int i = 0; i < 3; i++) {
        e += next(depth) * f;
        f ^= e + g;
        g += h * a;
    }
    return a + b + c + d + e + f + g + h;
}

static int deeper(unsigned depth)
{
    switch (depth) {
    case 0:
        look();
        return 1;
    case 1:
        return variable(300 + depth, deeper, depth - 1) + 1;
    case 2:
        return big(deeper, depth - 1) + 1;
    case 3:
        return busy(deeper, depth - 1, 1, 2, 3, 4) + 1;
    default:
        return variable(5000, deeper, depth - 1) + 1;
    }
}

static void *cookie;
static struct modules modules;

static int note(void **state)
{
    (void)state;
    return hm_modules_note(&modules, &cookie) == S_OK ? 0 : -1;
}

static int forget(void **state)
{
    (void)state;
    hm_modules_forget(cookie);
    return 0;
}

static void assert_same(void)
{
    /* The first one is in `look` itself, at another call. */
    assert_true(seen.of_ours > 3);
    assert_int_equal(seen.of_ours, seen.of_windows);
    for (unsigned i = 1; i < seen.of_ours; i++)
        assert_int_equal(seen.ours[i], seen.windows[i]);
}

static void test_as_windows(void **state)
{
    (void)state;
    for (unsigned depth = 0; depth < 8; depth++) {
        deeper(depth);
        assert_same();
    }
}

static int CALLBACK compare(const void *a, const void *b)
{
    deeper(3);
    return *(const int *)a - *(const int *)b;
}

static DWORD WINAPI on_thread(void *unused)
{
    (void)unused;
    deeper(5);
    return 0;
}

/* Up through modules of others, and on a thread of its own. */
static void test_through_others(void **state)
{
    int numbers[] = {3, 1, 2};
    (void)state;
    qsort(numbers, 3, sizeof *numbers, compare);
    assert_same();
    HANDLE thread = CreateThread(NULL, 0, on_thread, NULL, 0, NULL);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    assert_same();
}

/* An image that was not noted ends the walk; one that is loaded later is. */
static void test_unknown(void **state)
{
    (void)state;
    const uint64_t own = (uintptr_t)GetModuleHandleW(NULL);
    hm_images_remove(&hm_process_images, own);
    deeper(2);
    assert_int_equal(seen.of_ours, 0);
    forget(NULL);
    assert_int_equal(note(NULL), 0);
    deeper(2);
    assert_same();
    assert_null(GetModuleHandleW(L"hid.dll"));
    HMODULE module = LoadLibraryW(L"hid.dll");
    assert_non_null(module);
    assert_non_null(hm_images_find(&hm_process_images, (uintptr_t)module));
    FreeLibrary(module);
    assert_null(hm_images_find(&hm_process_images, (uintptr_t)module));
}

/* Windows' list of modules, or what a test says of it. */

BOOL WINAPI __real_K32EnumProcessModules(HANDLE process, HMODULE *list, DWORD bytes, DWORD *needed);
BOOL WINAPI __wrap_K32EnumProcessModules(HANDLE process, HMODULE *list, DWORD bytes, DWORD *needed);

static unsigned failures;
static HMODULE only;

BOOL WINAPI __wrap_K32EnumProcessModules(HANDLE process, HMODULE *list, DWORD bytes, DWORD *needed)
{
    if (failures != 0) {
        failures--;
        SetLastError(ERROR_PARTIAL_COPY);
        return FALSE;
    }
    if (only == NULL)
        return __real_K32EnumProcessModules(process, list, bytes, needed);
    list[0] = only;
    *needed = sizeof only;
    return TRUE;
}

/* Windows does not say what is there: for a moment, or at all.  What was noted stays, and was told of once. */
static void test_no_list(void **state)
{
    static struct modules told;
    void *other = NULL;
    (void)state;
    failures = 1;
    assert_int_equal(hm_modules_note(&modules, &other), S_OK);
    hm_modules_forget(other);
    deeper(2);
    assert_same();
    failures = 1000;
    assert_int_equal(hm_modules_note(&modules, &other), HRESULT_FROM_WIN32(ERROR_PARTIAL_COPY));
    assert_null(other);
    deeper(2);
    assert_same();
    failures = 0;
    for (hm_modules_look(&told); hm_modules_next(&told);)
        ;
    failures = 1000;
    hm_modules_look(&told);
    failures = 0;
    hm_modules_look(&told);
    assert_false(hm_modules_next(&told));
}

/* An image goes, and another comes to lie where it was, between two looks: that is told of, too. */
static void test_another_in_its_place(void **state)
{
    static struct modules told;
    wchar_t folder[MAX_PATH], from[MAX_PATH], copy[2][MAX_PATH];
    HMODULE module[2];
    (void)state;
    GetModuleFileNameW(NULL, from, MAX_PATH);
    wcscpy(wcsrchr(from, L'\\') + 1, L"on_exit.dll");
    for (unsigned i = 0; i < 2; i++) {
        assert_true(GetTempPathW(MAX_PATH, folder) != 0 && GetTempFileNameW(folder, L"hm", 0, copy[i]) != 0);
        assert_true(CopyFileW(from, copy[i], FALSE));
    }
    for (hm_modules_look(&told); hm_modules_next(&told);)
        ;
    assert_false(hm_modules_due(&told));
    module[0] = LoadLibraryW(copy[0]);
    assert_true(hm_modules_due(&told));
    for (hm_modules_look(&told); hm_modules_next(&told);)
        ;
    assert_false(hm_modules_due(&told));
    FreeLibrary(module[0]);
    module[1] = LoadLibraryW(copy[1]);
    assert_true(module[0] != NULL && module[1] != NULL);
    hm_modules_look(&told);
    assert_true(hm_modules_next(&told));
    assert_int_equal(told.base, (uintptr_t)module[1]);
    if (module[0] == module[1])
        assert_false(hm_modules_next(&told));
    hm_modules_look(&told);
    assert_false(hm_modules_next(&told));
    FreeLibrary(module[1]);
    for (unsigned i = 0; i < 2; i++)
        DeleteFileW(copy[i]);
}

/* What is listed is gone, and within another image by now: no reference to that is left. */
static void test_within_another(void **state)
{
    static struct modules told;
    void *other;
    HMODULE module = LoadLibraryW(L"hid.dll");
    (void)state;
    assert_non_null(module);
    only = (HMODULE)(void *)((char *)module + 4096);
    hm_images_add(&hm_process_images, (uintptr_t)only, 4096, (void *)only, 1);
    assert_int_equal(hm_modules_note(&modules, &other), S_OK);
    hm_modules_forget(other);
    hm_modules_look(&told);
    assert_false(hm_modules_next(&told));
    only = NULL;
    FreeLibrary(module);
    assert_null(GetModuleHandleW(L"hid.dll"));
}

/* Whatever the unwind data and the stack hold, nothing else is read, and the walk ends. */
static void test_rubbish(void **state)
{
    enum { BYTES = 4096, WORDS = 512, ROUNDS = 200000 };
    struct images *images = calloc(1, sizeof *images);
    SYSTEM_INFO system;
    (void)state;
    GetSystemInfo(&system);
    /* Pages that cannot be read lie behind both. */
    uint8_t *image = VirtualAlloc(NULL, 2 * BYTES, MEM_RESERVE, PAGE_NOACCESS);
    uint8_t *stack = VirtualAlloc(NULL, 2 * BYTES, MEM_RESERVE, PAGE_NOACCESS);
    assert_non_null(VirtualAlloc(image, BYTES, MEM_COMMIT, PAGE_READWRITE));
    assert_non_null(VirtualAlloc(stack, BYTES, MEM_COMMIT, PAGE_READWRITE));
    struct unwind_function function[4] = {{0, 1000, 0}, {1000, 2000, 0}, {2000, 3000, 0}, {3000, 4096, 0}};
    hm_images_add(images, (uintptr_t)image, BYTES, function, 4);
    srand(20261130);
    uint64_t frames = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct unwind_state walk = {.instruction = (uintptr_t)image + (unsigned)rand() % BYTES + 1,
                                    .bottom = (uintptr_t)stack,
                                    .top = (uintptr_t)stack + BYTES};
        uint64_t frame[LOWEST];
        for (unsigned i = 0; i < 64; i++)
            image[(unsigned)rand() % BYTES] = (uint8_t)(rand() % 4 == 0 ? rand() : rand() % 12);
        for (unsigned i = 0; i < 4; i++)
            function[i].info = (uint32_t)rand() % (BYTES + 64);
        for (unsigned i = 0; i < 4; i++)
            image[(function[i].info & ~3u) % BYTES] = (uint8_t)(rand() % 8 == 0 ? 0x21 : 1);
        for (unsigned i = 0; i < 16; i++)
            ((uint64_t *)(void *)stack)[(unsigned)rand() % WORDS] =
                (uintptr_t)image + (unsigned)rand() % (BYTES + 100);
        for (unsigned i = 0; i < 16; i++)
            walk.registers[i] = (uintptr_t)stack + (unsigned)rand() % (BYTES + 16) / 8 * 8;
        frames += hm_unwind(images, &walk, frame, LOWEST);
    }
    assert_true(frames > 1000);
    VirtualFree(image, 0, MEM_RELEASE);
    VirtualFree(stack, 0, MEM_RELEASE);
    free(images);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_as_windows, note, forget),
        cmocka_unit_test_setup_teardown(test_through_others, note, forget),
        cmocka_unit_test_setup_teardown(test_unknown, note, forget),
        cmocka_unit_test_setup_teardown(test_no_list, note, forget),
        cmocka_unit_test_setup_teardown(test_another_in_its_place, note, forget),
        cmocka_unit_test_setup_teardown(test_within_another, note, forget),
        cmocka_unit_test(test_rubbish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
