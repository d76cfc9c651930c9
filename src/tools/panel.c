/*
 * panel.c - see panel.h
 *
 * ESC 7, ESC 8: save and restore the cursor; CSI top;bottom r: which rows scroll (moves the cursor); CSI row H: go there;
 * CSI K, CSI J: erase to the end of the row, of the screen; CSI n A: up; CSI n G: to that column.
 */
#include "tools/panel.h"

#include <stdatomic.h>
#include <string.h>

enum { BYTES = 16384, PROGRAM_ROWS = 5 };

/* As many as there are now; below that the program has no room. */
static unsigned window(unsigned *columns, unsigned *column)
{
    CONSOLE_SCREEN_BUFFER_INFO info;

    if (!GetConsoleScreenBufferInfo(GetStdHandle(STD_ERROR_HANDLE), &info))
        return 0;
    *column = (unsigned)(info.dwCursorPosition.X - info.srWindow.Left);
    *columns = (unsigned)(info.srWindow.Right - info.srWindow.Left); /* the last one might wrap */
    const unsigned rows = (unsigned)(info.srWindow.Bottom - info.srWindow.Top + 1);
    return rows >= SCREEN_ROWS + PROGRAM_ROWS && *columns >= SCREEN_LEAST_COLUMNS ? rows : 0;
}

static void go_to(struct writer *writer, unsigned row)
{
    writer_text_number(writer, "\x1b[", row);
    writer_text(writer, ";1H");
}

void panel_text(struct writer *writer, const struct screen *screen, unsigned rows, unsigned drawn,
                unsigned column)
{
    const unsigned first = rows - SCREEN_ROWS + 1;

    if (drawn == 0) { /* scrolls only if the cursor is that far down */
        for (unsigned i = 0; i < SCREEN_ROWS; i++)
            writer_text(writer, "\n");
        writer_text_number(writer, "\x1b[", SCREEN_ROWS);
        writer_text_number(writer, "A\x1b[", column + 1);
        writer_text(writer, "G");
    }
    writer_text(writer, "\x1b"
                        "7");
    if (drawn != rows) {
        writer_text_number(writer, "\x1b[1;", first - 1);
        writer_text(writer, "r");
    }
    for (unsigned row = 0; row < SCREEN_ROWS; row++) {
        go_to(writer, first + row);
        screen_row(writer, screen, row);
        writer_text(writer, "\x1b[K");
    }
    writer_text(writer, "\x1b"
                        "8");
}

void panel_end_text(struct writer *writer, unsigned rows)
{
    writer_text(writer, "\x1b"
                        "7\x1b[r");
    go_to(writer, rows - SCREEN_ROWS + 1);
    writer_text(writer, "\x1b[J\x1b"
                        "8");
}

static struct {
    unsigned used;
    char text[BYTES];
    wchar_t wide[BYTES];
} page; /* one drawing; the watching thread's, and at last the closing one's */

static bool page_add(void *to, const char *bytes, unsigned length)
{
    (void)to;
    if (length > sizeof page.text - page.used)
        return false;
    memcpy(page.text + page.used, bytes, length);
    page.used += length;
    return true;
}

static void page_open(struct writer *writer)
{
    page.used = 0;
    writer_open_sender(writer, page_add, NULL);
    writer->coloured = true;
}

/* In one write. */
static void page_show(struct writer *writer)
{
    DWORD done;

    writer_flush(writer);
    const int length = MultiByteToWideChar(CP_UTF8, 0, page.text, (int)page.used, page.wide, BYTES);
    if (!writer->error && length > 0)
        WriteConsoleW(GetStdHandle(STD_ERROR_HANDLE), page.wide, (DWORD)length, &done, NULL);
}

static atomic_uint drawn; /* rows of the terminal that was drawn on; 0: there is nothing to give back */

/* Some consoles take the mode and print the sequences (Wine's): one that does nothing must not move the cursor. */
static bool takes_sequences(HANDLE console)
{
    CONSOLE_SCREEN_BUFFER_INFO before, after;
    DWORD mode, done;

    if (!GetConsoleMode(console, &mode) ||
        !SetConsoleMode(console, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING) ||
        !GetConsoleScreenBufferInfo(console, &before) ||
        !WriteConsoleW(console, L"\x1b[0m", 4, &done, NULL) || !GetConsoleScreenBufferInfo(console, &after))
        return false;
    if (after.dwCursorPosition.X == before.dwCursorPosition.X &&
        after.dwCursorPosition.Y == before.dwCursorPosition.Y)
        return true;
    SetConsoleCursorPosition(console, before.dwCursorPosition);
    return false;
}

bool panel_open(void)
{
    unsigned columns, column;

    return window(&columns, &column) != 0 && takes_sequences(GetStdHandle(STD_ERROR_HANDLE));
}

bool panel_draw(struct screen *screen)
{
    static struct writer writer;
    unsigned column;
    const unsigned rows = window(&screen->columns, &column);

    if (rows == 0)
        return false;
    page_open(&writer);
    panel_text(&writer, screen, rows, atomic_load(&drawn), column);
    atomic_store(&drawn, rows);
    page_show(&writer);
    return true;
}

void panel_close(void)
{
    static struct writer writer;
    const unsigned rows = atomic_exchange(&drawn, 0);

    if (rows == 0)
        return;
    page_open(&writer);
    panel_end_text(&writer, rows);
    page_show(&writer);
}
