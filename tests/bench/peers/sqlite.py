"""A table of SQLite as a queue."""

import sqlite3

messages = read_messages()
# A transaction holds as many messages, unless they are large.
batch = 1000 if len(messages[0]) < 1000 else 8


def connect():
    connection = sqlite3.connect(where, isolation_level=None, timeout=0)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def begin(connection):
    # SQLite's own waiting backs off for up to a tenth of a second.
    while True:
        try:
            return connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            time.sleep(0.0002)


def put(messages, start):
    rows = [(message,) for message in messages]
    connection = connect()
    start.wait()
    for first in range(0, len(rows), batch):
        begin(connection)
        connection.executemany("INSERT INTO queue (body) VALUES (?)", rows[first : first + batch])
        connection.execute("COMMIT")


def get(left, start):
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


remove_database()
connection = connect()
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY, body BLOB)")
# What SQLite has open must not be taken along into another process.
connection.close()
stream(messages, put, get)
