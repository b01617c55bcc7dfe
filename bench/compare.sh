#!/bin/sh
# The workloads W1 to W11 in tapegrad, with jemalloc and the C library's allocator, and, when it
# is installed, in PyTorch: in one run, taking turns, so that what else the machine does meets all.
# The table is jemalloc's; where the C library's allocator differs by more than 3%, a second line
# shows it. Installs nothing. The limits of the machine are measured first.
#
#     sh bench/compare.sh [--rounds N] [--quick] [--json FILE] [w1 w2 ...]
#
# PYTHON names the interpreter that has PyTorch (/usr/bin/python3), BENCH a tapegrad-bench that is
# built already, beside its tapegrad-bench-c.
set -u
here=$(cd "$(dirname "$0")" && pwd)
rounds=3
quick=
json=tapegrad-bench.json
workloads=
while [ $# -gt 0 ]; do
    case $1 in
    --rounds) rounds=$2 && shift ;;
    --json) json=$2 && shift ;;
    --quick) quick=--quick rounds=1 ;;
    w[1-9] | w[1-9][0-9]) workloads="$workloads $1" ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 2 ;;
    esac
    shift
done
python=${PYTHON:-/usr/bin/python3}
bench=${BENCH:-}
if [ -z "$bench" ]; then
    (cd "$here/.." && cmake --preset release -DTG_BENCH=ON &&
        cmake --build --preset release) >/dev/null || exit 1
    bench=$here/../build/release/tapegrad-bench
fi
known=$("$bench" workload-names)
[ -n "$workloads" ] || workloads=$known
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

peer=yes
if ! "$python" -c 'import torch' 2>"$scratch/why"; then
    peer=
    echo "Not found: PyTorch for $python ($(tail -n 1 "$scratch/why")). Only tapegrad is measured."
    echo "On Debian: apt-get install python3-torch"
fi
[ -d /usr/share/datasets/fashion-mnist ] || {
    echo "Not found: Fashion-MNIST. The epochs of W2 are left out."
    echo "On Debian: apt-get install dataset-fashion-mnist"
}
cores=$(getconf _NPROCESSORS_ONLN)
processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sed 1q)
echo "$processor, $cores cores, load $(cut -d ' ' -f 1 /proc/loadavg)"
"$bench" limits $quick --json "$scratch/limits.json" || exit 1

# PyTorch gets its strongest settings: OpenBLAS made for AVX-512 where the processor has it (older
# releases don't recognise newer processors), ATen's AVX-512 kernels, a malloc that keeps freed
# memory instead of asking the system again, and an OpenBLAS with threads for two threads, if one is
# there.
torch() # threads, program, arguments ...
{
    threads=$1
    shift
    (
        export THREADS="$threads" OMP_NUM_THREADS="$threads" OPENBLAS_NUM_THREADS="$threads" \
            QUICK="${quick:+1}" PYTHONDONTWRITEBYTECODE=1
        export MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592 \
            MALLOC_TOP_PAD_=268435456
        if grep -qw avx512dq /proc/cpuinfo; then
            export OPENBLAS_CORETYPE=SKYLAKEX ATEN_CPU_CAPABILITY=avx512
        fi
        if [ "$threads" -gt 1 ]; then
            for folder in /usr/lib/*/openblas-openmp /usr/lib/*/openblas-pthread; do
                [ -d "$folder" ] || continue
                export LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
                break
            done
        fi
        exec "$@"
    )
}

for w in $workloads; do
    round=1
    while [ "$round" -le "$rounds" ]; do
        echo "--- $w, round $round of $rounds"
        "$bench" "$w" $quick --limits "$scratch/limits.json" \
            --json "$scratch/$w.ours.$round.json" || exit 1
        echo "--- $w, round $round of $rounds, with the C library's allocator"
        "$bench-c" "$w" $quick --limits "$scratch/limits.json" \
            --json "$scratch/$w.plain.$round.json" || exit 1
        if [ -n "$peer" ] && [ -f "$here/torch/$w.py" ]; then
            case $w in
            w9)
                torch 1 "$bench" $quick --json "$scratch/$w.peer.$round.json" process w9 \
                    "$python" "$here/torch/w9.py"
                ;;
            *)
                torch 1 "$python" "$here/torch/$w.py" "$scratch/$w.peer.$round.json"
                case $w in
                w2 | w3 | w4 | w6 | w7)
                    if [ "$cores" -gt 1 ]; then
                        torch 2 "$python" "$here/torch/$w.py" "$scratch/$w.peer.two.$round.json"
                    fi
                    ;;
                esac
                ;;
            esac
        fi
        round=$((round + 1))
    done
done

echo
echo "=== medians of $rounds rounds; ratio: PyTorch's time over tapegrad's"
set --
round=1
while [ "$round" -le "$rounds" ]; do
    set -- "$@" --round
    for side in ours plain peer; do
        for w in $workloads; do
            for file in "$scratch/$w.$side.$round.json" "$scratch/$w.$side.two.$round.json"; do
                if [ -f "$file" ]; then set -- "$@" "--$side" "$file"; fi
            done
        done
    done
    round=$((round + 1))
done
"$bench" report --json "$json" --limits "$scratch/limits.json" "$@" || exit 1
echo "Written: $json"
