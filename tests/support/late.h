/*
 * late.h - a call that is stopped in the middle
 *
 * Hooks stand between the library and Windows, before hm_region_map_erase, _purge and _missing, and about
 * hm_region_map_publish: linked in by --wrap (tests/CMakeLists.txt). A late call runs on a thread of its own and stops
 * where the test says; one that never comes there fails the test. The test's own thread plays everybody else, so each
 * order of events is a certain one.
 */
#ifndef TESTS_SUPPORT_LATE_H
#define TESTS_SUPPORT_LATE_H

#include "support/manager_fixture.h"

#include <stdatomic.h>

enum late_point {
    NOWHERE,
    BEFORE_ALLOC,
    AFTER_ALLOC,
    BEFORE_FREE,
    AFTER_FREE,
    AFTER_QUERY,
    BEFORE_ERASE, /* nobody can enter the region any more; its entries are there still */
    BEFORE_PURGE, /* entries of another region have been found where this one comes */
    BEFORE_PUBLISH,
    AFTER_PUBLISH, /* the entries are there */
    REOPENED       /* after a refused release; whether the entries are still there is not known yet */
};

enum late_method { ALLOC, FREE, RELEASED };

struct late {
    enum late_method method;
    char *address;
    SIZE_T size;
    DWORD type;
    enum late_point stop;
    DWORD refusal; /* Windows' error for its VirtualFree; 0: Windows is asked */
    /* late.c's */
    IHostMemoryManager *memory;
    unsigned passes; /* that many times it does not stop yet */
    HRESULT result;
    HANDLE thread, stopped, go;
};

/* Start it; it has stopped on return. */
void late_begin(struct fixture *f, struct late *late);

/* Go on, and stop when it has come past `stop` that many times without stopping. */
void late_go_to(struct late *late, enum late_point stop, unsigned passes);

/* Go on to the end; what the call returned. */
HRESULT late_end(struct late *late);

extern atomic_uint late_queries; /* calls of VirtualQuery, anybody's */
extern atomic_bool late_slow;    /* every point takes everybody a millisecond */
extern DWORD late_protect_error; /* of every VirtualProtect; 0: Windows is asked */

#endif
