#!/bin/sh
# The end of a queue: it is closed when all has been put, and the consumer stops when all has been got.

producer() {
    for number in 1 2 3; do
        ipcq put items "item $number"
        sleep 0.1
    done
    ipcq close items
}

consumer() {
    while true; do
        item=$(ipcq get items --timeout 1s)
        case $? in
            0) echo "Consumer received: $item" ;;
            1) ;; # Nothing came for a second: a chance to do something else.
            3) echo 'Consumer: closed, and nothing is left'; return ;;
            *) return 1 ;;
        esac
    done
}

ipcq create items
consumer &
producer &
wait

ipcq put items 'item 4' || echo "A put into a closed queue ends with exit code $?"
ipcq rm items
ipcq get items || echo "A get from a removed queue ends with exit code $?"
