#!/usr/bin/env bash
# test_headers.sh CLANG
#
# The public headers against the Windows SDK as system headers, for x86-64 and x86, in C17 and C++17, without a warning:
# each alone, all together, without an mscoree.h; and beside one, before it and after it: MinGW-w64's, and a stand-in for
# the .NET Framework SDK's.
set -u -o pipefail

[ $# -eq 1 ] || { echo "usage: test_headers.sh CLANG" >&2; exit 2; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P) || exit 1
sdk=$(readlink -f "$root/build/setup/sdk") && [ -f "$sdk/overlay.yaml" ] || { echo "run scripts/setup sdk" >&2; exit 1; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

mkdir mingw
printf '#include <%s>\n' mscoree.h corerror.h | x86_64-w64-mingw32-gcc -M -xc - | tr -s ' \\' '\n' |
    grep -E '/(mscoree|corerror)\.h$' | xargs -I '{}' cp '{}' mingw/
[ -f mingw/mscoree.h ] && [ -f mingw/corerror.h ] || exit 1
ln -s "$root/tests/sdk/netfx" netfx

# file NAME LINE...: a source of these lines.
file() { printf '%s\n' "${@:2}" 'typedef int not_empty;' > "$1"; }
include() { printf '#include <%s>\n' "$@"; }
none='#if __has_include(<mscoree.h>)
#error "this is about a machine without mscoree.h"
#endif'
headers=()
for header in "$root"/include/hostmem/*.h; do
    headers+=("hostmem/$(basename "$header")")
    file "none-alone-$(basename "$header" .h)" "$none" "$(include "hostmem/$(basename "$header")")"
done
all=$(include "${headers[@]}")
file none-all "$none" '#define COBJMACROS' "$all"
file none-lean "$none" '#define WIN32_LEAN_AND_MEAN' '#define CONST_VTABLE' "$all"
for whose in mingw netfx; do
    theirs=$(include mscoree.h corerror.h)
    file $whose-before '#define COBJMACROS' "$theirs" "$all"
    file $whose-after '#define COBJMACROS' "$all" "$theirs"
done
printf '%s\n' '#ifndef TESTS_NETFX_MSCOREE' '#error "not the stand-in"' '#endif' | tee -a netfx-before >> netfx-after

system=(-Xclang -ivfsoverlay -Xclang "$sdk/overlay.yaml" -isystem "$("$1" -print-resource-dir)/include"
    -isystem "$root/tests/sdk/vcruntime" -isystem "$sdk/include/ucrt" -isystem "$sdk/include/shared" -isystem "$sdk/include/um")
for target in x86_64 i686; do
    common=("$1" "--target=$target-pc-windows-msvc" "${system[@]}" -I "$root/include" -fsyntax-only -Wall -Wextra -Werror)
    for file in none-* mingw-* netfx-*; do
        for language in 'c -std=c17' 'c++ -std=c++17'; do
            printf '%q ' "${common[@]}" -pedantic -isystem "${file%%-*}" -D WINBOOL=BOOL
            echo "-x $language $file"
        done
    done
    printf '%q ' "${common[@]}" -I "$root/tests" "$root/tests/sdk/abi.c"
    echo
done > commands
xargs -d '\n' -P 2 -I '{}' sh -c '{} || { echo "test_headers: WRONG: {}" >&2; exit 1; }' < commands || exit 1
echo "test_headers: $(wc -l < commands) compilations: ok"
