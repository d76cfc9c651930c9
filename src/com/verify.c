/*
 * verify.c - hostmem_verify: a difference counts if it stays
 */
#include "com/malloc.h"
#include "memory/os.h"

/* Before each further look, in milliseconds: a call that is being made has long gone on by then. */
static const DWORD pauses[] = {1, 20, 400};

/* Returns how many calls had ended before. */
static uint64_t look(struct hostmem_manager *manager, hostmem_verify_report *report)
{
    const uint64_t calls = hm_verify_calls_ended(&manager->vm);
    struct block_sums blocks;
    hm_malloc_sum(manager, &blocks);
    hm_verify_look(&manager->vm, &blocks, calls, report);
    return calls;
}

static bool same(const hostmem_verify_report *a, const hostmem_verify_report *b)
{
    return a->finding == b->finding && a->address == b->address && a->expected == b->expected &&
           a->found == b->found;
}

/* A region is held while it is judged; all else may look the same twice and be two calls' doing. */
static bool is_of_a_region(uint32_t finding)
{
    return finding == HOSTMEM_FINDING_RECORD || finding == HOSTMEM_FINDING_ENTRY ||
           finding == HOSTMEM_FINDING_GONE || finding == HOSTMEM_FINDING_PAGE ||
           finding == HOSTMEM_FINDING_BITS || finding == HOSTMEM_FINDING_COMMITTED;
}

HRESULT HOSTMEM_CALL hostmem_verify(hostmem_manager *manager, hostmem_verify_report *report)
{
    hostmem_verify_report now, before;
    if (manager == NULL)
        return E_POINTER;
    if (report != NULL && report->size != sizeof *report)
        return E_INVALIDARG;
    manager_add_reference(manager); /* leaked_block may be called in here, and give back the caller's */
    uint64_t calls = look(manager, &now);
    bool stays = now.finding != HOSTMEM_FINDING_NONE;
    for (unsigned i = 0; i < sizeof pauses / sizeof pauses[0] && stays; i++) {
        before = now;
        hm_os_pause(pauses[i]);
        bool quiet = look(manager, &now) == calls;
        stays = same(&now, &before) && (quiet || is_of_a_region(now.finding));
    }
    if (!stays && now.finding != HOSTMEM_FINDING_NONE) {
        now.finding = HOSTMEM_FINDING_NONE;
        now.address = NULL;
        now.expected = now.found = 0;
        now.disturbed = 1;
    }
    if (report != NULL)
        *report = now;
    hm_manager_release(manager);
    return stays ? S_FALSE : S_OK;
}
