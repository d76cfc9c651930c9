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

marked() { "$readobj" --file-headers "$1" | grep -q IMAGE_DLL_CHARACTERISTICS_GUARD_CF; }
! marked "$build/hostmem.dll" || wrong "Control Flow Guard is on"
cmake -S "$root" --preset x64-sdk -B "$build/cfg" -DHOSTMEM_CFG=ON -DHOSTMEM_TESTS=OFF > "$work/log" 2>&1 &&
    cmake --build "$build/cfg" -j 2 --target hostmem >> "$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
marked "$build/cfg/hostmem.dll" || wrong "HOSTMEM_CFG: no mark"
"$readobj" --coff-load-config "$build/cfg/hostmem.dll" > "$work/load-config" || exit 1
flags=$(sed -n 's/.*GuardFlags: \(0x[0-9A-F]*\).*/\1/p' "$work/load-config")
[ $((flags & 0x400)) -ne 0 ] || wrong "HOSTMEM_CFG: the flags tell of no table: '$flags'"
base=$("$readobj" --file-headers "$build/cfg/hostmem.dll" | sed -n 's/.*ImageBase: //p')
exported=0
while read -r address name; do
    grep -qx "  $(printf '0x%X' $((base + address)))" "$work/load-config" || wrong "HOSTMEM_CFG: $name is not in the table"
    exported=$((exported + 1))
done < <(exports "$build/cfg/hostmem.dll")
[ $exported -gt 10 ] || wrong "HOSTMEM_CFG: no exports"

[ $failures -eq 0 ] || exit 1
echo "test_image: PDB and Control Flow Guard, $exported exports: ok"
