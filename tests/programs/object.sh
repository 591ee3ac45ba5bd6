#!/bin/sh
# An object: the sender puts JSON, and the receiver has its values as shell variables.

sender() {
    ipcq put players --json '{"name": "Harry", "score": 95}'
}

# shellcheck disable=SC2154 # --shell sets msg_name and msg_score.
receiver() {
    eval "$(ipcq get players --shell)"
    echo "$msg_name has $msg_score points, and $((msg_score + 5)) after the next round"
}

ipcq create players
receiver &
sender &
wait
ipcq rm players
