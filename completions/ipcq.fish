complete --keep-order --exclusive --command ipcq --arguments "(IPCQ_COMPLETE=fish ipcq -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
