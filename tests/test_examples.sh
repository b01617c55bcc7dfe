#!/bin/sh
# Each listing of the cookbook, built and run, must print what stands behind it. And each example,
# built by the line in its first comment and run, must print what stands in its last one: the same
# words, and numbers but times within 5%, or 2 units of the last digit. An example that knows the
# word `short` is run so, on less work: then its own threshold, the exit status, decides. With
# TG_LONG all do their whole work. test_examples.sh BUILD [NAME ...]
set -eu
build=$1
shift
grep -q '^TG_SANITIZE:STRING=.' "$build/CMakeCache.txt" && echo "a build with sanitizers" && exit 77
top=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cmake --install "$build" --prefix "$scratch/prefix" >/dev/null
PKG_CONFIG_PATH=$(dirname "$(find "$scratch/prefix" -name tapegrad.pc)")
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
# Pictures that an example leaves land in the scratch folder.
ln -s "$top/models" "$scratch/models"
cd "$scratch"

# wanted, printed: the same but for roundings
close()
{
    awk '
        function parts(line, is_number) { # numbers out of a line, the rest in between
            n = 0
            while (match(line, /[-+]?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?/)) {
                text[is_number, n] = substr(line, 1, RSTART - 1)
                number[is_number, n++] = substr(line, RSTART, RLENGTH)
                line = substr(line, RSTART + RLENGTH)
            }
            text[is_number, n] = line
            return n
        }
        function unit(x) { # of the last digit
            sub(/e.*/, "", x)
            return match(x, /\./) ? 10 ^ -(length(x) - RSTART) : 1
        }
        function size(x) { return x < 0 ? -x : x }
        NR == FNR { wanted[++lines] = $0; next }
        {
            if (FNR > lines) { print "one line more: " $0; bad = 1; next }
            n = parts(wanted[FNR], 0)
            same = parts($0, 1) == n && text[0, n] == text[1, n]
            for (k = 0; same && k < n; k++) {
                a = number[0, k]
                off = size(a - number[1, k])
                same = text[0, k] == text[1, k]
                if (text[0, k + 1] !~ /^ (us|s)([ ,;.]|$)/) # times differ
                    same = same && (off <= 0.05 * size(a) || (a !~ /e/ && off <= 2.5 * unit(a)))
            }
            if (!same) { print "wanted:  " wanted[FNR]; print "printed: " $0; bad = 1 }
        }
        END { if (FNR < lines) { print "lines are missing"; bad = 1 }; exit bad }' "$1" "$2"
}

failures=0
fail() # what
{
    echo "$name: $*"
    failures=$((failures + 1))
}

if [ $# -eq 0 ]; then
    # listing.1.c, listing.2.c, listing.3.py ... and wanted.1, wanted.2 ...
    awk '/^```(c|cpp|python)$/ { file = "listing." ++n "." substr($0, 4); next }
        /^```text$/ { file = "wanted." n; printf "" > file; next }
        /^```/ { if (file) close(file); file = ""; next }
        file { print > file }' models/cookbook/README.md
    for listing in listing.*; do
        name=${listing#listing.}
        wanted=wanted.${name%.*} kind=${name##*.}
        name="cookbook: $listing: $(sed -n '/^[a-z]/{p;q}' "$wanted")"
        mkdir -p one
        cp "$listing" "one/listing.$kind"
        flags="$(pkg-config --cflags --libs tapegrad) -lm -pthread -ldl"
        case $kind in
        c) command="cc -std=c11 -Wall -Wextra -Werror listing.c $flags -o listing && ./listing" ;;
        cpp) command="c++ -Wall -Wextra -Werror listing.cpp $flags -o listing && ./listing" ;;
        python)
            command='if command -v python3 >/dev/null; then python3 listing.python
                else cat ../wanted; fi'
            ;;
        esac
        cp "$wanted" wanted
        (cd one && eval "$command" >../printed 2>../errors) || fail "failed: $(tail -n 3 errors)"
        close wanted printed || fail "prints something else"
    done
    [ "$(ls listing.* | wc -l)" -eq "$(grep -c '^```text' models/cookbook/README.md)" ] ||
        name=cookbook fail "a listing has no output"
fi

[ $# -gt 0 ] || set -- $(ls models/examples/*.c | sed 's,.*/,,; s/\.c$//')
for name in "$@"; do
    source=models/examples/$name.c
    [ "$name" = demo ] && continue # models/demo.sh runs it
    [ "$(wc -l <"$source")" -le 120 ] || fail "more than 120 lines"
    comment=$(sed -n 's, *\*/$,,; p; /^[^/ ]/q' "$source")
    word=
    [ -n "${TG_LONG:-}" ] ||
        word=$(echo "$comment" | sed -n 's/.*[.]\/a[.]out \(short\)[ :].*/\1/p')
    echo "$comment" | sed -n 's/ && .*//; s/^ \*     \(cc .*\)/\1/p' >commands
    [ -s commands ] || fail "says no command"
    : >printed
    : >errors
    while read -r command; do # one, as a rule
        sh -c "$command" || { fail "can't be built: $command" && continue; }
        ./a.out $word >>printed 2>>errors </dev/null || fail "failed: $(tail -n 3 printed errors)"
    done <commands
    [ -s errors ] && fail "$(cat errors)"
    [ -n "$word" ] && [ -s printed ] && continue
    awk '/^\/\* It prints/ { n = 0; on = 1; next }
         on && /^ \*\// { on = 0 }
         on { line[++n] = substr($0, 8) }
        END { for (k = 1; k <= n; k++) print line[k] }' "$source" >wanted
    sed -i 's/ *$//' printed
    close wanted printed || fail "prints something else"
done
[ "$failures" -eq 0 ]
