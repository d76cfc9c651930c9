/*
 * rows.h - what a check finds out, row by row
 *
 * The rows of a part are written by its process to the pipe that is its standard output, each at once, so that a crash
 * loses none: "ID tab VERDICT tab TEXT newline". What is missing at the end has failed.
 *
 * A row's text is for others to read: numbers and the names of modules, no paths, no names of users or machines.
 */
#ifndef HOSTMEM_CHECK_ROWS_H
#define HOSTMEM_CHECK_ROWS_H

#include <stdbool.h>

enum verdict {
    ROW_OK = 'o',
    ROW_FAILED = 'F',
    ROW_SKIPPED = 's', /* the text says why */
    ROW_FIGURE = 'f'   /* the text is what there is to know; it cannot be wrong */
};

/* Of the id of a row: it, and all that have not been told yet. */
#define ROW_THE_REST "*"

enum { ROW_TEXT = 700 };

struct row {
    const char *id;
    bool failed;
    char why[ROW_TEXT]; /* of the first expectation that does not hold */
};

#if defined(__GNUC__) && !defined(__clang__)
#    define ROW_FORMAT(text, arguments) __attribute__((format(gnu_printf, text, arguments)))
#else
#    define ROW_FORMAT(text, arguments)
#endif

/* Expectations of a row, one after the other: the first that does not hold is told. Returns `good`. */
struct row row_begin(const char *id);
ROW_FORMAT(3, 4) bool row_expect(struct row *row, bool good, const char *format, ...);

/* Tells it: ok with the text, or FAILED with why. */
ROW_FORMAT(2, 3) void row_end(const struct row *row, const char *format, ...);

ROW_FORMAT(2, 3) void row_skip(const char *id, const char *format, ...);
ROW_FORMAT(2, 3) void row_fail(const char *id, const char *format, ...);
ROW_FORMAT(2, 3) void row_figure(const char *id, const char *format, ...);

/* "a, b" of a text that grows; what has no room is cut off. */
ROW_FORMAT(3, 4) void text_add(char *text, unsigned capacity, const char *format, ...);

/* MiB with one digit, for a text. */
double mebibytes(unsigned long long bytes);

#endif
