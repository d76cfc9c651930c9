/*
 * options.c - see options.h
 *
 * Options end at the first word that is none, or after "--": everything from the program on is the program's.
 */
#include "tools/options.h"

#include <hostmem/hostmem.h>

#include "bridge/runtime.h"
#include "tools/writer.h"

static const char help[] =
    "usage: hostmem-run [options] app.exe|app.dll [arguments]\n"
    "\n"
    "Runs a .NET 8, 9 or 10 program in this process, with the memory of its runtime taken from an\n"
    "IHostMemoryManager, and prints the books of that memory when the program ends.\n"
    "\n"
    "  --report FILE     write the report to FILE instead of stderr\n"
    "  --json            as JSON\n"
    "  --raw             leave the runtime as it is, and report the process only\n"
    "  --any-runtime     also runtimes that hostmem was not tried on\n"
    "  --help, --version\n"
    "\n"
    "for .NET Framework assemblies, of which one method is run, static int M(string):\n"
    "  --method NAME     Namespace.Type.Method; its argument is the one that follows the assembly, or \"\"\n"
    "  --mscoree PATH    absolute path of the mscoree.dll to use instead of the system's\n"
    "\n"
    "Exit status: the program's own; 2 when the command line makes no sense; 125 when the program cannot be "
    "run.\n";

static void say(const char *text)
{
    static struct writer writer;

    writer_open(&writer, GetStdHandle(STD_OUTPUT_HANDLE));
    writer_text(&writer, text);
    writer_flush(&writer);
}

static void say_version(void)
{
    static struct writer writer;
    uint32_t version = hostmem_version();

    writer_open(&writer, GetStdHandle(STD_OUTPUT_HANDLE));
    writer_text(&writer, "hostmem-run ");
    writer_number(&writer, version >> 16 & 0xFF, 0);
    writer_text(&writer, ".");
    writer_number(&writer, version >> 8 & 0xFF, 0);
    writer_text(&writer, ".");
    writer_number(&writer, version & 0xFF, 0);
    writer_text(&writer, "\n");
    writer_flush(&writer);
}

/* The value of the option at argv[*at]; NULL and a message when there is none or it was given before. */
static const wchar_t *value_of(int argc, wchar_t **argv, int *at, const wchar_t *before)
{
    const wchar_t *name = argv[*at];

    if (before) {
        complain(L"%ls is given twice", name);
        return NULL;
    }
    if (*at + 1 >= argc || argv[*at + 1][0] == 0) {
        complain(L"%ls needs a value", name);
        return NULL;
    }
    return argv[++*at];
}

/* Which options go together? */
static bool options_make_sense(const struct options *options)
{
    if (!options->program) {
        complain(L"no program given (try --help)");
        return false;
    }
    if (options->raw && options->any_runtime) {
        complain(L"--any-runtime makes no sense with --raw: every runtime may be left as it is");
        return false;
    }
    if (options->mscoree && !path_is_absolute(options->mscoree)) {
        complain(L"--mscoree wants an absolute path, not '%ls'", options->mscoree);
        return false;
    }
    return true;
}

enum options_result options_read(struct options *options, int argc, wchar_t **argv)
{
    int at = 1;

    ZeroMemory(options, sizeof *options);
    for (; at < argc && argv[at][0] == L'-'; at++) {
        const wchar_t *name = argv[at], **value = NULL;
        bool *flag = NULL;

        if (wcscmp(name, L"--") == 0) {
            at++;
            break;
        }
        if (wcscmp(name, L"--help") == 0) {
            say(help);
            return OPTIONS_DONE;
        }
        if (wcscmp(name, L"--version") == 0) {
            say_version();
            return OPTIONS_DONE;
        }
        if (wcscmp(name, L"--report") == 0)
            value = &options->report;
        else if (wcscmp(name, L"--method") == 0)
            value = &options->method;
        else if (wcscmp(name, L"--mscoree") == 0)
            value = &options->mscoree;
        else if (wcscmp(name, L"--json") == 0)
            flag = &options->json;
        else if (wcscmp(name, L"--raw") == 0)
            flag = &options->raw;
        else if (wcscmp(name, L"--any-runtime") == 0)
            flag = &options->any_runtime;
        if (flag) {
            *flag = true;
        } else if (value) {
            *value = value_of(argc, argv, &at, *value);
            if (!*value)
                return OPTIONS_WRONG;
        } else {
            complain(L"unknown option %ls (try --help)", name);
            return OPTIONS_WRONG;
        }
    }
    if (at < argc && argv[at][0]) {
        options->program = argv[at];
        options->argc = argc - at - 1;
        options->argv = argv + at + 1;
    }
    return options_make_sense(options) ? OPTIONS_RUN : OPTIONS_WRONG;
}
