#!/usr/bin/env bash
# test_package.sh [--all]
#
# What a release is, used as its users would: scripts/package makes two zip files, the same bytes again from a copy of the sources in
# another folder; each says the same version; from them, and from the sources as a part of another project, C and C++ hosts build
# with the DLL and the static library, and run; and a new folder with the zip and what the README says is enough for its first
# host. Without --all some hosts of x86, where that is emulated, are built and not run: each language and library is, once.
set -u -o pipefail

all=${1:-}
case $# in 0) ;; *) [ "$*" = --all ] || { echo "usage: test_package.sh [--all]" >&2; exit 2; } ;; esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
clr=$root/build/setup/clr
mkdir -p "$root/build/package-test"
work=$(mktemp -d -p "$root/build/package-test") || exit 1   # in the tree: the root of x86 sees no other folder
trap 'rm -rf "$work"' EXIT
failures=0 ran=0
wrong() { echo "test_package: WRONG: $*" >&2; failures=$((failures + 1)); }
logged() { "$@" > "$work/log" 2>&1 || { tail -n 25 "$work/log" >&2; wrong "failed: $*"; return 1; }; }
export SOURCE_DATE_EPOCH=1700000000

# runs ARCH EXPECT PROGRAM ARGUMENTS...
runs() {
    if [ "$1" = x86 ] && [ -f "$root/build/setup/i386-not-run" ]; then
        echo "test_package: not run: $3 on x86"
        return
    fi
    ran=$((ran + 1))
    logged "$root/scripts/windows-run" "$1" --timeout 120 --expect "$2" "${@:3}"
}

logged "$root/scripts/package" "$work/a" || exit 1

# The same bytes, from a copy in a folder with a blank.
if [ -n "$all" ]; then
    mkdir -p "$work/else where/deeper"
    tar -C "$root" --exclude=./build --exclude=./.git -cf - . | tar -C "$work/else where/deeper" -xf -
    mkdir "$work/else where/deeper/build" && ln -s "$root/build/setup" "$work/else where/deeper/build/setup"
    logged "$work/else where/deeper/scripts/package" "$work/b"
    for zip in "$work"/b/*.zip; do
        cmp "$work/a/$(basename "$zip")" "$zip" || wrong "$(basename "$zip") is not the same when it is built elsewhere"
    done
    rm -rf "$work/b" "$work/else where"
else
    echo "test_package: not run: the same bytes from another folder (--all)"
fi

declare -A compiler=([x64]=x86_64-w64-mingw32 [x86]=i686-w64-mingw32) arch=([x64]=x86_64 [x86]=x86)
# cmake_for NAME ARGUMENTS...: configures and builds for that architecture, as somebody else's project would.
cmake_for() {
    local prefix=${compiler[$1]} build=$2
    logged cmake -G Ninja -B "$build" -DCMAKE_SYSTEM_NAME=Windows -DCMAKE_C_COMPILER="$prefix-gcc" -DCMAKE_CXX_COMPILER="$prefix-g++" \
        -DCMAKE_RC_COMPILER="$prefix-windres" "${@:3}" && logged cmake --build "$build" -j 2
}
consumers_run() { # NAME BUILD DLL
    cp "$3" "$2"
    local programs=(c_hostmem_static cpp_hostmem)
    [ "$1$all" = x86 ] || programs+=(c_hostmem cpp_hostmem_static)
    for program in "${programs[@]}"; do runs "${arch[$1]}" "consumer: done" "$2/consumer_$program.exe"; done
}

# resource_versions FILE: FileVersion and ProductVersion of its version resource. (hostmem-check brings a DLL along, with another.)
resource_versions() {
    iconv -c -f UTF-16LE -t UTF-8 "$1" 2> /dev/null | tr '\000' '\n' |
        awk 'wanted && $0 != "" { print; wanted = 0 } /\001(File|Product)Version$/ { wanted = 1 }' | tail -n 2 | paste -sd " "
}

# has_section PATTERN FILE: grep to the end, for -q would end objdump with a SIGPIPE, and with it the whole line.
has_section() { [ "$("${compiler[$name]}-objdump" -h "$2" | grep -c "$1")" -ne 0 ]; }

for name in x64 x86; do
    unzip -q "$work/a/hostmem"-*"-windows-$name.zip" -d "$work" || wrong "no zip for $name"
    tree=$(echo "$work/hostmem"-*"-windows-$name")
    for file in bin/hostmem.dll bin/hostmem.dll.debug bin/hostmem-run.exe bin/hostmem-check.exe bin/hostmem-report.exe lib/libhostmem.a lib/libhostmem.dll.a lib/hostmem.lib \
        include/hostmem/hostmem.h share/doc/hostmem/LICENSE share/doc/hostmem/docs/limits.md share/doc/hostmem/examples/minimal_host.c; do
        [ -s "$tree/$file" ] || wrong "$name: $file is missing"
    done
    while IFS=: read -r page link; do
        [ -e "$(dirname "$page")/${link%%#*}" ] || wrong "$name: ${page#"$tree"/} links to $link, which is not there"
    done < <(grep -roP --include=*.md '\]\(\K(?![a-z]*:|#)[^)]+' "$tree")
    path=(-e "$root" -e "${root//[!A-Za-z0-9]/_}")   # dlltool makes names of it
    ! grep -rqaF "${path[@]}" "$tree" || wrong "$name: the path of the build is in $(grep -rlaF "${path[@]}" "$tree" | tr '\n' ' ')"
    has_section '\.debug_' "$tree/bin/hostmem.dll" && wrong "$name: hostmem.dll has debug information"
    has_section '\.debug_info' "$tree/bin/hostmem.dll.debug" || wrong "$name: hostmem.dll.debug has none"

    # One version, in all that says one.
    version=$(sed -n 's/^#define HOSTMEM_VERSION_[A-Z]* \([0-9]\)/\1/p' "$tree/include/hostmem/version.h" | paste -sd .)
    [ "$(basename "$tree")" = "hostmem-$version-windows-$name" ] || wrong "$name: the package is $(basename "$tree"), the header says $version"
    grep -qx "Version: $version" "$tree/lib/pkgconfig/hostmem.pc" || wrong "$name: hostmem.pc says $(grep '^Version' "$tree/lib/pkgconfig/hostmem.pc")"
    grep -qx "## $version[^0-9]*" "$tree/share/doc/hostmem/CHANGELOG.md" || wrong "$name: CHANGELOG.md has nothing about $version"
    for file in bin/hostmem.dll bin/hostmem-run.exe bin/hostmem-check.exe bin/hostmem-report.exe; do
        [ "$(resource_versions "$tree/$file")" = "$version $version" ] ||
            wrong "$name: the resource of $file says '$(resource_versions "$tree/$file")', not $version"
    done

    cmake_for $name "$work/found-$name" -S "$root/tests/consumer" -DCMAKE_PREFIX_PATH="$tree" &&
        consumers_run $name "$work/found-$name" "$tree/bin/hostmem.dll"
    export PKG_CONFIG_LIBDIR=$tree/lib/pkgconfig
    eval "flags=($(pkg-config --cflags --libs hostmem))"   # blanks are escaped
    logged "${compiler[$name]}-gcc" -std=c17 "$root/tests/consumer/consumer.c" -o "$tree/bin/by-pkg-config.exe" "${flags[@]}" &&
        { [ "$name$all" = x86 ] || runs "${arch[$name]}" "consumer: done" "$tree/bin/by-pkg-config.exe"; }
done

# By clang-cl and lld-link, from the same package.
if [ -f "$root/build/setup/sdk/overlay.yaml" ]; then
    logged "$root/tests/sdk/test_consumer.sh" "$(echo "$work"/hostmem-*-windows-x64)" && ran=$((ran + 4))
else
    echo "test_package: not run: consumers by clang-cl (there is no Windows SDK)"
fi

# A package for the other architecture is not taken.
cmake -G Ninja -B "$work/mixed" -S "$root/tests/consumer" -DCMAKE_SYSTEM_NAME=Windows -DCMAKE_C_COMPILER=i686-w64-mingw32-gcc \
    -DCMAKE_CXX_COMPILER=i686-w64-mingw32-g++ -DCMAKE_PREFIX_PATH="$(echo "$work"/hostmem-*-windows-x64)" > "$work/log" 2>&1 && wrong "x86 takes x64's package"
grep -q "(64bit)" "$work/log" || wrong "why x86 does not take x64's package is not said"

# As a part of another project, which is built its own way.
cmake_for x64 "$work/part" -S "$root/tests/consumer" -DHOSTMEM_SOURCE="$root" -DCMAKE_UNITY_BUILD=ON \
    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_DEBUG_POSTFIX=d "-DCMAKE_C_FLAGS=-O1 -Werror -D_WIN32_WINNT=0x0601 -fstack-protector-strong" &&
    consumers_run x64 "$work/part" "$work/part/hostmem/hostmem.dll"
[ ! -e "$work/part/hostmem/tests" ] && [ -z "$(find "$work/part/hostmem" -path '*/src/tools/*.obj')" ] || wrong "add_subdirectory builds tools or tests"

# The README alone: its first host, by its command line.
tree=$(echo "$work/hostmem"-*-windows-x64)
mkdir "$work/new" && cd "$work/new" && mv "$tree" hostmem && tree=$work/new/hostmem
awk '/^```c$/{on = !done; next} /^```/{done = done || on; on = 0} on' hostmem/share/doc/hostmem/README.md > host.c
line=$(grep -o '`gcc host.c [^`]*`' hostmem/share/doc/hostmem/README.md | tr -d '`')
# shellcheck disable=SC2086
logged x86_64-w64-mingw32-${line:-gcc of the README} -o hostmem/bin/host.exe &&
    runs x86_64 "the runtime had committed" hostmem/bin/host.exe "$clr/dotnet-root/host/fxr/11.0.0/hostfxr.dll" "$clr/net11.0/churn-shared/churn.dll"
for tool in hostmem-run hostmem-check; do runs x86_64 "$tool $version" "hostmem/bin/$tool.exe" --version; done

# The examples that come along, beside what is installed.
cmake_for x64 "$work/examples" -S "$tree/share/doc/hostmem/examples" -DCMAKE_PREFIX_PATH="$tree" && cp "$tree/bin/hostmem.dll" "$work/examples" &&
    runs x86_64 "the runtime had committed" "$work/examples/minimal_host_dll.exe" "$clr/dotnet-root/host/fxr/11.0.0/hostfxr.dll" "$clr/net11.0/churn-shared/churn.dll"

[ $failures -eq 0 ] || { echo "test_package: $failures wrong" >&2; exit 1; }
echo "test_package: $ran programs built and run"
