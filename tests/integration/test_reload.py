"""A change of any file is taken up whole, or refused whole; requests do not notice."""

import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import yaml
from support.client import PRIMARY, SECONDARY, Client, request
from support.http import Gone, Reader
from support.pod import Held
from support.ports import ReservedPort
from support.router import SANITIZED, is_listening, write_at_once
from support.settings import deployment, endpoint
from support.wait import eventually


@pytest.mark.serial
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
    router.tells("max_concurrent_requests_per_instance")
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
    eventually(lambda: old.concurrent == 1, "the first")
    waiting = router.start_request(b"2")
    eventually(lambda: router.queue_length() == 1, "the second")
    router.write_endpoint(endpoint(deployment([new], **patient)))
    assert waiting.response().headers.get("x-pod") == "new"
    hold.release.set()
    assert running.response().status == 200  # a removed replica keeps what it has
    running.close(), waiting.close()


def test_requests_that_wait_at_a_removed_deployment_are_answered(pod, start):
    hold = Held()
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
    hold.release.set()
    assert running.response().status == 200
    running.close(), waiting.close()


class Generations:
    """Each generation changes key, pod, tag and certificate together, in one step of router.yaml; the key before stays valid as the
    secondary one. The tag is a part of the scoring route: the pod echoes it, beside its own name."""

    LAST = 50

    def __init__(self, stage, authority):
        self.keys = [f"the-key-of-generation-{number:04}" for number in range(self.LAST + 2)]
        self.pods = [stage.pod(self._echo, name=f"pod-{number}") for number in range(4)]
        self.certificates = [authority.issue("router.test") for _ in range(self.LAST + 1)]
        self.serials = [int(one.serial(), 16) for one in self.certificates]
        self.current = 0  # the newest that is known to be in force

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
        """Tag, pod and key are of one generation; the key may also be the one before, which is still the secondary."""
        number = self.number_of(answer)
        return answer.headers.get("x-pod") == f"pod-{number % 4}" and key in (self.keys[number], self.keys[number - 1])

    def newest_is_served(self, router, number):
        """To one new handshake with the new certificate, by the new key, from the new pod with the new tag."""
        with router.connect() as client:
            serial = int(client.socket.getpeercert()["serialNumber"], 16)
            answer = client.exchange(b"probe", key=self.keys[number])
        if answer.status == 401:
            return False
        assert answer.status == 200 and self.is_whole(answer, self.keys[number]), f"{answer.status} {answer.headers} {answer.body!r}"
        return self.number_of(answer) == number and serial == self.serials[number]


class SteadyLoad:
    """Clients on connections that they keep, each at its pace by the clock: who was held up makes up for it. One more client asks
    with the key of the generation to come, and so meets each at its first moment."""

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
        """Answered requests a second, over the whole time."""
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
    """`change` is refused and counted; the log has `told`, a file and a line; what was in force stays."""
    before, generation = router.metrics().value("configuration_reloads_total", result="refused"), router.generation()
    change()
    eventually(lambda: router.metrics().value("configuration_reloads_total", result="refused") > before, "the refusal")
    eventually(lambda: told in router.log, "file and line in the log")
    assert router.generation() == generation


def break_and_mend(router, folder):
    """A new file that is bad; then one in use is made bad, and mended again."""
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


def swap(router, described, certificate=None):
    """Writes a whole new folder of endpoint files and keys, then points router.yaml at it, and at `certificate`, in one step.
    Returns the folder of the endpoint files."""
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


# What concerns the process


def write_settings(router, **settings):
    router.settings.update(settings)
    write_at_once(router.config_file, yaml.dump(router.settings))


def take_up(router, **settings):
    """Writes router.yaml and has it read; it must be accepted."""
    write_settings(router, **settings)
    status, text = router.admin("/reload", "POST")
    assert status == 200, text


def refusal(router, code=None, **settings):
    """Writes router.yaml and has it read; it must be refused. What is told, and router.yaml's lines by number; the settings of
    before stand in `router.settings` again."""
    before = dict(router.settings)
    generation = router.generation()
    write_settings(router, **settings)
    lines = router.config_file.read_text().splitlines()
    status, text = router.admin("/reload", "POST")
    assert status == (code or 422), text
    assert router.generation() == generation
    router.settings = before
    return json.loads(text)["error"]["mistakes"], lines


def line_of(lines, part):
    return next(number for number, line in enumerate(lines, 1) if part in line)


def plain(port, address="127.0.0.1", **others):
    return {"address": address, "port": port, **others}


@pytest.fixture
def ports():
    """Free ports, as many as are asked for."""
    reserved = []

    def take():
        reserved.append(ReservedPort())
        return reserved[-1].port

    yield take
    for one in reserved:
        one.close()


def asks(port, **options):
    """One request on a connection of its own to this port."""
    with Client(port, **options) as client:
        return client.exchange(b"x")


def ticket_of(router, context):
    with router.connect(tls=context, server_name="router.test") as client:
        assert client.exchange(b"x").status == 200
        return client.socket.session


def resumes(router, context, session):
    with router.connect(tls=context, server_name="router.test", session=session) as client:
        assert client.exchange(b"x").status == 200
        return client.socket.session_reused


def test_changed_ticket_keys_are_in_force_and_old_tickets_last_as_long_as_their_key(pod, start, authority, tmp_path):
    files = [tmp_path / "first.key", tmp_path / "second.key"]
    old, new, third = (os.urandom(80) for _ in range(3))
    files[0].write_bytes(old)
    files[1].write_bytes(old)
    tls = {"certificates": [authority.issue("router.test").as_dict()], "ticket_key_files": [str(file) for file in files]}
    router = start(endpoint(deployment([pod()], slots=0)), tls=tls)
    context = authority.client_context()
    with router.connect(tls=context, server_name="router.test") as running:
        assert running.exchange(b"x").status == 200
        session = ticket_of(router, context)
        assert resumes(router, context, session)

        def exchange(file, key):
            fresh = file.with_suffix(".new")
            fresh.write_bytes(key)
            fresh.replace(file)

        router.reloaded(lambda: exchange(files[0], new))
        assert all(resumes(router, context, session) for _ in range(4)), "its key is still the second file's"
        newest = ticket_of(router, context)
        router.reloaded(lambda: exchange(files[1], third))
        assert not any(resumes(router, context, session) for _ in range(4)), "on no shard: its key is gone"
        assert all(resumes(router, context, newest) for _ in range(4)), "the new first file's key had made it"
        assert running.exchange(b"y").status == 200


def test_a_broken_ticket_key_is_refused_with_its_place_and_the_old_one_stays(pod, start, authority, tmp_path):
    file = tmp_path / "ticket.key"
    file.write_bytes(os.urandom(80))
    tls = {"certificates": [authority.issue("router.test").as_dict()], "ticket_key_files": [str(file)]}
    router = start(endpoint(deployment([pod()])), tls=tls)
    context = authority.client_context()
    session = ticket_of(router, context)
    generation = router.generation()
    line = line_of(router.config_file.read_text().splitlines(), str(file))
    write_at_once(file, "short")
    eventually(lambda: router.metrics().value("configuration_reloads_total", result="refused") >= 1, "the refusal", patience=4)
    place = f"{router.config_file}:{line}: listeners[0].tls.ticket_key_files[0]: {file}: "
    eventually(lambda: place + "a ticket key is 80 random bytes" in router.log, "the place in the log")
    assert router.generation() == generation
    assert resumes(router, context, session)


def test_every_bad_certificate_of_a_new_listener_is_told_with_its_place(pod, start, authority, ports):
    router = start(endpoint(deployment([pod()])))
    first, second = authority.issue("router.test"), authority.issue("other.test")
    for pair in (first, second):
        write_at_once(pair.certificate, "nonsense")
    write_at_once(second.key, "nonsense")
    added = {"address": "127.0.0.1", "port": ports(), "tls": {"certificates": [first.as_dict(), second.as_dict()]}}
    told, lines = refusal(router, listeners=[*router.settings["listeners"], added])
    expected = [(0, "certificate_file", first.certificate), (1, "certificate_file", second.certificate), (1, "key_file", second.key)]
    assert len(told) == len(expected)
    for index, key, file in expected:
        start_of_line = (f"{router.config_file}:{line_of(lines, str(file))}: "
                         f"listeners[1].tls.certificates[{index}].{key}: {file}: ")
        assert any(one.startswith(start_of_line) for one in told), (start_of_line, told)


def test_level_and_file_of_the_log_change_while_the_router_runs(pod, start, tmp_path):
    router = start(endpoint(deployment([pod()])))
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    take_up(router, log={"file": str(first)})
    router.reloaded(lambda: router.admin("/reload", "POST"))
    assert "generation" in eventually(lambda: first.read_text(), "something in the log")
    take_up(router, log={"file": str(second), "level": "error"})
    router.reloaded(lambda: router.admin("/reload", "POST"))
    refusal(router, threads="many")
    told = eventually(lambda: second.read_text(), "the error")
    assert "threads" in told and " info " not in told
    assert "threads" not in first.read_text()


def test_a_log_file_that_cannot_be_opened_is_refused_with_its_place(pod, start, tmp_path):
    router = start(endpoint(deployment([pod()])))
    told, lines = refusal(router, 409, log={"file": str(tmp_path)}, access_log="/nowhere/at/all")
    assert len(told) == 2
    place = f"{router.config_file}:{line_of(lines, 'file:')}: log.file: "
    assert any(one.startswith(place) and str(tmp_path) in one for one in told), told
    place = f"{router.config_file}:{line_of(lines, 'access_log')}: access_log: "
    assert any(one.startswith(place) and "/nowhere/at/all" in one for one in told), told
    router.score(b"x")
    assert len(router.access_lines(1)) == 1, "the access log stays"


def test_the_access_log_goes_elsewhere_and_off_and_on_again(pod, start, tmp_path):
    router = start(endpoint(deployment([pod()])))
    with router.connect() as client:
        def log_of_next_request(file, **settings):
            take_up(router, **settings)
            router.access_log_file = file

            def arrives():
                assert client.exchange(b"x").status == 200
                return file is None or file.exists() and file.read_text()
            eventually(arrives, f"a line in {file}", pause=0.05)

        client.exchange(b"x")
        first = router.access_log_file
        router.access_lines(1)
        log_of_next_request(tmp_path / "second.log", access_log=str(tmp_path / "second.log"))
        router.settings.pop("access_log")
        log_of_next_request(None)
        lines = [file.read_text().count("\n") for file in (first, tmp_path / "second.log")]
        log_of_next_request(tmp_path / "third.log", access_log=str(tmp_path / "third.log"))
        take_up(router, access_log="stdout")
        eventually(lambda: client.exchange(b"x").status == 200 and router.output, "a line on standard output", pause=0.05)
    assert json.loads(router.output.splitlines()[0])["ResponseCode"] == 200
    assert first.read_text().count("\n") == lines[0]
    assert router.metrics().value("access_log_dropped_total") == 0


def test_an_exchange_is_logged_where_it_was_begun(pod, start, tmp_path):
    hold = Held()
    blue = pod(hold)
    router = start(endpoint(deployment([blue], request_timeout_ms=60000)))
    running = router.start_request(b"x")
    eventually(lambda: blue.concurrent == 1, "the request")
    take_up(router, access_log=str(tmp_path / "second.log"))
    hold.release.set()
    assert running.response().status == 200
    running.close()
    assert router.access_lines(1)[0]["ResponseCode"] == 200
    assert (tmp_path / "second.log").read_text() == ""


def test_a_listener_is_opened_and_closed_while_the_router_runs(pod, start, ports):
    router = start(endpoint(deployment([pod()], slots=0)))
    first, second = router.port, ports()
    with Client(first) as kept, Client(first) as silent:
        assert kept.exchange(b"x").headers.get("connection") is None
        take_up(router, listeners=[plain(second)])
        assert asks(second).status == 200
        eventually(lambda: not is_listening(first), "the old listener to be closed")
        for client in (kept, silent):
            last = client.exchange(b"y")
            assert (last.status, last.headers.get("connection")) == (200, "close")
            assert client.is_closed()
    take_up(router, listeners=[plain(first), plain(second)])
    assert asks(first).status == asks(second).status == 200


def test_a_request_that_runs_when_its_listener_closes_is_finished(pod, start, ports):
    hold = Held()
    blue = pod(hold)
    router = start(endpoint(deployment([blue], request_timeout_ms=60000)))
    running = router.start_request(b"x")
    eventually(lambda: blue.concurrent == 1, "the request")
    old = router.port
    take_up(router, listeners=[plain(ports())])
    eventually(lambda: not is_listening(old), "the listener to be closed")
    hold.release.set()
    answer = running.response()
    assert (answer.status, answer.headers.get("connection")) == (200, "close")
    running.close()


def test_a_listener_moves_between_addresses_of_one_port(pod, start):
    router = start(endpoint(deployment([pod()], slots=0)))
    for address in ("0.0.0.0", "127.0.0.1", "0.0.0.0"):
        take_up(router, listeners=[plain(router.port, address)])
        assert asks(router.port).status == 200


def test_a_listener_that_comes_back_at_once_is_open(pod, start, ports):
    router = start(endpoint(deployment([pod()], slots=0)))
    first, second = router.port, ports()
    for _ in range(10):
        take_up(router, listeners=[plain(second)])
        take_up(router, listeners=[plain(first), plain(second)])
        assert asks(first).status == asks(second).status == 200


def test_a_listener_switches_to_tls_and_back_and_its_connections_go_on(pod, start, authority):
    router = start(endpoint(deployment([pod()], slots=0)))
    context = authority.client_context()
    secure = {"tls": context, "server_name": "router.test"}

    def speaks(**options):
        try:
            return asks(router.port, **options).status == 200
        except (Gone, OSError):
            return False

    with Client(router.port) as before:
        assert before.exchange(b"x").status == 200
        take_up(router, listeners=[plain(router.port, tls={"certificates": [authority.issue("router.test").as_dict()]})])
        eventually(lambda: speaks(**secure), "TLS")
        answer = before.exchange(b"x")
        assert (answer.status, answer.headers.get("connection")) == (200, None)
        with Client(router.port, **secure) as between:
            assert between.exchange(b"x").status == 200
            take_up(router, listeners=[plain(router.port)])
            eventually(speaks, "plaintext")
            assert between.exchange(b"x").status == before.exchange(b"x").status == 200


def test_a_listener_that_cannot_be_opened_refuses_the_whole_change(pod, start, ports):
    router = start(endpoint(deployment([pod()])))
    free, other = ports(), ports()
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as observe:
        port, observe_port = taken.getsockname()[1], observe.getsockname()[1]
        told, lines = refusal(router, 409, listeners=[plain(free), plain(port)], observe={"address": f"127.0.0.1:{observe_port}"},
                              admin={"address": f"127.0.0.1:{other}"})
    assert len(told) == 2
    assert told[0].startswith(f"{router.config_file}:{line_of(lines, str(port)) - 1}: listeners[1]: cannot listen on 127.0.0.1:{port}")
    assert told[1].startswith(f"{router.config_file}:{line_of(lines, str(observe_port))}: observe.address: cannot listen on ")
    assert router.score(b"x").status == 200
    assert not is_listening(free) and not is_listening(other)
    take_up(router, listeners=[plain(router.port), plain(free)])
    assert asks(free).status == 200


def test_listeners_do_not_change_while_the_router_drains(pod, start, ports):
    router = start(endpoint(deployment([pod()])), drain_delay_ms=3000)
    router.signal(signal.SIGTERM)
    eventually(lambda: router.status()["draining"], "the drain")
    told, _ = refusal(router, 409, listeners=[plain(ports())])
    assert "drains" in told[0]
    assert router.wait_exit() == 0


def test_the_operators_listeners_move_and_whoever_asked_is_answered(pod, start, ports):
    router = start(endpoint(deployment([pod()])))
    old = (router.observe_port, router.admin_port)
    observe, admin = ports(), ports()
    with Client(old[0]) as kept:
        kept.send(request(method="GET", path="/healthz"))
        assert kept.response().status == 200
        take_up(router, observe={"address": f"127.0.0.1:{observe}"}, admin={"address": f"127.0.0.1:{admin}"})
        assert not any(map(is_listening, old))
        kept.send(request(method="GET", path="/healthz"))
        last = kept.response()
        assert (last.status, last.headers.get("connection")) == (200, "close")
    router.observe_port, router.admin_port = observe, admin
    assert router.observe("/readyz")[0] == 200


def test_the_operators_listeners_move_between_addresses_of_their_ports_and_exchange_them(pod, start):
    router = start(endpoint(deployment([pod()])))
    observe, admin = router.observe_port, router.admin_port
    told, _ = refusal(router, admin={"address": f"0.0.0.0:{admin}"})
    assert "admin.address" in told[0] and "unsafe" in told[0]
    take_up(router, observe={"address": f"0.0.0.0:{observe}"}, admin={"address": f"0.0.0.0:{admin}", "unsafe": True})
    assert router.observe("/readyz")[0] == 200
    take_up(router, observe={"address": f"127.0.0.1:{admin}"}, admin={"address": f"127.0.0.1:{observe}"})
    router.observe_port, router.admin_port = admin, observe
    assert router.observe("/readyz")[0] == 200
    take_up(router)


class Visitors:
    """Clients that keep their connections and clients that make a new one for each request, on whichever listeners are open."""

    def __init__(self, context, open_now):
        self.context, self.open_now = context, open_now  # (port, speaks TLS)
        self.lock, self.done = threading.Lock(), threading.Event()
        self.lost, self.answered, self.sent_away = [], 0, 0

    def connect(self, number):
        with self.lock:  # nobody takes a listener from `open_now` between our choice and the connection
            port, secure = self.open_now[number % len(self.open_now)]
            client = Client(port)
        if secure:
            client.socket = self.context.wrap_socket(client.socket, server_hostname="router.test")
            client.reader = Reader(client.socket)
        return client

    def visit(self, number, keeps):
        turn, client = number, None
        while not self.done.is_set():
            try:
                client = client or self.connect(turn)
                answer = client.exchange(b"load")
            except (Gone, OSError) as error:
                self.lost.append(repr(error))
                return
            closing = answer.headers.get("connection") == "close"
            with self.lock:
                self.answered += 1
                self.sent_away += closing
            if answer.status != 200:
                self.lost.append((answer.status, answer.why))
            if closing or not keeps:
                client.close()
                client, turn = None, turn + 1
            self.done.wait(0.005)


@pytest.mark.serial
@pytest.mark.long
def test_listeners_change_twenty_times_under_load_and_no_request_is_lost(pod, start, ports, authority):
    tls = {"certificates": [authority.issue("router.test").as_dict()]}
    router = start(endpoint(deployment([pod()], slots=0)))
    secure = {False: {}, True: {"tls": tls}}
    choice = [(router.port, False), (ports(), True), (ports(), False), (ports(), True)]
    toggled = ports()  # with connections from before it begins to change
    take_up(router, listeners=[plain(port, **secure[is_secure]) for port, is_secure in [*choice[:2], (toggled, False)]])
    visitors = Visitors(authority.client_context(), choice[:2])
    with ThreadPoolExecutor(8) as pool, Client(toggled) as constant:
        visits = [pool.submit(visitors.visit, number, number % 2 == 0) for number in range(8)]
        for number in range(1, 21):
            fresh = [choice[number % 4], choice[(number + 1) % 4]]  # one stays, one goes, one comes, in changing places
            with visitors.lock:
                visitors.open_now = [one for one in visitors.open_now if one in fresh]
            listeners = [(toggled, number % 2 == 1), *fresh] if number % 3 else [*reversed(fresh), (toggled, number % 2 == 1)]
            take_up(router, listeners=[plain(port, **secure[is_secure]) for port, is_secure in listeners])
            with visitors.lock:
                visitors.open_now = fresh
                seen = visitors.answered
            assert constant.exchange(b"x").headers.get("connection") is None
            eventually(lambda: visitors.lost or visitors.answered > seen + 40, "requests between two changes")  # noqa: B023
        visitors.done.set()
        for one in visits:
            one.result()
    assert visitors.lost == []
    assert visitors.sent_away > 10
    eventually(lambda: [is_listening(port) for port, _ in choice] == [one in fresh for one in choice], "the others to be closed")


def test_the_buckets_cannot_change_and_are_refused_by_name(pod, start):
    router = start(endpoint(deployment([pod()])), metrics={"buckets": [1, 2]})
    told, lines = refusal(router, 409, metrics={"buckets": [1, 3]})
    assert told == [f"{router.config_file}:{line_of(lines, 'buckets:')}: metrics.buckets: cannot change while the router runs, since "
                    "what was counted cannot be divided anew: restart it"]
    assert router.score(b"x", key=PRIMARY).status == 200


def test_the_number_of_threads_cannot_change_and_is_refused_by_name(pod, start, ports):
    router = start(endpoint(deployment([pod()])))
    told, lines = refusal(router, 409, threads=1, listeners=[plain(ports())])
    assert told == [f"{router.config_file}:{line_of(lines, 'threads')}: threads: cannot change while the router runs; it has 2: "
                    "restart it"]
    assert router.score(b"x", key=PRIMARY).status == 200
