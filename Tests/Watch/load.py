"""Asks a server all the time, on some connections that are kept, until a line comes: prints requests answered, failed, the first failure."""

import sys, threading, time
import os

os.environ.setdefault("SWIFT_HOTPATCH", "")
os.environ.setdefault("WORK", "")
from watching import Client

port, kind, connections, *paths = sys.argv[1:]
answered, failures, ended = [0] * int(connections), [], threading.Event()


def ask(place):
    client = None
    while not ended.is_set():
        for path in paths:
            try:
                client = client or Client(int(port), kind == "http")
                client.get(path)
                answered[place] += 1
            except Exception as error:
                failures.append(f"/{path}: {error}")
                client = None
            # The compiler is to have a processor.
            time.sleep(0.003)


threads = [threading.Thread(target=ask, args=(place,)) for place in range(int(connections))]
for thread in threads:
    thread.start()
sys.stdin.readline()
ended.set()
for thread in threads:
    thread.join()
print(sum(answered), len(failures), failures[0] if failures else "")
