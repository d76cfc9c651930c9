#!/usr/bin/env bash
# test_bench.sh ARCH HOSTMEM_BENCH
#
# hostmem-bench runs to its end, briefly, and its JSON has every bar of the design. What the figures are is not looked at:
# they depend on what else the machine does. Then: sections by name, and clear errors.
set -u -o pipefail

[ $# -eq 2 ] || { echo "usage: test_bench.sh ARCH HOSTMEM_BENCH" >&2; exit 2; }
arch=$1
bench=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
command -v jq > /dev/null || { echo "test_bench: jq is missing: run scripts/setup" >&2; exit 1; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
wrong() { echo "test_bench: WRONG: $*" >&2; failures=$((failures + 1)); }

# Sets `status` and leaves $work/out and $work/err.
run() {
    "$root/scripts/windows-run" "$arch" --timeout 300 "$bench" "$@" < /dev/null > "$work/out.raw" 2> "$work/err.raw"
    status=$?
    tr -d '\r' < "$work/out.raw" > "$work/out"
    tr -d '\r' < "$work/err.raw" > "$work/err"
}

# The bars, as SECTION / ROW / BAR.
bars() {
    cat << 'END'
bookkeeping / with limits: reserve + release, 1 thread / 130
bookkeeping / with limits: commit + decommit of 16 pages, 1 thread / 130
windows / reserve + release: managed : raw, 1 thread / 1.05
windows / commit + decommit of 16 pages: managed : raw, 1 thread / 1.05
windows / reserve + release: managed : raw, 2 threads / 1.05
windows / commit + decommit of 16 pages: managed : raw, 2 threads / 1.05
windows / reserve + release: managed : raw, 4 threads / 1.05
windows / commit + decommit of 16 pages: managed : raw, 4 threads / 1.05
region / 64 MiB apart: managed : raw, 1 thread / 1.05
region / 64 MiB apart: managed : raw, 2 threads / 1.05
region / 64 MiB apart: managed : raw, 4 threads / 1.05
region /   64 MiB apart: Windows asked again, 2 threads / 0.0001
region /   64 MiB apart: bookkeeping alone, Windows asked again, 2 threads / 0.0001
region / 4 MiB apart: managed : raw, 2 threads / 1.05
region /   4 MiB apart: Windows asked again, 2 threads / 0.0001
region /   4 MiB apart: Windows asked again, 4 threads / 0.0001
region /   4 MiB apart: bookkeeping alone, Windows asked again, 4 threads / 0.0001
trace / reserve + release: traced : raw, 1 thread / 1.1
trace / commit + decommit of 16 pages: traced : raw, 1 thread / 1.1
foreign / refusing a foreign pointer (VirtualFree), 1 thread / 10
lookups / lookup, 1000 regions / 15
lookups / lookup: churning : quiet, 1000 regions / 3
heap / Alloc + Free : HeapAlloc that zeroes + HeapFree, 16 bytes, 1 thread / 1.5
heap / Alloc + Free : HeapAlloc that zeroes + HeapFree, 16 bytes, 2 threads / 1.5
heap / Alloc + Free : HeapAlloc that zeroes + HeapFree, 64 bytes, 1 thread / 1.5
heap / Alloc + Free : HeapAlloc that zeroes + HeapFree, 64 bytes, 2 threads / 1.5
heap / Alloc + Free : HeapAlloc that zeroes + HeapFree, 256 bytes, 1 thread / 1.5
heap / Alloc + Free : HeapAlloc that zeroes + HeapFree, 256 bytes, 2 threads / 1.5
heap / Alloc + Free : HeapAlloc that zeroes + HeapFree, 1024 bytes, 1 thread / 1.5
heap / Alloc + Free : HeapAlloc that zeroes + HeapFree, 1024 bytes, 2 threads / 1.5
heap / Alloc + Free : HeapAlloc that zeroes + HeapFree, 4096 bytes, 1 thread / 1.5
heap / Alloc + Free : HeapAlloc that zeroes + HeapFree, 4096 bytes, 2 threads / 1.5
END
    if [ "$arch" = x86 ]; then
        cat << 'END'
lookups / lookup, 50000 regions / 50
lookups / lookup: churning : quiet, 50000 regions / 3
lookups / metadata a region, 50000 regions / 64
END
    else
        cat << 'END'
bookkeeping / 64 GiB in and out / 15000
bookkeeping / 64 GiB in and out, at an odd address / 15000
lookups / lookup, 100000 regions / 50
lookups / lookup: churning : quiet, 100000 regions / 3
lookups / metadata a region, 100000 regions / 64
lookups / lookup, 1000000 regions / 100
lookups / lookup: churning : quiet, 1000000 regions / 3
lookups / metadata a region, 1000000 regions / 64
lookups / metadata a page, from 64 to 256 GiB committed / 1.05
END
    fi
}

run --quick --json "$work/all.json"
[ $status -eq 0 ] || wrong "status $status: $(head -n 3 "$work/err")"
[ "$(tail -n 1 "$work/out")" = "done" ] || wrong "it did not get to its last line: $(tail -n 3 "$work/out")"
[ $failures -eq 0 ] || exit 1
jq -e '.results | length > 80' "$work/all.json" > /dev/null || wrong "the JSON lacks rows"
jq -e '[.results[] | .section + "/" + .what] | length == (unique | length)' "$work/all.json" > /dev/null ||
    wrong "two rows have one name"
jq -e 'all(.results[]; .value >= 0 and .low <= .value and .value <= .high)' "$work/all.json" > /dev/null ||
    wrong "a value is not between its quartiles"
jq -e 'all(.results[]; .bar == null or .verdict == (if .value <= .bar then "pass" else "miss" end))' "$work/all.json" > /dev/null ||
    wrong "a verdict is wrong"
jq -r '.results[] | select(.bar) | "\(.section) / \(.what | sub(" / "; " : ")) / \(.bar)"' "$work/all.json" > "$work/bars"
while read -r bar; do
    grep -qxF -e "$bar" "$work/bars" || wrong "no such bar: $bar"
done < <(bars)
for section in $(jq -r '[.results[].section] | unique[]' "$work/all.json"); do
    grep -qx "$section" "$work/out" || wrong "section $section is not in the table"
done

run --quick foreign heap
[ $status -eq 0 ] && [ "$(tail -n 1 "$work/out")" = "done" ] || wrong "two sections: status $status"
[ "$(grep -cxE 'foreign|heap' "$work/out")" -eq 2 ] || wrong "two sections were asked for"
[ "$(grep -cxE 'bookkeeping|windows|trace|region|lookups|growth|rivals|stack' "$work/out")" -eq 0 ] || wrong "more than two sections ran"

# said TEXT ARGUMENTS...: status 2 and one line, in which TEXT is.
said() {
    local text=$1
    shift
    run "$@"
    [ $status -eq 2 ] || wrong "status $status, not 2: $*"
    [ "$(wc -l < "$work/err")" -eq 1 ] && grep -q "^hostmem-bench: .*$text" "$work/err" ||
        wrong "no clear line: $*: $(head -n 3 "$work/err")"
    [ -s "$work/out" ] && wrong "something on standard output: $*"
}
said "no such section 'nosuch'" nosuch
said "no such option '--nosuch'" --nosuch
said "no file after '--json'" --quick --json
said "cannot write" --quick --json "$work/no/such/folder.json"

[ $failures -eq 0 ] || { echo "test_bench: $failures checks failed" >&2; exit 1; }
echo "test_bench: ok: $(jq '.results | length' "$work/all.json") rows, $(wc -l < "$work/bars") bars"
