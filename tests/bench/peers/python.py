"""Streams the messages of a file through a queue of multiprocessing, and prints the seconds it took."""

import multiprocessing
import sys
import time

path, delimiter, count, producers, consumers, kind = sys.argv[1:]
count, producers, consumers = int(count), int(producers), int(consumers)

with open(path, "rb") as file:
    messages = file.read().split(bytes([int(delimiter)]))[:-1]


def put(queue, start, number):
    share = messages[number::producers]
    start.wait()
    put = queue.put
    for message in share:
        put(message)


def get(queue, start, number):
    share = len(range(number, count, consumers))
    start.wait()
    get = queue.get
    for _ in range(share):
        get()


context = multiprocessing.get_context("fork")
queue = getattr(context, kind)()
start = context.Barrier(producers + consumers + 1)
processes = [context.Process(target=put, args=(queue, start, number)) for number in range(producers)]
processes += [context.Process(target=get, args=(queue, start, number)) for number in range(consumers)]
for process in processes:
    process.start()
start.wait()
began = time.perf_counter()
for process in processes:
    process.join()
print(time.perf_counter() - began)
assert all(process.exitcode == 0 for process in processes)
