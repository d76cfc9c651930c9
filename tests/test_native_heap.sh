#!/usr/bin/env bash
# test_native_heap.sh HOSTMEM_RUN FRAMEWORK [long]
#
# hostmem-run --native-heap: programs do what they do raw, and their runtime's own heap is in the report. Wine tells of each
# block that comes to a heap which it is not of (warn+heap): none does. With `long`: more programs, the server collector,
# W^X.
set -u -o pipefail

[ $# -ge 2 ] || { echo "usage: test_native_heap.sh HOSTMEM_RUN FRAMEWORK [long]" >&2; exit 2; }
arch=x86_64
run=$(readlink -f "$1")
framework=$2
long=${3:-}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
. "$root/tests/support/run_checks.sh"
patience=240

# Methods are compiled again at once, in the background; a first generation of 2 MiB, so that short runs are collected too.
export WINEDEBUG=-all,warn+heap DOTNET_TC_CallCountThreshold=2 DOTNET_TC_CallCountingDelayMs=0 DOTNET_GCgen0size=200000
native=(--native-heap --process --json --report "$work/report.json")
stable() { sed -E '/^collections /d; s/held [0-9]+ bytes/held/' "$work/out"; }

calls_of() { echo "([.bridge.functions[] | select(.module == \"$1\" and (.function | test(\"alloc|Alloc\")) and (.function | test(\"Virtual\") | not)) | .calls] | add // 0)"; }

no_wrong_block() { # WHAT
    ! grep -q 'warn:heap' "$work/err" || wrong "$1: a block in the wrong heap: $(grep -m 3 'warn:heap' "$work/err")"
}

# alone PROGRAM ARGUMENTS...: raw, for what comes then. as_raw PROGRAM ARGUMENTS...: the same, and the report adds up.
alone() {
    host --raw "$clr/$framework/$1/$1.dll" "${@:2}"
    no_wrong_block "$1, raw"
    raw_status=$status
    stable > "$work/alone"
}

as_raw() {
    checks=$((checks + 1))
    host "${native[@]}" "$clr/$framework/$1/$1.dll" "${@:2}"
    [ $status -eq $raw_status ] || wrong "$*: status $status, raw $raw_status: $(grep -v warn:heap "$work/err" | head -n 3)"
    stable | cmp -s - "$work/alone" || wrong "$*: the output differs: $(stable | diff - "$work/alone" | head -n 3)"
    no_wrong_block "$*"
    "$root/scripts/check-report" "$work/report.json" --calls 100 || wrong "$*: a wrong report"
    report '.bridge.native_heap and .statistics.blocks > 500 and .statistics.heap.now > 3e5 and .bridge.native_foreign < 100'
    report '[.bridge.functions[] | select(.failures > 0 and (.function | test("^(malloc|calloc|realloc|free|Heap)")))] == []'
    report "$(calls_of coreclr) > 2000"
}

need "$clr/$framework/churn/churn.dll"
alone churn 3 14 20
as_raw churn 3 14 20
DOTNET_GCName=clrgc.dll as_raw churn 3 14 20
report ".bridge.standalone_gc and $(calls_of gc) > 0"
[ "$framework" != net8.0 ] || report "$(calls_of jit) > 0" # of the later ones' JIT it is all done when it is loaded
native+=(--limit 96M)
DOTNET_EnableEventPipe=1 DOTNET_EventPipeConfig=Microsoft-Windows-DotNETRuntime:0x1:4 \
    DOTNET_EventPipeOutputPath="Z:${work//\//\\}\\trace.nettrace" as_raw churn 3 14 20
report '.refusals == 0 and .overruns.count == 0'
[ "$(head -c 8 "$work/trace.nettrace" 2> /dev/null)" = Nettrace ] || wrong "EventPipe has written no trace"

if [ -n "$long" ]; then
    native=(--native-heap --process --json --report "$work/report.json")
    alone churn 3 14 20
    DOTNET_gcServer=1 as_raw churn 3 14 20
    DOTNET_EnableWriteXorExecute=1 as_raw churn 3 14 20
    [ ! -f "$clr/$framework/churn/clrgcexp.dll" ] || DOTNET_GCName=clrgcexp.dll as_raw churn 3 14 20
    alone grow 64
    as_raw grow 64
    alone compile 20
    as_raw compile 20
    DOTNET_GCName=clrgc.dll as_raw compile 20
    for way in "return 3" "exit 4" throw; do
        # shellcheck disable=SC2086
        alone ending $way
        # shellcheck disable=SC2086
        as_raw ending $way
    done
fi
finish "$framework${long:+, long}"
