/*
 * A terminal, as far as a panel at its bottom needs one: rows and a cursor, margins within which it scrolls.
 */
#ifndef SUPPORT_TERMINAL_H
#define SUPPORT_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

enum { TERMINAL_ROWS = 40, TERMINAL_COLUMNS = 120 };

struct terminal {
    unsigned rows, columns;
    unsigned row, column, saved_row, saved_column; /* from 0 */
    unsigned top, bottom;                          /* rows that scroll, from 0, both included */
    bool unknown;                                  /* something came that is not known here */
    uint32_t cell[TERMINAL_ROWS][TERMINAL_COLUMNS];
    /* Of a sequence, or a character of several bytes, that has begun. */
    unsigned state, count, number[2], left;
    uint32_t point;
};

void terminal_init(struct terminal *terminal, unsigned rows, unsigned columns);

/* Takes UTF-8 and control sequences; a newline goes to the beginning of the next row, as on a console. */
void terminal_write(struct terminal *terminal, const char *bytes, unsigned length);

/* A row as UTF-8, without blanks at its end. */
const char *terminal_row(const struct terminal *terminal, unsigned row);

#endif
