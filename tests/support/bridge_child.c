/* A host for one program; see the header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <wchar.h>

#include <cmocka.h>

#include "support/bridge_child.h"

typedef int(__cdecl *main_function)(int, const wchar_t **, const wchar_t *, const wchar_t *, const wchar_t *);

DWORD bridge_child(const wchar_t *arguments, DWORD milliseconds)
{
    wchar_t own[BRIDGE_PATH], line[4 * BRIDGE_PATH];
    STARTUPINFOW start = {.cb = sizeof start};
    PROCESS_INFORMATION process;
    DWORD code = 2;

    GetModuleFileNameW(NULL, own, BRIDGE_PATH);
    swprintf(line, sizeof line / sizeof *line, L"\"%ls\" %ls", own, arguments);
    if (!CreateProcessW(own, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &process)) {
        fprintf(stderr, "a child cannot be started: error %lu\n", GetLastError());
        return code;
    }
    if (WaitForSingleObject(process.hProcess, milliseconds) != WAIT_OBJECT_0)
        TerminateProcess(process.hProcess, BRIDGE_CHILD_HANGS);
    WaitForSingleObject(process.hProcess, INFINITE);
    GetExitCodeProcess(process.hProcess, &code);
    CloseHandle(process.hProcess);
    CloseHandle(process.hThread);
    return code;
}

static void (*run_version)(unsigned version);

#define VERSION(number)                                                                                      \
    static void net##number(void **state)                                                                    \
    {                                                                                                        \
        (void)state;                                                                                         \
        run_version(number);                                                                                 \
    }
VERSION(10)
#ifdef _WIN64
VERSION(8)
VERSION(9)
VERSION(11)
#endif

int bridge_run_versions(void (*run)(unsigned version), const char *only)
{
#ifdef _WIN64
    const struct CMUnitTest tests[] = {cmocka_unit_test(net8), cmocka_unit_test(net9),
                                       cmocka_unit_test(net10), cmocka_unit_test(net11)};
#else
    const struct CMUnitTest tests[] = {cmocka_unit_test(net10)};
#endif

    run_version = run;
    cmocka_set_test_filter(only);
    SetEnvironmentVariableW(L"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", L"1");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int bridge_run(const wchar_t *folder, const wchar_t *name, const wchar_t *const *arguments,
               IHostControl *control, const hostmem_bridge_options *options)
{
    wchar_t coreclr[BRIDGE_PATH], program[BRIDGE_PATH], executable[BRIDGE_PATH], path[BRIDGE_PATH];
    const wchar_t *line[4] = {executable};
    int count = 1;

    swprintf(path, BRIDGE_PATH, L"%ls\\hostfxr.dll", folder);
    swprintf(coreclr, BRIDGE_PATH, L"%ls\\coreclr.dll", folder);
    swprintf(program, BRIDGE_PATH, L"%ls\\%ls.dll", folder, name);
    swprintf(executable, BRIDGE_PATH, L"%ls\\%ls.exe", folder, name);
    while (count < 4 && arguments[count - 1]) {
        line[count] = arguments[count - 1];
        ++count;
    }
    HMODULE fxr = LoadLibraryExW(path, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    HRESULT hr = fxr ? hostmem_bridge_load(coreclr, control, options, NULL) : E_FAIL;
    if (hr != S_OK) {
        fprintf(stderr, "  %ls: cannot be run (0x%08lx)\n", program, (unsigned long)hr);
        return -1;
    }
    main_function run = (main_function)(void *)GetProcAddress(fxr, "hostfxr_main_startupinfo");
    return run ? run(count, line, executable, folder, program) : -1;
}
