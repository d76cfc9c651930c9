#!/usr/bin/env bash
# test_trace.sh HOSTMEM_RUN TRACE_CALLS [FRAMEWORK]
#
# Traces as a reader finds them that is not ours, the TraceEvent library (tests/trace/reader): without a FRAMEWORK of
# TRACE_CALLS, which knows how many calls it has made, also where events are lost, where bytes of the file are others, and
# where the process was killed; with net10.0, for instance, of real .NET programs, beside the accounting in the report of
# hostmem-run, which is counted independently.
set -u -o pipefail

[ $# -ge 2 ] || { echo "usage: test_trace.sh HOSTMEM_RUN TRACE_CALLS [FRAMEWORK]" >&2; exit 2; }
arch=x86_64
run=$(readlink -f "$1")
calls=$(readlink -f "$2")
framework=${3:-}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
. "$root/tests/support/run_checks.sh"
reader=$root/build/setup/trace-reader/reader.dll
need "$calls"
need "$reader"

windows() { echo "Z:${1//\//\\}"; }

# read_trace FILE: what the reader finds, into $work/trace.json; its status.
read_trace() { dotnet "$reader" "$1" > "$work/trace.json" 2> "$work/reader.err"; }

# found FILTER: jq's FILTER is true of what the reader found; $report is the report, where there is one.
found() {
    checks=$((checks + 1))
    [ -f "$work/report.json" ] || echo null > "$work/report.json"
    jq -e --slurpfile reports "$work/report.json" '$reports[0] as $report | . as $trace | '"$1" "$work/trace.json" \
        > "$work/jq" 2>&1 || wrong "in the trace it is not so that $1: $(head -c 300 "$work/jq")"
}

whole() {
    checks=$((checks + 1))
    read_trace "$1" || wrong "$(cat "$work/reader.err")"
}

# ------------------------------------------------------------------------------------------------------------------------

trace=$work/calls.nettrace
make_calls() { # STATUS LANE_EVENTS THREADS PAIRS [killed]; $took is how many milliseconds it took
    local expected=$1 started
    started=$(date +%s%3N)
    shift
    "$root/scripts/windows-run" "$arch" --timeout 120 "$calls" "$(windows "$trace")" "$@" > "$work/made" 2> "$work/err"
    local status=$?
    took=$(($(date +%s%3N) - started))
    checks=$((checks + 1))
    [ $status -eq "$expected" ] || wrong "trace_calls $*: status $status: $(head -n 3 "$work/err")"
}

hex() { od -An -v -tx1 "$@" | tr -d ' \n'; }

# flip FILE OFFSET: another byte there, in $work/flipped.
flip() {
    cp "$1" "$work/flipped"
    printf "\\x$(printf %02x $((0x$(hex -j "$2" -N 1 "$1") ^ 0x21)))" |
        dd of="$work/flipped" bs=1 seek="$2" conv=notrunc status=none
}

# differs OFFSET WHAT: with another byte there the reader fails, or finds something else.
differs() {
    checks=$((checks + 1))
    [ -n "$1" ] || { wrong "$2 was not found in the file"; return; }
    flip "$trace" "$1"
    if read_trace "$work/flipped" && cmp -s "$work/trace.json" "$work/good.json"; then
        wrong "another byte in $2 changes nothing"
    fi
}

# offset_of FILE HEX: where these bytes are first; nothing: nowhere.
offset_of() {
    local at
    for at in $(hex "$1" | grep -ob "$2" | cut -d: -f1); do
        [ $((at % 2)) -ne 0 ] || { echo $((at / 2)); return; }
    done
}

test_calls() {
    # With room for all of them each is there, and in its order.
    make_calls 0 32768 4 2000
    whole "$trace"
    found '.counts.Alloc == 8000 and .counts.Free == 8000 and .lost == 0 and (.counts.Lost // 0) == 0'
    found '.sums["Alloc.Committed"] == 8000 * 65536 and .sums["Free.Decommitted"] == 8000 * 65536'
    found '.sums["Free.Released"] == 8000 * 65536 and .failed == {} and .sorted and .threads >= 2'
    found '.calls.VirtualAlloc == [8000, 0] and .calls.VirtualFree == [8000, 0]'
    found ".milliseconds > 0 and .milliseconds <= $took"

    # A changed byte does not go unseen.
    cp "$work/trace.json" "$work/good.json"
    local address
    address=$(jq -r .firstAddress "$work/good.json" | sed 's/\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)/\8\7\6\5\4\3\2\1/')
    differs "$(offset_of "$trace" "$address")" "an address"
    differs "$(offset_of "$trace" "$(printf Committed | hex)")" "a field's name"
    differs "$(offset_of "$trace" "$(printf Hostmem | hex)")" "a provider's name"
    differs 7 "the magic"
    differs 12 "the version"
    differs 20 "the length of the first block"
    differs $(($(stat -c %s "$trace") - 1)) "the end of the stream"

    # A file that is cut off can be read to its last block, and is not taken for a whole one.
    local size
    size=$(stat -c %s "$trace")
    head -c $((size - 2)) "$trace" > "$work/cut"
    checks=$((checks + 1))
    read_trace "$work/cut" && wrong "a file without its end is read as if it were whole"
    found '.counts.Alloc == 8000 and .lost == 0'
    head -c $((size / 2)) "$trace" > "$work/cut"
    checks=$((checks + 1))
    read_trace "$work/cut" && wrong "half a file is read as if it were whole"
    found '(.counts.Alloc // 0) < 8000 and .lost == 0'

    # With room for hardly any, what is missing is missing in the sequences, and nothing else is.
    make_calls 0 4 4 2000
    whole "$trace"
    found '.lost > 1000 and .lost == .sums["Lost.Count"] and .counts.Lost > 0'
    found '.counts.Alloc + .counts.Free + .lost == 16000 and .counts.Alloc < 8000 and .sorted'
    found '.calls.VirtualAlloc == [8000, 0] and .calls.VirtualFree == [8000, 0]'

    # More threads than the writer keeps apart at once: their numbers begin anew, and so do the sequences.
    make_calls 0 2048 2000 2 waiting
    whole "$trace"
    found '.counts.Alloc == 4000 and .counts.Free == 4000 and .lost == 0 and .threads > 1900 and .sorted'

    # The process is killed: there is no end, and all before it.
    make_calls 9 2048 2 100000000 killed
    checks=$((checks + 1))
    read_trace "$trace" && wrong "a trace of a killed process has an end"
    found '.counts.Alloc > 100 and .counts.Sample >= 2 and .counts.Calls == null'
    found ".milliseconds > 1000 and .milliseconds <= $took"
}

# ------------------------------------------------------------------------------------------------------------------------

# The sum of a method's calls in the report, or of its failures.
in_report='def calls(m): [$report.calls[] | select(.method == m) | .calls] | add // 0;
    def failures(m): [$report.calls[] | select(.method == m) | .failures] | add // 0;
    def count(e): $trace.counts[e] // 0; def sum(f): $trace.sums[f] // 0;'

# The whole of a program: what it has come to is what the accounting says.
trace_program() { # ARGUMENTS...
    host --trace "$(windows "$work/program.nettrace")" --json --report "$(windows "$work/report.json")" "$@"
    whole "$work/program.nettrace"
}

adds_up() {
    found "$in_report"'count("Alloc") == calls("VirtualAlloc") and $trace.failed.Alloc // 0 == failures("VirtualAlloc")'
    found "$in_report"'count("Free") == calls("VirtualFree") and $trace.failed.Free // 0 == failures("VirtualFree")'
    found "$in_report"'sum("Alloc.Committed") - sum("Free.Decommitted") == $report.statistics.committed.now +
        $report.statistics.view_committed.now + $report.statistics.foreign_committed'
    found "$in_report"'count("Refusal") == $report.refusals and count("Overrun") == ($report.overruns.count + $report.heap_overruns.count)'
    found "$in_report"'count("Notification") == ([$report.notifications[]] | add)'
    found "$in_report"'[.calls | to_entries[] | . as $c | $c.value[0] <= calls($c.key)] | all'
    found '.lost == 0 and .sorted and .counts.Limits >= 1 and .counts.Sample >= 2 and .counts.RuntimeStarted == 1'
    found '.texts["RuntimeStarted.Version"] == [$report.runtime.version]'
    # The runtime is asked while the program runs, and once more at its end: the report has what it said last.
    found '.latest as $at | [$at["Sample.Gen0"], $at["Sample.Gen1"], $at["Sample.Gen2"]] ==
        ($report.bridge.collections | if . == null then [4294967295, 4294967295, 4294967295] else [.gen0, .gen1, .gen2] end)'
}

test_programs() {
    local churn=("$clr/$framework/churn/churn.dll" 3 14 6000)   # seconds, even where it is quick
    local -x DOTNET_GCgen0size=400000
    need "${churn[0]}"
    trace_program "${churn[@]}"
    [ $status -eq 0 ] || wrong "churn: status $status"
    adds_up
    found '$report.bridge.collections.gen0 > 0'

    # Refused, and notified.
    trace_program --limit 24M "$clr/$framework/grow/grow.dll" 64
    adds_up

    # With stacks: each event of a call has one, up to the start of its thread or to what the JIT has made; frames are found
    # in images (but of those that came in the last 50 ms), and coreclr.dll with its PDB.
    trace_program --stacks "${churn[@]}"
    adds_up
    dotnet "$reader" "$work/program.nettrace" "$work/program.etlx" > "$work/trace.json" 2> "$work/reader.err"
    found '.stacks == .counts.Alloc + .counts.Free + .counts.Region + .counts.RuntimeStarted'
    found '(.frames["?"] // 0) < .frames["coreclr.dll"] / 20 and .frames["coreclr.dll"] > 10 * .counts.Alloc / 2 and .frames["ntdll.dll"] > 0'
    found '.images["coreclr.dll"] | test("coreclr.pdb\\|[0-9a-f]{32}\\|[1-9]")'

    # All that can be asked for.
    trace_program --trace-all --trace-events 65536 --native-heap "${churn[@]}"
    [ $status -eq 0 ] || wrong "churn, with all: status $status"
    adds_up
    found "$in_report"'count("Protect") == calls("VirtualProtect")'
    # The report is read after the end of the trace, and other threads go on: of the trace's own moment.
    found "$in_report"'def about(n; m): n - m | fabs <= 4; count("BlockAlloc") > 1000 and
        about(count("BlockAlloc"); .calls.Alloc[0] - .calls.Alloc[1]) and about(count("BlockFree"); .calls.Free[0])'
}

# What makes no sense.
test_wrong() {
    need "$clr/net10.0/churn/churn.dll"
    said 2 '--stacks makes no sense without --trace' --stacks "$clr/net10.0/churn/churn.dll"
    said 2 '--trace makes no sense with --raw' --raw --trace x.nettrace "$clr/net10.0/churn/churn.dll"
    : > "$work/kept.txt"
    said 2 'power of 2 from 4 to 65536' --report "$(windows "$work/kept.txt")" --trace x.nettrace --trace-events 100 "$clr/net10.0/churn/churn.dll"
    [ -e "$work/kept.txt" ] || wrong "an option that is wrong has removed the report that was there"
    said 125 'the trace cannot be written there' --trace "$(windows "$work/no/such/folder/x.nettrace")" "$clr/net10.0/churn/churn.dll"
    mkdir "$work/app"
    cp -r "$clr/net10.0/churn/." "$work/app"
    said 2 'is a file of the program itself' --trace "$(windows "$work/app/churn.dll")" "$work/app/churn.dll"
    cmp -s "$clr/net10.0/churn/churn.dll" "$work/app/churn.dll" || wrong "the program is another now"
}

if [ -n "$framework" ]; then
    test_programs
    finish "real programs of $framework"
fi
test_wrong
test_calls
finish "of calls that are counted"
