/*
 * control_text.c - see control_text.h
 *
 * The line comes from a stranger: nothing in it is taken for granted, and what is not understood to its last byte changes
 * nothing.
 */
#include "tools/control_text.h"

#include <string.h>

static const char *const figures[CONTROL_FIGURES] = {
    [CONTROL_LIMIT] = "limit", [CONTROL_HEAP_LIMIT] = "heap_limit",     [CONTROL_MARGIN] = "margin",
    [CONTROL_SOFT] = "soft",   [CONTROL_PROCESS_SOFT] = "process_soft", [CONTROL_FAIL_AFTER] = "fail_after",
};

static const char get[] = "get", limits[] = "limits", none[] = "none";

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* 0: it is no figure. */
static uint64_t figure_of(const char *text, size_t length)
{
    uint64_t figure = 0;

    if (is_word(text, length, none))
        return UINT64_MAX;
    for (size_t i = 0; i < length; i++) {
        const unsigned digit = (unsigned char)text[i] - '0';
        if (digit > 9 || figure > (UINT64_MAX - digit) / 10)
            return 0;
        figure = figure * 10 + digit;
    }
    return figure;
}

/* "name=figure" */
static const char *read_field(struct control_request *request, const char *field, size_t length)
{
    const char *sign = memchr(field, '=', length);
    const size_t name = sign ? (size_t)(sign - field) : length;
    unsigned which = 0;

    while (which < CONTROL_FIGURES && !is_word(field, name, figures[which]))
        which++;
    if (!sign || which == CONTROL_FIGURES)
        return "a field that is not known";
    if (request->figure[which])
        return "a field that is given twice";
    request->figure[which] = figure_of(sign + 1, length - name - 1);
    return request->figure[which] ? NULL : "a figure that is none, or 0";
}

const char *control_read(struct control_request *request, const char *line, size_t length)
{
    memset(request, 0, sizeof *request);
    if (length == 0 || length >= CONTROL_LINE || line[length - 1] != '\n')
        return "not a whole line";
    if (memchr(line, '\n', length) != line + length - 1)
        return "more than one line";
    length--;
    request->get = is_word(line, length, get);
    if (request->get)
        return NULL;

    const size_t verb = sizeof limits - 1;
    if (length <= verb || !is_word(line, verb, limits))
        return "neither get nor limits with a field";
    for (size_t at = verb; at < length;) {
        if (line[at] != ' ')
            return "neither get nor limits with a field";
        const char *field = line + at + 1, *end = memchr(field, ' ', length - at - 1);
        const size_t bytes = end ? (size_t)(end - field) : length - at - 1;
        const char *wrong = read_field(request, field, bytes);
        if (wrong)
            return wrong;
        at += 1 + bytes;
    }
    return NULL;
}

static size_t append(char *line, size_t at, const char *text)
{
    const size_t length = strlen(text);

    memcpy(line + at, text, length + 1);
    return at + length;
}

static size_t append_figure(char *line, size_t at, uint64_t figure)
{
    char digits[21];
    size_t from = sizeof digits - 1;

    if (figure == UINT64_MAX)
        return append(line, at, none);
    digits[from] = 0;
    do
        digits[--from] = (char)('0' + figure % 10);
    while (figure /= 10);
    return append(line, at, digits + from);
}

_Static_assert(sizeof limits + CONTROL_FIGURES * (sizeof " process_soft=" + 20) < CONTROL_LINE,
               "all at once fit");

size_t control_write(const struct control_request *request, char line[CONTROL_LINE])
{
    size_t at = append(line, 0, request->get ? get : limits);

    for (unsigned which = 0; which < CONTROL_FIGURES && !request->get; which++)
        if (request->figure[which]) {
            at = append(line, at, " ");
            at = append(line, at, figures[which]);
            at = append(line, at, "=");
            at = append_figure(line, at, request->figure[which]);
        }
    return append(line, at, "\n");
}
