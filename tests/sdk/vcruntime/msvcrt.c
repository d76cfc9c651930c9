/*
 * msvcrt.c - what a linker wants of Visual Studio's msvcrt.lib, for the tests: where a program starts, the TLS directory,
 * floating point. PART by PART, each an object of its own; the C library is the SDK's ucrt, memcpy and its like are ntdll's
 * (msvcrt.def).
 */
#include <windows.h>

#if PART <= 3
#    pragma comment(lib, "ucrt")
#endif

#if PART == 1 || PART == 2
enum argv_mode { ARGV_UNEXPANDED = 1 };
int __cdecl _configure_narrow_argv(enum argv_mode mode);
int __cdecl _configure_wide_argv(enum argv_mode mode);
int *__cdecl __p___argc(void);
char ***__cdecl __p___argv(void);
wchar_t ***__cdecl __p___wargv(void);
__declspec(noreturn) void __cdecl exit(int status);
#endif

#if PART == 1
int __cdecl main(int argc, char **argv);
void __cdecl mainCRTStartup(void)
{
    _configure_narrow_argv(ARGV_UNEXPANDED);
    exit(main(*__p___argc(), *__p___argv()));
}
#elif PART == 2
int __cdecl wmain(int argc, wchar_t **argv);
void __cdecl wmainCRTStartup(void)
{
    _configure_wide_argv(ARGV_UNEXPANDED);
    exit(wmain(*__p___argc(), *__p___wargv()));
}
#elif PART == 3
BOOL WINAPI _DllMainCRTStartup(HINSTANCE module, DWORD reason, void *reserved)
{
    (void)module;
    (void)reason;
    (void)reserved;
    return TRUE;
}
#elif PART == 4
ULONG _tls_index;
#    define SECTION(name) __attribute__((section(name)))
SECTION(".tls") char _tls_start;
SECTION(".tls$ZZZ") char _tls_end;
SECTION(".CRT$XLA") PIMAGE_TLS_CALLBACK __xl_a;
SECTION(".CRT$XLZ") PIMAGE_TLS_CALLBACK __xl_z;
#    ifdef _WIN64
#        define ADDRESS(variable) (ULONGLONG) & (variable)
const IMAGE_TLS_DIRECTORY64 _tls_used = {
#    else
#        define ADDRESS(variable) (DWORD) & (variable)
const IMAGE_TLS_DIRECTORY32 _tls_used = {
#    endif
    ADDRESS(_tls_start), ADDRESS(_tls_end), ADDRESS(_tls_index), (ADDRESS(__xl_a)) + sizeof __xl_a, 0, {0}};
#elif PART == 5
int _fltused = 1;
#endif
