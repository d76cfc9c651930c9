/*
 * complain.c - what hostmem-run tells its user of what is wrong; declared in writer.h
 *
 * A file of its own: other programs that share files with hostmem-run say things their own way.
 */
#include "tools/writer.h"

#include <stdarg.h>
#include <stdio.h>

static const wchar_t *started_by;

void complain_started_by(const wchar_t *program)
{
    started_by = program;
}

void complain(const wchar_t *format, ...)
{
    static struct writer writer;
    enum { CHARS = 2 * 32768 + 1000 }; /* two of the longest paths, and what we say of them */
    static wchar_t line[CHARS + 1];
    va_list arguments;

    va_start(arguments, format);
    _vsnwprintf(line, CHARS, format, arguments);
    va_end(arguments);
    line[CHARS] = 0;
    writer_open(&writer, GetStdHandle(STD_ERROR_HANDLE));
    writer_text(&writer, "hostmem-run: ");
    writer_wide(&writer, line);
    if (started_by) {
        writer_text(&writer, " (started by ");
        writer_wide(&writer, started_by);
        writer_text(&writer, ", which hostmem-run runs: its Environment.ProcessPath is hostmem-run.exe)");
    }
    writer_text(&writer, "\n");
    writer_flush(&writer);
}
