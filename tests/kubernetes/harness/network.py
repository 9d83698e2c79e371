"""The network of the Pods: a network namespace, connected to the machine by a pair of virtual interfaces. Model servers share it, each with
an address of its own. A Pod that listens on all addresses gets a namespace of its own, connected to the others by a bridge. Needs
CAP_NET_ADMIN and CAP_SYS_ADMIN."""

import itertools
import os
import re
import subprocess
import threading

PREFIX = "router-pods-"  # followed by the id of the process that made it and a number, since a process may have several
BRIDGE, NOBODY = "02:00:00:00:00:01", "02:00:00:00:00:99"  # link addresses
_numbers = itertools.count(1)


def _ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _remove(name):
    """Deletes the interfaces first, one of which is the machine's: closed connections may keep the namespace for minutes."""
    for interface in ("uplink", "eth0"):
        try:
            _ip("-n", name, "link", "delete", interface)
        except OSError:
            pass  # it was not connected yet; a Pod's own namespace has no uplink
    _ip("netns", "delete", name)


def _remove_stale():
    """Removes what a killed run has left. Its processes have ended with it."""
    for name, process in re.findall(rf"^({PREFIX}(\d+)\S*)", _ip("netns", "list"), re.MULTILINE):
        if not os.path.exists(f"/proc/{process}"):
            _remove(name)


class Network:
    """10.77.N.0/24, where N is the first free number. `host` is the machine's own address in it, `take` and `release` manage the addresses
    of Pods, `take_own` and `release_own` those of Pods with a namespace of their own. `api_host` is where the API server listens. An
    address that is not taken does not answer, like that of a deleted Pod: a connect waits, and fails after seconds, if ever."""
    PODS_MAX = 250
    api_host = "127.0.0.1"

    def __init__(self):
        self.name = f"{PREFIX}{os.getpid()}-{next(_numbers)}"
        try:
            _remove_stale()
            _ip("netns", "add", self.name)
            self._join()
        except OSError as error:
            if os.path.exists(f"/run/netns/{self.name}"):
                self.remove()
            raise RuntimeError("tests/kubernetes need the right to make a network namespace (CAP_NET_ADMIN, CAP_SYS_ADMIN; root has "
                               f"them) and the ip command (Debian: iproute2): {error}") from None
        self.reuse = False  # True: the lowest free address is the next, so that another Pod soon gets the address of an ended one
        self._taken, self._last, self._lock = set(), 1, threading.Lock()
        self.own = set()  # the addresses with a namespace of their own

    def _join(self):
        for number in range(1, 255):
            try:
                _ip("link", "add", f"pods{number}", "type", "veth", "peer", "name", "uplink", "netns", self.name)
                break
            except OSError as error:
                if "File exists" not in str(error) or number == 254:  # another run uses this number
                    raise
        self._base = f"10.77.{number}"
        self.host = f"{self._base}.1"
        _ip("address", "add", f"{self.host}/24", "dev", f"pods{number}")
        _ip("link", "set", f"pods{number}", "up")
        # With a link address of its own: otherwise it is the lowest of its ports', and who knew the old one loses packets for seconds.
        _ip("-n", self.name, "link", "add", "eth0", "address", BRIDGE, "type", "bridge")
        _ip("-n", self.name, "link", "set", "uplink", "master", "eth0")
        for inside in ("lo", "uplink", "eth0"):
            _ip("-n", self.name, "link", "set", inside, "up")
        _ip("-n", self.name, "address", "add", f"{self._base}.254/24", "dev", "eth0")  # keeps the route back when no Pod is left

    def _choose(self):
        with self._lock:
            numbers = range(2, 2 + self.PODS_MAX)
            first = numbers[0] if self.reuse else self._last + 1
            number = next(one for one in [*range(first, numbers.stop), *numbers] if one not in self._taken)
            self._taken.add(number)
            self._last = number
        return f"{self._base}.{number}"

    def _give_back(self, address):
        with self._lock:
            self._taken.discard(int(address.rpartition(".")[2]))

    def take(self):
        """Returns a new address for any Pod."""
        address = self._choose()
        _ip("-n", self.name, "address", "add", f"{address}/32", "dev", "eth0")
        return address

    def release(self, address):
        _ip("-n", self.name, "address", "delete", f"{address}/32", "dev", "eth0")
        self._give_back(address)

    def take_own(self):
        """Returns a new address in a namespace of its own."""
        address = self._choose()
        port, own = f"pod{address.rpartition('.')[2]}", self._own(address)
        _ip("netns", "add", own)
        _ip("-n", self.name, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", own)
        _ip("-n", self.name, "link", "set", port, "master", "eth0", "up")
        _ip("-n", own, "address", "add", f"{address}/24", "dev", "eth0")
        for inside in ("lo", "eth0"):
            _ip("-n", own, "link", "set", inside, "up")
        self.own.add(address)
        return address

    def release_own(self, address):
        _remove(self._own(address))
        self.own.discard(address)
        self._give_back(address)

    def block(self, sender, receiver):
        """Packets of `sender`, which has a namespace of its own, to `receiver` are lost from now on, without an error. They go to a link
        address that nobody has."""
        _ip("-n", self._own(sender), "neighbour", "replace", receiver, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent")

    def take_down(self, address):
        """Neither answers nor sends from now on, like a lost node."""
        _ip("-n", self._own(address), "link", "set", "eth0", "down")

    def unblock(self, sender, receiver):
        _ip("-n", self._own(sender), "neighbour", "delete", receiver, "dev", "eth0")

    def _own(self, address):
        return f"{self.name}-pod{address.rpartition('.')[2]}"

    def command(self, *arguments):
        """Returns the command that runs `arguments` in the Pods' namespace, as the same process."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *map(str, arguments)]

    def command_own(self, address, *arguments):
        """Returns the command for the namespace of that address."""
        return ["nsenter", f"--net=/run/netns/{self._own(address)}", *map(str, arguments)]

    def remove(self):
        """Also removes what Pods have left whose start was interrupted."""
        for name in re.findall(rf"^{self.name}(?:-pod\d+)?(?= |$)", _ip("netns", "list"), re.MULTILINE):
            _remove(name)
