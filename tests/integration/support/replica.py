"""A model server in a process of its own: a test can kill it, and what it has recorded outlives it."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Event:
    kind: str  # delivered, begun, finished, aborted
    id: str  # x-request-id
    at: float  # time.monotonic() of the machine, the same in all processes
    concurrent: int  # exchanges that the replica has at that moment, this one included


class Replica:
    """Starts at once and listens when the constructor returns. The request's `x-do` selects what it does with a request (see
    replica_process.py); otherwise it echoes after `sleep` seconds."""

    def __init__(self, folder, name, sleep=0.0, port=0):
        self.name, self.sleep = name, sleep
        self.record_file = Path(folder) / f"{name}.record"
        options = {"name": name, "record": str(self.record_file), "sleep": sleep, "port": port}
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("replica_process.py"), json.dumps(options)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self._process.stdout.readline())["port"]
        self.address = f"127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self._process.pid

    def is_alive(self):
        return self._process.poll() is None

    def _command(self, **command):
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def set_sleep(self, seconds):
        self._command(sleep=seconds)

    def stop(self, patience=20):
        """Ends gracefully: no accepted request is lost. Returns when the process has ended."""
        if self.is_alive():
            self._command(stop=True)
            self._process.wait(patience)
        self._close()

    def kill(self):
        """Kills the process with SIGKILL and waits for its end."""
        self._process.kill()
        self._process.wait(10)
        self._close()

    def wait_dead(self, patience=20):
        """Waits until the process has ended by itself; returns the exit code."""
        return self._process.wait(patience)

    def _close(self):
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()
            except OSError:
                pass

    def restart(self):
        """Starts another process at the same address, with the same record."""
        again = Replica(self.record_file.parent, self.name, self.sleep, self.port)
        self._process = again._process

    def events(self):
        return read_events(self.record_file)


def read_events(record_file):
    if not record_file.exists():
        return []
    return [Event(*json.loads(line)) for line in record_file.read_text().splitlines()]


def times(replicas, kind):
    """Returns how often each request id had the event `kind` at any of the replicas."""
    return Counter(event.id for replica in replicas for event in replica.events() if event.kind == kind)
