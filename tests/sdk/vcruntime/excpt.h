/* excpt.h - see vcruntime.h */
#ifndef TESTS_SDK_EXCPT_H
#define TESTS_SDK_EXCPT_H

struct _EXCEPTION_RECORD;
struct _CONTEXT;
typedef enum _EXCEPTION_DISPOSITION {
    ExceptionContinueExecution,
    ExceptionContinueSearch,
    ExceptionNestedException,
    ExceptionCollidedUnwind
} EXCEPTION_DISPOSITION;

#define EXCEPTION_EXECUTE_HANDLER    1
#define EXCEPTION_CONTINUE_SEARCH    0
#define EXCEPTION_CONTINUE_EXECUTION (-1)

#endif
