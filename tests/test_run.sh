#!/usr/bin/env bash
# test_run.sh ARCH HOSTMEM_RUN STANDIN_MSCOREE [FRAMEWORK...]
#
# hostmem-run as its users see it: output, exit status, and the one line that it says when something is wrong. Without a
# FRAMEWORK: the command line, every refusal, and .NET Framework with a stand-in for mscoree.dll. With net8.0, net9.0,
# net10.0 or net11.0: every way in which a program of that framework can end, what passes through, and the report.
set -u -o pipefail

[ $# -ge 3 ] || { echo "usage: test_run.sh ARCH HOSTMEM_RUN STANDIN_MSCOREE [FRAMEWORK...]" >&2; exit 2; }
arch=$1
run=$(readlink -f "$2")
standin=$(readlink -f "$3")
shift 3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
. "$root/tests/support/run_checks.sh"
need "$standin"

# What must be true of every report with --process: nothing unexplained, the same totals three times.
report_adds_up() {
    report '.virtual_query.agrees and .virtual_query.quiet and .heaps_walked'
    report '([.regions[] | select(.kind == "private") | .reserved] | add // 0) == .statistics.reserved.now'
    report '([.regions[] | select(.kind == "private") | .committed] | add // 0) == .statistics.committed.now'
    report '.virtual_query.committed == .statistics.committed.now'
    report '.process[] | select(.kind == "owned") | .regions == '"$(jq .statistics.regions "$work/report.json")"
    report '([.process[] | select(.kind == "owned") | .committed] | add // 0) == .statistics.committed.now'
    report '([.regions[].base | test("^0x[0-9a-f]{16}$")] | all) and ([.regions[].base] | . == sort)'
    if [ "$arch" = x86 ] && [ -f "$root/build/setup/qemu-i386" ]; then
        echo "test_run: not run: that the metadata is found and a module refers to every other region: ReadProcessMemory fails under the emulator"
    else
        report '[.other[] | select(.referenced_by == "")] == []'
        report '.statistics.metadata as $ours | .process[] | select(.kind == "metadata") | .committed >= $ours and .committed <= $ours + 262144'
    fi
}

# poke FILE OFFSET BYTE...: overwrites bytes.
poke() {
    local file=$1 offset=$2
    shift 2
    printf "$(printf '\\x%02x' "$@")" | dd of="$file" bs=1 seek="$offset" conv=notrunc status=none
}

# offset_of FILE REGEXP: of the first match of bytes.
offset_of() { LC_ALL=C grep -obUaP -m1 "$2" "$1" | head -n 1 | cut -d: -f1; }

# ------------------------------------------------------------------------------------------------------------------------
# The command line, and what is refused.

framework_assembly() { # OUT OPTIONS...
    local out=$1
    shift
    csharp -target:library -warnaserror -runtimemetadataversion:v4.0.30319 "$@" -out:"$out" "$root/tests/support/run_framework.cs"
}

test_command_line() {
    local option
    checks=$((checks + 1))
    grep -qa "<longPathAware .*>true</longPathAware>" "$run" || wrong "the program has no manifest for long paths"
    said 2 "no program given"
    said 2 "no program given" --raw
    said 2 "no program given" --
    said 2 "no program given" "" x.dll
    said 2 "unknown option --bogus" --bogus x.dll
    said 2 "--report needs a value" --report
    said 2 "--report needs a value" --report "" x.dll
    said 2 "--report is given twice" --report a --report b x.dll
    said 2 "--known-runtime makes no sense with --raw" --raw --known-runtime x.dll
    said 2 "--native-heap makes no sense with --raw" --raw --native-heap x.dll
    said 2 "--mscoree wants an absolute path" --mscoree x.dll y.dll
    test_limit_options
    for option in --help -h '-?'; do
        ran 0 "usage: hostmem-run [options] app.exe|app.dll [arguments]" $option
    done
    ran 0 "hostmem-run $hostmem_version" --version
    for option in --help --version; do unwritten 125 $option; done
}

test_limit_options() {
    local option value
    for value in abc 0 0M M 5X 5KBs -5 +5 1.5G '5 ' ' 5' 0x10 99999999999999999999 9999999999G; do
        said 2 "--limit wants a size above 0 such as 200M, not '$value'" --limit "$value" x.dll
    done
    for option in --limit --heap-limit --soft --margin; do
        said 2 "$option needs a value" $option
        said 2 "$option wants a size above 0 such as 200M, not '0k'" $option 0k x.dll
    done
    for option in --fail-after --sample; do
        said 2 "$option needs a value" $option
        for value in abc 0 5M; do
            said 2 "$option wants a number above 0, not '$value'" $option "$value" x.dll
        done
        said 2 "$option is given twice" $option 5 $option 5 x.dll
    done
    said 2 "--limit is given twice" --limit 5M --limit 5M x.dll
    said 2 "--heap-limit is given twice" --heap-limit 5M --heap-limit 5M x.dll
    said 2 "--soft is above --limit" --limit 5M --soft 6M x.dll
    said 2 "--margin makes no sense without --limit" --heap-limit 5M --margin 5M x.dll
    said 2 "--soft is above --limit" --soft 5242881 --limit 5M x.dll
    said 2 "--margin makes no sense without --limit" --margin 5M x.dll
    for option in '--limit 5M' '--heap-limit 5M' '--soft 5M' --control --watch '--sample 5' '--fail-after 5' --regions '--trace x' '--margin 5'; do
        said 2 "${option% *} makes no sense with --raw: there is no manager then" --raw $option x.dll
    done
    said 2 "--set and --get: one at a time" --set 4 --get 4
    said 2 "--set wants a number above 0, not 'me'" --set me --limit 5M
    said 2 "--set wants limits to set, such as --limit 200M" --set 4
    said 2 "--set goes with limits only" --set 4 --limit 5M --json
    said 2 "--set: no process has such an id" --set 4294967296 --limit 5M
    said 2 "--get goes with no other option" --get 4 --limit 5M
    said 2 "--get goes with no other option" --get 4 --trace a.nettrace
    said 2 "--set goes with limits only" --set 4 --limit 5M --trace-events 64
    said 2 "--get runs no program, and 'x.dll' follows" --get 4 x.dll
    said 2 "--get runs no program, and '' follows" --get 4 "" x.dll
    said 2 "'none' is for a limit that --set takes away" --limit none x.dll
    said 125 "4: no hostmem-run with --control has this process id" --set 4 --heap-limit none
    said 2 "unknown option --job" --limit 5M --job x.dll
    said 2 "unknown option --limits=5M" --limits=5M x.dll
    said 2 "--json takes no value" --json=1 x.dll
    said 2 "--limit needs a value" --limit= x.dll
    said 2 "--limit is given twice" --limit=5M --limit 5M x.dll
    said 2 "--limit wants a size above 0 such as 200M, not '5MBs'" --limit=5MBs x.dll
    said 2 "--limit wants a size above 0 such as 200M, not '5B'" --limit 5B x.dll
    local size
    for size in 5m 5MB 5mb 5MiB 5mib 5120K 5120kb 5120KiB 5242880; do
        said 2 "--soft is above --limit" --limit=$size --soft=5242881 x.dll
    done
    said 2 "--soft is above --limit" --limit 1GiB --soft 1025MB x.dll
    HOSTMEM_RUN_PROGRAM='Z:\app.dll' said 2 "no program given (try --help) (started by Z:\app.dll, which hostmem-run runs: its Environment.ProcessPath is hostmem-run.exe)"
}

test_files() {
    local other_machine other_name own_name
    case $arch in
        x86_64) own_name=x86-64 other_name=x86 other_machine=x86 ;;
        x86) own_name=x86 other_name=x86-64 other_machine=x64 ;;
    esac

    said 125 "missing.exe: no such file" "$work/missing.exe"
    said 125 "is a folder, not a program" "$work"
    local long
    long=C:\\$(printf 'a%.0s' {1..2000})
    said 125 "$long: no such file" "$long"
    echo "not a program" > "$work/text.exe"
    said 125 "is not a Windows program" "$work/text.exe"
    : > "$work/empty.exe"
    said 125 "is not a Windows program" "$work/empty.exe"
    head -c 200 "$run" > "$work/cut.exe"
    said 125 "is not a Windows program" "$work/cut.exe"
    said 125 "is a native program, not a .NET program" "$run"
    said 125 "is a native DLL, not a .NET program" "$standin"
    need "$(dirname "$standin")/run_native_aot.exe"
    said 125 "is a NativeAOT program, whose runtime is a part of it: that is not supported" "$(dirname "$standin")/run_native_aot.exe"

    # A managed file for one processor only.
    framework_assembly "$work/other.dll" -platform:$other_machine
    said 125 "is made for $other_name, and this hostmem-run is for $own_name programs" "$work/other.dll"
    framework_assembly "$work/arm.dll" -platform:arm64
    said 125 "is made for ARM64, and" "$work/arm.dll"

    # 32 bits preferred (0x20003), not required (3): the flags follow 16 bytes after the CLI header's start.
    local header
    framework_assembly "$work/prefer.dll"
    header=$(offset_of "$work/prefer.dll" '\x48\x00\x00\x00\x02\x00\x05\x00')
    [ -n "$header" ] || wrong "the assembly has no CLI header"
    poke "$work/prefer.dll" $((header + 16)) 3 0 2 0
    said 2 "of which only a method static int M(string) can be run" "$work/prefer.dll"
    poke "$work/prefer.dll" $((header + 16)) 3 0 0 0
    if [ "$arch" = x86_64 ]; then
        said 125 "prefer.dll: is made for x86, and this" "$work/prefer.dll"
    else
        said 2 "of which only a method static int M(string) can be run" "$work/prefer.dll"
    fi

    need "$clr/net10.0/ending/ending.exe"
    cp "$clr/net10.0/ending/ending.dll" "$work/alone.dll"
    if [ "$arch" = x86_64 ]; then
        said 125 "alone.runtimeconfig.json: is missing" "$work/alone.dll"
    else
        said 125 "alone.dll: is made for x86-64, and this hostmem-run is for x86 programs" "$work/alone.dll"
        said 125 "ending.exe: is made for x86-64, and this hostmem-run is for x86 programs" "$clr/net10.0/ending/ending.exe"
    fi

    # The launcher of a single-file program is the usual one with a place before its bundle marker.
    cp "$clr/net10.0/ending/ending.exe" "$work/single.exe"
    local marker
    marker=$(offset_of "$work/single.exe" '\x8b\x12\x02\xb9\x6a\x61\x20\x38\x72\x7b\x93\x02\x14\xd7\xa0\x32')
    [ -n "$marker" ] || wrong "the launcher has no bundle marker"
    said 125 "is a native program, not a .NET program" "$work/single.exe"
    poke "$work/single.exe" $((marker - 8)) 0 16 0 0 0 0 0 0
    said 125 "is a single-file program, which is not supported yet" "$work/single.exe"

    # A launcher for ARM64, with its dll.
    cp "$clr/net10.0/ending/ending.exe" "$work/alone.exe"
    poke "$work/alone.exe" $(($(od -An -tu4 -j60 -N4 "$work/alone.exe") + 4)) 0x64 0xaa
    said 125 "alone.exe: is made for ARM64, and this hostmem-run is for $own_name programs" "$work/alone.exe"

    framework_assembly "$work/any.dll"
    echo '{"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "10.0.0"}}}' > "$work/any.runtimeconfig.json"
    said 125 "the report cannot be written there" --report "$work/none/report.txt" "$work/any.dll"
    said 2 "--method and --mscoree are for .NET Framework" --method A.B.C "$work/any.dll"
    said 2 "--method and --mscoree are for .NET Framework" --mscoree 'C:\x.dll' "$work/any.dll"

    # --report must not overwrite the program, by whatever name.
    echo launcher > "$work/any.exe"
    ln -sf any.dll "$work/alias.txt"
    (cd "$work" && cksum any.*) > "$work/before"
    for file in any.dll any.exe any.runtimeconfig.json alias.txt ../"${work##*/}"/any.dll; do
        said 2 "is a file of the program itself" --report "$work/$file" "$work/any.dll"
    done
    (cd "$work" && cksum any.*) | cmp -s - "$work/before" || wrong "--report has overwritten the program"
    rm "$work/any.exe"

    # No report is left by a program that did not start.
    said 125 ".NET not found" --report "$work/started.txt" "$work/any.dll"
    [ ! -e "$work/started.txt" ] || wrong "a program that did not start has left a report"
    if [ "$arch" = x86_64 ]; then # the trace is there to its end
        need "$root/build/setup/trace-reader/reader.dll"
        said 125 ".NET not found" --trace "$work/started.nettrace" "$work/any.dll"
        dotnet "$root/build/setup/trace-reader/reader.dll" "$work/started.nettrace" > /dev/null 2> "$work/reader" ||
            wrong "the trace of a program that did not start: $(cat "$work/reader")"
    fi
    said 125 ".NET not found" --report 'Z:\dev\null' "$work/any.dll"
    [ -c /dev/null ] || wrong "/dev/null is gone"
}

test_runtime_search() {
    local shared=$work/any.dll
    said 125 ".NET not found: the program needs an installed runtime" "$shared"
    DOTNET_ROOT='dotnet' said 125 ".NET not found: DOTNET_ROOT is 'dotnet', which is not an absolute path" "$shared"
    DOTNET_ROOT='C:\none' said 125 ".NET not found: DOTNET_ROOT is 'C:\none', which has no host\fxr" "$shared"
    DOTNET_ROOT='C:/none' said 125 ".NET not found: DOTNET_ROOT is 'C:\none', which has no host\fxr" "$shared"
    [ "$arch" = x86 ] || return 0
    need "$clr/dotnet-root/host/fxr"
    DOTNET_ROOT="Z:${clr//\//\\}\\dotnet-root" said 125 "hostfxr.dll: the runtime is made for x86-64" "$shared"
}

test_framework() {
    local method=(--method Sample.Entry.Run) mscoree="Z:${standin//\//\\}"
    framework_assembly "$work/sample.dll"

    said 2 "of which only a method static int M(string) can be run" "$work/sample.dll"
    said 2 "takes one argument, not 2" "${method[@]}" "$work/sample.dll" 1 2
    said 2 "--known-runtime is for .NET programs" --known-runtime "${method[@]}" "$work/sample.dll"
    said 2 "--native-heap is for .NET programs" --native-heap "${method[@]}" "$work/sample.dll"
    said 2 "--method wants Namespace.Type.Method, not 'Run'" --method Run "$work/sample.dll"
    said 2 "--method wants Namespace.Type.Method, not 'Sample.'" --method Sample. "$work/sample.dll"
    said 125 ".NET Framework v4.0.30319 cannot be loaded, is it installed?" "${method[@]}" "$work/sample.dll"
    said 125 "cannot be loaded (Windows error 126), so there is no .NET Framework" --mscoree 'C:\none.dll' "${method[@]}" "$work/sample.dll"
    said 125 "does not export CLRCreateInstance" --mscoree 'C:\windows\system32\ntdll.dll' "${method[@]}" "$work/sample.dll"

    # The stand-in checks what the host does; here is what its user sees.
    local stand=(--process --json --report "$work/report.json" --mscoree "$mscoree")
    ran 12 'Sample.Entry.Run("12")' "${stand[@]}" "${method[@]}" "$work/sample.dll" 12
    grep -qxF "stand-in: started under the host's manager" "$work/err" || wrong "the stand-in did not start: $(cat "$work/err")"
    report_adds_up
    report '.mode == "framework" and .exit == {"how": "return", "status": 12}'
    report '(.calls | map(select(.method == "VirtualAlloc" and .level == "eProcessCritical"))[0].calls) >= 7'
    report '(.calls | map(select(.method == "VirtualAlloc" and .level == "eTaskCritical"))[0].calls) == 7'
    report '(.calls | map(select(.method == "CreateMalloc"))[0]) == {"method": "CreateMalloc", "level": "none", "calls": 1, "failures": 0}'
    report '.statistics | .blocks == 1 and .heap.now == 1000 and .views == 1 and .mapped.now == 131072 and .foreign_frees == 2'
    report '.refusals == 0'
    ran 0 'Sample.Entry.Run("")' "${stand[@]}" "${method[@]}" "$work/sample.dll"
    ran 45 'Sample.Entry.Run("exit")' "${stand[@]}" "${method[@]}" "$work/sample.dll" exit
    report_adds_up
    report '.exit == {"how": "process exit", "status": null}'
    ran 3 'Sample.Entry.Run("3")' --raw "${stand[@]}" "${method[@]}" "$work/sample.dll" 3
    grep -qxF "stand-in: started raw" "$work/err" || wrong "--raw: the stand-in was given a manager"
    report '.mode == "raw" and (has("regions") | not)'
    ran 5 'Sample.Entry.Run("5")' --mscoree "$mscoree" "${method[@]}" "$work/sample.dll" 5
    ran 5 'Sample.Entry.Run("5")' --mscoree "${mscoree//\\//}" "${method[@]}" "$work/sample.dll" 5
    grep -q "VirtualQuery agrees with the statistics, byte for byte" "$work/err" || wrong "no text report on stderr"

    # Limits are for any CLR; sizes with and without a unit, in either case.
    local size
    for size in 67108864 65536K 65536k 64M 64m; do
        ran 3 'Sample.Entry.Run("3")' --limit $size "${stand[@]}" "${method[@]}" "$work/sample.dll" 3
        report '.limits == {"limit": 67108864, "task_limit": 67108864, "margin": 16777216, "soft": 58720256, "heap_limit": null, "process_soft": null, "fail_after": null}'
    done
    ran 3 'Sample.Entry.Run("3")' --limit 2G --margin 3g --soft 1G "${stand[@]}" "${method[@]}" "$work/sample.dll" 3
    report '.limits == {"limit": 2147483648, "task_limit": 2147483648, "margin": 3221225472, "soft": 1073741824, "heap_limit": null, "process_soft": null, "fail_after": null}'
    report '.refused == {} and .overruns.count == 0'
    ran 3 'Sample.Entry.Run("3")' --limit 64M --heap-limit 32M "${stand[@]}" "${method[@]}" "$work/sample.dll" 3
    report '.limits.limit == 67108864 and .limits.heap_limit == 33554432 and .heap_overruns.count == 0'

    # A report that cannot be written: one line, whether the other threads are there or gone.
    for argument in 5:5 exit:45; do
        ran "${argument#*:}" "Sample.Entry.Run(\"${argument%:*}\")" --mscoree "$mscoree" --report 'Z:\dev\full' "${method[@]}" "$work/sample.dll" "${argument%:*}"
        [ "$(grep -cF 'hostmem-run: Z:\dev\full: the report could not be written to its end (Windows error 112)' "$work/err")" -eq 1 ] ||
            wrong "a full disk is not told once: $(cat "$work/err")"
    done
    host "${stand[@]}" --method Sample.Entry.Walk "$work/sample.dll"
    [ $status -eq 125 ] || wrong "an unknown method: status $status"
    grep -q "Sample.Entry.Walk failed with 0x80131513: it is no static int Walk(string), or threw an exception" "$work/err" || wrong "an unknown method: $(cat "$work/err")"
    report '.exit == {"how": "unhandled exception", "status": 2148734227}'
    report_adds_up

    # By a limit, or not.
    host "${stand[@]}" "${method[@]}" "$work/sample.dll" throw
    [ $status -eq 125 ] && [ "$(grep -c '^hostmem-run: ' "$work/err")" -eq 1 ] || wrong "an exception: status $status: $(cat "$work/err")"
    report '.exit == {"how": "unhandled exception", "status": 2148734217}'
    host --limit 64M "${stand[@]}" "${method[@]}" "$work/sample.dll" throw
    [ $status -eq 125 ] || wrong "an exception by a limit: status $status"
    grep -q "^hostmem-run: .*: ended by OutOfMemoryException: [1-9][0-9]* commits were refused under its limit of 64.0M" "$work/err" ||
        wrong "an exception by a limit: $(cat "$work/err")"

    # What has not started leaves no report.
    STANDIN_FAULT=start said 125 "ICLRRuntimeHost::Start failed with 0x80004005" --report "$work/started.txt" --mscoree "$mscoree" "${method[@]}" "$work/sample.dll"
    [ ! -e "$work/started.txt" ] || wrong "a .NET Framework that did not start has left a report"
}

# ------------------------------------------------------------------------------------------------------------------------
# Programs on a real runtime.

# The report for people: its rows in their order, and no more lines than a screen has; not one escape sequence in a file.
one_screen() { # FILE
    awk '/^hostmem-run: /{found = 1} found' "$1" > "$work/screen"
    [ "$(wc -l < "$work/screen")" -le 40 ] || wrong "the report has $(wc -l < "$work/screen") lines"
    ! grep -q $'\x1b' "$work/screen" || wrong "the report is coloured where there is no console"
    local rows=(ended runtime limits collector committed, GC "in all" refused notified calls process verified) row at=0 line
    for row in "${rows[@]}"; do
        line=$(grep -n "^  $row" "$work/screen" | head -n 1 | cut -d : -f 1)
        [ "${line:-0}" -gt $at ] || wrong "the report lacks '$row' after line $at: $(cat "$work/screen")"
        at=${line:-$at}
    done
    # What is in all is what the uses and the rest come to, as far as a decimal tells.
    awk '/^  committed, MiB/{in_table = 1; next} in_table && !NF{exit} in_table && /^  in all/{all = $(NF - 1); next}
        in_table{sum += $(NF - 1)} END{exit !(all > 1 && sum - all < 0.5 && all - sum < 0.5)}' "$work/screen" ||
        wrong "the uses do not add up: $(cat "$work/screen")"
}

test_endings() {
    local program=$1/ending.dll major=$2
    local json=(--process --json --report "$work/report.json")

    ran 42 done "${json[@]}" "$program" return 42
    report_adds_up
    report '.mode == "bridge" and .exit == {"how": "return", "status": 42} and .refusals == 0'
    report '.bridge.coreclr_calls > 100 and .bridge.gc_calls == 0 and (.bridge.standalone_gc | not)'
    report '.runtime.version | startswith("'"$major"'.")'
    report '.bridge.collections == {"gen0": 0, "gen1": 0, "gen2": 0, "at_end": true}'
    report '.runtime.path | endswith("\\coreclr.dll")'
    report '.statistics.stale_regions == 0 and .statistics.reserved.now > 1e9 and .statistics.committed.peak >= .statistics.committed.now'

    host "${json[@]}" "$program" exit 43
    [ $status -eq 43 ] || wrong "Environment.Exit: status $status"
    report_adds_up
    report '.exit == {"how": "ExitProcess", "status": 43} and .bridge.collections.at_end'

    # The status is the exception's code; a shell sees its lowest byte.
    for how in throw throw-thread; do
        host "${json[@]}" "$program" $how
        [ $status -eq 82 ] || wrong "$how: status $status, not 0xE0434352"
        grep -q "Unhandled exception. System.InvalidOperationException: nobody handles this" "$work/err" || wrong "$how: the runtime's message is missing"
        report_adds_up
        report '.exit == {"how": "unhandled exception", "status": 3762504530}'
    done

    host --raw "$program" failfast
    local raw=$status
    host "${json[@]}" "$program" failfast
    [ $status -eq $raw ] && [ $status -ne 0 ] || wrong "FailFast: status $status, raw $raw"
    grep -q "this was asked for" "$work/err" || wrong "FailFast: the runtime's message is missing"
    report_adds_up
    report '.exit == {"how": "fail fast", "status": 2148734499} and .bridge.collections != null'

    # Text, on stderr, after the program's own.
    ran 0 done "$program" both
    [ "$(head -n 1 "$work/err")" = "to the error stream" ] || wrong "stderr does not begin with the program's own line"
    grep -qxF "to the output" "$work/out" || wrong "stdout lacks the program's line"
    grep -q "^hostmem-run: .*ending.dll$" "$work/err" || wrong "no text report"
    grep -q "^  ended        by return, status 0$" "$work/err" || wrong "no ending in the text report"
    grep -q "VirtualQuery agrees with the statistics, byte for byte" "$work/err" || wrong "the text report does not agree"
    [ "$(grep -c "hostmem-run\|VirtualQuery" "$work/out")" -eq 0 ] || wrong "the report is on stdout"
    one_screen "$work/err"
    script -qec "$(printf '%q ' "$root/scripts/windows-run" $arch --timeout "$patience" "$run" "$program" return 0)" "$work/console" > /dev/null 2>&1 || wrong "on a console: status $?"
    grep -q $'GC heap .*\x1b\\[36m\u2588.*\x1b\\[0m' "$work/console" || wrong "no bar on a console: $(cat -v "$work/console")"
    ran 9 done --regions --report "$work/report.txt" "$program" return 9
    grep -q 'all of the process' "$work/report.txt" && wrong "the text report is of the whole process, unasked"
    [ ! -s "$work/err" ] || wrong "--report FILE, but stderr has $(head -n 1 "$work/err")"
    [ "$(awk '/ 0x[0-9a-f]+ /{ if ($1 != "view") sum += $NF; use = $1 != last; last = $1; if (use && $1 in seen) split_up = 1; seen[$1] } END{printf "%d %d", sum, split_up}' "$work/report.txt")" = \
        "$(awk '/^  the statistics  /{print $NF, 0}' "$work/report.txt")" ] || wrong "the text report's regions do not add up to its total, or lie apart"

    # The launcher stands for its dll.
    ran 4 done "$1/ending.exe" return 4

    # Raw: the same program, and only the process in the report.
    ran 42 done --raw "${json[@]}" "$program" return 42
    report '.mode == "raw" and .exit.status == 42 and (has("statistics") | not) and (.process | length) > 5'

    # The whole process only where it was asked for.
    ran 42 done --json --report "$work/report.json" "$program" return 42
    report '.statistics.regions > 0 and .virtual_query.agrees and (has("process") or has("other") | not)'
    ran 42 done --raw --json --report "$work/report.json" "$program" return 42
    report '.mode == "raw" and .exit.status == 42 and (has("statistics") or has("process") | not)'
    ran 9 done --process --report "$work/report.txt" "$program" return 9
    grep -q '^  in all ' "$work/report.txt" && grep -q '^  all of the process ' "$work/report.txt" ||
        wrong "--process: the text report is not of the whole process"

    # Input, arguments.
    head -c 300000 /dev/urandom | base64 > "$work/input"
    input=$work/input host "${json[@]}" "$program" echo
    printf 'done\n' | cat "$work/input" - | cmp -s - "$work/out" || wrong "input did not come through as it was"
    ran 0 '[a b]' "${json[@]}" "$program" arguments 'a b' '' 'q"uo\te\\' '--json' 'grün €'
    for argument in '[]' '[q"uo\te\\]' '[--json]'; do
        grep -qxF -e "$argument" "$work/out" || wrong "the argument $argument did not come through"
    done
    ran 0 '[--report]' "${json[@]}" -- "$program" arguments --report

    # A folder whose name is not ASCII.
    local folder="$work/grün € 😀"
    cp -rlH "$1" "$folder" 2> /dev/null || cp -rH "$1" "$folder"
    ran 8 done --process --json --report "$folder/report.json" "$folder/ending.exe" return 8
    mv "$folder/report.json" "$work"
    report_adds_up
    report '.program | endswith("\\grün € 😀\\ending.dll")'
    rm -rf "$folder"
}

# interrupt TEXT: Ctrl-C once $work/out holds TEXT; then waits for the end.
interrupt() {
    for _ in $(seq 300); do
        grep -q "$1" "$work/out.raw" && break
        sleep 0.1
    done
    sleep 0.5
    kill -INT "$2"
    wait "$2"
    status=$?
}

# windows-run ends in an exec of Wine, and Wine makes Ctrl-C of SIGINT; an asynchronous shell ignores SIGINT until set.
test_ctrl_c() {
    local program=$1/ending.dll json=(--process --json --report "$work/report.json")
    set -m
    : > "$work/out.raw"
    "$root/scripts/windows-run" "$arch" "$run" "${json[@]}" "$program" wait 60 < /dev/null > "$work/out.raw" 2> "$work/err" &
    interrupt waiting $!
    [ $status -eq 7 ] || wrong "Ctrl-C, handled: status $status"
    grep -q '^interrupted' "$work/out.raw" || wrong "Ctrl-C did not reach Console.CancelKeyPress"
    report_adds_up
    report '.exit == {"how": "return", "status": 7}'

    rm -f "$work/open"
    mkfifo "$work/open"
    sleep 60 > "$work/open" &
    local feeder=$!
    HOSTMEM_SHOW_OBJECT=1 "$root/scripts/windows-run" "$arch" "$run" "${json[@]}" "$program" echo < "$work/open" > "$work/out.raw" 2> "$work/err" &
    interrupt object $!
    kill $feeder
    wait $feeder 2> /dev/null
    grep -q '^done' "$work/out.raw" && wrong "Ctrl-C, not handled: the program went on"
    report_adds_up
    report '.exit == {"how": "Ctrl-C", "status": null}'

    # While the runtime starts: no failure of the runtime's. (The collector takes its time.)
    local slow=$work/slow raw
    cp -rlH "$1" "$slow" 2> /dev/null || cp -rH "$1" "$slow"
    cp "$(dirname "$standin")/gc_proxy.dll" "$slow"
    for option in --raw --json; do
        : > "$work/out.raw"
        rm -f "$work/report.json"
        DOTNET_GCName=gc_proxy.dll GC_PROXY_WAIT=1 "$root/scripts/windows-run" "$arch" "$run" $option "${json[@]}" "$slow/ending.dll" return 3 \
            < /dev/null > "$work/out.raw" 2> "$work/err" &
        interrupt starting $!
        checks=$((checks + 1))
        [ $status -eq "${raw:=$status}" ] && [ ! -s "$work/err" ] || wrong "Ctrl-C at the start: status $status, $(head -n 1 "$work/err")"
        report '.exit == {"how": "Ctrl-C", "status": null}'
    done
    set +m
    rm -rf "$slow"
}

test_shared() { # FRAMEWORK
    local shared=$clr/$1/churn-shared
    need "$shared/churn.dll"
    need "$clr/dotnet-root/host/fxr"
    DOTNET_ROOT="Z:${clr//\//\\}\\dotnet-root" host --process --json --report "$work/report.json" "$shared/churn.dll" 2 10 4
    [ $status -eq 0 ] || wrong "framework-dependent: status $status: $(head -n 2 "$work/err")"
    [ "$(tail -n 1 "$work/out")" = "done" ] || wrong "framework-dependent: no last line"
    report_adds_up
    report '.runtime.path | contains("\\dotnet-root\\shared\\Microsoft.NETCore.App\\'"${1#net}"'")'

    mkdir -p "$work/future"
    cp "$shared"/churn.* "$work/future"
    sed -i 's/"version": "[0-9.]*"/"version": "99.0.0"/' "$work/future/churn.runtimeconfig.json"
    DOTNET_ROOT="Z:$clr/dotnet-root" host "$work/future/churn.dll"
    [ $status -eq 125 ] || wrong "a framework that is not there: status $status"
    grep -q "^hostmem-run: .*the runtime that it needs is not installed" "$work/err" || wrong "a framework that is not there: $(cat "$work/err")"
}

# A framework-dependent program beside which a coreclr.dll and a hostfxr.dll are left from another publish, and
# which has a native library of its own, so that its folder is searched for such: the installed runtime runs, governed.
test_left_over() { # FRAMEWORK
    local left=$work/left
    mkdir -p "$left"
    cp "$clr/$1/churn-shared"/churn.* "$left"
    cp "$clr/$1/ending"/{coreclr,hostfxr}.dll "$left"
    touch "$left/extra.dll"
    { # what looks as if the program brought its runtime along
        echo '/* "includedFrameworks" */ // "runtimeOptions": {"includedFrameworks": []}'
        jq '.runtimeOptions.configProperties.includedFrameworks = "{\"" | .includedFrameworks = []' \
            "$clr/$1/churn-shared/churn.runtimeconfig.json"
    } > "$left/churn.runtimeconfig.json"
    jq '.targets[.runtimeTarget.name] |= with_entries(.value.native = {"extra.dll": {}})' \
        "$clr/$1/churn-shared/churn.deps.json" > "$left/churn.deps.json"
    DOTNET_ROOT="Z:${clr//\//\\}\\dotnet-root" host --limit 60M --process --json --report "$work/report.json" "$left/churn.dll" 2 10 4
    [ $status -eq 0 ] || wrong "left from another publish: status $status: $(head -n 2 "$work/err")"
    report_adds_up
    report '.runtime.path | contains("\\dotnet-root\\shared\\Microsoft.NETCore.App\\")'
    report '.bridge.coreclr_calls > 100'
    rm -rf "$left"
}

# A copy of FOLDER with a coreclr.dll of its own, in which bytes can be changed.
copy_runtime() { # FOLDER COPY
    rm -rf "$2"
    cp -rlH "$1" "$2" 2> /dev/null || cp -rH "$1" "$2"
    rm "$2/coreclr.dll"
    cp "$1/coreclr.dll" "$2/coreclr.dll"
}

# A runtime of a version that nobody has tried: its version resource says 99. One with a memory function that nobody
# knows: an import that these runs do not call, by another name.
test_unknown_runtime() { # FOLDER
    local copy=$work/unknown version import try
    copy_runtime "$1" "$copy"
    version=$(offset_of "$copy/coreclr.dll" '\xbd\x04\xef\xfe')
    [ -n "$version" ] || wrong "coreclr.dll has no version resource"
    poke "$copy/coreclr.dll" $((version + 10)) 99 0
    said 125 "is a runtime that hostmem was not tried on; without --known-runtime it runs" --known-runtime "$copy/ending.dll" return 1
    ran 6 done --process --json --report "$work/report.json" "$copy/ending.dll" return 6
    [ ! -s "$work/err" ] || wrong "an unknown version: said $(head -n 1 "$work/err")"
    report_adds_up
    report '.runtime.version | startswith("99.")'
    report '.bridge.unknown_coreclr == "" and (.bridge.incomplete | not)'
    ran 6 done --raw "$copy/ending.dll" return 6

    for name in VirtualAllocEx:true VirtualQueryEx:false; do
        copy_runtime "$1" "$copy"
        import=$(offset_of "$copy/coreclr.dll" 'CreateFileMappingA\x00')
        [ -n "$import" ] || wrong "coreclr.dll does not import CreateFileMappingA"
        # shellcheck disable=SC2046
        poke "$copy/coreclr.dll" "$import" $(printf '%s' "${name%:*}" | od -An -tu1) 0
        said 125 "hostmem does not know ${name%:*}, which it imports; without --known-runtime it runs" --known-runtime "$copy/ending.dll" return 1
        ran 6 done --limit 100M --process --json --report "$work/report.json" "$copy/ending.dll" return 6
        grep -qF ": its runtime imports ${name%:*}, which hostmem does not know and has left to Windows" "$work/err" ||
            wrong "${name%:*}: no line of hostmem-run's: $(head -n 1 "$work/err")"
        [ "$(grep -c "limits and figures do not cover all" "$work/err")" = "$([ "${name#*:}" = true ] && echo 1 || echo 0)" ] ||
            wrong "${name%:*}: $(head -n 1 "$work/err")"
        report '.bridge.unknown_coreclr == "'"${name%:*}"'" and .bridge.incomplete == '"${name#*:}"
    done

    # A folder that has lost its coreclr.dll.
    cp -rlH "$1" "$copy" 2> /dev/null || cp -rH "$1" "$copy"
    rm "$copy/coreclr.dll"
    host "$copy/ending.dll"
    [ $status -eq 125 ] || wrong "no coreclr.dll: status $status"
    grep -q "^hostmem-run: " "$work/err" || wrong "no coreclr.dll: $(cat "$work/err")"
    # What --watch has drawn on before the start has failed is given back. (On a busy machine the start may fail first.)
    need "$(dirname "$standin")/run_on_panel.exe"
    for try in 1 2 3 4 5 6 7 8 9 10; do
        "$root/scripts/windows-run" "$arch" --timeout "$patience" "$(dirname "$standin")/run_on_panel.exe" --watch --sample 1 "$copy/ending.dll" \
            < /dev/null > /dev/null 2> "$work/err"
        ! grep -q '^panel: ' "$work/err" || break
    done
    [ "$(tr -d '\r' < "$work/err" | grep '^panel: ' | paste -sd ' ')" = "panel: drawn panel: given back" ] ||
        wrong "--watch, no coreclr.dll: $(cat "$work/err")"
    rm -rf "$copy"
}

# Nothing is governed in silence: a runtime that cannot start, and a collector that hides what it takes.
test_not_governed() { # FOLDER GROW
    local copy=$work/not governed
    cp -rlH "$1" "$copy" 2> /dev/null || cp -rH "$1" "$copy"
    rm "$copy/System.Private.CoreLib.dll"
    head -c 100000 "$1/System.Private.CoreLib.dll" > "$copy/System.Private.CoreLib.dll"
    host --report "$work/started.txt" "$copy/ending.dll" return 6
    [ $status -eq 125 ] || wrong "a runtime that cannot start: status $status"
    grep -q "^hostmem-run: .*: the runtime whose memory was taken over has not started (0x" "$work/err" ||
        wrong "a runtime that cannot start: $(cat "$work/err")"
    [ ! -e "$work/started.txt" ] || wrong "a runtime that cannot start has left a report"
    rm -rf "$copy"

    cp -rlH "$2" "$copy" 2> /dev/null || cp -rH "$2" "$copy"
    cp "$(dirname "$standin")/gc_proxy.dll" "$copy"
    export DOTNET_GCName=gc_proxy.dll
    host --limit 60M --report "$work/started.txt" "$copy/grow.dll" 150
    [ $status -eq 125 ] || wrong "a collector that hides: status $status: $(tail -n 3 "$work/out")"
    [ "$(grep -c "^hostmem-run: .*: what its collector takes for its heap is not recognised" "$work/err")" -eq 1 ] ||
        wrong "a collector that hides: $(head -n 3 "$work/err")"
    [ ! -e "$work/started.txt" ] || wrong "a program that is not governed has left a report"
    host --json --report "$work/report.json" "$copy/grow.dll" 20
    [ $status -eq 0 ] || wrong "a collector that hides, no limit: status $status: $(head -n 3 "$work/err")"
    report '.bridge.heap_ranges == 0 and .bridge.heap_found == false'
    unset DOTNET_GCName
    rm -rf "$copy"
}

if [ $# -eq 0 ]; then
    if [ "$arch" = x86 ] && [ -f "$root/build/setup/qemu-i386" ]; then
        echo "test_run: not run: the command line: a hundred starts, too slow under the emulator; it is x86_64's"
    else
        test_command_line
    fi
    test_files
    test_runtime_search
    test_framework
fi
for framework in "$@"; do
    need "$clr/$framework/ending/ending.dll"
    test_endings "$clr/$framework/ending" "${framework//[!0-9.]/}"
    test_ctrl_c "$clr/$framework/ending"
    test_shared "$framework"
    test_left_over "$framework"
    [ "$framework" = net10.0 ] && test_unknown_runtime "$clr/$framework/ending"
    test_not_governed "$clr/$framework/ending" "$clr/$framework/grow"
done

finish "$arch $*"
