/*
 * Every IID that a host of ours may name: HOST_IIDS(X), X(interface, IID).
 *
 * HOST_DEFINE_IIDS(order) makes a table of their addresses, as the headers above it in its file give them.
 */
#ifndef TESTS_HOSTS_IIDS_H
#define TESTS_HOSTS_IIDS_H

/* clang-format off */
#define HOST_IIDS(X) \
    X(IHostMemoryManager,             "{7BC698D1-F9E3-4460-9CDE-D04248E9FA25}") \
    X(IHostMalloc,                    "{1831991C-CC53-4A31-B218-04E910446479}") \
    X(ICLRMemoryNotificationCallback, "{47EB8E57-0846-4546-AF76-6F42FCFC2649}") \
    X(IHostGCManager,                 "{5D4EC34E-F248-457B-B603-255FAABA0D21}") \
    X(ICLRGCManager,                  "{54D9007E-A8E2-4885-B7BF-F998DEEE4F2A}") \
    X(ICLRGCManager2,                 "{0603B793-A97A-4712-9CB4-0CD1C74C0F7C}") \
    X(IHostControl,                   "{02CA073C-7079-4860-880A-C2F7A449C991}") \
    X(ICLRRuntimeHost,                "{90F1A06C-7712-4762-86B5-7A5EBA6BDB02}") \
    X(ICLRControl,                    "{9065597E-D1A1-4FB2-B6BA-7E1FCE230F61}") \
    X(ICLRRuntimeHost2,               "{712AB73F-2C22-4807-AD7E-F501D7B72C2D}") \
    X(ICLRRuntimeHost4,               "{64F6D366-D7C2-4F1F-B4B2-E8160CAC43AF}")
/* clang-format on */

#define HOST_IID_ONE(I, text)     +1
#define HOST_IID_ADDRESS(I, text) &IID_##I,
enum { HOST_IID_COUNT = HOST_IIDS(HOST_IID_ONE) };

typedef const IID *const host_iids[HOST_IID_COUNT];

#define HOST_DEFINE_IIDS(order)                                                                              \
    EXTERN_C host_iids order;                                                                                \
    host_iids order = {HOST_IIDS(HOST_IID_ADDRESS)}

#endif
