#!/bin/sh
# Several producers and several consumers share a queue: every message goes to one of the consumers.

# Sleeps for up to a tenth of a second.
pause() {
    sleep "0.0$(od -An -N1 -tu1 /dev/urandom | tr -d ' ')"
}

producer() {
    for number in 1 2 3; do
        pause
        ipcq put tasks "task $number of $1"
    done
}

consumer() {
    for turn in 1 2 3; do
        task=$(ipcq get tasks)
        echo "$1, turn $turn: $task"
        pause
    done
}

ipcq create tasks
producer Ann &
producer Bob &
consumer Cleo &
consumer Dan &
wait
ipcq rm tasks
