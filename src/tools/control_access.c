/*
 * control_access.c - see control_access.h
 */
#include "tools/control_access.h"

static bool token_read(struct control_access *access)
{
    HANDLE token;
    DWORD length;

    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token))
        return false;
    const BOOL known =
        GetTokenInformation(token, TokenUser, &access->token, sizeof access->token, &length) &&
        GetTokenInformation(token, TokenIntegrityLevel, &access->level, sizeof access->level, &length);
    const DWORD error = GetLastError();
    CloseHandle(token);
    SetLastError(error);
    return known;
}

bool control_access_make(struct control_access *access)
{
    /* In two steps: they have some in common, which the analyzer takes for a mistake in one expression. */
    DWORD rights = FILE_GENERIC_READ;
    rights |= FILE_GENERIC_WRITE;
    const DWORD kept_from = SYSTEM_MANDATORY_LABEL_NO_READ_UP | SYSTEM_MANDATORY_LABEL_NO_WRITE_UP;

    if (!token_read(access))
        return false;
    PSID user = access->token.user.User.Sid;
    /* Owner as well: an owner may change the list. */
    return InitializeAcl(&access->acl.list, sizeof access->acl, ACL_REVISION) &&
           AddAccessAllowedAce(&access->acl.list, ACL_REVISION, rights, user) &&
           InitializeAcl(&access->labels.list, sizeof access->labels, ACL_REVISION) &&
           AddMandatoryAce(&access->labels.list, ACL_REVISION, 0, kept_from, access->level.label.Label.Sid) &&
           InitializeSecurityDescriptor(&access->descriptor, SECURITY_DESCRIPTOR_REVISION) &&
           SetSecurityDescriptorOwner(&access->descriptor, user, FALSE) &&
           SetSecurityDescriptorDacl(&access->descriptor, TRUE, &access->acl.list, FALSE) &&
           SetSecurityDescriptorSacl(&access->descriptor, TRUE, &access->labels.list, FALSE);
}
