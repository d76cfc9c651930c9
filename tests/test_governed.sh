#!/usr/bin/env bash
# test_governed.sh [--steps N] HOSTMEM_RUN VERSION PROGRAM [NAME=VALUE...]
#
# A real .NET program under limits, in N steps (4) from more than it takes freely down to what the start of its runtime takes
# and 2 MB. At each limit it has to end in one of two ways: with the output that it has without a limit, or by an
# OutOfMemoryException that it has handled, or that ended it and hostmem-run has told so. In either case the heap was
# never above the limit and all of it never above limit and margin, but for counted overruns: by the statistics, and
# by VirtualQuery as a sampling thread saw it. The growing program holds 70 % of what the limit leaves for heap. The
# churning program gets along with less than two thirds of what it takes freely, and gives the same output there as
# under DOTNET_GCHeapHardLimit of that size (on x86 with five sixths: no collector there has a hard limit, and each takes
# more). Below all that, hostmem-run says why there is no start.
# (GROW_KIND=large is what the growing program holds, instead of arrays.)
#
# What the raw runtime does as well, under DOTNET_GCHeapHardLimit of the same size (under Wine 8.0, .NET 8 dies or hangs now
# and then when memory runs out), is told, and is no fault of ours.
#
# The table is for reading: limit, how it ended, collections where the program tells, seconds, peak commit, overruns.
set -u -o pipefail

steps=4
if [ "${1:-}" = --steps ]; then steps=$2; shift 2; fi
[ $# -ge 3 ] || { echo "usage: test_governed.sh [--steps N] HOSTMEM_RUN VERSION PROGRAM [NAME=VALUE...]" >&2; exit 2; }
run=$1
version=$2
program=$3
shift 3
settings=("$@")
arch=x86_64 patience=60 share=2/3   # seconds; of what it takes freely
case $version in *-x86) arch=x86 patience=240 share=5/6 ;; esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
dll=$root/build/setup/clr/$version/$program/$program.dll
what="$program on $version ${settings[*]}"
fail() { echo "test_governed: $what: $*" >&2; exit 1; }
[ -f "$dll" ] || fail "$dll is missing: run scripts/setup clr"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
wrong() { echo "test_governed: WRONG: $what: $*" >&2; failures=$((failures + 1)); }

kind=arrays   # of what the growing program holds
for setting in "${settings[@]}"; do
    case $setting in GROW_KIND=*) kind=${setting#*=} ;; esac
done
case $program in
    churn) arguments=(4 15 150) ;;
    grow) arguments=(160 $kind) ;;
    compile) arguments=(20) ;;
    *) arguments=() ;;
esac

MANAGED_EXCEPTION=$((0xE0434352 & 255))   # all that Wine leaves of a status
TIMEOUT=124

# host NAME OPTIONS...: output in NAME, error stream in NAME.err, report in NAME.json; sets `status` and `seconds`.
host() {
    local name=$1 began
    shift
    began=$(date +%s%N)
    env DOTNET_EnableWriteXorExecute=0 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 "${settings[@]}" \
        "$root/scripts/windows-run" $arch --timeout $patience "$run" "$@" --json --report "$work/$name.json" "$dll" \
        "${arguments[@]}" > "$work/$name.raw" 2> "$work/$name.err" < /dev/null
    status=$?
    seconds=$(awk "BEGIN {printf \"%.2f\", ($(date +%s%N) - $began) / 1e9}")
    tr -d '\r' < "$work/$name.raw" > "$work/$name"
}
figure() { jq -r "$2" "$work/$1.json" 2> /dev/null || echo 0; }

# What differs from run to run.
stable() { sed -E "/^collections /d; s/held [0-9]+ bytes, stopped by .*/held/" "$work/$1"; }

# A memory that has run out ended the program: told by us, told by the runtime, or handled by the program.
out_of_memory() { # NAME STATUS
    grep -qE "OutOfMemoryException|Out of memory" "$work/$1.err" "$work/$1" && [ "$2" -ne $TIMEOUT ] &&
        ! grep -qE "0x80131506|AccessViolation" "$work/$1.err"
}

# Does the raw runtime fare like that, too, with a hard limit of the same size: hang, or die of the same?
deadly() { grep -oE "0x80131506|AccessViolation" "$work/$1.err" | head -n 1; }
raw_fares_alike() { # BYTES
    local theirs=$status death size try
    death=$(deadly run)
    [ $theirs -eq $TIMEOUT ] || [ -n "$death" ] || return 1
    for try in $(seq 8); do
        for size in $1 $(($1 * 3 / 4)); do
            DOTNET_GCHeapHardLimit=$(printf %x "$size") host raw --raw
            if [ $theirs -eq $TIMEOUT ]; then
                [ $status -ne $TIMEOUT ] || return 0
            else
                [ -z "$(deadly raw)" ] || return 0
            fi
        done
    done
    return 1
}

host free --sample 5
[ $status -eq 0 ] && grep -q "^done" "$work/free" || fail "without a limit: status $status: $(head -n 3 "$work/free.err")"
free=$(figure free .charged.peak)
start=$(figure free .bridge.started_charged)
[ "$free" -gt 0 ] && [ "$start" -gt 0 ] || fail "no figures without a limit"
row() { printf '%-14s %-28s %-14s %8s %12s %9s\n' "$@"; }
echo "$what: freely $free bytes, its start $start"
row "limit" "outcome" "collections" "seconds" "peak" "overruns"
row "none" "same output" "$(sed -n 's/^collections //p' "$work/free")" "$seconds" "$free" 0

# governed LIMIT: one run and what has to be true of it; sets `outcome`.
governed() {
    local limit=$1 margin overrun charged collections took
    host run --limit "$limit" --sample 5
    ours=$status
    took=$seconds
    collections=$(sed -n 's/^collections //p' "$work/run")
    charged=$(figure run .charged.peak)
    margin=$(figure run .limits.margin)
    overrun=$(figure run .overruns.peak)
    outcome=wrong
    if [ $status -eq 0 ] && cmp -s <(stable run) <(stable free); then
        outcome="same output"
    elif [ $status -ne 0 ] && out_of_memory run $status; then
        outcome="OutOfMemoryException"
        [ $status -ne $MANAGED_EXCEPTION ] || grep -qE "^hostmem-run: .*ended by .* [0-9]+ commits were refused" "$work/run.err" ||
            wrong "limit $limit: nobody was told that the limit has ended it"
    elif raw_fares_alike "$limit"; then
        outcome="as raw: status $ours"
    else
        wrong "limit $limit: status $ours: $(grep -v "^wine:" "$work/run.err" | head -n 4)"
    fi
    row "$limit" "$outcome" "$collections" "$took" "$charged" "$(figure run .overruns.count)"
    case $outcome in wrong | as\ raw*) return 1 ;; esac
    [ "$charged" -le $((limit + margin + overrun)) ] || wrong "limit $limit: $charged bytes were charged"
    [ "$(figure run .sampled.heap_peak)" -le "$limit" ] || wrong "limit $limit: $(figure run .sampled.heap_peak) of heap"
    [ "$(figure run .sampled.committed_peak)" -le $((limit + margin + overrun)) ] ||
        wrong "limit $limit: $(figure run .sampled.committed_peak) bytes committed, says VirtualQuery"
    jq -e '.sampled.samples > 0 and .virtual_query.agrees' "$work/run.json" > /dev/null || wrong "limit $limit: VirtualQuery does not agree"
}

lowest=$((start + 2 * 1048576))
highest=$((free * 5 / 4))
for step in $(seq 0 $((steps - 1))); do
    governed $((highest - (highest - lowest) * step / (steps - 1)))
    case $step/$outcome in 0/wrong | 0/OutOf*) false ;; esac || wrong "more than it takes freely is not enough: $outcome"
done

if [ $program = grow ]; then
    limit=$((free / 3))
    if governed $limit; then
        held=$(sed -n 's/^round 1: held \([0-9]*\) bytes, stopped by OutOfMemoryException$/\1/p' "$work/run")
        rest=$(($(figure run .sampled.committed_peak) - $(figure run .sampled.heap_peak)))
        [ "$rest" -ge 0 ] && [ "${held:-0}" -ge $(((limit - rest) * 7 / 10)) ] ||
            wrong "limit $limit, $rest of it no heap: held ${held:-nothing}"
    fi
fi
if [ $program = churn ]; then
    limit=$((free * $share))
    governed $limit
    [ "$outcome" = "same output" ] || wrong "$share of what it takes freely are not enough: $outcome"
    managed=$seconds   # raw runs are made after failures only
    DOTNET_GCHeapHardLimit=$(printf %x $limit) host hard --raw
    row "hard limit" "status $status" "$(sed -n 's/^collections //p' "$work/hard")" "$seconds" "" ""
    cmp -s <(stable run) <(stable hard) || wrong "another output than under DOTNET_GCHeapHardLimit"
    echo "seconds, our limit / DOTNET_GCHeapHardLimit: $managed / $seconds"
fi

host below --limit 1M
[ $status -eq 125 ] && [ "$(grep -c "^hostmem-run: .*the runtime cannot start under a limit of 1.0M" "$work/below.err")" -eq 1 ] ||
    wrong "a limit of 1 MB: status $status: $(head -n 3 "$work/below.err")"
[ $failures -eq 0 ] || exit 1
echo "test_governed: $what: ok"
