#include "support/terminal.h"

#include <string.h>

enum { PLAIN, ESCAPED, SEQUENCE };

void terminal_init(struct terminal *terminal, unsigned rows, unsigned columns)
{
    memset(terminal, 0, sizeof *terminal);
    terminal->rows = rows;
    terminal->columns = columns;
    terminal->bottom = rows - 1;
}

static void newline(struct terminal *terminal)
{
    terminal->column = 0;
    if (terminal->row == terminal->bottom) {
        memmove(terminal->cell[terminal->top], terminal->cell[terminal->top + 1],
                (terminal->bottom - terminal->top) * sizeof terminal->cell[0]);
        memset(terminal->cell[terminal->bottom], 0, sizeof terminal->cell[0]);
    } else if (terminal->row < terminal->rows - 1) {
        terminal->row++;
    }
}

static void character(struct terminal *terminal, uint32_t point)
{
    const unsigned width = point >= 0x3000 ? 2 : 1; /* nearly all */

    if (terminal->column + width > terminal->columns) /* a row is wrapped late */
        newline(terminal);
    terminal->cell[terminal->row][terminal->column] = point;
    terminal->column += width;
}

static void erase_row(struct terminal *terminal, unsigned row, unsigned from)
{
    for (unsigned column = from; column < terminal->columns; column++)
        terminal->cell[row][column] = 0;
}

static void sequence(struct terminal *terminal, char final)
{
    const unsigned first = terminal->number[0], second = terminal->number[1];

    switch (final) {
    case 'm':
        break;
    case 'A':
        terminal->row -= first < terminal->row ? first : terminal->row;
        break;
    case 'G':
        terminal->column = (first ? first : 1) - 1;
        break;
    case 'H':
        terminal->row = (first ? first : 1) - 1;
        terminal->column = (second ? second : 1) - 1;
        terminal->unknown |= terminal->row >= terminal->rows || terminal->column >= terminal->columns;
        break;
    case 'r':
        terminal->top = (first ? first : 1) - 1;
        terminal->bottom = (second ? second : terminal->rows) - 1;
        terminal->unknown |= terminal->bottom >= terminal->rows || terminal->top >= terminal->bottom;
        terminal->row = terminal->column = 0;
        break;
    case 'K':
        erase_row(terminal, terminal->row, terminal->column);
        break;
    case 'J':
        erase_row(terminal, terminal->row, terminal->column);
        for (unsigned row = terminal->row + 1; row < terminal->rows; row++)
            erase_row(terminal, row, 0);
        break;
    default:
        terminal->unknown = true;
    }
}

static void escape(struct terminal *terminal, char byte)
{
    terminal->state = byte == '[' ? SEQUENCE : PLAIN;
    terminal->count = terminal->number[0] = terminal->number[1] = 0;
    if (byte == '7') {
        terminal->saved_row = terminal->row;
        terminal->saved_column = terminal->column;
    } else if (byte == '8') {
        terminal->row = terminal->saved_row;
        terminal->column = terminal->saved_column;
    } else {
        terminal->unknown |= byte != '[';
    }
}

static void plain(struct terminal *terminal, unsigned char byte)
{
    if (byte == 0x1b) {
        terminal->state = ESCAPED;
    } else if (byte == '\n') {
        newline(terminal);
    } else if (byte < 0x80) {
        terminal->unknown |= byte < 0x20 || terminal->left;
        character(terminal, byte);
    } else if (byte >= 0xC0) {
        terminal->left = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : 1;
        terminal->point = byte & (0x3F >> terminal->left);
    } else {
        terminal->unknown |= terminal->left == 0;
        terminal->point = terminal->point << 6 | (byte & 0x3F);
        if (--terminal->left == 0)
            character(terminal, terminal->point);
    }
}

void terminal_write(struct terminal *terminal, const char *bytes, unsigned length)
{
    for (unsigned i = 0; i < length; i++) {
        const char byte = bytes[i];
        if (terminal->state == PLAIN) {
            plain(terminal, (unsigned char)byte);
        } else if (terminal->state == ESCAPED) {
            escape(terminal, byte);
        } else if (byte >= '0' && byte <= '9') {
            terminal->number[terminal->count] =
                terminal->number[terminal->count] * 10 + (unsigned)(byte - '0');
        } else if (byte == ';' && terminal->count == 0) {
            terminal->count = 1;
        } else {
            terminal->state = PLAIN;
            sequence(terminal, byte);
        }
    }
}

const char *terminal_row(const struct terminal *terminal, unsigned row)
{
    static char text[TERMINAL_COLUMNS * 4 + 1];
    unsigned used = 0, end = terminal->columns;

    while (end && (terminal->cell[row][end - 1] == 0 || terminal->cell[row][end - 1] == ' '))
        end--;
    for (unsigned column = 0; column < end; column++) {
        const uint32_t point = terminal->cell[row][column] ? terminal->cell[row][column] : ' ';
        if (point < 0x80) {
            text[used++] = (char)point;
        } else if (point < 0x800) {
            text[used++] = (char)(0xC0 | point >> 6);
            text[used++] = (char)(0x80 | (point & 0x3F));
        } else {
            text[used++] = (char)(0xE0 | point >> 12);
            text[used++] = (char)(0x80 | (point >> 6 & 0x3F));
            text[used++] = (char)(0x80 | (point & 0x3F));
        }
    }
    text[used] = 0;
    return text;
}
