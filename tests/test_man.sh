#!/bin/sh
# The man pages: one for each op, each function of the public headers and each header; what mandoc
# says of them; the example in tapegrad(7). And the completion for bash.
set -eu
build=$1
pages=$build/man
[ -d "$pages" ] || { echo "this build has no man pages" && exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bad=0
complain()
{
    echo "$*"
    bad=1
}

"$build/tapegrad" ops | awk '!/^ / && NF > 2 { print "tg_" $1 }' >"$scratch/names"
# plain forms, as other languages call them, aside
cat "$build"/include/tapegrad/*.h | grep -E '^TG_API.*\(' |
    sed 's/_at(\(.*const char \*where\)/(\1/' |
    grep -oE '\btg_[a-z0-9_]+\(' | tr -d '(' | sort -u >>"$scratch/names"
[ "$(wc -l <"$scratch/names")" -gt 450 ] || complain "too few names are looked for"
while read -r name; do
    [ "$name" = tg_status ] && continue # a type, before a name in parentheses
    [ -s "$pages/man3/$name.3" ] || complain "there is no page of $name"
done <"$scratch/names"
for page in "$pages"/man3/*.3; do
    target=$(sed -n 's/^\.so //p' "$page")
    [ -z "$target" ] || [ -s "$pages/$target" ] || complain "$page leads nowhere"
done
grep -q '^\.It Li "\\-\\-threads N"' "$pages/man1/tapegrad.1" ||
    complain "tapegrad(1) lacks options"

sed -n '/^\.Bd -literal/,/^\.Ed/p' "$pages/man7/tapegrad.7" |
    sed '/^\.[BE]d/d; s/\\e/\\/g' >"$scratch/net.c"
cmake --install "$build" --prefix "$scratch/prefix" >/dev/null
PKG_CONFIG_PATH=$(dirname "$(find "$scratch/prefix" -name tapegrad.pc)")
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
cc -std=c11 "$scratch/net.c" $(pkg-config --cflags --libs tapegrad) -o "$scratch/net"
grep -qxF ".Dl $("$scratch/net")" "$pages/man7/tapegrad.7" ||
    complain "the example of tapegrad(7) prints something else"
[ -s "$scratch/prefix/share/man/man3/tg_matmul.3" ] || complain "the pages are not installed"

if command -v bash >/dev/null; then
    complete() # words ...: what the last one may become
    {
        bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tapegrad "$1"
            echo "${COMPREPLY[@]}"' \
            "$scratch/prefix/share/bash-completion/completions/tapegrad" "$build/tapegrad" "$@"
    }
    [ "$(complete ev)" = evaluate ] || complain "ev is not completed"
    [ "$(complete train --deci)" = --decimal-comma ] || complain "--deci is not completed"
    [ "$(complete evaluate models/samples/iris.c)" = models/samples/iris.csv ] ||
        complain "a file is not completed"
fi

[ $bad -eq 0 ] || exit 1
command -v mandoc >/dev/null || { echo "mandoc is not installed" && exit 77; }
for page in "$pages"/man1/* "$pages"/man7/* $(grep -L '^\.so' "$pages"/man3/*); do
    # Whether other pages are installed here, and that the pages are not an operating system's, is
    # no fault of theirs.
    mandoc -T lint "$page" |
        grep -vE 'STYLE: (referenced manual not found|operating system explicitly specified)' || :
done >"$scratch/lint"
[ ! -s "$scratch/lint" ] || { head "$scratch/lint" && exit 1; }

# The same as a site: what its pages lead to is there.
[ -n "${TG_LONG:-}" ] && command -v cmark-gfm >/dev/null || exit 0
sh models/man/site.sh "$build" "$scratch/site"
cd "$scratch/site"
find . -name '*.html' | while read -r page; do
    grep -oE "(href|src)=[\"'][^\"':#]+" "$page" | sed 's/^[a-z]*=.//' | while read -r to; do
        [ -e "$(dirname "$page")/$to" ] || echo "$page leads to $to, which is not there"
    done
done >"$scratch/dead"
[ ! -s "$scratch/dead" ] || { head "$scratch/dead" && exit 1; }
