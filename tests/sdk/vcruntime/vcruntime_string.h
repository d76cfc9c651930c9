/* vcruntime_string.h - see vcruntime.h */
#ifndef TESTS_SDK_VCRUNTIME_STRING_H
#define TESTS_SDK_VCRUNTIME_STRING_H

#include <vcruntime.h>

_CRT_BEGIN_C_HEADER
void *__cdecl memchr(const void *where, int byte, size_t size);
int __cdecl memcmp(const void *one, const void *other, size_t size);
void *__cdecl memcpy(void *to, const void *from, size_t size);
void *__cdecl memmove(void *to, const void *from, size_t size);
void *__cdecl memset(void *to, int byte, size_t size);
char *__cdecl strchr(const char *where, int what);
char *__cdecl strrchr(const char *where, int what);
char *__cdecl strstr(const char *where, const char *what);
wchar_t *__cdecl wcschr(const wchar_t *where, wchar_t what);
wchar_t *__cdecl wcsrchr(const wchar_t *where, wchar_t what);
wchar_t *__cdecl wcsstr(const wchar_t *where, const wchar_t *what);
_CRT_END_C_HEADER

#endif
