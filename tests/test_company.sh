#!/usr/bin/env bash
# test_company.sh HOSTMEM_RUN SUPPORT FRAMEWORK...      SUPPORT: the folder of profiler.dll, debugger.exe, diagnostics.exe
#
# A bound runtime is not alone: a profiler from its start on, one that hooks the same imports later, EventPipe, a tool at
# the diagnostics port, a debugger. The program does what it does without them, under its limit, and the report adds up.
set -u -o pipefail

[ $# -ge 3 ] || { echo "usage: test_company.sh HOSTMEM_RUN SUPPORT FRAMEWORK..." >&2; exit 2; }
arch=x86_64
run=$(readlink -f "$1")
support=$(readlink -f "$2")
shift 2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
. "$root/tests/support/run_checks.sh"
for file in profiler.dll debugger.exe diagnostics.exe; do need "$support/$file"; done

windows() { echo "Z:${1//\//\\}"; }
arguments=(3 14 20)
json=(--limit 96M --process --json --report "$work/report.json")

# The program's own output is what it was alone; the report is in order; at least so many calls came from the runtime.
as_alone() { # WHAT
    checks=$((checks + 1))
    [ $status -eq 0 ] || wrong "$1: status $status: $(head -n 3 "$work/err")"
    grep -v '^collections ' "$work/out" | cmp -s - "$work/alone" || wrong "$1: the output differs: $(diff "$work/out" "$work/alone" | head -n 3)"
    "$root/scripts/check-report" "$work/report.json" --calls 100 || wrong "$1: a wrong report"
    report '.bridge.heap_found and .bridge.heap_ranges > 0 and .refusals == 0'
}

test_profiler() { # PROGRAM
    local numbers
    export CORECLR_ENABLE_PROFILING=1 CORECLR_PROFILER='{12345678-1234-1234-1234-123456789abc}'
    CORECLR_PROFILER_PATH=$(windows "$support/profiler.dll")
    export CORECLR_PROFILER_PATH
    host "${json[@]}" "$1" "${arguments[@]}"
    as_alone "a profiler"
    numbers=$(sed -n 's/^profiler: //p' "$work/err")
    [[ $numbers =~ ^([0-9]+)\ modules,\ ([0-9]+)\ collections,\ 0\ allocations ]] && [ "${BASH_REMATCH[1]}" -gt 2 ] && [ "${BASH_REMATCH[2]}" -gt 0 ] ||
        wrong "the profiler was told '$numbers'"

    # It hooks what the bridge has hooked: each call comes to it, and then to the manager.
    export PROFILER_HOOKS=1
    host "${json[@]}" "$1" "${arguments[@]}"
    as_alone "a later hook"
    numbers=$(sed -n 's/^profiler: .* collections, \([0-9]*\) allocations.*/\1/p' "$work/err")
    [ "${numbers:-0}" -gt 100 ] || wrong "the later hook saw '$numbers' allocations"
    report '([.bridge.functions[] | select(.module == "coreclr" and .function == "VirtualAlloc")][0].calls) >= '"${numbers:-0}"
    unset PROFILER_HOOKS CORECLR_ENABLE_PROFILING CORECLR_PROFILER CORECLR_PROFILER_PATH
}

test_event_pipe() { # PROGRAM
    rm -f "$work/trace.nettrace"
    DOTNET_EnableEventPipe=1 DOTNET_EventPipeConfig=Microsoft-Windows-DotNETRuntime:0x1:4 \
        DOTNET_EventPipeOutputPath=$(windows "$work/trace.nettrace") host "${json[@]}" "$1" "${arguments[@]}"
    as_alone "EventPipe"
    [ "$(head -c 8 "$work/trace.nettrace" 2> /dev/null)" = Nettrace ] && [ "$(stat -c %s "$work/trace.nettrace")" -gt 2000 ] ||
        wrong "EventPipe has written no trace"
}

# Somebody asks at the port while the program waits; Ctrl-C lets it go on.
test_diagnostics() { # PROGRAM
    set -m
    "$root/scripts/windows-run" $arch "$run" "${json[@]}" "$1" wait 60 < /dev/null > "$work/out" 2> "$work/err" &
    local pid=$!
    for _ in $(seq 300); do
        grep -q waiting "$work/out" && break
        sleep 0.1
    done
    "$root/scripts/windows-run" $arch --timeout 60 "$support/diagnostics.exe" 20 > "$work/asked" 2>&1 ||
        wrong "the diagnostics port: $(cat "$work/asked")"
    kill -INT $pid
    wait $pid
    status=$?
    set +m
    checks=$((checks + 1))
    [ "$(sed -n 's/^diagnostics: \([0-9]*\) bytes.*/\1/p' "$work/asked")" -gt 60 ] || wrong "the diagnostics port: $(cat "$work/asked")"
    [ $status -eq 7 ] || wrong "a tool at the diagnostics port: status $status"
    "$root/scripts/check-report" "$work/report.json" --calls 100 || wrong "a tool at the diagnostics port: a wrong report"
}

test_debugger() { # PROGRAM
    local hostmem_run=$run
    run=$support/debugger.exe
    host "$(windows "$hostmem_run")" "${json[@]}" "$1" "${arguments[@]}"
    run=$hostmem_run
    as_alone "a debugger"
    grep -Eq '^debugger: [0-9]{2,} libraries, [0-9]+ threads, ' "$work/err" || wrong "a debugger: $(cat "$work/err")"
}

for framework in "$@"; do
    program=$clr/$framework/churn/churn.dll
    need "$program"
    host "${json[@]}" "$program" "${arguments[@]}"
    [ $status -eq 0 ] || wrong "alone: status $status: $(head -n 3 "$work/err")"
    grep -v '^collections ' "$work/out" > "$work/alone"
    test_profiler "$program"
    test_event_pipe "$program"
    test_diagnostics "$clr/$framework/ending/ending.dll"
    test_debugger "$program"
done
finish "$*"
