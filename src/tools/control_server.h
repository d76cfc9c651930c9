/*
 * control_server.h - --control: a running program takes new limits from its own user
 *
 * A named pipe (control_text.h has what is said over it), served by one thread, one asker after the other.  Who may open it
 * is in control_access.h; other machines are turned away.
 */
#ifndef HOSTMEM_TOOLS_CONTROL_SERVER_H
#define HOSTMEM_TOOLS_CONTROL_SERVER_H

#include <stdbool.h>

#include <hostmem/hostmem.h>

#include "tools/report.h"

/*
 * Listens from now on.  `limits`: as the manager was given them, defaults not worked out.  `read` fills in the report of a
 * program that runs, on the server's thread.  False: the user has been told why not.
 */
bool control_start(hostmem_manager *manager, const hostmem_limits *limits,
                   void (*read)(struct report *report));

/* Have limits been changed from outside?  Then they are not the command line's any more. */
bool control_has_set(void);

/* No limit is changed after this: what is read of them is what the program has ended with. */
void control_end(bool threads_are_gone);

#endif
