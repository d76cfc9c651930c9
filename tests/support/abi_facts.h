/*
 * What a header really declares, as a table that another translation unit can look at.
 *
 * One file for each header under test: the header, then this file and ABI_DEFINE_FACTS(name).
 */
#ifndef TESTS_SUPPORT_ABI_FACTS_H
#define TESTS_SUPPORT_ABI_FACTS_H

#include <stdbool.h>
#include <stddef.h>

#include "abi_list.h"

struct abi_slot {
    size_t offset; /* of the method in the C vtable */
    bool exact;    /* its type, calling convention included, is the list's */
};

struct abi_interface {
    size_t vtbl_size, object_size;
    const IID *iid;
};

struct abi_facts {
    const struct abi_slot *slots;
    const struct abi_interface *interfaces;
    const unsigned long long *values;
};

extern const struct abi_facts abi_facts_clr, abi_facts_widl;

#define ABI_POINTER(I, result, ...) result(STDMETHODCALLTYPE *)(I * __VA_OPT__(, ) __VA_ARGS__)
#define ABI_SLOT_FACT(I, method, slot, result, count, ...)                                                   \
    {offsetof(I##Vtbl, method), _Generic(((I##Vtbl *)0)->method, ABI_POINTER(I, result, __VA_ARGS__)         \
                                         : true, default                                                     \
                                         : false)},
#define ABI_INTERFACE_FACT(I, slots, iid) {sizeof(I##Vtbl), sizeof(I), &IID_##I},
#define ABI_VALUE_FACT(expression, value) (unsigned long long)(expression),

#define ABI_DEFINE_FACTS(name)                                                                               \
    static const struct abi_slot slot_facts[] = {ABI_SLOTS(ABI_SLOT_FACT)};                                  \
    static const struct abi_interface interface_facts[] = {ABI_INTERFACES(ABI_INTERFACE_FACT)};              \
    static const unsigned long long value_facts[] = {ABI_VALUES(ABI_VALUE_FACT)};                            \
    const struct abi_facts name = {slot_facts, interface_facts, value_facts}

#endif
