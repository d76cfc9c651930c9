/*
 * limits.h - hostmem_limits as budgets
 */
#ifndef HOSTMEM_COM_LIMITS_H
#define HOSTMEM_COM_LIMITS_H

#include <hostmem/hostmem.h>

#include "memory/account.h"

/* A budget that managers share. */
struct hostmem_budget {
    _Atomic uint32_t references;
    struct budget commit, reserve;
};

/* S_OK or E_INVALIDARG. */
HRESULT hm_limits_check(const hostmem_limits *limits);

/* Put checked limits into effect, and read them back. */
void hm_limits_set(struct budget *commit, struct budget *reserve, const hostmem_limits *limits);
void hm_limits_get(const struct budget *commit, const struct budget *reserve, hostmem_limits *limits);

hostmem_gauge hm_budget_gauge(const struct budget *budget);
hostmem_gauge hm_account_gauge(const struct account *account);

#endif
