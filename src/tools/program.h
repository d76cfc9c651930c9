/*
 * program.h - what kind of program is this file, and can we run it?
 *
 * Answered from the file and its neighbours, before anything of it is loaded, so that the answer is one clear
 * line.
 */
#ifndef HOSTMEM_TOOLS_PROGRAM_H
#define HOSTMEM_TOOLS_PROGRAM_H

#include <stdbool.h>

#include <windows.h>

/* Longest path that Windows takes, with its end. */
enum { PATH_CHARS = 32768 };

enum program_kind {
    PROGRAM_DOTNET,   /* .NET (Core): hostfxr runs it */
    PROGRAM_FRAMEWORK /* .NET Framework: mscoree runs it */
};

struct program {
    enum program_kind kind;
    wchar_t assembly[PATH_CHARS]; /* the managed file, absolute */
    wchar_t runtime_version[256]; /* of the metadata: "v4.0.30319" */
    bool self_contained;          /* of a .NET program: it brings its runtime along */
};

/* Fills `program` for the exe or dll at `path`. False: it cannot be run, and the user has been told why. */
bool program_find(struct program *program, const wchar_t *path);

/* Is the open `file` one of those that make `program`, under whatever name? */
bool program_has_file(const struct program *program, HANDLE file);

/* Writes `directory`\`name`; false if that is too long. */
bool path_join(wchar_t *path, const wchar_t *directory, const wchar_t *name);

/* Turns `/` into `\`, which the loader of DLLs wants: a shell may have written others. */
void path_with_backslashes(wchar_t *path);

bool file_exists(const wchar_t *path);

#endif
