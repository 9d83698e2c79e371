"""A fleet of routers with fixed peers on the loopback."""

import secrets
import time

from support.ports import ReservedPort
from support.router import Router
from support.wait import eventually

from .member import Member

PATIENCE = 20.0


def new_key():
    return secrets.token_hex(32)


class Fleet:
    """Starts `size` routers with the same endpoints and one key. `doors[n]` replaces the address under which the others reach router n.
    A test that changes who runs calls `wait_agreed` before it goes on."""

    def __init__(self, folder, *endpoints, size=3, key=None, doors=(), fleet=(), **settings):
        self.folder, self.key = folder, key or new_key()
        self._doors, self._endpoints, self._section, self._settings = dict(doors), endpoints, dict(fleet), settings
        self._ports, self.addresses, self.routers = [], [], []
        self._reserve(size)
        for number in range(size):
            self._start_one(number)

    def _reserve(self, count):
        for number in range(len(self._ports), len(self._ports) + count):
            self._ports.append(ReservedPort())
            port = self._ports[number].port
            self.addresses.append(self._doors[number](port) if number in self._doors else f"127.0.0.1:{port}")

    def _start_one(self, number):
        folder = self.folder / f"router-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        write_key(folder, self.key)
        section = {"listen": f"127.0.0.1:{self._ports[number].port}", "advertise": self.addresses[number], "key_file": "fleet.key",
                   "peers": list(self.addresses), **self._section}
        self.routers.append(Member(folder, *self._endpoints, name=f"router-{number}", reserved=self._ports[number], fleet=section,
                                   **self._settings))
        return self.routers[-1]

    def __getitem__(self, number):
        return self.routers[number]

    def __iter__(self):
        return iter(self.routers)

    # who is what
    def by_port(self, port):
        return next(one for one in self.routers if one.port == port)

    def running(self):
        return [one for one in self.routers if one.is_running()]

    def homes(self):
        """The routers that say that they are home and have taken over."""
        return [one for one in self.running() if is_home(one)]

    def home(self):
        homes = self.homes()
        assert len(homes) == 1, [one.name for one in homes]
        return homes[0]

    def others(self):
        home = self.home()
        return [one for one in self.running() if one is not home]

    def wait_agreed(self, routers=None, patience=PATIENCE):
        """Waits until every running router is ready and they agree about the home. Returns how long that took."""
        begun = time.monotonic()
        routers = routers or self.running()
        try:
            eventually(lambda: agreed(routers), "the routers to agree", patience)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *(describe(one) for one in routers)])) from error
        return time.monotonic() - begun

    # changes
    def write(self, *endpoints):
        """Writes other endpoints on every router, and waits until each has them."""
        before = {one: one.generation() for one in self.running()}
        for one in self.running():
            one.endpoints = list(endpoints)
            one.write()
        for one, generation in before.items():
            eventually(lambda: one.generation() > generation, f"{one.name} to read its files", patience=10)  # noqa: B023

    def write_keys(self, *keys, routers=None):
        for one in routers or self.routers:
            write_key(one.folder, "\n".join(keys))

    def grow(self, count):
        """Adds `count` routers, which start with the new list, while the others read theirs again one after the other. Returns them."""
        running = self.running()
        self._reserve(count)
        added = [self._start_one(number) for number in range(len(self.routers), len(self._ports))]
        for one in running:
            self._write_list(one, self.addresses)
        return added

    def shrink(self, gone):
        """Takes routers that run out of the lists of the others. They go on, as members of nothing, until they are drained."""
        rest = [one for one in self.running() if one not in gone]
        for one in rest:
            self._write_list(one, [self.addresses[self.routers.index(one)] for one in rest])

    def _write_list(self, router, addresses):
        section = {**router.settings["fleet"], "peers": list(addresses)}
        router.reloaded(lambda: (router.settings.update(fleet=section), router.write()))

    def set(self, **settings):
        """Changes router.yaml on every running router."""
        for one in self.running():
            one.settings.update(settings)
            one.write()

    def stop(self):
        """Ends all routers at once, and asserts a clean end of each."""
        failures = []

        def do(step, router):
            try:
                step(router)
            except (AssertionError, OSError) as error:
                failures.append(f"{router.name}: {error}")

        running = self.running()
        for one in running:
            one.thaw()
        for one in running:
            do(lambda router: eventually(lambda: router.slots_in_use() == 0, "slots to be free at the end", patience=5), one)
        for one in running:
            do(Member.drain, one)
        for one in self.routers:
            do(Member.check_end, one)
            one.kill()
        assert not failures, "\n".join(failures)


def write_key(folder, text):
    path = folder / "fleet.key"
    fresh = path.with_suffix(".new")
    fresh.write_text(text + "\n")
    fresh.replace(path)


def seen_by(router):
    """What this router says of the fleet; {} if it does not answer."""
    try:
        return router.fleet()
    except (OSError, AssertionError, ValueError):
        return {}


def is_home(router):
    seen = seen_by(router)
    return bool(seen) and seen["homes"].get("") == seen["id"] and seen["takeovers"] == 0


def agreed(routers):
    """Whether all are ready, and name the same home, which is one of them and has taken over. Without a limit there is no home."""
    if not all(one.is_ready() for one in routers):
        return False
    named = [seen_by(one).get("homes") for one in routers]
    if None in named or any(homes != named[0] for homes in named):
        return False
    return sum(is_home(one) for one in routers) == 1 or (named[0] == {} and not any(has_slots(one) for one in routers))


def has_slots(router):
    """Whether the router serves a deployment with a limit that has a replica: then it needs to know a home."""
    return any(one["slots"] for one in Router.deployments(router))


def describe(router):
    if not router.is_running():
        return f"{router.name} ended with {router.process.returncode}:\n{router.log[-3000:]}"
    try:
        return f"{router.name}: {router.ready()} {router.fleet()}\n{router.log[-1500:]}"
    except (OSError, AssertionError, KeyError) as error:
        return f"{router.name}: {error!r}\n{router.log[-1500:]}"
