"""Streams the messages of a file through a table of SQLite, and prints the seconds it took."""

import multiprocessing
import os
import sqlite3
import sys
import time

path, delimiter, count, producers, consumers, database = sys.argv[1:]
count, producers, consumers = int(count), int(producers), int(consumers)
with open(path, "rb") as file:
    messages = file.read().split(bytes([int(delimiter)]))[:-1]
# A transaction holds as many messages, unless they are large.
batch = 1000 if len(messages[0]) < 1000 else 8


def connect():
    connection = sqlite3.connect(database, isolation_level=None, timeout=0)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def begin(connection):
    # SQLite's own waiting backs off for up to a tenth of a second.
    while True:
        try:
            return connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            time.sleep(0.0002)


def put(start, number):
    share = [(message,) for message in messages[number::producers]]
    connection = connect()
    start.wait()
    for first in range(0, len(share), batch):
        begin(connection)
        connection.executemany("INSERT INTO queue (body) VALUES (?)", share[first : first + batch])
        connection.execute("COMMIT")


def get(start, number):
    left = len(range(number, count, consumers))
    connection = connect()
    start.wait()
    while left:
        begin(connection)
        query = "SELECT id, body FROM queue ORDER BY id LIMIT ?"
        rows = connection.execute(query, (min(left, batch),)).fetchall()
        if rows:
            connection.execute("DELETE FROM queue WHERE id <= ?", (rows[-1][0],))
        connection.execute("COMMIT")
        left -= len(rows)
        if not rows:
            time.sleep(0.0005)


for suffix in ["", "-wal", "-shm"]:
    if os.path.exists(database + suffix):
        os.remove(database + suffix)
connection = connect()
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY, body BLOB)")
# What SQLite has open must not be taken along into another process.
connection.close()
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
