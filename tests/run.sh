#!/bin/sh
# All tests, from a bare Debian on: installs what is missing, builds with gcc and clang, with warnings as errors, and with the sanitizers; runs what the
# unit tests, the installed library, the exported names and the code's format have to say. The last line counts: "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1
sh tests/install.sh || exit 1

passed=0
failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
log=$scratch/log

check() # name, command ...: one test
{
    name=$1
    shift
    if "$@" >"$log" 2>&1; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name"
        tail -n 100 "$log"
        failed=$((failed + 1))
        return 1
    fi
}

build() # preset, options ...
{
    preset=$1
    shift
    cmake --preset "$preset" -DTG_WERROR=ON "$@" && cmake --build --preset "$preset"
}

# What ctest's log says: Criterion counts its own tests, every script is one. A Criterion run that fails beyond its tests (it crashed, or a sanitizer
# complained) is one failure more.
count()
{
    awk '
        / Test +#[0-9]+: / {
            good = / Passed /
            if (/: criterion /) { ran = 1; clean = good } else if (good) p++; else f++
        }
        /Synthesis: Tested: / {
            gsub(/\033\[[0-9;]*m/, "")
            match($0, /Tested: [0-9]+/); tested = substr($0, RSTART + 8, RLENGTH - 8)
            match($0, /Passing: [0-9]+/); passing = substr($0, RSTART + 9, RLENGTH - 9)
        }
        END {
            p += passing; f += tested - passing
            if (ran && !clean && tested == passing) f++
            print p + 0, f + 0
        }' "$1"
}

variant() # preset, options ...: builds it and runs its tests
{
    start=$(date +%s)
    check "$1: builds without warnings" build "$@" || return
    built=$(date +%s)
    ctest --preset "$1" --verbose >"$log" 2>&1
    counts=$(count "$log")
    p=${counts% *}
    f=${counts#* }
    [ "$((p + f))" -gt 0 ] || f=1
    echo "tests   $1: $p passed, $f failed (built in $((built - start)) s, run in $(($(date +%s) - built)) s)"
    [ "$f" -eq 0 ] || tail -n 300 "$log"
    passed=$((passed + p))
    failed=$((failed + f))
}

formatted()
{
    strangers=$(for file in */*.[ch] */*/*.[ch] */*.cpp; do clang-format "$file" | cmp -s "$file" - || echo "$file"; done)
    [ -z "$strangers" ] || ! echo "$strangers"
}

headers_alone() # prefix: each header can be included first, and by strict compilers
{
    (cd "$1/include" && find . -name '*.h') | while read -r header; do
        echo "#include <$header>" | cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$1/include" -x c - || exit 1
        for standard in 11 20; do
            echo "#include <$header>" | c++ -std=c++$standard -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$1/include" -x c++ - || exit 1
        done
    done
}

# nm's options, library: defined names are the library's own, and those that compilers give to its named critical sections.
only_tg()
{
    names=$(nm "$@" | awk 'NF == 3 {print $3}') && [ -n "$names" ] && ! echo "$names" | grep -Ev '^(tg_|\.gomp_critical_user_tapegrad_)'
}

variant release
variant dev
variant clang -DTG_WITH_CBLAS=OFF -DTG_WITH_DNNL=OFF
variant tsan

check "the code is in the format of .clang-format" formatted
check "the shared library exports tg_ names only" only_tg -D --defined-only build/release/libtapegrad.so
check "the static library defines tg_ names only" only_tg -g --defined-only build/release/libtapegrad.a
if check "the library can be installed" cmake --install build/release --prefix "$scratch/prefix"; then
    check "every public header stands alone, in C and C++" headers_alone "$scratch/prefix"
    for language in c c++; do
        for kind in shared static; do
            for way in pkg-config cmake; do
                check "a $language program uses the installed $kind library through $way" \
                    sh tests/use_installed.sh "$scratch/prefix" "$language" "$kind" "$way"
            done
        done
    done
fi
check "the README says what is so" sh tests/readme.sh
check "the demo runs" sh models/demo.sh

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
