#!/bin/sh
# use_installed.sh PREFIX c|c++|jemalloc shared|static pkg-config|cmake: builds a user's program
# against what is installed under PREFIX, beside a library in C++, and runs it. The program
# `jemalloc` is one that chooses jemalloc.
set -eu
prefix=$1 language=$2 kind=$3 way=$4
tests=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

package= target=
case $language in
c) compile='cc -std=c11' source=$tests/c_use.c ;;
c++) compile='c++ -std=c++11' source=$tests/cpp_use.cpp ;;
jemalloc)
    compile='cc -std=c11' source=$tests/jemalloc_use.c package=jemalloc target=PkgConfig::jemalloc
    ;;
esac
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name tapegrad.pc)")
export PKG_CONFIG_PATH
strict='-Wall -Wextra -Wpedantic -Werror'
[ "$kind" = static ] && suffix=static || suffix=

if [ "$way" = pkg-config ]; then
    c++ -std=c++11 $strict -shared -fPIC "$tests/cxx_library.cpp" -o "$folder/libother.so"
    $compile $strict "$source" -o "$folder/use" \
        $(pkg-config --cflags --libs "tapegrad${suffix:+-$suffix}" $package) -L"$folder" -lother \
        "-Wl,-rpath,$(pkg-config --variable=libdir tapegrad),-rpath,$folder"
else
    cat >"$folder/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.16)
project(use LANGUAGES C CXX)
find_package(tapegrad REQUIRED)
${package:+find_package(PkgConfig REQUIRED)
pkg_check_modules($package REQUIRED IMPORTED_TARGET $package)}
add_compile_options($strict)
add_library(other SHARED $tests/cxx_library.cpp)
add_executable(use $source)
target_link_libraries(use PRIVATE tapegrad::tapegrad${suffix:+_$suffix} other $target)
END
    cmake -S "$folder" -B "$folder" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" >"$folder/log" &&
        cmake --build "$folder" >>"$folder/log" || {
        cat "$folder/log"
        exit 1
    }
fi

"$folder/use"
ldd "$folder/use" >"$folder/linked"
wanted=$([ -n "$package" ] && echo 1 || echo 0)
[ "$(grep -c "${package:-jemalloc}" "$folder/linked")" -eq "$wanted" ]
linked=$(grep -c libtapegrad "$folder/linked" || true)
case $kind in
shared) [ "$linked" -eq 1 ] ;;
static) [ "$linked" -eq 0 ] ;;
esac
