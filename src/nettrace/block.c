/*
 * block.c - headers and rows
 */
#include "nettrace/block.h"

enum { BLOCK_HEADER = 4, EVENT_HEADER = EVENT_BLOCK_HEAD - BLOCK_HEADER, COMPRESSED = 1 };

void hm_block_begin(struct bytes *block)
{
    block->used = 0;
    put_number(block, 0, BLOCK_HEADER);
}

void hm_block_end(struct bytes *block, enum block_kind kind)
{
    patch_number(block, 0, (block->used - BLOCK_HEADER) | (uint64_t)kind << 24, BLOCK_HEADER);
}

static void put_figure(struct bytes *bytes, const char *key, uint32_t figure)
{
    char text[11], *digit = &text[10];
    *digit = 0;
    do {
        *--digit = (char)('0' + figure % 10);
    } while ((figure /= 10) != 0);
    put_text(bytes, key);
    put_text(bytes, digit);
}

void hm_nettrace_begin(struct bytes *bytes, const struct nettrace_origin *origin)
{
    static const char magic[] = "Nettrace";
    struct bytes block;
    put_bytes(bytes, magic, sizeof magic - 1);
    put_number(bytes, 0, 4);
    put_number(bytes, 6, 4); /* version 6.0 */
    put_number(bytes, 0, 4);
    block = (struct bytes){.at = bytes->at + bytes->used, .room = bytes->room - bytes->used};
    hm_block_begin(&block);
    for (unsigned i = 0; i < 8; i++)
        put_number(&block, origin->utc[i], 2);
    put_number(&block, origin->counter, 8);
    put_number(&block, origin->frequency, 8);
    put_number(&block, origin->pointer_bytes, 4);
    put_number(&block, 2, 4); /* pairs of a name and a value */
    put_figure(&block, "ProcessId", origin->process);
    put_figure(&block, "HardwareThreadCount", origin->processors);
    hm_block_end(&block, BLOCK_TRACE);
    bytes->used += block.used;
}

void hm_thread_row(struct bytes *block, uint64_t number, const char *name, uint64_t process, uint64_t system)
{
    enum { NAME = 1, PROCESS = 2, THREAD = 3 };
    const size_t row = block->used;
    put_number(block, 0, 2);
    put_varuint(block, number);
    if (name != NULL) {
        put_byte(block, NAME);
        put_text(block, name);
    }
    put_byte(block, PROCESS);
    put_varuint(block, process);
    if (system != 0) {
        put_byte(block, THREAD);
        put_varuint(block, system);
    }
    patch_number(block, row, block->used - row - 2, 2);
}

void hm_event_block_begin(struct event_block *block)
{
    hm_block_begin(&block->bytes);
    put_number(&block->bytes, EVENT_HEADER, 2);
    put_number(&block->bytes, COMPRESSED, 2);
    put_number(&block->bytes, 0, 8); /* the first time, and the last */
    put_number(&block->bytes, 0, 8);
    block->before = (struct event_head){0};
    block->before_bytes = 0;
}

void hm_event_block_add(struct event_block *block, const struct event_head *head, const struct bytes *payload)
{
    enum { EVENT = 0x01, CAPTURE = 0x02, THREAD = 0x04, STACK = 0x08, LENGTH = 0x80 };
    const struct event_head *before = &block->before;
    struct bytes *bytes = &block->bytes;
    const bool in_row = head->capture == before->capture && head->sequence == before->sequence + 1;
    if (event_block_is_empty(block))
        block->first = head->time;
    put_byte(bytes, (uint8_t)(THREAD | (head->event != before->event ? EVENT : 0) | (in_row ? 0 : CAPTURE) |
                              (head->stack != before->stack ? STACK : 0) |
                              (payload->used != block->before_bytes ? LENGTH : 0)));
    if (head->event != before->event)
        put_varuint(bytes, head->event);
    if (!in_row) {
        put_varuint(bytes, (uint32_t)(head->sequence - before->sequence - 1));
        put_varuint(bytes, head->capture);
        put_varuint(bytes, 0); /* the processor is not known */
    }
    put_varuint(bytes, head->thread);
    if (head->stack != before->stack)
        put_varuint(bytes, head->stack);
    put_varuint(bytes, head->time - before->time);
    if (payload->used != block->before_bytes)
        put_varuint(bytes, payload->used);
    put_bytes(bytes, payload->at, payload->used);
    block->before = *head;
    block->before_bytes = payload->used;
}

void hm_event_block_end(struct event_block *block)
{
    patch_number(&block->bytes, BLOCK_HEADER + 4, block->first, 8);
    patch_number(&block->bytes, BLOCK_HEADER + 12, block->before.time, 8);
    hm_block_end(&block->bytes, BLOCK_EVENT);
}
