#!/bin/sh
# site.sh BUILD FOLDER: the pages as plain HTML: README, examples with their pictures, cookbook, and
# the man pages that the build has. Wants mandoc and cmark-gfm (Debian's packages of these names).
# From the top of a checkout, after a release build:
#     sh models/man/site.sh build/release site
set -eu
[ $# -eq 2 ] || { echo "usage: site.sh BUILD FOLDER" >&2 && exit 2; }
build=$(cd "$1" && pwd)
top=$(cd "$(dirname "$0")/../.." && pwd)
for tool in mandoc cmark-gfm; do
    command -v $tool >/dev/null || { echo "site.sh: $tool is not installed" >&2 && exit 1; }
done
mkdir -p "$2"
folder=$(cd "$2" && pwd)

cat >"$folder/style.css" <<'END'
body { max-width: 50em; margin: 2em auto; padding: 0 1em; font-family: sans-serif;
       line-height: 1.4 }
pre, code, table.Nm, .Bd, .Li { font-family: monospace; font-size: 95% }
pre { background: #f4f4f4; padding: .7em; overflow-x: auto }
table { border-collapse: collapse }
td, th { border: 1px solid #ccc; padding: .2em .5em; vertical-align: top }
table.head td, table.foot td, table.Nm td { border: none }
table.head, table.foot { width: 100% }
img { max-width: 100% }
END

page() # title, Markdown file, path of the result
{
    set -- "$1" "$2" "$(echo "$3" | sed 's,^\.github/,project/,')" \
        # folders with a dot are hidden from many servers
    mkdir -p "$(dirname "$folder/$3")"
    up=$(echo "$3" | sed 's,[^/]*$,,; s,[^/]*/,../,g')
    {
        echo "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>$1</title>"
        echo "<link rel='stylesheet' href='${up}style.css'></head><body>"
        # Headings get the anchors that the pages link to; pages link to pages.
        cmark-gfm -e table "$2" |
            sed -E -e 's,href="([^":]*)\.md(#[^"]*)?",href="\1.html\2",g' \
                -e 's,README\.html,index.html,g; s,"\.github/,"project/,g' |
            awk 'match($0, /^<h[23]>/) {
                    name = tolower(substr($0, 5))
                    gsub(/<[^>]*>|[^a-z0-9 -]/, "", name)
                    gsub(/ /, "-", name)
                    $0 = substr($0, 1, 3) " id=\"" name "\"" substr($0, 4)
                } { print }'
        echo "</body></html>"
    } >"$folder/$3"
}

cd "$top"
for file in README.md */README.md */*/README.md tests/TESTED.md .github/*.md; do
    page "tapegrad: $file" "$file" \
        "$(echo "$file" | sed 's,README\.md$,index.html,; s,\.md$,.html,')"
done
for source in models/examples/*.c; do
    name=$(basename "$source" .c)
    { echo "# $name.c"; echo; echo '```c'; cat "$source"; echo '```'; } >"$folder/listing.md"
    page "tapegrad: $name.c" "$folder/listing.md" "models/examples/$name.html"
done
rm "$folder/listing.md"
sed -i -E 's,<code>([a-z_]+)\.c</code>,<a href="\1.html">\1.c</a>,g' \
    "$folder/models/examples/index.html"

# Pictures: the step that is in the checkout, and what examples draw.
cp models/examples/step.svg "$folder/models/examples/"
for name in autoencoder vae; do
    (cd "$folder/models/examples" && ln -sfn "$top/models" models &&
        "$build/examples/$name" >/dev/null && rm models)
done
pictures="<p>The digits of autoencoder.c and those that vae.c made up:</p>\
<p><img src='digits.svg' alt='digits'></p><p><img src='invented.svg' alt='digits'></p>"
sed -i "s,</body>,$pictures</body>," \
    "$folder/models/examples/index.html"

mkdir -p "$folder/man"
for file in "$build"/man/man[17]/* $(grep -L '^\.so' "$build"/man/man3/*); do
    mandoc -T html -O "style=../style.css,man=%N.%S.html" "$file" \
        >"$folder/man/$(basename "$file").html"
done
for file in $(grep -l '^\.so' "$build"/man/man3/*); do # names that lead to a header's page
    target=$(sed 's,.*/,,' "$file").html
    echo "<!DOCTYPE html><title>$target</title>" \
        "<meta http-equiv='refresh' content='0; url=$target'><a href='$target'>$target</a>" \
        >"$folder/man/$(basename "$file").html"
done
{
    echo '# Man pages'
    echo
    echo '[tapegrad(7)](tapegrad.7.html), [tapegrad(1)](tapegrad.1.html)'
    for file in $(grep -L '^\.so' "$build"/man/man3/*); do
        name=$(basename "$file" .3)
        echo "[$name]($name.3.html)"
    done
} >"$folder/list.md"
page "tapegrad: man pages" "$folder/list.md" man/index.html
rm "$folder/list.md"
sed -i 's,<code>man tapegrad</code>,<a href="man/index.html">&</a>,' "$folder/index.html"
