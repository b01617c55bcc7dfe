# Completion of tapegrad's commands and options for bash, from what the program itself says.
_tapegrad()
{
    local word=${COMP_WORDS[COMP_CWORD]} words=
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="$("$1" --help 2>/dev/null | sed -n 's/^ *tapegrad \([-a-z]*\).*/\1/p') --help"
    elif [ "${word#-}" != "$word" ]; then
        words="$("$1" "${COMP_WORDS[1]}" --help 2>/dev/null | sed -n 's/^  \(--[-a-z]*\).*/\1/p') --help"
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    # what is neither a command nor an option is a file
    if [ ${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "$word")); fi
}
complete -o filenames -F _tapegrad tapegrad
