#!/usr/bin/env bash
# test_archive.sh ARCHIVE OBJDUMP AR LD OBJCOPY
#
# What the static library shows a host's linker:
# - every global name begins with hostmem_ or hm_, or is a COMDAT: an IID, or the compiler's pointer to a name (.refptr.)
# - no symbol of a COMDAT section is local: where the linker keeps another copy, what refers to ours would become 0
# - it asks nobody for an IID
# An archive made wrong on purpose has to be noticed.
set -u -o pipefail

[ $# -eq 5 ] || { echo "usage: test_archive.sh ARCHIVE OBJDUMP AR LD OBJCOPY" >&2; exit 2; }
archive=$1 objdump=$2 ar=$3 ld=$4 objcopy=$5
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
wrong() { echo "test_archive: WRONG: $*" >&2; failures=$((failures + 1)); }

# One line for each fault, and at last how many global names and COMDAT sections there were.
look() { # FILE
    "$objdump" -h -t "$1" | awk '
        /file format/ { split("", section); split("", comdat); prefix = /i386/ ? "_" : "" }
        /^ *[0-9]+ [^ ]+ +[0-9a-f]+ / { number = $1 + 1; section[number] = $2 }
        /LINK_ONCE/ { comdat[number] = 1; comdats++ }
        /^\[ *[0-9]+\]\(sec/ {
            match($0, /\(sec +-?[0-9]+\)/); in_section = substr($0, RSTART + 4, RLENGTH - 5) + 0
            match($0, /\(scl +[0-9]+\)/); class = substr($0, RSTART + 4, RLENGTH - 5) + 0
            name = $NF
            if (class == 3) {
                if (in_section in comdat && name != section[in_section]) print "local in a COMDAT section: " name
                next
            }
            if (class != 2) { if (class != 103) print "neither local nor global: " name; next }
            if (prefix != "" && index(name, prefix) == 1) name = substr(name, 2)
            if (in_section == 0 && / 0x0+ [^ ]+$/) {
                if (name ~ /^(IID|CLSID|GUID)_/) print "asked of others: " name
                next
            }
            globals++
            if (name ~ /^(hostmem|hm)_/) next
            if (in_section in comdat && name ~ /^(IID_|\.refptr\.)/) next
            print "neither ours nor a COMDAT: " name
        }
        END { print globals + 0, comdats + 0 }'
}

look "$archive" > "$work/found" || wrong "$objdump failed"
grep -v '^[0-9]' "$work/found" | sort -u | while read -r line; do echo "test_archive: $line" >&2; done
[ "$(wc -l < "$work/found")" -eq 1 ] || wrong "$archive"
read -r globals comdats < <(tail -n 1 "$work/found")
{ [ "$globals" -gt 100 ] && [ "$comdats" -gt 4 ]; } || wrong "only $globals global names and $comdats COMDATs seen"

# One object in which only the API is global.
mkdir "$work/members" && cd "$work/members" && "$ar" x "$archive" && "$ld" -r -o ../one.o ./* || wrong "cannot take it apart"
"$objcopy" --wildcard --keep-global-symbol='*hostmem_*' ../one.o && look ../one.o > ../found
grep -q '^local in a COMDAT section: .*IID_IHostMemoryManager$' ../found || wrong "a local symbol in a COMDAT section is not seen"

# A name without the prefix.
"$objcopy" --redefine-sym hm_vm_alloc=vm_alloc --redefine-sym _hm_vm_alloc=_vm_alloc ./vm.c.obj && look ./vm.c.obj > ../found
grep -q '^neither ours nor a COMDAT: vm_alloc$' ../found || wrong "a name that is not ours is not seen"

[ $failures -eq 0 ] || exit 1
echo "test_archive: $globals global names, $comdats COMDATs"
