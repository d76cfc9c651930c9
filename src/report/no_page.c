/*
 * no_page.c - in the page's place when it could not be built, for want of Node; see page.h
 */
#include "report/page.h"

const char hm_page_before[] = "", hm_page_behind[] = "";
