"""A queue of SimpleBroker, through its API."""

from simplebroker import Queue


def put(messages, start):
    # They are text to it.
    texts = [message.decode("latin-1") for message in messages]
    start.wait()
    with Queue("stream", db_path=where, persistent=True) as queue:
        for text in texts:
            queue.write(text)


def get(left, start):
    start.wait()
    with Queue("stream", db_path=where, persistent=True) as queue:
        while left:
            got = len(queue.read_many(min(left, 1000)))
            left -= got
            if not got:
                time.sleep(0.001)


remove_database()
with Queue("stream", db_path=where) as queue:
    queue.write("made")
    queue.read()
stream(read_messages(), put, get)
