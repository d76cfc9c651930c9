/*
 * fake_pages.c - see fake_pages.h
 */
#include "support/fake_pages.h"

#include <stdatomic.h>

#include <windows.h>

#include "maps/pages.h"

static atomic_long calls, first_failure, last_failure, outstanding;

static void order(long first, long last)
{
    first_failure = first;
    last_failure = last;
    calls = 0;
}

void fake_pages_fail_from(long n)
{
    order(n, n == 0 ? 0 : LONG_MAX);
}

void fake_pages_fail_once(long n)
{
    order(n, n);
}

long fake_pages_calls(void)
{
    return calls;
}

long fake_pages_outstanding(void)
{
    return outstanding;
}

static bool fails(void)
{
    long call = ++calls;
    if (first_failure == 0 || call < first_failure || call > last_failure)
        return false;
    SetLastError(ERROR_COMMITMENT_LIMIT);
    return true;
}

void *hm_pages_reserve(size_t bytes)
{
    void *base = fails() ? NULL : VirtualAlloc(NULL, bytes, MEM_RESERVE, PAGE_READWRITE);
    if (base != NULL)
        outstanding++;
    return base;
}

bool hm_pages_commit(void *at, size_t bytes)
{
    return !fails() && VirtualAlloc(at, bytes, MEM_COMMIT, PAGE_READWRITE) != NULL;
}

void hm_pages_release(void *base, size_t bytes)
{
    (void)bytes;
    if (VirtualFree(base, 0, MEM_RELEASE))
        outstanding--;
}
