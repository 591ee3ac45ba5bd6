
set edit:completion:arg-completer[ipcq] = { |@words|
    var index = (count $words)
    set index = (- $index 1)

    put (env _CLAP_IFS="\n" _CLAP_COMPLETE_INDEX=(to-string $index) IPCQ_COMPLETE="elvish" ipcq -- $@words) | to-lines
}

