"""A change of any file is taken up whole, or refused whole; requests do not notice."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.client import PRIMARY, SECONDARY
from support import yaml
from support.http import Gone
from support.router import write_at_once
from support.settings import deployment, endpoint
from support.wait import eventually


def test_a_changed_deployment_is_taken_up_within_a_second(pod, start):
    blue, green = pod(name="old"), pod(name="new")
    router = start(endpoint(deployment([blue])))
    assert router.score(b"x").headers.get("x-pod") == "old"
    router.write_endpoint(endpoint(deployment([green])))
    begun = time.monotonic()
    eventually(lambda: router.score(b"x").headers.get("x-pod") == "new", "the new replica", patience=4)
    assert time.monotonic() - begun < 3  # a second, and the new replica's first probe


def test_a_new_and_a_removed_endpoint_file_are_noticed(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])))
    path = "/api/v1/endpoint/second/score"
    assert router.score(path=path).status == 404
    router.reloaded(lambda: router.write_endpoint(endpoint(deployment([blue]), name="second")))
    eventually(lambda: router.score(path=path).status == 200, "the second endpoint", patience=4)

    def remove():
        for name in ("second.yml", "second-blue.yml"):
            (router.folder / "endpoints" / name).unlink()

    remove()
    eventually(lambda: router.score(path=path).status == 404, "it to be gone", patience=4)
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
    assert "max_concurrent_requests_per_instance" in router.log
    assert router.generation() == generation
    assert router.metrics().value("configuration_generation") == generation
    assert router.score(b"x").status == 200
    router.reloaded(lambda: write_at_once(router.folder / "endpoints" / "my-endpoint-blue.yml", good + "description: mended\n"))
    assert router.metrics().value("configuration_reloads_total", result="ok") >= 1 or \
        router.metrics().value("configuration_reloads_total") >= 2


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
    release = threading.Event()

    def hold(exchange):
        exchange.body()
        exchange.wait(release)
        exchange.answer()

    old, new = pod(hold, name="old"), pod(name="new")
    patient = {"max_queue_wait_ms": 60000, "request_timeout_ms": 60000}
    router = start(endpoint(deployment([old], **patient)))
    running = router.start_request(b"1")
    eventually(lambda: old.concurrent == 1, "the first")
    waiting = router.start_request(b"2")
    eventually(lambda: router.queue_length() == 1, "the second")
    router.write_endpoint(endpoint(deployment([new], **patient)))
    assert waiting.response().headers.get("x-pod") == "new"
    release.set()
    assert running.response().status == 200  # a removed replica keeps what it has
    running.close(), waiting.close()


def test_requests_that_wait_at_a_removed_deployment_are_answered(pod, start):
    release = threading.Event()

    def hold(exchange):
        exchange.body()
        exchange.wait(release)
        exchange.answer()

    blue = pod(hold)
    router = start(endpoint(deployment([blue], max_queue_wait_ms=60000, request_timeout_ms=60000), deployment([pod()], name="green")))
    running = router.start_request(b"1")
    eventually(lambda: blue.concurrent == 1, "the first")
    waiting = router.start_request(b"2")
    eventually(lambda: router.queue_length() == 1, "the second")
    router.write_endpoint(endpoint(traffic={"green": 100}))
    (router.folder / "endpoints" / "my-endpoint-blue.yml").unlink()
    answer = waiting.response()
    assert (answer.status, answer.why) == (404, "deployment_not_found")
    release.set()
    assert running.response().status == 200
    running.close(), waiting.close()


class Generations:
    """Each generation changes key, pod and the pod's tag together; the old key stays valid as the secondary one."""

    def __init__(self, stage, count):
        self.keys = [f"the-key-of-generation-{number:04}" for number in range(count + 2)]
        self.pods = [stage.pod(self._tagged(tag), name=f"tag-{tag}") for tag in range(4)]
        self.current = 0

    @staticmethod
    def _tagged(tag):
        """Tells its own tag, and the route on which it was asked."""
        return lambda exchange: exchange.answer(200, exchange.request.target.encode(), {"x-pod": f"tag-{tag}"})

    def describe(self, number):
        pod = self.pods[number % 4]
        keys = (self.keys[number], self.keys[number - 1] if number else SECONDARY)
        return endpoint(deployment([pod], slots=0, route=f"/generation-{number}", max_queue_wait_ms=20000), keys=keys,
                        tags={"tag": f"tag-{number % 4}"})

    def is_whole(self, answer, key):
        """Route, pod and key are of one generation; the key may also be the one before, which is still the secondary."""
        route = int(answer.body.decode().rpartition("-")[2])
        return answer.headers.get("x-pod") == f"tag-{route % 4}" and key in (self.keys[route], self.keys[route - 1])


@pytest.mark.long
def test_fifty_generations_under_load_lose_and_mix_nothing(stage, start, authority):
    generations = Generations(stage, 50)
    live = authority.issue("router.test")
    spare = [authority.issue("router.test") for _ in range(2)]
    tls = {"certificates": [live.as_dict()]}
    router = start(generations.describe(0), tls=tls)
    router.client_context = authority.client_context()
    done, lock = threading.Event(), threading.Lock()
    failures, mixed, answered, tags = [], [], [0], set()

    def load(_):
        """One client on a connection that it keeps: twenty requests a second, always with the key that was newest as it began."""
        with router.connect() as client:
            while not done.is_set():
                key = generations.keys[generations.current]
                try:
                    answer = client.exchange(b"load", key=key)
                except (Gone, OSError) as error:
                    failures.append(repr(error))
                    return
                with lock:
                    answered[0] += 1
                    tags.add(answer.headers.get("x-pod"))
                    if answer.status != 200:
                        failures.append((answer.status, answer.why, key))
                    elif not generations.is_whole(answer, key):
                        mixed.append((key, answer.headers.get("x-pod"), answer.body))
                done.wait(0.05)

    with ThreadPoolExecutor(10) as pool:
        loads = [pool.submit(load, number) for number in range(10)]
        for number in range(1, 51):
            before = router.generation()
            described = generations.describe(number)
            if number % 10 == 5:  # a broken file among them
                refused = router.metrics().value("configuration_reloads_total", result="refused")
                write_at_once(router.folder / "endpoints" / "broken.yml", "name: [\n")
                eventually(lambda: router.metrics().value("configuration_reloads_total", result="refused") > refused,  # noqa: B023
                           "the refusal")
                assert "broken.yml:" in router.log
                (router.folder / "endpoints" / "broken.yml").unlink()
            router.write_endpoint(described)
            live.replace_with(spare[number % 2])
            eventually(lambda: router.generation() > before, "the generation", patience=5)  # noqa: B023
            eventually(lambda: newest_is_in_force(router, generations, number), "the newest key", patience=5)  # noqa: B023
            generations.current = number
        done.set()
        for one in loads:
            one.result()
    assert failures == []
    assert mixed == []
    assert answered[0] > 200
    assert len(tags) == 4
    assert "broken.yml:" in router.log


def newest_is_in_force(router, generations, number):
    answer = router.score(b"probe", key=generations.keys[number])
    if answer.status == 401:
        return False
    assert answer.status == 200
    return answer.headers.get("x-pod") == f"tag-{number % 4}"


@pytest.mark.long
def test_route_key_and_replica_change_together_never_apart(pod, start):
    """Each pod tells the route it was asked on; route and key fix the generation, so the pod must be that generation's too."""
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


def swap(router, described):
    """Writes a whole new folder of endpoint files and keys, then points router.yaml at it in one step."""
    count = len(list(router.folder.glob("set-*")))
    target = router.folder / f"set-{count}"
    (target / "endpoints").mkdir(parents=True)
    (target / "key").write_text(described["keys"][0] + "\n")
    whole = dict(described["endpoint"])
    whole["router"] = {"keys": {"primary_file": "../key"}}
    (target / "endpoints" / "endpoint.yml").write_text(yaml.dump(whole))
    for one in described["deployments"]:
        (target / "endpoints" / f"{one['name']}.yml").write_text(yaml.dump(one))
    router.settings["endpoints"] = [f"set-{count}/endpoints/*.yml"]
    write_at_once(router.config_file, yaml.dump(router.settings))


def test_what_cannot_change_without_restart_is_refused_by_name(pod, start):
    router = start(endpoint(deployment([pod()])))
    router.settings["threads"] = 1
    router.write()
    eventually(lambda: router.metrics().value("configuration_reloads_total", result="refused") >= 1, "the refusal", patience=3)
    eventually(lambda: "threads" in router.log, "the name of the setting")
    assert router.score(b"x", key=PRIMARY).status == 200
