/*
 * skip.c - tests that are not worth their time here
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#if __has_feature(thread_sanitizer)
/* One thread, and by far the longest. */
__attribute__((constructor)) static void skip_the_long_one(void)
{
    cmocka_set_skip_filter("test_a_million_regions");
}
#endif
