/*
 * writer.h - text output that works in a process that is dying
 *
 * A writer is a buffer in front of WriteFile: no C library, no heap, no locale.  Text is UTF-8; a console
 * gets UTF-16, since its code page is anybody's guess.  A failed write makes the writer silent; `error`
 * tells.  What goes to no file is sent by a function of the user's.
 */
#ifndef HOSTMEM_TOOLS_WRITER_H
#define HOSTMEM_TOOLS_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include <windows.h>

/* Takes all of the bytes, or fails (the last error tells why). */
typedef bool writer_sender(void *to, const char *bytes, unsigned length);

struct writer {
    HANDLE file;
    writer_sender *send; /* NULL: to the file */
    void *to;
    bool console, coloured;
    DWORD error; /* of the write that failed, or 0 */
    unsigned used;
    char buffer[1024];
};

void writer_open(struct writer *writer, HANDLE file);
void writer_open_sender(struct writer *writer, writer_sender *send, void *to);
void writer_flush(struct writer *writer);

void writer_text(struct writer *writer, const char *text);
void writer_wide(struct writer *writer, const wchar_t *text);

/* Decimal, padded with spaces on the left to at least `width` characters. */
void writer_number(struct writer *writer, uint64_t number, unsigned width);

/* Words, and the number that they lead up to. */
void writer_text_number(struct writer *writer, const char *text, uint64_t number);

/* Of what follows; nothing where there is no console that knows colours. */
enum writer_colour { WRITER_PLAIN, WRITER_ACCENT, WRITER_ALARM };
void writer_colour(struct writer *writer, enum writer_colour colour);

/* "123.4", padded as a number is. */
void writer_mib(struct writer *writer, uint64_t bytes, unsigned width);

/* "123.4M" */
void writer_megabytes(struct writer *writer, uint64_t bytes);

/* "0x" and at least `digits` lower-case digits. */
void writer_hex(struct writer *writer, uint64_t number, unsigned digits);

/* Left-aligned, padded with spaces to at least `width` characters. */
void writer_column(struct writer *writer, const char *text, unsigned width);

/* In quotes, escaped as JSON wants it. */
void writer_json(struct writer *writer, const char *text);
void writer_json_wide(struct writer *writer, const wchar_t *text);

/* One line on stderr: "hostmem-run: ", then as printf says; long enough for two paths.
 * For a process in good health. */
void complain(const wchar_t *format, ...);

/* Add to every complaint that a program which hostmem-run runs has started this process: one that starts itself again by
 * Environment.ProcessPath means itself, and gets us.  The string stays the caller's. */
void complain_started_by(const wchar_t *program);

#endif
