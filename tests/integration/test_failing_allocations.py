"""The n-th allocation fails, for every n of an exchange, a reload and a drain. Nothing may be corrupted, leaked, or sent to the wrong
client. `FAILING_ALL=1` tries every n; otherwise a random selection, whose seed is printed and can be set (`FAILING_SEED`)."""

import functools
import signal
import time
from http.client import HTTPException

import pytest
from support import yaml
from support.certificates import Authority
from support.client import PRIMARY, request
from support.failing import Rig, marked
from support.failing_allocator import CONTROL, OPENSSL, PATIENCE, SHARDS
from support.http import Gone
from support.ports import ReservedPort
from support.router import Router, is_listening, write_at_once
from support.settings import deployment, endpoint
from support.wait import eventually

PATIENT = {"max_queue_wait_ms": 20000, "request_timeout_ms": 20000}
PROBE = {"period": 60, "timeout": 10}  # the control thread does nothing else


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("failing"))
    authority.pairs = [authority.issue("router.test") for _ in range(2)]
    authority.pod = authority.issue("pod.test")
    return authority


@pytest.fixture
def rig(shared_stage, certificates):
    """Makes rigs. If a rig has findings, the test fails."""
    rigs = []

    def make(name, *, tls=False, pod_tls=False, slots=2, threads=1, mirror=False, closes=True, bystander=True, **settings):
        def start(folder, echo, **options):
            pod_options = {}
            if pod_tls:
                context = pod_options["tls"] = certificates.server_context(certificates.pod)
                context.num_tickets = 0  # a ticket that is sent late would be an allocation for the bystander
            router = {"tls": {"ca_file": str(certificates.file), "server_name": "pod.test"}} if pod_tls else {}
            pods = [shared_stage.pod(echo, name=f"{name}-blue", **pod_options)]
            deployments = [deployment(pods, slots=slots, probe=PROBE, router=router, **PATIENT)]
            traffic = {}
            if mirror:
                green = deployment([shared_stage.pod(echo)], name="green", slots=2, probe=PROBE, **PATIENT)
                deployments.append(green)
                traffic = {"traffic": {"blue": 100, "green": 0}, "mirror_traffic": {"green": 50}}
            if tls:
                settings["tls"] = {"certificates": [certificates.pairs[0].as_dict()]}
            made = Router(folder, endpoint(*deployments, **traffic), threads=threads, **settings, **options)
            if tls:
                made.client_context = certificates.client_context()
            return made
        one = Rig(shared_stage, name, start, closes=closes, bystander=bystander)
        rigs.append(one)
        return one

    yield make
    for one in rigs:
        one.router.kill()


def judged(one, books=True):
    one.retire()
    assert not one.findings, one.findings.text()
    if books:
        assert not one.untold, one.untold.text()


def exchange(one, **options):
    """Opens a new connection and sends two requests on it, the first one larger than any buffer. Returns the outcomes."""
    try:
        client = one.connect()
    except TimeoutError:
        return [one.judge("a client", ("hung", "no handshake"))]
    except OSError:
        return [("closed", 0)]  # not accepted, or the handshake failed
    outcomes = []
    with client:
        for size in (70000, 3000):
            outcomes.append(one.judge("a client", one.ask(client, marked(size), **options)))
            if outcomes[-1][0] != "answered":
                break
    return outcomes


KINDS = {
    "plaintext": {},
    "plaintext, kept connections": {"closes": False},
    "tls": {"tls": True},
    "tls to the replica": {"pod_tls": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_exchange_whose_memory_fails_harms_nobody_else(rig, kind):
    one = rig(kind.replace(" ", "-"), **KINDS[kind])
    one.run("an exchange", functools.partial(exchange, one), at_most=220, threads=SHARDS)
    one.run("an exchange, three failures in a row", functools.partial(exchange, one), at_most=25, threads=SHARDS, times=3)
    one.run("an exchange, by the handler", functools.partial(exchange, one), at_most=15, threads=SHARDS, times=2, by_handler=True)
    judged(one)


@pytest.mark.parametrize("kind", ["tls", "tls to the replica"])
def test_an_exchange_whose_memory_fails_within_openssl_harms_nobody_else(rig, kind):
    one = rig("openssl-" + kind.replace(" ", "-"), **KINDS[kind])
    # If OpenSSL fails between two keys or within a record, the client cannot read its alert. The connection ends all the same.
    one.run("an exchange", functools.partial(exchange, one), at_most=150, threads=SHARDS, kinds=OPENSSL,
            excuses=("TLS that cannot be read", r"tls::Stream::Session::(handshake|encrypt)"))
    judged(one)


@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "tls"])
def test_a_request_that_waits_for_a_slot_gets_it_or_an_end(rig, tls):
    """One slot, two shards: the request whose allocation fails may hold the slot, wait for it, or pass it on."""
    one = rig("queue-tls" if tls else "queue", tls=tls, slots=1, threads=2, bystander=False)

    def wait_in_the_queue():
        holder = waiter = None
        try:
            holder, waiter = one.connect(), one.connect()
            one.echo.hold_next()
            bodies = marked(30000), marked(25000)
            identity, headers = one.headers(**{"x-hold": "1"})
            before = one.echo.holding
            holder.send(request(bodies[0], headers=headers))
            eventually(lambda: one.echo.holding > before or one.allocator.failed(), "the holder's request", patience=5, pause=0.001)
            waits = functools.partial(one.ask, waiter, bodies[1])
            with one.in_background(waits) as waiting:
                eventually(lambda: one.router.queue_length() == 1 or waiting.done() or one.allocator.failed(), "the waiter's request",
                           patience=5, pause=0.001)
                one.echo.release()
                one.judge("the holder", one.note(identity, one.read(holder, bodies[0])))
                one.judge("the waiter", waiting.result())
        except (OSError, Gone):
            pass
        finally:
            one.echo.release()
            for client in (holder, waiter):
                if client is not None:
                    client.close()

    one.run("two requests, one slot", wait_in_the_queue, at_most=150, threads=SHARDS)
    judged(one)


def test_a_copy_whose_memory_fails_is_given_up_and_the_live_exchange_goes_on(rig):
    one = rig("mirror", mirror=True)
    one.run("mirrored exchanges", lambda: exchange(one) + exchange(one), at_most=300, threads=SHARDS, spares=r"mirror\.(cpp|h)")
    assert one.router.metrics().value("mirrored_total", result="no_memory") > 0
    judged(one)


def test_a_refused_key_whose_memory_fails(rig):
    one = rig("refused")
    one.run("a wrong key", functools.partial(exchange, one, key="wrong"), at_most=100, threads=SHARDS)
    judged(one)


def test_an_operators_request_whose_memory_fails(rig):
    one = rig("operators")

    def ask_operators():
        for ask, path in ((one.router.observe, "/metrics"), (one.router.admin, "/status")):
            try:
                status, text = ask(path)
            except (OSError, ValueError, HTTPException):
                continue
            if status == 200 and not (text.startswith("# ") or text.startswith("{")):
                one.find(f"wrong: {path} says {text[:80]!r}")

    one.run("metrics and status", ask_operators, at_most=120, threads=CONTROL)
    judged(one)


class Reloads:
    """Two configurations of one router, and which of them is active. They differ in a key, an endpoint, a listener and a certificate."""

    KEYS = "key-of-the-first-configuration", "key-of-the-second-configuration"

    def __init__(self, one, pods, pairs):
        self.one, self.pods, self.pairs = one, pods, pairs
        self.state = 0
        self.extra = ReservedPort()

    def write(self, state):
        router = self.one.router
        blue = {**router.endpoints[0], "keys": [self.KEYS[state], PRIMARY]}
        listeners = [{"address": "127.0.0.1", "port": router.port}]
        if self.pairs:
            listeners[0]["tls"] = {"certificates": [self.pairs[state].as_dict()]}
        if state == 1:
            listeners.append({"address": "127.0.0.1", "port": self.extra.port})
            router.write_endpoint(endpoint(deployment(self.pods, probe=PROBE), name="second"))
        else:
            for path in (router.folder / "endpoints").glob("second*.yml"):
                path.unlink()
        router.write_endpoint(blue)
        router.settings["listeners"] = listeners
        write_at_once(router.config_file, yaml.dump(router.settings))

    def ask_to_reload(self):
        """Returns the status of the answer; 0 if there was none."""
        try:
            return self.one.router.admin("/reload", "POST")[0]
        except (OSError, HTTPException):
            return 0

    def observe(self):
        """Returns what is active, as seen from outside."""
        router = self.one.router
        keys = [router.score(b"x", key=key).status != 401 for key in self.KEYS]
        second = router.score(b"x", path="/api/v1/endpoint/second/score").status != 404
        serial = None
        if self.pairs:
            with router.connect() as client:
                serial = client.socket.getpeercert()["serialNumber"].lower()
        return keys, second, is_listening(self.extra.port), serial

    def expected(self, state):
        serial = self.pairs[state].serial().lower() if self.pairs else None
        return [state == 0, state == 1], state == 1, state == 1, serial

    def is_whole(self):
        """Returns which configuration is active; None if it is a mixture of both. For a short time the shards may differ, so only a lasting
        result counts."""
        end = time.monotonic() + 2
        while True:
            before = self.one.router.generation()
            seen = self.observe()
            state = next((state for state in (0, 1) if seen == self.expected(state)), None)
            is_steady = self.one.router.generation() == before  # the watch of the files has not reloaded meanwhile
            if is_steady and (state is not None or time.monotonic() > end):
                return state, seen


@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "tls"])
def test_a_reload_whose_memory_fails_leaves_a_whole_configuration(rig, shared_stage, certificates, tls):
    one = rig("reload-tls" if tls else "reload", tls=tls)
    reloads = Reloads(one, [shared_stage.pod(one.echo)], certificates.pairs if tls else [])
    descriptors = {}

    def reload():
        reloads.state = 1 - reloads.state
        reloads.write(reloads.state)
        reloads.answer = reloads.ask_to_reload()

    def settle():
        """Activates both configurations, to learn what each needs."""
        for _ in range(2):
            reload()
            assert reloads.is_whole()[0] == reloads.state
            one.settle()
            descriptors[reloads.state] = one.count_descriptors()

    def look():
        whole, seen = reloads.is_whole()
        if whole is None or (reloads.answer == 200 and whole != reloads.state):
            one.find(f"a mixture of two configurations: POST /reload said {reloads.answer}, {seen}")
        if whole != reloads.state and (again := reloads.ask_to_reload()) != 200:
            one.find(f"the next reload fails: {again}")
        whole, seen = reloads.is_whole()
        if whole != reloads.state:
            one.find(f"the next reload is not active: {seen}")
        one.descriptors = descriptors[reloads.state]
        one.look()

    def restarted():
        reloads.state = 0
        settle()

    one.restarted = restarted
    settle()
    one.run("a reload", reload, at_most=110, last=45, look=look, threads=CONTROL, times_each=2)
    judged(one)


@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "tls"])
@pytest.mark.parametrize("threads", [CONTROL, SHARDS], ids=["control", "shards"])
def test_a_drain_whose_memory_fails_ends_in_order(rig, tls, threads):
    """One request runs, another one waits for the slot, a third client is idle."""
    one = rig(f"drain-{threads}{'-tls' if tls else ''}", tls=tls, slots=1, threads=2, bystander=False, drain_grace_ms=3000)

    def drain():
        holder, waiter, idle = one.connect(), one.connect(), one.connect()
        with holder, waiter, idle:
            one.echo.hold_next()
            before = one.echo.holding
            bodies = marked(30000), marked(25000)
            sent = [one.headers(**{"x-hold": "1"}), one.headers()]
            holder.send(request(bodies[0], headers=sent[0][1]))
            eventually(lambda: one.echo.holding > before, "the holder's request", pause=0.001)
            waiter.send(request(bodies[1], headers=sent[1][1]))
            eventually(lambda: one.router.queue_length() == 1, "the waiter's request", pause=0.001)
            one.arm()
            one.router.signal(signal.SIGTERM)
            idle.is_closed()
            one.echo.release()
            for client, body, (identity, _) in zip((holder, waiter), bodies, sent):
                outcome = one.judge("a client", one.note(identity, one.read(client, body)))
                if threads == CONTROL and outcome[0] != "answered":
                    one.find(f"a client's request failed: {outcome}")
        code = one.router.wait_exit(3 + PATIENCE)
        if code != 0:
            one.find(f"the drain ended with {code}: {one.router.log[-600:]}")

    one.run_processes("a drain", drain, at_most=16, threads=threads)
    one.router.kill()
    assert not one.findings, one.findings.text()
    assert not one.untold, one.untold.text()
