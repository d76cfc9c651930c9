/*
 * nettrace.h - the blocks and events of a .nettrace file, format version 6, one after the other
 *
 * Of the file one block is in memory at a time, 16 MiB at most. What is in a block is handed to a visitor: metadata rows
 * and payloads as bytes, which others take apart. The format is microsoft/perfview's, NetTraceFormat.md.
 */
#ifndef HOSTMEM_REPORT_NETTRACE_H
#define HOSTMEM_REPORT_NETTRACE_H

#include "report/bytes.h"

/* Fewer bytes than were asked for: the end of the file. */
struct nettrace_source {
    size_t (*read)(void *context, void *buffer, size_t bytes);
    void *context;
};

/* The trace block. Times of events are in ticks of the same clock. */
struct nettrace_header {
    uint64_t start, frequency;                       /* frequency: ticks a second, not 0 */
    uint32_t pointer_size;                           /* 4 or 8 */
    uint16_t year, month, day, hour, minute, second; /* of the start; UTC */
};

struct nettrace_event {
    uint32_t metadata;
    uint32_t stack;
    uint32_t thread; /* the system's id; 0: not known */
    uint64_t time;
    struct bytes payload;
};

/* Each may return what is wrong with the file, which ends the reading; NULL: go on. */
struct nettrace_visitor {
    const char *(*header)(void *context, const struct nettrace_header *header);
    const char *(*metadata)(void *context, struct bytes row);
    const char *(*event)(void *context, const struct nettrace_event *event);
    const char *(*stack)(void *context, uint32_t id, struct bytes addresses);
    const char *(*sequence_point)(
        void *context); /* all events up to here were earlier than all that follow */
    void *context;
};

enum nettrace_ending {
    NETTRACE_COMPLETE, /* it has its end mark */
    NETTRACE_CUT,      /* ends before it: the process was killed, or the file is not all there */
    NETTRACE_DAMAGED,
    NETTRACE_FOREIGN /* is no such trace at all: nobody was told anything */
};

struct nettrace_result {
    enum nettrace_ending ending;
    const char *what; /* is wrong; NULL when complete */
    uint64_t offset;  /* of the block that is wrong, in the file */
    uint64_t lost;    /* events that are missing by the numbers of those around them */
};

struct nettrace_result hm_nettrace_read(struct nettrace_source source,
                                        const struct nettrace_visitor *visitor);

#endif
