/*
 * part_machine.c - what this machine is: nothing here can be wrong
 */
#include "tools/check/check.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <psapi.h>

#include "tools/check/rows.h"

static const struct row_text rows[] = {
    {"system", "the operating system"},
    {"architecture", "of this program, and of the machine"},
    {"processors", "processors and NUMA nodes"},
    {"pages", "sizes of pages"},
    {"memory", "memory and commit limit"},
    {"job", "the job object that this program was started in"},
    {"protection", "protections of this process that matter to whoever hooks or makes code"},
    {"hooks", "functions of ntdll.dll that take memory, and have been patched"},
    {"modules", "modules in this process that are not the system's"},
    {"environment", "variables that change a runtime or bring in a profiler, by name"},
    {0},
};

const char *wine_version(void)
{
    const char *(__cdecl * version)(void) = (const char *(__cdecl *)(void))(void *)GetProcAddress(
        GetModuleHandleW(L"ntdll.dll"), "wine_get_version");
    return version ? version() : NULL;
}

static void tell_system(void)
{
    LONG(WINAPI * get_version)
    (OSVERSIONINFOEXW *) = (LONG(WINAPI *)(OSVERSIONINFOEXW *))(void *)GetProcAddress(
        GetModuleHandleW(L"ntdll.dll"), "RtlGetVersion");
    OSVERSIONINFOEXW version = {.dwOSVersionInfoSize = sizeof version};
    const char *wine = wine_version();

    get_version(&version);
    row_figure("system", "%s%s%sWindows %lu.%lu.%lu, %s", wine ? "Wine " : "", wine ? wine : "",
               wine ? " as " : "", version.dwMajorVersion, version.dwMinorVersion, version.dwBuildNumber,
               version.wProductType == VER_NT_WORKSTATION ? "workstation" : "server");
}

static const char *machine_name(USHORT machine)
{
    switch (machine) {
    case IMAGE_FILE_MACHINE_AMD64:
        return "x86-64";
    case IMAGE_FILE_MACHINE_I386:
        return "x86";
    case 0xAA64:
        return "ARM64";
    default:
        return "unknown";
    }
}

static void tell_architecture(void)
{
    BOOL(WINAPI * is_wow64)
    (HANDLE, USHORT *, USHORT *) = (BOOL(WINAPI *)(HANDLE, USHORT *, USHORT *))(void *)GetProcAddress(
        GetModuleHandleW(L"kernel32.dll"), "IsWow64Process2");
    USHORT process = 0, machine = 0;

    if (is_wow64 && is_wow64(GetCurrentProcess(), &process, &machine))
        row_figure("architecture", "%s on %s", sizeof(void *) == 8 ? "x86-64" : "x86", machine_name(machine));
    else
        row_figure("architecture", "%s", sizeof(void *) == 8 ? "x86-64" : "x86");
}

static void tell_sizes(void)
{
    MEMORYSTATUSEX memory = {.dwLength = sizeof memory};
    SYSTEM_INFO system;
    ULONG highest = 0;

    GetSystemInfo(&system);
    GetNumaHighestNodeNumber(&highest);
    row_figure("processors", "%lu in %u groups, %lu NUMA nodes",
               GetActiveProcessorCount(ALL_PROCESSOR_GROUPS), GetActiveProcessorGroupCount(), highest + 1);
    row_figure("pages", "page %lu, granule %lu, large page %llu bytes", system.dwPageSize,
               system.dwAllocationGranularity, (unsigned long long)GetLargePageMinimum());
    if (GlobalMemoryStatusEx(&memory))
        row_figure("memory", "%.0f of %.0f MiB free, %.0f of %.0f MiB can still be committed, load %lu %%",
                   mebibytes(memory.ullAvailPhys), mebibytes(memory.ullTotalPhys),
                   mebibytes(memory.ullAvailPageFile), mebibytes(memory.ullTotalPageFile),
                   memory.dwMemoryLoad);
    else
        row_fail("memory", "GlobalMemoryStatusEx: error %lu", GetLastError());
}

static void tell_job(void)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION job = {0};
    char text[ROW_TEXT] = "";
    BOOL in_job = FALSE;

    IsProcessInJob(GetCurrentProcess(), NULL, &in_job);
    if (!in_job) {
        row_figure("job", "none");
        return;
    }
    if (!QueryInformationJobObject(NULL, JobObjectExtendedLimitInformation, &job, sizeof job, NULL)) {
        row_figure("job", "in one that cannot be read: error %lu", GetLastError());
        return;
    }
    const DWORD flags = job.BasicLimitInformation.LimitFlags;
    if (flags & JOB_OBJECT_LIMIT_JOB_MEMORY)
        text_add(text, sizeof text, "job %.0f MiB", mebibytes(job.JobMemoryLimit));
    if (flags & JOB_OBJECT_LIMIT_PROCESS_MEMORY)
        text_add(text, sizeof text, "process %.0f MiB", mebibytes(job.ProcessMemoryLimit));
    if (flags & JOB_OBJECT_LIMIT_WORKINGSET)
        text_add(text, sizeof text, "working set %.0f MiB",
                 mebibytes(job.BasicLimitInformation.MaximumWorkingSetSize));
    row_figure("job", "in one; limits of memory: %s", *text ? text : "none");
}

/* Flags of a policy; ProcessControlFlowGuardPolicy and so on, by the number that they have in winnt.h. */
static void tell_protection(void)
{
    static const struct {
        int policy;
        const char *name;
    } policies[] = {
        {2, "dynamic code"}, {7, "control flow guard"}, {8, "signatures"}, {15, "user shadow stack"}};
    BOOL(WINAPI * get_policy)
    (HANDLE, int, void *, SIZE_T) = (BOOL(WINAPI *)(HANDLE, int, void *, SIZE_T))(void *)GetProcAddress(
        GetModuleHandleW(L"kernel32.dll"), "GetProcessMitigationPolicy");
    char text[ROW_TEXT] = "";

    for (unsigned i = 0; get_policy && i < ARRAYSIZE(policies); i++) {
        DWORD flags = 0;
        if (get_policy(GetCurrentProcess(), policies[i].policy, &flags, sizeof flags) && flags)
            text_add(text, sizeof text, "%s 0x%lx", policies[i].name, flags);
    }
    row_figure("protection", "%s", *text ? text : "none");
}

/* Somebody's jump at the start of a function: what security software does to see the calls. */
static bool is_patched(const BYTE *code)
{
    return code[0] == 0xE9 || code[0] == 0xEB || (code[0] == 0xFF && code[1] == 0x25) ||
           (code[0] == 0x48 && code[1] == 0xB8) || (code[0] == 0x68 && code[5] == 0xC3);
}

static void tell_hooks(void)
{
    static const char *const names[] = {
        "NtAllocateVirtualMemory", "NtFreeVirtualMemory",  "NtProtectVirtualMemory", "NtQueryVirtualMemory",
        "NtMapViewOfSection",      "NtUnmapViewOfSection", "NtCreateSection",        "LdrLoadDll"};
    char text[ROW_TEXT] = "";

    for (unsigned i = 0; i < ARRAYSIZE(names); i++) {
        const BYTE *code = (const BYTE *)(void *)GetProcAddress(GetModuleHandleW(L"ntdll.dll"), names[i]);
        if (code && is_patched(code))
            text_add(text, sizeof text, "%s (%02x %02x)", names[i], code[0], code[1]);
    }
    row_figure("hooks", "%s", *text ? text : "none");
}

static void tell_modules(void)
{
    wchar_t windows[CHECK_PATH], path[CHECK_PATH], own[CHECK_PATH];
    HMODULE modules[256];
    char text[ROW_TEXT] = "";
    DWORD bytes = 0;

    UINT length = GetWindowsDirectoryW(windows, CHECK_PATH);
    GetModuleFileNameW(NULL, own, CHECK_PATH);
    K32EnumProcessModules(GetCurrentProcess(), modules, sizeof modules, &bytes);
    for (unsigned i = 0; i < bytes / sizeof *modules && i < ARRAYSIZE(modules); i++) {
        if (!GetModuleFileNameW(modules[i], path, CHECK_PATH) || _wcsicmp(path, own) == 0 ||
            _wcsnicmp(path, windows, length) == 0)
            continue;
        const wchar_t *name = wcsrchr(path, L'\\');
        text_add(text, sizeof text, "%ls", name ? name + 1 : path);
    }
    row_figure("modules", "%s", *text ? text : "none");
}

static void tell_environment(void)
{
    static const wchar_t *const prefixes[] = {L"DOTNET_", L"COMPlus_", L"COR_", L"CORECLR_"};
    char text[ROW_TEXT] = "";
    wchar_t *all = GetEnvironmentStringsW();

    for (const wchar_t *one = all; one && *one; one += wcslen(one) + 1)
        for (unsigned i = 0; i < ARRAYSIZE(prefixes); i++)
            if (_wcsnicmp(one, prefixes[i], wcslen(prefixes[i])) == 0)
                text_add(text, sizeof text, "%.*ls", (int)wcscspn(one, L"="), one);
    FreeEnvironmentStringsW(all);
    row_figure("environment", "%s", *text ? text : "none");
}

static void run(const struct check *check)
{
    (void)check;
    tell_system();
    tell_architecture();
    tell_sizes();
    tell_job();
    tell_protection();
    tell_hooks();
    tell_modules();
    tell_environment();
}

const struct part part_machine = {"machine", "This machine", run, rows, 0};
