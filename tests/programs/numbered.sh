#!/bin/sh
# Five messages: the consumer gets each as it arrives, in the order in which they were put.

producer() {
    for number in 0 1 2 3 4; do
        ipcq put numbers "message $number"
        sleep 0.1
    done
}

consumer() {
    ipcq get numbers -n 5 | while IFS= read -r message; do
        echo "Consumer received: $message"
    done
}

ipcq create numbers
producer &
consumer &
wait
ipcq rm numbers
