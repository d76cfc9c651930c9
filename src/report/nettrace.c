/*
 * nettrace.c - see nettrace.h
 */
#include "report/nettrace.h"

#include <stdlib.h>
#include <string.h>

#include "report/table.h"

enum {
    BLOCK_END = 0,
    BLOCK_TRACE = 1,
    BLOCK_EVENTS = 2,
    BLOCK_METADATA = 3,
    BLOCK_SEQUENCE_POINT = 4,
    BLOCK_STACKS = 5,
    BLOCK_THREADS = 6,
    BLOCK_REMOVE_THREADS = 7
};

enum { FILE_HEADER = 20, BLOCK_HEADER = 4, THREADS_MAX = 65536 };

struct reader {
    struct nettrace_source source;
    const struct nettrace_visitor *visitor;
    struct table sequences; /* of threads: the number of the last event */
    struct table threads;   /* their ids with the system */
    uint64_t offset, lost;
    uint8_t *block;
    size_t block_capacity;
    bool started;
    uint32_t pointer_size;
};

/* ------------------------------------------------------------------------------------------------ trace, metadata */

static const char *read_trace(struct reader *reader, struct bytes block)
{
    struct nettrace_header header = {0};

    if (reader->started)
        return "a second trace block";
    header.year = (uint16_t)take_uint(&block, 2);
    header.month = (uint16_t)take_uint(&block, 2);
    take_uint(&block, 2); /* day of the week */
    header.day = (uint16_t)take_uint(&block, 2);
    header.hour = (uint16_t)take_uint(&block, 2);
    header.minute = (uint16_t)take_uint(&block, 2);
    header.second = (uint16_t)take_uint(&block, 2);
    take_uint(&block, 2); /* milliseconds */
    header.start = take_uint(&block, 8);
    header.frequency = take_uint(&block, 8);
    header.pointer_size = (uint32_t)take_uint(&block, 4);
    if (block.cut)
        return "the trace block is too short";
    if (header.frequency == 0)
        return "a clock without a frequency";
    if (header.pointer_size != 4 && header.pointer_size != 8)
        return "pointers that have neither 4 bytes nor 8";
    reader->pointer_size = header.pointer_size;
    reader->started = true;
    return reader->visitor->header(reader->visitor->context, &header);
}

static const char *read_metadata(struct reader *reader, struct bytes block)
{
    const char *wrong = NULL;

    take_bytes(&block, take_uint(&block, 2));
    while (!wrong && !block.cut && bytes_left(&block) > 0) {
        const struct bytes row = take_bytes(&block, take_uint(&block, 2));
        if (!block.cut)
            wrong = reader->visitor->metadata(reader->visitor->context, row);
    }
    return block.cut ? "a metadata row that is longer than its block" : wrong;
}

/* --------------------------------------------------------------------------------------------------------- events */

/* Numbers of a thread's events go up by one; a lower one than before is another thread of the same index. */
static void count_lost(struct reader *reader, uint64_t thread, uint32_t number)
{
    uint32_t *last = hm_table_add(&reader->sequences, thread, THREADS_MAX);

    if (!last)
        return;
    if (number > *last)
        reader->lost += number - *last - 1;
    *last = number;
}

struct event_header {
    uint32_t metadata, sequence, stack, payload;
    uint64_t thread, capture_thread, time;
};

/* What a flag does not announce is as in the event before. */
static void take_compressed(struct bytes *block, struct event_header *header)
{
    const unsigned flags = (unsigned)take_uint(block, 1);

    if (flags & 1)
        header->metadata = (uint32_t)take_varuint(block);
    if (flags & 2) {
        header->sequence += (uint32_t)take_varuint(block);
        header->capture_thread = take_varuint(block);
        take_varuint(block); /* processor */
    }
    header->sequence++;
    if (flags & 4)
        header->thread = take_varuint(block);
    if (flags & 8)
        header->stack = (uint32_t)take_varuint(block);
    header->time += take_varuint(block);
    if (flags & 16)
        take_varuint(block); /* labels */
    if (flags & 128)
        header->payload = (uint32_t)take_varuint(block);
}

/* The payload ends where the event does. */
static void take_uncompressed(struct bytes *block, struct event_header *header)
{
    struct bytes event = take_bytes(block, take_uint(block, 4));

    header->metadata = (uint32_t)take_uint(&event, 4) & 0x7FFFFFFF;
    header->sequence = (uint32_t)take_uint(&event, 4);
    header->thread = take_uint(&event, 8);
    header->capture_thread = take_uint(&event, 8);
    take_uint(&event, 4); /* processor */
    header->stack = (uint32_t)take_uint(&event, 4);
    header->time = take_uint(&event, 8);
    take_uint(&event, 4); /* labels */
    header->payload = (uint32_t)take_uint(&event, 4);
    if (event.cut || bytes_left(&event) != header->payload)
        block->cut = true;
    else
        block->at = event.at; /* for whoever takes the payload */
}

static uint32_t system_id(const struct reader *reader, uint64_t thread)
{
    const uint32_t *id = hm_table_find(&reader->threads, thread);
    return id ? *id : 0;
}

static const char *read_events(struct reader *reader, struct bytes block)
{
    struct event_header header = {0};
    const char *wrong = NULL;

    const uint64_t size = take_uint(&block, 2);
    const bool compressed = take_uint(&block, 2) & 1;
    if (size < 20)
        return "an event block with too short a header";
    take_bytes(&block, size - 4);
    while (!wrong && !block.cut && bytes_left(&block) > 0) {
        (compressed ? take_compressed : take_uncompressed)(&block, &header);
        const struct nettrace_event event = {.metadata = header.metadata,
                                             .stack = header.stack,
                                             .thread = system_id(reader, header.thread),
                                             .time = header.time,
                                             .payload = take_bytes(&block, header.payload)};
        if (block.cut)
            break;
        count_lost(reader, header.capture_thread, header.sequence);
        wrong = reader->visitor->event(reader->visitor->context, &event);
    }
    return block.cut ? "an event that is longer than its block" : wrong;
}

/* --------------------------------------------------------------------------------------------------------- threads */

/* Behind its number what is known of a thread, piece by piece, in any order. */
static void take_thread_row(struct reader *reader, struct bytes row)
{
    enum { NAME = 1, PROCESS = 2, SYSTEM_ID = 3, PAIR = 4 };
    const uint64_t thread = take_varuint(&row);

    while (!row.cut && bytes_left(&row) > 0) {
        const uint64_t kind = take_uint(&row, 1);
        const uint64_t number = kind == PROCESS || kind == SYSTEM_ID ? take_varuint(&row) : 0;
        uint32_t *id =
            kind == SYSTEM_ID && !row.cut ? hm_table_add(&reader->threads, thread, THREADS_MAX) : NULL;
        if (id)
            *id = (uint32_t)number;
        if (kind == NAME || kind == PAIR)
            take_string(&row);
        if (kind == PAIR)
            take_string(&row);
        else if (kind == 0 || kind > PAIR)
            return; /* how long it is nobody knows */
    }
}

static const char *read_threads(struct reader *reader, struct bytes block)
{
    while (!block.cut && bytes_left(&block) > 0)
        take_thread_row(reader, take_bytes(&block, take_uint(&block, 2)));
    return block.cut ? "a thread that is longer than its block" : NULL;
}

/* ------------------------------------------------------------------------------------------- stacks, lost events */

static const char *read_stacks(struct reader *reader, struct bytes block)
{
    const char *wrong = NULL;
    const uint32_t first = (uint32_t)take_uint(&block, 4);
    const uint32_t count = (uint32_t)take_uint(&block, 4);

    for (uint32_t i = 0; i < count && !wrong && !block.cut; i++) {
        const struct bytes stack = take_bytes(&block, take_uint(&block, 4));
        if (bytes_left(&stack) % reader->pointer_size != 0)
            return "a stack that ends within an address";
        if (!block.cut)
            wrong = reader->visitor->stack(reader->visitor->context, first + i, stack);
    }
    return block.cut ? "a stack that is longer than its block" : wrong;
}

/* A thread, and the number that its last event had at least. */
static void take_thread(struct reader *reader, struct bytes *block, bool gone)
{
    const uint64_t thread = take_varuint(block);
    const uint32_t number = (uint32_t)take_varuint(block);
    uint32_t *last = block->cut ? NULL : hm_table_add(&reader->sequences, thread, THREADS_MAX);

    if (!last)
        return;
    if (number > *last) {
        reader->lost += number - *last;
        *last = number;
    }
    if (gone) {
        hm_table_remove(&reader->sequences, thread);
        hm_table_remove(&reader->threads, thread);
    }
}

static const char *read_sequence_point(struct reader *reader, struct bytes block)
{
    take_uint(&block, 8); /* its time */
    const uint32_t flags = (uint32_t)take_uint(&block, 4);
    const uint32_t count = (uint32_t)take_uint(&block, 4);

    for (uint32_t i = 0; i < count && !block.cut; i++)
        take_thread(reader, &block, false);
    if (block.cut)
        return "a sequence point that is longer than its block";
    if (flags & 1) {
        hm_table_clear(&reader->sequences);
        hm_table_clear(&reader->threads);
    }
    return reader->visitor->sequence_point(reader->visitor->context);
}

static const char *read_removed(struct reader *reader, struct bytes block)
{
    while (!block.cut && bytes_left(&block) > 0)
        take_thread(reader, &block, true);
    return block.cut ? "a thread that is longer than its block" : NULL;
}

/* --------------------------------------------------------------------------------------------------------- blocks */

static const char *read_block(struct reader *reader, unsigned kind, struct bytes block)
{
    if (kind != BLOCK_TRACE && !reader->started)
        return "no trace block at its beginning";
    switch (kind) {
    case BLOCK_TRACE:
        return read_trace(reader, block);
    case BLOCK_EVENTS:
        return read_events(reader, block);
    case BLOCK_METADATA:
        return read_metadata(reader, block);
    case BLOCK_SEQUENCE_POINT:
        return read_sequence_point(reader, block);
    case BLOCK_STACKS:
        return read_stacks(reader, block);
    case BLOCK_THREADS:
        return read_threads(reader, block);
    case BLOCK_REMOVE_THREADS:
        return read_removed(reader, block);
    default: /* labels, which nobody asks for; and what later versions add */
        return NULL;
    }
}

/* In pieces: the size is only believed as far as the file has bytes for it. */
static bool fetch(struct reader *reader, size_t size, bool *no_memory)
{
    enum { PIECE = 1 << 20 };
    size_t have = 0;

    while (have < size) {
        const size_t piece = size - have < PIECE ? size - have : PIECE;
        if (have + piece > reader->block_capacity) {
            uint8_t *larger = realloc(reader->block, have + piece);
            if (!larger) {
                *no_memory = true;
                return false;
            }
            reader->block = larger;
            reader->block_capacity = have + piece;
        }
        if (reader->source.read(reader->source.context, reader->block + have, piece) != piece)
            return false;
        have += piece;
    }
    return true;
}

static struct nettrace_result read_file_header(struct reader *reader)
{
    static const uint8_t magic[8] = {'N', 'e', 't', 't', 'r', 'a', 'c', 'e'};
    uint8_t start[FILE_HEADER];
    struct nettrace_result result = {.ending = NETTRACE_FOREIGN};

    const size_t have = reader->source.read(reader->source.context, start, sizeof start);
    reader->offset = FILE_HEADER;
    if (have == 0) {
        result.what = "the file is empty";
        return result;
    }
    if (memcmp(start, magic, have < sizeof magic ? have : sizeof magic) != 0) {
        result.what = "is no .nettrace file";
        return result;
    }
    if (have < sizeof start) {
        result.what = "the file ends within its header";
        return result;
    }
    struct bytes rest = bytes_of(start + sizeof magic, sizeof start - sizeof magic);
    const uint64_t reserved = take_uint(&rest, 4), major = take_uint(&rest, 4);
    if (reserved != 0 || major != 6) {
        result.what = "a .nettrace file of another format version than 6";
        return result;
    }
    result.ending = NETTRACE_COMPLETE;
    return result;
}

static struct nettrace_result read_blocks(struct reader *reader)
{
    for (;;) {
        uint8_t start[BLOCK_HEADER];
        bool no_memory = false;
        struct nettrace_result result = {.ending = NETTRACE_CUT, .offset = reader->offset};

        const size_t have = reader->source.read(reader->source.context, start, sizeof start);
        if (have < sizeof start) {
            result.what = have == 0 ? "the file has no end mark" : "the file ends within a block";
            return result;
        }
        const size_t size = (size_t)start[0] | (size_t)start[1] << 8 | (size_t)start[2] << 16;
        if (start[3] == BLOCK_END && size == 0) {
            result.ending = reader->started ? NETTRACE_COMPLETE : NETTRACE_DAMAGED;
            result.what = reader->started ? NULL : "no trace block at its beginning";
            return result;
        }
        if (!fetch(reader, size, &no_memory)) {
            result.what = no_memory ? "no memory for a block" : "the file ends within a block";
            return result;
        }
        result.what = read_block(reader, start[3], bytes_of(reader->block, size));
        if (result.what) {
            result.ending = NETTRACE_DAMAGED;
            return result;
        }
        reader->offset += BLOCK_HEADER + size;
    }
}

struct nettrace_result hm_nettrace_read(struct nettrace_source source, const struct nettrace_visitor *visitor)
{
    struct reader reader = {.source = source, .visitor = visitor};

    struct nettrace_result result = read_file_header(&reader);
    if (result.ending == NETTRACE_COMPLETE)
        result = read_blocks(&reader);
    result.lost = reader.lost;
    hm_table_clear(&reader.sequences);
    hm_table_clear(&reader.threads);
    free(reader.block);
    return result;
}
