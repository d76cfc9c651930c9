/*
 * vcruntime.h - what the Windows SDK's C headers want of the compiler's own, which come with Visual Studio only
 *
 * As much of it as our sources and headers need. Written for the tests: not Microsoft's.
 */
#ifndef TESTS_SDK_VCRUNTIME_H
#define TESTS_SDK_VCRUNTIME_H

#include <sal.h>
#include <vadefs.h>

#ifdef __cplusplus
#    define _CRT_BEGIN_C_HEADER extern "C" {
#    define _CRT_END_C_HEADER   }
#    define _CRT_HAS_CXX17      1
#    define _HAS_NODISCARD      1
#    define _NODISCARD          [[nodiscard]]
#else
#    define _CRT_BEGIN_C_HEADER
#    define _CRT_END_C_HEADER
#    define _CRT_HAS_CXX17 0
#    define _HAS_NODISCARD 0
#    define _NODISCARD
#endif
#define _CRT_HAS_C11      1
#define _CRT_ALIGN(bytes) __declspec(align(bytes))
#ifdef _DLL
#    define _CRTIMP __declspec(dllimport)
#else
#    define _CRTIMP
#endif
#define _VCRT_DEFINED_CRTIMP
#define _VCRTIMP  _CRTIMP
#define __CRTDECL __cdecl
#define _CONST_RETURN
#define _CRT_DEPRECATE_TEXT(text)
#define _CRT_INSECURE_DEPRECATE(replacement)
#define _CRT_INSECURE_DEPRECATE_MEMORY(replacement)
#define _CRT_SECURE_NO_WARNINGS
#define _CRT_STRINGIZE_(x) #x
#define _CRT_STRINGIZE(x)  _CRT_STRINGIZE_(x)
#define _CRT_WIDE_(s)      L##s
#define _CRT_WIDE(s)       _CRT_WIDE_(s)
#define _CRT_UNUSED(x)     (void)x
#define _UNALIGNED         __unaligned

#ifdef _WIN64
typedef unsigned __int64 size_t;
typedef __int64 ptrdiff_t, intptr_t;
#else
typedef unsigned int size_t;
typedef int ptrdiff_t, intptr_t;
#endif
#ifndef __cplusplus
typedef unsigned short wchar_t;
#endif
#define _WCHAR_T_DEFINED
#define _SIZE_T_DEFINED
#define _PTRDIFF_T_DEFINED
#define _INTPTR_T_DEFINED

#ifdef __cplusplus
typedef bool __crt_bool;
#    define NULL 0
#else
typedef _Bool __crt_bool;
#    define NULL ((void *)0)
#endif

#endif
