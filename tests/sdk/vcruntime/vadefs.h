/* vadefs.h - see vcruntime.h */
#ifndef TESTS_SDK_VADEFS_H
#define TESTS_SDK_VADEFS_H

typedef char *va_list;
#define _VA_LIST_DEFINED
#ifdef _WIN64
typedef unsigned __int64 uintptr_t;
#else
typedef unsigned int uintptr_t;
#endif
#define _UINTPTR_T_DEFINED

#define __crt_va_start(list, last) __builtin_va_start(list, last)
#define __crt_va_arg(list, type)   __builtin_va_arg(list, type)
#define __crt_va_end(list)         __builtin_va_end(list)

#endif
