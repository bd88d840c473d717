# Completion of sluice for bash: source <(sluice completion bash)
_sluice() {
    local -a words
    local line=${COMP_LINE:0:COMP_POINT} last candidate help shared
    read -ra words <<<"$line"
    # bash splits words at : and =, which stand in names of ours: the line is split anew.
    [[ $line == *[[:space:]] ]] && words+=("")
    last=${words[${#words[@]}-1]}
    shared=${last%"${last##*[:=]}"} # what bash has taken for words of their own
    COMPREPLY=()
    while IFS=$'\t' read -r candidate help; do
        COMPREPLY+=("${candidate#"$shared"}")
    done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
}
complete -F _sluice -o default sluice
