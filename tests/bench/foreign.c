/*
 * foreign.c - pointers that are nobody's
 */
#include "bench/calls.h"
#include "bench/sections.h"

static void ask_owner(unsigned thread, unsigned count, void *context)
{
    char on_stack[16];
    (void)thread, (void)context;
    for (unsigned i = 0; i < count; i++)
        hostmem_owns(bench_manager, on_stack);
}

void section_foreign(void)
{
    struct bench_side sides[] = {{.block = calls_refused}, {.block = ask_owner}};
    for (unsigned threads = 1; threads <= 2; threads++) {
        bench_run(sides, 2, threads, 200000);
        table_row(bench_time(&sides[0]), "ns", threads == 1 ? 10 : 0,
                  "refusing a foreign pointer (VirtualFree), %s", table_threads(threads));
        table_row(bench_time(&sides[1]), "ns", 0, "  hostmem_owns of it, %s", table_threads(threads));
    }
}
