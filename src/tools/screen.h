/*
 * screen.h - what --watch shows on a terminal: a program's memory as it is now, in a few rows
 *
 *   churn.dll  12.4 s, pressure Neutral, load 43%
 *   in all       26.8M of   64.0M  ██████████████░░░░░│░░
 *   GC heap      23.9M             ████████████
 *   GC tables     0.9M             █
 *   code          0.1M             █
 *   loader        1.8M             █
 *   other         0.0M
 *   a second     committed +1.2M, VirtualAlloc 120, VirtualFree 80, refused 0
 *   so far       refused 0, overruns 0, collections gen0 994 gen1 259 gen2 11
 *
 * A bar is filled up to now, and lighter up to the most so far; its length is the limit, or the most so far if that is more
 * or there is none.  In the first one the soft mark is shown, and the limit where it is not the end.
 */
#ifndef HOSTMEM_TOOLS_SCREEN_H
#define HOSTMEM_TOOLS_SCREEN_H

#include <hostmem/hostmem.h>

#include "tools/watch.h"
#include "tools/writer.h"

enum { SCREEN_ROWS = 9, SCREEN_LEAST_COLUMNS = 40 };

struct screen {
    unsigned columns; /* that a row may fill */
    const wchar_t *program;
    uint64_t elapsed, since; /* milliseconds: of all, and since `before` */
    hostmem_statistics now, before;
    hostmem_limits limits;
    uint32_t load; /* percent */
    struct watched watched;
};

/* "Low", "Neutral", "High", or "-" for none so far. */
const char *screen_pressure(const hostmem_statistics *statistics);

/* Row 0 .. SCREEN_ROWS - 1, no longer than `columns`, without a newline. */
void screen_row(struct writer *writer, const struct screen *screen, unsigned row);

#endif
