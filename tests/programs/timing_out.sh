#!/bin/sh
# A queue that nobody closes: the consumer stops when nothing has come for a while.

producer() {
    ipcq put items 'item 1' 'item 2' 'item 3'
}

consumer() {
    while item=$(ipcq get items --timeout 200ms); do
        echo "Consumer received: $item"
    done
    echo 'Consumer: nothing came for a while'
}

ipcq create items
producer
consumer &
wait
ipcq rm items
