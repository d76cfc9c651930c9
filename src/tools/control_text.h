/*
 * control_text.h - what hostmem-run is asked from outside, as one line of text
 *
 *      get                                        the accounting, as JSON
 *      limits limit=314572800 soft=none           new figures, in bytes; those that are not named stay
 *
 * Each line ends with a newline.  The answer is "ok", a newline and what was asked for, or "error " and why; a byte 0 ends
 * it, by which the asker knows that it is whole.
 */
#ifndef HOSTMEM_TOOLS_CONTROL_TEXT_H
#define HOSTMEM_TOOLS_CONTROL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What can be changed: as the options of these names, and the fields of hostmem_limits. */
enum control_figure {
    CONTROL_LIMIT,
    CONTROL_HEAP_LIMIT,
    CONTROL_MARGIN,
    CONTROL_SOFT,
    CONTROL_PROCESS_SOFT,
    CONTROL_FAIL_AFTER,
    CONTROL_FIGURES
};

/* The longest line, its newline included, and an end. */
enum { CONTROL_LINE = 256 };

/* Figures in bytes; 0: not named; UINT64_MAX: none.  Without a figure: get. */
struct control_request {
    bool get;
    uint64_t figure[CONTROL_FIGURES];
};

/* Reads a line of `length` bytes.  NULL: done; otherwise what is wrong with it. */
const char *control_read(struct control_request *request, const char *line, size_t length);

/* Writes the line, with a 0 behind it; returns its length. */
size_t control_write(const struct control_request *request, char line[CONTROL_LINE]);

#endif
