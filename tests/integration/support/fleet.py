"""Several routers with fixed peers on the loopback interface."""

import secrets
import signal

from .ports import ReservedPort
from .wait import eventually


def new_key():
    return secrets.token_hex(32)


class Fleet:
    """The routers of one fleet, all with the same endpoints. `home` is the router that has the queues of deployments with a limit."""

    def __init__(self, stage, size, *endpoints, **settings):
        self.stage, self.endpoints, self.settings = stage, endpoints, settings
        self._ports = [ReservedPort() for _ in range(size)]
        self.addresses = [f"127.0.0.1:{reserved.port}" for reserved in self._ports]
        self.key_file = stage.folder / "fleet.key"
        self.key_file.write_text(new_key() + "\n")
        self.routers = [self.start(address) for address in self.addresses]
        self.wait_ready()

    def start(self, address, key_file=None):
        fleet = {"listen": address, "advertise": address, "key_file": str(key_file or self.key_file), "peers": self.addresses}
        return self.stage.start(*self.endpoints, wait=False, fleet=fleet, **self.settings)

    def restart(self, router):
        """Starts another process in place of one that has ended."""
        index = self.routers.index(router)
        self.routers[index] = self.start(self.addresses[index])
        return self.routers[index]

    def wait_ready(self):
        for router in self.alive():
            router.wait_ready(replicas=False)
        if not of(self.routers[0])["homes"]:  # no deployment has a limit
            return
        home = self.home()
        eventually(lambda: all(len(one["replicas"]) == one["replicas_ready"] for one in home.deployments()),
                   "the replicas to be ready at their home", patience=20)

    def alive(self):
        return [router for router in self.routers if router.process.poll() is None]

    def home(self, name=""):
        def find():
            found = [router for router in self.alive() if of(router)["homes"].get(name) == of(router)["id"]]
            return found[0] if len(found) == 1 else None
        return eventually(find, "one router to be home", patience=20)

    def others(self, router):
        return [other for other in self.alive() if other is not router]

    def kill(self, router):
        """SIGKILL."""
        router.expect_exit = -signal.SIGKILL
        router.kill()

    def close(self):
        for reserved in self._ports:
            reserved.close()


def of(router):
    """What a router says about its fleet."""
    return router.status()["fleet"]
