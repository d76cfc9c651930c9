/*
 * process_map.h - every region of this process, by what it is for
 *
 * VirtualQuery says where regions are and whether they are private, mapped or image. What a private region is
 * for must be asked elsewhere: of the manager, of each thread's TEB, of each heap. What nobody claims is
 * listed one by one.
 */
#ifndef HOSTMEM_TOOLS_PROCESS_MAP_H
#define HOSTMEM_TOOLS_PROCESS_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include <windows.h>

enum process_kind {
    PROCESS_OWNED, /* under the manager */
    PROCESS_STACK,
    PROCESS_HEAP,
    PROCESS_ENVIRONMENT, /* of the process and its threads: PEB, TEBs, and what they point to */
    PROCESS_METADATA,    /* the manager's own pages */
    PROCESS_REPORT,      /* taken for this report */
    PROCESS_OTHER,
    PROCESS_OUTSIDE, /* 32-bit Wine's own side, which it shows as reserved */
    PROCESS_MAPPED,
    PROCESS_IMAGE,
    PROCESS_KIND_COUNT
};

struct process_row {
    uint64_t regions;
    uint64_t reserved; /* all of their address space, committed or not */
    uint64_t committed;
};

struct process_other {
    uintptr_t base;
    uint64_t reserved, committed;
    DWORD protect;      /* of the reservation */
    wchar_t module[64]; /* file name of a module whose data points to it, or empty */
    bool exact;         /* to its very start */
};

enum { PROCESS_OTHERS_MAX = 256 };

struct process_map {
    struct process_row rows[PROCESS_KIND_COUNT];
    struct process_other others[PROCESS_OTHERS_MAX]; /* the first ones of rows[PROCESS_OTHER] */
    bool heaps_walked; /* false: heaps were locked, so some of "other" is heap */
    bool complete;     /* false: the tables were too small */
};

/*
 * To be called early: has a thread ready that walks the heaps, so that a heap whose lock is stuck costs a timeout
 * and not the report. `is_owned` tells whether a private region is under the manager.
 */
void process_map_prepare(bool (*is_owned)(const void *base));

/* Names the region that holds `address`, before process_map_read, which finds by itself where PROCESS_METADATA goes on. */
void process_map_claim(const void *address, enum process_kind kind);

/*
 * Reads the map. `threads_are_gone`: no thread but this one is left (process exit), so nothing can be handed to
 * another, and a heap whose lock died with its owner ends the process here: what matters more is to be done before.
 */
void process_map_read(struct process_map *map, bool threads_are_gone);

#endif
