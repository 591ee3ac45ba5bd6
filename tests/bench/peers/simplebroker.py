"""Streams the messages of a file through a queue of SimpleBroker, and prints the seconds it took."""

import multiprocessing
import os
import sys
import time

from simplebroker import Queue

path, delimiter, count, producers, consumers, database = sys.argv[1:]
count, producers, consumers = int(count), int(producers), int(consumers)
with open(path, "rb") as file:
    # Its messages are text.
    messages = file.read().decode("latin-1").split(chr(int(delimiter)))[:-1]


def put(start, number):
    share = messages[number::producers]
    start.wait()
    with Queue("stream", db_path=database, persistent=True) as queue:
        for message in share:
            queue.write(message)


def get(start, number):
    left = len(range(number, count, consumers))
    start.wait()
    with Queue("stream", db_path=database, persistent=True) as queue:
        while left:
            got = len(queue.read_many(min(left, 1000)))
            left -= got
            if not got:
                time.sleep(0.001)


for suffix in ["", "-wal", "-shm"]:
    if os.path.exists(database + suffix):
        os.remove(database + suffix)
with Queue("stream", db_path=database) as queue:
    queue.write("made")
    queue.read()
context = multiprocessing.get_context("fork")
start = context.Barrier(producers + consumers + 1)
processes = [context.Process(target=put, args=(start, number)) for number in range(producers)]
processes += [context.Process(target=get, args=(start, number)) for number in range(consumers)]
for process in processes:
    process.start()
start.wait()
began = time.perf_counter()
for process in processes:
    process.join()
print(time.perf_counter() - began)
assert all(process.exitcode == 0 for process in processes)
