"""A model server with one worker, in a process of its own: other threads of the tests' process do not delay what it does after an answer.
It counts the connections that have brought a request."""

import json
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path


class ClosingPod:
    """`options`: see closing_pod_process.py."""

    def __init__(self, **options):
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("closing_pod_process.py"), json.dumps(options)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self._process.stdout.readline())["port"]
        self.address = f"127.0.0.1:{self.port}"

    def figures(self):
        """Returns requests, connections, most_connections (open at the same time), errors (answers with a 5xx) and late_closes (closed 8 ms
        or more after the answer, because the machine was busy)."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/figures")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def stop(self):
        self._process.kill()
        self._process.wait(10)
        self._process.stdout.close()
