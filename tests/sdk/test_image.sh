#!/usr/bin/env bash
# test_image.sh BUILD READOBJ PDBUTIL
#
# hostmem.dll of clang-cl and lld-link as tools see it: the PDB beside it is its own and knows its functions; Control Flow
# Guard is off, and in a build with HOSTMEM_CFG its table has every export. Whether Windows likes it, only Windows tells.
set -u -o pipefail

[ $# -eq 3 ] || { echo "usage: test_image.sh BUILD READOBJ PDBUTIL" >&2; exit 2; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P) || exit 1
build=$1 readobj=$2 pdbutil=$3
failures=0
wrong() { echo "test_image: WRONG: $*" >&2; failures=$((failures + 1)); }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# The GUID: bytes in the DLL, of which the PDB's text has the first three groups turned round.
entry=$("$readobj" --coff-debug-directory "$build/hostmem.dll") || exit 1
in_dll=$(sed -n 's/.*PDBGUID: (\(.*\))/\1/p' <<< "$entry" |
    awk '{ print "{" $4 $3 $2 $1 "-" $6 $5 "-" $8 $7 "-" $9 $10 "-" $11 $12 $13 $14 $15 $16 "}" }')
in_pdb=$("$pdbutil" dump --summary "$build/hostmem.pdb" | sed -n 's/.*GUID: //p')
[ -n "$in_pdb" ] && [ "$in_dll" = "$in_pdb" ] || wrong "the PDB is another DLL's: '$in_pdb', not '$in_dll'"
grep -q 'PDBFileName: hostmem\.pdb$' <<< "$entry" || wrong "the PDB has a path: $(grep PDBFileName <<< "$entry")"
"$pdbutil" dump --publics "$build/hostmem.pdb" > "$work/publics" || exit 1

exports() { # FILE: "address name"
    "$readobj" --coff-exports "$1" | awk '$1 == "Name:" { name = $2 } $1 == "RVA:" && name != "" { print $2, name }'
}
[ "$(exports "$build/hostmem.dll" | wc -l)" -gt 10 ] || wrong "no exports"
while read -r _ name; do
    grep -qF "\`$name\`" "$work/publics" || wrong "the PDB does not know $name"
done < <(exports "$build/hostmem.dll")

# guard_faults DLL: what it lacks of Control Flow Guard: the mark, the table, an export in the table.
guard_faults() {
    local flags base config=$work/load-config
    # grep to the end: -q would end readobj with a SIGPIPE
    [ "$("$readobj" --file-headers "$1" | grep -c IMAGE_DLL_CHARACTERISTICS_GUARD_CF)" -ne 0 ] || echo "no mark"
    "$readobj" --coff-load-config "$1" > "$config"
    flags=$(sed -n 's/.*GuardFlags: \(0x[0-9A-F]*\).*/\1/p' "$config")
    [ $((flags & 0x400)) -ne 0 ] || echo "no table"
    base=$("$readobj" --file-headers "$1" | sed -n 's/.*ImageBase: //p')
    while read -r address name; do
        grep -qx "  $(printf '0x%X' $((base + address)))" "$config" || echo "$name is not in the table"
    done < <(exports "$1")
}

# Without HOSTMEM_CFG all of it is missing: so the look at it can tell.
guard_faults "$build/hostmem.dll" > "$work/without"
exported=$(exports "$build/hostmem.dll" | wc -l)
[ "$(grep -c ' is not in the table$' "$work/without")" -eq "$exported" ] && [ "$(wc -l < "$work/without")" -eq $((exported + 2)) ] ||
    wrong "Control Flow Guard without HOSTMEM_CFG: not $exported exports and two more are missing: $(cat "$work/without")"
cmake -S "$root" --preset x64-sdk -B "$build/cfg" -DHOSTMEM_CFG=ON -DHOSTMEM_TESTS=OFF > "$work/log" 2>&1 &&
    cmake --build "$build/cfg" -j 2 --target hostmem >> "$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
while read -r fault; do wrong "HOSTMEM_CFG: $fault"; done < <(guard_faults "$build/cfg/hostmem.dll")
[ "$(exports "$build/cfg/hostmem.dll" | wc -l)" -eq "$exported" ] || wrong "HOSTMEM_CFG: other exports"

[ $failures -eq 0 ] || exit 1
echo "test_image: PDB and Control Flow Guard, $exported exports: ok"
