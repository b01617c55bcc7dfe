# Man pages of section 3 from the public headers: one for each header, with all that it declares,
# and one for each op.
#   tapegrad ops | awk -v out=FOLDER -v date=DATE -v version=V -f pages.awk - HEADER ...
# What is read first is the registry's list: formula, shapes, order.

# ---------------------------------------------------------------- mdoc

function escaped(s)
{
    gsub(/\\/, "\\e", s)
    if (s ~ /^[.']/) s = "\\&" s
    return s
}

# an argument of a macro
function quoted(s)
{
    gsub(/"/, "\"\"", s)
    return "\"" s "\""
}

# Prose: a line for each sentence, none longer than 78.
function prose(s, line, word, n, k, result, ends, long)
{
    n = split(s, word, /[ \n]+/)
    line = ""
    result = ""
    for (k = 1; k <= n; k++) {
        if (word[k] == "") continue
        long = length(line) + length(word[k]) > 76
        if (line != "" && (long || (ends && word[k] ~ /^["'(]?[A-Z]/))) {
            result = result escaped(line) "\n"
            line = ""
        }
        line = line (line == "" ? "" : " ") word[k]
        ends = word[k] ~ /[.!?][)"]*$/
    }
    return line == "" ? result : result escaped(line) "\n"
}

# Code: as it is, but for what is longer than 78.
function literal(s, line, n, k, at, result, indent)
{
    n = split(s, line, "\n")
    result = ".Bd -literal -offset 2n\n"
    for (k = 1; k <= n; k++) {
        indent = ""
        while (length(line[k]) > 76) {
            for (at = 76; at > 8 && substr(line[k], at, 1) != " "; at--) {}
            if (at == 8) break
            result = result escaped(indent substr(line[k], 1, at - 1)) "\n"
            indent = "        "
            line[k] = substr(line[k], at + 1)
            if (length(line[k]) > 68) line[k] = indent line[k]
            if (line[k] ~ /^        /) indent = ""
        }
        result = result escaped(indent line[k]) "\n"
    }
    return result ".Ed\n"
}

# The lines of a comment: paragraphs, lists with dashes, and what is indented as it is.
function comment_text(lines, line, n, k, result, paragraph, code, in_list)
{
    n = split(lines, line, "\n")
    result = paragraph = code = ""
    in_list = 0
    for (k = 1; k <= n + 1; k++) {
        if (code != "" && (k > n || line[k] !~ /^    /)) {
            result = result literal(code)
            code = ""
            if (k <= n && line[k] != "") result = result ".Pp\n"
        }
        if (k > n || line[k] == "") {
            result = result prose(paragraph)
            paragraph = ""
            if (in_list) { result = result ".El\n"; in_list = 0 }
            if (k < n && result != "" && line[k + 1] !~ /^    / && line[k + 1] !~ /^  - /)
                result = result ".Pp\n"
        } else if (line[k] ~ /^  - /) {
            result = result prose(paragraph)
            if (!in_list) result = result ".Bl -bullet -compact\n"
            in_list = 1
            result = result ".It\n"
            paragraph = substr(line[k], 5)
        } else if (line[k] ~ /^    / && !in_list) {
            result = result prose(paragraph)
            paragraph = ""
            code = code (code == "" ? "" : "\n") substr(line[k], 5)
        } else {
            sub(/^ +/, "", line[k])
            paragraph = paragraph " " line[k]
        }
    }
    sub(/\.Pp\n$/, "", result)
    return result
}

function page(name, description, body, file, title)
{
    file = out "/" name ".3"
    title = toupper(name)
    if (description ~ /[])|.,:;!?]$/) description = description "\\&" # no end of a sentence
    printf ".Dd %s\n.Dt %s 3\n.Os tapegrad %s\n", date, title, version >file
    printf ".Sh NAME\n.Nm %s\n.Nd %s\n", name, quoted(description) >file
    printf "%s", body >file
    close(file)
}

# ---------------------------------------------------------------- the registry

FILENAME == "-" {
    if ($1 == "shapes:") {
        facts = $0
        sub(/^ *shapes: /, "", facts)
        shapes[op] = order[op] = facts
        sub(/; differentiable: .*/, "", shapes[op])
        sub(/.*; differentiable: /, "", order[op])
    } else {
        op = $1
        formula[op] = $0
        sub(/^[^ ]+ +/, "", formula[op])
    }
    next
}

# ---------------------------------------------------------------- a header

function header_page(description)
{
    if (header == "") return
    # The first paragraph begins "tapegrad: what it is."; the list of contents is the page itself.
    sub(/^tapegrad: /, "", top)
    sub(/\n+Contents: .*/, "\n", top)
    description = top
    sub(/\n\n.*/, "", description)
    gsub(/\n/, " ", description)
    sub(/[.:] .*|[.] *$/, "", description)
    gsub(/ +/, " ", description)
    sub(/^[^.:]*[.:] */, "", top)
    sub(/^\n+/, "", top)
    page("tg_" header, description, ".Sh SYNOPSIS\n.In tapegrad/" header ".h\n.Sh DESCRIPTION\n" \
        comment_text(top) body ".Sh SEE ALSO\n.Xr tapegrad 7\n")
    header = ""
}

FNR == 1 {
    header_page()
    header = FILENAME
    sub(/.*\//, "", header)
    sub(/[.]h$/, "", header)
    top = body = pending = code = section = group = ""
    depth = skipped = stopped = op_open = parts = 0
}

# Conditions: what is for C++ alone is left out.
/^#/ {
    line = $0
    if (line !~ /^#define/) pending = ""
    if (line ~ /^#if/) cpp[++depth] = line ~ /__cplusplus/ && line !~ /!defined/
    else if (line ~ /^#else/) cpp[depth] = 0
    else if (line ~ /^#endif/) depth--
    going_on = line ~ /\\$/
    next
}
going_on { going_on = $0 ~ /\\$/; next }
{
    for (k = 1; k <= depth; k++) if (cpp[k]) next
}
stopped { next }

# Comments that stand alone
code == "" && !op_open && (in_comment || /^\/\*/) {
    line = $0
    if (!in_comment) comment = ""
    in_comment = line !~ /\*\//
    sub(/^\/\* ?/, "", line)
    sub(/^ \* ?/, "", line)
    sub(/ *\*\/.*$/, "", line)
    comment = comment line "\n"
    if (in_comment) next
    if (comment ~ /^clang-format|^extern "C"|^TG_OPS_H|^The formatter takes/) next
    if (top == "") { top = comment; next }
    if (comment ~ /^-----/) {
        section = comment
        sub(/\n.*/, "", section)
        gsub(/^-+ *| *-+$/, "", section)
        group = comment
        sub(/^[^\n]*\n/, "", group)
        sub(/^\n+/, "", group)
        if (section ~ /^the same without source positions/) { stopped = 1; next }
        flush_pending()
        body = body ".Ss " toupper(substr(section, 1, 1)) substr(section, 2) "\n" \
            comment_text(group)
        fresh = 1
        next
    }
    flush_pending()
    pending = comment
    next
}

function flush_pending()
{
    if (pending != "") {
        body = body (fresh ? "" : ".Pp\n") comment_text(pending)
        fresh = 0
    }
    pending = ""
}

# ---------------------------------------------------------------- ops

op_open || /^TG_OP\(/ {
    op_open = 1
    entry = (/^TG_OP\(/ ? "" : entry " ") $0
    gsub(/  +/, " ", entry)
    if (entry !~ /\)\)$/) next
    op_open = 0
    op_page(entry, pending)
    pending = ""
    next
}

function op_page(entry, text, name, parameters, body_of_op, n, k, parameter)
{
    if (text == "") text = text_before # two ops, one comment
    text_before = text
    name = entry
    sub(/^TG_OP\(/, "", name)
    sub(/,.*/, "", name)
    parameters = entry
    sub(/^[^,]*, *\(/, "", parameters)
    sub(/\), *\([^()]*\)\)$/, "", parameters)
    body_of_op = ".Sh SYNOPSIS\n.In tapegrad/ops.h\n.Ft tg_tensor *\n.Fo tg_" name \
        "\n.Fa \"tg_tape *t\"\n"
    n = split(parameters, parameter, / *, */)
    for (k = 1; k <= n; k++) body_of_op = body_of_op ".Fa " quoted(parameter[k]) "\n"
    body_of_op = body_of_op ".Fc\n.Sh DESCRIPTION\n" comment_text(text)
    if (name in shapes)
        body_of_op = body_of_op ".Pp\n" prose("Shapes: " shapes[name] ".") \
            prose("Differentiable: " order[name] ".")
    if (group != "") body_of_op = body_of_op ".Pp\n" prose("Of " section ":") comment_text(group)
    body_of_op = body_of_op ".Pp\n" prose("The result belongs to the tape.") \
        prose("On an error it is NULL, and the tape has the message.") \
        ".Sh SEE ALSO\n.Xr tg_graph 3 ,\n.Xr tg_ops 3 ,\n.Xr tapegrad 7\n"
    page("tg_" name, name in formula ? formula[name] : name, body_of_op)
    body = body ".Bl -tag -compact -width 26n\n.It Xr tg_" name " 3\n" \
        prose(name in formula ? formula[name] : "See there.") ".El\n"
    fresh = 0
}

# ---------------------------------------------------------------- layers

code == "" && /^TG_LAYER\(/ {
    layer = $0
    gsub(/^TG_LAYER\(|\)$/, "", layer)
    declaration("TG_API tg_tensor *tg_" layer "_layer_apply(tg_tape *t, const tg_" layer \
                "_layer *layer, tg_tensor *x);")
    next
}

# ---------------------------------------------------------------- other declarations

code != "" || NF > 0 {
    if (code == "" && $0 ~ /^(extern "C"|}|typedef struct [a-z_]+ [a-z_]+;$)/ && $0 !~ /;$/) next
    line = $0
    code = code (code == "" ? "" : "\n") line
    open = gsub(/{/, "{", line) + open
    open -= gsub(/}/, "}", line)
    if (open > 0 || line !~ /(;|^})( *\/\*.*\*\/)?$/) next
    declaration(code)
    code = ""
    open = 0
}

function declaration(text, name)
{
    gsub(/ ?TG_ZERO/, "", text)
    if (text ~ /^static inline/) {
        sub(/\n{.*/, ";", text)
        if (text ~ /_at\(|tg_jemalloc_/) { pending = ""; return } # what others are made of
    }
    if (text ~ /^TG_API/) {
        sub(/^TG_API /, "", text)
        sub(/ TG_PRINTF\([0-9, ]*\)/, "", text)
        trailing = ""
        if (match(text, / *\/\*.*\*\/$/)) {
            trailing = substr(text, RSTART)
            text = substr(text, 1, RSTART - 1)
        }
        gsub(/\n */, " ", text)
        if (text ~ /\(tg_[a-z0-9_]+\)\(/) return # another form of one that has a macro
        if (sub(/, const char \*where/, "", text)) sub(/_at\(/, "(", text)
        if (!match(text, /tg_[a-z0-9_]+ *\)?\(/)) return
        name = substr(text, RSTART, RLENGTH)
        gsub(/[^a-z0-9_]/, "", name)
        if (name in known) return
        known[name] = header
        alias = out "/" name ".3"
        if (name !~ ("^tg_" header "$")) { print ".so man3/tg_" header ".3" >alias; close(alias) }
        text = text trailing
    }
    flush_pending()
    body = body literal(text)
    fresh = 0
}

END { header_page() }
