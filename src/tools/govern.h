/*
 * govern.h - what hostmem-run makes of its limits: the manager's, and one line when a program ends by them
 */
#ifndef HOSTMEM_TOOLS_GOVERN_H
#define HOSTMEM_TOOLS_GOVERN_H

#include <hostmem/bridge.h>
#include <hostmem/hostmem.h>

#include "tools/ending.h"
#include "tools/options.h"

/* The limits of the command line; false: none were given. */
bool govern_limits(const struct options *options, hostmem_limits *limits);

/*
 * Of each event of the manager: false, after one line, when the start of the runtime does not fit in the limits; the
 * process is to end with STATUS_FAILED then, without a report.
 */
bool govern_start(const struct options *options, const hostmem_event *event);

/*
 * False: the program came back since its runtime could not start under the limits, and one line on stderr says so.
 * hard_limit: the collector's own, in bytes; 0: none.
 */
bool govern_started(const struct options *options, const struct ending *ending,
                    const hostmem_statistics *books, uint64_t hard_limit);

/* One line on stderr, if the program was ended by its limits, or by want of memory under the collector's. */
void govern_ending(const struct options *options, const struct ending *ending,
                   const hostmem_statistics *books, uint64_t hard_limit);

/* Of each event of the bridge: false, after one line, when the limits are not kept; the process is to end then. */
bool govern_heap(const struct options *options, const hostmem_bridge_event *event);

/* Has the bound runtime run the program?  False: said. */
bool govern_ran(const struct options *options, const struct ending *ending,
                const hostmem_bridge_statistics *bridge);

/* Memory functions of the runtime that the bridge left to Windows: a line for each module that has some. */
void govern_unknown(const struct options *options, const hostmem_bridge_statistics *bridge);

#endif
