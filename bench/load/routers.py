"""Routers of one fleet with fixed peers, in front of the same replicas."""
import contextlib
import http.client
import json
import secrets
import socket

import checks
from proxies import Proxy, free_port, wait_until

MASK = (1 << 64) - 1


def home_weight(address, name_space=""):
    """router/fleet/home.cpp: the member with the greatest weight is home. `Routers` checks it."""
    weight = 14695981039346656037
    for byte in f"{address}\0{name_space}".encode():
        weight = (weight ^ byte) * 1099511628211 & MASK
    weight = (weight ^ weight >> 30) * 0xBF58476D1CE4E5B9 & MASK
    weight = (weight ^ weight >> 27) * 0x94D049BB133111EB & MASK
    return weight ^ weight >> 31


def _status(proxy):
    """/status, from the operators' socket. {} if nobody answers."""
    connection = http.client.HTTPConnection("localhost", timeout=5)
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException), socket.socket(socket.AF_UNIX) as connection.sock:
        connection.sock.settimeout(5)
        connection.sock.connect(str(proxy.folder / "admin"))
        connection.request("GET", "/status")
        return json.loads(connection.getresponse().read())
    return {}


class Routers:
    """Routers, one for each element of `own`: options of Proxy for it alone, beside the `options` of all. The first one is home of everything;
    the others send on. `wait_answered` is to be called before the load, unless the replicas answer nobody yet."""

    def __init__(self, program, folder, core, key, own, **options):
        folder.mkdir(parents=True)
        key_file = folder / "fleet.key"
        key_file.touch(0o600)
        self.fleet_key, self.home_id = secrets.token_hex(32), ""
        key_file.write_text(self.fleet_key + "\n")
        addresses = sorted((f"127.0.0.1:{free_port()}" for _ in own), key=home_weight, reverse=True)
        self.home_port = int(addresses[0].rpartition(":")[2])  # of its fleet
        self.all = []
        try:
            for number, address in enumerate(addresses):
                more = (f"via_name: router-{number}\nfleet: {{listen: '{address}', advertise: '{address}', key_file: {key_file}, "
                        f"peers: {json.dumps(addresses)}}}\n")
                self.all.append(Proxy("router", program, folder / f"router-{number}", core, key, more=more, **options, **own[number]))
                self.all[-1].folder = folder / f"router-{number}"
            wait_until(self._agree, "the routers agree who is home")
        except BaseException:
            self.stop()
            raise

    def wait_answered(self, key):
        for router in self.all:
            wait_until(lambda: router.must_run() and checks.answers_score(router.http, key), "every router answers 200")  # noqa: B023
            router.find_family()

    @property
    def home(self):
        return self.all[0]

    @property
    def away(self):
        return self.all[1]

    def _agree(self):
        seen = [router.must_run() and _status(router).get("fleet", {}) for router in self.all]
        home = self.home_id = seen[0].get("id")
        return home is not None and all(one.get("homes", {}).get("") == home and one["takeovers"] == 0 for one in seen)

    def stop(self):
        for router in self.all:
            if router.popen.poll() is None:
                router.stop()
