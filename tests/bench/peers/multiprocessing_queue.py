"""A queue of multiprocessing, of the kind that is named."""

queue = getattr(context, where)()


def put(messages, start):
    start.wait()
    put = queue.put
    for message in messages:
        put(message)


def get(left, start):
    start.wait()
    get = queue.get
    for _ in range(left):
        get()


stream(read_messages(), put, get)
