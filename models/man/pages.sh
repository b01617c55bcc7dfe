#!/bin/sh
# pages.sh PROGRAM VERSION DATE FOLDER HEADER ...: all man pages, into FOLDER/man1, man3 and man7.
# The program says what it and the ops do, the headers all else.
set -eu
here=$(dirname "$0") program=$1 version=$2 date=$3 folder=$4
shift 4
rm -rf "$folder"
mkdir -p "$folder/man1" "$folder/man3" "$folder/man7"
"$program" --help >"$folder/help"
for command in $(sed -n 's/^ *tapegrad \([a-z][a-z-]*\) .*/\1/p' "$folder/help"); do
    "$program" "$command" --help >"$folder/help.$command"
    set -- "$@" "$folder/help.$command"
done
headers=
helps=
for file in "$@"; do
    case $file in
    *.h) headers="$headers $file" ;;
    *) helps="$helps $file" ;;
    esac
done
awk -v date="$date" -v version="$version" -f "$here/program.awk" "$folder/help" $helps \
    >"$folder/man1/tapegrad.1"
rm "$folder"/help*
"$program" ops | awk -v out="$folder/man3" -v date="$date" -v version="$version" \
    -f "$here/pages.awk" - $headers
sed "s/@date@/$date/; s/@version@/$version/" "$here/tapegrad.7" >"$folder/man7/tapegrad.7"
