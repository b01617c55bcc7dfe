# tapegrad(1) from what `tapegrad --help` and `tapegrad COMMAND --help` print, one after another.
#   awk -v date=DATE -v version=V -f program.awk HELP ...

function escaped(s)
{
    gsub(/\\/, "\\e", s)
    gsub(/-/, "\\-", s)
    if (s ~ /^[.']/) s = "\\&" s
    return s
}

# a line for each sentence, none longer than 78
function prose(s, word, n, k, line, ends)
{
    n = split(s, word, / +/)
    line = ""
    for (k = 1; k <= n; k++) {
        if (word[k] == "") continue
        if (line != "" && (length(line) + length(word[k]) > 70 || (ends && word[k] ~ /^[A-Z]/))) {
            print escaped(line)
            line = ""
        }
        line = line (line == "" ? "" : " ") word[k]
        ends = word[k] ~ /[.!?]$/
    }
    if (line != "") print escaped(line)
}

function end_paragraph()
{
    if (paragraph != "") { prose(paragraph); paragraph = "" }
}

function end_option()
{
    if (option == "") return
    print ".It Li \"" escaped(option) "\""
    prose(text)
    option = ""
}

function end_list()
{
    end_option()
    if (in_list) print ".El"
    in_list = 0
}

function end_example()
{
    if (example != "") print ".Dl \"" escaped(example) "\""
    example = ""
}

BEGIN {
    printf ".Dd %s\n.Dt TAPEGRAD 1\n.Os tapegrad %s\n.Sh NAME\n.Nm tapegrad\n", date, version
    print ".Nd train and use multilayer nets\n.Sh SYNOPSIS"
}

FNR == 1 { end_paragraph(); end_list(); page++; gap = 0 }

# the overview
page == 1 && /^ +tapegrad / {
    line = $0
    sub(/^ +tapegrad /, "", line)
    sub(/   .*/, "", line)
    sub(/  .*/, "", line)
    print ".Nm tapegrad"
    print ".Li \"" escaped(line) "\""
    next
}
page == 1 && /^Trains/ { next }
page == 1 && /Exit status: / { sub(/.*Exit status: /, ""); status = $0; in_status = 1; next }
page == 1 && in_status { if (NF == 0) in_status = 0; else { status = status " " $0; next } }
page == 1 && !described && NF { print ".Sh DESCRIPTION"; described = 1 }

# a command
/^usage: / {
    end_paragraph()
    usage = substr($0, 8)
    command = usage
    sub(/^tapegrad /, "", command)
    sub(/ .*/, "", command)
    end_list()
    print ".Ss tapegrad " command
    print ".Dl \"" escaped(usage) "\"\n.Pp"
    gap = 0
    next
}
# a group of options: its name, and an example of them
page > 1 && paragraph == "" && /^[A-Z][A-Za-z ]*: .*--/ {
    end_list()
    print ".Pp\n" escaped(substr($0, 1, index($0, ":")))
    example = substr($0, index($0, ": ") + 2)
    next
}
example != "" && /^    --/ { example = example " " substr($0, 5); next }
# an option, and how what is said of it goes on
/^  --/ {
    end_paragraph()
    end_example()
    if (!in_list) print ".Bl -tag -width 22n"
    in_list = 1
    end_option()
    option = substr($0, 3)
    text = ""
    if (match(option, /  +/)) {
        text = substr(option, RSTART + RLENGTH)
        option = substr(option, 1, RSTART - 1)
    }
    next
}
in_list && /^        / { text = text " " $0; next }
NF == 0 { if (paragraph != "") { end_paragraph(); gap = 1 }; next }
{
    if (gap && paragraph == "") print ".Pp"
    gap = 0
    paragraph = paragraph " " $0
}

END {
    end_paragraph()
    end_list()
    print ".Sh EXIT STATUS"
    prose(toupper(substr(status, 1, 1)) substr(status, 2))
    print ".Sh SEE ALSO\n.Xr tapegrad 7"
}
