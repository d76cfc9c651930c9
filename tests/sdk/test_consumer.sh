#!/usr/bin/env bash
# test_consumer.sh TREE|--source
#
# The hosts of tests/consumer by clang-cl and lld-link, x64: in C and C++, with the DLL and with the static library of the
# package that is unpacked or installed in TREE, or of the sources as a part of theirs. They run under Wine. Where a
# package has no static library for Microsoft's linker, GNU's is not taken for it, and find_package says so.
set -u -o pipefail

[ $# -eq 1 ] || { echo "usage: test_consumer.sh TREE|--source" >&2; exit 2; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
wrong() { echo "test_consumer: WRONG: $*" >&2; exit 1; }
logged() { "$@" > "$work/log" 2>&1 || { tail -n 25 "$work/log" >&2; wrong "failed: $*"; }; }

consumer=(cmake -G Ninja -S "$root/tests/consumer" -DCMAKE_TOOLCHAIN_FILE="$root/tests/sdk/toolchain.cmake" -DHOSTMEM_SDK_ARCH=x64
    -DCMAKE_BUILD_TYPE=Release)
if [ "$1" = --source ]; then
    logged "${consumer[@]}" -B "$work/build" -DHOSTMEM_SOURCE="$root"
    dll=$work/build/hostmem/hostmem.dll
else
    tree=$(readlink -f "$1")
    dll=$tree/bin/hostmem.dll
    logged "${consumer[@]}" -B "$work/build" -DCMAKE_PREFIX_PATH="$tree"
fi
logged cmake --build "$work/build" -j 2
cp "$dll" "$work/build"
for program in consumer_{c,cpp}_hostmem{,_static}; do
    logged "$root/scripts/windows-run" x86_64 --timeout 120 --expect "consumer: done" "$work/build/$program.exe"
    needed=$(llvm-readobj --coff-imports "$work/build/$program.exe" | grep -c 'Name: hostmem\.dll')
    case $program:$needed in
        *_static:0 | *_hostmem:1) ;;
        *) wrong "$program imports hostmem.dll $needed times" ;;
    esac
done

if [ "$1" != --source ] && [ -f "$tree/lib/libhostmem.a" ]; then
    cp -r "$tree" "$work/gnu" && rm "$work/gnu/lib/hostmem_static.lib"
    "${consumer[@]}" -B "$work/refused" -DCMAKE_PREFIX_PATH="$work/gnu" > "$work/log" 2>&1 && wrong "GNU's static library is taken for Microsoft's"
    grep -q "no hostmem::hostmem_static: .* is for GNU's linker" "$work/log" || wrong "that GNU's static library is not taken is not said"
fi
echo "test_consumer: 4 programs by clang-cl built and run"
