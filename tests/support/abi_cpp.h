/* What the C and the C++ half of test_abi offer each other. */
#ifndef TESTS_SUPPORT_ABI_CPP_H
#define TESTS_SUPPORT_ABI_CPP_H

#ifdef __cplusplus
extern "C" {
#endif

/* An IHostMalloc implemented in C++: Alloc hands out pieces of one buffer, Free takes back the last one
 * only. */
IHostMalloc *abi_cpp_malloc(void);

/* Calls method n of ABI_SLOTS on object through the C++ declaration, with zeros for arguments. */
long abi_cpp_call(size_t n, void *object);

/* __uuidof of interface n of ABI_INTERFACES. */
const IID *abi_cpp_uuidof(size_t n);

#ifdef __cplusplus
}
#endif

#endif
