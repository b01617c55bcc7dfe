#!/bin/sh
# The same files from any number of ranks, with Open MPI and with MPICH; what one rank meets ends
# all of them with one message. Without either of the two this is skipped.
set -u
build=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
program=$build/tapegrad
data=models/samples/digits.csv
bad=0
ran=

fail()
{
    echo "$1"
    bad=1
}

# The options of a vendor's mpirun: root in a container, more ranks than cores.
OMPI_ALLOW_RUN_AS_ROOT=1
OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
on_ranks() # n, command ...
{
    n=$1
    shift
    case $vendor in
    openmpi) timeout 120 mpirun.openmpi --oversubscribe -n "$n" "$@" ;;
    mpich) timeout 120 mpirun.mpich -n "$n" "$@" ;;
    esac
}

train() # name, options ...: the model's file NAME.safetensors, the history NAME.csv without times
{
    name=$1
    shift
    "$program" train $data --threads 1 --epochs 2 --batch 256 --leaves 8 --hidden 20 "$@" \
        --save "$scratch/$name.safetensors" --history "$scratch/$name.csv" --json --quiet
}

compare() # name of one rank's, name of many ranks'
{
    cmp "$scratch/$1.safetensors" "$scratch/$2.safetensors" || fail "$vendor: $2 differs from $1"
    cut -d, -f1-5 "$scratch/$1.csv" >"$scratch/a"
    cut -d, -f1-5 "$scratch/$2.csv" | cmp -s "$scratch/a" - || fail "$vendor: $2's history differs"
    for name in "$1" "$2"; do
        sed 's/,"seconds.*//' "$scratch/$name.json" >"$scratch/$name.scores"
    done
    cmp "$scratch/$1.scores" "$scratch/$2.scores" || fail "$vendor: $2's scores differ"
}

# No file of another rank's, no half of one.
nothing_left() # what
{
    left=$(ls "$scratch/out")
    [ -z "$left" ] || fail "$vendor: $1 leaves $left"
}

# All ranks end, the exit status is 1, and one line says why.
fails() # message, n, command ...
{
    message=$1
    shift
    mkdir -p "$scratch/out"
    on_ranks "$@" >"$scratch/log" 2>&1
    status=$?
    [ $status -eq 1 ] || fail "$vendor: exit status $status instead of 1: $(cat "$scratch/log")"
    [ "$(grep -c '^tapegrad: ' "$scratch/log")" -eq 1 ] && grep -q "$message" "$scratch/log" ||
        fail "$vendor: not one message '$message': $(cat "$scratch/log")"
    nothing_left "a failure"
}

check()
{
    for n in 1 2 3 4 8; do
        on_ranks $n env true || return
        on_ranks $n "$program" train $data --threads 1 --epochs 2 --batch 256 --leaves 8 \
            --hidden 20 --optimizer 'sgd lr=0.1 momentum=0.9' --clip 0.5 \
            --save "$scratch/sgd$n.safetensors" --history "$scratch/sgd$n.csv" --json --quiet \
            >"$scratch/sgd$n.json" || fail "$vendor: $n ranks"
        grep -q "\"ranks\":$n" "$scratch/sgd$n.json" || fail "$vendor: no \"ranks\":$n"
        compare sgd sgd$n
    done
    on_ranks 3 "$program" train $data --threads 1 --epochs 2 --batch 256 --leaves 8 --hidden 20 \
        --dropout 0.2 --save "$scratch/adam3.safetensors" --history "$scratch/adam3.csv" --json \
        --quiet >"$scratch/adam3.json" || fail "$vendor: 3 ranks"
    compare adam adam3
    sed '100s/^[^,]*/oops/' $data >"$scratch/broken.csv"
    out=$scratch/out/m.safetensors
    fails "broken.csv:100" 3 "$program" train "$scratch/broken.csv" --save "$out" --quiet
    fails "can't write" 3 "$program" train $data --save "$scratch/no/such/folder" --quiet
    fails "the loss became" 4 "$program" train $data --optimizer 'sgd lr=1e20' --leaves 8 \
        --batch 256 --save "$out" --quiet
    # One rank alone has a broken file.
    cat >"$scratch/one.sh" <<END
case \${OMPI_COMM_WORLD_RANK:-\$PMI_RANK} in
2) exec "$program" train "$scratch/broken.csv" --save "$out" --quiet ;;
*) exec "$program" train $data --save "$out" --quiet ;;
esac
END
    fails "rank 2: .*broken.csv:100" 3 sh "$scratch/one.sh"
    # One rank is killed: the others don't wait for it.
    cat >"$scratch/killed.sh" <<END
case \${OMPI_COMM_WORLD_RANK:-\$PMI_RANK} in
1)
    timeout -s KILL 1 "$program" train $data --epochs 100000 --threads 1 --leaves 4 --quiet
    kill -9 \$\$
    ;;
*) exec "$program" train $data --epochs 100000 --threads 1 --leaves 4 --save "$out" --quiet ;;
esac
END
    start=$(date +%s)
    ! on_ranks 2 sh "$scratch/killed.sh" >"$scratch/log" 2>&1 ||
        fail "$vendor: a killed rank is no failure"
    [ $(($(date +%s) - start)) -lt 60 ] || fail "$vendor: a killed rank is waited for"
    nothing_left "a killed rank"
}

train sgd --optimizer 'sgd lr=0.1 momentum=0.9' --clip 0.5 >"$scratch/sgd.json" || fail "no MPI"
train adam --dropout 0.2 >"$scratch/adam.json" || fail "no MPI"
for vendor in openmpi mpich; do
    command -v mpirun.$vendor >/dev/null && [ -e "$build/libtapegrad-$vendor.so" ] || continue
    ran="$ran $vendor"
    check
done
[ -n "$ran" ] || {
    echo "neither Open MPI nor MPICH is there"
    exit 77
}
# Started by mpirun without the library that it takes: what to install.
OMPI_COMM_WORLD_SIZE=2 TG_MPI=$scratch/none.so "$program" train $data 2>&1 | grep -q 'install' ||
    fail "nothing says what to install"
echo "ran with$ran"
exit $bad
