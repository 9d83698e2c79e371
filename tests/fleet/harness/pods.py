"""Model servers that count, in a process of their own: neither the load nor the test delays what they notice."""

import json
import subprocess
import sys
import threading
from pathlib import Path


class CountingPod:
    """One of `Pods`. `address` stands in deployments."""

    def __init__(self, pods, name, host, port):
        self._pods, self.name, self.host, self.port = pods, name, host, port
        self.address = f"{host}:{port}"

    def set(self, **what):
        """Changes `sleep` (seconds of an exchange), `slots` (what it may have at most) or `ready` (what it answers to probes)."""
        self._pods.ask(do="set", pod=self.name, **what)

    def figures(self):
        return next(one for one in self._pods.figures() if one["name"] == self.name)

    def begun(self):
        """The requests in the order in which they have begun: (id, time)."""
        return [tuple(one) for one in self._pods.ask(do="record", pod=self.name)["begun"]]

    def aborted(self):
        return [tuple(one) for one in self._pods.ask(do="record", pod=self.name)["aborted"]]

    def die(self):
        """The port refuses and every connection is reset, as if the process had been killed."""
        self._pods.ask(do="die", pod=self.name)

    def live(self):
        """A new server at the same address."""
        self._pods.ask(do="live", pod=self.name)


def told_over(over):
    by = ", ".join(f"{one['id']} by {one['router']} from {one['peer']} since {one['since']:.3f}" for one in over["of"])
    return f"{over['at']:.3f} {over['pod']}: {len(over['of'])} {over['kind']} with {over['slots']} slots: {by}"


class Pods:
    """`count` pods, each with `slots` slots (0: it does not judge), which answer after `sleep` seconds. `at`: (host, port) of each,
    `command`: a program that runs the process, with its arguments."""

    def __init__(self, count, slots=1, sleep=0.0, prefix="pod", at=(), command=()):
        places = [{"host": host, "port": port} for host, port in at] or [{"host": "127.0.0.1"}] * count
        described = [{"name": f"{prefix}-{number}", "slots": slots, "sleep": sleep, **place} for number, place in enumerate(places)]
        program = [sys.executable, Path(__file__).with_name("pod_process.py"), json.dumps(described)]
        self._process = subprocess.Popen([*command, *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lock = threading.Lock()
        self.excused = lambda over: False  # a test with a documented exception of the promise sets it
        ports = json.loads(self._process.stdout.readline())
        self.all = [CountingPod(self, one["name"], one["host"], ports[one["name"]]) for one in described]

    def __iter__(self):
        return iter(self.all)

    def __getitem__(self, number):
        return self.all[number]

    def ask(self, **command):
        with self._lock:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def figures(self):
        return self.ask(do="figures")

    def total(self, name):
        return sum(one[name] for one in self.figures())

    def assert_never_over(self):
        """No pod ever had more exchanges or connections than slots."""
        over = [one for pod in self.figures() for one in pod["over"] if not self.excused(one)]
        assert not over, "\n".join(map(told_over, over[:20]))

    def stop(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
