"""One router of a fleet: the real binary, which a test may kill, freeze, drain and start again with the same addresses."""

import os
import re
import signal
from collections import Counter
from pathlib import Path

from support.router import Router
from support.wait import eventually

ESTABLISHED = "01"


class Member(Router):
    """Starts without waiting: a router of a fleet is ready only when it has met the others."""

    def __init__(self, folder, *endpoints, name, reserved, fleet, **settings):
        self.name, self._fleet_port = name, reserved  # the port stays reserved while the process is away
        self.fleet_port = reserved.port
        super().__init__(folder, *endpoints, wait=False, via_name=name, fleet=fleet, **settings)

    # what the fleet says
    def fleet(self):
        return self.status()["fleet"]

    def ready(self):
        """(whether /readyz answers 200, what it says)"""
        try:
            status, text = self.observe("/readyz")
        except OSError as error:
            return False, repr(error)
        return status == 200, text

    def is_ready(self):
        return self.ready()[0]

    def forget(self, member):
        """Asks to forget a member, by id or address. Returns (status, text)."""
        return self.admin(f"/fleet/forget?member={member}", "POST")

    # the process
    def is_running(self):
        return self.process.poll() is None

    def end_at_once(self):
        """SIGKILL, and waits for the end."""
        self.signal(signal.SIGKILL)
        self.process.wait(10)
        self.expect_exit = -signal.SIGKILL

    def restart(self):
        """A new process with the same files and addresses."""
        assert not self.is_running()
        self.expect_exit = 0
        self._start(None, False)

    def drain(self):
        """SIGTERM; `wait_exit` waits for the end."""
        self.signal(signal.SIGTERM)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def stop(self):
        """As a router without a fleet, and also after the process has ended."""
        try:
            if self.is_running():
                super().stop()
            else:
                self.check_end()
        finally:
            self._fleet_port.close()

    def check_end(self):
        """Waits for the end of a process that was told to end, and asserts that it was a clean one."""
        code = self.wait_exit()
        for reserved in (*self._reserved, self._fleet_port):
            reserved.close()
        assert code == self.expect_exit, f"exit code {code}:\n{self.log[-6000:]}"
        for sign in ("our bug", "assertion", "Sanitizer", "runtime error:"):
            assert sign not in self.log, self.log[-6000:]

    def connections_to(self, port):
        """How many established connections the process has to this port of the loopback, as the kernel says."""
        inodes = set()
        for descriptor in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))
            except OSError:
                continue
            if found:
                inodes.add(found[1])
        lines = Path(f"/proc/{self.process.pid}/net/tcp").read_text().splitlines()[1:]
        fields = [line.split() for line in lines]
        wanted = f"0100007F:{port:04X}"
        return sum(1 for one in fields if one[2] == wanted and one[3] == ESTABLISHED and one[9] in inodes)

    def reasons(self):
        """How many requests this router has counted, by reason."""
        counts = Counter()
        for labels, value in self.metrics().all("requests_total"):
            counts[labels["reason"]] += int(value)
        return counts

    def logged_ids(self):
        """The request ids of the access log, with the number of lines of each."""
        text = self.access_log_file.read_text() if self.access_log_file.exists() else ""
        return Counter(re.findall(r'"XRequestId":"([^"]+)"', text))

    def wait_ready_member(self, patience=20):
        def ready():
            assert self.is_running(), f"{self.name} ended with {self.process.returncode}:\n{self.log[-3000:]}"
            return self.is_ready()
        eventually(ready, f"{self.name} to be ready: {self.ready()}", patience)
