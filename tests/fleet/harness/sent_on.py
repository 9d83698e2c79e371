"""A router that is home of nothing, with its home beside it: what a test asks of one router, it asks of a fleet."""

from support.fixtures import _Stage
from support.ports import ReservedPort
from support.router import Router
from support.wait import eventually

from .fleet import agreed, has_slots, is_home, new_key, write_key
from .member import Member

MASK = (1 << 64) - 1


def home_weight(member, name_space=""):
    """router/fleet/home.cpp: the member with the greatest weight is home. `SentOnRouter` checks that the routers agree."""
    hash = 14695981039346656037
    for byte in f"{member}\0{name_space}".encode():
        hash = (hash ^ byte) * 1099511628211 & MASK
    hash = (hash ^ hash >> 30) * 0xBF58476D1CE4E5B9 & MASK
    hash = (hash ^ hash >> 27) * 0x94D049BB133111EB & MASK
    return hash ^ hash >> 31


class SentOnRouter(Member):
    """Starts two routers. This one has the clients, the metrics and the access log; `home` has the queue and the slots."""

    def __init__(self, folder, *endpoints, wait=True, **settings):
        ports = sorted((ReservedPort() for _ in range(2)), key=lambda one: home_weight(f"127.0.0.1:{one.port}"))
        addresses = [f"127.0.0.1:{one.port}" for one in ports]
        key = new_key()

        def options(number, where):
            where.mkdir(parents=True, exist_ok=True)
            write_key(where, key)
            return {"reserved": ports[number], "fleet": {"listen": addresses[number], "advertise": addresses[number],
                                                         "key_file": "fleet.key", "peers": addresses}}

        beside = folder.with_name(folder.name + "-home")
        self.home = Member(beside, *endpoints, name="home", **options(1, beside), **settings)
        super().__init__(folder, *endpoints, name="away", **options(0, folder), **settings)
        try:
            eventually(lambda: agreed([self, self.home]), "the two routers to agree", patience=20)
            assert is_home(self.home) or not has_slots(self.home)
            if wait:
                self.wait_ready()
        except BaseException:
            self.kill()
            self.home.kill()
            raise

    # The home knows the replicas, the slots and the queue.
    def deployments(self):
        return self.home.deployments()

    def write_endpoint(self, described):
        super().write_endpoint(described)
        if hasattr(self, "home"):
            self.home.write_endpoint(described)

    def reloaded(self, change):
        before = self.home.generation()
        Router.reloaded(self, change)
        eventually(lambda: self.home.generation() > before, "the home's reload", patience=5)

    def stop(self):
        try:
            super().stop()
        finally:
            self.home.stop()

    def kill(self):
        super().kill()
        self.home.kill()


class SentOnStage(_Stage):
    def start(self, *endpoints, **settings):
        router = SentOnRouter(self.folder / f"router-{len(self.routers)}", *endpoints, **settings)
        self.routers.append(router)
        return router
