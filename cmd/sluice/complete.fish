# Completion of sluice for fish: sluice completion fish | source
function __sluice_complete
    set -l words (commandline -opc) (commandline -ct)
    command $words[1] __complete $words[2..-1] 2>/dev/null
end
function __sluice_wants_file
    string match -qr -- '^--[a-z.]*file$' (commandline -opc)[-1]
end
complete -c sluice -f -a '(__sluice_complete)'
complete -c sluice -n __sluice_wants_file -F
