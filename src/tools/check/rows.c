/*
 * rows.c - see rows.h
 */
#include "tools/check/rows.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <windows.h>

static void tell(const char *id, enum verdict verdict, const char *format, va_list arguments)
{
    char line[ROW_TEXT + 100] = "", text[ROW_TEXT] = ""; /* a name that cannot be converted ends them */
    DWORD written;

    vsnprintf(text, sizeof text, format, arguments);
    for (char *c = text; *c; c++)
        if (*c == '\n' || *c == '\t' || *c == '\r')
            *c = ' ';
    int length = snprintf(line, sizeof line, "%s\t%c\t%s\n", id, (char)verdict, text);
    WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), line, (DWORD)length, &written, NULL);
}

struct row row_begin(const char *id)
{
    return (struct row){.id = id};
}

bool row_expect(struct row *row, bool good, const char *format, ...)
{
    va_list arguments;

    if (good || row->failed)
        return good;
    row->failed = true;
    va_start(arguments, format);
    vsnprintf(row->why, sizeof row->why, format, arguments);
    va_end(arguments);
    return false;
}

void row_end(const struct row *row, const char *format, ...)
{
    va_list arguments;

    if (row->failed) {
        row_fail(row->id, "%s", row->why);
        return;
    }
    va_start(arguments, format);
    tell(row->id, ROW_OK, format, arguments);
    va_end(arguments);
}

void row_skip(const char *id, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell(id, ROW_SKIPPED, format, arguments);
    va_end(arguments);
}

void row_fail(const char *id, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell(id, ROW_FAILED, format, arguments);
    va_end(arguments);
}

void row_figure(const char *id, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell(id, ROW_FIGURE, format, arguments);
    va_end(arguments);
}

void text_add(char *text, unsigned capacity, const char *format, ...)
{
    size_t length = strlen(text);
    va_list arguments;

    if (length + 3 >= capacity)
        return;
    if (length) {
        strcpy(text + length, ", ");
        length += 2;
    }
    va_start(arguments, format);
    vsnprintf(text + length, capacity - length, format, arguments);
    va_end(arguments);
}

double mebibytes(unsigned long long bytes)
{
    return (double)bytes / (1 << 20);
}
