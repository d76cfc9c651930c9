/*
 * own_pages.h - which pages does the manager have for its own books?
 *
 * Nobody else has to know, so the library does not tell; but a report on the whole process has to name them.
 * This program is linked with --wrap=hm_pages_reserve and --wrap=hm_pages_release: the library's calls of
 * maps/pages.h pass through here.
 */
#ifndef HOSTMEM_TOOLS_OWN_PAGES_H
#define HOSTMEM_TOOLS_OWN_PAGES_H

/* Calls `visit` for each reservation that is not released. Takes no lock. */
void own_pages_walk(void (*visit)(const void *base));

#endif
