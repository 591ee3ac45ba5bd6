"""What the programs have in common that stream the messages of a file through something: it is run before theirs."""

import multiprocessing
import os
import sys
import time

path, delimiter, count, producers, consumers, where = sys.argv[1:]
delimiter, count, producers, consumers = int(delimiter), int(count), int(producers), int(consumers)
context = multiprocessing.get_context("fork")


def read_messages():
    with open(path, "rb") as file:
        return file.read().split(bytes([delimiter]))[:-1]


def remove_database():
    for suffix in ["", "-wal", "-shm"]:
        if os.path.exists(where + suffix):
            os.remove(where + suffix)


def stream(messages, put, get):
    """Prints the seconds it takes from when all have waited for the start until all have ended.

    put(messages, start) is a producer, get(left, start) a consumer of so many messages.
    """
    start = context.Barrier(producers + consumers + 1)
    shares = [messages[number::producers] for number in range(producers)]
    lefts = [len(range(number, count, consumers)) for number in range(consumers)]
    processes = [context.Process(target=put, args=(share, start)) for share in shares]
    processes += [context.Process(target=get, args=(left, start)) for left in lefts]
    for process in processes:
        process.start()
    start.wait()
    began = time.perf_counter()
    for process in processes:
        process.join()
    print(time.perf_counter() - began)
    assert all(process.exitcode == 0 for process in processes)
