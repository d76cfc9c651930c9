#!/usr/bin/env bash
# test_run_limits.sh ARCH HOSTMEM_RUN FRAMEWORK...
#
# Programs of net8.0 to net11.0 under the limits of hostmem-run: their output and status, the one line about their
# end, and what the report says of limits, refusals and pressure. (What the options refuse: test_run.sh.)
set -u -o pipefail

[ $# -ge 3 ] || { echo "usage: test_run_limits.sh ARCH HOSTMEM_RUN FRAMEWORK..." >&2; exit 2; }
arch=$1
run=$(readlink -f "$2")
shift 2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
. "$root/tests/support/run_checks.sh"

json=(--json --report "$work/report.json")

# .NET 11 under Wine: a thread that is suspended for an aggressive collection while memory runs out may die at once; the
# process then hangs, the runtime says that it cannot suspend it or what else it lacks, or a C++ exception (0xe06d7363) ends
# it. Not so on .NET 10, nor without such a collection; but so without us too, where the program asks for them itself: 12 of
# 60 on a busy machine. Once more, then, and not for ever.
host_again() {
    local try
    for try in 1 2 3 4 5 6; do
        host "$@"
        [ $status -eq 124 ] || [ $status -eq $((0x63)) ] || grep -q '^Fatal error' "$work/err" || return
        [ "$framework" = net11.0 ] || return
        echo "test_run_limits: status $status, try $try: a thread has died: $*"
    done
}

# on_err STATUS TEXT ARGUMENTS...: ends with STATUS; just one line on stderr is hostmem-run's, and TEXT is in it.
on_err() {
    local expected=$1 text=$2
    shift 2
    checks=$((checks + 1))
    host_again "$@"
    [ $status -eq "$expected" ] || wrong "status $status, not $expected: $*: $(head -n 3 "$work/err")"
    [ "$(grep -c '^hostmem-run: ' "$work/err")" -eq 1 ] || wrong "not one line of hostmem-run: $*: $(head -n 5 "$work/err")"
    grep '^hostmem-run: ' "$work/err" | grep -qF -e "$text" || wrong "the line lacks '$text': $*: $(head -n 5 "$work/err")"
}

statistics_agree() {
    report '.virtual_query.agrees and .virtual_query.quiet'
}

# A program that takes what it can get and lives with a refusal.
test_grow() { # PROGRAM
    ran 0 done --limit 64M "${json[@]}" "$1" 400
    [ ! -s "$work/err" ] || wrong "a program that lives with its limit: stderr has $(head -n 1 "$work/err")"
    [ "$(grep -c '^round .* stopped by OutOfMemoryException$' "$work/out")" -eq 2 ] || wrong "grow: $(cat "$work/out")"
    statistics_agree
    report '.limits == {"limit": 67108864, "task_limit": 67108864, "margin": 16777216, "soft": 58720256, "heap_limit": null, "process_soft": null, "fail_after": null}'
    report '.refused["task limit"] > 0 and .refusals == .refused["task limit"]'
    report '.charged.peak <= 67108864 + 16777216 and .charged.peak > 50e6 and .overruns.count == 0'
    report '.notifications.low >= 1'
    report '.bridge.started_charged > 500e3 and .bridge.started_charged < 16e6'
    report '[.bridge.functions[] | select(.function == "GlobalMemoryStatusEx")][0].calls > 0'

    # The heap alone: it has all of it, whatever code and tables take. Its collector keeps to it by itself.
    ran 0 done --heap-limit 64M --sample 20 "${json[@]}" "$1" 400
    [ "$(grep -c '^round .* stopped by OutOfMemoryException$' "$work/out")" -eq 2 ] || wrong "grow: $(cat "$work/out")"
    statistics_agree
    report '.limits == {"limit": null, "task_limit": null, "margin": 16777216, "soft": null, "heap_limit": 67108864, "process_soft": null, "fail_after": null}'
    report '.sampled.heap_peak <= 67108864 and .charged.peak > 67108864 * 0.9 and .charged.peak <= 67108864 + 16777216'
    report '.overruns.count == 0 and .heap_overruns.count == 0 and .notifications.low >= 1 and .refused == {}'

    # A program that has asked for less for itself has that, also where the runtime is told of a machine below 32 MiB only
    # after its start.
    rm -rf "$work/own"
    cp -rH "$(dirname "$1")" "$work/own"
    jq '.runtimeOptions.configProperties["System.GC.HeapHardLimit"] = 12000000' "$work/own/grow.runtimeconfig.json" > "$work/own.json" &&
        mv "$work/own.json" "$work/own/grow.runtimeconfig.json" || wrong "no runtimeconfig.json to change"
    for limit in 64M 14M 10M; do
        ran 0 done --heap-limit $limit --sample 20 "${json[@]}" "$work/own/grow.dll" 400
        grep -q '^round .* stopped by OutOfMemoryException$' "$work/out" || wrong "grow: $(cat "$work/out")"
        report '.refused == {} and .sampled.heap_peak <= 12000000 and .sampled.heap_peak <= .limits.heap_limit'
    done
    DOTNET_GCHeapHardLimit=b71b00 ran 0 done --heap-limit 64M --sample 20 "${json[@]}" "$1" 400
    report '.refused == {} and .sampled.heap_peak <= 12000000'

    # It does not come near this limit: nobody hears of it.
    ran 0 done --limit 1G "${json[@]}" "$1" 20
    report '.refused == {} and .notifications.low == 0 and .limits.limit == 1073741824'
    ran 0 done "${json[@]}" "$1" 20
    report '.limits.limit == null and .limits.soft == null and .notifications.low == 0'

    # Pressure without a limit.
    ran 0 done --soft 24M "${json[@]}" "$1" 60
    report '.limits.limit == null and .limits.soft == 25165824 and .refused == {} and .notifications.low >= 1'

    # The text report has it all, too.
    host --limit 64M --sample 20 --report "$work/report.txt" "$1" 400
    [ $status -eq 0 ] || wrong "text report: status $status"
    for line in '^  limits       64.0M, margin 16.0M, notified of low memory from 56.0M$' '^  in all  *[0-9]*\.[0-9]  *[0-9]*\.[0-9]$' \
        '^  refused      [1-9][0-9]* by task limit$' '^  notified     low [1-9].*, neutral .*, high ' \
        '^  sampled      [1-9][0-9]* times: committed at most [0-9.]*M, heap [0-9.]*M$' \
        '^  collector    hard limit 64.0M (host), available 64.0M, high load from ' \
        '^  collections  gen0 [1-9][0-9]*, gen1 [1-9][0-9]*, gen2 [1-9][0-9]*$'; do
        grep -q "$line" "$work/report.txt" || wrong "the text report lacks '$line'"
    done
}

# The report has what the program itself says of its collections.
test_collections() { # PROGRAM
    local said
    ran 0 done --limit 24M "${json[@]}" "$1" 2 14 40
    said=$(sed -n 's/^collections \([0-9]*\) \([0-9]*\) \([0-9]*\)$/"gen0": \1, "gen1": \2, "gen2": \3/p' "$work/out")
    report ".bridge.collections == {$said, \"at_end\": true} and .bridge.collections.gen0 > 0"
}

# Not even the start fits: one line, and no report of a program that did not run.
# no_start TEXT ARGUMENTS...: status 125 and one line of ours with TEXT; the runtime may say that it is out of memory, too.
no_start() {
    local text=$1
    shift
    checks=$((checks + 1))
    host "$@"
    [ $status -eq 125 ] || wrong "status $status, not 125: $*"
    [ "$(grep -c '^hostmem-run: ' "$work/err")" -eq 1 ] && grep -qF -e "$text" "$work/err" ||
        wrong "not one line of ours with '$text': $*: $(head -n 3 "$work/err")"
}

# leaving.dll, in $work/own beside the copy of PROGRAM and its runtime: it goes to another folder, and takes memory.
leaving_program() { # PROGRAM
    local folder=$(dirname "$1") kind
    cat > "$work/leaving.cs" << 'END'
static class Program
{
    private static void Main(string[] args)
    {
        System.IO.Directory.SetCurrentDirectory(args[0]);
        for (object[] last = null;;)
            last = new object[] { last, new byte[65536] };
    }
}
END
    csharp -r:"$folder/System.Private.CoreLib.dll" -r:"$folder/System.Runtime.dll" -out:"$work/own/leaving.dll" "$work/leaving.cs"
    for kind in runtimeconfig deps; do cp "$folder"/*.$kind.json "$work/own/leaving.$kind.json"; done
}

test_no_start() { # PROGRAM
    for limit in 1 64K 1M; do
        rm -f "$work/report.json"
        no_start "the runtime cannot start under a limit of " --limit $limit "${json[@]}" "$1" 400
        [ ! -e "$work/report.json" ] || wrong "--limit $limit: a program that did not start has left a report"
    done
    no_start "the runtime cannot start under a limit of 1.0M: its start takes " --limit 1M "$1" 400
    if [ "$arch" = x86_64 ]; then # the trace is there to its end: it says what the start has taken
        need "$root/build/setup/trace-reader/reader.dll"
        no_start "the runtime cannot start under a limit of 1.0M" --limit 1M --trace "$work/start.nettrace" "$1" 400
        dotnet "$root/build/setup/trace-reader/reader.dll" "$work/start.nettrace" > "$work/trace.json" 2>&1 &&
            jq -e '.counts.Alloc > 10' "$work/trace.json" > /dev/null || wrong "the trace of a start that does not fit: $(head -c 300 "$work/trace.json")"
    fi
    no_start "the runtime cannot start under a limit of 0.1M" --heap-limit 128K "$1" 400
    no_start "the runtime cannot start under a limit of 0.0M (200 bytes)" --limit 200 "$1" 400

    # What there is of a report is taken away from where it was begun, wherever the program has gone.
    local elsewhere=$work/own/elsewhere limit
    mkdir -p "$elsewhere"
    echo "somebody's" > "$elsewhere/report.txt"
    ran 0 done "${json[@]}" "$1" 5
    limit=$(($(jq .bridge.started_charged "$work/report.json") + 900000))
    leaving_program "$1"
    cd "$work/own" || exit 1
    no_start "the runtime cannot start under a limit of " --limit $limit --report report.txt leaving.dll elsewhere
    cd "$root" || exit 1
    [ ! -e "$work/own/report.txt" ] || wrong "a program that has gone elsewhere has left a report"
    grep -qx "somebody's" "$elsewhere/report.txt" || wrong "somebody else's file is gone"

    # What fails for another reason is not said to be the limit's.
    checks=$((checks + 1))
    for program in "$1" "$work/own/grow.dll"; do
        DOTNET_GCName=none.dll host --heap-limit 1G "$program" 400
        [ $status -ne 0 ] && ! grep -q "cannot start under a limit" "$work/err" ||
            wrong "a missing collector: status $status, $(head -n 2 "$work/err")"
    done
}

# The end is what it is under the collector's own limit, and its reason is said.
test_exhausted() { # PROGRAM
    local raw low='--soft 56M' lower='--soft 8M'
    [ "$framework" != net11.0 ] || { patience=25 low='--soft 64M' lower='--soft 32M'; } # no collection before the end
    DOTNET_GCHeapHardLimit=4000000 host --raw "${json[@]}" "$1" memory
    raw=$status
    [ $raw -ne 0 ] || wrong "the program is not ended by the collector's own limit"
    jq .exit "$work/report.json" > "$work/raw.exit"
    for options in "--limit 64M $low" "--limit 32M $lower --margin 4M"; do
        on_err "$raw" ": ended by OutOfMemoryException: " $options "${json[@]}" "$1" memory
        grep -Eq "^hostmem-run: .*ending.dll: ended by OutOfMemoryException: [1-9][0-9]* commits were refused under its limit of (64|32).0M$" "$work/err" ||
            wrong "the line about the end: $(grep '^hostmem-run: ' "$work/err")"
        statistics_agree
        report ".exit == $(jq -c . "$work/raw.exit")"
        report '.refused["task limit"] > 0 and .charged.peak <= .limits.limit + .limits.margin'
    done
    on_err "$raw" ": ended by OutOfMemoryException: its collector has a limit of 64.0M" --heap-limit 64M "${json[@]}" "$1" memory
    report '.refused == {}'
    DOTNET_GCHeapHardLimit=4000000 on_err "$raw" ": its collector has a limit of 64.0M, which the program has set" \
        --limit 400M "${json[@]}" "$1" memory
    DOTNET_GCName=clrgc.dll on_err "$raw" ": ended by OutOfMemoryException: " --limit 64M "${json[@]}" "$1" memory
    DOTNET_GCName=clrgc.dll on_err "$raw" ": its collector has a limit of 64.0M" --heap-limit 64M "${json[@]}" "$1" memory
    on_err "$raw" "commits were refused as --fail-after wants it" --fail-after 60 "${json[@]}" "$1" memory
    report '.refused["fail after"] > 0 and .limits.limit == null'

    # A program that ends by anything else did not end by its limit.
    host --limit 64M "${json[@]}" "$1" throw
    grep -q "OutOfMemoryException" "$work/err" && wrong "an InvalidOperationException is called an OutOfMemoryException"
    host --limit 64M "${json[@]}" "$1" return 5
    [ $status -eq 5 ] && [ ! -s "$work/err" ] || wrong "under a limit: status $status, stderr $(head -n 1 "$work/err")"
    patience=120
}

test_fail_after() { # PROGRAM
    ran 0 done --fail-after 40 "${json[@]}" "$1" 100
    grep -q 'stopped by OutOfMemoryException$' "$work/out" || wrong "--fail-after: $(cat "$work/out")"
    report '.limits.fail_after == 40'
    statistics_agree
    report '.refused["fail after"] > 0 and (.refused | keys) == ["fail after"]'
    ran 0 done --fail-after 1000000 "${json[@]}" "$1" 20
    report '.refused == {}'
    ran 0 done --fail-after 1000000 --process-soft 5G "$1" 20
    grep -qx '  limits       notified of low memory from a whole process of 5120.0M, the heap refused after 1000000 commits' "$work/err" ||
        wrong "the limits in the report: $(grep '^  limits' "$work/err")"
}

# Lines on stderr twice a second, while the program's output stays its own.
test_watch() { # PROGRAM
    local rounds=100 # seconds, in which nothing is refused: what is sampled once a second is seen
    local line='^watch: [0-9]+\.[0-9] s, committed [0-9]*\.[0-9]M of 64\.0M, load [0-9]*%, pressure (-|Low|Neutral|High)(, collections gen0 [0-9]+ gen1 [0-9]+ gen2 [0-9]+)?, refused [0-9]*, overruns [0-9]*$'
    ran 0 done --limit 64M --watch --sample 5 "${json[@]}" "$1" 48 arrays 2 $rounds
    [ "$(grep -cE "$line" "$work/err")" -ge 1 ] || wrong "--watch: no line: $(head -n 3 "$work/err")"
    [ "$(grep -cvE "$line" "$work/err")" -eq 0 ] || wrong "--watch: another line: $(grep -vE "$line" "$work/err" | head -n 3)"
    report '.bridge.collections.gen0 > 0'
    grep -q 'collections gen0 [1-9]' "$work/err" || wrong "--watch: no collections: $(cat "$work/err")"
    grep -q '^watch' "$work/out" && wrong "--watch writes to the output"
    [ "$(wc -l < "$work/out")" -eq $((rounds + 2)) ] || wrong "--watch: the output is not the program's: $(cat "$work/out")"
    report '.sampled.samples > 0 and .sampled.heap_peak > 0 and .sampled.heap_peak <= .limits.limit'
    report '.sampled.committed_peak <= .limits.limit + .limits.margin and .sampled.heap_peak <= .sampled.committed_peak'
    # Samples that come more rarely make lines no rarer.
    ran 0 done --limit 64M --watch --sample 60000 "${json[@]}" "$1" 48 arrays 2 $rounds
    [ "$(grep -cE "$line" "$work/err")" -ge 1 ] || wrong "--watch with --sample 60000: no line: $(head -n 3 "$work/err")"
    report 'has("sampled") | not'
    ran 0 done "${json[@]}" "$1" 5
    report 'has("sampled") | not'
    # The whole process is more than the runtime's part of it, and refuses nothing.
    ran 0 done --process-soft 20M "${json[@]}" "$1" 48 arrays 2 $rounds
    report '.limits.process_soft == 20971520 and .limits.limit == null and .process_used.peak > 20971520'
    report '.notifications.low >= 1 and .refusals == 0'
}

# fits KIND LEAST MOST: so many MiB of KIND did.
fits() {
    local fit
    checks=$((checks + 1))
    fit=$(sed -n "s/^$1: \([0-9]*\) MiB fit$/\1/p" "$work/out")
    [ "${fit:-0}" -ge "$2" ] && [ "${fit:-0}" -le "$3" ] || wrong "$1: ${fit:-none} MiB fit, not $2 to $3"
}

# told OWNER LIMIT FIXED: what is said to be in force is what the program sees.
told() {
    local seen
    seen=$(sed -n 's/^\(filled\|later\): available \([0-9]*\) high \([0-9]*\)$/"available": \2, "high_load": \3/p' "$work/out")
    report ".bridge.collector == {\"hard_limit\": $2, \"owner\": \"$1\", \"pending\": null, \"fixed\": $3, \"beyond_start\": false, $seen}"
    [ "$2" = null ] || report ".bridge.collector.available == $2"
}

# with_property NAME VALUE: $work/set/memory.dll, a copy of the program with that in its runtimeconfig.json.
with_property() { # PROGRAM NAME VALUE
    local config=memory.runtimeconfig.json
    [ -d "$work/set" ] || cp -rH "$(dirname "$1")" "$work/set"
    jq ".runtimeOptions.configProperties = {\"$2\": $3}" "$(dirname "$1")/$config" > "$work/$config" &&
        mv "$work/$config" "$work/set/$config" || wrong "no runtimeconfig.json to change"
}

# What holds is the least of the host's limit and the program's own, whichever way it has set that.
test_own_limits() { # PROGRAM
    local set=$work/set/memory.dll
    rm -rf "$work/set"
    for kind in soh loh; do
        local option=--limit
        [ $kind = soh ] || option=--heap-limit
        DOTNET_GCHeapHardLimit=6400000 ran 0 done $option 400M "${json[@]}" "$1" fill $kind 450
        fits $kind 80 100
        told program 104857600 false
        report '.refused == {} and .bridge.limit_refreshes == 1'
    done
    with_property "$1" System.GC.HeapHardLimit 104857600
    ran 0 done --limit 400M "${json[@]}" "$set" fill soh 450
    fits soh 80 100
    told program 104857600 false
    DOTNET_GCHeapHardLimitPercent=32 ran 0 done --limit 400M "${json[@]}" "$1" fill soh 450
    fits soh 170 200
    told program 209715200 false
    with_property "$1" System.GC.HeapHardLimitPercent 50
    ran 0 done --limit 400M "${json[@]}" "$set" fill soh 450
    fits soh 170 200
    told program 209715200 false

    # The host's is less: refused until the collector has been told.
    DOTNET_GCHeapHardLimit=19000000 ran 0 done --limit 100M "${json[@]}" "$1" fill soh 450
    fits soh 80 100
    told host 104857600 false

    # No limit of the host's, and none is cleared.
    DOTNET_GCHeapHardLimit=6400000 ran 0 done "${json[@]}" "$1" fill soh 200
    fits soh 80 100
    told program 104857600 false
    ran 0 done "${json[@]}" "$1" show
    told nobody null false

    # Limits of single heaps, and a size of the machine, stay as they are: beyond the host's is refused.
    DOTNET_GCHeapHardLimitSOH=6400000 DOTNET_GCHeapHardLimitLOH=6400000 DOTNET_GCHeapHardLimitPOH=6400000 \
        ran 0 done --limit 80M "${json[@]}" "$1" fill soh 200
    fits soh 50 80
    report '.refused["task limit"] > 0 and .notifications.low > 0 and .bridge.limit_refreshes == 0'
    report '.bridge.collector | .hard_limit == 314572800 and .owner == "program" and .pending == 83886080 and .fixed'
    DOTNET_GCTotalPhysicalMemory=10000000 ran 0 done --limit 100M "${json[@]}" "$1" fill soh 300
    fits soh 70 100
    report '.refused["task limit"] > 0 and .notifications.low > 0 and .bridge.limit_refreshes == 0'
    report '.bridge.collector | .hard_limit == 201326592 and .owner == "program" and .pending == 104857600 and .fixed'
}

# Segments: their collector has all of the limit from its start, hears of Low, and takes no other.
test_segments() { # PROGRAM
    export DOTNET_GCName=clrgc.dll
    for option in --limit --heap-limit; do
        ran 0 done $option 100M "${json[@]}" "$1" fill soh 200
        fits soh 80 100
        told host 104857600 true
        report '.notifications.low > 0 and .bridge.limit_refreshes == 0 and .bridge.standalone_gc'
    done
    DOTNET_GCHeapHardLimit=3200000 ran 0 done --limit 100M "${json[@]}" "$1" fill soh 200
    fits soh 40 50
    told program 52428800 true
    DOTNET_GCHeapHardLimitPercent=32 ran 0 done --limit 100M "${json[@]}" "$1" fill soh 200
    fits soh 40 50
    told program 52428800 true
    DOTNET_GCHeapHardLimit=19000000 ran 0 done --limit 100M "${json[@]}" "$1" fill soh 450
    fits soh 70 100
    report '.bridge.collector | .hard_limit == 419430400 and .owner == "program" and .pending == 104857600 and .fixed'
    unset DOTNET_GCName
}

# A no-GC region is not ended by what a Low asks for, and that comes when it is left.
test_regions() { # PROGRAM
    ran 0 'regions: 3 of 3 entered, 3 kept' --limit 200M "${json[@]}" "$1" regions 3 84 1500
    report '.notifications.low > 0 and .statistics.by_use["GC heap"].now < 40e6'
}

# A cache that trims itself at the high-load mark gets to it; under --heap-limit more often than to its limit. (Under --limit
# not so on a busy machine.)
test_cache() { # PROGRAM
    local trims refused
    for option in --limit --heap-limit; do
        ran 0 done $option 100M "${json[@]}" "$1" cache 150 60
        read -r trims refused < <(sed -n 's/^cache: \([0-9]*\) trims, \([0-9]*\) refused$/\1 \2/p' "$work/out")
        [ "${trims:-0}" -ge 3 ] && [ $((trims + refused)) -eq 60 ] || wrong "$option: $(head -n 1 "$work/out")"
        [ $option = --limit ] || [ "${refused:-99}" -lt "${trims:-0}" ] || wrong "$option: $(head -n 1 "$work/out")"
        report '.bridge.collector.high_load == 94371840'
    done
}

for framework in "$@"; do
    need "$clr/$framework/ending/ending.dll"
    need "$clr/$framework/grow/grow.dll"
    test_grow "$clr/$framework/grow/grow.dll"
    need "$clr/$framework/churn/churn.dll"
    test_collections "$clr/$framework/churn/churn.dll"
    test_no_start "$clr/$framework/grow/grow.dll"
    test_exhausted "$clr/$framework/ending/ending.dll"
    test_fail_after "$clr/$framework/grow/grow.dll"
    test_watch "$clr/$framework/grow/grow.dll"
    need "$clr/$framework/memory/memory.dll"
    test_own_limits "$clr/$framework/memory/memory.dll"
    test_segments "$clr/$framework/memory/memory.dll"
    test_regions "$clr/$framework/memory/memory.dll"
    # Under Wine collections of .NET 8 die in the cache (SuspendThread, error 5), without hostmem too.
    [ "$framework" = net8.0 ] || test_cache "$clr/$framework/memory/memory.dll"
done
finish "$arch $*"
