/*
 * options.c - see options.h
 *
 * Options end at the first word that is none, or after "--": everything from the program on is the program's.
 */
#include "tools/options.h"

#include <hostmem/hostmem.h>

#include "bridge/runtime.h"
#include "tools/program.h"
#include "tools/writer.h"
#include "trace/ring.h"

static const char help[] =
    "usage: hostmem-run [options] app.exe|app.dll [arguments]\n"
    "       hostmem-run --set PID limits\n"
    "       hostmem-run --get PID\n"
    "\n"
    "Runs a .NET 8, 9, 10 or 11 program in this process, with the memory of its runtime taken from an\n"
    "IHostMemoryManager, and prints the statistics of that memory when the program ends.\n"
    "\n"
    "  --report FILE     write the report to FILE instead of stderr\n"
    "  --json            as JSON\n"
    "  --regions         list the regions by use, with their bytes; in JSON they always are\n"
    "  --process         report all other memory of the process, too: stacks, heaps, images ..\n"
    "  --raw             leave the runtime as it is, for comparison: there are no statistics then\n"
    "  --known-runtime   only runtimes that hostmem was tried on (8 to 11, no new memory functions)\n"
    "  --trace FILE      write what the manager does to FILE, for PerfView, Visual Studio, TraceEvent:\n"
    "                    they want a name that ends in .nettrace\n"
    "  --stacks          with the call stack of each event (x86-64)\n"
    "  --trace-all       with blocks of the runtime's own heap, and changes of protection\n"
    "  --trace-events N  room for N events of each lane of threads, a power of 2; default 2048\n"
    "  --native-heap     take over the runtime's own heap (malloc and the process heap), too: experimental\n"
    "\n"
    "limits (SIZE: bytes, or with K, M or G, as KB and KiB, too: 1 KB is 1,024 bytes):\n"
    "  --limit SIZE      what the runtime may commit: its heap is refused above, it is shown a machine of\n"
    "                    that size, and its collector is given this limit\n"
    "  --heap-limit SIZE the same for the heap alone, as with DOTNET_GCHeapHardLimit.  A lower limit that\n"
    "                    the program has set for itself stays\n"
    "  --margin SIZE     what the rest of the runtime (code, tables) may take above the limit before it\n"
    "                    counts as an overrun; default 16M\n"
    "  --soft SIZE       from here on the collector is notified that memory is low; default 7/8 of\n"
    "                    --limit\n"
    "  --process-soft SIZE  the same for all that the process has: native heaps, stacks ..\n"
    "  --fail-after N    grant the heap N commits, and refuse the rest: to see how the program takes it\n"
    "  --watch           a line on stderr twice a second: committed, limit, load, pressure, collections;\n"
    "                    on a terminal one screen\n"
    "  --sample MS       ask Windows every MS milliseconds, 60000 at most, what is committed; the most of\n"
    "                    it is reported\n"
    "  --help (-h, -?), --version\n"
    "\n"
    "while it runs, by the same user:\n"
    "  --control         take new limits from --set, and answer --get; without it nothing listens\n"
    "  --set PID         give the program that runs in process PID other limits, by the options above; "
    "those\n"
    "                    that are not named stay, and SIZE may be none\n"
    "  --get PID         print its accounting as it is now, as JSON\n"
    "\n"
    "A value may also follow a =, as in --limit=200M.\n"
    "\n"
    "for .NET Framework assemblies, of which one method is run, static int M(string):\n"
    "  --method NAME     Namespace.Type.Method; its argument is the one that follows the assembly, or \"\"\n"
    "  --mscoree PATH    absolute path of the mscoree.dll to use instead of the system's\n"
    "\n"
    "Exit status: the program's own; 2 when the command line makes no sense; 125 when the program cannot be "
    "run,\nor not be asked.\n";

/* The help, or the version. */
static enum options_result say(bool of_version)
{
    static struct writer writer;
    const uint32_t version = hostmem_version();

    writer_open(&writer, GetStdHandle(STD_OUTPUT_HANDLE));
    if (of_version) {
        writer_text_number(&writer, "hostmem-run ", version >> 16 & 0xFF);
        writer_text_number(&writer, ".", version >> 8 & 0xFF);
        writer_text_number(&writer, ".", version & 0xFF);
        writer_text(&writer, "\n");
    } else {
        writer_text(&writer, help);
    }
    writer_flush(&writer);
    if (!writer.error)
        return OPTIONS_DONE;
    complain(L"standard output could not be written (Windows error %lu)", writer.error);
    return OPTIONS_FAILED;
}

/* K, M or G, also with B or iB behind it, in any case: the power of 2; 0: it is none of these. */
static unsigned unit_of(const wchar_t *text)
{
    static const wchar_t units[] = L"KMG";
    const wchar_t letter = (wchar_t)(*text & ~0x20);
    const wchar_t *unit = letter ? wcschr(units, letter) : NULL;

    if (!unit || (text[1] && _wcsicmp(text + 1, L"B") != 0 && _wcsicmp(text + 1, L"iB") != 0))
        return 0;
    return 10 * (unsigned)(unit - units + 1);
}

/* A number, with a unit if it is a size; 0: it is none, or not above 0. */
static uint64_t number_of(const wchar_t *text, bool size)
{
    uint64_t number = 0;

    for (; *text >= L'0' && *text <= L'9'; text++) {
        if (number > (UINT64_MAX >> 1) / 10 - 1)
            return 0;
        number = number * 10 + (uint64_t)(*text - L'0');
    }
    if (!*text)
        return number;
    const unsigned shift = size ? unit_of(text) : 0;
    return shift && number <= UINT64_MAX >> 1 >> shift ? number << shift : 0;
}

/* Does the argument name this option?  *value: what follows a =, or NULL. */
static bool is_option(const wchar_t *argument, const wchar_t *name, const wchar_t **value)
{
    size_t length = wcslen(name);

    if (wcsncmp(argument, name, length) != 0)
        return false;
    *value = argument[length] == L'=' ? argument + length + 1 : NULL;
    return !argument[length] || *value;
}

/* What an option goes with. */
enum role {
    OF_A_RUN,     /* a program */
    OF_A_MANAGER, /* a program that is not --raw */
    A_LIMIT,      /* that, or --set */
    ASKS,
    ROLE_COUNT
};

/* --set wants limits, --get nothing, and both no program.  `given`: by role, the first option. */
static bool asks_make_sense(const struct options *options, const wchar_t *const *given)
{
    const wchar_t *name = options->set ? L"--set" : L"--get";

    if (options->set && options->get) {
        complain(L"--set and --get: one at a time");
        return false;
    }
    if (options->program) {
        complain(L"%ls runs no program, and '%ls' follows", name, options->program);
        return false;
    }
    if (given[OF_A_RUN] || given[OF_A_MANAGER] || (options->get && given[A_LIMIT])) {
        complain(options->set ? L"--set goes with limits only" : L"--get goes with no other option");
        return false;
    }
    if (options->set && !given[A_LIMIT]) {
        complain(L"--set wants limits to set, such as --limit 200M");
        return false;
    }
    if (options->set > MAXDWORD || options->get > MAXDWORD) {
        complain(L"%ls: no process has such an id", name);
        return false;
    }
    return true;
}

/* Which options go together? */
static bool options_make_sense(const struct options *options, const wchar_t *const *given, bool none)
{
    const wchar_t *managed = given[A_LIMIT] ? given[A_LIMIT] : given[OF_A_MANAGER];

    if (!options->program || !*options->program) {
        complain(L"no program given (try --help)");
        return false;
    }
    if (none) {
        complain(L"'none' is for a limit that --set takes away");
        return false;
    }
    if (options->raw && managed) {
        complain(L"%ls makes no sense with --raw: there is no manager then", managed);
        return false;
    }
    if (!options->limit && options->margin) {
        complain(L"--margin makes no sense without --limit");
        return false;
    }
    if (!options->trace && (options->stacks || options->trace_all || options->trace_events)) {
        complain(L"%ls makes no sense without --trace", options->stacks      ? L"--stacks"
                                                        : options->trace_all ? L"--trace-all"
                                                                             : L"--trace-events");
        return false;
    }
    if (options->trace_events && !ring_slots_fit(options->trace_events)) {
        complain(L"--trace-events wants a power of 2 from %d to %d", RING_SLOTS_LEAST, RING_SLOTS_MOST);
        return false;
    }
    if (options->stacks && sizeof(void *) == 4) {
        complain(L"--stacks is for 64-bit programs");
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
    const struct {
        const wchar_t *name;
        enum role role;
        bool *flag; /* one of these */
        const wchar_t **text;
        uint64_t *number, *size;
    } all[] = {
        {.name = L"--report", .text = &options->report},
        {.name = L"--trace", .role = OF_A_MANAGER, .text = &options->trace},
        {.name = L"--method", .text = &options->method},
        {.name = L"--mscoree", .text = &options->mscoree},
        {.name = L"--json", .flag = &options->json},
        {.name = L"--raw", .flag = &options->raw},
        {.name = L"--regions", .role = OF_A_MANAGER, .flag = &options->regions},
        {.name = L"--process", .flag = &options->process},
        {.name = L"--known-runtime", .role = OF_A_MANAGER, .flag = &options->known_runtime},
        {.name = L"--native-heap", .role = OF_A_MANAGER, .flag = &options->native_heap},
        {.name = L"--stacks", .flag = &options->stacks},
        {.name = L"--trace-all", .flag = &options->trace_all},
        {.name = L"--watch", .role = OF_A_MANAGER, .flag = &options->watch},
        {.name = L"--control", .role = OF_A_MANAGER, .flag = &options->control},
        {.name = L"--limit", .role = A_LIMIT, .size = &options->limit},
        {.name = L"--soft", .role = A_LIMIT, .size = &options->soft},
        {.name = L"--margin", .role = A_LIMIT, .size = &options->margin},
        {.name = L"--heap-limit", .role = A_LIMIT, .size = &options->heap_limit},
        {.name = L"--process-soft", .role = A_LIMIT, .size = &options->process_soft},
        {.name = L"--fail-after", .role = A_LIMIT, .number = &options->fail_after},
        {.name = L"--trace-events", .number = &options->trace_events},
        {.name = L"--sample", .role = OF_A_MANAGER, .number = &options->sample},
        {.name = L"--set", .role = ASKS, .number = &options->set},
        {.name = L"--get", .role = ASKS, .number = &options->get},
    };
    const wchar_t *given[ROLE_COUNT] = {NULL};
    bool none = false;
    int at = 1;

    ZeroMemory(options, sizeof *options);
    for (; at < argc && argv[at][0] == L'-'; at++) {
        const wchar_t *name = argv[at], *value = NULL;
        unsigned i = 0;

        if (wcscmp(name, L"--") == 0) {
            at++;
            break;
        }
        if (wcscmp(name, L"--help") == 0 || wcscmp(name, L"-h") == 0 || wcscmp(name, L"-?") == 0)
            return say(false);
        if (wcscmp(name, L"--version") == 0)
            return say(true);
        while (i < sizeof all / sizeof *all && !is_option(name, all[i].name, &value))
            i++;
        if (i == sizeof all / sizeof *all) {
            complain(L"unknown option %ls (try --help)", name);
            return OPTIONS_WRONG;
        }
        if (!given[all[i].role])
            given[all[i].role] = all[i].name;
        if (all[i].flag) {
            if (value) {
                complain(L"%ls takes no value", all[i].name);
                return OPTIONS_WRONG;
            }
            *all[i].flag = true;
            continue;
        }
        uint64_t *number = all[i].size ? all[i].size : all[i].number;
        if (number ? *number != 0 : *all[i].text != NULL) {
            complain(L"%ls is given twice", all[i].name);
            return OPTIONS_WRONG;
        }
        if (!value && at + 1 < argc)
            value = argv[++at];
        if (!value || !*value) {
            complain(L"%ls needs a value", all[i].name);
            return OPTIONS_WRONG;
        }
        if (!number) {
            *all[i].text = value;
            continue;
        }
        *number = wcscmp(value, L"none") == 0 ? HOSTMEM_UNLIMITED : number_of(value, all[i].size);
        if (!*number) {
            complain(all[i].size ? L"%ls wants a size above 0 such as 200M, not '%ls'"
                                 : L"%ls wants a number above 0, not '%ls'",
                     all[i].name, value);
            return OPTIONS_WRONG;
        }
        none |= *number == HOSTMEM_UNLIMITED;
    }
    if (options->mscoree) {
        static wchar_t mscoree[PATH_CHARS]; /* no command line is longer */
        wcsncpy(mscoree, options->mscoree, PATH_CHARS - 1);
        path_with_backslashes(mscoree);
        options->mscoree = mscoree;
    }
    if (at < argc) {
        options->program = argv[at];
        options->argc = argc - at - 1;
        options->argv = argv + at + 1;
    }
    if (given[ASKS])
        return asks_make_sense(options, given) ? OPTIONS_ASK : OPTIONS_WRONG;
    return options_make_sense(options, given, none) ? OPTIONS_RUN : OPTIONS_WRONG;
}
