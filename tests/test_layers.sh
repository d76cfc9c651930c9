#!/usr/bin/env bash
# test_layers.sh NM OBJECTS     OBJECTS: the folder in which the objects of the library and its programs are
#
# Layers only point down. Of the sources: a file includes and calls what is in its folder or in one before it, below;
# nothing in a folder calls itself in a circle; and in bridge/ each file calls only those before it.
set -u -o pipefail

[ $# -eq 2 ] || { echo "usage: test_layers.sh NM OBJECTS" >&2; exit 2; }
folders="maps trace memory nettrace com bridge tools report"
no_circles="maps trace memory nettrace com bridge tools report"
bridge="imports runtime caller native_heap event use hard_limit managed notification machine thunks bind loader runtime_host"
objects=$(readlink -f "$2") || exit 1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
wrong() { echo "test_layers: WRONG: $*" >&2; failures=$((failures + 1)); }

# Pairs of files without their endings, "bridge/bind bridge/thunks": the first needs the second. Once by what is
# included, once by what is called. maps/pages.h is a seam: what it declares is defined above it, by a test too.
cd "$root/src" || exit 1
grep -n '^#include "' ./*/*.[ch] | sed -E 's|^\./([^.]*)\.[ch]:.*"([^.]*)\.h"$|\1 \2|' > "$work/includes"
find "$objects" -path '*.dir/src/*.obj' | sort | while IFS= read -r object; do
    source=${object##*.dir/src/}
    [ ! -f "${source%.obj}" ] || printf '%s\0' "$object"   # it may have been left by a source that is gone
done | xargs -0 "$1" -A -g > "$work/symbols" || exit 1
sed -E 's|^.*\.dir/src/([^.]*)\.c\.obj:|\1 |' "$work/symbols" |
    awk '$NF !~ /^_?(hm|hostmem)_/ || $NF ~ /^_?hm_pages_/ { next }
         $(NF - 1) == "U" { user[++uses] = $1; used[uses] = $NF; next }
         { definer[$NF] = $1 }
         END { for (i = 1; i <= uses; ++i) if (used[i] in definer) print user[i], definer[used[i]] }' > "$work/calls"
sort -u "$work/includes" "$work/calls" | awk '$1 != $2' > "$work/pairs"
for folder in $folders; do
    grep -q "^$folder/" "$work/calls" || wrong "no call from $folder/ was found"
done

upwards() { # ORDER PREFIX: the pairs under PREFIX that go up in the ORDER
    awk -v order="$1" -v prefix="$2" '
        BEGIN { for (n = split(order, names, " "); n; --n) rank[prefix names[n]] = n }
        function rank_of(file) { sub(prefix == "" ? "/.*" : "$", "", file); return rank[file] }
        index($1, prefix) == 1 && index($2, prefix) == 1 {
            if (!rank_of($1) || !rank_of($2) || rank_of($1) < rank_of($2)) print $1 " -> " $2 }' "$work/pairs"
}
while read -r pair; do wrong "upwards: $pair"; done < <(upwards "$folders" ""; upwards "$bridge" bridge/)

for folder in $no_circles; do
    awk -v folder="$folder/" '$1 != $2 && index($1, folder) == 1 && index($2, folder) == 1' "$work/calls" |
        tsort > /dev/null 2> "$work/circles" ||
        wrong "a circle: $(sed 's/^tsort: //' "$work/circles" | tr '\n' ' ')"
done

[ $failures -eq 0 ] || exit 1
echo "test_layers: $(wc -l < "$work/pairs") pairs of files: ok"
