"""What one tenant's many or large objects cost the router, and all who share it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from harness.following import verdict
from harness.resources import online_deployment, online_endpoint, path
from support.wait import eventually
from test_size import cpu_of, wait_idle

MANY = 1000


def post_all(api, namespace, plural, objects):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda described: api.post(path(plural, namespace), described), objects))


class Silence:
    """Asks the router's /healthz all the time; `longest`: how long an answer took at most, in seconds."""

    def __init__(self, router):
        self._router, self._over, self.longest = router, threading.Event(), 0.0
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _ask(self):
        while not self._over.is_set():
            begun = time.monotonic()
            assert self._router.observe("/healthz")[0] == 200
            self.longest = max(self.longest, time.monotonic() - begun)
            time.sleep(0.005)


def deployments_served(router):
    return sum(len(one["deployments"]) for one in router.status()["endpoints"])


def test_a_thousand_deployments_with_tls_silenced_the_control_thread(cluster, namespace, follow):
    """Each of them had a trust store of its own: 40 ms of the control thread, and 0.8 MB."""
    figures = {}
    for kind, settings in (("plain", {}), ("tls", {"tls": {}})):
        router = follow(identity=kind)
        with Silence(router) as silence:
            cluster.apply([online_endpoint(kind, traffic={})], namespace)
            wait_idle(router)
            before = cpu_of(router), router.memory()
            made = [online_deployment(f"d{kind}-{number}", kind, router=settings) for number in range(MANY)]
            post_all(cluster.api, namespace, "onlinedeployments", made)
            eventually(lambda: deployments_served(router) == MANY, "all of them to be served", patience=120, pause=0.5)
            wait_idle(router)
        figures[kind] = (cpu_of(router) - before[0], router.memory() - before[1], silence.longest)
        assert verdict(router, f"{kind}-d{kind}-7", namespace)["reason"] == "Accepted"
        router.stop()
        cluster.api.delete(path("onlinedeployments", namespace))
        eventually(lambda: not cluster.api.items(path("onlinedeployments", namespace)), "an empty namespace", patience=60)
    for kind, (cpu, memory, longest) in figures.items():
        print(f"\n{MANY} deployments ({kind}): {cpu:.2f} s of CPU, {memory / 1e6:.1f} MB, /healthz silent for {longest * 1000:.0f} ms")
    (plain_cpu, plain_memory, usual), (tls_cpu, tls_memory, silent) = figures["plain"], figures["tls"]
    assert tls_cpu - plain_cpu < 2
    assert tls_memory - plain_memory < 20e6
    assert silent < max(0.2, 2 * usual)  # a busy machine makes it wait for both
