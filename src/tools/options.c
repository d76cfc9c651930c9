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
    "Runs a .NET 8, 9, 10 or 11 program in this process, with the memory of its runtime taken from an\n"
    "IHostMemoryManager, and prints the statistics of that memory when the program ends.\n"
    "\n"
    "  --report FILE     write the report to FILE instead of stderr\n"
    "  --json            as JSON\n"
    "  --process         report all other memory of the process, too: stacks, heaps, images ..\n"
    "  --raw             leave the runtime as it is, for comparison: there are no statistics then\n"
    "  --known-runtime   only runtimes that hostmem was tried on (8 to 11, no new memory functions)\n"
    "\n"
    "limits (SIZE: bytes, or with K, M or G):\n"
    "  --limit SIZE      what the runtime may commit: its heap is refused above, it is shown a machine of\n"
    "                    that size, and its collector is given this limit\n"
    "  --heap-limit SIZE the same for the heap alone, as with DOTNET_GCHeapHardLimit.  A lower limit that\n"
    "                    the program has set for itself stays\n"
    "  --margin SIZE     what the rest of the runtime (code, tables) may take above the limit before it\n"
    "                    counts as an overrun; default 16M\n"
    "  --soft SIZE       from here on the collector is notified that memory is low; default 7/8 of\n"
    "                    --limit\n"
    "  --fail-after N    grant the heap N commits, and refuse the rest: to see how the program takes it\n"
    "  --watch           a line on stderr twice a second: committed, limit, load, pressure, collections\n"
    "  --sample MS       ask Windows every MS milliseconds what is committed, and report the most\n"
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

/* A number, with K, M or G if it is a size; 0: it is none, or not above 0. */
static uint64_t number_of(const wchar_t *text, bool size)
{
    static const wchar_t units[] = L"KMG";
    uint64_t number = 0;

    for (; *text >= L'0' && *text <= L'9'; text++) {
        if (number > (UINT64_MAX >> 1) / 10 - 1)
            return 0;
        number = number * 10 + (uint64_t)(*text - L'0');
    }
    const wchar_t letter = (wchar_t)(*text & ~0x20);
    const wchar_t *unit = size && letter ? wcschr(units, letter) : NULL;
    if (unit) {
        unsigned shift = 10 * (unsigned)(unit - units + 1);
        text++;
        if (number > UINT64_MAX >> 1 >> shift)
            return 0;
        number <<= shift;
    }
    return *text ? 0 : number;
}

/* Which options go together? */
static bool options_make_sense(const struct options *options)
{
    static const wchar_t without_manager[] = L"makes no sense with --raw: there is no manager then";

    if (!options->program) {
        complain(L"no program given (try --help)");
        return false;
    }
    if (options->raw && options->known_runtime) {
        complain(L"--known-runtime makes no sense with --raw: every runtime may be left as it is");
        return false;
    }
    if (options->raw &&
        (options->limit || options->heap_limit || options->fail_after || options->watch || options->sample)) {
        complain(L"%ls %ls",
                 options->heap_limit   ? L"--heap-limit"
                 : options->limit      ? L"--limit"
                 : options->fail_after ? L"--fail-after"
                 : options->watch      ? L"--watch"
                                       : L"--sample",
                 without_manager);
        return false;
    }
    if (!options->limit && options->margin) {
        complain(L"--margin makes no sense without --limit");
        return false;
    }
    if (options->raw && options->soft) {
        complain(L"--soft %ls", without_manager);
        return false;
    }
    if (options->limit && options->soft > options->limit) {
        complain(L"--soft is above --limit: it has to come first");
        return false;
    }
    if (options->mscoree && !hm_path_is_absolute(options->mscoree)) {
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
        bool *flag = NULL, size = false;
        uint64_t *number = NULL;

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
        else if (wcscmp(name, L"--process") == 0)
            flag = &options->process;
        else if (wcscmp(name, L"--known-runtime") == 0)
            flag = &options->known_runtime;
        else if (wcscmp(name, L"--watch") == 0)
            flag = &options->watch;
        else if ((size = wcscmp(name, L"--limit") == 0))
            number = &options->limit;
        else if ((size = wcscmp(name, L"--soft") == 0))
            number = &options->soft;
        else if ((size = wcscmp(name, L"--margin") == 0))
            number = &options->margin;
        else if ((size = wcscmp(name, L"--heap-limit") == 0))
            number = &options->heap_limit;
        else if (wcscmp(name, L"--fail-after") == 0)
            number = &options->fail_after;
        else if (wcscmp(name, L"--sample") == 0)
            number = &options->sample;
        if (flag) {
            *flag = true;
        } else if (number) {
            const wchar_t *text = value_of(argc, argv, &at, *number ? name : NULL);
            if (!text)
                return OPTIONS_WRONG;
            *number = number_of(text, size);
            if (!*number) {
                complain(size ? L"%ls wants a size above 0 such as 200M, not '%ls'"
                              : L"%ls wants a number above 0, not '%ls'",
                         name, text);
                return OPTIONS_WRONG;
            }
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
