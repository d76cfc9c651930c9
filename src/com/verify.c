/*
 * verify.c - hostmem_verify: looks until two agree
 */
#include "memory/verify.h"

#include "com/malloc.h"
#include "memory/os.h"

enum { LOOKS = 4 };

static void look(struct hostmem_manager *manager, hostmem_verify_report *report)
{
    struct verify verify;
    struct malloc_sums sums;
    verify_begin(&verify, &manager->vm, report);
    malloc_sum(manager, &sums);
    report->blocks = sums.blocks;
    verify.blocks = sums.blocks;
    verify.block_bytes = sums.bytes;
    verify.lost_block = (uintptr_t)sums.lost;
    verify_end(&verify);
    if (!report->disturbed)
        verify_pool(&verify, &manager->mallocs, sums.objects);
}

static bool same(const hostmem_verify_report *a, const hostmem_verify_report *b)
{
    return a->finding == b->finding && a->address == b->address && a->expected == b->expected &&
           a->found == b->found;
}

HRESULT HOSTMEM_CALL hostmem_verify(hostmem_manager *manager, hostmem_verify_report *report)
{
    hostmem_verify_report now, before;
    if (manager == NULL)
        return E_POINTER;
    if (report != NULL && report->size != sizeof *report)
        return E_INVALIDARG;
    look(manager, &now);
    bool confirmed = false;
    for (unsigned looks = 1; now.finding != HOSTMEM_FINDING_NONE && !confirmed && looks < LOOKS; looks++) {
        before = now;
        os_pause(1);
        look(manager, &now);
        confirmed = same(&now, &before);
    }
    if (now.finding != HOSTMEM_FINDING_NONE && !confirmed) {
        /* Another one each time: calls that are just being made. */
        now.finding = HOSTMEM_FINDING_NONE;
        now.address = NULL;
        now.expected = now.found = 0;
        now.disturbed = 1;
    }
    if (report != NULL)
        *report = now;
    return now.finding == HOSTMEM_FINDING_NONE ? S_OK : S_FALSE;
}
