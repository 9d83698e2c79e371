"""client.py once|load SECONDS|stream [PATH]: requests to the router at 127.0.0.1:8080; prints JSON.

once    one request: its status and body
load    eight clients, a connection for each request: the number of answers by status, the errors, the longest wait
stream  one request, whose answer the pod sends in a piece every 0.2 s: its status and pieces
"""

import json
import sys
import threading
import time
from http.client import HTTPConnection

PATH = "/api/v1/endpoint/iris/score"
HEADERS = {"Authorization": "Bearer secret-key", "Content-Type": "application/json"}


def once(path=PATH):
    connection = HTTPConnection("127.0.0.1", 8080, timeout=60)
    try:
        connection.request("POST", path, b"{}", HEADERS)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def load(seconds):
    statuses, mistakes, longest = {}, [], [0.0]
    end = time.monotonic() + seconds

    def client():
        while time.monotonic() < end:
            begun = time.monotonic()
            try:
                status = once()[0]
                statuses[status] = statuses.get(status, 0) + 1
            except OSError as error:
                mistakes.append(repr(error))
            longest[0] = max(longest[0], time.monotonic() - begun)
            time.sleep(0.02)

    threads = [threading.Thread(target=client) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return {"statuses": statuses, "mistakes": mistakes, "longest": longest[0]}


if sys.argv[1] == "once":
    print(json.dumps(once(*sys.argv[2:])))
elif sys.argv[1] == "stream":
    print(json.dumps(once(PATH + "?stream")))
else:
    print(json.dumps(load(float(sys.argv[2]))))
