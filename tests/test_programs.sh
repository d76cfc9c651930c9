#!/usr/bin/env bash
# test_programs.sh HOSTMEM_RUN VERSION PROGRAM CONDITION [NAME=VALUE...]
#
# A real .NET program, with its runtime's memory under the manager and raw beside it, under the given environment: the
# same output, the same exit status, and a report that adds up (scripts/check-report), with a managed object in an owned
# region. CONDITION is jq's, on the JSON report: that what is being tried (a standalone GC, say) really took part.
# VERSION: net10.0 for instance, or net10.0-x86, which is for 32 bits.
set -u -o pipefail

fail() { echo "test_programs: $program on $version: $*" >&2; exit 1; }

[ $# -ge 4 ] || { echo "usage: test_programs.sh HOSTMEM_RUN VERSION PROGRAM CONDITION [NAME=VALUE...]" >&2; exit 2; }
run=$1
version=$2
program=$3
condition=$4
shift 4
case $version in *-x86) arch=x86 ;; *) arch=x86_64 ;; esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
emulated=()
if [ $arch = x86 ] && [ -f "$root/build/setup/qemu-i386" ]; then
    emulated=(--emulated)
    echo "test_programs: not run: that the metadata is found and a module refers to every other region: ReadProcessMemory fails under the emulator"
fi
dll=$root/build/setup/clr/$version/$program/$program.dll
[ -f "$dll" ] || fail "$dll is missing: run scripts/setup clr"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# Much smaller than their defaults; the grown program stops by itself, nothing limits it here.
case $program in
    churn) arguments=(3 14 20) ;;
    grow) arguments=(64) ;;
    compile) arguments=(20) ;;
    *) arguments=() ;;
esac

host() {
    # A first generation of 2 MiB, so that short runs are collected too.
    env DOTNET_EnableWriteXorExecute=0 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 HOSTMEM_SHOW_OBJECT=1 \
        DOTNET_GCgen0size=200000 "${settings[@]}" \
        "$root/scripts/windows-run" $arch --timeout 240 "$run" "$@"
}

settings=("$@")
host --process --json --report "$work/report.json" "$dll" "${arguments[@]}" > "$work/managed"
managed=$?
host --raw --json --report "$work/raw.json" "$dll" "${arguments[@]}" > "$work/raw"
raw=$?

# What differs from run to run: where the object is, how often the collector ran, how far a program grew.
stable() { tr -d '\r' < "$1" | sed -E "/^(object|collections) /d; s/held [0-9]+ bytes/held/"; }
[ $managed -eq $raw ] || fail "exit status $managed, raw $raw"
[ $managed -eq 0 ] || fail "exit status $managed, raw as well"
diff <(stable "$work/managed") <(stable "$work/raw") || fail "the output differs from the raw run's"
grep -q '^done' "$work/managed" || fail "the program did not get to its last line"
object=$(tr -d '\r' < "$work/managed" | sed -n 's/^object //p')
[ -n "$object" ] || fail "the program did not show an object"
"$root/scripts/check-report" "$work/report.json" --object "$object" --calls 100 "${emulated[@]}" || fail "a wrong report"
jq -e "$condition" "$work/report.json" > /dev/null || fail "not so: $condition"
jq -r '"\(.statistics.regions) regions, committed \(.statistics.committed.now), peak \(.statistics.committed.peak), calls \(.bridge.coreclr_calls) + \(.bridge.gc_calls)"' "$work/report.json"
echo "test_programs: $program on $version: ok"
