/*
 * pe_file.c - see pe_file.h
 */
#include "tools/pe_file.h"

#include <string.h>

static const void *bytes_at(const struct pe_file *pe, size_t offset, size_t size)
{
    return offset <= pe->size && size <= pe->size - offset ? pe->bytes + offset : NULL;
}

const void *pe_at(const struct pe_file *pe, uint32_t rva, uint32_t size)
{
    for (unsigned i = 0; i < pe->section_count; i++) {
        const IMAGE_SECTION_HEADER *section = &pe->sections[i];
        uint32_t offset = rva - section->VirtualAddress;

        if (rva >= section->VirtualAddress && offset < section->SizeOfRawData &&
            size <= section->SizeOfRawData - offset)
            return bytes_at(pe, (size_t)section->PointerToRawData + offset, size);
    }
    return NULL;
}

bool pe_exports(const struct pe_file *pe, const char *name)
{
    const uint32_t size = (uint32_t)strlen(name) + 1;
    const uint64_t count = pe->exports ? pe->exports->NumberOfNames : 0;
    const DWORD *names = NULL;

    if (count != 0 && count * sizeof *names <= UINT32_MAX)
        names = pe_at(pe, pe->exports->AddressOfNames, (uint32_t)(count * sizeof *names));
    for (uint64_t i = 0; names && i < count; i++) {
        const char *exported = pe_at(pe, names[i], size);
        if (exported && memcmp(exported, name, size) == 0)
            return true;
    }
    return false;
}

const BYTE *pe_find_inverted(const struct pe_file *pe, const BYTE *what, unsigned length)
{
    for (unsigned i = 0; i < pe->section_count; i++) {
        const BYTE *at = bytes_at(pe, pe->sections[i].PointerToRawData, pe->sections[i].SizeOfRawData);

        for (uint32_t left = at ? pe->sections[i].SizeOfRawData : 0; left >= length; left--, at++) {
            unsigned same = 0;
            while (same < length && (at[same] ^ what[same]) == 0xFF)
                same++;
            if (same == length)
                return at;
        }
    }
    return NULL;
}

/* Reads what the headers say; false: they do not hold together. */
static bool headers_read(struct pe_file *pe)
{
    const IMAGE_DOS_HEADER *dos = bytes_at(pe, 0, sizeof *dos);
    if (!dos || dos->e_magic != IMAGE_DOS_SIGNATURE || dos->e_lfanew < 0)
        return false;

    size_t offset = (size_t)dos->e_lfanew;
    const DWORD *signature = bytes_at(pe, offset, sizeof *signature);
    if (!signature || *signature != IMAGE_NT_SIGNATURE)
        return false;
    offset += sizeof *signature;

    const IMAGE_FILE_HEADER *file = bytes_at(pe, offset, sizeof *file);
    if (!file)
        return false;
    offset += sizeof *file;
    pe->machine = file->Machine;
    pe->is_dll = file->Characteristics & IMAGE_FILE_DLL;

    /* The two optional headers differ in size; the directory that we want is in both. */
    const WORD *magic = bytes_at(pe, offset, sizeof *magic);
    const IMAGE_OPTIONAL_HEADER64 *wide = bytes_at(pe, offset, sizeof *wide);
    const IMAGE_OPTIONAL_HEADER32 *narrow = bytes_at(pe, offset, sizeof *narrow);
    const IMAGE_DATA_DIRECTORY *directory = NULL;
    DWORD directories = 0;
    if (magic && *magic == IMAGE_NT_OPTIONAL_HDR64_MAGIC && wide) {
        pe->is_64_bit = true;
        directory = wide->DataDirectory;
        directories = wide->NumberOfRvaAndSizes;
    } else if (magic && *magic == IMAGE_NT_OPTIONAL_HDR32_MAGIC && narrow) {
        directory = narrow->DataDirectory;
        directories = narrow->NumberOfRvaAndSizes;
    } else {
        return false;
    }
    offset += file->SizeOfOptionalHeader;

    pe->section_count = file->NumberOfSections;
    pe->sections = bytes_at(pe, offset, pe->section_count * sizeof *pe->sections);
    if (!pe->sections)
        return false;
    if (directories > IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR &&
        directory[IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR].VirtualAddress)
        pe->clr = pe_at(pe, directory[IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR].VirtualAddress, sizeof *pe->clr);
    if (directories > IMAGE_DIRECTORY_ENTRY_EXPORT && directory[IMAGE_DIRECTORY_ENTRY_EXPORT].VirtualAddress)
        pe->exports = pe_at(pe, directory[IMAGE_DIRECTORY_ENTRY_EXPORT].VirtualAddress, sizeof *pe->exports);
    return true;
}

enum pe_result pe_open(struct pe_file *pe, const wchar_t *path)
{
    enum pe_result result = PE_UNREADABLE;
    LARGE_INTEGER size = {0};

    ZeroMemory(pe, sizeof *pe);
    HANDLE file =
        CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return PE_UNREADABLE;
    if (!GetFileSizeEx(file, &size))
        goto file;
    if (size.QuadPart == 0) { /* cannot be mapped */
        result = PE_NO_IMAGE;
        goto file;
    }
    HANDLE mapping = CreateFileMappingW(file, NULL, PAGE_READONLY, 0, 0, NULL);
    if (!mapping)
        goto file;
    pe->bytes = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
    CloseHandle(mapping);
    if (!pe->bytes)
        goto file;
    pe->size = (size_t)size.QuadPart;
    result = headers_read(pe) ? PE_OK : PE_NO_IMAGE;
    if (result != PE_OK)
        pe_close(pe);
file:;
    DWORD error = GetLastError();
    CloseHandle(file);
    SetLastError(error);
    return result;
}

void pe_close(struct pe_file *pe)
{
    if (pe->bytes)
        UnmapViewOfFile(pe->bytes);
    pe->bytes = NULL;
}

const wchar_t *pe_machine_name(WORD machine)
{
    switch (machine) {
    case IMAGE_FILE_MACHINE_I386:
        return L"x86";
    case IMAGE_FILE_MACHINE_AMD64:
        return L"x86-64";
    case IMAGE_FILE_MACHINE_ARM64:
        return L"ARM64";
    case IMAGE_FILE_MACHINE_ARMNT:
        return L"ARM";
    default:
        return L"another processor or system";
    }
}
