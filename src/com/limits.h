/*
 * limits.h - hostmem_limits as budgets
 */
#ifndef HOSTMEM_COM_LIMITS_H
#define HOSTMEM_COM_LIMITS_H

#include <hostmem/hostmem.h>

#include "memory/quota.h"

/* A budget that managers share. */
struct hostmem_budget {
    _Atomic uint32_t references;
    struct quota quota;
};

/* S_OK or E_INVALIDARG. */
HRESULT hm_limits_check(const hostmem_limits *limits);

/* Put checked limits into effect. */
void hm_limits_set(struct quota *quota, const hostmem_limits *limits);

hostmem_gauge hm_budget_gauge(const struct budget *budget);
hostmem_overrun hm_budget_overrun(const struct budget *budget);

#endif
