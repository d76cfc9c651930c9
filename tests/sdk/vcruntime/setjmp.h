/* setjmp.h - see vcruntime.h: intrin.h includes it for the type */
#ifndef TESTS_SDK_SETJMP_H
#define TESTS_SDK_SETJMP_H

typedef struct {
    __declspec(align(16)) unsigned __int64 part[2];
} jmp_buf[16];

#endif
