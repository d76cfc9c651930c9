#!/usr/bin/env bash
# test_misuse.sh TRACE_MISUSE RUNNER... HOSTMEM_REPORT       RUNNER: what runs both
#
# A program that leaks and frees what it must not, traced with stacks: the report names the very functions that did it, as
# the program itself says where they are.
set -u -o pipefail

[ $# -ge 3 ] || { echo "usage: test_misuse.sh TRACE_MISUSE RUNNER... HOSTMEM_REPORT" >&2; exit 2; }
program=$(readlink -f "$1") || exit 2
report=("${@:2}")
runner=("${@:2:$#-2}")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
wrong() { echo "test_misuse: WRONG: $*" >&2; failures=$((failures + 1)); }

"${runner[@]}" "$program" misuse.nettrace | tr -d '\r' > said || { echo "test_misuse: the program failed" >&2; exit 1; }
"${report[@]}" --json misuse.nettrace > json || { echo "test_misuse: the report failed" >&2; exit 1; }

said() { sed -n "s/^$1 //p" said; }

# stack FILTER FUNCTION...: the frames that jq's FILTER finds in the report are in these functions of the program, from the
# innermost on; there may be more behind them.
stack() {
    local filter=$1 frames frame function begin end
    shift
    mapfile -t frames < <(jq -r "$filter | .[]" json)
    for function; do
        frame=${frames[0]:-nothing}
        frames=("${frames[@]:1}")
        read -r begin end < <(said "$function")
        [[ $frame == trace_misuse.exe+0x* ]] && [ $((${frame#*+})) -gt $((begin)) ] && [ $((${frame#*+})) -le $((end)) ] ||
            wrong "$filter: $frame is not in $function, $begin to $end"
    done
}

is() { # FILTER
    jq -e "$1" json > /dev/null || wrong "not so: $1: $(jq -c '[.lost, .owned, .misuses]' json)"
}

read -r main other < <(said threads)
is '.lost == 0 and .wrong == null and .regions == 4'

# Three of a megabyte, of which 256 KiB each are committed; and one that was there before.
is '.owned.groups | length == 2'
is '.owned.groups[0] | .count == 3 and .bytes == 3145728 and .committed == 786432 and (.regions | length) == 3'
is '.owned.groups[0] | .oldest >= .youngest and .youngest >= 0 and ([.regions[].bytes] == [1048576, 1048576, 1048576])'
stack '.owned.groups[0].stack' leak wmain
is ".owned.groups[1] | .stack == [] and .oldest == null and .bytes == 65536 and .regions[0].base == $(said before)"

is '.misuses | .count == 3 and .twice == 2'
is ".misuses.list[0] | .address == $(said freed) and .thread == $other and .call == \"release\""
stack '.misuses.list[0].stack' free_again in_another_thread
is ".misuses.list[0] | .first.seconds < .seconds and .first.reserved_seconds < .first.seconds and .first.base == $(said freed)"
stack '.misuses.list[0].first.stack' free_first wmain
stack '.misuses.list[0].first.reserved_stack' reserve wmain
is ".misuses.list[1] | .address == $(said foreign) and .thread == $main and .first == null"
stack '.misuses.list[1].stack' free_foreign wmain
is ".misuses.list[2] | .address == $(said gone) + 4096 and .call == \"decommit\" and .first.base == $(said gone)"
stack '.misuses.list[2].stack' decommit_gone wmain
stack '.misuses.list[2].first.stack' free_first wmain
is '.misuses.list[2].first | .reserved_seconds == null and .reserved_stack == []'

"${report[@]}" misuse.nettrace > text
grep -q 'misused  *3 frees of what is not owned, 2 of what was freed before' text || wrong "the text: $(cat text)"

[ $failures -eq 0 ] || { echo "test_misuse: $failures wrong" >&2; exit 1; }
echo "test_misuse: ok"
