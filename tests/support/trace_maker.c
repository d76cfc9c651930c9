/*
 * trace_maker.c - see trace_maker.h
 */
#include "support/trace_maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/bytes.h"

/* ----------------------------------------------------------------------------------------------------------- bytes */

static void put_bytes(struct trace_maker *maker, const void *bytes, size_t count)
{
    if (maker->size + count > maker->capacity) {
        maker->capacity = (maker->size + count) * 2 + 1024;
        maker->bytes = realloc(maker->bytes, maker->capacity);
        if (!maker->bytes)
            abort();
    }
    memcpy(maker->bytes + maker->size, bytes, count);
    maker->size += count;
}

void maker_put(struct trace_maker *maker, uint64_t number, unsigned bytes)
{
    for (; bytes != 0; bytes--, number >>= 8) {
        const uint8_t byte = (uint8_t)number;
        put_bytes(maker, &byte, 1);
    }
}

void maker_put_varuint(struct trace_maker *maker, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        maker_put(maker, (number & 0x7F) | 0x80, 1);
    maker_put(maker, number, 1);
}

void maker_put_string(struct trace_maker *maker, const char *text)
{
    maker_put_varuint(maker, strlen(text));
    put_bytes(maker, text, strlen(text));
}

/* `count` bytes at `at`, which were left for it. */
static void put_later(struct trace_maker *maker, size_t at, uint64_t number, unsigned count)
{
    for (unsigned i = 0; i < count; i++, number >>= 8)
        maker->bytes[at + i] = (uint8_t)number;
}

/* ---------------------------------------------------------------------------------------------------------- blocks */

void maker_open(struct trace_maker *maker, unsigned kind)
{
    maker_close(maker);
    maker_put(maker, 0, 3);
    maker_put(maker, kind, 1);
    maker->block = maker->size;
    maker->block_kind = kind;
}

void maker_close(struct trace_maker *maker)
{
    if (maker->block == 0)
        return;
    put_later(maker, maker->block - 4, maker->size - maker->block, 3);
    maker->block = 0;
}

void maker_begin(struct trace_maker *maker, unsigned pointer_size)
{
    static const uint16_t date[8] = {2026, 2, 6, 28, 13, 14, 15, 0};

    put_bytes(maker, "Nettrace", 8);
    maker_put(maker, 0, 4);
    maker_put(maker, 6, 4);
    maker_put(maker, 0, 4);
    maker_open(maker, 1);
    for (unsigned i = 0; i < 8; i++)
        maker_put(maker, date[i], 2);
    maker_put(maker, 1000, 8); /* the clock at the start */
    maker_put(maker, MAKER_FREQUENCY, 8);
    maker_put(maker, pointer_size, 4);
    maker_put(maker, 1, 4);
    maker_put_string(maker, "ProcessId");
    maker_put_string(maker, "4711");
    maker_close(maker);
}

/* "Bytes u64": the name, and what it is. */
static void put_field(struct trace_maker *maker, const char *name, size_t length, const char *type,
                      char *kept)
{
    const size_t at = maker->size;

    maker_put(maker, 0, 2);
    maker_put_varuint(maker, length);
    put_bytes(maker, name, length);
    if (*type == 's') {
        maker_put(maker, 19, 1); /* an array of UTF-8 */
        maker_put(maker, 23, 1);
    } else {
        maker_put(maker,
                  *type == 'v'     ? 21
                  : *type == 'd'   ? 14
                  : *type == 'g'   ? 17
                  : type[1] == '8' ? 6
                  : type[1] == '3' ? 10
                                   : 12,
                  1);
    }
    *kept = *type != 'u' ? *type : type[1] == '8' ? '1' : type[1] == '3' ? '4' : '8';
    put_later(maker, at, maker->size - at - 2, 2);
}

void maker_row(struct trace_maker *maker, uint32_t id, const char *provider, const char *name,
               const char *fields)
{
    unsigned count = 0;

    if (maker->block == 0 || maker->block_kind != BLOCK_METADATA) {
        maker_open(maker, BLOCK_METADATA);
        maker_put(maker, 0, 2);
    }
    const size_t row = maker->size;
    maker_put(maker, 0, 2);
    maker_put_varuint(maker, id);
    maker_put_string(maker, provider);
    maker_put_varuint(maker, id);
    maker_put_string(maker, name);
    const size_t at = maker->size;
    maker_put(maker, 0, 2);
    while (*fields) {
        const char *type = strchr(fields, ' ');
        const char *next = strchr(type, ',');
        put_field(maker, fields, (size_t)(type - fields), type + 1, &maker->types[id][count++]);
        fields = next ? next + 2 : type + strlen(type);
    }
    maker->types[id][count] = 0;
    put_later(maker, at, count, 2);
    maker_put(maker, 0, 2); /* no optional metadata */
    put_later(maker, row, maker->size - row - 2, 2);
}

void maker_rows(struct trace_maker *maker)
{
    static const struct {
        const char *name, *fields;
    } rows[] = {
        [MADE_ALLOC] = {"Alloc", "Asked u64, Bytes u64, Type u32, Protect u32, Level u8, Use u8, Result u32, "
                                 "Address u64, Committed u64, Region u64"},
        [MADE_FREE] = {"Free", "Address u64, Bytes u64, Type u32, Use u8, Result u32, Decommitted u64, "
                               "Released u64, Region u64"},
        [MADE_VIEW_MAPPED] = {"ViewMapped", "Address u64, Bytes u64, Committed u64"},
        [MADE_VIEW_UNMAPPED] = {"ViewUnmapped", "Address u64, Bytes u64"},
        [MADE_REFUSAL] = {"Refusal", "Bytes u64, Level u8, Use u8, Reason u32, Charged u64"},
        [MADE_OVERRUN] = {"Overrun", "Bytes u64, Level u8, Use u8, Charged u64"},
        [MADE_PRESSURE] = {"Pressure", "Level u32, Charged u64"},
        [MADE_NOTIFICATION] = {"Notification", "Level u32"},
        [MADE_LIMITS] = {"Limits", "Limit u64, TaskLimit u64, Margin u64, Soft u64, HeapLimit u64, "
                                   "ProcessSoft u64"},
        [MADE_RUNTIME] = {"RuntimeStarted", "Version s"},
        [MADE_BLOCK_ALLOC] = {"BlockAlloc", "Address u64, Bytes u64, Level u8"},
        [MADE_BLOCK_FREE] = {"BlockFree", "Address u64, Bytes u64"},
        [MADE_PROTECT] = {"Protect", "Address u64, Bytes u64, Protect u32, Old u32, Result u32"},
        [MADE_SAMPLE] = {"Sample", "Reserved u64, Committed u64, Charged u64, GcHeap u64, GcTables u64, "
                                   "Code u64, Loader u64, View u64, Other u64, Blocks u64, Process u64, "
                                   "Gen0 u32, Gen1 u32, Gen2 u32"},
        [MADE_REGION] = {"Region", "Base u64, Bytes u64, Committed u64, Use u8, Type u32"},
        [MADE_CALLS] = {"Calls", "Method s, Count u64, Failed u64"},
        [MADE_LOST] = {"Lost", "Count u64"},
    };

    for (unsigned id = 1; id < sizeof rows / sizeof *rows; id++)
        maker_row(maker, id, "Hostmem", rows[id].name, rows[id].fields);
    maker_row(maker, MADE_IMAGE, "Universal.System", "ProcessMapping",
              "Id v, ProcessId v, StartAddress v, EndAddress v, FileOffset v, FileName s, MetadataId v");
    maker_close(maker);
}

/* ---------------------------------------------------------------------------------------------------------- events */

static void put_payload(struct trace_maker *maker, const char *types, const uint64_t *values)
{
    for (; *types; types++, values++) {
        const char *text = (const char *)(uintptr_t)*values;
        if (*types == 's') {
            maker_put(maker, strlen(text), 2);
            put_bytes(maker, text, strlen(text));
        } else if (*types == 'v') {
            maker_put_varuint(maker, *values);
        } else if (*types == 'd' || *types == 'g') {
            maker_put(maker, *values, 8);
            maker_put(maker, 0, *types == 'g' ? 8 : 0);
        } else {
            maker_put(maker, *values, (unsigned)(*types - '0'));
        }
    }
}

void maker_event(struct trace_maker *maker, uint32_t id, uint64_t time, uint32_t stack,
                 const uint64_t *values)
{
    enum {
        HEADER = 20,
        METADATA_FLAG = 1,
        SEQUENCE_FLAG = 2,
        THREAD_FLAG = 4,
        STACK_FLAG = 8,
        SIZE_FLAG = 128
    };
    struct trace_maker payload = {0};

    if (maker->block == 0 || maker->block_kind != BLOCK_EVENTS || maker->size - maker->block > 60000) {
        maker_open(maker, BLOCK_EVENTS);
        maker_put(maker, HEADER, 2);
        maker_put(maker, 1, 2); /* headers are compressed */
        maker_put(maker, 0, 8);
        maker_put(maker, UINT64_MAX, 8);
        maker->last_time = 0;
        maker->block_sequence = 0;
    }
    put_payload(&payload, maker->types[id], values);
    const bool numbered = maker->block_sequence != maker->sequence;
    const bool told = maker->thread != 0;
    maker_put(maker,
              METADATA_FLAG | (numbered ? SEQUENCE_FLAG : 0) | (told ? THREAD_FLAG : 0) | STACK_FLAG |
                  SIZE_FLAG,
              1);
    maker_put_varuint(maker, id);
    if (numbered) {
        maker_put_varuint(maker, maker->sequence - maker->block_sequence);
        maker_put_varuint(maker, 0);
        maker_put_varuint(maker, 0);
    }
    if (told)
        maker_put_varuint(maker, maker->thread);
    maker_put_varuint(maker, stack);
    maker_put_varuint(maker, time - maker->last_time);
    maker_put_varuint(maker, payload.size);
    put_bytes(maker, payload.bytes ? (const void *)payload.bytes : "", payload.size);
    maker->block_sequence = ++maker->sequence;
    maker->last_time = time;
    free(payload.bytes);
}

void maker_stack(struct trace_maker *maker, uint32_t id, unsigned count, const uint64_t *addresses)
{
    maker_open(maker, BLOCK_STACKS);
    maker_put(maker, id, 4);
    maker_put(maker, 1, 4);
    maker_put(maker, count * 8, 4);
    for (unsigned i = 0; i < count; i++)
        maker_put(maker, addresses[i], 8);
    maker_close(maker);
}

void maker_thread(struct trace_maker *maker, uint32_t number, const char *name, uint32_t system_id)
{
    maker_open(maker, BLOCK_THREADS);
    const size_t row = maker->size;
    maker_put(maker, 0, 2);
    maker_put_varuint(maker, number);
    maker_put(maker, 1, 1);
    maker_put_string(maker, name);
    maker_put(maker, 4, 1);
    maker_put_string(maker, "kind");
    maker_put_string(maker, "worker");
    maker_put(maker, 2, 1);
    maker_put_varuint(maker, 4711);
    maker_put(maker, 3, 1);
    maker_put_varuint(maker, system_id);
    put_later(maker, row, maker->size - row - 2, 2);
    maker_close(maker);
}

void maker_sequence_point(struct trace_maker *maker, uint64_t time)
{
    maker_open(maker, BLOCK_SEQUENCE_POINT);
    maker_put(maker, time, 8);
    maker_put(maker, 0, 4);
    maker_put(maker, 0, 4);
    maker_close(maker);
}

void maker_end(struct trace_maker *maker)
{
    maker_close(maker);
    maker_put(maker, 0, 4);
}

void maker_free(struct trace_maker *maker)
{
    free(maker->bytes);
    *maker = (struct trace_maker){0};
}

size_t maker_read(void *context, void *buffer, size_t bytes)
{
    struct bytes *source = context;
    const size_t taken = bytes < bytes_left(source) ? bytes : bytes_left(source);
    const struct bytes piece = take_bytes(source, taken);

    if (taken != 0)
        memcpy(buffer, piece.at, taken);
    return taken;
}
