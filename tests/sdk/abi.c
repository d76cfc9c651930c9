/* What clr.h itself declares where there is no mscoree.h, against support/abi_list.h; compiled only. */
#include <hostmem/clr.h>
#include <stddef.h>
#include "support/abi_list.h"

#define POINTER(I, result, ...) result(STDMETHODCALLTYPE *)(I * __VA_OPT__(, ) __VA_ARGS__)
#define CHECK_SLOT(I, method, slot, result, count, ...)                                                      \
    _Static_assert(offsetof(I##Vtbl, method) == (slot) * sizeof(void *), #I "." #method);                    \
    _Static_assert(_Generic(((I##Vtbl *)0)->method, POINTER(I, result, __VA_ARGS__) : 1, default : 0),       \
                   #I "." #method);
#define CHECK_INTERFACE(I, slots, iid) _Static_assert(sizeof(I##Vtbl) == (slots) * sizeof(void *), #I);
#define CHECK_VALUE(expression, value)                                                                       \
    _Static_assert((unsigned long long)(expression) == (value), #expression);

ABI_SLOTS(CHECK_SLOT)
ABI_INTERFACES(CHECK_INTERFACE)
ABI_VALUES(CHECK_VALUE)
