/*
 * control_access.h - who may open the pipe of --control: the user of this process, with rights no lower than its own
 *
 * The list names that user alone.  A mandatory label of the level of this process keeps out what the same user runs at a
 * lower one, such as a browser's sandbox, or anything that is not elevated where this process is: the list alone would let
 * it in, and Windows' own label is no more than medium, and does not keep from reading.
 */
#ifndef HOSTMEM_TOOLS_CONTROL_ACCESS_H
#define HOSTMEM_TOOLS_CONTROL_ACCESS_H

#include <stdbool.h>

#include <windows.h>

/* The descriptor points to the rest: not to be copied. */
struct control_access {
    union {
        TOKEN_USER user;
        char bytes[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
    } token;
    union {
        TOKEN_MANDATORY_LABEL label;
        char bytes[sizeof(TOKEN_MANDATORY_LABEL) + SECURITY_MAX_SID_SIZE];
    } level;
    union {
        ACL list;
        char bytes[sizeof(ACL) + sizeof(ACCESS_ALLOWED_ACE) + SECURITY_MAX_SID_SIZE];
    } acl;
    union {
        ACL list;
        char bytes[sizeof(ACL) + sizeof(SYSTEM_MANDATORY_LABEL_ACE) + SECURITY_MAX_SID_SIZE];
    } labels;
    SECURITY_DESCRIPTOR descriptor;
};

/* False: the last error tells why not. */
bool control_access_make(struct control_access *access);

#endif
