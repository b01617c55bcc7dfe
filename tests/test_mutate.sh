#!/bin/sh
# Every derivative rule is reached by a check, and every mutant of every rule dies: tests/mutate.c.
# It takes minutes, so one build does it, that of gcc without sanitizers: the rules are the same in
# all of them.
set -eu
build=$1
grep -q '^TG_SANITIZE:STRING=.' "$build/CMakeCache.txt" && echo "a build with sanitizers" && exit 77
grep -q '^CMAKE_C_COMPILER:.*clang' "$build/CMakeCache.txt" && echo "gcc's build does it" && exit 77
tool=$build/tapegrad-mutate
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$tool" rules | sort -u >"$scratch/reached"
# Rules are functions with vjp in their names; tg_vjp_batch is an op's.
nm "$tool" |
    awk '$3 == "main" || ($2 ~ /[tT]/ && $3 ~ /vjp/ && $3 !~ /^tg_vjp_batch/) {
            print $1, $3
        }' >"$scratch/symbols"
main=$(awk '$2 == "main" { print $1 }' "$scratch/symbols")
while read -r address name; do
    [ "$name" = main ] || echo "$((0x$address - 0x$main)) $name"
done <"$scratch/symbols" | sort >"$scratch/rules"
awk 'NR == FNR { reached[$1] = 1; next }
    { n++ }
    !($1 in reached) { print $2 " is reached by no check"; bad = 1 }
    END { exit bad || n < 90 }' "$scratch/reached" "$scratch/rules"

"$tool"
