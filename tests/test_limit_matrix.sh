#!/usr/bin/env bash
# test_limit_matrix.sh --pairs | --runs N    HOSTMEM_RUN VERSION [COLLECTOR]
# test_limit_matrix.sh --list
#
# Who limits the heap, and what keeps it: a version of .NET x collector x workstation or server x the host's limit, of all or
# of the heap, or none x a lower one of the program's own, by environment, by runtimeconfig, in percent, or none. --runs: all
# cells of VERSION (and COLLECTOR), N times each. --pairs: those few cells of VERSION, once each, that have with those of the
# other versions every two values that occur together in any cell. --list shows these cells and that it is so.
#
# In each cell a program fills its heap, under hostmem-run, and raw with the least of the limits as its own. Of the managed
# runs that come to their end: the limit was met (less fits than without, and that by an OutOfMemoryException), not much
# less fits than may; the heap was at most at the least of the limits and one region; and that is what is said to be in
# force, whose it is, and what the program sees. Without any limit all fits. Under Wine a run dies or hangs now and then: they
# are counted, and managed may not be worse than raw in sum. (If it is, the cells with bad runs have more, of both.) Limits
# that are lowered and raised while a program runs: test_bridge_limits.
set -u -o pipefail

values() {
    local version collector mode host own
    for version in net8.0 net9.0 net10.0 net11.0; do
        for collector in own clrgc clrgcexp; do
            [ $version/$collector != net8.0/clrgcexp ] || continue   # there is none
            for mode in workstation server; do
                for host in limit heap-limit none; do
                    for own in environment runtimeconfig percent none; do
                        echo "$version $collector $mode $host $own"
                    done
                done
            done
        done
    done
}

# The cell with the most pairs that no cell before it has, until there is none.
pairs='
function news(cell, mark,   value, a, b, count) {
    split(cells[cell], value)
    count = 0
    for (a = 1; a < NF; a++)
        for (b = a + 1; b <= NF; b++)
            if (!((a, b, value[a], value[b]) in seen)) {
                count++
                if (mark) seen[a, b, value[a], value[b]]
            }
    return count
}
{ cells[NR] = $0 }
END {
    for (;;) {
        most = 0
        for (cell = 1; cell <= NR; cell++)
            if ((count = news(cell, 0)) > most) { most = count; best = cell }
        if (most == 0) exit
        news(best, 1)
        print cells[best]
    }
}'
count_pairs() {
    awk '{ for (a = 1; a < NF; a++) for (b = a + 1; b <= NF; b++) pair[a, b, $a, $b] }
         END { for (p in pair) n++; print n + 0 }'
}

usage() { sed -n '2,3s/^# /usage: /p' "$0" >&2; exit 2; }
case ${1:-} in
    --list)
        chosen=$(values | awk "$pairs")
        of=$(values | count_pairs)
        echo "$chosen"
        echo "$(wc -l <<< "$chosen") of $(values | wc -l) cells, $(count_pairs <<< "$chosen") of $of pairs"
        [ "$(count_pairs <<< "$chosen")" -eq "$of" ] && [ "$of" -gt 80 ]
        exit
        ;;
    --pairs) [ $# -eq 3 ] || usage; runs=1; cells=$(values | awk "$pairs" | grep "^$3 "); shift ;;
    --runs) [ $# -ge 4 ] || usage; runs=$2; cells=$(values | grep "^$4 ${5:+$5 }"); shift 2 ;;
    *) usage ;;
esac
arch=x86_64
run=$(readlink -f "$1")
version=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
. "$root/tests/support/run_checks.sh"
program=$clr/$version/memory
need "$program/memory.dll"
[ -n "$cells" ] || { echo "$test: no such cells: $*" >&2; exit 1; }
patience=60
[ "$version" != net8.0 ] || echo "$test: not run: $version clrgcexp: this version has no such collector"

MiB=1048576
HOST=64 OWN=40 REGION=4   # MiB
hex() { printf %x $(($1 * MiB)); }

# The program, with a limit in its configuration.
cp -rH "$program" "$work/configured" &&
    jq ".runtimeOptions.configProperties[\"System.GC.HeapHardLimit\"] = $((OWN * MiB))" "$program/memory.runtimeconfig.json" \
        > "$work/configured/memory.runtimeconfig.json" || { echo "$test: no copy of the program" >&2; exit 1; }

# one SIDE: a run of the cell, managed or raw; true if it came to its end. Sets fit (MiB), available.
one() {
    local folder=$program limit=() setting=()
    [ $collector = own ] || setting+=("DOTNET_GCName=$collector.dll")
    [ $mode = workstation ] || setting+=(DOTNET_gcServer=1)
    if [ "$1" = raw ] && [ $host != none ]; then
        setting+=("DOTNET_GCHeapHardLimit=$(hex $least)")
    else
        [ $host = none ] || limit=(--$host ${HOST}M)
        case $own in
            environment) setting+=("DOTNET_GCHeapHardLimit=$(hex $OWN)") ;;
            runtimeconfig) folder=$work/configured ;;
            percent) setting+=("DOTNET_GCHeapHardLimitPercent=$(printf %x $percent)") ;;
        esac
    fi
    [ "$1" = managed ] || limit=(--raw)
    ran_to_end=
    host_with "${limit[@]}" --json --report "$work/report.json" "$folder/memory.dll" fill soh $cap
    [ $status -eq 0 ] && grep -qx done "$work/out" || return
    fit=$(sed -n 's/^soh: \([0-9]*\) MiB fit$/\1/p' "$work/out")
    available=$(sed -n 's/^filled: available \([0-9]*\) high [0-9]*$/\1/p' "$work/out")
}
host_with() {
    local name
    for name in "${setting[@]}"; do export "${name?}"; done
    host "$@"
    for name in "${setting[@]}"; do unset "${name%%=*}"; done
}

# What has to be true of a managed run that has ended well.
check_managed() {
    local bytes=$((least * MiB)) owner=host
    [ $own = none ] || owner=program
    if [ $host/$own = none/none ]; then
        [ "$fit" -eq $cap ] || wrong "$cell: $fit MiB fit, without a limit"
        report '.refused == {} and .bridge.collector.hard_limit == null and .bridge.collector.owner == "nobody"'
        return
    fi
    [ "$fit" -le $least ] && [ "$fit" -ge $((least / 2)) ] || wrong "$cell: $fit MiB fit under $least"
    if [ $host/$own = none/percent ]; then
        bytes=$available
        [ $((available / MiB)) -eq $least ] || wrong "$cell: $available bytes are available, not $least MiB"
    fi
    [ "$available" -eq $bytes ] || wrong "$cell: the program sees $available bytes, not $bytes"
    report ".bridge.collector | .hard_limit == $bytes and .owner == \"$owner\" and .pending == null"
    report ".statistics.by_use[\"GC heap\"].peak <= $bytes + $((REGION * MiB)) and .bridge.collections.gen2 > 0"
}

managed_bad=0 raw_bad=0 bad_cells=()
# Runs a cell so many times on both sides, and counts.
run_cell() { # TIMES
    local side i good fits tried=$1
    percent=50
    least=$HOST
    case $own in environment | runtimeconfig) least=$OWN ;; percent) least=$((HOST / 2)) ;; esac
    if [ $host/$own = none/percent ]; then   # of the machine
        percent=1
        least=$(awk '/^MemTotal:/{printf "%d", $2 / 1024 / 100}' /proc/meminfo)
    fi
    cap=$((2 * least + 20))
    if [ $least -gt 800 ]; then
        echo "$test: not run: $cell: a hundredth of this machine is $least MiB"
        return
    fi
    local text="$cell:"
    [ $host/$own = none/none ] || text+=" $least MiB;"
    for side in managed raw; do
        good=0 fits=
        for i in $(seq "$tried"); do
            if one $side; then
                good=$((good + 1))
                fits+=" $fit"
                if [ $side = managed ]; then
                    checks=$((checks + 1))
                    check_managed
                elif [ $host/$own != none/none ] && [ "$fit" -ge $cap ]; then
                    wrong "$cell: raw, with the same limit, all fits"
                fi
            else
                eval "${side}_bad=\$((${side}_bad + 1))"
                echo "$test: $cell: a $side run is bad: status $status: $(head -n 1 "$work/err")"
            fi
        done
        text+=" $side $good of $tried,$fits MiB fit;"
        [ $good -eq "$tried" ] || bad_cells+=("$cell")
    done
    echo "${text%;}"
}

cells() { # TIMES CELL...
    local times=$1 cell
    shift
    for cell in "$@"; do
        read -r _ collector mode host own <<< "$cell"
        run_cell "$times"
    done
}

mapfile -t all <<< "$cells"
cells "$runs" "${all[@]}"
for more in 1 2 3; do
    [ $managed_bad -gt $raw_bad ] || break
    mapfile -t again < <(printf '%s\n' "${bad_cells[@]}" | sort -u)
    bad_cells=()
    echo "$test: managed is worse ($managed_bad to $raw_bad bad runs): once more, ${#again[@]} cells"
    cells 5 "${again[@]}"
done
echo "$test: bad runs: managed $managed_bad, raw $raw_bad"
[ $managed_bad -le $raw_bad ] || wrong "managed is worse than raw"
finish "$version ${3:-}: ${#all[@]} cells"
