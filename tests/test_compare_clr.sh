#!/usr/bin/env bash
# test_compare_clr.sh HOSTMEM_RUN [limits]
#
# scripts/compare-clr runs to its end, briefly, and its JSON has what it should; what the figures are is not looked at.
# Without `limits` also: clear errors, and a run that fails is not taken for a fast one.
set -u -o pipefail

[ $# -ge 1 ] || { echo "usage: test_compare_clr.sh HOSTMEM_RUN [limits]" >&2; exit 2; }
run=$1
limits=${2:+--limits}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
compare=$root/scripts/compare-clr
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
wrong() { echo "test_compare_clr: WRONG: $*" >&2; failures=$((failures + 1)); }

"$compare" $limits --quick --hostmem-run "$run" --json "$work/json" churn > "$work/out" 2> "$work/err"
status=$?
[ $status -eq 0 ] && [ "$(tail -n 1 "$work/out")" = "done" ] || wrong "status $status: $(tail -n 3 "$work/out" "$work/err")"
[ -z "$limits" ] || bars='[[true, "wall", 1.05], [true, "cpu", 0], [true, "server", 0], [true, "wall", 1.05], [true, "cpu", 0], [true, "server", 0]]'
[ -n "$limits" ] || bars='[[false, "wall", 1.03], [false, "cpu", 1.03], [false, "server", 0]]'
jq -e ".version == \"net10.0\" and ([.results[] | [.limit > 0, .measure, .bar]] == $bars)" "$work/json" > /dev/null ||
    wrong "not the bars: $(jq -c '[.results[] | [.limit, .measure, .bar]]' "$work/json")"
jq -e 'all(.results[]; .program == "churn" and .failed == 0 and .rounds == 2 and .verdict == ""
           and .least <= .ratio and .ratio <= .most)' "$work/json" > /dev/null || wrong "not what two rounds give"
jq -e 'all(.results[] | select(.measure != "server"); .managed > 0.1 and .raw > 0.1)' "$work/json" > /dev/null ||
    wrong "nothing was measured"

# said STATUS TEXT ARGUMENTS...: one line on the error stream, in which TEXT is.
said() {
    local expected=$1 text=$2 status
    shift 2
    "$compare" "$@" > "$work/out" 2> "$work/err"
    status=$?
    [ $status -eq "$expected" ] || wrong "status $status, not $expected: $*"
    [ "$(wc -l < "$work/err")" -eq 1 ] && grep -q "^compare-clr: .*$text" "$work/err" ||
        wrong "no clear line: $*: $(head -n 3 "$work/err")"
}
if [ -z "$limits" ]; then
    (cd "$work" && "$compare" --trace --quick --hostmem-run "$run" --json json churn) > "$work/out" 2> "$work/err" ||
        wrong "--trace: $(tail -n 3 "$work/out" "$work/err")"
    jq -e '[.results[] | [.measure, .bar, .rounds]] == [["wall", 1.05, 2], ["cpu", 0, 2], ["server", 0, 2]]' "$work/json" > /dev/null || wrong "--trace: not the bars: $(jq -c .results "$work/json")"
    said 2 "no such option '--nosuch'" --nosuch
    said 2 "no such program 'nosuch'" nosuch
    said 2 "above 0, not '0'" --runs 0
    said 2 "needs a value" --json
    said 2 "two measurements" --limits --trace
    said 2 "grow has no smallest limit" --limits grow
    said 2 "there is no 'nosuch.exe'" --hostmem-run nosuch.exe
    printf '#!/bin/sh\nexit 0\n' > "$work/false.exe"   # no Windows program
    said 1 "churn, managed: status [1-9]" --quick --hostmem-run "$work/false.exe" churn
    said 1 "churn, managed: no last line" --quick --hostmem-run \
        "$root/build/setup/wine64/drive_c/windows/system32/dllhost.exe" churn   # ends well, and has done nothing
fi

[ $failures -eq 0 ] || { echo "test_compare_clr: $failures checks failed" >&2; exit 1; }
echo "test_compare_clr${2:+ $2}: ok"
