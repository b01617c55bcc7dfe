#!/bin/sh
# Report pages in a browser: every chart has marks, nothing is written to the console, no request
# leaves the page, nothing sticks out at 360 px, light and dark, on paper. Without chromium it is
# skipped.
set -eu
program=$1/tapegrad
command -v chromium >/dev/null || { echo "chromium is not installed" && exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail()
{
    echo "$*"
    exit 1
}

# chromium OPTIONS...: without a window, and with nothing of its own to tell the network
browser()
{
    HOME=$scratch timeout 120 chromium --headless --no-sandbox --disable-gpu \
        --disable-dev-shm-usage --no-first-run --disable-background-networking \
        --disable-component-update --virtual-time-budget=5000 --user-data-dir="$scratch/user" "$@"
}

# browse PAGE OPTIONS...: what the DOM is in the end; the console goes to a file
browse()
{
    seen=$1
    shift
    browser --enable-logging=stderr "$@" --dump-dom "file://$seen" 2>"$scratch/log"
}

# What a person would look at, as text behind the page, and for a page around it: NAME=MARKS of each
# card, what sticks out, the colours.
cat >"$scratch/probe" <<'EOF'
<script>
addEventListener("load", () => {
  const cards = [...document.querySelectorAll("figure.card")].map((f) =>
    f.dataset.chart.replace(/ /g, "_") + "=" + f.querySelectorAll("[data-mark], tr + tr").length);
  const out = [...document.querySelectorAll("main *")].filter((e) => !e.closest(".scroll") &&
    e.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
  const paper = getComputedStyle(document.body).backgroundColor.replace(/ /g, "");
  const text = "PROBE width:" + innerWidth + " out:" + out.length + " paper:" + paper + " " +
    cards.join(" ") + " END";
  const pre = document.createElement("pre");
  pre.textContent = text;
  document.body.append(pre);
  parent.postMessage(text, "*");
});
</script>
EOF
cat >"$scratch/narrow.html" <<'EOF'
<!doctype html><title>narrow</title><pre id="said"></pre>
<script>
addEventListener("message", (e) => { document.getElementById("said").textContent = e.data; });
</script>
<iframe src="probed.html" width="360" height="800" style="border:0"></iframe>
EOF

# look NAME CARDS...: these cards are there, all with marks, and so has whatever else is there
look()
{
    page=$scratch/$1.html
    name=$1
    shift
    bytes=$(wc -c <"$page")
    [ "$bytes" -lt 500000 ] || fail "$name: $bytes bytes"
    sed "/<\/body>/{
r $scratch/probe
}" "$page" >"$scratch/probed.html"
    for way in light dark narrow; do
        case $way in
            light) browse "$scratch/probed.html" --blink-settings=preferredColorScheme=1 ;;
            dark) browse "$scratch/probed.html" --blink-settings=preferredColorScheme=0 ;;
            narrow) browse "$scratch/narrow.html" ;;
        esac >"$scratch/dom"
        ! grep CONSOLE "$scratch/log" || fail "$name, $way: the console says this"
        said=$(grep -o 'PROBE .* END' "$scratch/dom" | head -1)
        [ -n "$said" ] || fail "$name, $way: not drawn"
        for card in "$@"; do
            case $said in *" $card="[1-9]*) ;; *) fail "$name, $way: $card: $said" ;; esac
        done
        case $said in *=0\ *) fail "$name, $way: an empty card: $said" ;; esac
        case $said in *" out:0 "*) ;; *) fail "$name, $way: it sticks out: $said" ;; esac
        case $way:$said in
            light:*"paper:rgb(251,250,248)"* | dark:*"paper:rgb(21,23,27)"*) ;;
            narrow:*"width:360 "*) ;;
            *) fail "$name, $way: $said" ;;
        esac
    done
    browser --print-to-pdf="$scratch/page.pdf" "file://$page" >/dev/null 2>&1
    [ "$(wc -c <"$scratch/page.pdf")" -gt 50000 ] || fail "$name: nothing on paper"
}

train()
{
    page=$1
    shift
    "$program" train "$@" --threads 1 --quiet --report "$scratch/$page.html" >/dev/null 2>&1 ||
        fail "$page: no report"
}

train classes models/samples/iris.csv --split models/samples/iris.split --hidden 8 --epochs 12
look classes loss score steps norm rate ratio confusion calibration surface importance \
    layer_layer0.weight graph gantt ops

# numbers; more steps than are drawn one by one; a schedule; two features
train numbers models/samples/diabetes.csv --epochs 200 --schedule cosine --hidden 4
look numbers loss score steps norm rate ratio predicted surface importance graph gantt ops
grep -q '"steps":{"n":2400,"thinned":true' "$scratch/numbers.html" ||
    fail "2,400 steps were not thinned"
browse "$scratch/numbers.html" >"$scratch/dom"
grep -q '2400 points, drawn as minimum, mean and maximum of 1000' "$scratch/dom" ||
    fail "the page does not say that it is thinned"

# images: 10 of 8 x 8 pixels, as IDX files
images()
{
    printf '\000\000\010\003\000\000\000\024\000\000\000\010\000\000\000\010' \
        >"$1-images-idx3-ubyte"
    printf '\000\000\010\001\000\000\000\024' >"$1-labels-idx1-ubyte"
    k=0
    while [ $k -lt 20 ]; do
        awk -v k=$k 'BEGIN {
            for (i = 0; i < 64; i++) printf "%c", 33 + (i * (k % 3 + 1) + k * 7) % 90
        }' >>"$1-images-idx3-ubyte"
        # shellcheck disable=SC2059
        printf "\\00$((k % 3))" >>"$1-labels-idx1-ubyte"
        k=$((k + 1))
    done
}
mkdir "$scratch/images"
images "$scratch/images/train"
images "$scratch/images/t10k"
train images "$scratch/images" --hidden 5 --epochs 1
look images loss confusion filters surface graph gantt ops

# The test sees what it is to see: a request, an error.
for fault in '<img src="https://example.com/x.png">' '<script>nothing.there()</script>'; do
    awk -v fault="$fault" '/<noscript>/ { print fault } { print }' "$scratch/classes.html" \
        >"$scratch/fault.html"
    browse "$scratch/fault.html" >/dev/null
    grep -q CONSOLE "$scratch/log" || fail "not noticed: $fault"
done
echo ok
