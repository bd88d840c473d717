#compdef sluice
# Completion of sluice for zsh: source <(sluice completion zsh) behind compinit,
# or as a file _sluice in a folder of fpath.
_sluice() {
    local -a found
    found=(${(f)"$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    found=("${(@)found%%$'\t'*}")
    if (( ${#found} )); then
        compadd -Q -a found
    else
        _files
    fi
}
if [[ ${funcstack[1]} == _sluice ]]; then
    _sluice "$@"
else
    compdef _sluice sluice
fi
