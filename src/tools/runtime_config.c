/*
 * runtime_config.c - see runtime_config.h
 *
 * No JSON is read into anything: the text is gone through once, with the depth of its brackets, until the one member
 * is met or not.  Comments are allowed there, as hostfxr allows them.
 */
#include "tools/runtime_config.h"

#include <string.h>

#include <windows.h>

enum { MOST_BYTES = 1 << 20 };

struct text {
    const char *at, *end;
};

/* Over blanks and comments. */
static void blanks_skip(struct text *text)
{
    while (text->at < text->end) {
        if (strchr(" \t\r\n", *text->at)) {
            text->at++;
        } else if (text->end - text->at >= 2 && !memcmp(text->at, "//", 2)) {
            while (text->at < text->end && *text->at != '\n')
                text->at++;
        } else if (text->end - text->at >= 2 && !memcmp(text->at, "/*", 2)) {
            text->at += 2;
            while (text->at < text->end && (text->end - text->at < 2 || memcmp(text->at, "*/", 2) != 0))
                text->at++;
            text->at = text->end - text->at < 2 ? text->end : text->at + 2;
        } else {
            return;
        }
    }
}

/* From behind the opening quote to behind the closing one; what is between. */
static struct text string_skip(struct text *text)
{
    struct text string = {text->at, text->at};

    while (text->at < text->end && *text->at != '"')
        text->at += *text->at == '\\' && text->end - text->at > 1 ? 2 : 1;
    string.end = text->at;
    text->at += text->at < text->end;
    return string;
}

static bool is_equal(struct text text, const char *name)
{
    size_t length = strlen(name);
    return (size_t)(text.end - text.at) == length && !memcmp(text.at, name, length);
}

static bool has_included_frameworks(struct text text)
{
    bool comes = false, inside = false; /* the object runtimeOptions */
    int depth = 0;

    for (;;) {
        blanks_skip(&text);
        if (text.at >= text.end)
            return false;
        char c = *text.at++;
        if (c == '{' || c == '[') {
            depth++;
            inside |= comes && c == '{';
            comes = false;
        } else if (c == '}' || c == ']') {
            depth--;
            inside &= depth >= 2;
        } else if (c == '"') {
            struct text string = string_skip(&text);
            blanks_skip(&text);
            bool is_name = text.at < text.end && *text.at == ':';
            if (is_name && depth == 2 && inside && is_equal(string, "includedFrameworks"))
                return true;
            comes = is_name && depth == 1 && is_equal(string, "runtimeOptions");
        } else if (c != ':') { /* a number, a word, a comma */
            comes = false;
        }
    }
}

bool runtime_config_is_self_contained(const wchar_t *path)
{
    bool result = false;
    DWORD read = 0;

    HANDLE file =
        CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return false;
    char *bytes = HeapAlloc(GetProcessHeap(), 0, MOST_BYTES);
    if (bytes && ReadFile(file, bytes, MOST_BYTES, &read, NULL))
        result = has_included_frameworks((struct text){bytes, bytes + read});
    if (bytes)
        HeapFree(GetProcessHeap(), 0, bytes);
    CloseHandle(file);
    return result;
}
