/*
 * stack.c - the deepest stack use of each method
 */
#include "bench/calls.h"
#include "bench/sections.h"
#include "support/method_depths.h"

/* Our own frames: the CLR calls with little left (hostmem.h). */
enum { OWN_BYTES = 1536 };

void section_stack(void)
{
    static struct method_depth table[METHODS_MOST];
    unsigned methods = method_depths(table);
    if (methods == 0)
        bench_stop("a method went wrong");
    for (unsigned i = 0; i < methods; i++) {
        const char *comma = table[i].path[0] != 0 ? ", " : "";
        table_row(bench_exactly((double)table[i].depth.own), "bytes", OWN_BYTES, "%s%s%s", table[i].method,
                  comma, table[i].path);
        table_row(bench_exactly((double)table[i].depth.with_windows), "bytes", 0,
                  "  with Windows, at most: %s", table[i].method);
    }
}
