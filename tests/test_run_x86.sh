#!/usr/bin/env bash
# test_run_x86.sh HOSTMEM_RUN
#
# Programs of .NET 10 for 32-bit Windows under the limits of hostmem-run. The collector has segments, workstation and server, and
# knows no hard limit: what keeps its heap in bounds are refusals and Low. (What holds on every architecture: test_run.sh,
# test_run_limits.sh. Few runs, since each takes ten seconds or more where x86 is emulated.)
set -u -o pipefail

[ $# -eq 1 ] || { echo "usage: test_run_x86.sh HOSTMEM_RUN" >&2; exit 2; }
arch=x86
run=$(readlink -f "$1")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
. "$root/tests/support/run_checks.sh"
patience=240
json=(--json --report "$work/report.json")
programs=$clr/net10.0-x86
for program in ending grow memory; do need "$programs/$program/$program.dll"; done

rounds=6   # long enough to be sampled

# grown LIMIT: all rounds were stopped by OutOfMemoryException, with at least three quarters of LIMIT in the first, as far as
# that was left for heap; VirtualQuery found no more heap than LIMIT.
grown() {
    local held rest
    checks=$((checks + 1))
    held=$(sed -n 's/^round 1: held \([0-9]*\) bytes, stopped by OutOfMemoryException$/\1/p' "$work/out")
    rest=$(jq '.sampled.committed_peak - .sampled.heap_peak' "$work/report.json")
    [ "$2" = all ] || rest=0
    [ "${held:-0}" -ge $((($1 - rest) * 3 / 4)) ] || wrong "grow: $(cat "$work/out")"
    [ "$(grep -c '^round .* stopped by OutOfMemoryException$' "$work/out")" -eq $rounds ] || wrong "grow: $(cat "$work/out")"
    report ".sampled.samples > 0 and .sampled.heap_peak <= $1 and .sampled.heap_peak > $1 / 2"
    report '.virtual_query.agrees and .overruns.count == 0 and .heap_overruns.count == 0'
    report '.notifications.low >= 1 and .bridge.limit_refreshes == 0'
    report ".bridge.collector == {\"hard_limit\": null, \"owner\": \"nobody\", \"pending\": $1, \"fixed\": true, \
        \"beyond_start\": false, \"available\": $1, \"high_load\": ($1 / 100 | floor * 90 + ($1 % 100 * 90 / 100 | floor))}"
}

mb24=$((24 << 20))
mb48=$((48 << 20))
ran 0 done --limit 24M --sample 20 "${json[@]}" "$programs/grow/grow.dll" 200 arrays 1 $rounds
grown $mb24 all
report '.refused["task limit"] > 0 and .refusals == .refused["task limit"] and (.bridge.standalone_gc | not)'
report ".charged.peak <= .limits.limit + .limits.margin"
# All of it takes 50 ms.
ran 0 done --heap-limit 24M --sample 2 "${json[@]}" "$programs/grow/grow.dll" 200 large 1 $rounds
grown $mb24 heap
report '.refused["heap limit"] > 0 and .refusals == .refused["heap limit"]'
DOTNET_gcConcurrent=0 ran 0 done --heap-limit 24M --sample 20 "${json[@]}" "$programs/grow/grow.dll" 200 objects 2 $rounds
grown $mb24 heap
DOTNET_gcServer=1 ran 0 done --limit 48M --sample 20 "${json[@]}" "$programs/grow/grow.dll" 200 arrays 2 $rounds
grown $mb48 all
DOTNET_GCName=clrgc.dll ran 0 done --heap-limit 24M --sample 20 "${json[@]}" "$programs/grow/grow.dll" 200 arrays 1 $rounds
grown $mb24 heap
report '.bridge.standalone_gc'

# It does not come near the limit.
ran 0 done --limit 400M "${json[@]}" "$programs/grow/grow.dll" 20
report '.refused == {} and .notifications.low == 0 and .bridge.heap_ranges > 0'

# What the collector ignores is not said to be in force, here either; and what the program sees is what is said of it.
DOTNET_GCHeapHardLimit=1000000 ran 0 done "${json[@]}" "$programs/memory/memory.dll" fill soh 40
grep -qx 'soh: 40 MiB fit' "$work/out" || wrong "a hard limit on x86: $(cat "$work/out")"
seen=$(sed -n 's/^filled: available \([0-9]*\) high \([0-9]*\)$/"available": \1, "high_load": \2/p' "$work/out")
report ".bridge.collector == {\"hard_limit\": null, \"owner\": \"nobody\", \"pending\": null, \"fixed\": false, \"beyond_start\": false, $seen}"

# A Low collects, but in no region.
ran 0 'regions: 2 of 2 entered, 2 kept' --limit 64M --soft 8M "${json[@]}" "$programs/memory/memory.dll" regions 2 12 1500
report '.notifications.low > 0'

# The ways to end: the program's, and its limit's.
ran 5 done --limit 400M "${json[@]}" "$programs/ending/ending.dll" return 5
host --raw "${json[@]}" "$programs/ending/ending.dll" throw
exception=$status
host --limit 32M "${json[@]}" "$programs/ending/ending.dll" memory
checks=$((checks + 2))
[ $status -eq "$exception" ] && [ $status -ne 0 ] || wrong "out of memory: status $status, not $exception"
grep -Eq '^hostmem-run: .*ending.dll: ended by OutOfMemoryException: [1-9][0-9]* commits were refused under its limit of 32.0M$' "$work/err" ||
    wrong "the line about the end: $(grep '^hostmem-run: ' "$work/err")"
report '.refused["task limit"] > 0 and .virtual_query.agrees'
finish "$arch"
