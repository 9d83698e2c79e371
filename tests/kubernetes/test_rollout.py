"""Pods are created, deleted and killed while requests run. What users write in the cluster is applied at once."""

import itertools
import time

import pytest
from harness.following import deployment_of, failures, kill, wait_served
from harness.objects import deployment, service
from harness.resources import ENDPOINT, MODEL, keys, online_deployment, online_endpoint, path, secret
from support.client import PRIMARY
from support.load import Plan
from support.replica import times
from support.wait import eventually

SLOTS = 2
RATE, CLIENTS = 300, 40
SLEEP = 0.005  # seconds that a Pod takes for a request
# Seconds between a Pod's deletion and SIGTERM, as with a preStop hook, in which all components learn that it ends.
LEAVING = {"test/termination-delay": "3"}
ACTS_WITHIN = 1.0  # seconds from the API server's answer until the change affects requests
REPETITIONS = 5


@pytest.fixture
def model(cluster, namespace, pods):
    """Applies my-endpoint with its deployment `blue` of so many Pods, and waits until they are ready."""
    def make(replicas):
        cluster.apply([secret(), online_endpoint(), online_deployment(slots=SLOTS), service(MODEL),
                       deployment(MODEL, replicas, environment={"SLEEP": SLEEP}, annotations=LEAVING)], namespace)
        return pods.ready(namespace, replicas)
    return make


class Rollout:
    """Changes the Pods of `blue`. Each step waits until the routers know the result."""

    def __init__(self, cluster, namespace, pods, routers):
        self._cluster, self._namespace, self._pods, self._routers = cluster, namespace, pods, routers
        self._updates = itertools.count(1)
        self.killed = []
        self.steps = 0

    def kubectl(self, *arguments):
        self._cluster.kubectl(*arguments, "-n", self._namespace)

    def update(self):
        """A rolling update by the Deployment controller."""
        self.kubectl("set", "env", f"deployment/{MODEL}", f"UPDATE={next(self._updates)}")
        self.kubectl("rollout", "status", f"deployment/{MODEL}", "--timeout=120s")
        self.steps += 1

    def scale(self, replicas):
        self.kubectl("scale", f"deployment/{MODEL}", f"--replicas={replicas}")
        self._settle(replicas)

    def kill_one(self, replicas):
        """Kills one of so many Pods with SIGKILL; another process replaces it at the same address."""
        self.killed.append(kill(self._pods.ready(self._namespace, replicas, patience=60)[0]))
        self._settle(replicas)

    def _settle(self, replicas):
        self._pods.ready(self._namespace, replicas, patience=60)
        for router in self._routers:
            wait_served(router, replicas, patience=60)
        self.steps += 1

    def round(self):
        self.update()
        self.kill_one(3)
        self.scale(1)
        self.scale(8)
        self.kill_one(8)
        self.kill_one(8)
        self.update()
        self.scale(2)
        self.scale(3)


def mixed(number):
    """Every fifth request is a GET."""
    return Plan(method="GET", body=b"") if number % 5 == 0 else Plan(body=b"%d" % number)


def end_of(running, pods, namespace):
    """Waits until every existing Pod has answered a request; returns the outcomes."""
    here = {pod.name for pod in pods.all(namespace, ended=False)}
    eventually(lambda: here <= {one.pod for one in running.outcomes}, "each Pod to serve", patience=20, pause=0.1)
    return running.stop()


def concurrent_most(pods, namespace):
    """Returns the highest number of requests that a Pod has had at the same time, by its own record."""
    return max(one.concurrent for pod in pods.all(namespace) for one in pod.events())


def assert_only_the_killed_failed(rollout, routers, outcomes, pods, namespace, slots_max):
    taken, lost = failures(routers, outcomes, rollout.killed)
    most = concurrent_most(pods, namespace)
    seconds = max(one.ended for one in outcomes) - outcomes[0].begun
    print(f"\n{len(outcomes)} requests in {seconds:.0f} s ({len(outcomes) / seconds:.0f}/s) to {len(pods.all(namespace))} Pods, "
          f"{rollout.steps} steps, {len(rollout.killed)} Pods killed: {len(taken)} requests were with one of those, {len(lost)} others "
          f"failed; at most {most} at once with a Pod, allowed are {slots_max}")
    assert not lost, lost[:5]
    assert len(taken) <= slots_max * len(rollout.killed)
    assert most <= slots_max
    posts = {one.id for one in outcomes if one.plan.method == "POST"}
    assert not [one for one, count in times(pods.all(namespace), "delivered").items() if count > 1 and one in posts]


@pytest.mark.parametrize("seconds", [20, pytest.param(120, marks=pytest.mark.long)])
def test_pods_come_and_go_and_no_request_fails(cluster, namespace, pods, follow, load, model, seconds):
    model(3)
    routers = [follow()]
    wait_served(routers[0], 3)
    rollout = Rollout(cluster, namespace, pods, routers)
    running = load(routers, RATE, CLIENTS, plan=mixed)
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        rollout.round()
    outcomes = end_of(running, pods, namespace)
    assert_only_the_killed_failed(rollout, routers, outcomes, pods, namespace, slots_max=SLOTS)


def test_three_routers_keep_to_three_times_the_slots(cluster, namespace, pods, follow, load, model):
    """Each router counts its own requests."""
    model(3)
    routers = [follow() for _ in range(3)]
    for router in routers:
        wait_served(router, 3)
    rollout = Rollout(cluster, namespace, pods, routers)
    running = load(routers, 2 * RATE, 3 * CLIENTS, plan=mixed)
    rollout.update()
    rollout.kill_one(3)
    rollout.scale(5)
    rollout.scale(2)
    outcomes = end_of(running, pods, namespace)
    assert {one.client % 3 for one in outcomes if one.served} == {0, 1, 2}
    assert_only_the_killed_failed(rollout, routers, outcomes, pods, namespace, slots_max=3 * SLOTS)
    assert concurrent_most(pods, namespace) > SLOTS, "the routers' requests never met at a Pod, so this test has shown nothing"


@pytest.mark.parametrize("first", ["objects", "router"])
def test_who_is_ready_serves(cluster, namespace, follow, load, model, first):
    """No request fails once there is readiness: of the router, which finds all objects, or of Pods that start while it runs."""
    if first == "objects":
        model(3)
        router = follow()
    else:
        router = follow()
        model(3)
        wait_served(router, 3)
    running = load([router], 2000, 20)
    eventually(lambda: len(running.outcomes) >= 1000, "a thousand requests", patience=60)
    outcomes = running.stop()
    assert [(one.status, one.why) for one in outcomes if not one.served] == []


class Changes:
    """Measures how long changes take from the API server's answer until they affect a request."""

    def __init__(self, router):
        self._router = router
        self._took = {}

    def measure(self, what, change, met):
        """`met(answer, client)`: whether the answer shows the change."""
        with self._router.connect() as client:
            assert not met(client.exchange(b"x", method="POST")), f"{what}: also before the change"
            change()
            begun = time.monotonic()
            eventually(lambda: met(client.exchange(b"x", method="POST")), what, patience=20, pause=0)
        self._took.setdefault(what, []).append(time.monotonic() - begun)

    def judge(self):
        """Asserts the best of several repetitions, so that load on the machine does not matter."""
        for what, took in self._took.items():
            print(f"\n{what}: {min(took) * 1000:.0f} to {max(took) * 1000:.0f} ms in {len(took)} times", end="")
        slow = {what: took for what, took in self._took.items() if min(took) > ACTS_WITHIN}
        assert not slow


def test_changes_act_within_a_second(cluster, namespace, follow, model):
    model(1)
    green = {"OnlineDeployment": online_deployment("green", slots=SLOTS, router={"service": {"name": MODEL}})}
    cluster.apply(list(green.values()), namespace)
    router = follow()
    wait_served(router, 1)
    wait_served(router, 1, "green")
    api, changes = cluster.api, Changes(router)

    def split(**traffic):
        return lambda: api.patch(path("onlineendpoints", namespace, ENDPOINT), {"spec": {"traffic": traffic}})

    def delete(plural, name):
        return lambda: api.delete(path(plural, namespace, name))

    def create(plural, described):
        return lambda: api.post(path(plural, namespace), described)

    def served_by(name):
        return lambda answer: (answer.status, answer.headers.get("azureml-model-deployment")) == (200, name)

    for _ in range(REPETITIONS):
        changes.measure("another deployment gets the traffic", split(blue=0, green=100), served_by("green"))
        changes.measure("a deployment is deleted", delete("onlinedeployments", f"{ENDPOINT}-green"), lambda answer: answer.why == "deployment_not_found")
        changes.measure("a deployment is made", create("onlinedeployments", green["OnlineDeployment"]), served_by("green"))
        split(blue=100, green=0)()
        eventually(lambda: router.score(b"x").headers.get("azureml-model-deployment") == "blue", "all requests to reach blue again")
        changes.measure("the key changes", lambda: api.patch(path("secrets", namespace, f"{ENDPOINT}-keys"), {"data": keys("another-key-1")}),
                        lambda answer: answer.why == "unauthorized")
        changes.measure("the key changes back", lambda: api.patch(path("secrets", namespace, f"{ENDPOINT}-keys"), {"data": keys(PRIMARY)}),
                        served_by("blue"))
        changes.measure("an endpoint is deleted", delete("onlineendpoints", ENDPOINT), lambda answer: answer.why == "endpoint_not_found")
        changes.measure("an endpoint is made", create("onlineendpoints", online_endpoint()), served_by("blue"))
    changes.judge()


def test_a_change_of_pods_acts_within_a_second(cluster, namespace, pods, follow, model):
    """Measured from the EndpointSlice's change."""
    [pod] = model(1)
    router = follow()
    wait_served(router, 1)
    took = []
    for ready in [False, True] * REPETITIONS:
        pod.set_ready(ready)
        slices = path("endpointslices", namespace)
        eventually(lambda: [one["conditions"]["ready"] for part in cluster.api.items(slices) for one in part["endpoints"] or []]
                   == [ready], "the EndpointSlice to have the change", patience=20)
        begun = time.monotonic()
        eventually(lambda: deployment_of(router)["replicas_ready"] == int(ready), "the router to have the change", patience=20, pause=0.002)
        took.append(time.monotonic() - begun)
    print(f"\na Pod's readiness: {min(took) * 1000:.0f} to {max(took) * 1000:.0f} ms after its EndpointSlice")
    assert min(took) <= ACTS_WITHIN
