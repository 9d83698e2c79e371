"""Two routers that share slots, with everything that their dashboard shows, and a Prometheus that scrapes them: two endpoints over TLS,
replicas that tests can kill, and clients that succeed, make mistakes, leave, or send too many requests."""

import random
import secrets
import time

from support.certificates import Authority
from support.dashboard import RULES
from support.load import Load, Plan
from support.loop import BackgroundLoop
from support.ports import ReservedPort
from support.prometheus import Prometheus
from support.replica import Replica
from support.router import Router
from support.settings import deployment, endpoint
from support.wait import eventually


class Scene:
    def __init__(self, folder, interval=1):
        """`interval`: seconds between two scrapes. `router` is the home of all deployments; `other` sends requests on to it."""
        self._folder, self._interval = folder, interval
        self._chance = random.Random(1)
        self._loads = []
        self.replicas, self.router, self.other, self.prometheus = [], None, None, None
        self._routers, self._ports = [], [ReservedPort() for _ in range(2)]
        self._background = BackgroundLoop()
        try:
            self._start(folder)
        except BaseException:
            self.end()
            raise

    def _start(self, folder):
        self.replicas = [Replica(folder, name) for name in ("blue-0", "blue-1", "blue-2", "green-0", "vision-0", "vision-1")]
        blue, green, vision = self.replicas[:3], self.replicas[3:4], self.replicas[4:]
        authority = Authority(folder / "authority")
        self._tls = authority.client_context()
        endpoints = [
            endpoint(deployment([one.address for one in blue], slots=2),
                     deployment([one.address for one in green], name="green", max_queue_wait_ms=2000),
                     traffic={"blue": 90, "green": 10}, mirror_traffic={"green": 5}),
            endpoint(deployment([one.address for one in vision], name="large", slots=2, max_queue_wait_ms=3000), name="vision",
                     router={"hostnames": ["vision.test"]})]
        certificate = authority.issue("router.test", "vision.test", days="90").as_dict()
        (folder / "fleet.key").write_text(secrets.token_hex(32) + "\n")
        peers = [f"127.0.0.1:{one.port}" for one in self._ports]
        for number, own in enumerate(peers):
            fleet = {"listen": own, "advertise": own, "peers": peers, "key_file": str(folder / "fleet.key")}
            self._routers.append(Router(folder / f"router-{number}", *endpoints, wait=False, tls={"certificates": [certificate]},
                                        metrics={"per_replica": True}, via_name=f"router-{number}", fleet=fleet))
        self.router, self.other = eventually(self._home_first, "the routers to agree on a home", patience=20)
        self.begun = time.time()
        self.prometheus = Prometheus(folder / "prometheus", {
            f"127.0.0.1:{one.observe_port}": {"instance": f"router-{number}"} for number, one in enumerate(self._routers)},
            self._interval, [RULES])

    def _home_first(self):
        """Returns both routers, the home first, when they agree on it."""
        try:
            fleets = [one.status()["fleet"] for one in self._routers]
        except OSError:
            return None  # does not listen yet
        homes = {one["homes"].get("") for one in fleets}
        if not all(one["ready"] for one in fleets) or homes == {None} or len(homes) > 1:
            return None
        return sorted(self._routers, key=lambda one: fleets[self._routers.index(one)]["id"] not in homes)

    def end(self):
        try:
            for one in self._loads:
                one.stop()
            if self.prometheus:
                self.prometheus.stop()
            for one in self._routers:
                one.stop()
        finally:
            for one in self._routers:
                one.kill()
            for one in self._ports:
                one.close()
            for one in self.replicas:
                one.kill()
            self._background.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    # Steps of the scene.
    def load(self, rate, clients, plan, router=None):
        """Sends requests to the home or another router until the scene ends, or until the returned load is stopped."""
        self._loads.append(Load(self._background, (router or self.router).port, rate, clients, plan, tls=self._tls))
        return self._loads[-1]

    def start_load(self):
        """Ordinary load: models that take their time, and a mistake now and then."""
        self.load(45, 30, self._ordinary)
        self.load(6, 8, self._vision, self.other)

    def overload(self):
        """Sends more requests than the slots of `blue` can serve, until the returned load is stopped."""
        return self.load(140, 80, lambda number: self._computing(0.08))

    def kill_a_replica(self):
        self.replicas[0].kill()

    def restart_the_replica(self):
        self.replicas[0].restart()
        eventually(lambda: self.router.metrics().value("replicas", endpoint="my-endpoint", deployment="blue", state="ready") == 3,
                   "the replica to be readmitted", patience=60)

    def refuse_a_configuration(self):
        """Changes the file with a mistake, and then restores it."""
        good = self.router.config_file.read_text()
        for text, refused in ((good + "no_such_key: 1\n", 1), (good, 0)):
            fresh = self.router.config_file.with_suffix(".new")
            fresh.write_text(text)
            fresh.replace(self.router.config_file)
            eventually(lambda: self.router.metrics().value("configuration_refused") == refused, "the change to be read")
            self.wait_scraped()

    def wait_scraped(self):
        """Waits until Prometheus has scraped the router's present state."""
        since = time.time()
        eventually(lambda: any(at > since for _, values in self.prometheus.over("timestamp(inference_router_build_info)", since - 60)
                               for _, at in values), "a scrape")

    def _computing(self, mean, **plan):
        """A request for which the model takes about `mean` seconds."""
        seconds = self._chance.lognormvariate(0, 0.5) * mean
        headers = {**plan.pop("headers", {})}
        headers["x-do"] = ",".join(filter(None, [f"sleep={seconds:.3f}", headers.get("x-do")]))
        return Plan(body=b"x" * self._chance.randrange(200, 4000), headers=headers, **plan)

    def _ordinary(self, number):
        kind = number % 60
        if kind == 7:
            return Plan(key="a-key-that-opens-nothing")
        if kind == 13:
            return Plan(headers={"azureml-model-deployment": "red"})  # this deployment does not exist
        if kind == 23:
            return self._computing(0.04, headers={"x-do": "reset"})
        if kind == 31:
            return self._computing(0.04, headers={"x-do": "status=500"})
        if kind == 41:
            return self._computing(0.2, leave_after=0.03)
        return self._computing(0.06)

    def _vision(self, number):
        return self._computing(0.25, headers={"Host": "vision.test"})
