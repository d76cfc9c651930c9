/*
 * govern.h - what hostmem-run makes of its limits: the manager's, and one line when a program ends by them
 */
#ifndef HOSTMEM_TOOLS_GOVERN_H
#define HOSTMEM_TOOLS_GOVERN_H

#include <hostmem/hostmem.h>

#include "tools/ending.h"
#include "tools/options.h"

/* The limits of the command line; false: none were given. */
bool govern_limits(const struct options *options, hostmem_limits *limits);

/*
 * hostmem_options.event; context: const struct options.  A runtime whose start does not fit in the limits is ended,
 * with one line and STATUS_FAILED.
 */
void HOSTMEM_CALL govern_event(const hostmem_event *event, void *context);

/* One line on stderr, if the program was ended by its limits. */
void govern_ending(const struct options *options, const struct ending *ending,
                   const hostmem_statistics *books);

#endif
