/*
 * page.h - the page as the build made it, in two parts: the data belongs between them
 */
#ifndef HOSTMEM_REPORT_PAGE_H
#define HOSTMEM_REPORT_PAGE_H

extern const char hm_page_before[], hm_page_behind[]; /* "": built without */

#endif
