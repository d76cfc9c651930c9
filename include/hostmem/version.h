/*
 * version.h - the version of these headers; hostmem_version gives the library's
 *
 * It stands here only: CMake and the resource compilers read this file too.
 */
#ifndef HOSTMEM_VERSION_H
#define HOSTMEM_VERSION_H

#define HOSTMEM_VERSION_MAJOR 0
#define HOSTMEM_VERSION_MINOR 1
#define HOSTMEM_VERSION_PATCH 0

/* 0x00MMmmpp; #if can compare it. */
#define HOSTMEM_VERSION                                                                                      \
    (HOSTMEM_VERSION_MAJOR * 0x10000u + HOSTMEM_VERSION_MINOR * 0x100u + HOSTMEM_VERSION_PATCH)

/* "0.1.0" */
#define HOSTMEM_VERSION_TEXT                                                                                 \
    HOSTMEM_VERSION_QUOTE_(HOSTMEM_VERSION_MAJOR.HOSTMEM_VERSION_MINOR.HOSTMEM_VERSION_PATCH)
#define HOSTMEM_VERSION_QUOTE_(text)  HOSTMEM_VERSION_QUOTED_(text)
#define HOSTMEM_VERSION_QUOTED_(text) #text

#endif
