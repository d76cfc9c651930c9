/*
 * The IIDs that MinGW-w64's mscoree.h declares and none of its libraries defines, for hosts: nothing of ours uses them.
 *
 * Only initguid.h comes before: after a declaration gcc would forget that they are selectany, and a host that
 * defines one of them too would not link.
 */
#include <initguid.h>

/* clang-format off */
DEFINE_GUID(IID_IHostControl,
            0x02ca073c, 0x7079, 0x4860, 0x88, 0x0a, 0xc2, 0xf7, 0xa4, 0x49, 0xc9, 0x91);
DEFINE_GUID(IID_ICLRControl,
            0x9065597e, 0xd1a1, 0x4fb2, 0xb6, 0xba, 0x7e, 0x1f, 0xce, 0x23, 0x0f, 0x61);
DEFINE_GUID(IID_ICLRRuntimeHost,
            0x90f1a06c, 0x7712, 0x4762, 0x86, 0xb5, 0x7a, 0x5e, 0xba, 0x6b, 0xdb, 0x02);
/* clang-format on */
