/*
 * file.c - see file.h
 *
 * All that the program knows of Windows is here: its C library has no names in UTF-8.
 */
#include "report/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#    include <fcntl.h>
#    include <io.h>

#    include <windows.h>

enum { NAME_CHARS = 32768 };

/* False: it is too long, or no UTF-8. */
static bool wide_name(const char *name, wchar_t *wide)
{
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, name, -1, wide, NAME_CHARS) != 0)
        return true;
    errno = ENOENT;
    return false;
}

FILE *hm_file_open(const char *name, const char *mode)
{
    static wchar_t wide[NAME_CHARS];
    wchar_t wide_mode[8] = {0};

    for (unsigned i = 0; mode[i] && i < 7; i++)
        wide_mode[i] = (wchar_t)mode[i];
    return wide_name(name, wide) ? _wfopen(wide, wide_mode) : NULL;
}

void hm_file_remove(const char *name)
{
    static wchar_t wide[NAME_CHARS];

    if (wide_name(name, wide))
        _wremove(wide);
}

/* The console's, which others go on with; 0: there is none, or it is as it was. */
static UINT code_page;

void hm_file_prepare_stdout(void)
{
    _setmode(_fileno(stdout), _O_BINARY);
    code_page = GetConsoleOutputCP();
    if (code_page != 0)
        SetConsoleOutputCP(CP_UTF8);
}

int report_main(int argc, char **argv);

static char *utf8_of(const wchar_t *wide)
{
    const int size = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
    char *text = size > 0 ? malloc((size_t)size) : NULL;

    if (text)
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, size, NULL, NULL);
    return text;
}

int wmain(int argc, wchar_t **wide)
{
    char **argv = calloc((size_t)argc + 1, sizeof *argv);
    bool done = argv != NULL;

    for (int i = 0; done && i < argc; i++)
        done = (argv[i] = utf8_of(wide[i])) != NULL;
    const int status = done ? report_main(argc, argv) : 1;
    if (code_page != 0)
        SetConsoleOutputCP(code_page);
    for (int i = 0; argv && i < argc; i++)
        free(argv[i]);
    free(argv);
    return status;
}
#else
#    include <sys/stat.h>

FILE *hm_file_open(const char *name, const char *mode)
{
    return fopen(name, mode);
}

void hm_file_remove(const char *name)
{
    struct stat status;

    if (stat(name, &status) == 0 && S_ISREG(status.st_mode))
        remove(name);
}

void hm_file_prepare_stdout(void)
{
}

int report_main(int argc, char **argv);

int main(int argc, char **argv)
{
    return report_main(argc, argv);
}
#endif

static size_t read_file(void *context, void *buffer, size_t bytes)
{
    return fread(buffer, 1, bytes, context);
}

struct nettrace_source hm_file_source(FILE *file)
{
    return (struct nettrace_source){read_file, file};
}

bool hm_file_is_trace(const char *name)
{
    char start[8] = {0};
    FILE *file = hm_file_open(name, "rb");

    if (!file)
        return false;
    const bool is_trace =
        fread(start, 1, sizeof start, file) == sizeof start && memcmp(start, "Nettrace", 8) == 0;
    fclose(file);
    return is_trace;
}
