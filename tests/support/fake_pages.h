/*
 * fake_pages.h - pages.h with a failure to order and a count of what is outstanding
 *
 * Real address space underneath, so that a map which reaches beyond what it committed crashes.
 */
#ifndef TESTS_SUPPORT_FAKE_PAGES_H
#define TESTS_SUPPORT_FAKE_PAGES_H

#include <stddef.h>

/* The n-th call from now of hm_pages_reserve or hm_pages_commit fails, and every one after it; 0: none. */
void fake_pages_fail_from(long n);

/* Only the n-th call from now fails; 0: none. */
void fake_pages_fail_once(long n);

/* Calls of hm_pages_reserve and hm_pages_commit since fake_pages_fail_...; failed ones too. */
long fake_pages_calls(void);

/* Reservations not yet given back. */
long fake_pages_outstanding(void);

#endif
