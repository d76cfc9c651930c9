/*
 * iids.h - what others define as IIDs, as constants of our own
 *
 * So the library needs no other for them, and does not care who defines them in a host.
 */
#ifndef HOSTMEM_COM_IIDS_H
#define HOSTMEM_COM_IIDS_H

#include <unknwn.h>

static const IID iid_unknown = {0, 0, 0, {0xc0, 0, 0, 0, 0, 0, 0, 0x46}};
static const IID iid_host_control = {
    0x02ca073c, 0x7079, 0x4860, {0x88, 0x0a, 0xc2, 0xf7, 0xa4, 0x49, 0xc9, 0x91}};
static const IID iid_runtime_host = {
    0x90f1a06c, 0x7712, 0x4762, {0x86, 0xb5, 0x7a, 0x5e, 0xba, 0x6b, 0xdb, 0x02}};

#endif
