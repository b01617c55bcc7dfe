#!/bin/sh
# The numbers in TESTED.md: each is at most what its command prints, and not much less.
set -eu
build=$1
grep -q '^TG_SANITIZE:STRING=.' "$build/CMakeCache.txt" && echo "a build with sanitizers" && exit 77
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sed -n 's/^| *\([0-9]*\) | \(.*\) | `\(.*\)` |$/\1\t\2\t\3/p' tests/TESTED.md |
    sed 's/\\|/|/g' >"$scratch/rows"
[ "$(wc -l <"$scratch/rows")" -ge 7 ]
bad=0
while IFS="$(printf '\t')" read -r said what command; do
    case $command in *tapegrad-tests*) [ -x "$build/tapegrad-tests" ] || continue ;; esac
    command=$(echo "$command" | sed "s,build/release,$build,g")
    counted=$(eval "$command" | grep -o '[0-9]*' | head -1)
    [ "$said" -le "$counted" ] && [ $((said * 4)) -ge $((counted * 3)) ] && continue
    echo "TESTED.md says $said $what; there are $counted"
    bad=1
done <"$scratch/rows"
exit $bad
