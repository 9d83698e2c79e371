"""The router applies a change of any file as a whole, or refuses it as a whole. Requests do not notice."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import yaml
from support.client import SECONDARY
from support.http import Gone
from support.pod import Held
from support.router import SANITIZED, write_at_once
from support.settings import deployment, endpoint
from support.wait import eventually


@pytest.mark.serial
def test_a_changed_deployment_is_taken_up_within_a_second(pod, start):
    blue, green = pod(name="old"), pod(name="new")
    router = start(endpoint(deployment([blue])))
    assert router.score(b"x").headers.get("x-pod") == "old"
    router.write_endpoint(endpoint(deployment([green])))
    begun = time.monotonic()
    eventually(lambda: router.score(b"x").headers.get("x-pod") == "new", "an answer of the new replica", patience=4)
    assert time.monotonic() - begun < 3  # a second, and the time of the new replica's first probe


def test_a_new_and_a_removed_endpoint_file_are_noticed(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])))
    path = "/api/v1/endpoint/second/score"
    assert router.score(path=path).status == 404
    router.reloaded(lambda: router.write_endpoint(endpoint(deployment([blue]), name="second")))
    eventually(lambda: router.score(path=path).status == 200, "the second endpoint to answer", patience=4)

    def remove():
        for name in ("second.yml", "second-blue.yml"):
            (router.folder / "endpoints" / name).unlink()

    remove()
    eventually(lambda: router.score(path=path).status == 404, "the second endpoint to be removed", patience=4)
    assert router.score(b"x").status == 200


def test_a_broken_file_keeps_the_old_state_and_is_told_with_its_place(pod, start):
    router = start(endpoint(deployment([pod()])))
    generation = router.generation()
    good = (router.folder / "endpoints" / "my-endpoint-blue.yml").read_text()
    lines = good.splitlines()
    place = next(number for number, line in enumerate(lines, 1) if "max_concurrent_requests_per_instance" in line)
    write_at_once(router.folder / "endpoints" / "my-endpoint-blue.yml",
                  good.replace("max_concurrent_requests_per_instance: 1", "max_concurrent_requests_per_instance: many"))
    eventually(lambda: router.metrics().value("configuration_reloads_total", result="refused") >= 1, "the refusal", patience=3)
    eventually(lambda: f"my-endpoint-blue.yml:{place}:" in router.log, "file and line in the log")
    router.expect_logged("max_concurrent_requests_per_instance")
    assert router.generation() == generation
    assert router.metrics().value("configuration_generation") == generation
    assert router.metrics().value("configuration_refused") == 1
    assert router.score(b"x").status == 200
    router.reloaded(lambda: write_at_once(router.folder / "endpoints" / "my-endpoint-blue.yml", good + "description: mended\n"))
    assert router.metrics().value("configuration_reloads_total", result="ok") >= 1 or \
        router.metrics().value("configuration_reloads_total") >= 2
    assert router.metrics().all("configuration_refused") == [({}, 0)]


def test_mending_a_file_that_only_the_refused_configuration_names_is_noticed(pod, start):
    router = start(endpoint(deployment([pod()])))
    file = router.folder / "endpoints" / "my-endpoint.yml"
    key = router.folder / "new" / "place" / "key"
    good = file.read_text()
    refused = router.metrics().value("configuration_reloads_total", result="refused")
    write_at_once(file, good.replace("primary_file:", f"primary_file: {key} #"))
    eventually(lambda: router.metrics().value("configuration_reloads_total", result="refused") > refused, "the refusal", patience=3)
    assert router.score(b"x").status == 200

    def mend():
        key.parent.mkdir(parents=True)
        write_at_once(key, "a-key-that-was-missing\n")

    router.reloaded(mend)
    assert router.score(b"x", key="a-key-that-was-missing").status == 200
    assert router.score(b"x").why == "unauthorized"


@pytest.mark.parametrize("how", ["SIGHUP", "POST /reload"])
def test_a_reload_on_demand_counts_a_generation(pod, start, how):
    router = start(endpoint(deployment([pod()])))

    def reload():
        if how == "SIGHUP":
            router.signal(signal.SIGHUP)
        else:
            status, _ = router.admin("/reload", "POST")
            assert status in (200, 202, 204)

    router.reloaded(reload)
    assert router.score(b"x").status == 200


def test_a_reload_on_demand_of_a_broken_file_says_what_is_wrong(pod, start):
    router = start(endpoint(deployment([pod()])))
    write_at_once(router.folder / "endpoints" / "my-endpoint.yml", "name: my-endpoint\nunknown_key: 1\n")
    status, text = router.admin("/reload", "POST")
    assert status >= 400
    assert "my-endpoint.yml:2" in text and "unknown_key" in text


def test_limits_act_on_the_next_request_without_restart(pod, start):
    blue = pod(lambda exchange: exchange.wait_for_close())
    router = start(endpoint(deployment([blue], request_timeout_ms=60000)))
    router.reloaded(lambda: router.write_endpoint(endpoint(deployment([blue], request_timeout_ms=150))))
    assert router.score(b"x").why == "upstream_timeout"


def test_a_waiting_request_is_bound_to_a_replica_of_the_newest_table(pod, start):
    hold = Held()
    old, new = pod(hold, name="old"), pod(name="new")
    patient = {"max_queue_wait_ms": 60000, "request_timeout_ms": 60000}
    router = start(endpoint(deployment([old], **patient)))
    running = router.start_request(b"1")
    eventually(lambda: old.concurrent == 1, "the first request to run")
    waiting = router.start_request(b"2")
    eventually(lambda: router.queue_length() == 1, "the second request to wait")
    router.write_endpoint(endpoint(deployment([new], **patient)))
    assert waiting.response().headers.get("x-pod") == "new"
    hold.release.set()
    assert running.response().status == 200  # a removed replica finishes the requests that it has
    running.close(), waiting.close()


def test_requests_that_wait_at_a_removed_deployment_are_answered(pod, start):
    hold = Held()
    blue = pod(hold)
    router = start(endpoint(deployment([blue], max_queue_wait_ms=60000, request_timeout_ms=60000), deployment([pod()], name="green")))
    running = router.start_request(b"1")
    eventually(lambda: blue.concurrent == 1, "the first request to run")
    waiting = router.start_request(b"2")
    eventually(lambda: router.queue_length() == 1, "the second request to wait")
    router.write_endpoint(endpoint(traffic={"green": 100}))
    (router.folder / "endpoints" / "my-endpoint-blue.yml").unlink()
    answer = waiting.response()
    assert (answer.status, answer.why) == (404, "deployment_not_found")
    hold.release.set()
    assert running.response().status == 200
    running.close(), waiting.close()


class Generations:
    """Each generation changes key, pod, tag and certificate together, in one step of router.yaml. The previous key stays valid as the
    secondary one. The tag is a part of the scoring route: the pod echoes it and adds its own name."""

    LAST = 50

    def __init__(self, stage, authority):
        self.keys = [f"the-key-of-generation-{number:04}" for number in range(self.LAST + 2)]
        self.pods = [stage.pod(self._echo, name=f"pod-{number}") for number in range(4)]
        self.certificates = [authority.issue("router.test") for _ in range(self.LAST + 1)]
        self.serials = [int(one.serial(), 16) for one in self.certificates]
        self.current = 0  # the newest generation that is known to be active

    @staticmethod
    def _echo(exchange):
        exchange.body()
        exchange.answer(200, exchange.request.target.encode(), {"x-pod": exchange.pod.name})

    def describe(self, number):
        keys = (self.keys[number], self.keys[number - 1] if number else SECONDARY)
        return endpoint(deployment([self.pods[number % 4]], slots=0, route=f"/tag-{number}", max_queue_wait_ms=20000), keys=keys)

    @staticmethod
    def number_of(answer):
        assert answer.body.startswith(b"/tag-"), f"not an answer of these pods: {answer.status} {answer.headers} {answer.body!r}"
        return int(answer.body.decode().rpartition("-")[2])

    def is_whole(self, answer, key):
        """Whether tag, pod and key belong to one generation. The key may also be the previous one, which is still the secondary key."""
        number = self.number_of(answer)
        return answer.headers.get("x-pod") == f"pod-{number % 4}" and key in (self.keys[number], self.keys[number - 1])

    def newest_is_served(self, router, number):
        """Whether a new connection gets the new certificate, and its request with the new key gets an answer from the new pod with the new
        tag."""
        with router.connect() as client:
            serial = int(client.socket.getpeercert()["serialNumber"], 16)
            answer = client.exchange(b"probe", key=self.keys[number])
        if answer.status == 401:
            return False
        assert answer.status == 200 and self.is_whole(answer, self.keys[number]), f"{answer.status} {answer.headers} {answer.body!r}"
        return self.number_of(answer) == number and serial == self.serials[number]


class SteadyLoad:
    """Clients on connections that they keep. Each sends on a fixed schedule, and catches up if it was delayed. One more client always uses
    the key of the next generation, so it uses each new key as soon as it becomes valid."""

    CLIENTS = 12
    PERIOD = 0.05  # seconds between two requests of one client: 240 requests a second together
    RATE_MIN = 200

    def __init__(self, router, generations):
        self._router, self._generations = router, generations
        self._done, self._lock = threading.Event(), threading.Lock()
        self.failures, self.mixed, self.seen = [], [], set()
        self.answered = self.eager_answered = 0
        self._begun = time.monotonic()
        self._pool = ThreadPoolExecutor(self.CLIENTS + 1)
        self._running = [self._pool.submit(self._keep_asking, number) for number in range(self.CLIENTS)]
        self._running.append(self._pool.submit(self._be_early))

    def end(self):
        """Ends the load. Returns the rate of answered requests a second, over the whole time."""
        self._done.set()
        for one in self._running:
            one.result()
        self._pool.shutdown()
        return self.answered / (time.monotonic() - self._begun)

    def _keep_asking(self, number):
        with self._router.connect() as client:
            due = self._begun + self.PERIOD * number / self.CLIENTS
            while not self._done.wait(max(0.0, due - time.monotonic())):
                due += self.PERIOD
                key = self._generations.keys[self._generations.current]
                if not self._ask(client, key):
                    return
                with self._lock:
                    self.answered += 1

    def _be_early(self):
        with self._router.connect() as client:
            while not self._done.wait(0.005):
                key = self._generations.keys[self._generations.current + 1]
                if not self._ask(client, key, early=True):
                    return
                self.eager_answered += 1

    def _ask(self, client, key, early=False):
        try:
            answer = client.exchange(b"load", key=key)
        except (Gone, OSError) as error:
            self.failures.append(repr(error))
            return False
        if answer.status == 200:
            self.seen.add(self._generations.number_of(answer))
            if not self._generations.is_whole(answer, key):
                self.mixed.append((key, answer.headers.get("x-pod"), answer.body))
        elif not (early and answer.status == 401):
            self.failures.append((answer.status, answer.why, key))
        return True


def refused(router, change, told):
    """Runs `change`, which is refused and counted. The log has `told`, a file and a line; the active configuration stays."""
    before, generation = router.metrics().value("configuration_reloads_total", result="refused"), router.generation()
    change()
    eventually(lambda: router.metrics().value("configuration_reloads_total", result="refused") > before, "the refusal")
    eventually(lambda: told in router.log, "file and line in the log")
    assert router.generation() == generation


def break_and_mend(router, folder):
    """Adds a bad file and removes it. Then makes a used file bad and repairs it."""
    fresh, used = folder / "broken.yml", folder / "blue.yml"
    refused(router, lambda: write_at_once(fresh, "name: the-endpoint\ntags: [\n"), f"{fresh}:2: ")
    router.reloaded(fresh.unlink)
    good = used.read_text()
    line = next(number for number, line in enumerate(good.splitlines(), 1) if "max_queue_wait_ms" in line)
    bad = good.replace("max_queue_wait_ms: ", "max_queue_wait_ms: no")
    refused(router, lambda: write_at_once(used, bad), f"{used}:{line}: request_settings.max_queue_wait_ms")
    router.reloaded(lambda: write_at_once(used, good))


@pytest.mark.serial
@pytest.mark.long
def test_fifty_generations_under_load_lose_and_mix_nothing(stage, start, authority):
    generations = Generations(stage, authority)
    router = start(generations.describe(0), tls={"certificates": [generations.certificates[0].as_dict()]})
    router.client_context = authority.client_context()
    assert generations.newest_is_served(router, 0)
    load = SteadyLoad(router, generations)
    try:
        for number in range(1, generations.LAST + 1):
            folder = swap(router, generations.describe(number), generations.certificates[number])
            eventually(lambda: generations.newest_is_served(router, number), f"generation {number}")  # noqa: B023
            generations.current = number
            eventually(lambda: load.failures or number in load.seen, f"the load to meet generation {number}")  # noqa: B023
            assert load.failures == []
            if number % 10 == 5:
                break_and_mend(router, folder)
                assert generations.newest_is_served(router, number)
    finally:
        rate = load.end()
    assert load.failures == []
    assert load.mixed == []
    assert load.seen == set(range(generations.LAST + 1))
    assert load.eager_answered > generations.LAST
    assert router.metrics().value("configuration_reloads_total", result="refused") >= 10
    assert rate >= 0.9 * load.RATE_MIN or SANITIZED, f"{rate:.0f} requests a second"


@pytest.mark.long
def test_route_key_and_replica_change_together_never_apart(pod, start):
    """Each pod answers with the route of the request. Route and key belong to one generation, so the pod must belong to it too."""
    pods = [pod(lambda exchange, name=name: exchange.answer(200, exchange.request.target.encode(), {"x-pod": name}), name=name)
            for name in ("even", "odd")]
    keys = ["the-key-of-even-generations", "the-key-of-odd-generations"]

    def describe(number):
        return endpoint(deployment([pods[number % 2]], slots=0, route=f"/route-of-{pods[number % 2].name}", max_queue_wait_ms=20000),
                        keys=[keys[number % 2]])

    router = start(describe(0))
    done, failed, mixed, seen = threading.Event(), [], [], set()

    def ask(number):
        name = pods[number].name
        with router.connect() as client:
            while not done.is_set():
                answer = client.exchange(b"x", key=keys[number])
                if answer.status == 401:
                    continue
                seen.add(name)
                told = (answer.headers.get("x-pod"), answer.body.decode())
                if answer.status != 200:
                    failed.append((answer.status, answer.why))
                elif told != (name, f"/route-of-{name}"):
                    mixed.append((name, told))

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, number % 2) for number in range(4)]
        for number in range(1, 11):
            router.reloaded(lambda: swap(router, describe(number)))  # noqa: B023
            eventually(lambda: router.deployments()[0]["replicas_ready"] == 1, "the replica to be ready", pause=0.02)
        done.set()
        for one in asking:
            one.result()
    assert seen == {"even", "odd"}
    assert mixed == []
    assert failed == []


def swap(router, described, certificate=None):
    """Writes a whole new folder of endpoint files and keys. Then changes router.yaml to use it, and `certificate`, in one step. Returns the
    folder of the endpoint files."""
    count = len(list(router.folder.glob("set-*")))
    target = router.folder / f"set-{count}"
    (target / "endpoints").mkdir(parents=True)
    files = {}
    for kind, key in zip(("primary", "secondary"), described["keys"]):
        (target / kind).write_text(key + "\n")
        files[f"{kind}_file"] = f"../{kind}"
    whole = {**described["endpoint"], "router": {"keys": files}}
    (target / "endpoints" / "endpoint.yml").write_text(yaml.dump(whole))
    for one in described["deployments"]:
        (target / "endpoints" / f"{one['name']}.yml").write_text(yaml.dump(one))
    router.settings["endpoints"] = [f"set-{count}/endpoints/*.yml"]
    if certificate:
        router.settings["listeners"][0]["tls"] = {"certificates": [certificate.as_dict()]}
    write_at_once(router.config_file, yaml.dump(router.settings))
    return target / "endpoints"
