/*
 * Rows of hostmem-check about the pipe of --control that only Windows itself can make ok or FAILED: what they say of each
 * thing that Windows may do.  Who opens which pipe, as whom, is answered here; pipes and tokens are real.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <windows.h>

/* What Windows answers; 0: the pipe opens. */
static struct {
    DWORD twin, pipe;
    bool wine, local;
} answers;

/* What it was asked for. */
static struct {
    bool as_other; /* now */
    unsigned twins, pipes, as_others;
    DWORD rights;
    const wchar_t *way;
    DWORD restricted, level;
    PSID disabled;
} asked;

const char *wine_version(void)
{
    return answers.wine ? "8.0" : NULL;
}

static HANDLE open_file(const wchar_t *name, DWORD rights, DWORD share, SECURITY_ATTRIBUTES *security,
                        DWORD creation, DWORD flags, HANDLE template)
{
    const bool twin = wcsstr(name, L"\\pipe\\hostmem-check-") != NULL;
    const DWORD answer = twin ? answers.twin : answers.pipe;

    assert_true(twin || wcsstr(name, L"\\pipe\\hostmem-run-"));
    assert_true(flags & SECURITY_SQOS_PRESENT);
    asked.twins += twin;
    asked.pipes += !twin;
    asked.as_others += asked.as_other;
    asked.rights = rights;
    asked.way = wcsncmp(name, L"\\\\127.0.0.1\\", 12) == 0 ? L"network" : L"here";
    if (!answer)
        return CreateFileW(L"NUL", GENERIC_READ, share, security, creation, 0, template);
    SetLastError(answer);
    return INVALID_HANDLE_VALUE;
}

static BOOL take_on(HANDLE *thread, HANDLE token)
{
    assert_null(thread);
    assert_non_null(token);
    asked.as_other = true;
    return TRUE;
}

static BOOL come_back(void)
{
    asked.as_other = false;
    return TRUE;
}

static BOOL make_restricted(HANDLE token, DWORD flags, DWORD count, SID_AND_ATTRIBUTES *disabled,
                            DWORD deleted, LUID_AND_ATTRIBUTES *privileges, DWORD restricting,
                            SID_AND_ATTRIBUTES *sids, HANDLE *made)
{
    assert_int_equal(count, 1);
    assert_int_equal(deleted + restricting, 0);
    asked.restricted = flags;
    asked.disabled = disabled->Sid;
    return CreateRestrictedToken(token, flags, count, disabled, deleted, privileges, restricting, sids, made);
}

static BOOL set_token(HANDLE token, TOKEN_INFORMATION_CLASS what, void *value, DWORD size)
{
    (void)token, (void)size;
    assert_int_equal(what, TokenIntegrityLevel);
    asked.level = *GetSidSubAuthority(((TOKEN_MANDATORY_LABEL *)value)->Label.Sid, 0);
    return TRUE;
}

static BOOL client_computer(HANDLE pipe, wchar_t *name, ULONG size)
{
    (void)pipe, (void)size;
    *name = 0;
    SetLastError(ERROR_PIPE_LOCAL);
    return !answers.local;
}

#define CreateFileW                     open_file
#define SetThreadToken                  take_on
#define RevertToSelf                    come_back
#define CreateRestrictedToken           make_restricted
#define SetTokenInformation             set_token
#define GetNamedPipeClientComputerNameW client_computer
#include "tools/check/part_control.c"
#undef CreateFileW

/* Not called here. */
void complain(const wchar_t *format, ...)
{
    (void)format;
}

static struct control_access access;
static wchar_t name[CONTROL_NAME];
static HANDLE own;

static void others(void)
{
    check_others(own, access.token.user.User.Sid, name);
}

static void lower(void)
{
    check_lower(own, &access, name);
}

static void network(void)
{
    check_network(&access, name);
}

/* The row that `check` tells when Windows answers so. */
static enum verdict told(void (*check)(void), const char *id, DWORD twin, DWORD pipe, bool wine, bool local)
{
    const HANDLE output = GetStdHandle(STD_OUTPUT_HANDLE);
    char line[ROW_TEXT + 100] = "";
    const size_t length = strlen(id);
    HANDLE in, out;
    DWORD read;

    memset(&asked, 0, sizeof asked);
    answers.twin = twin;
    answers.pipe = pipe;
    answers.wine = wine;
    answers.local = local;
    assert_true(CreatePipe(&in, &out, NULL, 4096));
    SetStdHandle(STD_OUTPUT_HANDLE, out);
    check();
    SetStdHandle(STD_OUTPUT_HANDLE, output);
    CloseHandle(out);
    assert_true(ReadFile(in, line, sizeof line - 1, &read, NULL));
    CloseHandle(in);
    assert_false(asked.as_other);
    assert_memory_equal(line, id, length);
    assert_int_equal(line[length], '\t');
    return (enum verdict)line[length + 1];
}

/* By a token that is not this process's. */
static void refused_by_token(void (*check)(void), const char *id)
{
    assert_int_equal(told(check, id, 0, ERROR_ACCESS_DENIED, false, false), ROW_OK);
    assert_int_equal(asked.twins, 1);
    assert_int_equal(asked.pipes, 1);
    assert_int_equal(asked.as_others, 2);
    assert_int_equal(told(check, id, 0, 0, false, false), ROW_FAILED);
    assert_int_equal(told(check, id, 0, 0, true, false), ROW_SKIPPED);
    /* It was not the list that refused. */
    assert_int_equal(told(check, id, 0, ERROR_FILE_NOT_FOUND, false, false), ROW_FAILED);
    /* Refused everywhere: nothing is proved. */
    assert_int_equal(told(check, id, ERROR_ACCESS_DENIED, ERROR_ACCESS_DENIED, false, false), ROW_SKIPPED);
}

static void test_others(void **state)
{
    (void)state;
    refused_by_token(others, "others");
    assert_int_equal(asked.restricted, DISABLE_MAX_PRIVILEGE);
    assert_ptr_equal(asked.disabled, access.token.user.User.Sid);
    assert_int_equal(asked.rights, GENERIC_READ | GENERIC_WRITE);
}

static void test_lower(void **state)
{
    (void)state;
    refused_by_token(lower, "lower");
    assert_int_equal(asked.level, SECURITY_MANDATORY_LOW_RID);
    assert_int_equal(asked.rights, GENERIC_READ);

    /* Nothing is lower than what this process has. */
    DWORD *level = GetSidSubAuthority(access.level.label.Label.Sid, 0), before = *level;
    *level = SECURITY_MANDATORY_LOW_RID;
    assert_int_equal(told(lower, "lower", 0, 0, false, false), ROW_SKIPPED);
    assert_int_equal(asked.pipes, 0);
    *level = before;
}

static void test_network(void **state)
{
    (void)state;
    assert_int_equal(told(network, "network", 0, ERROR_ACCESS_DENIED, false, false), ROW_OK);
    assert_int_equal(asked.twins, 1);
    assert_int_equal(asked.pipes, 1);
    assert_int_equal(asked.as_others, 0);
    assert_true(wcscmp(asked.way, L"network") == 0);
    assert_int_equal(told(network, "network", 0, 0, false, false), ROW_FAILED);
    assert_int_equal(told(network, "network", ERROR_BAD_NETPATH, 0, false, false), ROW_SKIPPED);
    /* What comes by a short cut is no client on another machine. */
    assert_int_equal(told(network, "network", 0, 0, false, true), ROW_SKIPPED);
    assert_int_equal(asked.pipes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_lower),
        cmocka_unit_test(test_network),
    };

    control_pipe_name(name, GetCurrentProcessId());
    if (!control_access_make(&access) ||
        !OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY | TOKEN_DUPLICATE, &own))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
