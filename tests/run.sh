#!/bin/sh
# run.sh [long]: all tests, from a bare Debian on: installs what is missing, builds with gcc and
# clang, with warnings as errors, and with the sanitizers; runs what the unit tests, the installed
# library, the exported names and the code's format have to say. The last line counts: "N passed, N
# failed, N skipped"; a test is skipped when a tool that it wants is not there. With the word
# `long`, TG_LONG is 1 in the environment: campaigns that take hours then run.
set -u
cd "$(dirname "$0")/.." || exit 1
case ${1:-} in
'') kinds='run test' TG_LONG= ;;
long) kinds='run test long' TG_LONG=1 ;;
*) echo "usage: sh tests/run.sh [long]" && exit 2 ;;
esac
export TG_LONG
sh tests/install.sh $kinds || exit 1

passed=0
failed=0
skipped=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
log=$scratch/log

check() # name, command ...: one test; a command skips itself by the exit code 77
{
    name=$1
    shift
    "$@" >"$log" 2>&1
    case $? in
    0)
        echo "ok      $name"
        passed=$((passed + 1))
        ;;
    77)
        echo "skipped $name: $(tail -n 1 "$log")"
        skipped=$((skipped + 1))
        ;;
    *)
        echo "FAILED  $name"
        tail -n 100 "$log"
        failed=$((failed + 1))
        return 1
        ;;
    esac
}

build() # preset, options ...
{
    preset=$1
    shift
    cmake --preset "$preset" -DTG_WERROR=ON "$@" && cmake --build --preset "$preset"
}

# What ctest's log says: Criterion counts its own tests, every script is one. A Criterion run that
# fails beyond its tests (it crashed, or a sanitizer complained) is one failure more.
count()
{
    awk '
        / Test +#[0-9]+: / {
            good = / Passed /
            if (/: criterion /) { ran = 1; clean = good }
            else if (good) p++
            else if (/Skipped/) s++
            else f++
        }
        /Synthesis: Tested: / {
            gsub(/\033\[[0-9;]*m/, "")
            match($0, /Tested: [0-9]+/); tested = substr($0, RSTART + 8, RLENGTH - 8)
            match($0, /Passing: [0-9]+/); passing = substr($0, RSTART + 9, RLENGTH - 9)
        }
        END {
            p += passing; f += tested - passing
            if (ran && !clean && tested == passing) f++
            print p + 0, f + 0, s + 0
        }' "$1"
}

variant() # preset, options ...: builds it and runs its tests
{
    start=$(date +%s)
    check "$1: builds without warnings" build "$@" || return
    built=$(date +%s)
    ctest --preset "$1" --parallel 2 --verbose >"$log" 2>&1
    grep 'Skipped' "$log" | sed -n "s/^.*Test *#[0-9]*: \([^ ]*\) .*/skipped $1: \1/p"
    read -r p f s <<END
$(count "$log")
END
    [ "$((p + f))" -gt 0 ] || f=1
    ran=$(($(date +%s) - built))
    echo "tests   $1: $p passed, $f failed, $s skipped" \
        "(built in $((built - start)) s, run in $ran s)"
    [ "$f" -eq 0 ] || tail -n 300 "$log"
    passed=$((passed + p))
    failed=$((failed + f))
    skipped=$((skipped + s))
}

formatted()
{
    strangers=$(
        for file in */*.[ch] */*/*.[ch] */*.cpp; do
            case $file in build/*) continue ;; esac # made by CMake
            clang-format "$file" | cmp -s "$file" - || echo "$file"
        done
    )
    [ -z "$strangers" ] || ! echo "$strangers"
}

headers_alone() # prefix: each header can be included first, and by strict compilers
{
    (cd "$1/include" && find . -name '*.h') | while read -r header; do
        echo "#include <$header>" | cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only \
            -I"$1/include" -x c - || exit 1
        for standard in 11 20; do
            echo "#include <$header>" | c++ -std=c++$standard -Wall -Wextra -Wpedantic -Werror \
                -fsyntax-only -I"$1/include" -x c++ - || exit 1
        done
    done
}

initializers() # prefix
{
    c++ -std=c++20 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$1/include" \
        tests/cpp_initializers.cpp
}

# At most 100 columns; what programs print in the pages, and tables, can't be wrapped.
narrow()
{
    wide=$(git ls-files '*.c' '*.h' '*.cpp' '*.sh' '*.py' '*.awk' '*.txt' '*.md' | xargs awk '
        /^```/ { printed = !printed && /^```text/ }
        /^[|]/ && FILENAME ~ /md$/ { next }
        length > 100 && !printed { print FILENAME ":" FNR }')
    [ -z "$wide" ] || ! echo "$wide"
}

# nm's options, library: defined names are the library's own.
only_tg()
{
    names=$(nm "$@" | awk 'NF == 3 {print $3}') && [ -n "$names" ] &&
        ! echo "$names" | grep -v '^tg_'
}

# Members of one name hide each other from debuggers, and from ar when the archive is taken apart.
members_differ() # archive
{
    members=$(ar t "$1") && [ -n "$members" ] && twice=$(echo "$members" | sort | uniq -d) &&
        [ -z "$twice" ] || ! echo "twice: $twice"
}

# Neither the library nor what it is linked with may replace the malloc of the process.
no_jemalloc() # prefix
{
    libraries=$(find "$1" -name 'libtapegrad.*') && [ -n "$libraries" ] || return 1
    ! nm -A $libraries | grep -E ' U (je_)?(mallocx|sdallocx|mallctl)' &&
        ! readelf -d $libraries 2>/dev/null | grep jemalloc &&
        ! grep -r jemalloc "$1" --include='*.pc' --include='*.cmake'
}

needs_nothing() # a lean library: but libc and libm
{
    needed=$(readelf -d "$1" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p') && [ -n "$needed" ] &&
        ! echo "$needed" | grep -Ev '^lib(c|m)\.so'
}

embedded() # builds the lean library as those who embed it do; it must stay small
{
    cmake --preset lean -B build/embedded -DTG_WERROR=ON -DBUILD_TESTING=OFF &&
        cmake --build build/embedded --target tapegrad || return 1
    needs_nothing build/embedded/libtapegrad.so &&
        strip -o "$scratch/embedded.so" build/embedded/libtapegrad.so || return 1
    size=$(wc -c <"$scratch/embedded.so")
    echo "$size bytes"
    [ "$size" -le 900000 ]
}

no_emulator()
{
    echo "no cross compiler, or no emulator"
    return 77
}

hardened() # a library or program
{
    readelf -dW "$1" | grep -q 'BIND_NOW' && readelf -lW "$1" | grep -q GNU_RELRO &&
        nm -D "$1" | grep -q __stack_chk_fail
}

variant release
variant dev
variant clang -DTG_TEST_JEMALLOC=ON
variant tsan
variant lean
if [ -n "$TG_LONG" ]; then
    if command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null; then
        variant arm64
    else check "arm64" no_emulator; fi
fi

check "the lean library needs libc and libm only, and has at most 900 KB" embedded
check "the code is in the format of .clang-format" formatted
check "no line has more than 100 columns" narrow
check "the shared library exports tg_ names only" \
    only_tg -D --defined-only build/release/libtapegrad.so
check "the static library defines tg_ names only" \
    only_tg -g --defined-only build/release/libtapegrad.a
check "no two objects of the static library have one name" \
    members_differ build/release/libtapegrad.a
for file in libtapegrad.so tapegrad; do check "$file is hardened" hardened build/release/$file; done
if check "the library can be installed" \
    cmake --install build/release --prefix "$scratch/prefix"; then
    check "no installed library brings jemalloc" no_jemalloc "$scratch/prefix"
    check "every public header stands alone, in C and C++" headers_alone "$scratch/prefix"
    check "C++ may leave out what the README leaves out" initializers "$scratch/prefix"
    for language in c c++ jemalloc; do
        for kind in shared static; do
            for way in pkg-config cmake; do
                check "a $language program uses the installed $kind library through $way" \
                    sh tests/use_installed.sh "$scratch/prefix" "$language" "$kind" "$way"
            done
        done
    done
fi
for way in plugin python; do
    check "the installed library can be loaded at run time: $way" \
        sh tests/load_installed.sh "$scratch/prefix" "$way"
done
check "the README says what is so" sh tests/readme.sh
check "the demo runs" sh models/demo.sh

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
