/*
 * program.c - see program.h
 *
 * A .NET program is app.dll with app.runtimeconfig.json beside it; app.exe, if there is one, is a native
 * launcher of the same name. A single-file program is such a launcher with everything appended, which its
 * bundle marker tells. A managed file without a runtimeconfig.json is a .NET Framework program, unless its
 * metadata names another target.
 */
#include "tools/program.h"

#include <string.h>
#include <wchar.h>

#include "tools/pe_file.h"
#include "tools/runtime_config.h"
#include "tools/writer.h"

/*
 * SHA-256 of ".net core bundle", which every launcher holds; the eight bytes before it are the bundle's place
 * in the file, or 0. Inverted here, or this program would hold it too.
 */
static const BYTE bundle_marker_inverted[32] = {
    0x74, 0xED, 0xFD, 0x46, 0x95, 0x9E, 0xDF, 0xC7, 0x8D, 0x84, 0x6C, 0xFD, 0xEB, 0x28, 0x5F, 0xCD,
    0xEC, 0x0A, 0x46, 0x19, 0x10, 0x51, 0xCC, 0xE7, 0x11, 0xC4, 0xD2, 0x31, 0xDB, 0x4C, 0x95, 0x51};

bool path_join(wchar_t *path, const wchar_t *directory, const wchar_t *name)
{
    size_t length = wcslen(directory);
    bool slash = length && directory[length - 1] != L'\\' && directory[length - 1] != L'/';

    if (length + slash + wcslen(name) >= PATH_CHARS)
        return false;
    wmemmove(path, directory, length + 1);
    if (slash)
        wcscat(path, L"\\");
    wcscat(path, name);
    return true;
}

void path_with_backslashes(wchar_t *path)
{
    for (; *path; path++)
        if (*path == L'/')
            *path = L'\\';
}

bool file_exists(const wchar_t *path)
{
    DWORD attributes = GetFileAttributesW(path);
    return attributes != INVALID_FILE_ATTRIBUTES && !(attributes & FILE_ATTRIBUTE_DIRECTORY);
}

/* `path` with what follows the last dot of its name replaced. */
static bool path_replace_extension(wchar_t *out, const wchar_t *path, const wchar_t *extension)
{
    const wchar_t *name = wcsrchr(path, L'\\');
    const wchar_t *dot = wcsrchr(name ? name : path, L'.');
    size_t length = dot ? (size_t)(dot - path) : wcslen(path);

    if (length + wcslen(extension) >= PATH_CHARS)
        return false;
    wmemmove(out, path, length);
    wcscpy(out + length, extension);
    return true;
}

static bool program_open(struct pe_file *pe, const wchar_t *path)
{
    DWORD attributes = GetFileAttributesW(path);

    if (attributes == INVALID_FILE_ATTRIBUTES) {
        complain(L"%ls: no such file", path);
        return false;
    }
    if (attributes & FILE_ATTRIBUTE_DIRECTORY) {
        complain(L"%ls: is a folder, not a program", path);
        return false;
    }
    switch (pe_open(pe, path)) {
    case PE_OK:
        return true;
    case PE_NO_IMAGE:
        complain(L"%ls: is not a Windows program (no PE file)", path);
        return false;
    default:
        complain(L"%ls: cannot be read (Windows error %lu)", path, GetLastError());
        return false;
    }
}

static bool wrong_machine(const wchar_t *path, WORD machine)
{
    complain(L"%ls: is made for %ls, and this hostmem-run is for %ls programs", path,
             pe_machine_name(machine), pe_machine_name(PE_MACHINE_OWN));
    return false;
}

static bool is_bundle(const struct pe_file *pe)
{
    const BYTE *marker = pe_find_inverted(pe, bundle_marker_inverted, sizeof bundle_marker_inverted);
    uint64_t place = 0;

    if (marker && marker - pe->bytes >= (ptrdiff_t)sizeof place)
        memcpy(&place, marker - sizeof place, sizeof place);
    return place != 0;
}

/* A native launcher: program->assembly becomes the managed file that it stands for. */
static bool launcher_check(struct program *program, const struct pe_file *pe)
{
    static wchar_t managed[PATH_CHARS];

    if (pe->is_dll) {
        complain(L"%ls: is a native DLL, not a .NET program", program->assembly);
        return false;
    }
    if (is_bundle(pe)) {
        complain(L"%ls: is a single-file program, which is not supported yet; publish it with "
                 L"PublishSingleFile=false",
                 program->assembly);
        return false;
    }
    if (pe_exports(pe, "DotNetRuntimeDebugHeader")) {
        complain(L"%ls: is a NativeAOT program, whose runtime is a part of it: that is not supported",
                 program->assembly);
        return false;
    }
    if (!path_replace_extension(managed, program->assembly, L".dll") || !file_exists(managed)) {
        if (pe->machine != PE_MACHINE_OWN)
            complain(L"%ls: is a native program, not a .NET program (and made for %ls, this hostmem-run is "
                     L"for %ls)",
                     program->assembly, pe_machine_name(pe->machine), pe_machine_name(PE_MACHINE_OWN));
        else
            complain(L"%ls: is a native program, not a .NET program (no CLI header, and no .dll of that name "
                     L"beside it)",
                     program->assembly);
        return false;
    }
    if (pe->machine != PE_MACHINE_OWN)
        return wrong_machine(program->assembly, pe->machine);
    wcscpy(program->assembly, managed);
    return true;
}

/* Can a process of our kind load this managed file? */
static bool managed_fits(const struct pe_file *pe)
{
    enum { PREFERRED_32BIT = 0x20000 }; /* winnt.h does not have it */
    DWORD flags = pe->clr->Flags;

    if (pe->machine == PE_MACHINE_OWN)
        return true;
    /* "Required" together with "preferred" means: of any kind, but rather 32 bits. */
    bool required =
        (flags & (COMIMAGE_FLAGS_32BITREQUIRED | PREFERRED_32BIT)) == COMIMAGE_FLAGS_32BITREQUIRED;
    return pe->machine == IMAGE_FILE_MACHINE_I386 && !pe->is_64_bit && flags & COMIMAGE_FLAGS_ILONLY &&
           !required;
}

static bool memory_contains(const char *bytes, size_t size, const char *what)
{
    size_t length = strlen(what);

    for (; size >= length; size--, bytes++)
        if (memcmp(bytes, what, length) == 0)
            return true;
    return false;
}

/* The version of the runtime that the metadata names, and whether it is one for .NET (Core). */
static bool metadata_read(const struct pe_file *pe, wchar_t *version, size_t capacity, bool *for_dotnet)
{
    struct root {
        DWORD signature;
        WORD major, minor;
        DWORD reserved, version_length;
        char version[];
    };
    const IMAGE_DATA_DIRECTORY *where = &pe->clr->MetaData;
    const struct root *root = pe_at(pe, where->VirtualAddress, where->Size);

    if (!root || where->Size < sizeof *root || root->signature != 0x424A5342)
        return false;
    if (root->version_length > where->Size - sizeof *root || root->version_length >= capacity)
        return false;
    for (DWORD i = 0; i < root->version_length; i++)
        version[i] = (unsigned char)root->version[i];
    version[root->version_length] = 0;
    *for_dotnet = memory_contains((const char *)root, where->Size, ".NETCoreApp,Version=") ||
                  memory_contains((const char *)root, where->Size, ".NETStandard,Version=");
    return true;
}

static bool managed_check(struct program *program, const struct pe_file *pe)
{
    static wchar_t config[PATH_CHARS];
    bool for_dotnet = false;

    if (!metadata_read(pe, program->runtime_version, ARRAYSIZE(program->runtime_version), &for_dotnet)) {
        complain(L"%ls: has a CLI header, but its metadata cannot be read", program->assembly);
        return false;
    }
    if (!managed_fits(pe))
        return wrong_machine(program->assembly, pe->machine == IMAGE_FILE_MACHINE_I386 && pe->is_64_bit
                                                    ? IMAGE_FILE_MACHINE_UNKNOWN
                                                    : pe->machine);
    if (!path_replace_extension(config, program->assembly, L".runtimeconfig.json")) {
        complain(L"%ls: the path is too long", program->assembly);
        return false;
    }
    program->kind = file_exists(config) ? PROGRAM_DOTNET : PROGRAM_FRAMEWORK;
    program->self_contained = program->kind == PROGRAM_DOTNET && runtime_config_is_self_contained(config);
    if (program->kind == PROGRAM_FRAMEWORK && for_dotnet) {
        complain(L"%ls: is missing, so %ls is a library or an incomplete program", config, program->assembly);
        return false;
    }
    return true;
}

bool program_find(struct program *program, const wchar_t *path)
{
    struct pe_file pe;

    DWORD length = GetFullPathNameW(path, PATH_CHARS, program->assembly, NULL);
    if (length == 0 || length >= PATH_CHARS) {
        complain(L"%ls: is no path that Windows can use", path);
        return false;
    }
    if (!program_open(&pe, program->assembly))
        return false;
    if (!pe.clr) {
        bool launcher = launcher_check(program, &pe);
        pe_close(&pe);
        if (!launcher || !program_open(&pe, program->assembly))
            return false;
    }
    bool managed = pe.clr != NULL;
    if (!managed)
        complain(L"%ls: is a native DLL, so the program beside it is not a .NET program", program->assembly);
    else
        managed = managed_check(program, &pe);
    pe_close(&pe);
    return managed;
}

/* What tells a file apart from all others; false: there is none at `path`. */
static bool file_identify(const wchar_t *path, BY_HANDLE_FILE_INFORMATION *identity)
{
    const DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

    HANDLE file = CreateFileW(path, FILE_READ_ATTRIBUTES, share, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return false;
    bool identified = GetFileInformationByHandle(file, identity);
    CloseHandle(file);
    return identified;
}

bool program_has_file(const struct program *program, HANDLE file)
{
    static const wchar_t *const parts[] = {L".exe", L".dll", L".runtimeconfig.json", L".deps.json"};
    static wchar_t part[PATH_CHARS];
    BY_HANDLE_FILE_INFORMATION a, b;

    if (!GetFileInformationByHandle(file, &a))
        return false;
    for (unsigned i = 0; i < ARRAYSIZE(parts); i++)
        if (path_replace_extension(part, program->assembly, parts[i]) && file_identify(part, &b) &&
            a.dwVolumeSerialNumber == b.dwVolumeSerialNumber && a.nFileIndexHigh == b.nFileIndexHigh &&
            a.nFileIndexLow == b.nFileIndexLow)
            return true;
    return false;
}
