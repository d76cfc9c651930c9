/*
 * writer.c - see writer.h
 *
 * UTF-16 is converted piece by piece, a surrogate pair kept together.  What is no valid UTF-16 (file names
 * may hold anything) becomes U+FFFD, so that the output is always valid UTF-8.
 */
#include "tools/writer.h"

#include <string.h>
#include <wchar.h>

void writer_open(struct writer *writer, HANDLE file)
{
    DWORD mode;

    writer->file = file;
    writer->send = NULL;
    writer->console = GetConsoleMode(file, &mode);
    writer->coloured = writer->console && SetConsoleMode(file, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
    writer->error = 0;
    writer->used = 0;
}

void writer_open_sender(struct writer *writer, writer_sender *send, void *to)
{
    *writer = (struct writer){.send = send, .to = to};
}

/* A disk that is full may take nothing, and call that a success. */
static void write_failed(struct writer *writer, BOOL written)
{
    writer->error = written ? ERROR_HANDLE_DISK_FULL : GetLastError();
}

static void write_console(struct writer *writer)
{
    wchar_t wide[sizeof writer->buffer];
    DWORD done;

    int length =
        MultiByteToWideChar(CP_UTF8, 0, writer->buffer, (int)writer->used, wide, sizeof writer->buffer);
    if (length > 0 && !WriteConsoleW(writer->file, wide, (DWORD)length, &done, NULL))
        write_failed(writer, FALSE);
}

void writer_flush(struct writer *writer)
{
    DWORD done = 0;

    if (writer->send) {
        if (writer->used && !writer->error && !writer->send(writer->to, writer->buffer, writer->used))
            write_failed(writer, FALSE);
    } else if (writer->console)
        write_console(writer);
    else
        for (unsigned at = 0; at < writer->used && !writer->error; at += done) {
            BOOL written = WriteFile(writer->file, writer->buffer + at, writer->used - at, &done, NULL);
            if (!written || done == 0)
                write_failed(writer, written);
        }
    writer->used = 0;
}

/* `length` bytes that stay together in one write: at most a few. */
static void put(struct writer *writer, const char *bytes, unsigned length)
{
    if (writer->used + length > sizeof writer->buffer)
        writer_flush(writer);
    memcpy(writer->buffer + writer->used, bytes, length);
    writer->used += length;
}

void writer_text(struct writer *writer, const char *text)
{
    for (; *text; text++) {
        if ((*text & 0xC0) == 0xC0 && writer->used + 4 > sizeof writer->buffer)
            writer_flush(writer); /* a character of several bytes stays together */
        put(writer, text, 1);
    }
}

/* Writes one code point from `text`, returns how many units it took. */
static unsigned put_code_point(struct writer *writer, const wchar_t *text)
{
    uint32_t point = text[0];
    unsigned units = 1;
    char bytes[4];

    if (IS_HIGH_SURROGATE(text[0]) && IS_LOW_SURROGATE(text[1])) {
        point = 0x10000 + ((point - 0xD800) << 10) + (text[1] - 0xDC00u);
        units = 2;
    } else if (point >= 0xD800 && point < 0xE000) {
        point = 0xFFFD;
    }
    if (point < 0x80) {
        bytes[0] = (char)point;
        put(writer, bytes, 1);
    } else if (point < 0x800) {
        bytes[0] = (char)(0xC0 | point >> 6);
        bytes[1] = (char)(0x80 | (point & 0x3F));
        put(writer, bytes, 2);
    } else if (point < 0x10000) {
        bytes[0] = (char)(0xE0 | point >> 12);
        bytes[1] = (char)(0x80 | (point >> 6 & 0x3F));
        bytes[2] = (char)(0x80 | (point & 0x3F));
        put(writer, bytes, 3);
    } else {
        bytes[0] = (char)(0xF0 | point >> 18);
        bytes[1] = (char)(0x80 | (point >> 12 & 0x3F));
        bytes[2] = (char)(0x80 | (point >> 6 & 0x3F));
        bytes[3] = (char)(0x80 | (point & 0x3F));
        put(writer, bytes, 4);
    }
    return units;
}

void writer_wide(struct writer *writer, const wchar_t *text)
{
    while (*text)
        text += put_code_point(writer, text);
}

void writer_number(struct writer *writer, uint64_t number, unsigned width)
{
    char digits[24];
    unsigned at = sizeof digits;

    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    for (unsigned length = sizeof digits - at; length < width; length++)
        put(writer, " ", 1);
    put(writer, digits + at, sizeof digits - at);
}

void writer_text_number(struct writer *writer, const char *text, uint64_t number)
{
    writer_text(writer, text);
    writer_number(writer, number, 0);
}

void writer_mib(struct writer *writer, uint64_t bytes, unsigned width)
{
    const uint64_t mib = (uint64_t)1 << 20, rest = ((bytes % mib) * 10 + mib / 2) / mib;

    writer_number(writer, bytes / mib + rest / 10, width > 2 ? width - 2 : 0);
    writer_text_number(writer, ".", rest % 10);
}

void writer_megabytes(struct writer *writer, uint64_t bytes)
{
    writer_mib(writer, bytes, 0);
    writer_text(writer, "M");
}

void writer_colour(struct writer *writer, enum writer_colour colour)
{
    static const char *const codes[] = {
        [WRITER_PLAIN] = "\x1b[0m", [WRITER_ACCENT] = "\x1b[36m", [WRITER_ALARM] = "\x1b[31m"};

    if (writer->coloured)
        writer_text(writer, codes[colour]);
}

void writer_hex(struct writer *writer, uint64_t number, unsigned digits)
{
    unsigned shift = 64;

    put(writer, "0x", 2);
    while (shift > 4 && shift > 4 * digits && number >> (shift - 4) == 0)
        shift -= 4;
    while (shift) {
        shift -= 4;
        put(writer, &"0123456789abcdef"[number >> shift & 0xF], 1);
    }
}

void writer_column(struct writer *writer, const char *text, unsigned width)
{
    unsigned length = (unsigned)strlen(text);

    writer_text(writer, text);
    for (; length < width; length++)
        put(writer, " ", 1);
}

void writer_json_wide(struct writer *writer, const wchar_t *text)
{
    put(writer, "\"", 1);
    while (*text) {
        if (*text == L'"' || *text == L'\\')
            put(writer, "\\", 1);
        if (*text < 0x20) {
            put(writer, "\\u00", 4);
            put(writer, *text < 0x10 ? "0" : "1", 1);
            put(writer, &"0123456789abcdef"[*text & 0xF], 1);
            text++;
        } else {
            text += put_code_point(writer, text);
        }
    }
    put(writer, "\"", 1);
}

void writer_json(struct writer *writer, const char *text)
{
    put(writer, "\"", 1);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            put(writer, "\\", 1);
        put(writer, (unsigned char)*text < 0x20 ? " " : text, 1);
    }
    put(writer, "\"", 1);
}
