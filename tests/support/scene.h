/*
 * scene.h - a manager in the middle of its life, made anew for each failure that is tried on it
 *
 * Over fake_os and fake_pages.  Nothing but what an operation needs is there, so that the operation needs memory for
 * the accounting as often as it can.
 */
#ifndef TESTS_SUPPORT_SCENE_H
#define TESTS_SUPPORT_SCENE_H

#include "support/manager_fixture.h"

enum { SCENE_SMALL = 40, SCENE_MIDDLE = 1000, SCENE_BIG = 40000, SCENE_COMMITTED = 4 }; /* pages */

struct scene {
    struct fixture f;
    hostmem_budget *budget;
    char *region; /* its pages 2..5 are committed, if there is one */
    char *twins[2];
    SIZE_T pages;
    char *foreign; /* reserved by somebody else */
    char *view, *old_view;
    IHostMalloc *heap, *second_heap;
    void *block;
    void *made; /* what the operation returned, and it or the scene's end gives back */
    hostmem_manager *second;
    IHostControl *control;
    hostmem_budget *second_budget;
    ICLRMemoryNotificationCallback *callback;
};

/* What is there when the operation begins; any of them together. */
enum {
    WITH_SMALL = 1,
    WITH_MIDDLE = 2,
    WITH_BIG = 4,
    WITH_FOREIGN = 8,
    WITH_VIEW = 16,     /* mapped and reported */
    WITH_NEW_VIEW = 32, /* mapped, to be reported */
    WITH_OLD_VIEW = 64, /* unmapped, and not reported so yet */
    WITH_HEAP = 128,
    WITH_BLOCK = 256,
    WITH_NO_PAGE = 512, /* nothing is committed in the region */
    WITH_TWINS =
        1024 /* two more regions like a big one, which take all bits but one that there is memory for */
};

void scene_make(struct scene *scene, unsigned with);

/* Nothing fails any more; all is given back, and nothing is left of the manager. */
void scene_end(struct scene *scene);

/* What an operation must leave as it was when it fails. */
struct scene_figures {
    uint64_t reserved, committed, mapped, view_committed, heap, charged, regions, views, blocks;
    uint64_t outstanding; /* regions of Windows */
};
struct scene_figures scene_figures(struct scene *scene);
void assert_figures(const char *what, const struct scene_figures *now, const struct scene_figures *expected);

#endif
