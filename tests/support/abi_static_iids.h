/*
 * Makes the headers that follow define their IIDs privately, so that their own values can be looked at and none
 * is taken from clr.h or a library. The Windows headers come first, with their ordinary DEFINE_GUID.
 */
#include <windows.h>
#include <ole2.h>

#undef DEFINE_GUID
#define DEFINE_GUID(name, l, w1, w2, ...)                                                                    \
    static const GUID __attribute__((unused)) name = {l, w1, w2, {__VA_ARGS__}}
