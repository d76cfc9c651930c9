/*
 * verified.h - the check of a manager's accounting, at the end of a test
 */
#ifndef TESTS_SUPPORT_VERIFIED_H
#define TESTS_SUPPORT_VERIFIED_H

#include <stdbool.h>
#include <stdio.h>

#include <hostmem/verify.h>

/* Say what a report has found. */
static inline void verify_print(const hostmem_verify_report *report)
{
    printf(
        "the accounting: finding %u at %p, expected %llu, found %llu (%llu regions, %llu views, %llu blocks; "
        "%llu skipped%s)\n",
        (unsigned)report->finding, report->address, (unsigned long long)report->expected,
        (unsigned long long)report->found, (unsigned long long)report->regions,
        (unsigned long long)report->views, (unsigned long long)report->blocks,
        (unsigned long long)report->skipped, report->disturbed ? ", disturbed" : "");
    fflush(stdout);
}

/* Nothing differs, and everything was judged: for a manager that nobody uses. */
static inline bool verified(hostmem_manager *manager)
{
    hostmem_verify_report report = {.size = sizeof report};
    HRESULT result = hostmem_verify(manager, &report);
    bool good = result == S_OK && report.skipped == 0 && report.disturbed == 0;
    if (!good)
        verify_print(&report);
    return good;
}

/* Nothing differs, as far as it could be judged: other threads may be at work. */
static inline bool verified_in_use(hostmem_manager *manager)
{
    hostmem_verify_report report = {.size = sizeof report};
    HRESULT result = hostmem_verify(manager, &report);
    if (result != S_OK)
        verify_print(&report);
    return result == S_OK;
}

#endif
