/*
 * manager_fixture.h - a manager for each test, and an eye on Windows beside it
 *
 * The fixture's teardown demands that the accounting equals VirtualQuery over the owned regions and that the test
 * gave back all that it took, unless it says otherwise.
 */
#ifndef TESTS_SUPPORT_MANAGER_FIXTURE_H
#define TESTS_SUPPORT_MANAGER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hostmem/hostmem.h>

#include <cmocka.h>

enum { PAGE = 4096, GRANULE = 65536 };

/* A last error that no Win32 function leaves. */
enum { NO_ERROR_SET = 0x2badf00d };

struct fixture {
    hostmem_manager *manager;
    IHostMemoryManager *memory;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);

#define fixture_test(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

/* HRESULTs are compared as 32 bits: some of the headers' constants are unsigned. */
#define assert_hresult(result, expected) assert_int_equal((uint32_t)(result), (uint32_t)(expected))
#define assert_win32(result, error)      assert_hresult(result, HRESULT_FROM_WIN32(error))

/* VirtualAlloc of the fixture's manager at eTaskCritical, which must succeed. */
void *fixture_alloc(struct fixture *f, void *address, SIZE_T size, DWORD type, DWORD protect);

/* VirtualFree, which must succeed. */
void fixture_free(struct fixture *f, void *address, SIZE_T size, DWORD type);

hostmem_statistics fixture_statistics(hostmem_manager *manager);

/* The gauges and the region list say what VirtualQuery says of the owned regions. */
void assert_statistics_equal_windows(hostmem_manager *manager);

/* What VirtualQuery says of a range, run by run. */
struct picture {
    unsigned count;
    MEMORY_BASIC_INFORMATION run[16];
};

struct picture picture_take(const void *base, SIZE_T size);
void assert_picture(const struct picture *expected, const void *base, SIZE_T size);

/* Bytes at `base` that follow from a seed. */
void fill_bytes(void *base, SIZE_T size, unsigned seed);
void assert_bytes(const void *base, SIZE_T size, unsigned seed);

#endif
