#!/bin/sh
# load_installed.sh PREFIX plugin|python: loads what is installed under PREFIX into a process that
# runs already.
set -eu
prefix=$1 way=$2
tests=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name tapegrad.pc)")
export PKG_CONFIG_PATH
libraries=$(pkg-config --variable=libdir tapegrad)
strict='-std=c11 -Wall -Wextra -Wpedantic -Werror'

case $way in
plugin)
    cc $strict -shared -fPIC "$tests/plugin.c" -o "$folder/plugin.so" \
        $(pkg-config --cflags --libs tapegrad) "-Wl,-rpath,$libraries"
    cc $strict "$tests/plugin_host.c" -o "$folder/host" -ldl
    timeout 120 "$folder/host" "$folder/plugin.so"
    ;;
python)
    python=$(command -v python3) || {
        echo "no Python: skipped"
        exit 77
    }
    PYTHONDONTWRITEBYTECODE=1 timeout 120 "$python" "$tests/ctypes_use.py" \
        "$libraries/libtapegrad.so"
    ;;
esac
