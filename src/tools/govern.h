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

/* The lower one of those on the command line that the heap has; 0: none. */
uint64_t govern_least_limit(const struct options *options);

/* False: the runtime could not start under the limits, or had no room for anything else, and one line on stderr says so.
 * own_limits: they are those of the command line still. */
bool govern_started(const struct options *options, bool own_limits, const struct ending *ending,
                    const hostmem_statistics *statistics, const hostmem_bridge_statistics *bridge);

/*
 * One line on stderr, if the program was ended by a limit: by ours, which were refused or which its collector has kept to
 * by itself, by its own, or by its job's.  `limits`: those that were in force in the end.
 */
void govern_ending(const struct options *options, const hostmem_limits *limits, const struct ending *ending,
                   const hostmem_statistics *statistics, const hostmem_bridge_statistics *bridge);

/* Of each event of the bridge: false, after one line, when the limits - the command line's, or others since - are not
 * kept; the process is to end then. */
bool govern_heap(const struct options *options, bool others, const hostmem_bridge_event *event);

/* Has the bound runtime run the program, or been interrupted?  False: said. */
bool govern_ran(const struct options *options, const struct ending *ending,
                const hostmem_bridge_statistics *bridge);

/* Memory functions of the runtime that the bridge left to Windows: a line for each module that has some. */
void govern_unknown(const struct options *options, const hostmem_bridge_statistics *bridge);

#endif
