#!/usr/bin/env bash
# test_report.sh MAKE_TRACE [RUNNER...] HOSTMEM_REPORT       RUNNER: what runs both, where they are Windows programs
#
# hostmem-report from its command line: its text and its JSON, word for word, of a trace that is made here; every trace that
# is none, or not all there: one line and a status that is not 0; the page, and what it is refused for.
set -u -o pipefail

[ $# -ge 2 ] || { echo "usage: test_report.sh MAKE_TRACE [RUNNER...] HOSTMEM_REPORT" >&2; exit 2; }
make_trace=$(readlink -f "$1") || exit 2
report=("${@:2}")
runner=("${@:2:$#-2}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
wrong() { echo "test_report: WRONG: $*" >&2; failures=$((failures + 1)); }

status=
run() { "${report[@]}" "$@" > out 2> err; status=$?; }

same() { # EXPECTED WHAT
    diff -u "$here/$1" out >&2 || wrong "$2 is not $1"
}

# expect STATUS PATTERN ARGUMENTS...: one line on stderr, and what is on stdout is not looked at
expect() {
    local wanted=$1 pattern=$2
    shift 2
    run "$@"
    [ $status -eq "$wanted" ] || wrong "$*: status $status, not $wanted"
    [ "$(wc -l < err)" -eq 1 ] || wrong "$*: not one line: $(cat err)"
    grep -q -- "^hostmem-report: .*$pattern" err || wrong "$*: no '$pattern' in: $(cat err)"
}

make() { "${runner[@]}" "$make_trace" "$@"; }
make small small.nettrace && make leaks leaks.nettrace && make program program.nettrace 20000 || exit 1

# What it says.
run small.nettrace
[ $status -eq 0 ] && [ ! -s err ] || wrong "small.nettrace: status $status, $(cat err)"
same small.txt "the text"
run leaks.nettrace
same leaks.txt "the text of leaks"
run program.nettrace
[ $status -eq 0 ] && [ "$(wc -l < out)" -le 40 ] || wrong "program.nettrace: status $status, $(wc -l < out) lines"
run --json small.nettrace
jq 'del(.timeline)' out > rest && mv rest out
same small.json "the JSON"
run --json small.nettrace
jq -e '.timeline | .slices == 1001 and .slice_seconds == 0.001 and (.committed.gc_heap | length == 1001 and .[299] == 0
    and .[300] == 4194304 and .[699] == 5242880 and .[700] == 4194304) and .refusals[800] == 1 and (.refusals | add) == 1
    and .notified.low[820] == 1 and .calls.VirtualAlloc[300] == 1 and .limits.limit[1000] == 67108864' out > /dev/null ||
    wrong "the timeline is another one"
run --json leaks.nettrace
jq -e '(.owned.groups | map(.count) | add) == .regions and (.owned.groups[0] | .count == 2 and .committed == 3145728
    and .oldest == 0.9 and .youngest == 0.6 and .stack[0] == "coreclr.dll+0x1000" and (.stack | length) == 3
    and .regions == [{"base": 2199025352704, "bytes": 2097152, "committed": 2097152, "age": 0.6},
        {"base": 2199023255552, "bytes": 1048576, "committed": 1048576, "age": 0.9}])
    and (.owned.groups[3] | .oldest == null and .stack == [] and .regions[0].age == null)' out > /dev/null ||
    wrong "owned: $(jq -c .owned out)"
jq -e '.misuses | .count == 6 and .twice == 4 and .left_out == 0 and ([.list[].thread] == [4712, 4712, 4712, 4712, 4711, 4711])
    and ([.list[].call] == ["release", "decommit", "release", "release", "release", "release"])
    and ([.list[].stack[0]] | unique == ["coreclr.dll+0x6000"])
    and ([.list[].first.seconds] == [0.5, 0.7, null, 0.84, null, 0.88])
    and ([.list[].first.stack[0]] == ["coreclr.dll+0x4000", "coreclr.dll+0x5000", null, "coreclr.dll+0x4000", null, "coreclr.dll+0x4000"])
    and ([.list[].first.reserved_seconds] == [0.2, 0.65, null, 0.82, null, null])
    and ([.list[].first.reserved_stack[0]] == ["coreclr.dll+0x3000", "coreclr.dll+0x1000", null, "coreclr.dll+0x3000", null, null])' \
    out > /dev/null || wrong "misuses: $(jq -c .misuses out)"
run small.nettrace --compare program.nettrace
[ $status -eq 0 ] && grep -q '^  GC heap  *5.0  *57.0  *+52.0$' out || wrong "--compare: status $status, $(cat out err)"
run small.nettrace --compare=small.nettrace --json
jq -e '.compared.end == .committed.end and ([.compared.sites[].difference] | add) == 0' out > /dev/null ||
    wrong "a trace differs from itself"

cp small.nettrace 'číslo 木.nettrace'
run 'číslo 木.nettrace'
[ $status -eq 0 ] && grep -q '^hostmem-report: číslo 木.nettrace.\?$' out || wrong "a name in UTF-8: status $status, $(head -n 1 out err)"

# A trace that hostmem-run has recorded of a .NET 11 program that compiles C#, with stacks; only the folder's name is another.
# The accounting was counted apart from the events: calls by method, and the last sample.
xz -dc "$here/data/compile.nettrace.xz" > compile.nettrace || exit 1
run compile.nettrace --json
[ $status -eq 0 ] || wrong "compile.nettrace: status $status, $(cat err)"
jq -e '.wrong == null and .lost == 0 and .events == 8177 and .accounting.last_difference == 0 and (.runtime | startswith("11.0."))
    and (.calls[] | select(.method == "VirtualAlloc") | .traced) == (.counted_calls[] | select(.method == "VirtualAlloc") | .count)
    and (.calls[] | select(.method == "VirtualFree") | .traced) == (.counted_calls[] | select(.method == "VirtualFree") | .count)
    and (.committed.end | add) > 60000000 and .site_groups[0].use == "GC heap" and .site_groups[0].stacks > 10
    and (.site_groups[0].stack[0] | startswith("coreclr.dll+0x")) and (.owned.groups | map(.count) | add) == .regions
    and ([.owned.groups[] | select(.stack[0] | startswith("coreclr.dll+0x") | not)] == []) and .misuses.count == 0 and ([.frames[].set[]] | length) > 400' out > /dev/null ||
    wrong "compile.nettrace: $(jq -c 'del(.timeline, .frames, .sites, .site_groups)' out)"

# What is no trace, or not all of one. Where something can be told, it is.
size=$(stat -c %s small.nettrace)
: > empty
head -c 15 small.nettrace > short
head -c $((size - 4)) small.nettrace > without-mark
head -c $((size - 60)) small.nettrace > cut
{ head -c $((size - 70)) small.nettrace; printf '\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff'; tail -c 58 small.nettrace; } > damaged
{ printf 'Nettrace\x14\x00\x00\x00!FastSerialization.1'; head -c 300 /dev/zero; } > version5
cp "$here/test_report.sh" script
expect 1 'the file is empty' empty
expect 1 'the file ends within its header' short
expect 1 'is no .nettrace file' script
expect 1 'another format version than 6' version5
expect 1 'not-there: ' not-there
mkdir folder
expect 1 'folder: [^t]' folder # not that it is empty
expect 1 'not complete: the file has no end mark .*reported' without-mark
grep -q '^  incomplete   the file has no end mark' out || wrong "without-mark: the text does not say it"
expect 1 'not complete: the file ends within a block' cut
expect 1 'is damaged' damaged
expect 1 'script: is no .nettrace file' small.nettrace --compare script
[ ! -s out ] || wrong "it compares with what is no trace"

# The command line.
expect 2 'no trace given'
expect 2 '--jsn: unknown option' --jsn small.nettrace
expect 2 'small.nettrace: one trace at a time' small.nettrace small.nettrace
expect 2 '--html: needs a value' small.nettrace --html
expect 2 '--compare: is given twice' small.nettrace --compare small.nettrace --compare=small.nettrace
run --version
[ $status -eq 0 ] && grep -q '^hostmem-report [0-9.]*.$\|^hostmem-report [0-9.]*$' out || wrong "--version: $(cat out)"
run --help
[ $status -eq 0 ] && grep -q -- '--html OUT.html' out || wrong "--help: $(cat out)"
for option in --help --version small.nettrace; do
    "${report[@]}" $option > /dev/full 2> err
    status=$?
    [ $status -eq 1 ] && [ "$(grep -c '^hostmem-report: .*written' err)" -eq 1 ] ||
        wrong "$option, unwritten: status $status, $(cat err)"
done

# The page.
run small.nettrace --html page.html
if grep -q 'built without its page' err; then
    [ $status -eq 2 ] && [ ! -e page.html ] || wrong "without a page: status $status"
    echo "test_report: not run: the page, which was not built"
else
    [ $status -eq 0 ] && [ ! -s err ] && [ ! -s out ] || wrong "--html: status $status, $(cat err)"
    [ "$(grep -c '<script type="application/json"' page.html)" -eq 1 ] || wrong "the page has no data"
    grep -q 'Leon Sorokin' page.html || wrong "the page is without the license of uPlot"
    expect 2 '--json and --html' --json --html page.html small.nettrace
    expect 2 'is a trace, which --html would overwrite' small.nettrace --html program.nettrace
    expect 1 'nowhere/page.html: ' small.nettrace --html nowhere/page.html
    expect 1 'no end mark' without-mark --html page.html
    if [ ${#runner[@]} -eq 0 ] && mknod full c 1 7 2> mknod.err && : > full; then # as /dev/full, where one may make it
        expect 1 'full: could not be written to its end' small.nettrace --html full
        [ -c full ] || wrong "a device was removed"
    fi
    make program big.nettrace 1000000 || exit 1
    started=$SECONDS
    run big.nettrace --html page.html
    [ $status -eq 0 ] && [ "$(stat -c %s page.html)" -lt 2000000 ] ||
        wrong "a million events: status $status, $(stat -c %s page.html) bytes, $(cat err)"
    make crowded crowded.nettrace || exit 1
    run crowded.nettrace --html crowded.html
    [ $status -eq 0 ] && [ "$(stat -c %s crowded.html)" -lt 2000000 ] ||
        wrong "as much as there can be: status $status, $(stat -c %s crowded.html) bytes, $(cat err)"
    echo "test_report: a million events: $((SECONDS - started)) s, $(stat -c %s page.html) bytes"
fi

[ $failures -eq 0 ] || { echo "test_report: $failures wrong" >&2; exit 1; }
echo "test_report: ok"
