/*
 * panel.h - rows at the bottom of a terminal that stay there, while the program's own output scrolls above them
 *
 * The terminal is told that only the rows above may scroll (its scrolling margins).  The cursor stays the program's: each
 * drawing saves and restores it, and is one write, so that nothing of the program's can come in between.
 */
#ifndef HOSTMEM_TOOLS_PANEL_H
#define HOSTMEM_TOOLS_PANEL_H

#include "tools/screen.h"

/* What is written to the terminal, as text.  `rows`: the terminal's; `drawn`: with how many rows it was drawn before, 0:
 * not yet, then `column` (from 0) is where the cursor is. */
void panel_text(struct writer *writer, const struct screen *screen, unsigned rows, unsigned drawn,
                unsigned column);
void panel_end_text(struct writer *writer, unsigned rows);

/* Is stderr a terminal on which that works?  There has to be room, and the console has to know such sequences. */
bool panel_open(void);

/* Draws; the screen's columns are set by this.  False: the terminal has become too small, and nothing was drawn. */
bool panel_draw(struct screen *screen);

/* Gives the rows back, once; any thread. */
void panel_close(void);

#endif
