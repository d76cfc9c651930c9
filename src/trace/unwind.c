/*
 * unwind.c - x64 unwind data, versions 1 and 2 (public: "x64 exception handling" of Microsoft's documentation)
 */
#include "trace/unwind.h"

#include <stddef.h>

enum operation {
    PUSH = 0,
    ALLOC_LARGE = 1,
    ALLOC = 2,
    SET_FRAME = 3,
    SAVE = 4,
    SAVE_FAR = 5,
    EPILOGUE = 6,
    SAVE_XMM = 8,
    SAVE_XMM_FAR = 9
};

enum { CHAINED = 0x4, CHAINS_MOST = 8 };

/* A word of the stack; false: it is none. */
static bool read_stack(const struct unwind_state *state, uint64_t address, uint64_t *word)
{
    if (address % 8 != 0 || address < state->bottom || address >= state->top || state->top - address < 8)
        return false;
    *word = *(const uint64_t *)(uintptr_t)address;
    return true;
}

/* Of the image, `bytes` at an offset; NULL: not within it. */
static const void *at(const struct image *image, uint64_t base, uint64_t offset, uint64_t bytes)
{
    if (offset == 0 || offset % 2 != 0 || offset >= image->bytes || image->bytes - offset < bytes)
        return NULL;
    return (const void *)(uintptr_t)(base + offset);
}

static const struct unwind_function *function_at(const struct image *image, uint64_t offset)
{
    uint32_t low = 0, high = image->functions;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const struct unwind_function *function = &image->function[middle];
        if (offset < function->begin)
            high = middle;
        else if (offset >= function->end)
            low = middle + 1;
        else
            return function;
    }
    return NULL;
}

/* Undo what a prologue has done; false: that cannot be told.  *chained: the function that this one is a part of. */
static bool undo(struct unwind_state *state, const struct image *image, uint64_t base, uint64_t offset,
                 const struct unwind_function **chained)
{
    const uint8_t *info = at(image, base, offset, 4);
    *chained = NULL;
    if (info == NULL || (info[0] & 7) < 1 || (info[0] & 7) > 2)
        return false;
    const unsigned count = info[2], frame_register = info[3] & 15;
    const uint16_t *code = at(image, base, offset + 4, 2 * count);
    if (count != 0 && code == NULL)
        return false;
    uint64_t *registers = state->registers;
    /* What saved registers lie relative to. */
    const uint64_t frame =
        frame_register != 0 ? registers[frame_register] - 16 * (info[3] >> 4) : registers[UNWIND_STACK];
    for (unsigned i = 0; i < count; i++) {
        const unsigned operation = code[i] >> 8 & 15, argument = code[i] >> 12;
        const unsigned more = operation == ALLOC_LARGE ? 1 + (argument != 0)
                              : operation == SAVE || operation == EPILOGUE || operation == SAVE_XMM ? 1
                              : operation == SAVE_FAR || operation == SAVE_XMM_FAR                  ? 2
                                                                                                    : 0;
        if (i + more >= count)
            return false;
        const uint64_t next = more == 0   ? 0
                              : more == 1 ? code[i + 1]
                                          : code[i + 1] | (uint64_t)code[i + 2] << 16;
        switch (operation) {
        case PUSH:
            if (!read_stack(state, registers[UNWIND_STACK], &registers[argument]))
                return false;
            if (argument != UNWIND_STACK)
                registers[UNWIND_STACK] += 8;
            break;
        case ALLOC_LARGE:
            registers[UNWIND_STACK] += argument != 0 ? next : 8 * next;
            break;
        case ALLOC:
            registers[UNWIND_STACK] += 8 * argument + 8;
            break;
        case SET_FRAME:
            registers[UNWIND_STACK] = frame;
            break;
        case SAVE:
        case SAVE_FAR:
            if (!read_stack(state, frame + (operation == SAVE ? 8 * next : next), &registers[argument]))
                return false;
            break;
        case EPILOGUE: /* says where the epilogues are: a return address lies in none */
        case SAVE_XMM: /* no register that counts here */
        case SAVE_XMM_FAR:
            break;
        default: /* a trap, or what is newer than this */
            return false;
        }
        i += more;
    }
    if (info[0] >> 3 & CHAINED) {
        *chained = at(image, base, offset + 4 + 2 * ((count + 1u) & ~1u), sizeof **chained);
        return *chained != NULL;
    }
    return true;
}

/* To the caller. */
static bool step(const struct images *images, struct unwind_state *state)
{
    const uint64_t called_from = state->instruction - 1, before = state->registers[UNWIND_STACK];
    const struct image *image = hm_images_find(images, called_from);
    const uint64_t base = image == NULL ? 0 : atomic_load_explicit(&image->base, memory_order_relaxed);
    if (base == 0)
        return false;
    const struct unwind_function *function = function_at(image, called_from - base);
    for (unsigned i = 0; function != NULL && function->info % 2 != 0 && i < CHAINS_MOST; i++)
        function = at(image, base, function->info - 1, sizeof *function); /* another's data is its own */
    if (function == NULL)
        return false;
    for (unsigned i = 0; function != NULL && i < CHAINS_MOST; i++)
        if (!undo(state, image, base, function->info, &function))
            return false;
    if (function != NULL || !read_stack(state, state->registers[UNWIND_STACK], &state->instruction))
        return false;
    state->registers[UNWIND_STACK] += 8;
    return state->registers[UNWIND_STACK] > before;
}

unsigned hm_unwind(const struct images *images, struct unwind_state *state, uint64_t *frame, unsigned most)
{
    unsigned count = 0;
    while (count < most && step(images, state) && hm_images_find(images, state->instruction - 1) != NULL)
        frame[count++] = state->instruction;
    return count;
}
