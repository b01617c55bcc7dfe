#!/bin/sh
# The benchmarks run and write JSON that can be read again; how fast they are is not tested. $1: the
# build folder.
set -eu
bench=$1/tapegrad-bench
if [ ! -x "$bench" ]; then
    echo "built without benchmarks"
    exit 77
fi
scratch=$(mktemp -d)
# OpenMP's own runtime is not built for the thread sanitizer.
export TSAN_OPTIONS=ignore_noninstrumented_modules=1
trap 'rm -rf "$scratch"' EXIT

"$bench-c" w1 --quick --json "$scratch/plain.json"
"$bench" ops w1 --quick --filter add --json "$scratch/ours.json"
sed 's/"median": \([0-9]\)/"median": 9\1/' "$scratch/ours.json" >"$scratch/slower.json"
"$bench" report --round --ours "$scratch/ours.json" --plain "$scratch/slower.json" \
    --peer "$scratch/ours.json" --json "$scratch/report.json" >"$scratch/table"
grep -q "with the C library's allocator" "$scratch/table"
"$bench" report --round --ours "$scratch/ours.json" --plain "$scratch/ours.json" >"$scratch/same"
if grep -q "with the C library's allocator" "$scratch/same"; then exit 1; fi
for name in ops.add.65536.forward ops.add.65536.both w1.n100.recorded w1.n4.replayed; do
    grep -q "\"$name\"" "$scratch/report.json"
    grep -q "^$name " "$scratch/table"
done

# What is wrong is said, and is an error.
if "$bench" no-such-command 2>"$scratch/said"; then exit 1; fi
grep -q usage "$scratch/said"
echo '{"figures": [' >"$scratch/broken.json"
if "$bench" report --round --ours "$scratch/broken.json" 2>"$scratch/said"; then exit 1; fi
grep -q broken.json "$scratch/said"
