# run_checks.sh: sourced by the tests of hostmem-run, which have set `arch`, `run` (the program) and `root`. Runs it, and
# counts what is not as it should be.

test=$(basename "$0" .sh)
clr=$root/build/setup/clr
hostmem_version=$(sed -n 's/^#define HOSTMEM_VERSION_[A-Z]* \([0-9]\)/\1/p' "$root/include/hostmem/version.h" | paste -sd .)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
checks=0

export DOTNET_EnableWriteXorExecute=0 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
export LC_ALL=C.UTF-8                   # Wine translates file names by it
export WINEDLLOVERRIDES=winedbg.exe=d   # a crash ends the process and is not debugged
unset DOTNET_ROOT DOTNET_ROOT_X64 DOTNET_ROOT_X86

wrong() { echo "$test: WRONG: $*" >&2; failures=$((failures + 1)); }
need() { [ -e "$1" ] || { echo "$test: $1 is missing: run scripts/setup" >&2; exit 1; }; }
need "$run"
command -v jq > /dev/null || { echo "$test: jq is missing: run scripts/setup" >&2; exit 1; }

# Runs hostmem-run with standard input from $input and standard output to $standard_output; sets `status` and leaves $work/out and
# $work/err.
input=/dev/null
standard_output=$work/out.raw
patience=120   # seconds
host() {
    local try
    : > "$work/out.raw"
    for try in 1 2; do
        "$root/scripts/windows-run" "$arch" --timeout "$patience" "$run" "$@" < "$input" > "$standard_output" 2> "$work/err.raw"
        status=$?
        # Wine now and then does not get a program started, and says nothing: once more.
        [ $status -eq 1 ] && [ ! -s "$standard_output" ] && [ ! -s "$work/err.raw" ] || break
    done
    tr -d '\r' < "$work/out.raw" > "$work/out"
    tr -d '\r' < "$work/err.raw" > "$work/err"
}

# said STATUS TEXT ARGUMENTS...: hostmem-run ends with STATUS and says one line, in which TEXT is.
said() {
    local expected=$1 text=$2
    shift 2
    checks=$((checks + 1))
    host "$@"
    [ $status -eq "$expected" ] || wrong "status $status, not $expected: $*"
    [ "$(wc -l < "$work/err")" -eq 1 ] || wrong "not one line: $*: $(head -n 3 "$work/err")"
    grep -q '^hostmem-run: ' "$work/err" || wrong "no line from hostmem-run: $*"
    grep -qF -e "$text" "$work/err" || wrong "the message lacks '$text': $*: $(head -n 3 "$work/err")"
    [ -s "$work/out" ] && wrong "something on standard output: $*"
}

# ran STATUS TEXT ARGUMENTS...: ends with STATUS, and TEXT is a line of the output.
ran() {
    local expected=$1 text=$2
    shift 2
    checks=$((checks + 1))
    host "$@"
    [ $status -eq "$expected" ] || wrong "status $status, not $expected: $*: $(head -n 3 "$work/err")"
    grep -qxF -e "$text" "$work/out" || wrong "the output lacks '$text': $*: $(head -n 3 "$work/out")"
}

# unwritten STATUS ARGUMENTS...: where standard output takes nothing it ends with STATUS, and one line tells.
unwritten() {
    local expected=$1 standard_output=/dev/full
    shift
    checks=$((checks + 1))
    host "$@"
    [ $status -eq "$expected" ] || wrong "unwritten: status $status, not $expected: $*"
    [ "$(grep -c '^hostmem-[a-z]*: .* written' "$work/err")" -eq 1 ] || wrong "unwritten: not one line: $*: $(head -n 3 "$work/err")"
}

# report FILTER: jq's FILTER is true of $work/report.json.
report() {
    checks=$((checks + 1))
    jq -e "$1" "$work/report.json" > "$work/jq" 2>&1 || wrong "the report is not '$1': $(head -c 300 "$work/jq")"
}

# csharp ARGUMENTS...: the SDK's C# compiler, with no library that is not named.
csharp() {
    local compiler
    # "10.0.401 [/usr/share/dotnet/sdk]"
    compiler=$(dotnet --list-sdks 2> /dev/null | sed -n 's|^\([^ ]*\) \[\(.*\)\]$|\2/\1/Roslyn/bincore/csc.dll|p' | tail -n 1)
    [ -f "$compiler" ] || { echo "$test: the .NET SDK is missing (dotnet, its csc.dll)" >&2; exit 1; }
    dotnet exec "$compiler" -nologo -nostdlib -noconfig -nosdkpath -deterministic "$@" || exit 1
}

# Says how it went, and ends.
finish() { # WHAT
    [ $failures -eq 0 ] || { echo "$test: $failures of $checks checks failed" >&2; exit 1; }
    echo "$test: $1: ok, $checks checks"
    exit 0
}
