"""A model server with one worker as a process of its own: what it does after an answer does not depend on who else runs in the
process of the tests. Counts the connections that have brought a request."""

import json
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path


class ClosingPod:
    """`options`: those of closing_pod_process.py."""

    def __init__(self, **options):
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("closing_pod_process.py"), json.dumps(options)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self._process.stdout.readline())["port"]
        self.address = f"127.0.0.1:{self.port}"

    def figures(self):
        """requests, connections, most_connections at once, errors (answers with a 5xx), late_closes (8 ms after the
        answer, or more: the machine kept the pod waiting)."""
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
