#!/bin/sh
# The program tapegrad: its commands, its exit statuses, what it prints and where. Argument: the
# build folder.
set -u
program=$1/tapegrad
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

fail()
{
    echo "FAILED: $*"
    sed 's/^/    out: /' "$scratch/out"
    sed 's/^/    err: /' "$scratch/err"
    failures=$((failures + 1))
}

run() # status, words ...: runs the program, output in $scratch/out and $scratch/err
{
    expected=$1
    shift
    "$program" "$@" >"$scratch/out" 2>"$scratch/err"
    status=$?
    [ $status -eq "$expected" ] || fail "tapegrad $*: exit status $status instead of $expected"
    words=$*
}

out() { grep -q -e "$1" "$scratch/out" || fail "tapegrad $words: the output has no '$1'"; }
err() { grep -q -e "$1" "$scratch/err" || fail "tapegrad $words: the errors have no '$1'"; }
silent() { [ ! -s "$scratch/$1" ] || fail "tapegrad $words: $1 should be empty"; }
lines()
{
    [ "$(wc -l <"$2")" -eq "$1" ] ||
        fail "tapegrad $words: $2 has $(wc -l <"$2") lines instead of $1"
}

# ---------------------------------------------------------------- the command line

run 2
err '^tapegrad: a command is missing'
silent out
run 2 trian
err "^tapegrad: 'trian' is no command"
run 0 --help
out 'tapegrad train DATA.csv'
silent err
run 0 --version
out '^tapegrad [0-9]*\.[0-9]*\.[0-9]*$'
for command in train predict evaluate check export bench ops graph optimizers schedules; do
    run 0 $command --help
    out "^usage: tapegrad $command"
    awk 'length > 80 { exit 1 }' "$scratch/out" || fail "tapegrad $words: more than 80 columns"
    silent err
    run 2 $command --no-such-option
    err "^tapegrad: unknown option '--no-such-option'"
    silent out
done
run 0 train --help
for option in target task test split validation cross-validate hidden activation dropout loss \
    optimizer lr momentum weight-decay group schedule clip accumulate batch epochs seed threads \
    no-standardize save history json quiet delimiter decimal-comma comment header no-header skip \
    categorical missing refuse-ids model patience watch better-by best average average-from \
    checkpoint every resume measures; do
    out "^  --$option "
done
run 2 train
err 'something is missing'
run 2 train a b
err "'b' is one word too many"
run 2 predict only-a-model
run 2 train x --lr
err -- '--lr needs a value'
run 2 train x --lr=fast
err "'fast' is not a number"
run 2 train x --epochs 0
err "'0' is not a whole number from 1"
run 2 train x --epochs 1.5
run 2 train x --hidden 64,,32
err "'64,,32' is not a list of sizes"
run 2 train x --activation rel
err "'rel' is none of relu"
run 2 train x --task both
run 2 train x --loss hinge
run 2 train x --optimizer adamx
err "'adamx' is none of sgd, adam, adamw"
run 2 train x --optimizer 'adam beta3=0.1'
err "no setting 'beta3'; there are lr, beta1"
run 2 train x --schedule 'cosinus'
err -- "--schedule: .*'cosinus' is none of constant"
run 2 train x --schedule 'step'
err 'step needs every='
run 2 train x --group '*.bias'
err "'\*.bias' is not PATTERN: settings"
run 2 train x --group '*.bias: decay=1'
err "no setting 'decay'"
run 2 train x --clip -1
run 2 train x --accumulate 0
run 2 train x --dropout 1.1
run 2 train x --validation 1
run 2 train x --json=yes
err -- '--json takes no value'
run 2 train x --split a --test b
err 'only one of --test, --split and --validation'
run 2 train x --momentum .9
err "adam: no setting 'momentum'"
run 2 bench no_such_op
err "^tapegrad: no op 'no_such_op'"
run 2 bench exp --size 0
run 2 bench exp log
run 0 bench exp --size 1000
out '^exp  *f32  *1000  *[0-9.e+-]*  *[0-9.]* '
silent err
run 0 bench matmul --json
out '^  {"op": "matmul", "dtype": "f32", "elements": [0-9]*, "forward": {"seconds": [0-9.e-]*,'
run 0 optimizers
out '^sgd .*gradient descent'
out '^  *lr=0.001 beta1=0.9 beta2=0.999'
run 0 schedules
out '^onecycle '
out '^  *at=STEP:STEP:...\|gamma=0.1 at=STEP'

# ---------------------------------------------------------------- train

data=models/samples
run 1 train "$scratch/none.csv"
err "^tapegrad: $scratch/none.csv: No such file or directory"
printf 'a,b\n1,x\nabc,y\n' >"$scratch/bad.csv"
run 1 train "$scratch/bad.csv"
err "bad.csv:3: column 'a': not a number: 'abc'"
silent out
run 1 train $data/iris.csv --target petal
err "iris.csv:1: no column 'petal'"
run 1 train $data/iris.csv --task binary
err 'the task is binary, but there are 3 classes'
run 1 train $data/iris.csv --loss mse
err 'the loss mse does not fit the task multiclass'
run 1 train $data/iris.csv --optimizer sgd --lr 1e6 --quiet
err 'the loss became'
run 1 train $data/iris.csv --epochs 1 --quiet --save "$scratch/none/model"
err 'none/model: can.t write: No such file or directory'

run 0 train $data/iris.csv --split $data/iris.split --epochs 30 --seed 1 --json \
    --save "$scratch/iris.model" --history "$scratch/iris.csv"
lines 1 "$scratch/out"
scores='"loss":[0-9.e-]*,"accuracy":[0-9.]*'
out '^{"train":{'"$scores"',"rows":120},"test":{'"$scores"',"rows":30},"seconds":[0-9.]*,'
out '"parameters":2499,'
err '^epoch  1/30  loss'
err '^epoch 30/30  loss'
lines 31 "$scratch/iris.csv"
grep -q '^epoch,train_loss,train_accuracy,test_loss,test_accuracy,seconds$' "$scratch/iris.csv" ||
    fail "the history's header"
cp "$scratch/out" "$scratch/first"
grep -q "$(printf '\r')" "$scratch/err" && fail "a progress bar in a pipe"

run 0 train $data/iris.csv --split $data/iris.split --epochs 30 --seed 1 --json --quiet \
    --threads 3 --save "$scratch/again.model"
err 'the target is .*--target names another); the task is multiclass: .*--task says otherwise'
lines 1 "$scratch/err"
sed 's/"seconds":[0-9.]*//' "$scratch/out" >"$scratch/a"
sed 's/"seconds":[0-9.]*//' "$scratch/first" >"$scratch/b"
cmp -s "$scratch/a" "$scratch/b" || fail "the same seed gave other results"
cmp -s "$scratch/iris.model" "$scratch/again.model" || fail "the same seed gave another model"

run 0 train $data/iris.csv --epochs 2 --quiet
out '^train  .*(120 rows)$'
out '^validation .*(30 rows)$'
run 0 train $data/iris.csv --epochs 2 --quiet --json --validation 0
out '"test":null'
run 0 train $data/diabetes.csv --split $data/diabetes.split --epochs 5 --quiet --json \
    --save "$scratch/diabetes.model" --hidden none
out '"test":{"loss":[0-9.e-]*,"r2":[0-9.e-]*,'
out '"parameters":11,'
run 0 train $data/breast_cancer.csv --test $data/breast_cancer.csv --epochs 5 --quiet --json \
    --optimizer sgd --lr .05 --momentum .9 --weight-decay 1e-4 \
    --hidden 8 --activation tanh --dropout .2 --batch 16 --no-standardize --task binary \
    --loss cross_entropy
out '"test":{.*"rows":569}'
run 0 train --epochs=1 --quiet -- $data/wine.csv

# Five nets, each tested on the rows that it has not seen.
run 2 train $data/iris.csv --cross-validate 5 --validation 0.2
err -- '--cross-validate holds rows out itself'
run 2 train $data/iris.csv --cross-validate 1
run 0 train $data/iris.csv --cross-validate 5 --epochs 30
part='0\.[0-9]*'
out "^5 folds: loss $part +- $part  accuracy 0\.9[0-9]* +- $part  (mean and deviation; 150 rows)\$"
err '^fold 5/5  loss .*(30 rows held out)$'
run 0 train $data/diabetes.csv --cross-validate 3 --epochs 5 --quiet --json --hidden none
folds='\[[0-9.]*,[0-9.]*,[0-9.]*\]'
out '^{"loss":{"mean":[0-9.]*,"deviation":[0-9.]*,"folds":'"$folds"'},"r2":{"mean":[-0-9.]*,'
out '"rows":442}$'
run 1 train "$scratch/none.csv" --cross-validate 3
err 'No such file'

# Every optimizer and every schedule of the tables can be asked for; groups and schedules have an
# effect.
run 0 optimizers
for optimizer in $(grep -o '^[a-z]*' "$scratch/out"); do
    run 0 train $data/iris.csv --epochs 2 --quiet --optimizer "$optimizer lr=0.003"
done
run 0 train $data/iris.csv --epochs 30 --quiet --json --optimizer 'adamw beta2=0.98' --lr .01 \
    --schedule 'linear start=0.1 steps=10%; cosine' --clip 1 \
    --accumulate 2 --group '*bias: weight_decay=0' --group 'layer1.weight: sgd lr=0.1 momentum=0.9'
out '"accuracy":0.9'
run 0 train $data/iris.csv --epochs 3 --quiet --json --schedule 'constant factor=0'
out '"train":{"loss":1\.'
run 1 train $data/iris.csv --epochs 1 --quiet --group 'none*: lr=1'
err 'no parameter.s name is like "none\*"'
run 1 train $data/iris.csv --epochs 1 --quiet --schedule 'linear steps=1000; cosine'
err -- '--schedule: .*nothing is left behind linear'

# ---------------------------------------------------------------- nets from text, early stopping

run 2 train x --model 'linear 3' --hidden 3
err 'in --model they are layers'
run 2 train x --measures accuracy,f2
err "'f2' is none of accuracy, "
run 2 train x --watch loss
err "'loss' is none of accuracy, "
run 1 train $data/iris.csv --model 'linear 16, rely, linear'
err "layers: number 1, 'rely', at character 12: there is no layer 'rely'"
run 1 train $data/iris.csv --model 'linear 4'
err "the layers end with rows of \[4\] where the loss cross_entropy wants 3 numbers"
run 0 train $data/digits.csv --split $data/digits.split --epochs 3 --lr .01 --seed 1 --json \
    --model 'conv 8 3, relu, maxpool 2, flatten, linear' --save "$scratch/digits.model"
out '"test":{"loss":[0-9.]*,"accuracy":0\.9'
err 'net conv 8 3, relu, maxpool 2, flatten, linear$'
run 0 evaluate "$scratch/digits.model" $data/digits.csv --json --measures f1,top_5
out '"confusion":.*,"measures":{"f1":0\.9[0-9]*,"top_5":0\.9[0-9]*}}$'
run 0 predict "$scratch/digits.model" $data/digits.csv
lines 1798 "$scratch/out"
run 0 graph "$scratch/digits.model"
out '^digraph'
out '4.weight'
run 0 check "$scratch/digits.model" $data/digits.csv
out '^[0-9]* derivatives of first and second order agree with differences'
run 0 check "$scratch/iris.model" $data/iris.csv --json
out '^{"right":true,"compared":[0-9]*,"kinks":[0-9]*,"error":[0-9.e-]*,"message":""}$'
run 1 check "$scratch/iris.model" $data/wine.csv
err "no column 'sepal_length_cm'"

run 0 train $data/iris.csv --split $data/iris.split --epochs 400 --lr .05 --seed 1 --json \
    --patience 5 --watch log_loss --history "$scratch/iris.jsonl" --measures all
epochs=$(sed 's/.*"epochs":\([0-9]*\).*/\1/' "$scratch/out")
[ "$epochs" -lt 400 ] || fail "nothing ended the training early"
lines "$epochs" "$scratch/iris.jsonl"
scores='_loss":[0-9.]*,"'
head -1 "$scratch/iris.jsonl" | grep -q '^{"epoch":1,"train'"$scores"'train_accuracy":[0-9.]*,'\
'"test'"$scores"'test_accuracy":[0-9.]*,"watched":[0-9.]*,"seconds":[0-9.]*}$' ||
    fail "the first line of the history"
best=$(sed 's/.*"watched":\([0-9.e-]*\).*/\1/' "$scratch/iris.jsonl" | sort -g | head -1)
out '"measures":{"accuracy":[0-9.]*,"balanced_accuracy":'
grep -q "\"log_loss\":$best," "$scratch/out" || fail "the weights are not the best epoch's, $best"
run 0 train $data/iris.csv --epochs 3 --quiet --average .9 --average-from 2 --measures f1
out '^validation  *f1  *[0-9.]*$'
run 0 train $data/iris.csv --epochs 3 --quiet --history "$scratch/iris.jsonl" # over an older one
lines 3 "$scratch/iris.jsonl"

# ---------------------------------------------------------------- checkpoints

run 2 train x --resume
err -- '--resume and --every want a --checkpoint'
run 2 train x --checkpoint f --every 3
err "'3' is none of 30s, 5min, 100steps, epoch"
run 2 train x --checkpoint f --cross-validate 3
options="--epochs 20 --seed 3 --dropout .2 --optimizer adamw --schedule cosine --average .9"
train="train $data/iris.csv $options"
run 0 $train --quiet --save "$scratch/whole.model" --history "$scratch/whole.csv"
run 0 $train --quiet --checkpoint "$scratch/run" --every 7steps --resume \
    --save "$scratch/parts.model"
cmp -s "$scratch/whole.model" "$scratch/parts.model" || fail "checkpoints changed the training"
rm "$scratch/parts.model"
run 1 $train --checkpoint "$scratch/run"
err 'training.safetensors is there already: --resume goes on from it'
run 1 $train --lr .1 --checkpoint "$scratch/run" --resume
err 'is of another training: settings is .*, and .*lr=0.1'
rm -r "$scratch/run"
# Stopped in the middle by a signal, and once for good.
many="train $data/digits.csv --epochs 60 --seed 3 --dropout .2 --batch 8"
run 0 $many --quiet --epochs 6 --save "$scratch/whole.model" --history "$scratch/whole.csv"
for signal in INT TERM KILL; do
    : >"$scratch/err"
    "$program" $many --epochs 6 --checkpoint "$scratch/run" --every 1steps --resume \
        >"$scratch/out" 2>"$scratch/err" &
    pid=$!
    # It listens to signals once it trains.
    until grep -q '^epoch' "$scratch/err" || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
    kill -s $signal $pid
    wait $pid
    status=$?
    # A training that was too fast for the signal is no failure.
    case $signal,$status in
    *,0) ;;
    INT,130 | TERM,143)
        words=$signal
        err "^stopped in epoch [0-9]*; what has been learnt is in $scratch/run. To go on:"
        err "^    tapegrad train $data/digits.csv .*--resume\$"
        silent out
        ;;
    KILL,137) ;;
    *) fail "$signal: exit status $status" ;;
    esac
done
run 0 $many --quiet --epochs 6 --checkpoint "$scratch/run" --resume --every 1steps \
    --save "$scratch/parts.model" --history "$scratch/parts.csv"
cmp -s "$scratch/whole.model" "$scratch/parts.model" || fail "a stopped training ends otherwise"
sed 's/[^,]*$//' "$scratch/whole.csv" >"$scratch/a"
sed 's/[^,]*$//' "$scratch/parts.csv" >"$scratch/b"
cmp -s "$scratch/a" "$scratch/b" || fail "a stopped training has another history"

# ---------------------------------------------------------------- CSV as people have it, and what
# was made of it

printf 'id;d;b;y\n1;2,5;x;u\n2;?;z;v\n3;1;x;u\n4;0,5;z;v\n5;1;x;u\n6;2;x;v\n' >"$scratch/people.csv"
run 0 train "$scratch/people.csv" --epochs 1 --validation 0 --skip id --categorical b \
    --missing median --save "$scratch/people.model"
err 'people.csv: fields are separated by a semicolon; --delimiter says otherwise'
err 'people.csv: 1 missing values are filled with'
err "people.csv: the target is 'y' (the last column; --target names another); the task is binary:"
err "the task is binary: its values are texts, 2 different ones"
run 0 predict "$scratch/people.model" "$scratch/people.csv"
lines 7 "$scratch/out"
sed 's/;[uv]$/;/' "$scratch/people.csv" >"$scratch/strangers.csv"
run 0 predict "$scratch/people.model" "$scratch/strangers.csv"
lines 7 "$scratch/out"
run 1 evaluate "$scratch/people.model" "$scratch/strangers.csv"
err "column 'y': empty: --missing skip leaves such rows out"
run 1 train "$scratch/people.csv" --refuse-ids --skip b --missing skip
err "column 'id' is an id"
printf '1,2,u\n2,3,v\n3,4,u\n' >"$scratch/bare.csv"
run 1 train "$scratch/bare.csv"
err -- '--no-header if this line is data, --header if it holds names'
run 0 train "$scratch/bare.csv" --no-header --target -1 --epochs 1 --quiet --validation 0
out '(3 rows)'
lines 1 "$scratch/err"
run 2 train x --delimiter ab
run 2 train x --missing some
run 2 train x --header --no-header
err 'opposites'

# ---------------------------------------------------------------- what may be written over

cp $data/iris.csv "$scratch/mine.csv"
ln "$scratch/mine.csv" "$scratch/other-name"
ln -s "$scratch/mine.csv" "$scratch/link"
for place in "$scratch/mine.csv" "$scratch/other-name" "$scratch/link"; do
    run 1 train "$scratch/mine.csv" --epochs 1 --save "$place"
    err "save: $place is one of the files that are read"
    run 1 train "$scratch/mine.csv" --epochs 1 --history "$place"
    err "history: $place is one of the files that are read"
done
run 1 train $data/iris.csv --split "$scratch/mine.csv" --save "$scratch/mine.csv"
err 'is one of the files that are read'
cmp -s $data/iris.csv "$scratch/mine.csv" || fail "the data was overwritten"
run 1 train $data/iris.csv --epochs 1 --save "$scratch/mine.csv"
err 'mine.csv is there already, and is not a model'
run 1 train $data/iris.csv --epochs 1 --history "$scratch/iris.model"
err 'iris.model is there already, and is not a history'
run 1 train $data/iris.csv --epochs 1 --save "$scratch/new" --history "$scratch/new"
err 'name one file'
ln -s new "$scratch/to-new"
mkdir "$scratch/folder"
for second in "$scratch/./new" "$scratch/folder/../new" "$scratch/to-new"; do
    run 1 train $data/iris.csv --epochs 1 --save "$scratch/new" --history "$second"
    err 'name one file'
    run 1 train $data/iris.csv --epochs 1 --save "$second" --history "$scratch/new"
    err 'name one file'
done
[ ! -e "$scratch/new" ] || fail "something was written before two names for one file were seen"
run 1 train $data/iris.csv --epochs 1 --save ''
err 'save: the name is empty'
echo "epoch,train_loss,mine" >"$scratch/epochs.csv"
run 1 train $data/iris.csv --epochs 1 --history "$scratch/epochs.csv"
err 'epochs.csv is there already, and is not a history'
mkfifo "$scratch/pipe"
timeout 60 cat "$scratch/pipe" >"$scratch/piped" &
timeout 60 "$program" train $data/iris.csv --epochs 1 --quiet --save "$scratch/pipe" \
    >"$scratch/out" 2>"$scratch/err" || fail "--save to a named pipe"
wait
head -c 44 "$scratch/piped" | grep -aq __metadata__ || fail "no model in a named pipe"
run 1 train $data/iris.csv --epochs 100000 --save "$scratch/none/model"
silent out
run 0 train $data/iris.csv --epochs 1 --quiet --save "$scratch/iris.model" \
    --history "$scratch/iris.csv"
lines 2 "$scratch/iris.csv"
"$program" train $data/iris.csv --epochs 1 --quiet --save /dev/stdout >"$scratch/piped" \
    2>"$scratch/err" || fail "--save /dev/stdout"
head -c 44 "$scratch/piped" | grep -aq __metadata__ || fail "no model in standard output"
"$program" train $data/iris.csv --epochs 1 --quiet --save /dev/full >"$scratch/out" 2>"$scratch/err"
[ $? -eq 1 ] || fail "a full device went unnoticed"
err "/dev/full: can't write: No space left on device"
[ -c /dev/full ] || fail "/dev/full was replaced"
run 0 train $data/iris.csv --split $data/iris.split --epochs 30 --seed 1 --quiet \
    --save "$scratch/iris.model"

# ---------------------------------------------------------------- predict and evaluate

run 0 predict "$scratch/iris.model" $data/iris.csv
lines 151 "$scratch/out"
out '^target,p_0,p_1,p_2$'
out '^[012],[0-9.e-]*,[0-9.e-]*,[0-9.e-]*$'
silent err
cp "$scratch/out" "$scratch/labelled"
cut -d, -f2-4 $data/iris.csv >"$scratch/part.csv"
run 1 predict "$scratch/iris.model" "$scratch/part.csv"
err "part.csv:1: no column 'sepal_length_cm', which the model needs"
awk -F, 'BEGIN {OFS = ","} {print "id" NR, $4, $3, $2, $1}' $data/iris.csv >"$scratch/turned.csv"
sed -i '1s/.*/id,petal_width_cm,petal_length_cm,sepal_width_cm,sepal_length_cm/' \
    "$scratch/turned.csv"
run 0 predict "$scratch/iris.model" "$scratch/turned.csv"
cmp -s "$scratch/out" "$scratch/labelled" || fail "the order of the columns changed the predictions"
run 1 evaluate "$scratch/iris.model" "$scratch/turned.csv"
err "the data has no column 'target'"

run 0 evaluate "$scratch/iris.model" $data/iris.csv
out '^loss [0-9.]*  accuracy [0-9.]*  (150 rows)$'
run 0 evaluate "$scratch/iris.model" $data/iris.csv --json
lines 1 "$scratch/out"
out '^{"loss":[0-9.e-]*,"accuracy":[0-9.]*,"rows":150,"labels":\["0","1","2"\],"confusion":\[\['
run 0 evaluate "$scratch/diabetes.model" $data/diabetes.csv --json
out '^{"loss":[0-9.e-]*,"r2":[0-9.e-]*,"rmse":[0-9.e-]*,"rows":442}$'
run 0 predict "$scratch/diabetes.model" $data/diabetes.csv
lines 443 "$scratch/out"
out '^target$'
run 1 evaluate $data/iris.csv $data/iris.csv
err '^tapegrad: models/samples/iris.csv: not a model'
head -c 1000 "$scratch/iris.model" >"$scratch/short.model"
run 1 predict "$scratch/short.model" $data/iris.csv
err 'cut short'

# ---------------------------------------------------------------- export

strict="cc -std=c99 -O1 -Wall -Wextra -pedantic -Werror"
run 0 export "$scratch/iris.model" -o "$scratch/iris.c" --name iris --header "$scratch/iris.h" \
    --test
silent out
silent err
$strict -Diris_TEST "$scratch/iris.c" -o "$scratch/self" -lm && "$scratch/self" >"$scratch/out" ||
    fail "the exported net fails its own test"
out '^0 of 12 numbers are wrong$'
cat >"$scratch/use.c" <<'END'
#include <stdio.h>
#include "iris.h"
int main(void)
{
    float row[4], p[3];
    printf("%s\n", iris_inputs[3]);
    while (scanf("%f,%f,%f,%f%*[^\n]", &row[0], &row[1], &row[2], &row[3]) == 4) {
        iris_predict(row, p);
        int best = p[1] > p[0];
        if (p[2] > p[best]) best = 2;
        printf("%s,%.5f,%.5f,%.5f\n", iris_label(best), (double)p[0], (double)p[1], (double)p[2]);
    }
    return *iris_label(3);
}
END
$strict "$scratch/use.c" "$scratch/iris.c" -o "$scratch/use" -lm ||
    fail "an exported net doesn't link"
tail -n +2 $data/iris.csv | "$scratch/use" >"$scratch/out" || fail "a label beyond the last"
out '^petal_width_cm$'
paste -d, "$scratch/out" "$scratch/labelled" | awk -F, '
    NR > 1 { n++; for (k = 2; k < 5; k++) if (($k - $(k + 4)) ^ 2 > 1e-9 || $1 != $5) exit 1 }
    END { if (n != 150) exit 1 }' || fail "an exported net predicts something else"
run 0 export "$scratch/diabetes.model" -o "$scratch/diabetes.c" --test
$strict -Dnet_TEST "$scratch/diabetes.c" -o "$scratch/self" -lm && "$scratch/self" >/dev/null ||
    fail "the exported regression fails its own test"
run 2 export "$scratch/iris.model"
err 'export: -o FILE.c is missing'
run 1 export "$scratch/iris.model" -o "$scratch/no.c" --name 7up
err '"7up" is no free C identifier'
run 1 export "$scratch/iris.model" -o "$scratch/no/such/folder.c"
err 'No such file or directory'
run 1 export "$scratch/short.model" -o "$scratch/no.c"
err 'cut short'
[ ! -e "$scratch/no.c" ] || fail "a failed export left a file"
run 1 export "$scratch/iris.model" -o "$scratch/iris.model"
err 'is one of the files that are read'
run 0 evaluate "$scratch/iris.model" $data/iris.csv
run 1 export "$scratch/iris.model" -o "$scratch/no.c" --header "$scratch/no.c"
err '^tapegrad: -o and --header name one file$'
echo 'int mine;' >"$scratch/mine.c"
run 1 export "$scratch/iris.model" -o "$scratch/mine.c"
err 'is not a model exported before'
run 0 export "$scratch/iris.model" -o "$scratch/iris.c" --name iris --header "$scratch/iris.h"
run 2 export "$scratch/iris.model" -o "$scratch/iris.c" --header --test
err '^tapegrad: --header needs a value: FILE.h$'
run 1 export "$scratch/iris.model" -o "$scratch/no.c" --name 7up
err '^tapegrad: export_c: "7up" is no free C identifier$'

# ---------------------------------------------------------------- images

mkdir "$scratch/images"
{
    printf '\0\0\010\003\0\0\0\004\0\0\0\001\0\0\0\002'
    printf '\377\0\0\377\377\0\0\377'
} >"$scratch/images/train-images-idx3-ubyte"
printf '\0\0\010\001\0\0\0\004\0\001\0\001' >"$scratch/images/train-labels-idx1-ubyte"
cp "$scratch/images/train-images-idx3-ubyte" "$scratch/images/t10k-images-idx3-ubyte"
cp "$scratch/images/train-labels-idx1-ubyte" "$scratch/images/t10k-labels-idx1-ubyte"
gzip "$scratch/images/t10k-images-idx3-ubyte"
run 0 train "$scratch/images" --epochs 200 --quiet --json --save "$scratch/images.model"
out '"test":{"loss":[0-9.e-]*,"accuracy":1,"rows":4}'
run 0 evaluate "$scratch/images.model" "$scratch/images"
out 'accuracy 1.0000  (4 rows)'
run 2 train "$scratch/images" --split x
head -c 20 "$scratch/images/train-images-idx3-ubyte" >"$scratch/images/cut"
mv "$scratch/images/cut" "$scratch/images/train-images-idx3-ubyte"
run 1 train "$scratch/images"
err 'train-images-idx3-ubyte: byte 20: the file ends here; its header promises 4 items and 24 bytes'

# ---------------------------------------------------------------- ops and graph

run 0 ops
out '^relu  .*max(x, 0)'
out '^matmul '
out 'shapes: .*; differentiable: any order; checked to order 3, largest error [0-9]'
out 'differentiable: not differentiable$'
silent err
run 0 ops conv2d
out '^conv2d '
out 'tg_conv2d(t, a, b, c, (tg_conv){'
out 'F.conv2d(a, b, c)'
silent err
run 0 ops max
out '^max  '
out 'no derivative: '
out 'tg_max(t, a, TG_AXES'
run 0 ops dropout
out 'tg_dropout(t, a, 0.1)'
run 2 ops nonsense
err "there is no op 'nonsense'"
run 2 ops relu relu
run 0 graph "$scratch/iris.model"
out '^digraph'
out 'layer2.weight'
out '^}$'
silent err
run 1 graph "$scratch/none.model"
err 'none.model: can.t open: No such file or directory'

"$program" ops >/dev/full 2>"$scratch/err"
[ $? -eq 1 ] || fail "a full disk went unnoticed"

echo "$failures failures"
[ $failures -eq 0 ]
