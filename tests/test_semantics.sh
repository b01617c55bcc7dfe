#!/bin/sh
# Every row of the tables in ops/README.md, what the ops do at the edges, names its tests, and every
# test named exists.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cat tests/test_*.c | tr -s '\n ' ' ' |
    grep -o 'Test([a-z_0-9]*, [A-Za-z_0-9]*' | sed 's/Test(//; s/, /\//' >"$scratch/tests"
awk '
    FILENAME == ARGV[1] { known[$1] = 1; next }
    /^## / { wanted = /at the edges/ }
    /^### Decided/ { wanted = 0 }
    !wanted || !/^\|/ || /^\|---/ || /^\| case / { next }
    {
        rows++
        cell = $0
        sub(/ \|$/, "", cell)
        sub(/.*\| /, "", cell)
        n = split(cell, word, "`")
        if (n < 3 && cell != "the same") { print "no test: " $0; bad = 1 }
        for (k = 2; k <= n; k += 2)
            if (!(word[k] in known)) { print "there is no test " word[k]; bad = 1 }
    }
    END { exit bad || rows < 45 }' "$scratch/tests" ops/README.md
