/*
 * assembly.c - the C# assembly, which this program brings along as a resource
 */
#include "tools/check/check.h"

#include <wchar.h>

static HRSRC assembly_find(void)
{
    return FindResourceW(NULL, L"CHECK_ASSEMBLY", (LPCWSTR)RT_RCDATA);
}

bool assembly_is_there(void)
{
    return assembly_find() != NULL;
}

bool assembly_write(const wchar_t *folder)
{
    wchar_t path[CHECK_PATH];
    DWORD written = 0;

    HRSRC resource = assembly_find();
    HGLOBAL loaded = resource ? LoadResource(NULL, resource) : NULL;
    const void *bytes = loaded ? LockResource(loaded) : NULL;
    if (!bytes || swprintf(path, CHECK_PATH, L"%ls\\" CHECK_ASSEMBLY L".dll", folder) < 0)
        return false;
    const DWORD size = SizeofResource(NULL, resource);
    HANDLE file = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_NEW, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return false;
    BOOL done = WriteFile(file, bytes, size, &written, NULL);
    CloseHandle(file);
    return done && written == size;
}
