/*
 * options.h - the command line of hostmem-run
 */
#ifndef HOSTMEM_TOOLS_OPTIONS_H
#define HOSTMEM_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <wchar.h>

struct options {
    const wchar_t *report;  /* file, or NULL: stderr */
    const wchar_t *trace;   /* file, or NULL: none */
    const wchar_t *method;  /* for .NET Framework */
    const wchar_t *mscoree; /* likewise */
    bool json, raw, regions, process, known_runtime, native_heap, watch, control, trace_all, stacks;
    /* Bytes; 0: not given; HOSTMEM_UNLIMITED: none, which only --set may want. */
    uint64_t limit, heap_limit, soft, process_soft, margin;
    uint64_t fail_after;   /* 0: not given; HOSTMEM_UNLIMITED likewise */
    uint64_t sample;       /* milliseconds; 0: not given */
    uint64_t trace_events; /* 0: not given */
    uint64_t set, get;     /* the process to ask; 0: not given */
    const wchar_t *program;
    int argc; /* the program's own arguments */
    wchar_t **argv;
};

enum options_result {
    OPTIONS_RUN,
    OPTIONS_ASK /* --set or --get */,
    OPTIONS_DONE /* help or version was asked for and given */,
    OPTIONS_WRONG /* as a command line */,
    OPTIONS_FAILED /* it could not be given */
};

/* OPTIONS_WRONG, OPTIONS_FAILED: the user has been told in one line what is wrong. */
enum options_result options_read(struct options *options, int argc, wchar_t **argv);

#endif
