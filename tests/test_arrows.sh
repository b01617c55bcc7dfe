#!/bin/sh
# Inside graph/ the arrows point down: graph/README.md lists its rooms from the bottom up, and every
# file includes, and calls, only what stands in its own room or in one below.
set -eu
build=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A row of the table: | room | `file.c` `file.h` ... | what |
awk -F '|' '/^\| [a-z]+ \| `/ {
    room++
    n = split($3, word, "`")
    for (k = 2; k <= n; k += 2) print word[k], room
}' graph/README.md >"$scratch/rooms"
(cd graph && ls ./*.[ch]) | sed 's,./,,' | sort >"$scratch/files"
cut -d ' ' -f 1 "$scratch/rooms" | sort | diff - "$scratch/files" ||
    { echo "graph/README.md does not list the files of graph/, each once" && exit 1; }

grep '^#include ["<]' graph/*.[ch] |
    sed 's,^graph/,,; s,tapegrad/,,; s,:#include ["<], ,; s,[">].*,,' |
    awk 'NR == FNR { room[$1] = $2; next }
        ($2 in room) && room[$2] > room[$1] { print $1 " includes " $2 " of a room above"; bad = 1 }
        END { exit bad }' "$scratch/rooms" -

for object in "$build"/CMakeFiles/tapegrad_graph.dir/graph/*.o; do
    nm "$object" | awk -v file="$(basename "$object" .o)" '
        $(NF - 1) == "U" && $NF ~ /^tg_/ { print file, "calls", $NF }
        $(NF - 1) ~ /^[TRDB]$/ { print file, "defines", $NF }'
done >"$scratch/symbols"
grep -q 'reverse.c defines tg_reverse' "$scratch/symbols"
awk '
    FILENAME == ARGV[1] { room[$1] = $2; next }
    $2 == "defines" { home[$3] = $1; next }
    { from[++n] = $1; to[n] = $3 }
    END {
        for (i = 1; i <= n; i++)
            if ((to[i] in home) && room[home[to[i]]] > room[from[i]]) {
                print from[i] " calls " to[i] " of " home[to[i]] ", which is in a room above"
                bad = 1
            }
        exit bad
    }' "$scratch/rooms" "$scratch/symbols"
