"""What many or large objects of one tenant cost the router, and all its users."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from harness.following import start_following, result_of
from harness.resources import online_deployment, online_endpoint, path, rights, secret
from support.wait import eventually
from test_size import cpu_of, wait_idle

MANY = 1000


def post_all(api, namespace, plural, objects):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda described: api.post(path(plural, namespace), described), objects))


class Silence:
    """Sends requests to the router's /healthz all the time. `longest`: the longest time until an answer, in seconds."""

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
    """Each of them had a trust store of its own, which took 40 ms of the control thread and 0.8 MB."""
    figures = {}
    for kind, settings in (("plain", {}), ("tls", {"tls": {}})):
        router = follow(identity=kind)
        with Silence(router) as silence:
            cluster.apply([online_endpoint(kind, traffic={})], namespace)
            wait_idle(router)
            before = cpu_of(router), router.memory()
            made = [online_deployment(f"d{kind}-{number}", kind, router=settings) for number in range(MANY)]
            post_all(cluster.api, namespace, "onlinedeployments", made)
            eventually(lambda: deployments_served(router) == MANY, "all deployments to be served", patience=120, pause=0.5)
            wait_idle(router)
        figures[kind] = (cpu_of(router) - before[0], router.memory() - before[1], silence.longest)
        assert result_of(router, f"{kind}-d{kind}-7", namespace)["reason"] == "Accepted"
        router.stop()
        cluster.api.delete(path("onlinedeployments", namespace))
        eventually(lambda: not cluster.api.items(path("onlinedeployments", namespace)), "the namespace to be empty", patience=60)
    for kind, (cpu, memory, longest) in figures.items():
        print(f"\n{MANY} deployments ({kind}): {cpu:.2f} s of CPU, {memory / 1e6:.1f} MB, /healthz silent for {longest * 1000:.0f} ms")
    (plain_cpu, plain_memory, usual), (tls_cpu, tls_memory, silent) = figures["plain"], figures["tls"]
    assert tls_cpu - plain_cpu < 2
    assert tls_memory - plain_memory < 20e6
    assert silent < max(0.2, 2 * usual)  # on a busy machine both waits are longer


SECRETS = 60


def make_endpoints(cluster, namespace):
    for number in range(SECRETS):
        cluster.api.post(path("secrets", namespace), secret(f"many-{number}-keys", primary=f"key-of-many-{number}-0001"))
        cluster.api.post(path("onlineendpoints", namespace), online_endpoint(f"many-{number}"))


def keys_known(router):
    return sum(one["keys"] for one in router.status()["endpoints"])


def test_each_secret_had_a_watch_and_a_descriptor_of_its_own(cluster, namespace, follow):
    router = follow()
    before = router.status()["process"]["descriptors"]
    make_endpoints(cluster, namespace)
    eventually(lambda: keys_known(router) == 2 * SECRETS, "all keys to be known", patience=60, pause=0.1)
    wait_idle(router)
    descriptors = router.status()["process"]["descriptors"] - before
    print(f"\n{SECRETS} Secrets of one namespace: {descriptors} descriptors more")
    assert descriptors < SECRETS / 2
    cluster.api.patch(path("secrets", namespace, "many-7-keys"), {"data": {"secondaryKey": None}})
    eventually(lambda: keys_known(router) == 2 * SECRETS - 1, "a key to be removed", patience=5)
    cluster.api.delete(path("secrets", namespace, "many-8-keys"))
    eventually(lambda: result_of(router, "many-8", namespace)["reason"] == "SecretMissing", "the Secret to be missing", patience=5)
    cluster.api.post(path("secrets", namespace), secret("many-8-keys", primary="key-of-many-8-0002"))
    eventually(lambda: result_of(router, "many-8", namespace)["reason"] != "SecretMissing", "the Secret to exist again", patience=5)


def test_secrets_that_a_role_names_are_read_one_by_one(cluster, namespace, start, tmp_path):
    rules = rights(secrets=False) + [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"],
                                      "resourceNames": [f"many-{number}-keys" for number in range(SECRETS)]}]
    account = cluster.service_account(namespace, "named", rules=rules)
    make_endpoints(cluster, namespace)
    router = start_following(start, account, tmp_path, namespaces=[{"name": namespace}])
    eventually(lambda: keys_known(router) == 2 * SECRETS, "all keys to be known", patience=60, pause=0.1)


def test_a_namespace_could_have_as_many_endpoints_as_it_liked(cluster, namespace, follow):
    router = follow(per_namespace={"max_endpoints": 3})
    for number in range(4):
        cluster.apply([online_endpoint(f"few-{number}", traffic={})], namespace)
    eventually(lambda: len(router.status()["endpoints"]) == 3, "three endpoints to be served")
    refused = lambda: [number for number in range(4)  # noqa: E731: they may be of one second, then the name decides
                       if result_of(router, f"few-{number}", namespace).get("reason") == "LimitExceeded"]
    eventually(lambda: len(refused()) == 1, "the refusal")
    [beyond] = refused()
    assert "more than 3 OnlineEndpoints" in result_of(router, f"few-{beyond}", namespace)["message"]
    cluster.api.delete(path("onlineendpoints", namespace, f"few-{(beyond + 1) % 4}"))
    eventually(lambda: result_of(router, f"few-{beyond}", namespace).get("reason") != "LimitExceeded", "the fourth endpoint to be accepted")


def test_a_giant_resource_cost_six_times_its_bytes(cluster, namespace, follow):
    router = follow(per_namespace={"max_bytes": 4_000_000})
    cluster.apply([online_endpoint("giant", traffic={})], namespace)
    wait_idle(router)
    before = router.memory()
    giant = 900_000
    made = [online_deployment(f"large-{number}", "giant", **{}) for number in range(20)]
    for each in made:
        each["spec"]["tags"] = {"large": "x" * giant}
    post_all(cluster.api, namespace, "onlinedeployments", made)
    eventually(lambda: 0 < deployments_served(router) < len(made) and result_of(router, "giant-large-19", namespace), "some of them")
    wait_idle(router)
    grown = router.memory() - before
    print(f"\n{len(made)} resources of {giant / 1e6:.1f} MB: {grown / 1e6:.1f} MB more, {deployments_served(router)} of them served")
    assert grown < 20_000_000
