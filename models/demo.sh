#!/bin/sh
# The demo, from a bare Debian on: installs what is missing, builds, and trains three nets: the
# small one of the introduction, step by step; one on real measurements; and, when Debian's
# dataset-fashion-mnist is installed, one on photographs of clothes.
set -eu
cd "$(dirname "$0")/.."
sh tests/install.sh run
cmake --preset release >/dev/null
cmake --build --preset release --target tapegrad_program tapegrad-demo
build=build/release

title()
{
    printf '\n== %s\n\n' "$*"
}

title "A net of 3 inputs, one hidden layer of 4 and dropout, step by step"
"$build/tapegrad-demo"

title "Breast cancer: 569 tumours, 30 measurements each, benign or malignant;" \
    "30-64-32-1 with dropout"
"$build/tapegrad" train models/samples/breast_cancer.csv \
    --split models/samples/breast_cancer.split --hidden 64,32 --dropout 0.1 \
    --optimizer adam --lr 1e-3 --batch 32 --epochs 100

clothes=/usr/share/datasets/fashion-mnist
if [ -d "$clothes" ]; then
    title "Fashion-MNIST: 70,000 small photographs of clothes, 10 kinds; 784-128-64-10"
    "$build/tapegrad" train "$clothes" --hidden 128,64 --optimizer sgd --lr .02 --momentum .9 \
        --batch 64 --epochs 5
else
    title "Fashion-MNIST is left out: Debian's package dataset-fashion-mnist is not installed"
fi
