#!/bin/sh
# What a training leaves to look at: in a terminal, as a profile, and where a report may be written.
set -eu
program=$1/tapegrad
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail()
{
    echo "$*"
    exit 1
}

iris="models/samples/iris.csv --split models/samples/iris.split --hidden 8 --threads 1"
colour=$(printf '\033[3')

# in_terminal WORDS...: their output as a terminal would get it
in_terminal()
{
    TERM=xterm script -qec "$program train $iris $*" /dev/null </dev/null |
        tr -d '\r' >"$scratch/terminal"
}

if command -v script >/dev/null; then
    in_terminal --epochs 30
    grep -q 'loss  .*\*.* train  .*o.* test' "$scratch/terminal" || fail "no curve"
    grep -q '  1  *epoch 30$' "$scratch/terminal" || fail "the curve has no end"
    grep -q '^rows: the true class' "$scratch/terminal" || fail "no confusions"
    grep -qF "$colour" "$scratch/terminal" || fail "no colours"
    (NO_COLOR=1 && export NO_COLOR && in_terminal --epochs 30)
    grep -q '^loss  \* train  o test' "$scratch/terminal" || fail "NO_COLOR: no curve"
    ! grep -qF "$colour" "$scratch/terminal" || fail "colours in spite of NO_COLOR"
    in_terminal --epochs 30 --quiet
    ! grep -q 'rows: the true class' "$scratch/terminal" || fail "--quiet: confusions"
else
    echo "script is not installed: nothing was looked at in a terminal"
fi

# shellcheck disable=SC2086
"$program" train $iris --epochs 3 --profile "$scratch/trace.json" >"$scratch/out" 2>"$scratch/err"
! grep -q 'rows: the true class' "$scratch/out" || fail "confusions where no terminal is"
grep -q '"traceEvents":\[' "$scratch/trace.json" || fail "no trace"
grep -q 'op, or ops of one pass' "$scratch/err" || fail "no table"
sed -n '/op, or ops of one pass/,$p' "$scratch/err" | awk 'length($0) > 100 { exit 1 }' ||
    fail "the table is wider than 100 columns"

# refused WHAT WORDS...: exit 1, and the message says so
refused()
{
    what=$1
    shift
    # shellcheck disable=SC2086
    if "$program" train $iris --epochs 1 --quiet "$@" >/dev/null 2>"$scratch/err"; then
        fail "not refused: $*"
    fi
    grep -q -e "$what" "$scratch/err" || fail "$*: $(cat "$scratch/err")"
}

echo "a letter" >"$scratch/letter.html"
refused 'is not a report' --report "$scratch/letter.html"
refused 'is not a profile' --profile "$scratch/letter.html"
[ "$(cat "$scratch/letter.html")" = "a letter" ] || fail "a letter is gone"
refused 'name one file' --report "$scratch/one" --profile "$scratch/one"
refused 'one of the files that are read' --report models/samples/iris.csv
refused "can't write" --report /no/such/folder/run.html
for k in 1 2; do # over an older report
    # shellcheck disable=SC2086
    "$program" train $iris --epochs 1 --quiet --report "$scratch/run.html" >/dev/null 2>&1 ||
        fail "report $k"
done
# the command within reproduces the run
grep -q 'tapegrad train models/samples/iris.csv --split' "$scratch/run.html" || fail "no command"

for command in train predict evaluate check graph ops optimizers schedules ""; do
    # shellcheck disable=SC2086
    "$program" $command --help | awk -v c="$command" '
        length($0) > 80 { print c ": " $0; bad = 1 } END { exit bad }' || fail "help is too wide"
done
