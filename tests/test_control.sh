#!/usr/bin/env bash
# test_control.sh ARCH HOSTMEM_RUN FRAMEWORK
#
# A program that runs under --control is asked for its accounting and given other limits, by a second hostmem-run. (What
# goes over the pipe, and who may open it: test_control.c.)
set -u -o pipefail

[ $# -eq 3 ] || { echo "usage: test_control.sh ARCH HOSTMEM_RUN FRAMEWORK" >&2; exit 2; }
arch=$1
run=$(readlink -f "$2")
framework=$3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
. "$root/tests/support/run_checks.sh"
program=$clr/$framework/memory/memory.dll
need "$program"
need "$clr/$framework/churn/churn.dll"

# start ARGUMENTS...: a program that runs on; sets `process`, its id to Windows, and `job`.
start() {
    : > "$work/program.err" # the one before had another id
    : > "$work/program.out"
    "$root/scripts/windows-run" "$arch" --timeout "$patience" "$run" --json --report "$work/end.json" "$@" \
        < /dev/null > "$work/program.out" 2> "$work/program.err" &
    job=$!
    process=
    for _ in {1..300}; do
        process=$(sed -n 's/^hostmem-run: takes new limits: hostmem-run --set \([0-9]*\) --limit SIZE\r*$/\1/p' "$work/program.err")
        [ -z "$process" ] || return
        sleep 0.1
    done
    wrong "no line says how to set limits: $(head -n 3 "$work/program.err")"
}

# As the program is now: $work/report.json.
get() {
    checks=$((checks + 1))
    host --get "$process"
    [ $status -eq 0 ] && [ ! -s "$work/err" ] || wrong "--get: status $status: $(head -n 3 "$work/err")"
    cp "$work/out" "$work/report.json"
}

set_limits() { # ARGUMENTS...
    checks=$((checks + 1))
    host --set "$process" "$@"
    [ $status -eq 0 ] && [ ! -s "$work/err" ] && [ ! -s "$work/out" ] || wrong "--set $*: status $status: $(head -n 3 "$work/err")"
}

ended() { # STATUS
    checks=$((checks + 1))
    wait $job
    status=$?
    [ $status -eq "$1" ] || wrong "the program ended with $status: $(head -n 3 "$work/program.err")"
    tr -d '\r' < "$work/program.out" > "$work/out"
    cp "$work/end.json" "$work/report.json"
}

# With no limit at first; the program sees those that it gets.
start --control "$program" show 20
until tr -d '\r' < "$work/program.out" | grep -q '^at start: '; do
    kill -0 $job 2> /dev/null || break
    sleep 0.2
done
get
report '.exit == {"how": "running", "status": null} and .mode == "bridge"'
report '.limits == {"limit": null, "task_limit": null, "margin": 0, "soft": null, "heap_limit": null, "process_soft": null, "fail_after": null}'
report '.statistics.by_use["GC heap"].now > 100e3 and .regions != [] and (.runtime.path | endswith("coreclr.dll"))'
set_limits --limit 300M --heap-limit 150M
set_limits --heap-limit=100M
get
report '.limits == {"limit": 314572800, "task_limit": 314572800, "margin": 16777216, "soft": 275251200, "heap_limit": 104857600, "process_soft": null, "fail_after": null}'
said 125 "$process: these limits make no sense; nothing was changed (0x80070057)" --set "$process" --soft 301M --heap-limit 50M
ended 0
grep -q '^later: available 104857600 ' "$work/out" || wrong "what the program saw: $(cat "$work/out")"
report '.exit.how == "return" and .limits.limit == 314572800 and .limits.heap_limit == 104857600 and .limits.soft == 275251200'
report '.virtual_query.agrees'
said 125 "$process: no hostmem-run with --control has this process id" --get "$process"
said 125 "$process: no hostmem-run with --control has this process id" --set "$process" --limit none

# The program's end is not held up by those who ask just then: each gets an answer, or a line.  (One that runs under
# hostmem-run has started this one.)
HOSTMEM_RUN_PROGRAM='Z:\app.dll' start --control "$program" show 5
while kill -0 $job 2> /dev/null; do
    host --get "$process"
    if [ $status -eq 0 ]; then
        jq -e '.exit.how == "running"' "$work/out" > /dev/null || wrong "--get, status 0: $(head -c 300 "$work/out")"
    else
        [ $status -eq 125 ] && [ "$(wc -l < "$work/err")" -eq 1 ] || wrong "--get: status $status: $(head -n 3 "$work/err")"
    fi
done
ended 0
report '.exit == {"how": "return", "status": 0} and .virtual_query.agrees'

# A limit from outside is what the line about an end by it tells of, and it does not end the program as one that it cannot
# start under.
# (.NET 11 under Wine: not so; a thread that is suspended while memory runs out dies at once.)
[ "$framework" != net11.0 ] || finish "$arch $framework"
start --control "$clr/$framework/churn/churn.dll" 2 15 100000
sleep 3
set_limits --limit 3M
ended 82
grep -Eq '^hostmem-run: .*churn.dll: ended by OutOfMemoryException: [1-9][0-9]* commits were refused under its limit of 3.0M' "$work/program.err" ||
    wrong "the line about the end: $(cat "$work/program.err")"
report '.exit.how == "unhandled exception" and .refused["task limit"] > 0 and .limits.limit == 3145728'
finish "$arch $framework"
