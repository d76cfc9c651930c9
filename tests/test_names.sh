#!/usr/bin/env bash
# test_names.sh
#
# Names that the Windows SDK or its C library has as macros, in one header or another, are no identifiers of ours: with
# another toolchain, or in a host that includes more of Windows than we do, something else would stand in their place.
# In clr.h `interface` is COM's macro, as in every header of the kind; tests/sdk/netfx stands for Microsoft's own.
set -u -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
failures=0
wrong() { echo "test_names: WRONG: $*" >&2; failures=$((failures + 1)); }

names="small hyper interface near far NEAR FAR pascal cdecl IN OUT OPTIONAL min max
    ERROR DELETE IGNORE STRICT ABSOLUTE RELATIVE ALTERNATE WINDING OPAQUE TRANSPARENT DIFFERENCE PASSTHROUGH
    Yield environ DOMAIN SING OVERFLOW UNDERFLOW PLOSS TLOSS s_addr s_host s_net h_addr"

# FILE:LINE: NAME, wherever one stands outside of comments, strings and #include.
look() { # FILE...
    awk -v names="$names" '
        BEGIN { count = split(names, list); for (i = 1; i <= count; i++) taken[list[i]] = 1 }
        FNR == 1 { comment = 0 }
        /^ *# *include/ { next }
        {
            line = $0
            code = ""
            while (line != "") {
                if (comment) {
                    end = index(line, "*/")
                    comment = end == 0
                    line = comment ? "" : substr(line, end + 2)
                } else if (match(line, /\/\/|\/\*|"([^"\\]|\\.)*"|\047([^\047\\]|\\.)*\047/)) {
                    code = code substr(line, 1, RSTART - 1) " "
                    start = substr(line, RSTART, 2)
                    comment = start == "/*"
                    line = start == "//" ? "" : substr(line, RSTART + RLENGTH)
                } else {
                    code = code line
                    line = ""
                }
            }
            if (FILENAME ~ /hostmem\/clr\.h$/) gsub(/typedef interface |interface DECLSPEC_UUID/, " ", code)
            count = split(code, word, /[^A-Za-z0-9_]+/)
            for (i = 1; i <= count; i++) if (word[i] in taken) print FILENAME ":" FNR ": " word[i]
        }' "$@"
}

mapfile -t files < <(find include src tests examples ! -path 'tests/sdk/netfx/*' \( -name '*.[ch]' -o -name '*.cpp' \))
[ ${#files[@]} -gt 100 ] || wrong "only ${#files[@]} files"
while read -r line; do wrong "$line"; done < <(look "${files[@]}")

# It sees what it should, and nothing else.
sample=$(mktemp) || exit 1
trap 'rm -f "$sample"' EXIT
cat > "$sample" << 'END'
#include <far>
/* hyper
 * IN */ int min_; // OUT
#define OF(x) ((x)->near) /* max */
static const char text[] = "max \" far"; int far;
char quote = '"'; int small_one, interface; char other = '"';
END
found=$(look "$sample" | sed 's/.*: //' | tr '\n' ' ')
[ "$found" = "near far interface " ] || wrong "in the sample: $found"

[ $failures -eq 0 ] || exit 1
echo "test_names: ${#files[@]} files"
