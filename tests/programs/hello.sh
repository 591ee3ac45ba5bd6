#!/bin/sh
# One message: the consumer is there first and waits for the producer.

producer() {
    ipcq put greetings 'Hello from producer!'
}

consumer() {
    message=$(ipcq get greetings)
    echo "Consumer received: $message"
}

ipcq create greetings
consumer &
sleep 0.1
producer &
wait
ipcq rm greetings
