/*
 * hostmem_bench.c - the bars of the design, measured side by side in one run
 *
 *     hostmem-bench [--json FILE] [--quick] [SECTION...]
 *
 * Without a section: all of them.  --quick has too few and too short blocks for figures, and shows that everything runs.
 * The status is 0 whether or not the bars are held: figures of a busy machine are no fault.
 */
#include "bench/sections.h"

#include <stdio.h>
#include <string.h>

#include "bench/calls.h"

static const struct {
    const char *name;
    void (*run)(void);
    const char *what;
} sections[] = {
    {"bookkeeping", section_bookkeeping, "what the bookkeeping costs when Windows costs nothing"},
    {"windows", section_windows, "managed calls beside raw ones"},
    {"region", section_region, "threads that commit and decommit in one region"},
    {"trace", section_trace, "the same while the manager is traced"},
    {"foreign", section_foreign, "pointers that are nobody's"},
    {"lookups", section_lookups, "the table alone, with made-up addresses, and what it takes"},
    {"growth", section_growth, "cost per call while many regions live"},
    {"heap", section_heap, "IHostMalloc beside HeapAlloc"},
    {"stack", section_stack, "how deep each method goes"},
    {"rivals", section_rivals, "a tree under a lock, and VirtualQuery before each free"},
};
enum { SECTIONS = sizeof sections / sizeof *sections };

static void help(void)
{
    printf("usage: hostmem-bench [--json FILE] [--quick] [SECTION...]\n\n"
           "  --json FILE  write the results to FILE, too\n"
           "  --quick      run everything briefly: no figures to go by\n\nsections:\n");
    for (unsigned s = 0; s < SECTIONS; s++)
        printf("  %-11s  %s\n", sections[s].name, sections[s].what);
}

static int complain(const char *what, const char *argument)
{
    fprintf(stderr, "hostmem-bench: %s '%s' (try --help)\n", what, argument);
    return 2;
}

int main(int count, char **arguments)
{
    const char *json = NULL;
    bool chosen[SECTIONS] = {false}, any = false;
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i];
        if (strcmp(argument, "--help") == 0) {
            help();
            return 0;
        }
        if (strcmp(argument, "--quick") == 0) {
            bench_quick = true;
        } else if (strcmp(argument, "--json") == 0) {
            if (++i == count)
                return complain("no file after", argument);
            json = arguments[i];
        } else {
            unsigned s = 0;
            while (s < SECTIONS && strcmp(argument, sections[s].name) != 0)
                s++;
            if (s == SECTIONS)
                return complain(argument[0] == '-' ? "no such option" : "no such section", argument);
            chosen[s] = any = true;
        }
    }
    /* Before a minute's work, not after it. */
    if (json != NULL && !table_write_json(json))
        return complain("cannot write", json);
    if (hostmem_create(NULL, &bench_manager) != S_OK ||
        hostmem_get_memory_manager(bench_manager, &bench_memory) != S_OK)
        bench_stop("cannot make a manager");

    printf("%u bits, processors: %u%s\n", (unsigned)sizeof(void *) * 8, bench_processors(),
           bench_quick ? ", QUICK: no figures to go by" : "");
    printf(
        "\"together\": how much of a row's work its threads really did at once, where it is below %.0f %%\n",
        BENCH_TOGETHER * 100);
    if (bench_processors() < BENCH_THREADS)
        printf("more threads than processors (%u): rows for information, in time of one processor\n",
               bench_processors());
    table_begin();
    for (unsigned s = 0; s < SECTIONS; s++)
        if (chosen[s] || !any) {
            table_section(sections[s].name);
            sections[s].run();
        }
    IHostMemoryManager_Release(bench_memory);
    hostmem_release(bench_manager);
    if (json != NULL && !table_write_json(json))
        return complain("cannot write", json);
    if (!bench_quick)
        printf("bars missed: %u\n", table_misses());
    printf("done\n");
    return 0;
}
