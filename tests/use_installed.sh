#!/bin/sh
# use_installed.sh PREFIX c|c++ shared|static pkg-config|cmake: builds a user's program against what is installed under PREFIX, and runs it.
set -eu
prefix=$1 language=$2 kind=$3 way=$4
tests=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

case $language in
c) compile='cc -std=c11' name=C source=$tests/c_use.c ;;
c++) compile='c++ -std=c++11' name=CXX source=$tests/cpp_use.cpp ;;
esac
strict='-Wall -Wextra -Wpedantic -Werror'
[ "$kind" = static ] && suffix=static || suffix=

if [ "$way" = pkg-config ]; then
    PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name tapegrad.pc)")
    export PKG_CONFIG_PATH
    $compile $strict "$source" -o "$folder/use" $(pkg-config --cflags --libs "tapegrad${suffix:+-$suffix}") "-Wl,-rpath,$(pkg-config --variable=libdir tapegrad)"
else
    cat >"$folder/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.16)
project(use LANGUAGES $name)
find_package(tapegrad REQUIRED)
add_executable(use $source)
target_compile_options(use PRIVATE $strict)
target_link_libraries(use PRIVATE tapegrad::tapegrad${suffix:+_$suffix})
END
    cmake -S "$folder" -B "$folder" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" >"$folder/log" && cmake --build "$folder" >>"$folder/log" || {
        cat "$folder/log"
        exit 1
    }
fi

"$folder/use"
linked=$(ldd "$folder/use" | grep -c libtapegrad || true)
case $kind in
shared) [ "$linked" -eq 1 ] ;;
static) [ "$linked" -eq 0 ] ;;
esac
