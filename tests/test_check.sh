#!/usr/bin/env bash
# test_check.sh ARCH HOSTMEM_CHECK STANDIN_MSCOREE [FAULTY VERSIONS]
#
# hostmem-check under Wine: rows that must not be skipped there and must not be red, no more rows skipped than are known,
# nothing of the user's in the text, and each of the rows turned red by a fault: of a stand-in for .NET Framework's
# mscoree.dll (STANDIN_FAULT), or of the library (FAULTY is hostmem-check with CHECK_FAULT; only these are run then, and
# those of .NET with the VERSIONS, "10 11").
set -u -o pipefail

[ $# -ge 3 ] || { echo "usage: test_check.sh ARCH HOSTMEM_CHECK STANDIN_MSCOREE [FAULTY VERSIONS]" >&2; exit 2; }
arch=$1
run=$(readlink -f "$2")
standin=$(readlink -f "$3")
faulty=${4:-}
fault_versions=${5:-}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
. "$root/tests/support/run_checks.sh"
need "$standin"
windows() { echo "Z:${1//\//\\}"; }
dotnet=()
versions=
if [ "$arch" = x86_64 ]; then
    need "$clr/dotnet-root/host/fxr"
    dotnet=(--dotnet "$(windows "$clr/dotnet-root")")
    versions="8 9 10 11"
fi

# The rows, by their parts.
manager="exact fresh watch foreign query heap load views verify shutdown process"
budget="exact levels threads event low shared process"
windows_rows="commit-refused process"
control="own list process"
framework4="null control first malloc callback second start late runs heap answers refusal low verify stop process"
net="bound functions runs heap told low limit lowered verify process"
clrgc="bound runs limit verify process"
figures="machine.system machine.architecture machine.processors machine.pages machine.memory machine.job
    machine.protection machine.hooks machine.modules machine.environment cost.reserve cost.commit"

# is VERDICT ROW: the text has that row with that verdict.
is() {
    checks=$((checks + 1))
    awk -v verdict="$1" -v row="$2" '$1 == verdict && $2 == row { found = 1 } END { exit !found }' "$work/out" ||
        wrong "$what: $2 is not '$1': $(grep -F " $2 " "$work/out" | head -n 1)"
}
are() { # VERDICT PART ROW...
    local verdict=$1 part=$2 row
    shift 2
    for row; do is "$verdict" "$part.$row"; done
}
ended() { # STATUS
    checks=$((checks + 1))
    [ $status -eq "$1" ] || wrong "$what: status $status, not $1: $(grep '^FAILED' "$work/out" | head -n 3)"
    tail -n 1 "$work/out" | grep -q '^[0-9]* ok, [0-9]* FAILED, [0-9]* skipped, [0-9]* figures$' ||
        wrong "$what: the text has no end"
}

# Without FAULTY: the rows, and the stand-in with its faults.
test_rows() {
    # As a user runs it.
    what="as it is"
    host "${dotnet[@]}" --output "$(windows "$work/text")"
    ended 0
    are ok manager $manager
    are ok budget $budget
    are ok windows $windows_rows
    are ok control $control
    for row in $figures; do is - "$row"; done
    for version in $versions; do
        if [ $version = 8 ]; then   # under Wine it does not live to that
            are ok net8 ${net/lowered /}
            is skipped net8.lowered
        else
            are ok net$version $net
        fi
        are ok net$version-clrgc $clrgc
        is - net$version.calls
        is - net$version-clrgc.imports
        is skipped "net$version-job.*"
    done
    [ -n "$versions" ] || is skipped net.bound
    for row in windows.low-memory windows.placeholders control.others control.lower control.network "job.*" "framework4.*" "framework2.*"; do
        is skipped "$row"
    done
    known='^(windows\.(low-memory|placeholders)|control\.(others|lower|network)|job\.\*|framework[24]\.\*|net[0-9]+-job\.\*|net8\.lowered|net\.bound)$'
    awk '$1 == "skipped" { print $2 }' "$work/out" | grep -vE "$known" > "$work/more" && wrong "skipped, too: $(cat "$work/more")"
    tr -d '\r' < "$work/text" | cmp -s - "$work/out" || wrong "--output has another text"
    grep -nE '[A-Za-z]:\\|/home/|/work/|users' "$work/out" && wrong "a path is in the text"
    grep -nwF -e "$(id -un)" -e "$(hostname)" "$work/out" && wrong "a name of a user or machine is in the text"
    grep -nF '(null)' "$work/out" && wrong "something has no name"
    grep -q -- '--mscoree' "$work/out" && wrong "a stand-in is said to be there"

    # The folder of a run is removed at its end. (Another test may be at work.)
    for folder in "$root"/build/setup/wine64/drive_c/users/*/Temp/hostmem-check-*; do
        for ((i = 0; i < 90; i++)); do [ -e "$folder" ] || break; sleep 1; done
        [ ! -e "$folder" ] || wrong "$folder is left"
    done

    # The command line.
    what="the command line"
    for option in "--bogus" "--dotnet none" "--only" "--only none" "--only machine --only none" "--patience 0" \
        "--only machine --patience 4294968" "--only machine --patience 60s" "--only machine --patience -4294967295" \
        "--only machine --patience 60 --patience 60" "--only machine --dotnet Z:/tmp" "--only machine --mscoree Z:tmp"; do
        host $option
        checks=$((checks + 1))
        [ $status -eq 2 ] && grep -q '^hostmem-check: ' "$work/err" || wrong "$option: status $status, $(head -n 1 "$work/err")"
    done
    for output in "$(windows /dev/full)" "$(windows "$work/none/text")"; do
        host --only machine --output "$output"
        checks=$((checks + 1))
        [ $status -eq 1 ] && grep -q '^hostmem-check: .*writ' "$work/err" || wrong "--output $output: status $status, $(head -n 1 "$work/err")"
    done
    ran 0 "usage: hostmem-check [options]" --help
    ran 0 "hostmem-check $hostmem_version" --version
    for option in --help --version "--only machine"; do unwritten 1 $option; done

    # The stand-in for .NET Framework, and what can be wrong with it: FAULT ROW...
    framework=(--only framework4 --mscoree "$(windows "$standin")" --patience 60)
    what="stand-in"
    host "${framework[@]}"
    ended 0
    are ok framework4 $framework4
    is - framework4.calls
    grep -q '^--mscoree: a stand-in' "$work/out" || wrong "the stand-in is not named"
    what="slashes of the other kind"
    host --only framework4 --mscoree "Z:$standin" --patience 60
    ended 0
    are ok framework4 $framework4
    if [ ${#dotnet[@]} -ne 0 ]; then
        host --only machine --dotnet "Z:$clr/dotnet-root"
        ended 0
    fi
    while read -r fault rows; do
        what="stand-in, $fault"
        export STANDIN_FAULT=$fault
        host "${framework[@]}"
        unset STANDIN_FAULT
        ended 1
        are FAILED framework4 $rows
    done << 'END'
unloadable loaded
null-control null
control control
task-first first malloc
late-malloc malloc
executable-malloc malloc
no-callback callback
counting-callback callback
asks-twice second
early-task start
start start
late-control late
echo runs
own-memory heap
protect answers
swallows-refusal refusal
deaf low
behind-the-back verify
releases stop
stop stop
dies stop process
END

    # A DLL that is none, and one that is not there.
    for file in "$standin.none" "$root/README.md"; do
        what="--mscoree $file"
        host --only framework4 --mscoree "$(windows "$file")"
        ended 1
        is FAILED framework4.loaded
    done

}

# With FAULTY: the library, and what can be done to a process.  FAULT PARTS ROW...; PARTS: separated by commas.
test_faults() {
    while read -r fault parts rows; do
        for part in ${parts//,/ }; do
            case $part in
                net) names=$(printf 'net%s ' $fault_versions) ;;
                clrgc) names=$(printf 'net%s-clrgc ' $fault_versions) ;;
                *) names=$part ;;
            esac
            what="$fault, $part"
            export CHECK_FAULT=$fault
            host "${dotnet[@]}" $(printf -- '--only %s ' $names) --patience $([ $fault = hang ] && echo 5 || echo 60)
            unset CHECK_FAULT
            ended 1
            for name in $names; do
                are FAILED "$name" $([ $name = net8 ] && echo ${rows/lowered/} || echo $rows)
            done
        done
    done << END
other-protection manager exact
dirty manager fresh heap
no-write-watch manager watch
frees-anything manager foreign
private-only manager query
other-machine manager load
no-views manager views
behind-the-back manager,net,clrgc verify
no-shutdown manager shutdown
no-limits budget exact levels threads event shared
no-limits net limit lowered
no-limits clrgc limit
asleep budget low
asleep net low
other-error windows commit-refused
old-limits control own
for-everybody control list
no-level control list
name-taken control own list others lower network
unbound net,clrgc bound
newer-runtime net functions
tight net,clrgc runs
no-heap net heap
not-shown net told
no-memory cost reserve commit
crash-first machine $(echo $figures | tr ' ' '\n' | sed -n 's/^machine\.//p' | tr '\n' ' ') process
crash-last manager,budget,windows,control,net,clrgc,cost process
hang budget process
END
}

if [ -n "$faulty" ]; then
    need "$faulty"
    run=$(readlink -f "$faulty")
    test_faults
else
    test_rows
fi
finish "on $arch"
