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

BEGIN {
    printf ".Dd %s\n.Dt TAPEGRAD 1\n.Os tapegrad %s\n.Sh NAME\n.Nm tapegrad\n", date, version
    print ".Nd train and use multilayer nets\n.Sh SYNOPSIS"
}

FNR == 1 { end_paragraph(); end_list(); page++; gap = 0 }

# the overview
page == 1 && /^    tapegrad / {
    line = substr($0, 14)
    sub(/   .*/, "", line)
    print ".Nm tapegrad"
    print ".Li " "\"" escaped(line) "\""
    next
}
page == 1 && /^Trains/ { next }
page == 1 && !described && NF && !/^    / { print ".Sh DESCRIPTION"; described = 1 }
page == 1 && /^`tapegrad COMMAND/ { sub(/^[^.]*\. /, ""); status = $0; next }
page == 1 && status != "" { status = status " " $0; next }

# a command
/^usage: / {
    end_paragraph()
    usage = substr($0, 8)
    command = usage
    sub(/^tapegrad /, "", command)
    sub(/ .*/, "", command)
    print ".Ss tapegrad " command
    print ".Dl \"" escaped(usage) "\"\n.Pp"
    gap = 0
    next
}
/^  --/ {
    end_paragraph()
    end_option()
    option = text = $0
    sub(/^  /, "", option)
    sub(/  .*/, "", option)
    text = substr(text, length(option) + 3)
    if (!in_list) print ".Bl -tag -width 22n"
    in_list = 1
    next
}
option != "" && substr($0, 1, 20) ~ /^ +$/ { text = text " " $0; next }
NF == 0 { end_option() }
NF && in_list { end_list(); print ".Pp" }
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
    sub(/^Exit status: /, "", status)
    prose(toupper(substr(status, 1, 1)) substr(status, 2))
    print ".Sh SEE ALSO\n.Xr tapegrad 7"
}
