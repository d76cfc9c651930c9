/* The host makes its manager, and the stand-in takes it; see the header. */
#include "support/standin_fixture.h"
#include "support/verified.h"

hostmem_manager *manager;
struct standin_clr clr;

hostmem_statistics statistics(void)
{
    hostmem_statistics statistics = {.size = sizeof statistics};
    assert_int_equal(hostmem_get_statistics(manager, &statistics), S_OK);
    return statistics;
}

uint64_t committed(void)
{
    return statistics().committed.now;
}

int begin(void **state)
{
    (void)state;
    IHostControl *control;
    standin_init(&clr);
    assert_int_equal(hostmem_create(NULL, &manager), S_OK);
    assert_int_equal(hostmem_create_host_control(manager, NULL, &control), S_OK);
    assert_int_equal(standin_set_host_control(&clr, control), S_OK);
    assert_int_equal(IHostControl_Release(control), 1); /* the CLR's */
    assert_non_null(clr.memory);
    assert_non_null(clr.heap);
    return 0;
}

int begin_started(void **state)
{
    begin(state);
    standin_start(&clr);
    return 0;
}

int end(void **state)
{
    (void)state;
    assert_int_equal(atomic_load(&clr.faults), 0);
    assert_int_equal(statistics().reserved.now, 0);
    assert_int_equal(statistics().heap.now, 0);
    if (clr.control != NULL)
        standin_stop(&clr);
    assert_true(verified(manager));
    hostmem_release(manager);
    return 0;
}

void *alloc(void *address, SIZE_T size, DWORD type, DWORD protect)
{
    return standin_virtual_alloc(&clr, OUTSIDE_LOCKS, address, size, type, protect);
}

void release(void *base)
{
    assert_true(standin_virtual_free(&clr, base, 0, MEM_RELEASE));
}
