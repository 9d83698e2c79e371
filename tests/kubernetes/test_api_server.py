"""The API server dies, stops answering, drops old versions and refuses. The router serves what it knows, and catches up."""

import contextlib
import itertools
import random
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from harness.api import Api, ApiError
from harness.cluster import running_cluster
from harness.following import age, deployment_of, failures, kill, start_following, result_of, wait_served
from harness.objects import deployment, service
from harness.resources import ENDPOINT, MODEL, install, online_deployment, online_endpoint, path, rights, secret
from support.load import Plan
from support.wait import eventually, stays

RATE, CLIENTS = 200, 30
BACK_OFF = 2.0  # seconds: the longest pause between two attempts of the router to reach the API server
CATCHES_UP_GOAL = BACK_OFF + 1.0
CATCHES_UP_WITHIN = 10 * CATCHES_UP_GOAL  # asserted, on a machine that others also use
KINDS_AND_SECRETS = 6  # watches of one namespace, one of them for more than 16 Secrets
RESTING = 4  # idle connections that wait for the next request
CONNECTION_BYTES = 36 * 1024  # bytes of heap, with TLS
OTHERS = 40  # endpoints beside my-endpoint, which the tests change
GROWTH_MAX = 0.03


@pytest.fixture
def model(cluster, namespace, pods):
    """my-endpoint with three Pods that end slowly."""
    cluster.apply([secret(), online_endpoint(), online_deployment(slots=4), service(MODEL),
                   deployment(MODEL, 3, environment={"SLEEP": 0.005}, annotations={"test/termination-delay": "3"})], namespace)
    return pods.ready(namespace, 3)


@contextlib.contextmanager
def under_load(load, router, killed=()):
    """Asserts that no request fails meanwhile, and /readyz stays 200. Some requests are sent first, since the budget of second attempts is
    a share of the requests."""
    answers, done = set(), threading.Event()

    def watch_readiness():
        while not done.wait(0.1):
            answers.add(router.observe("/readyz")[0])
    watching = threading.Thread(target=watch_readiness)
    running = load([router], RATE, CLIENTS, plan=lambda number: Plan(body=b"%d" % number))
    watching.start()
    try:
        eventually(lambda: len(running.outcomes) > 100, "100 requests", patience=30)
        yield running
    finally:
        outcomes = running.stop()
        done.set()
        watching.join(20)
    taken, lost = failures([router], outcomes, killed)
    print(f"\n{len(outcomes)} requests, {len(lost)} failed, {len(taken)} were with a killed Pod")
    assert not lost, lost[:5]
    assert answers == {200}


def fill_pools(load, router):
    """Uses more buffers and frames at once than the load of a test does. The pools keep what was used at once, up to their bounds."""
    running = load([router], 20 * RATE, 4 * CLIENTS)
    eventually(lambda: len(running.outcomes) > 100 * CLIENTS, "many requests at once", patience=60)
    running.stop()


# the objects of the API server, and what the router serves
def served_by(router):
    """Returns the host names and deployments of each endpoint, as the router has them."""
    return {one["name"]: (sorted(one["hostnames"]), {each["name"]: len(each["replicas"]) for each in one["deployments"]})
            for one in router.status()["endpoints"]}


def served_rightly(api, namespace):
    """Returns the same as it should be, by the API server's objects. Every deployment of these tests has the ready Pods of one Service."""
    slices = api.items(path("endpointslices", namespace), labelSelector=f"kubernetes.io/service-name={MODEL}")
    replicas = sum(len(one["endpoints"] or []) for one in slices)
    known = {one["metadata"]["name"]: (sorted(one["spec"].get("router", {}).get("hostnames", [])), {})
             for one in api.items(path("onlineendpoints", namespace))}
    for one in api.items(path("onlinedeployments", namespace)):
        if one["spec"]["endpoint_name"] in known:
            known[one["spec"]["endpoint_name"]][1][one["spec"]["name"]] = replicas
    return known


def wait_equal(router, cluster, namespace, patience=CATCHES_UP_WITHIN):
    """Waits until the router serves what the API server has. Prints and returns the seconds."""
    begun = time.monotonic()
    try:
        eventually(lambda: served_by(router) == served_rightly(cluster.api, namespace), "the router to serve what the API server has",
                   patience=patience, pause=0.05)
    except AssertionError:
        served, rightly = served_by(router), served_rightly(cluster.api, namespace)
        for name in sorted(served.keys() | rightly.keys()):
            if served.get(name) != rightly.get(name):
                print(f"{name}: served {served.get(name)}, rightly {rightly.get(name)}, result {result_of(router, name)}")
        print(f"age {age(router):.1f} s")
        raise
    took = time.monotonic() - begun
    print(f"equal after {took:.2f} s (goal {CATCHES_UP_GOAL} s)")
    return took


class Changes:
    """Creates, changes and deletes objects. Each version has a number, from which a host name is made."""

    def __init__(self, api, namespace, seed=1):
        self._api, self._namespace, self._random = api, namespace, random.Random(seed)
        self._numbers = itertools.count(1)
        self.made = 0

    def one(self, which=None):
        """Changes one of the other endpoints, or its deployment."""
        name = f"other-{self._random.randrange(OTHERS) if which is None else which}"
        number = next(self._numbers)
        plural, described = self._random.choice([
            ("onlineendpoints", online_endpoint(name, traffic={}, router={"hostnames": [f"{name}-{number}.test"]})),
            ("onlineendpoints", online_endpoint(name, traffic={}, router={"hostnames": [f"{name}-{number}.test"]})),
            ("onlinedeployments", online_deployment("blue", name, slots=1 + number % 5, router={"service": {"name": MODEL}})),
        ])
        object_path = path(plural, self._namespace, described["metadata"]["name"])
        try:
            if self._random.random() < 0.2:
                self._api.delete(object_path)
            else:
                self._api.patch(object_path, {"spec": described["spec"]})
        except ApiError as error:
            if error.status != 404:
                raise
            self._api.post(path(plural, self._namespace), described)
        self.made += 1


def make_many(api, namespace, threads, seconds):
    """Makes changes on several threads as fast as the API server accepts them; returns how many."""
    every = [Changes(api, namespace, seed) for seed in range(threads)]
    until = time.monotonic() + seconds

    def run(index):
        while time.monotonic() < until:
            every[index].one(every[index]._random.randrange(index, OTHERS, threads))
    workers = [threading.Thread(target=run, args=(index,)) for index in range(threads)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    return sum(one.made for one in every)


# the audit log's entries of the router
def requests_of(cluster, account, verb, plural, **fields):
    return [one for one in cluster.audited(account.user, verb=verb, resource=plural, **fields) if one["stage"] != "ResponseStarted"]


def code_of(event):
    return event.get("responseStatus", {}).get("code")


@pytest.mark.parametrize("seconds", [8, pytest.param(60, marks=pytest.mark.long)])
def test_what_was_known_is_served_without_an_api_server(cluster, namespace, pods, follow, load, model, seconds):
    router = follow()
    wait_served(router, 3)
    killed = []
    with under_load(load, router, killed):
        cluster.kill_api_server()
        begun = time.monotonic()
        killed.append(kill(model[0]))  # the router cannot be notified of it
        while time.monotonic() - begun < seconds:
            oldest = age(router)
            assert time.monotonic() - begun - 1 < oldest + 2 * BACK_OFF, "the age of the router's objects should rise"
            assert len(deployment_of(router)["replicas"]) == 3
            time.sleep(0.2)
        assert oldest > seconds / 2
        cluster.start_api_server()
        begun = time.monotonic()
        cluster.api.patch(path("onlineendpoints", namespace, ENDPOINT), {"spec": {"router": {"hostnames": ["later.test"]}}})
        eventually(lambda: served_by(router)[ENDPOINT][0] == ["later.test"], "the router to catch up", patience=60)
        caught_up = time.monotonic() - begun
        eventually(lambda: age(router) < 1, "the age to fall", patience=CATCHES_UP_WITHIN)
        cluster.kubectl("scale", f"deployment/{MODEL}", "--replicas=5", "-n", namespace)
        pods.ready(namespace, 5, patience=60)
        wait_served(router, 5)
        cluster.kubectl("set", "env", f"deployment/{MODEL}", "UPDATE=1", "-n", namespace)
        cluster.kubectl("rollout", "status", f"deployment/{MODEL}", "--timeout=60s", "-n", namespace)
        pods.ready(namespace, 5)
        wait_served(router, 5)
    print(f"the API server was away for {seconds} s; its first change after /readyz acted after {caught_up:.2f} s (goal {CATCHES_UP_GOAL} s)")
    assert caught_up <= CATCHES_UP_WITHIN


@pytest.mark.parametrize("seconds", [8, pytest.param(30, marks=pytest.mark.long)])
def test_watches_that_are_cut_lose_nothing(cluster, namespace, account, follow, gate, load, model, seconds):
    """Cuts all watches every second, half of the times with a reset, while objects change."""
    door = gate(cluster.port)
    router = follow(api_port=door.port)
    wait_served(router, 3)
    wait_equal(router, cluster, namespace)
    lists = {plural: len(requests_of(cluster, account, "list", plural)) for plural in ("onlineendpoints", "endpointslices")}
    changes, cut = Changes(cluster.api, namespace), 0
    with under_load(load, router):
        for number in range(seconds):
            until = time.monotonic() + 1
            while time.monotonic() < until:
                changes.one()
                time.sleep(0.02)
            cut += door.end_all(reset=number % 2 == 0)
            changes.one()
        wait_equal(router, cluster, namespace)
        cluster.kubectl("scale", f"deployment/{MODEL}", "--replicas=4", "-n", namespace)
        wait_served(router, 4)
        wait_equal(router, cluster, namespace)
    print(f"{cut} connections cut in {seconds} rounds, {changes.made} changes")
    assert cut >= 4 * seconds  # in each round those of three kinds and a Secret
    # Each watch continued from its version, so nothing was listed again.
    assert {plural: len(requests_of(cluster, account, "list", plural)) for plural in lists} == lists


def test_a_forgotten_place_is_listed_anew(tmp_path, start, gate):
    """410 Gone: the answer to a watch from a version that etcd has compacted, and to the continuation of a list."""
    with running_cluster(tmp_path / "cluster", watch_cache=False) as cluster:
        install(cluster)
        cluster.create_namespace("many")
        account = cluster.service_account("many", "router", rules=rights())
        for number in range(600):  # more than fit on one page of 500
            cluster.api.post(path("onlineendpoints", "many"), online_endpoint(f"many-{number}", traffic={}))
        door = gate(cluster.port)
        assert list_is_continued_too_late(cluster, start, account, tmp_path, door), "the list should have been interrupted"
        router = watch_is_resumed_too_late(cluster, start, account, tmp_path, door)
        assert len(served_by(router)) == 599


def list_is_continued_too_late(cluster, start, account, folder, door):
    """The gate delays the first page until etcd has dropped its version."""
    pages = lambda: requests_of(cluster, account, "list", "onlineendpoints")  # noqa: E731
    door.set(delay=0.5)  # for each piece of 64 KB; a page has more than four
    router = start_following(start, account, folder, door.port, wait=False, namespaces=[{"name": "many"}])
    eventually(lambda: any(one["stage"] == "ResponseComplete" for one in pages()), "the first page to be sent", patience=30)
    cluster.api.post(path("onlineendpoints", "many"), online_endpoint("later", traffic={}))
    cluster.compact()
    door.clear()
    router.wait_ready(replicas=False)
    assert len(served_by(router)) == 601
    asked = [("continue" in parse_qs(urlsplit(one["requestURI"]).query), code_of(one)) for one in pages()]
    print(f"\nthe list: {asked} (a continuation?, code)")
    assert asked == [(False, 200), (True, 410), (False, 200), (True, 200)]
    router.stop()
    return True


def watch_is_resumed_too_late(cluster, start, account, folder, door):
    """The router is cut off while objects change and etcd drops old versions. Then it resumes its watch."""
    router = start_following(start, account, folder, door.port, namespaces=[{"name": "many"}])
    assert len(served_by(router)) == 601
    door.set(swallow=True)
    door.end_all()
    for number in range(2):
        cluster.api.delete(path("onlineendpoints", "many", f"many-{number}"))
    cluster.api.patch(path("onlineendpoints", "many", "later"), {"spec": {"router": {"hostnames": ["later.test"]}}})
    cluster.compact()
    stays(lambda: len(served_by(router)) == 601, 0.3, "the known endpoints")
    begun = len(requests_of(cluster, account, "list", "onlineendpoints")), len(requests_of(cluster, account, "watch", "onlineendpoints"))
    door.clear()
    door.end_all()
    eventually(lambda: len(served_by(router)) == 599 and served_by(router)["later"][0] == ["later.test"], "the new objects",
               patience=10)
    resumed = requests_of(cluster, account, "watch", "onlineendpoints")[begun[1]]
    versions = parse_qs(urlsplit(resumed["requestURI"]).query)["resourceVersion"]
    with pytest.raises(ApiError) as gone:  # the same request again
        next(cluster.api.watch(path("onlineendpoints", "many"), versions[0], timeoutSeconds=10))
    assert gone.value.status == 410
    lists = requests_of(cluster, account, "list", "onlineendpoints")[begun[0]:]
    assert lists and all(code_of(one) == 200 for one in lists)
    assert lists[0]["stageTimestamp"] > resumed["requestReceivedTimestamp"]
    return router


@pytest.mark.parametrize("renewed", ["before it is refused", "after it was refused"])
def test_a_refused_token_is_read_again(cluster, namespace, account, follow, gate, load, model, tmp_path, renewed):
    """The token ends with the Secret that it is bound to. Open watches stay open; new ones are refused."""
    account.token = old = bound_token(cluster, namespace)
    door = gate(cluster.port)
    router = follow(api_port=door.port)
    wait_served(router, 3)
    cluster.api.delete(path("secrets", namespace, "bound"))
    eventually(lambda: is_refused(cluster, old), "the token to be refused", patience=40, pause=0.5)  # the API server caches it for 10 s
    refused = lambda: [one for one in cluster.audited("", verb="watch", namespace=namespace) if code_of(one) == 401]  # noqa: E731
    assert not refused()
    account.token = account.new_token()
    if renewed.startswith("before"):
        account.write_directory(tmp_path / "serviceaccount")
    with under_load(load, router):
        door.end_all()
        eventually(refused, "a watch to get 401", patience=20)
        if renewed.startswith("after"):
            eventually(lambda: {"onlineendpoints", "onlinedeployments", "endpointslices", "secrets"}
                       <= {one["objectRef"]["resource"] for one in refused()}, "every watch to get 401", patience=20)
            stays(lambda: len(deployment_of(router)["replicas"]) == 3, 1, "the known replicas")
            account.write_directory(tmp_path / "serviceaccount")
        begun = time.monotonic()
        cluster.api.patch(path("onlineendpoints", namespace, ENDPOINT), {"spec": {"router": {"hostnames": ["renewed.test"]}}})
        eventually(lambda: served_by(router)[ENDPOINT][0] == ["renewed.test"], "the router to use the new token", patience=60)
        took = time.monotonic() - begun
    print(f"{len(refused())} watches met 401; the new token was in use after {took:.2f} s (goal {CATCHES_UP_GOAL} s)")
    assert took <= CATCHES_UP_WITHIN


def bound_token(cluster, namespace):
    cluster.api.post(path("secrets", namespace), {"metadata": {"name": "bound"}})
    answer = cluster.api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/router/token", {
        "spec": {"expirationSeconds": 3600, "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": "bound"}}})
    return answer["status"]["token"]


def is_refused(cluster, token):
    try:
        Api(cluster.url, cluster.ca_file, token).get("/api")
    except ApiError as error:
        return error.status == 401
    return False


def test_changes_as_fast_as_they_are_taken(cluster, namespace, follow, load, model):
    router = follow()
    wait_served(router, 3)
    with under_load(load, router):
        before, begun = router.generation(), time.monotonic()
        made = make_many(cluster.api, namespace, threads=4, seconds=6)
        rate = made / (time.monotonic() - begun)
        took = wait_equal(router, cluster, namespace)
        tables = router.generation() - before
    print(f"{made} changes ({rate:.0f}/s) beside {RATE} requests/s, {tables} tables; equal {took:.2f} s after the last")
    assert made > 50
    assert len(served_by(router)) > OTHERS / 4


def test_trouble_again_and_again_costs_nothing(cluster, namespace, follow, gate, load, model):
    """Cut watches, a killed API server, many changes: after the last round the process is no larger than after the second."""
    door = gate(cluster.port)
    router = follow(api_port=door.port)
    wait_served(router, 3)
    fill_pools(load, router)
    held = []
    for _ in range(4):  # the first round fills caches
        with under_load(load, router):
            make_many(cluster.api, namespace, threads=2, seconds=1.5)
            for _ in range(3):
                door.end_all(reset=True)
                eventually(lambda: age(router) < 1, "the watches to be open again", patience=10)
            cluster.kill_api_server()
            eventually(lambda: age(router) > 0.5, "the age to rise")
            cluster.start_api_server()
            for number in range(OTHERS):  # the same objects each time
                make_plain(cluster.api, namespace, number)
            wait_equal(router, cluster, namespace)
        held.append({**at_rest(router), "to the API server": door.open})
    print(f"at rest: {held}")
    _, first, *_, last = held
    # How many Secrets have a watch of their own depends on when they were created: at most 16, beside those that one watch follows. Before,
    # a refusal while the server started left a connection for each of the 40.
    assert max(one["to the API server"] for one in held) <= KINDS_AND_SECRETS + 16 + RESTING
    beside, beside_at_first = (one["descriptors"] - one["to the API server"] for one in (last, first))
    assert beside <= beside_at_first
    connections = max(0, last["to the API server"] - first["to the API server"])
    assert 0 < last["heap_bytes"] <= first["heap_bytes"] * (1 + GROWTH_MAX) + connections * CONNECTION_BYTES


def make_plain(api, namespace, number):
    """Restores the endpoint of that number and its deployment to their first state."""
    name = f"other-{number}"
    for plural, described in (("onlineendpoints", online_endpoint(name, traffic={}, router={"hostnames": [f"{name}.test"]})),
                              ("onlinedeployments", online_deployment("blue", name, slots=1, router={"service": {"name": MODEL}}))):
        with contextlib.suppress(ApiError):
            api.delete(path(plural, namespace, described["metadata"]["name"]))
        api.post(path(plural, namespace), described)


def at_rest(router):
    """Returns what the process holds when client connections have ended and nothing changes."""
    eventually(lambda: router.metrics().value("connections_active") == 0 and router.slots_in_use() == 0, "the clients' connections to end",
               patience=30)
    seen = []

    def unchanged():
        seen.append(router.status()["process"])
        return len(seen) > 20 and len({one["descriptors"] for one in seen[-20:]}) == 1
    eventually(unchanged, "the number of descriptors to stay constant", patience=60, pause=0.1)
    return {"descriptors": seen[-1]["descriptors"], "heap_bytes": min(one["heap_bytes"] for one in seen[-20:])}
