/*
 * hostile.h - a caller that means no good, and what must be true all the same
 *
 * What the test owns, by its own list: regions (as Windows says after each success), heaps and their blocks, a view.
 * Beside them things that no call may touch: a bystander with known contents, raw heap blocks.  Calls that by contract
 * go on to Windows for any address (commits, resets, protections) are kept to the regions, an arena of raw memory, a view,
 * and addresses where Windows has nothing.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <stdint.h>

#include <hostmem/hostmem.h>

enum { PAGE = 4096, GRANULE = 65536, MIB = 1 << 20 };
enum { REGIONS = 40, HEAPS = 4, BLOCKS = 64, FREED = 32, ARENA_PAGES = 48, BYSTANDER_PAGES = 4 };
enum { SENTINEL = 0x2badf00d };

#define POISON ((void *)(uintptr_t)0xA5A5A5A5u)

struct owned {
    char *base; /* NULL: a free slot */
    uint64_t bytes;
};

struct block {
    void *memory; /* NULL: a free slot */
    unsigned heap;
    SIZE_T bytes;
};

struct hostile {
    hostmem_manager *manager;
    IHostMemoryManager *memory;
    IHostControl *control;
    IHostMalloc *heap[HEAPS];
    struct owned region[REGIONS];
    struct block block[BLOCKS];
    char *freed[FREED]; /* bases of regions that are no more */
    void *freed_block;
    char *arena, *bystander, *view, *raw_block, *crt_block;
    bool closed;
    uint64_t regions, blocks, heap_bytes;
    uint64_t foreign_committed, foreign_frees;
    uint64_t calls[HOSTMEM_METHOD_COUNT], failures[HOSTMEM_METHOD_COUNT];
    /* the call being made, for messages */
    const char *name;
    uint64_t number, argument[5];
};

extern struct hostile hostile;

#define require(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            hostile_fail(#condition, __LINE__);                                                              \
    } while (0)

void hostile_fail(const char *condition, int line);

void hostile_begin(void);

/* Gives everything back; the accounting must then be empty. */
void hostile_end(void);

/* Numbers and pools. */
uint64_t any(void);
uint64_t below(uint64_t limit);
void hostile_seed(uint64_t seed);
char *any_address(void);
SIZE_T any_size(const char *address);

/* The region that has the address; NULL: none of ours. */
struct owned *owned_at(const char *address);

/* Where a call that Windows serves for anybody does no harm: the address, or one in its place. */
char *harmless(char *address);

/* False: a 32-bit Wine 8.0 has memory there but no good answers.  Above 2 GiB it dies, raw as well, of a size that reaches
 * the end of all addresses; outside of its own areas it calls reserved what is free. */
bool may_reserve(const char *address);

/* The call of a method is about to be made; it has returned, and this was the last error. */
void calling(const char *name, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e);
void called(hostmem_method method, HRESULT result);
void require_error(HRESULT result, DWORD error);

/* Windows' word on an address; beyond user space: free. */
MEMORY_BASIC_INFORMATION windows_at(const void *address);

/* Bytes of the allocation that begins at `base`, and of them committed. */
uint64_t windows_extent(const char *base, uint64_t *committed);

/* Regions come and go. */
void adopt(void *memory);
void see_if_gone(struct owned *region);

/* All accounting against all of Windows, and the bystander byte for byte: what else is to be true at any time belongs here. */
void check_statistics(void);

/* Private memory of the process, in bytes: reserved, or committed. */
uint64_t private_bytes(void);

#endif
