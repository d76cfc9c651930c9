/* Nothing but its precompiled header, which the tests use. */
typedef int not_empty;
