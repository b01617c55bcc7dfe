#!/bin/sh
# Runs what the README shows: its commands, from the top of the checkout after a release build, and
# its program, which must print what stands behind it, and the
# program of ops/README.md. The two commands at the README's top are left to whoever runs
# this (the second one does).
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export HOME="$folder/home"
mkdir "$HOME" "$folder/wrong"

blocks() # file, prefix: its k-th block of a language goes to the file PREFIXlanguage.k
{
    awk -v to="$folder/$2" '
        /^```[a-z]/ { language = substr($0, 4); file = to language "." (++n[language]); next }
        /^```/ { if (file) close(file); file = ""; next }
        file { print > file }' "$1"
}
blocks "$top/README.md" ''
blocks "$top/ops/README.md" ops_
mv "$folder/c.1" "$folder/net.c"
mv "$folder/ops_c.1" "$folder/cumsum.c"

grep -q 'models/demo.sh' "$folder/sh.1" && grep -q 'tests/run.sh' "$folder/sh.1"
for command in models/demo.sh tests/run.sh; do [ -f "$top/$command" ]; done

# What the program's block writes lands in the scratch folder: paths of the checkout are made
# absolute.
sed "s,build/release,$top/&,g; s,models/samples,$top/&,g" "$folder/sh.2" >"$folder/train.sh"
(cd "$folder" && sh -e train.sh >train.log && [ "$(wc -l <predictions.csv)" -eq 151 ] &&
    grep -q digraph step.dot)

sed "s,build/release,$top/&,g" "$folder/sh.3" >"$folder/speed.sh"
sh -n "$folder/speed.sh"

sed "s,build/release,$top/&,g" "$folder/sh.4" >"$folder/link.sh"
cat >>"$folder/link.sh" <<'END'
cc -std=c11 cumsum.c $(pkg-config --cflags --libs tapegrad) -o cumsum
./net | diff - text.1
./cumsum | diff - ops_text.1
END
(cd "$folder" && sh -e link.sh >link.log)

# The message that the README promises, from the model with a wrong size in it.
sed 's/2, 16, true/3, 16, true/' "$folder/net.c" >"$folder/wrong/net.c"
sed 's/ net\.c/ wrong\/net.c/; s/-o net/-o wrong\/net/; /cumsum/d; /^\.\/net/d' "$folder/link.sh" \
    >"$folder/wrong.sh"
message=$(sed -n 's/.*(`\(net.c:[^`]*\)`).*/\1/p' "$top/README.md")
(cd "$folder" && sh -e wrong.sh >wrong.log && export LD_LIBRARY_PATH="$HOME/.local/lib" &&
    ./wrong/net 2>&1) | grep -qF "$message"

lines=$(wc -l <"$folder/net.c")
[ "$lines" -le 30 ] || { echo "the model in the README has $lines lines" && exit 1; }
[ -f "$top/models/examples/step.svg" ]
