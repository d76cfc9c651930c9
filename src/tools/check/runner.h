/*
 * runner.h - runs a part in a process of its own, and takes its rows
 */
#ifndef HOSTMEM_CHECK_RUNNER_H
#define HOSTMEM_CHECK_RUNNER_H

#include "tools/check/check.h"
#include "tools/check/rows.h"

enum { ROWS_MOST = 32 };

/* A part with its argument. */
struct instance {
    const struct part *part;
    wchar_t argument[64];
    char name[32];
};

/* What its rows have come to, in the order of part->rows; the one behind them is about the process itself. */
struct outcome_row {
    enum verdict verdict;
    char text[ROW_TEXT];
};
struct outcome_rows {
    unsigned count;
    struct outcome_row rows[ROWS_MOST];
};

struct instance instance_of(const struct part *part, const wchar_t *argument);

/* Runs it with what `check` has; it is ended after so many milliseconds.  Rows that it has not told have failed. */
void runner_run(const struct instance *instance, const struct check *check, DWORD milliseconds,
                struct outcome_rows *outcome);

/* In the process of a part: `argc` words after --part.  The process is to end with what it returns. */
int runner_child(const struct part *const *parts, unsigned count, int argc, wchar_t **argv);

#endif
