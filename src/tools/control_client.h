/*
 * control_client.h - --set and --get: ask a hostmem-run that was started with --control
 */
#ifndef HOSTMEM_TOOLS_CONTROL_CLIENT_H
#define HOSTMEM_TOOLS_CONTROL_CLIENT_H

#include "tools/options.h"

/* Asks what the options say; --get's answer goes to stdout.  Returns the exit status; the user has been told in one line
 * what went wrong. */
int control_ask(const struct options *options);

#endif
