/*
 * hostmem-check - does hostmem do on this machine what it promises?
 *
 * One program to start, and one plain text to send back: the manager's calls beside Windows' own, each installed .NET
 * Framework against the contract, each installed .NET by the bridge, job objects, costs.  Every part is a process of its
 * own (runner.h).
 */
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "bridge/runtime.h"
#include "tools/check/check.h"
#include "tools/check/component.h"
#include "tools/check/runner.h"
#include "tools/program.h"
#include "tools/writer.h"

enum { INSTANCES_MOST = 48, VERSIONS_MOST = 8, ONLY_MOST = 8 };
enum { STATUS_RED = 1, STATUS_USAGE = 2 };
enum { SECONDS_MOST = 1000000, PATIENCE_MS = 180000 };

static const struct part *const parts[] = {
    &part_machine,   &part_manager, &part_budget,       &part_windows,    &part_job, &part_control,
    &part_framework, &part_dotnet,  &part_dotnet_clrgc, &part_dotnet_job, &part_cost};

static const char help[] =
    "usage: hostmem-check [options]\n"
    "\n"
    "Checks on this machine what hostmem promises: its calls beside Windows' own, each installed\n"
    ".NET Framework and .NET under its memory manager, job objects, costs.  Prints a plain text with a line "
    "for\n"
    "each row: ok, FAILED, skipped (and why), or a figure.  It has no names of users, machines or folders in "
    "it.\n"
    "It takes a minute or two.  A folder in the temporary folder is made and removed; nothing else is "
    "changed.\n"
    "\n"
    "  --output FILE       write the text to FILE, too\n"
    "  --dotnet DIR        use the .NET in DIR (absolute path) instead of the installed one\n"
    "  --mscoree DLL       use DLL (absolute path) in the place of .NET Framework's mscoree.dll: for tests "
    "of this\n"
    "                      program, and the text says so\n"
    "  --only PART         that part only, such as budget or net10; up to 8 times\n"
    "  --patience SECONDS  what a part may take before it has failed; default 180\n"
    "  --help (-h, -?), --version\n"
    "\n"
    "Exit status: 0; 1 if a row has failed, or a file could not be written; 2 if the command line makes no\n"
    "sense.\n";

static struct {
    const wchar_t *output, *dotnet, *mscoree, *patience; /* NULL: not given */
    const wchar_t *only[ONLY_MOST];
    bool only_found[ONLY_MOST];
    unsigned only_count;
} options;

static DWORD patience_ms;
static struct check check;
static struct instance instances[INSTANCES_MOST];
static unsigned instance_count;
static struct writer writers[2]; /* standard output, --output */
static unsigned writer_count;

/* Files shared with hostmem-run have something to say to its user; here the row says what there is to be said. */
void complain(const wchar_t *format, ...)
{
    (void)format;
}

static void say(const char *text)
{
    for (unsigned i = 0; i < writer_count; i++) {
        writer_text(&writers[i], text);
        writer_flush(&writers[i]);
    }
}

/* One line on stderr. */
static void say_wrong(const wchar_t *what, const wchar_t *argument, const char *advice)
{
    static struct writer writer;

    writer_open(&writer, GetStdHandle(STD_ERROR_HANDLE));
    writer_text(&writer, "hostmem-check: ");
    writer_wide(&writer, what);
    writer_text(&writer, *argument ? " " : "");
    writer_wide(&writer, argument);
    writer_text(&writer, advice);
    writer_text(&writer, "\n");
    writer_flush(&writer);
}

static int wrong(const wchar_t *what, const wchar_t *argument)
{
    say_wrong(what, argument, " (try --help)");
    return STATUS_USAGE;
}

/* By Windows: the last error. */
static int failed(const wchar_t *what, const wchar_t *argument)
{
    char error[40];

    snprintf(error, sizeof error, " (Windows error %lu)", GetLastError());
    say_wrong(what, argument, error);
    return STATUS_RED;
}

static bool is(const wchar_t *argument, const wchar_t *name)
{
    return wcscmp(argument, name) == 0;
}

/* In milliseconds; 0: it is no number of seconds, or too many. */
static DWORD patience_of(const wchar_t *text)
{
    wchar_t *end;
    const unsigned long seconds = wcstoul(text, &end, 10);

    return *end || !iswdigit(*text) || seconds > SECONDS_MOST ? 0 : (DWORD)seconds * 1000;
}

/* An absolute path, with backslashes; false: it is none, or too long. */
static bool path_read(wchar_t *path, const wchar_t *value)
{
    if (wcslen(value) >= CHECK_PATH)
        return false;
    wcscpy(path, value);
    path_with_backslashes(path);
    return hm_path_is_absolute(path);
}

/* Standard output and --output have what was said; else one line tells. */
static bool all_is_written(void)
{
    bool good = true;

    for (unsigned i = 0; i < writer_count; i++)
        if (writers[i].error) {
            say_wrong(L"the text could not be written to its end:", i ? options.output : L"standard output",
                      "");
            good = false;
        }
    return good;
}

/* -1: go on; else the exit status. */
static int options_read(int argc, wchar_t **argv)
{
    const struct {
        const wchar_t *name, **value;
    } all[] = {{L"--output", &options.output},
               {L"--dotnet", &options.dotnet},
               {L"--mscoree", &options.mscoree},
               {L"--patience", &options.patience}};
    static wchar_t dotnet[CHECK_PATH];

    for (int i = 1; i < argc; i++) {
        const wchar_t *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        unsigned k = 0;
        if (is(option, L"--help") || is(option, L"-h") || is(option, L"-?"))
            return say(help), all_is_written() ? 0 : STATUS_RED;
        if (is(option, L"--version"))
            return say("hostmem-check " HOSTMEM_VERSION_TEXT "\n"), all_is_written() ? 0 : STATUS_RED;
        while (k < ARRAYSIZE(all) && !is(option, all[k].name))
            k++;
        if (k == ARRAYSIZE(all) && !is(option, L"--only"))
            return wrong(L"unknown option", option);
        if (!value || !*value)
            return wrong(L"a value is missing after", option);
        i++;
        if (k < ARRAYSIZE(all) && *all[k].value)
            return wrong(L"given twice:", option);
        if (k < ARRAYSIZE(all))
            *all[k].value = value;
        else if (options.only_count < ONLY_MOST)
            options.only[options.only_count++] = value;
        else
            return wrong(L"too many", option);
    }
    if (options.mscoree && !path_read(check.mscoree, options.mscoree))
        return wrong(L"no absolute path", options.mscoree);
    if (options.dotnet && !path_read(dotnet, options.dotnet))
        return wrong(L"no absolute path", options.dotnet);
    if (options.dotnet) /* as a launcher of programs takes it */
        SetEnvironmentVariableW(sizeof(void *) == 8 ? L"DOTNET_ROOT_X64" : L"DOTNET_ROOT_X86", dotnet);
    patience_ms = options.patience ? patience_of(options.patience) : PATIENCE_MS;
    return patience_ms ? -1 : wrong(L"--patience wants seconds, from 1 to 1000000", L"");
}

static void instance_add(const struct part *part, const wchar_t *argument)
{
    const struct instance instance = instance_of(part, argument);
    wchar_t name[ARRAYSIZE(instance.name)];
    bool chosen = options.only_count == 0;

    swprintf(name, ARRAYSIZE(name), L"%hs", instance.name);
    for (unsigned i = 0; i < options.only_count; i++)
        if (is(options.only[i], name))
            chosen = options.only_found[i] = true;
    if (chosen && instance_count < INSTANCES_MOST)
        instances[instance_count++] = instance;
}

/* Of .NET, how many versions there are. */
static unsigned instances_find(void)
{
    static wchar_t versions[VERSIONS_MOST][64];
    const unsigned count = component_versions(versions, VERSIONS_MOST);

    for (unsigned i = 0; i < ARRAYSIZE(parts); i++) {
        const struct part *part = parts[i];
        if (part == &part_framework) {
            instance_add(part, L"v4.0.30319");
            if (!*check.mscoree)
                instance_add(part, L"v2.0.50727");
        } else if (part == &part_dotnet) {
            for (unsigned k = 0; k < count; k++) {
                instance_add(&part_dotnet, versions[k]);
                instance_add(&part_dotnet_clrgc, versions[k]);
                instance_add(&part_dotnet_job, versions[k]);
            }
            if (count == 0 && options.only_count == 0)
                instance_add(&part_dotnet, L"");
        } else if (part != &part_dotnet_clrgc && part != &part_dotnet_job) {
            instance_add(part, L"");
        }
    }
    return count;
}

/* The folder of this run, with the C# assembly; false: the last error tells why not. */
static bool folder_make(void)
{
    wchar_t temporary[MAX_PATH + 1];
    DWORD length = GetTempPathW(ARRAYSIZE(temporary), temporary);

    if (length == 0 || length >= ARRAYSIZE(temporary))
        return false;
    swprintf(check.folder, CHECK_PATH, L"%lshostmem-check-%lu-%llu", temporary, GetCurrentProcessId(),
             (unsigned long long)GetTickCount64());
    return CreateDirectoryW(check.folder, NULL) && (!assembly_is_there() || assembly_write(check.folder));
}

static void folder_remove(void)
{
    wchar_t path[2 * CHECK_PATH];
    WIN32_FIND_DATAW found;

    swprintf(path, ARRAYSIZE(path), L"%ls\\*", check.folder);
    HANDLE search = FindFirstFileW(path, &found);
    if (search != INVALID_HANDLE_VALUE) {
        do {
            swprintf(path, ARRAYSIZE(path), L"%ls\\%ls", check.folder, found.cFileName);
            DeleteFileW(path);
        } while (FindNextFileW(search, &found));
        FindClose(search);
    }
    RemoveDirectoryW(check.folder);
}

static unsigned totals[256]; /* by verdict */

static void row_say(const struct instance *instance, const char *id, const char *sentence,
                    const struct outcome_row *row)
{
    static const char *const words[256] = {
        [ROW_OK] = "ok", [ROW_FAILED] = "FAILED", [ROW_SKIPPED] = "skipped", [ROW_FIGURE] = "-"};
    char name[64], line[2 * ROW_TEXT];

    totals[(unsigned char)row->verdict]++;
    snprintf(name, sizeof name, "%s.%s", instance->name, id);
    snprintf(line, sizeof line, "%-7s %-22s %s%s%s\n", words[(unsigned char)row->verdict], name, sentence,
             *row->text ? ": " : "", row->text);
    say(line);
}

/* All for the same reason: one line.  False: it is not so. */
static bool skipped_say(const struct instance *instance, const struct outcome_rows *outcome)
{
    const unsigned count = outcome->count - 1; /* without that of the process */
    char sentence[64];

    for (unsigned i = 0; i < count; i++)
        if (outcome->rows[i].verdict != ROW_SKIPPED ||
            strcmp(outcome->rows[i].text, outcome->rows[0].text) != 0)
            return false;
    totals[ROW_SKIPPED] += count - 1;
    snprintf(sentence, sizeof sentence, "all %u rows", count);
    row_say(instance, "*", sentence, &outcome->rows[0]);
    return true;
}

static void instance_run(const struct instance *instance)
{
    static struct outcome_rows outcome;
    char title[200], argument[64];

    snprintf(argument, sizeof argument, "%ls", instance->argument);
    say("\n");
    snprintf(title, sizeof title, instance->part->title, argument);
    say(title);
    say("\n");
    if (instance->part == &part_dotnet && !*argument) {
        const struct outcome_row none = {ROW_SKIPPED,
                                         "no .NET 8 or later is installed for this architecture"};
        row_say(instance, "bound", "each installed .NET", &none);
        return;
    }
    runner_run(instance, &check, patience_ms, &outcome);
    if (outcome.rows[outcome.count - 1].verdict == ROW_OK && skipped_say(instance, &outcome))
        return;
    for (unsigned i = 0; i < outcome.count; i++)
        row_say(instance, i + 1 < outcome.count ? instance->part->rows[i].id : "process",
                i + 1 < outcome.count ? instance->part->rows[i].sentence : "the process came to its end",
                &outcome.rows[i]);
}

static int report(void)
{
    char line[300];

    say("hostmem-check " HOSTMEM_VERSION_TEXT "\n");
    if (*check.mscoree)
        say("--mscoree: a stand-in takes the place of .NET Framework; rows of framework4 and framework2 are "
            "no evidence\n");
    if (!assembly_is_there())
        say("Built without its C# assembly: no runtime is checked.\n");
    for (unsigned i = 0; i < instance_count; i++)
        instance_run(&instances[i]);
    snprintf(line, sizeof line, "\n%u ok, %u FAILED, %u skipped, %u figures\n", totals[ROW_OK],
             totals[ROW_FAILED], totals[ROW_SKIPPED], totals[ROW_FIGURE]);
    say(line);
    return totals[ROW_FAILED] ? STATUS_RED : 0;
}

/* Started by a double click, the console goes with the program. */
static void console_keep(void)
{
    DWORD processes[2], mode, read;
    char key;

    if (GetConsoleProcessList(processes, 2) != 1 || !GetConsoleMode(GetStdHandle(STD_OUTPUT_HANDLE), &mode))
        return;
    say("\nThis is what to send back.  Enter closes this window.\n");
    ReadFile(GetStdHandle(STD_INPUT_HANDLE), &key, 1, &read, NULL);
}

int wmain(int argc, wchar_t **argv)
{
    if (argc > 1 && is(argv[1], L"--part"))
        return runner_child(parts, ARRAYSIZE(parts), argc - 2, argv + 2);
    writer_open(&writers[0], GetStdHandle(STD_OUTPUT_HANDLE));
    writer_count = 1;
    int status = options_read(argc, argv);
    if (status >= 0)
        return status;
    if (instances_find() == 0 && options.dotnet)
        return wrong(L"--dotnet: no .NET 8 or later of this architecture is in", options.dotnet);
    for (unsigned i = 0; i < options.only_count; i++)
        if (!options.only_found[i])
            return wrong(L"--only names no part that there is:", options.only[i]);
    if (options.output) {
        HANDLE file =
            CreateFileW(options.output, GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_ALWAYS, 0, NULL);
        if (file == INVALID_HANDLE_VALUE)
            return failed(L"cannot write", options.output);
        writer_open(&writers[1], file);
        writer_count = 2;
    }
    if (!folder_make()) {
        status = failed(L"no folder can be made in the temporary folder", L"");
        folder_remove();
        return status;
    }
    status = report();
    folder_remove();
    if (!all_is_written())
        status = STATUS_RED;
    console_keep();
    return status;
}
