#!/bin/sh
# A public header of several groups lists them in its first comment, in their order.
set -eu
bad=0
for header in "$1"/include/tapegrad/*.h; do
    awk '
        FNR == 1 { opening = 1 }
        opening { text = text " " $0 }
        opening && /\*\// { opening = 0 }
        /^\/\* -----* / {
            title = $0
            sub(/^\/\* -* /, "", title)
            sub(/ *-*( \*\/)?$/, "", title)
            groups = groups (groups == "" ? "" : "; ") title
            n++
        }
        END {
            gsub(/ \*\/? */, " ", text)
            found = match(text, /Contents: .*\./) ? substr(text, RSTART + 10, RLENGTH - 11) : ""
            sub(/\..*/, "", found)
            gsub(/ +/, " ", found)
            if (n < 3 || found == groups) exit
            print FILENAME " lists:\n  " found "\nand has:\n  " groups
            exit 1
        }' "$header" || bad=1
done
exit $bad
