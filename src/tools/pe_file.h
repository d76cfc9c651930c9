/*
 * pe_file.h - what a file on disk says of itself, without running any of it
 *
 * The file is mapped read-only; every access is checked against its size, since it may be anything.
 */
#ifndef HOSTMEM_TOOLS_PE_FILE_H
#define HOSTMEM_TOOLS_PE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include <windows.h>

enum pe_result {
    PE_OK,
    PE_UNREADABLE, /* the last error tells why */
    PE_NO_IMAGE    /* neither MZ nor PE, or cut off */
};

struct pe_file {
    const BYTE *bytes;
    size_t size;
    WORD machine; /* IMAGE_FILE_MACHINE_... */
    bool is_dll;
    bool is_64_bit;
    const IMAGE_SECTION_HEADER *sections;
    unsigned section_count;
    const IMAGE_COR20_HEADER *clr;         /* NULL: native */
    const IMAGE_EXPORT_DIRECTORY *exports; /* NULL: none */
};

/* Opens `path`; on PE_OK pe_close is due. */
enum pe_result pe_open(struct pe_file *pe, const wchar_t *path);
void pe_close(struct pe_file *pe);

/* The file's bytes for [rva, rva + size); NULL when the file does not have them. */
const void *pe_at(const struct pe_file *pe, uint32_t rva, uint32_t size);

/* Does it export something by this name? */
bool pe_exports(const struct pe_file *pe, const char *name);

/* The first place of `what` in the sections' raw data, or NULL. `what` is stored inverted, see program.c. */
const BYTE *pe_find_inverted(const struct pe_file *pe, const BYTE *what, unsigned length);

/* "x86", "x86-64", "ARM64" ... */
const wchar_t *pe_machine_name(WORD machine);

/* The machine that this program is made for. */
#if defined(_WIN64)
#    define PE_MACHINE_OWN IMAGE_FILE_MACHINE_AMD64
#else
#    define PE_MACHINE_OWN IMAGE_FILE_MACHINE_I386
#endif

#endif
