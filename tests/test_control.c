/*
 * The pipe of --control: whose it is, and what becomes of those who mean no good.
 *
 * What Windows is asked for is looked at where it is asked: Wine may not keep to an access list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <windows.h>

static struct {
    DWORD open, mode, instances;
    SECURITY_DESCRIPTOR *descriptor;
} made;

static HANDLE make_named_pipe(LPCWSTR name, DWORD open, DWORD mode, DWORD instances, DWORD out, DWORD in,
                              DWORD time, SECURITY_ATTRIBUTES *security)
{
    made.open = open;
    made.mode = mode;
    made.instances = instances;
    made.descriptor = security ? security->lpSecurityDescriptor : NULL;
    return CreateNamedPipeW(name, open, mode, instances, out, in, time, security);
}

#define CreateNamedPipeW make_named_pipe
#include "tools/control_server.c"
#undef CreateNamedPipeW
#include "tools/control_client.h"
#include "tools/run_hostfxr.h"

enum { MIB = 1 << 20, REGIONS = 20000 };

static wchar_t name[CONTROL_NAME];
static hostmem_manager *manager;
static bool big; /* the report is */

static void read_now(struct report *now)
{
    now->mode = REPORT_FRAMEWORK;
    now->program = now->runtime = L"";
    now->ending.how = "running";
    now->limits.size = sizeof now->limits;
    hostmem_get_limits(manager, &now->limits);
    if (big) {
        now->accounting.regions =
            VirtualAlloc(NULL, REGIONS * sizeof(hostmem_region), MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
        now->accounting.region_count = now->accounting.regions ? REGIONS : 0;
    }
}

static HANDLE open_pipe(void)
{
    const ULONGLONG deadline = GetTickCount64() + 60000;
    HANDLE pipe;

    while ((pipe = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL)) ==
           INVALID_HANDLE_VALUE) {
        assert_int_equal(GetLastError(), ERROR_PIPE_BUSY);
        assert_true(GetTickCount64() < deadline);
        WaitNamedPipeW(name, 100);
    }
    return pipe;
}

static void send_bytes(HANDLE pipe, const void *bytes, size_t length)
{
    DWORD done;

    assert_true(WriteFile(pipe, bytes, (DWORD)length, &done, NULL));
    assert_int_equal(done, length);
}

/* The beginning of what comes, and how much it is in all; the end has been seen. */
static size_t take_answer(HANDLE pipe, char *answer, size_t size)
{
    size_t length = 0;
    bool end = false;
    char bytes[4096];
    DWORD count;

    memset(answer, 0, size);
    while (!end && ReadFile(pipe, bytes, sizeof bytes, &count, NULL))
        for (DWORD i = 0; i < count; i++, length++) {
            end = bytes[i] == 0;
            if (length < size - 1)
                answer[length] = bytes[i];
        }
    CloseHandle(pipe);
    assert_true(end);
    return length;
}

static size_t ask(const void *line, size_t length, char *answer, size_t size)
{
    HANDLE pipe = open_pipe();

    send_bytes(pipe, line, length);
    return take_answer(pipe, answer, size);
}

/* The answer begins so. */
static void asked(const char *line, const char *beginning)
{
    char answer[256];

    ask(line, strlen(line), answer, sizeof answer);
    if (strncmp(answer, beginning, strlen(beginning)) != 0)
        fail_msg("%s: '%s', not '%s'", line, answer, beginning);
}

static hostmem_limits limits_now(void)
{
    hostmem_limits limits = {.size = sizeof limits};

    assert_int_equal(hostmem_get_limits(manager, &limits), S_OK);
    return limits;
}

struct bad {
    HANDLE pipe;
    const char *answer;
    DWORD length;
};

/* Before there is a server.  (With room for another instance the name would be refused by the flag that asks for the first
 * one, which Wine does not know.) */
static void test_taken_name(void **state)
{
    const hostmem_limits none = {.size = sizeof none, .limit = HOSTMEM_UNLIMITED};
    HANDLE other = CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX, PIPE_TYPE_BYTE, 1, 512, 512, 0, NULL);

    (void)state;
    assert_ptr_not_equal(other, INVALID_HANDLE_VALUE);
    assert_false(control_start(manager, &none, read_now));
    CloseHandle(other);
}

/* Answers one asker as the context says, and hangs up. */
static DWORD WINAPI answer_badly(void *context)
{
    const struct bad *bad = context;
    char line[CONTROL_LINE];
    DWORD done;

    if (!ConnectNamedPipe(bad->pipe, NULL) && GetLastError() != ERROR_PIPE_CONNECTED)
        return 1;
    ReadFile(bad->pipe, line, sizeof line, &done, NULL);
    WriteFile(bad->pipe, bad->answer, bad->length, &done, NULL);
    FlushFileBuffers(bad->pipe);
    DisconnectNamedPipe(bad->pipe);
    return 0;
}

/* Before there is a server: an answer that is none, or breaks off, is no success. */
static void test_bad_answers(void **state)
{
    static const struct {
        const char *answer;
        DWORD length;
        int status;
    } rows[] = {{"ok\n", 3, STATUS_FAILED},
                {"ok\n{}", 5, STATUS_FAILED},
                {"", 0, STATUS_FAILED},
                {"", 1, STATUS_FAILED},
                {"garbage", 8, STATUS_FAILED},
                {"ok", 3, STATUS_FAILED},
                {"error \x1b[2J", 11, STATUS_FAILED},
                {"ok\n", 4, 0}};
    const struct options options = {.get = GetCurrentProcessId()};
    struct bad bad = {.pipe =
                          CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX, PIPE_TYPE_BYTE, 1, 512, 512, 0, NULL)};

    (void)state;
    assert_ptr_not_equal(bad.pipe, INVALID_HANDLE_VALUE);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        bad.answer = rows[i].answer;
        bad.length = rows[i].length;
        HANDLE thread = CreateThread(NULL, 0, answer_badly, &bad, 0, NULL);
        assert_int_equal(control_ask(&options), rows[i].status);
        assert_int_equal(WaitForSingleObject(thread, 60000), WAIT_OBJECT_0);
        CloseHandle(thread);
    }
    CloseHandle(bad.pipe);
}

/* A pipe of that name which is not that process's is told nothing. */
static void test_impostor(void **state)
{
    const struct options options = {.set = GetCurrentProcessId() + 2, .limit = MIB};
    wchar_t other_name[CONTROL_NAME];
    char byte;
    DWORD done;

    (void)state;
    control_pipe_name(other_name, GetCurrentProcessId() + 2);
    HANDLE pipe = CreateNamedPipeW(other_name, PIPE_ACCESS_DUPLEX, PIPE_TYPE_BYTE, 1, 512, 512, 0, NULL);
    assert_ptr_not_equal(pipe, INVALID_HANDLE_VALUE);
    assert_int_equal(control_ask(&options), STATUS_FAILED);
    assert_false(ReadFile(pipe, &byte, 1, &done, NULL));
    CloseHandle(pipe);
}

static void start(void)
{
    const hostmem_limits limits = {
        .size = sizeof limits, .limit = 100 * MIB, .margin = 16 * MIB, .heap_limit = 90 * MIB};

    assert_int_equal(hostmem_set_limits(manager, &limits), S_OK);
    assert_true(control_start(manager, &limits, read_now));
}

/* Of this process: TokenUser, TokenIntegrityLevel. */
static void token_read(TOKEN_INFORMATION_CLASS what, void *bytes, DWORD size)
{
    DWORD length;
    HANDLE token;

    assert_true(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token));
    assert_true(GetTokenInformation(token, what, bytes, size, &length));
    CloseHandle(token);
}

/* The one entry of a list, which is there (an absent one lets in everybody), and of this type. */
static const void *only_entry(ACL *list, BYTE type)
{
    void *entry;

    assert_non_null(list);
    assert_true(IsValidAcl(list));
    assert_int_equal(list->AceCount, 1);
    assert_true(GetAce(list, 0, &entry));
    const ACE_HEADER *header = entry;
    assert_int_equal(header->AceType, type);
    assert_int_equal(header->AceFlags, 0);
    return entry;
}

static void test_own_user_alone(void **state)
{
    char bytes[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
    const TOKEN_USER *user = (const TOKEN_USER *)bytes;
    BOOL present, by_default;
    PSID owner;
    ACL *list;

    (void)state;
    start();
    token_read(TokenUser, bytes, sizeof bytes);
    assert_non_null(made.descriptor);
    assert_true(IsValidSecurityDescriptor(made.descriptor));
    assert_true(GetSecurityDescriptorOwner(made.descriptor, &owner, &by_default));
    assert_true(owner && EqualSid(owner, user->User.Sid));
    assert_true(GetSecurityDescriptorDacl(made.descriptor, &present, &list, &by_default));
    assert_true(present);
    const ACCESS_ALLOWED_ACE *allowed = only_entry(list, ACCESS_ALLOWED_ACE_TYPE);
    assert_true(EqualSid((PSID)&allowed->SidStart, user->User.Sid));
    assert_int_equal(allowed->Mask & (WRITE_DAC | WRITE_OWNER), 0);

    assert_true(made.open & FILE_FLAG_FIRST_PIPE_INSTANCE);
    assert_true(made.mode & PIPE_REJECT_REMOTE_CLIENTS);
    assert_int_equal(made.instances, 1);
}

/* What the same user runs at a lower level neither writes nor reads. */
static void test_own_level(void **state)
{
    char bytes[sizeof(TOKEN_MANDATORY_LABEL) + SECURITY_MAX_SID_SIZE];
    const TOKEN_MANDATORY_LABEL *own = (const TOKEN_MANDATORY_LABEL *)bytes;
    BOOL present, by_default;
    ACL *list;

    (void)state;
    token_read(TokenIntegrityLevel, bytes, sizeof bytes);
    assert_true(GetSecurityDescriptorSacl(made.descriptor, &present, &list, &by_default));
    assert_true(present);
    const SYSTEM_MANDATORY_LABEL_ACE *label = only_entry(list, SYSTEM_MANDATORY_LABEL_ACE_TYPE);
    assert_true(EqualSid((PSID)&label->SidStart, own->Label.Sid));
    assert_int_equal(label->Mask, SYSTEM_MANDATORY_LABEL_NO_WRITE_UP | SYSTEM_MANDATORY_LABEL_NO_READ_UP);
}

static void test_get(void **state)
{
    static char answer[65536];

    (void)state;
    const size_t length = ask("get\n", 4, answer, sizeof answer);
    assert_memory_equal(answer, "ok\n{\n\"program\"", 14);
    assert_string_equal(answer + length - 4, "\n}\n");
    assert_non_null(strstr(answer, "\"limits\": {\"limit\": 104857600, "));
}

static void test_set_what_is_named(void **state)
{
    hostmem_limits expected = limits_now(), now;

    (void)state;
    asked("limits heap_limit=20000000 process_soft=3000000000\n", "ok\n");
    expected.heap_limit = 20000000;
    expected.process_soft = 3000000000u;
    now = limits_now();
    assert_memory_equal(&now, &expected, sizeof now);
    assert_true(control_has_set());

    /* A soft mark by default goes on following the limit; one that was given does not. */
    asked("limits limit=80000000\n", "ok\n");
    assert_int_equal(limits_now().soft, 70000000);
    assert_int_equal(limits_now().task_limit, 80000000);
    asked("limits soft=60000000\n", "ok\n");
    asked("limits limit=90000000 heap_limit=none\n", "ok\n");
    now = limits_now();
    assert_int_equal(now.soft, 60000000);
    assert_true(now.heap_limit == HOSTMEM_UNLIMITED);
    assert_int_equal(now.process_soft, 3000000000u);
    assert_int_equal(now.margin, 16 * MIB);
}

/* What is taken away is reported as none; a soft mark that is, is none that a limit could fall below. */
static void test_none(void **state)
{
    static char answer[65536];

    (void)state;
    asked("limits soft=none margin=none\n", "ok\n");
    assert_true(limits_now().soft == limits_now().limit);
    asked("limits limit=70000000\n", "ok\n");
    assert_int_equal(limits_now().soft, 70000000);
    ask("get\n", 4, answer, sizeof answer);
    assert_non_null(strstr(answer, "\"margin\": null, "));
    asked("limits limit=none\n", "ok\n");
    assert_true(limits_now().soft == HOSTMEM_UNLIMITED);
    asked("limits soft=60000000 limit=90000000 margin=16777216\n", "ok\n");
}

static void test_refused_limits(void **state)
{
    const hostmem_limits before = limits_now();

    (void)state;
    asked("limits soft=90000001\n", "error these limits make no sense; nothing was changed (0x80070057)");
    asked("limits margin=1 limit=59999999\n", "error these limits make no sense");
    const hostmem_limits after = limits_now();
    assert_memory_equal(&before, &after, sizeof before);
    asked("limits margin=16777216\n", "ok\n"); /* nothing of it has stuck */
}

static void test_garbage(void **state)
{
    static const char *const lines[] = {"\n",
                                        "limits\n",
                                        "get\nget\n",
                                        "limits limit=1 other=2\n",
                                        "limits limit=1 soft=1 limit=2\n",
                                        "limits limit=0\n"};
    const hostmem_limits before = limits_now();
    char answer[256], bytes[3 * CONTROL_LINE];

    (void)state;
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++)
        asked(lines[i], "error not understood: ");
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 193 + 1); /* too long, and a newline in it */
    ask(bytes, sizeof bytes, answer, sizeof answer);
    assert_memory_equal(answer, "error not understood: ", 22);
    memset(bytes, 'x', sizeof bytes); /* too long, and none */
    ask(bytes, sizeof bytes, answer, sizeof answer);
    assert_memory_equal(answer, "error not understood: ", 22);
    const hostmem_limits after = limits_now();
    assert_memory_equal(&before, &after, sizeof before);
}

/* The answer stays for an asker who has said more than was read of it, until he has read it. */
static void test_answer_to_too_much(void **state)
{
    HANDLE pipe = open_pipe();
    char answer[256], bytes[3 * CONTROL_LINE];

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    send_bytes(pipe, bytes, sizeof bytes);
    Sleep(300);
    take_answer(pipe, answer, sizeof answer);
    assert_memory_equal(answer, "error not understood: ", 22);
}

/* In pieces is no reason to refuse. */
static void test_in_pieces(void **state)
{
    HANDLE pipe = open_pipe();
    char answer[256];

    (void)state;
    send_bytes(pipe, "limits mar", 10);
    Sleep(100);
    send_bytes(pipe, "gin=1234567\n", 12);
    take_answer(pipe, answer, sizeof answer);
    assert_string_equal(answer, "ok\n");
    assert_int_equal(limits_now().margin, 1234567);
}

/* Those who say nothing, half of it, or go before the answer: the next one has his turn all the same. */
static void test_silent_askers(void **state)
{
    const hostmem_limits before = limits_now();
    char answer[256];

    (void)state;
    HANDLE silent = open_pipe();
    const ULONGLONG since = GetTickCount64();
    asked("limits margin=1234567\n", "ok\n");
    assert_true(GetTickCount64() - since < 10 * CONTROL_LINE_MS);
    CloseHandle(silent);

    HANDLE half = open_pipe();
    send_bytes(half, "limits limit=70000000", 21);
    take_answer(half, answer, sizeof answer);
    assert_string_equal(answer, "error not understood: not a whole line");

    for (unsigned i = 0; i < 20; i++) {
        HANDLE gone = open_pipe();
        if (i % 2)
            send_bytes(gone, "get\n", 4);
        CloseHandle(gone);
    }
    asked("limits margin=1234567\n", "ok\n");
    const hostmem_limits after = limits_now();
    assert_memory_equal(&before, &after, sizeof before);
}

/* More than fits in the pipe. */
static void test_answer_not_taken(void **state)
{
    static char answer[65536];

    (void)state;
    big = true;
    assert_true(ask("get\n", 4, answer, sizeof answer) > REGIONS * 50);
    HANDLE deaf = open_pipe();
    send_bytes(deaf, "get\n", 4);
    asked("limits margin=1234567\n", "ok\n");
    CloseHandle(deaf);
    big = false;
}

static DWORD WINAPI ask_often(void *context)
{
    char answer[256];
    (void)context;
    for (unsigned i = 0; i < 20; i++)
        ask("get\n", 4, answer, sizeof answer);
    return strncmp(answer, "ok\n", 3) == 0;
}

static void test_many_askers(void **state)
{
    enum { ASKERS = 8 };
    HANDLE threads[ASKERS];
    DWORD answered;

    (void)state;
    for (unsigned i = 0; i < ASKERS; i++)
        assert_non_null(threads[i] = CreateThread(NULL, 0, ask_often, NULL, 0, NULL));
    for (unsigned i = 0; i < ASKERS; i++) {
        assert_int_equal(WaitForSingleObject(threads[i], 60000), WAIT_OBJECT_0);
        assert_true(GetExitCodeThread(threads[i], &answered) && answered);
        CloseHandle(threads[i]);
    }
}

/* Last: what is read of the limits after it is what the program has ended with. */
static void test_end(void **state)
{
    const hostmem_limits before = limits_now();

    (void)state;
    control_end(false);
    asked("limits limit=70000000\n", "error the program has ended");
    asked("get\n", "error the program has ended");
    const hostmem_limits after = limits_now();
    assert_memory_equal(&before, &after, sizeof before);
    control_end(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_name),         cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_impostor),           cmocka_unit_test(test_own_user_alone),
        cmocka_unit_test(test_own_level),          cmocka_unit_test(test_get),
        cmocka_unit_test(test_set_what_is_named),  cmocka_unit_test(test_none),
        cmocka_unit_test(test_refused_limits),     cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_answer_to_too_much), cmocka_unit_test(test_in_pieces),
        cmocka_unit_test(test_silent_askers),      cmocka_unit_test(test_answer_not_taken),
        cmocka_unit_test(test_many_askers),        cmocka_unit_test(test_end),
    };

    control_pipe_name(name, GetCurrentProcessId());
    if (hostmem_create(NULL, &manager) != S_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
