/*
 * part_control.c - the pipe of hostmem-run --control: this user's, and nobody else's
 *
 * Made by what hostmem-run makes it with, in this process, and asked by what hostmem-run --get and --set ask with.  That
 * somebody is refused proves something only where the same somebody opens another pipe, which differs in what is to keep
 * him out and in nothing else: a twin.
 */
#include "tools/check/check.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "tools/check/rows.h"
#include "tools/control_access.h"
#include "tools/control_client.h"
#include "tools/control_pipe.h"
#include "tools/control_server.h"

enum { ANSWER = 65536 };

static const struct row_text rows[] = {
    {"own", "this user asks a hostmem-run that is under --control, and gives it another limit"},
    {"list", "its pipe has an access list with this user alone, and the level of this process"},
    {"others", "who is not this user does not open it"},
    {"lower", "this user at a lower level does not open it"},
    {"network", "this user does not open it over the network"},
    {0},
};

static hostmem_manager *manager;

static void read_now(struct report *now)
{
    now->mode = REPORT_FRAMEWORK;
    now->program = now->runtime = L"";
    now->ending.how = "running";
    now->limits.size = sizeof now->limits;
    hostmem_get_limits(manager, &now->limits);
}

/* As a second hostmem-run asks; its standard output goes to `file`. */
static int ask(const struct options *options, HANDLE file)
{
    const HANDLE output = GetStdHandle(STD_OUTPUT_HANDLE);

    SetStdHandle(STD_OUTPUT_HANDLE, file);
    const int status = control_ask(options);
    SetStdHandle(STD_OUTPUT_HANDLE, output);
    return status;
}

static void check_own(const struct check *check)
{
    struct row row = row_begin("own");
    const struct options get = {.get = GetCurrentProcessId()},
                         set = {.set = GetCurrentProcessId(), .limit = 300 * MIB};
    hostmem_limits now = {.size = sizeof now};
    static char answer[ANSWER];
    wchar_t path[CHECK_PATH + 16];
    DWORD length = 0;

    swprintf(path, ARRAYSIZE(path), L"%ls\\answer", check->folder);
    HANDLE file = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, CREATE_ALWAYS,
                              FILE_FLAG_DELETE_ON_CLOSE, NULL);
    if (!row_expect(&row, file != INVALID_HANDLE_VALUE, "no file for the answer: error %lu",
                    GetLastError())) {
        row_end(&row, " ");
        return;
    }
    row_expect(&row, ask(&set, file) == 0, "it takes no limit");
    hostmem_get_limits(manager, &now);
    row_expect(&row, now.limit == 300 * MIB, "the limit is %.0f MiB, not 300", mebibytes(now.limit));
    row_expect(&row, ask(&get, file) == 0, "it does not answer");
    SetFilePointer(file, 0, NULL, FILE_BEGIN);
    ReadFile(file, answer, sizeof answer - 1, &length, NULL);
    CloseHandle(file);
    row_expect(&row, strstr(answer, "\"limits\": {\"limit\": 314572800, ") != NULL,
               "the answer, %lu bytes, does not tell the new limit", length);
    row_end(&row, "%lu bytes of JSON", length);
}

/* Opens a pipe, which may still be busy with the one before; 0, or the error. */
static DWORD open_pipe(const wchar_t *name, DWORD rights, HANDLE *pipe)
{
    const ULONGLONG deadline = GetTickCount64() + CONTROL_BUSY_MS;

    for (;;) {
        *pipe = CreateFileW(name, rights, 0, NULL, OPEN_EXISTING, SECURITY_SQOS_PRESENT | SECURITY_ANONYMOUS,
                            NULL);
        if (*pipe != INVALID_HANDLE_VALUE)
            return 0;
        const DWORD error = GetLastError();
        if (error != ERROR_PIPE_BUSY || GetTickCount64() >= deadline)
            return error;
        Sleep(10);
    }
}

/* Does it open?  0, or the error.  `token`: who asks; NULL: this process. */
static DWORD knock(HANDLE token, const wchar_t *name, DWORD rights)
{
    HANDLE pipe;

    if (token && !SetThreadToken(NULL, token))
        return GetLastError();
    const DWORD error = open_pipe(name, rights, &pipe);
    if (token)
        RevertToSelf();
    if (!error)
        CloseHandle(pipe);
    return error;
}

/* Whom the only entry of a list is for; NULL: it is of another type, or not the only one.  (Entries of the two types that are
 * asked for have the same layout.) */
static PSID only_entry(ACL *list, BYTE type)
{
    void *entry;

    if (!list || list->AceCount != 1 || !GetAce(list, 0, &entry))
        return NULL;
    ACCESS_ALLOWED_ACE *only = entry;
    return only->Header.AceType == type ? (PSID)&only->SidStart : NULL;
}

static bool is_sid(PSID sid, PSID other)
{
    return sid && EqualSid(sid, other);
}

/* What Windows keeps with the pipe. */
static void check_list(struct control_access *own, const wchar_t *name)
{
    struct row row = row_begin("list");
    const SECURITY_INFORMATION wanted =
        OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION | LABEL_SECURITY_INFORMATION;
    union {
        SECURITY_DESCRIPTOR descriptor;
        char bytes[2048];
    } kept;
    BOOL present, by_default;
    PSID owner = NULL;
    ACL *list = NULL, *labels = NULL;
    HANDLE pipe;
    DWORD length;

    DWORD error = open_pipe(name, GENERIC_READ, &pipe);
    if (!error) {
        error = GetKernelObjectSecurity(pipe, wanted, &kept.descriptor, sizeof kept, &length)
                    ? 0
                    : GetLastError();
        CloseHandle(pipe);
    }
    if (row_expect(&row, error == 0, "it cannot be read: error %lu", error)) {
        PSID user = own->token.user.User.Sid, level = own->level.label.Label.Sid;
        GetSecurityDescriptorOwner(&kept.descriptor, &owner, &by_default);
        GetSecurityDescriptorDacl(&kept.descriptor, &present, &list, &by_default);
        GetSecurityDescriptorSacl(&kept.descriptor, &present, &labels, &by_default);
        row_expect(&row, is_sid(owner, user), "it is owned by somebody else");
        row_expect(&row, list, "there is none");
        row_expect(&row, is_sid(only_entry(list, ACCESS_ALLOWED_ACE_TYPE), user),
                   "of its %u entries one is not for this user", list ? list->AceCount : 0);
        row_expect(&row, is_sid(only_entry(labels, SYSTEM_MANDATORY_LABEL_ACE_TYPE), level),
                   "its level is another");
    }
    row_end(&row, "as Windows keeps it");
}

static HANDLE twin_make(wchar_t name[CONTROL_NAME], DWORD mode, SECURITY_DESCRIPTOR *descriptor)
{
    SECURITY_ATTRIBUTES security = {.nLength = sizeof security, .lpSecurityDescriptor = descriptor};

    swprintf(name, CONTROL_NAME, L"\\\\.\\pipe\\hostmem-check-%lu", GetCurrentProcessId());
    return CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX | FILE_FLAG_FIRST_PIPE_INSTANCE, PIPE_TYPE_BYTE | mode,
                            1, 512, 512, 0, &security);
}

/* With `token` a pipe without a list opens, to which Windows gives no label above medium, and none that keeps from reading;
 * that of --control does not. */
static void check_refused(const char *id, HANDLE token, const wchar_t *name, DWORD rights)
{
    struct row row = row_begin(id);
    SECURITY_DESCRIPTOR everybody;
    wchar_t twin_name[CONTROL_NAME];

    InitializeSecurityDescriptor(&everybody, SECURITY_DESCRIPTOR_REVISION);
    SetSecurityDescriptorDacl(&everybody, TRUE, NULL, FALSE);
    HANDLE twin = twin_make(twin_name, PIPE_REJECT_REMOTE_CLIENTS, &everybody);
    if (twin == INVALID_HANDLE_VALUE) {
        row_skip(id, "there is no pipe to compare with: error %lu", GetLastError());
        return;
    }
    const DWORD other = knock(token, twin_name, rights), error = knock(token, name, rights);
    CloseHandle(twin);
    if (other)
        row_skip(id, "such a token opens no pipe at all: error %lu", other);
    else if (!error && wine_version())
        row_skip(id, "Wine opens a pipe to everybody, whatever its list and its label say");
    else {
        row_expect(&row, error == ERROR_ACCESS_DENIED, error ? "error %lu" : "it opens", error);
        row_end(&row, "error %lu, where a pipe for everybody opens", error);
    }
}

/* For a thread; NULL: the last error tells why not. */
static HANDLE token_copy(HANDLE token)
{
    HANDLE copy;

    return DuplicateTokenEx(token, TOKEN_QUERY | TOKEN_IMPERSONATE | TOKEN_ADJUST_DEFAULT, NULL,
                            SecurityImpersonation, TokenImpersonation, &copy)
               ? copy
               : NULL;
}

/*
 * Somebody else: a token as this user's, in which the user counts for what is denied only.  What is allowed to groups and to
 * everybody is so to it, and the way to a pipe is open.  (The anonymous logon is somebody else, too, but finds no way to most
 * pipes, whatever their lists say.)
 */
static void check_others(HANDLE own, PSID user, const wchar_t *name)
{
    SID_AND_ATTRIBUTES disabled = {.Sid = user};
    HANDLE restricted, token = NULL;

    if (CreateRestrictedToken(own, DISABLE_MAX_PRIVILEGE, 1, &disabled, 0, NULL, 0, NULL, &restricted)) {
        token = token_copy(restricted);
        CloseHandle(restricted);
    }
    if (!token) {
        row_skip("others", "there is no such token: error %lu", GetLastError());
        return;
    }
    check_refused("others", token, name, GENERIC_READ | GENERIC_WRITE);
    CloseHandle(token);
}

/* This user, as in a sandbox.  To read, from which Windows' own label would not keep. */
static void check_lower(HANDLE own, const struct control_access *access, const wchar_t *name)
{
    SID low = {.Revision = SID_REVISION,
               .SubAuthorityCount = 1,
               .IdentifierAuthority = {SECURITY_MANDATORY_LABEL_AUTHORITY},
               .SubAuthority = {SECURITY_MANDATORY_LOW_RID}};
    TOKEN_MANDATORY_LABEL label = {.Label = {.Sid = &low, .Attributes = SE_GROUP_INTEGRITY}};
    DWORD policy = 0, length;

    if (*GetSidSubAuthority(access->level.label.Label.Sid, 0) <= SECURITY_MANDATORY_LOW_RID) {
        row_skip("lower", "this process has the lowest level itself");
        return;
    }
    if (GetTokenInformation(own, TokenMandatoryPolicy, &policy, sizeof policy, &length) &&
        !(policy & TOKEN_MANDATORY_POLICY_NO_WRITE_UP)) {
        row_skip("lower", "levels mean nothing on this machine");
        return;
    }
    HANDLE token = token_copy(own);
    if (!token || !SetTokenInformation(token, TokenIntegrityLevel, &label, sizeof label))
        row_skip("lower", "there is no such token: error %lu", GetLastError());
    else
        check_refused("lower", token, name, GENERIC_READ);
    if (token)
        CloseHandle(token);
}

/* From this machine to itself: a twin that turns nobody away for where he comes from opens, if there is such a way. */
static void check_network(struct control_access *access, const wchar_t *name)
{
    struct row row = row_begin("network");
    wchar_t twin_name[CONTROL_NAME], way[2 * CONTROL_NAME], computer[64];
    const size_t prefix = wcslen(L"\\\\.");
    HANDLE twin = twin_make(twin_name, 0, &access->descriptor);
    HANDLE end = INVALID_HANDLE_VALUE;

    swprintf(way, ARRAYSIZE(way), L"\\\\127.0.0.1%ls", twin_name + prefix);
    const DWORD other = twin != INVALID_HANDLE_VALUE ? open_pipe(way, GENERIC_READ, &end) : GetLastError();
    const bool local = !other && !GetNamedPipeClientComputerNameW(twin, computer, sizeof computer) &&
                       GetLastError() == ERROR_PIPE_LOCAL;
    if (!other)
        CloseHandle(end);
    if (twin != INVALID_HANDLE_VALUE)
        CloseHandle(twin);
    if (other || local) {
        row_skip("network", "there is no way from this machine to itself: error %lu",
                 other ? other : ERROR_PIPE_LOCAL);
        return;
    }
    swprintf(way, ARRAYSIZE(way), L"\\\\127.0.0.1%ls", name + prefix);
    const DWORD error = knock(NULL, way, GENERIC_READ);
    row_expect(&row, error != 0, "it opens");
    row_end(&row, "error %lu, where a pipe that does not look opens", error);
}

static void run(const struct check *check)
{
    const hostmem_limits none = {.size = sizeof none, .limit = HOSTMEM_UNLIMITED};
    static struct control_access access;
    wchar_t name[CONTROL_NAME];
    HANDLE own;

    if (hostmem_create(NULL, &manager) != S_OK || !control_start(manager, &none, read_now) ||
        !control_access_make(&access) ||
        !OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY | TOKEN_DUPLICATE, &own)) {
        row_fail(ROW_THE_REST, "the pipe cannot be made: error %lu", GetLastError());
        return;
    }
    control_pipe_name(name, GetCurrentProcessId());
    check_own(check);
    check_list(&access, name);
    check_others(own, access.token.user.User.Sid, name);
    check_lower(own, &access, name);
    check_network(&access, name);
    CloseHandle(own);
}

const struct part part_control = {"control", "The pipe of hostmem-run --control", run, rows, 0};
