#!/usr/bin/env bash
# test_docs.sh CC LIBRARY INCLUDE
#
# What the README and the guides show is true: every C block compiles, without a warning, with no more than the public headers;
# those that are whole programs link with the library too; the README's first host is examples/minimal_host.c, word for word;
# every link leads to a file; and the README is no longer than a newcomer reads.
set -u -o pipefail

[ $# -eq 3 ] || { echo "usage: test_docs.sh CC LIBRARY INCLUDE" >&2; exit 2; }
cc=$1 library=$2 include=$3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0 blocks=0 programs=0 links=0
wrong() { echo "test_docs: WRONG: $*" >&2; failures=$((failures + 1)); }

# What a block may take for granted: the names that the text around it has given.
cat > "$work/before.h" << 'END'
#define COBJMACROS
#include <stdbool.h>
#include <stdio.h>
#include <hostmem/bridge.h>
#include <hostmem/hostmem.h>
#include <hostmem/trace.h>
#include <hostmem/verify.h>
extern hostmem_options options;
extern hostmem_manager *manager;
extern IHostControl *control, *own_control;
extern ICLRRuntimeHost *runtime;
extern HMODULE hostfxr;
extern const wchar_t *hostfxr_path, *comhost_path, *coreclr_path;
void HOSTMEM_CALL on_bridge_event(const hostmem_bridge_event *event, void *context);
END
options=(-std=c17 -Wall -Wextra -Werror -I "$include")
"$cc" "${options[@]}" "$work/before.h" -o "$work/before.h.gch" || exit 1   # Windows' headers once, not for each block

for page in "$root"/README.md "$root"/CONTRIBUTING.md "$root"/docs/*.md; do
    name=${page#"$root"/}
    awk -v to="$work/$(basename "$page" .md)" '/^```c$/{file = to "." ++n ".block"; next} /^```/{file = ""} file{print > file}' "$page"
    for block in "$work/$(basename "$page" .md)".*.block; do
        [ -f "$block" ] || continue
        blocks=$((blocks + 1))
        source=${block%.block}.c
        if grep -q 'int w*main(' "$block"; then
            cp "$block" "$source"
            programs=$((programs + 1))
            "$cc" "${options[@]}" -O1 -municode -static "$source" "$library" -o "$work/program.exe" ||
                wrong "$name: a program does not build: $(cat "$block")"
        elif grep -q '^static .*)$' "$block"; then
            { echo '#include "before.h"'; echo 'extern void *used;'; cat "$block"; } > "$source"
            "$cc" "${options[@]}" -Wno-unused-function -c "$source" -o "$work/block.o" ||
                wrong "$name: a function does not compile: $(cat "$block")"
        else
            { echo '#include "before.h"'; echo 'void block(void); void block(void) {'; cat "$block"; echo '}'; } > "$source"
            "$cc" "${options[@]}" -Wno-unused-variable -Wno-unused-but-set-variable -c "$source" -o "$work/block.o" ||
                wrong "$name: a block does not compile: $(cat "$block")"
        fi
    done
    while read -r link; do
        links=$((links + 1))
        [ -e "$(dirname "$page")/$link" ] || wrong "$name: $link leads nowhere"
    done < <(grep -o '](\([^)#:]*\))' "$page" | sed 's/^](//;s/)$//')
done

# The headers go with old compilers' settings, too.
cat > "$work/old.c" << 'END'
#include <hostmem/bridge.h>
#include <hostmem/trace.h>
#include <hostmem/verify.h>
hostmem_limits limits;
void unlimited(void);
void unlimited(void) { limits.limit = HOSTMEM_UNLIMITED; }
END
for language in c:c90 c++:c++98 c++:c++20; do
    "$cc" -x "${language%:*}" -std="${language#*:}" -Wall -Wextra -Werror -I "$include" -c "$work/old.c" -o "$work/old.o" ||
        wrong "the headers do not compile as ${language#*:}"
done

first=$(find "$work" -name 'README.*.block' -exec grep -l 'int wmain(' {} + | head -n 1)
cmp -s "${first:-/dev/null}" "$root/examples/minimal_host.c" || wrong "the README's first host is not examples/minimal_host.c"
[ "$(wc -l < "$root/README.md")" -lt 150 ] || wrong "the README has $(wc -l < "$root/README.md") lines"
[ $blocks -ge 12 ] && [ $programs -ge 1 ] && [ $links -gt 20 ] || wrong "only $blocks blocks, $programs programs, $links links seen"

[ $failures -eq 0 ] || { echo "test_docs: $failures wrong" >&2; exit 1; }
echo "test_docs: $blocks blocks, $programs programs, $links links"
