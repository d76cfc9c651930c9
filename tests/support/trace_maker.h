/*
 * trace_maker.h - makes .nettrace files, whole ones and others: a writer for tests that shares nothing with the recorder
 */
#ifndef TESTS_TRACE_MAKER_H
#define TESTS_TRACE_MAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAKER_KINDS = 32, MAKER_FIELDS = 16, MAKER_FREQUENCY = 10000000 };

/* Metadata ids of a maker's own rows, which are the numbers of the events too. */
enum {
    MADE_ALLOC = 1,
    MADE_FREE,
    MADE_VIEW_MAPPED,
    MADE_VIEW_UNMAPPED,
    MADE_REFUSAL,
    MADE_OVERRUN,
    MADE_PRESSURE,
    MADE_NOTIFICATION,
    MADE_LIMITS,
    MADE_RUNTIME,
    MADE_BLOCK_ALLOC,
    MADE_BLOCK_FREE,
    MADE_PROTECT,
    MADE_SAMPLE,
    MADE_REGION,
    MADE_CALLS,
    MADE_LOST,
    MADE_IMAGE
};

enum { BLOCK_EVENTS = 2, BLOCK_METADATA = 3, BLOCK_SEQUENCE_POINT = 4, BLOCK_STACKS = 5, BLOCK_THREADS = 6 };

struct trace_maker {
    uint8_t *bytes;
    size_t size, capacity;
    size_t block; /* where the block begins that is open; 0: none is */
    unsigned block_kind;
    uint64_t last_time; /* of the event before, in this block */
    uint32_t sequence, block_sequence;
    uint32_t thread; /* of the events that follow, by its number in the file; 0: none is told */
    char types[MAKER_KINDS][MAKER_FIELDS + 1]; /* of each row's fields: 1, 4, 8, s, v, d, g */
};

void maker_put(struct trace_maker *maker, uint64_t number, unsigned bytes);
void maker_put_varuint(struct trace_maker *maker, uint64_t number);
void maker_put_string(struct trace_maker *maker, const char *text);

/* The head of the file and the trace block. */
void maker_begin(struct trace_maker *maker, unsigned pointer_size);

void maker_open(struct trace_maker *maker, unsigned kind);
void maker_close(struct trace_maker *maker); /* the open block, if there is one */

/* A row; fields as "Bytes u64, Level u8, Version s", v: a varuint, d: a double, g: a GUID. A block of its own unless one is
 * open. */
void maker_row(struct trace_maker *maker, uint32_t id, const char *provider, const char *name,
               const char *fields);
void maker_rows(struct trace_maker *maker); /* all that hostmem's traces have */

/* `values`: by field; a text as (uintptr_t)"text". In the open event block, or a new one. */
void maker_event(struct trace_maker *maker, uint32_t id, uint64_t time, uint32_t stack,
                 const uint64_t *values);
#define MAKE(maker, id, time, stack, ...) maker_event(maker, id, time, stack, (const uint64_t[]){__VA_ARGS__})

void maker_stack(struct trace_maker *maker, uint32_t id, unsigned count, const uint64_t *addresses);
void maker_thread(struct trace_maker *maker, uint32_t number, const char *name, uint32_t system_id);
void maker_sequence_point(struct trace_maker *maker, uint64_t time);
void maker_end(struct trace_maker *maker); /* the mark */

/* False: there is no such scene. `amount`: see trace_scenes.c. */
bool maker_scene(struct trace_maker *maker, const char *scene, uint64_t amount);

void maker_free(struct trace_maker *maker);

/* Read what `context`, a struct bytes, has left: as a nettrace_source. */
size_t maker_read(void *context, void *buffer, size_t bytes);

#endif
