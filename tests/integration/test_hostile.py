"""Clients and pods that attack, or behave as if they did: they only harm themselves."""

import os
import resource
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
from support.client import Client, request
from support.http import Gone
from support.router import SANITIZED
from support.settings import deployment, endpoint
from support.wait import eventually, stays

PROXY_LISTENER = {"trusted_proxies": ["127.0.0.1"],
                  "listeners": lambda port: [{"address": "127.0.0.1", "port": port, "proxy_protocol": True}]}


def drip(client, data, pause, patience):
    """Sends the same bytes again and again until bytes arrive or the connection ends; returns how long that took."""
    begun = time.monotonic()
    client.socket.settimeout(pause)
    while time.monotonic() - begun < patience:
        try:
            client.send(data)
            client.reader.fill()
            break
        except TimeoutError:
            continue
        except (Gone, OSError):
            break
    client.socket.settimeout(10)
    return time.monotonic() - begun


def hold(exchange):
    exchange.wait_for_close()


# --- too many connections ---


def refused(router):
    return router.metrics().value("connections_refused_total")


def assert_refused_once(router, answer):
    """The answer, the log and the metrics report the refusal, each exactly once."""
    assert (answer.status, answer.why) == (503, "too_many_connections")
    assert answer.headers.get("connection") == "close"
    error = answer.json()["error"]
    assert error["code"] == "too_many_connections" and error["message"]
    assert error["request_id"] == answer.headers.get("x-request-id") == answer.headers.get("x-ms-request-id")
    eventually(lambda: router.metrics().value("requests_total", code="503", reason="too_many_connections") == 1, "the metric")
    assert refused(router) == 1
    lines = [line for line in router.access_lines(1) if line["ResponseCodeReason"] == "too_many_connections"]
    assert [(line["ResponseCode"], line["XRequestId"]) for line in lines] == [(503, error["request_id"])]


def test_a_refused_connection_is_told_exactly_once(pod, start):
    router = start(endpoint(deployment([pod()])), limits={"max_connections": 1})
    with router.connect() as first:
        first.send(request(b"x" * 100)[:-1])  # the router would close an idle connection to make room, also one with an incomplete head
        eventually(lambda: router.metrics().value("connections_total") == 1, "the first connection")  # each shard accepts on its own
        with router.connect() as second:
            answer = second.response()
            assert second.is_closed()
    assert_refused_once(router, answer)


def test_a_client_has_its_own_limit_over_all_shards(pod, start):
    router = start(endpoint(deployment([pod()])), limits={"max_connections_per_client": 4})
    clients = [router.connect() for _ in range(4)]
    for client in clients:
        assert client.exchange(b"x").status == 200
    with router.connect() as fifth:
        answer = fifth.send(request(b"x")).response()
        assert fifth.is_closed()
    lines = [line for line in router.access_lines(5) if line["ResponseCode"] == 503]
    assert len(lines) == 1 and lines[0]["ResponseCodeReason"] == "too_many_connections"
    assert (answer.status, answer.why) == (503, "too_many_connections")
    clients.pop().close()
    eventually(lambda: router.score(b"x").status == 200, "the connection of a client that left to be released")
    for client in clients:
        client.close()


def test_a_client_is_known_by_the_address_that_the_proxy_tells(pod, start):
    router = start(endpoint(deployment([pod()], slots=0)), limits={"max_connections_per_client": 1}, **PROXY_LISTENER)

    def enter(address, family="TCP4"):
        destination = {"TCP4": "192.0.2.1", "TCP6": "2001:db8::1"}[family]
        return router.connect().send(f"PROXY {family} {address} {destination} 4444 443\r\n".encode() + request(b"x"))

    with enter("198.51.100.1") as first, enter("198.51.100.2") as other:
        assert first.response().status == 200 and other.response().status == 200
        with enter("198.51.100.1") as second:
            answer = second.response()
            assert (answer.status, answer.why) == (503, "too_many_connections")
    with enter("2001:db8:1:2::1", "TCP6") as first, enter("2001:db8:1:3::1", "TCP6") as neighbour:
        assert first.response().status == 200 and neighbour.response().status == 200
        with enter("2001:db8:1:2:ffff::1", "TCP6") as second:
            assert second.response().status == 503


def test_over_tls_a_refused_connection_costs_no_handshake(pod, start, authority):
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod()])), limits={"max_connections_per_client": 1}, tls={"certificates": [pair.as_dict()]})
    router.client_context = authority.client_context()
    with router.connect() as first:
        assert first.exchange(b"x").status == 200
        with pytest.raises((ssl.SSLError, OSError)):
            router.connect().exchange(b"x")
        eventually(lambda: refused(router) == 1, "the refusal")
        assert router.metrics().value("tls_handshakes_total") == 1
        assert first.exchange(b"y").status == 200


# --- slow ones ---


@pytest.mark.long
def test_a_body_below_the_minimum_rate_is_a_408_and_frees_the_slot(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])))
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "100000"}))
        eventually(lambda: router.slots_in_use() == 1, "the slot to be taken")
        took = drip(client, b"12345", 0.1, 20)  # 50 bytes a second
        answer = client.response()
        assert (answer.status, answer.why) == (408, "client_timeout")
        assert client.is_closed()
    assert 4.9 < took < 15
    assert router.access_lines(1)[0]["ResponseCode"] == 408
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free")
    assert router.score(b"next").status == 200


@pytest.mark.long
def test_a_body_at_the_minimum_rate_is_served_however_long_it_takes(pod, start):
    router = start(endpoint(deployment([pod()])), limits={"min_body_rate": 20})
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "400"}))
        for _ in range(40):
            time.sleep(0.2)  # 50 bytes a second, for longer than the grace: what this test is about
            client.send(b"0123456789")
        assert client.response().status == 200


@pytest.mark.long
def test_the_rate_is_not_measured_while_the_pod_is_slow_or_the_request_waits_in_the_queue(pod, start):
    """Body and answer are fast, but the router waits longer than the grace for other parties."""
    def sluggish(exchange):
        if exchange.request.method == "PUT":
            time.sleep(6)  # reads nothing for longer than the grace: what this test is about
        body = exchange.body()
        exchange.answer(200, b"%d" % len(body))

    blue = pod(sluggish)
    router = start(endpoint(deployment([blue], max_queue_wait_ms=30000, request_timeout_ms=30000)))
    size = 16 << 20  # more than all the buffers on the way
    first = router.connect()
    second = router.connect()

    def upload(client, method):
        client.send(request(b"u" * size, method=method))

    uploads = [threading.Thread(target=upload, args=(first, "PUT"), daemon=True)]
    uploads[0].start()
    eventually(lambda: router.slots_in_use() == 1, "the slot to be taken")
    uploads.append(threading.Thread(target=upload, args=(second, "POST"), daemon=True))
    uploads[1].start()
    for client, method in ((first, "PUT"), (second, "POST")):
        answer = client.response(method)
        assert (answer.status, answer.body) == (200, b"%d" % size)
        client.close()
    for one in uploads:
        one.join()


@pytest.mark.long
def test_a_client_that_reads_below_the_minimum_rate_gives_the_slot_back(pod, start):
    def flood(exchange):
        exchange.body()
        exchange.begin_chunks()
        while True:
            exchange.chunk(b"f" * 65536)

    blue = pod(flood)
    router = start(endpoint(deployment([blue])), limits={"min_send_rate": 100_000_000})
    with router.connect(receive_buffer=16384) as client:
        client.send(request(b"x"))
        assert client.head().status == 200
        begun = time.monotonic()
        while not router.access_log_file.read_text() and time.monotonic() - begun < 30:
            client.reader.fill()  # steadily, far more than a byte a minute, and far less than the required rate
            client.reader.buffer = b""
            time.sleep(0.1)
        assert 4 < time.monotonic() - begun < 30
    line = router.access_lines(1)[0]
    assert (line["ResponseCode"], line["ResponseCodeReason"]) == (200, "client_timeout")
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free")
    assert blue.aborts == 1


@pytest.mark.long
def test_a_client_that_reads_fast_enough_is_not_cut(pod, start):
    size = 3_000_000

    def flood(exchange):
        exchange.body()
        exchange.answer(200, b"f" * size)

    router = start(endpoint(deployment([pod(flood)])), limits={"min_send_rate": 100_000})
    with router.connect(receive_buffer=16384) as client:
        client.send(request(b"x"))
        head = client.head()
        assert head.status == 200
        got, begun = len(client.reader.buffer), time.monotonic()
        while got < size:  # about 400 KB/s
            client.reader.buffer = b""
            client.reader.fill()
            got += len(client.reader.buffer)
            ahead = got / 400_000 - (time.monotonic() - begun)
            if ahead > 0:
                time.sleep(ahead)
        assert got == size and time.monotonic() - begun > 5


# --- TLS ---


def failed_handshakes(router):
    return router.metrics().value("tls_handshakes_total", result="failed")


def test_half_open_handshakes_do_not_keep_honest_clients_out(pod, start, authority):
    """The router closes the oldest handshakes for the newest. Nothing else ends them here, since the header timeout is long."""
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod()], slots=0)), tls={"certificates": [pair.as_dict()]},
                   limits={"max_handshakes": 8, "header_timeout_ms": 600_000})
    router.client_context = authority.client_context()
    half_open = []
    for number in range(60):
        half_open.append(Client(router.port).send(b"\x16\x03\x01\x02\x00\x01" if number % 2 else b""))
        if number % 10 == 0:
            assert router.score(b"x").status == 200
    eventually(lambda: failed_handshakes(router) == 60 - 8, "all but the newest handshakes to be closed")
    assert router.metrics().value("connections_active") == 8
    assert half_open[0].is_closed()
    assert router.score(b"x").status == 200
    for one in half_open:
        one.close()


def test_three_strangers_who_shake_hands_at_one_place_do_not_end_the_process(pod, start, authority):
    """One handshake is permitted. The first client has sent bytes, which the router has not read yet, when two silent clients connect. The
    router spares it for the second. The third closes the second, and the router spares the first again, now alone in the list."""
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod()], slots=0)), tls={"certificates": [pair.as_dict()]}, threads=1,
                   limits={"max_handshakes": 1, "header_timeout_ms": 600_000})
    router.client_context = authority.client_context()
    for _ in range(5):
        with Client(router.port) as first:
            eventually(lambda: router.metrics().value("connections_active") == 1, "the first client")
            router.signal(signal.SIGSTOP)
            with Client(router.port) as second, Client(router.port):
                first.send(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
                router.signal(signal.SIGCONT)
                assert second.is_closed()
                assert router.score(b"x").body == b"x"
        eventually(lambda: router.metrics().value("connections_active") == 0, "the connections of these clients to end")
    assert router.process.poll() is None, router.log


class SClient:
    """openssl s_client, whose commands are single letters: R renegotiates, K updates the keys and requests an update in return."""

    def __init__(self, router, authority, *arguments):
        self._process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{router.port}", "-CAfile", str(authority.file), "-servername",
             "router.test", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        eventually(lambda: b"Verify return code" in self.said, "the handshake")

    def _read(self):
        while data := self._process.stdout.read1():
            self.said += data

    def command(self, letter):
        """Returns False if the process has ended."""
        try:
            self._process.stdin.write(letter + b"\n")
            self._process.stdin.flush()
        except OSError:
            return False
        return not self.ended()

    def ended(self):
        return self._process.poll() is not None

    def wait(self):
        self._process.wait(20)
        self._reader.join(5)
        return self.said


def test_renegotiation_is_refused(pod, start, authority):
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod()])), tls={"certificates": [pair.as_dict()]})
    router.client_context = authority.client_context()
    client = SClient(router, authority, "-tls1_2")
    client.command(b"R")
    said = client.wait()  # the process ends by itself
    assert b"RENEGOTIATING" in said and b"no renegotiation" in said, said[-2000:]
    assert router.score(b"x").status == 200


def test_a_flood_of_key_updates_is_ended_and_does_not_hold_the_shard(pod, start, authority):
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod()])), threads=1, tls={"certificates": [pair.as_dict()]})
    router.client_context = authority.client_context()
    client = SClient(router, authority, "-tls1_3")
    with router.connect() as other:
        updates = 0
        while client.command(b"K") and updates < 1000:
            updates += 1
            eventually(lambda: client.said.count(b"KEYUPDATE") >= updates or client.ended(), "an update", pause=0)
            assert other.exchange(b"x").status == 200
    assert 32 <= updates < 1000
    client.wait()


class Flood:
    """Writes the same bytes to a client's socket as fast as the socket accepts them, on a thread of its own, until it is stopped."""

    def __init__(self, sock, data):
        self._socket, self._data, self._stop = sock, data, threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while not self._stop.is_set():
                self._socket.sendall(self._data)
                self.sent += len(self._data)
        except OSError:
            pass

    def stop(self):
        self._stop.set()
        self._socket.close()
        self._thread.join(10)


def test_a_flood_of_tiny_records_does_not_hold_the_shard(pod, start, authority):
    """One byte of a body in each record, without end. The only shard serves another client meanwhile."""
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod()], slots=0)), threads=1, tls={"certificates": [pair.as_dict()]})
    router.client_context = authority.client_context()
    flooding = router.connect()
    flooding.send(request(headers={"Content-Length": "90000000"}))

    class Records:
        """A TLS socket that sends every byte as a record of its own."""
        def sendall(self, data):
            for byte in data:
                flooding.socket.sendall(bytes([byte]))

        def close(self):
            flooding.socket.close()

    flood = Flood(Records(), b"x" * 100)
    try:
        eventually(lambda: flood.sent > 1000, "the flood to run")
        with router.connect() as other:
            for _ in range(20):
                assert other.exchange(b"x").status == 200  # within the client's timeout, while the flood continues
        before = flood.sent
        eventually(lambda: flood.sent > before + 1000, "the flood to continue")
    finally:
        flood.stop()


# --- when the machine runs short ---


def descriptors(router):
    return len(list(Path(f"/proc/{router.process.pid}/fd").iterdir()))


def cpu_seconds(router):
    fields = Path(f"/proc/{router.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def limited(router, kind, value):
    resource.prlimit(router.process.pid, kind, (value, resource.prlimit(router.process.pid, kind)[1]))


def ended(client):
    """Whether the router has ended this connection."""
    try:
        return not client.socket.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_the_process_takes_all_the_descriptors_that_it_may_have(pod, start):
    router = start(endpoint(deployment([pod()])))
    soft, hard = resource.prlimit(router.process.pid, resource.RLIMIT_NOFILE)
    assert soft == hard


@pytest.mark.serial
def test_when_descriptors_run_short_clients_wait_and_everything_else_works(pod, start):
    router = start(endpoint(deployment([pod()], slots=0)))
    limited(router, resource.RLIMIT_NOFILE, 128)  # 96 for clients and for what was open before
    clients = [router.connect() for _ in range(100)]
    eventually(lambda: descriptors(router) >= 96, "the descriptors for clients to be used")
    assert router.metrics().value("connections_active") < 96  # /metrics and /status also answer
    served = router.metrics().value("connections_total")
    assert clients[0].exchange(b"x").status == 200  # which needs a connection to the pod, and a check of the access log's file
    used = cpu_seconds(router)
    stays(lambda: router.metrics().value("connections_total") == served, 1, "accepting to be paused")
    assert cpu_seconds(router) - used < 0.7, "the router should not spin"
    assert router.admin("/status")[0] == 200
    late = router.start_request(b"late")
    for client in clients[:60]:
        client.close()
    assert late.response().body == b"late"
    late.close()
    for client in clients:
        client.close()


if not SANITIZED:  # a sanitizer needs descriptors of its own, to examine memory

    def test_a_shortage_of_descriptors_is_not_told_as_the_pods_fault(pod, start):
        blue = pod()
        router = start(endpoint(deployment([blue])))
        limit = resource.prlimit(router.process.pid, resource.RLIMIT_NOFILE)[0]
        with router.connect() as client:
            assert client.exchange(b"x").status == 200
            eventually(lambda: blue.connections == 0, "the pod's idle connection to end")
            limited(router, resource.RLIMIT_NOFILE, 8)
            answer = client.exchange(b"x")
            limited(router, resource.RLIMIT_NOFILE, limit)
            assert (answer.status, answer.why) == (502, "upstream_connect_failed")
            assert client.exchange(b"x").status == 200
        line = router.access_lines(2)[1]
        assert line["ModelStatusReason"] == "the router ran short of descriptors, ports or memory"


if not SANITIZED:  # the size of a sanitizer's address space says nothing

    def test_when_memory_runs_short_connections_end_and_the_process_lives(pod, start):
        """Each client makes the router keep 900 KB of a head that never ends. There are far more clients than memory allows."""
        router = start(endpoint(deployment([pod()], slots=0)), limits={"max_header_bytes": 1 << 20, "header_timeout_ms": 60_000})
        assert router.score(b"x").status == 200
        limited(router, resource.RLIMIT_AS, router.memory("VmSize") + (48 << 20))
        greedy = []
        head = b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 900_000
        for _ in range(200):
            client = router.connect(timeout=2)
            greedy.append(client)
            try:
                client.send(head)
            except OSError:  # the router has closed it meanwhile, or not accepted it yet
                pass
        eventually(lambda: any(ended(client) for client in greedy), "some connections to end, since there is no memory for all of them")
        assert router.process.poll() is None
        for client in greedy:
            client.close()
        eventually(lambda: router.metrics().value("connections_active") == 0, "the connections to end")
        for number in range(20):
            assert router.score(b"%d" % number).body == b"%d" % number
        assert router.admin("/status")[0] == 200


# --- messages ---


@pytest.fixture(scope="module")
def scene(shared_stage):
    class Scene:
        pod = shared_stage.pod()
        router = shared_stage.start(endpoint(deployment([pod], slots=0), router={"hostnames": ["named.test"]}))
    return Scene


def assert_refused(scene, data, status, why):
    before = len(scene.pod.requests)
    with scene.router.connect() as client:
        client.send(data)
        answer = client.response()
        assert (answer.status, answer.why) == (status, why)
        assert client.is_closed()
    assert len(scene.pod.requests) == before


@pytest.mark.parametrize("headers", [[("X", "x" * 70_000)], [(f"X-{n}", "") for n in range(20_000)], [("x" * 70_000, "X")]],
                         ids=["a large value", "many fields", "a long name"])
def test_a_head_that_is_too_large_is_a_431(scene, headers):
    assert_refused(scene, request(b"x", headers=headers), 431, "headers_too_large")


@pytest.mark.parametrize("data", [b"\r\n" * 50_000, b"x" * 16384], ids=["empty lines", "a body that nobody reads"])
def test_bytes_without_end_do_not_hold_the_shard(pod, start, data):
    router = start(endpoint(deployment([pod()], slots=0)), threads=1)
    client = router.connect()
    if data.startswith(b"x"):  # the router refuses it before it reads the body
        client.send(request(key="wrong", headers={"Transfer-Encoding": "chunked"}, length=False) + b"fffffffff\r\n")
    flood = Flood(client.socket, data)
    with router.connect() as other:
        eventually(lambda: flood.sent > 0, "the flood to run")
        for _ in range(20):
            assert other.exchange(b"x").status == 200
    flood.stop()


def drop_all(client):
    try:
        while client.socket.recv(1 << 20):
            pass
    except OSError:
        pass


def test_pipelined_requests_without_end_do_not_hold_the_shard(pod, start):
    router = start(endpoint(deployment([pod()], slots=0)), threads=1, access_log="", limits={"requests_per_connection": 1_000_000_000})
    client = router.connect()
    flood = Flood(client.socket, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
    reader = threading.Thread(target=drop_all, args=(client,), daemon=True)
    reader.start()
    with router.connect() as other:
        eventually(lambda: flood.sent > 1_000_000, "the flood to run")
        for _ in range(20):
            assert other.exchange(b"x").status == 200
        before = flood.sent
        eventually(lambda: flood.sent > before, "the flood to continue")
    flood.stop()
    reader.join(10)


@pytest.mark.parametrize("data", [
    request(b"x", headers={"X": "a\0b"}), request(b"x", headers={"a\0b": "x"}), request(b"x", path="/api/v1/endpoint/my\0endpoint/score"),
    request(b"x", host="router\0.test"), b"\0" * 100 + b"\r\n\r\n",
], ids=["value", "name", "target", "host", "nothing else"])
def test_a_nul_in_a_head_is_a_400(scene, data):
    assert_refused(scene, data, 400, "bad_request")


def test_a_refused_head_is_logged_without_anything_of_the_request_before_it(pod, start):
    router = start(endpoint(deployment([pod()])))
    with router.connect() as client:
        assert client.exchange(b"x", headers={"User-Agent": "first"}).status == 200
        client.send(b"GET " + b"/" * 70_000)
        assert client.response().why == "headers_too_large"
    line = router.access_lines(2)[1]
    assert (line["ResponseCode"], line["Method"], line["Path"], line["UserAgent"]) == (414, "", "", "")


def test_an_absolute_target_is_served_and_its_authority_wins_over_the_host(scene):
    """RFC 9112, 3.2.2."""
    with scene.router.connect() as client:
        client.send(request(b"x", path="http://named.test/v1/models?q=1", host="other.test"))
        assert client.response().status == 200
    assert scene.pod.requests[-1].target == "/v1/models?q=1"
    assert scene.pod.requests[-1].headers.get("host") == "named.test"
    with scene.router.connect() as client:  # the reverse: the Host field does not choose the endpoint
        client.send(request(b"x", path="http://other.test/v1/models", host="named.test"))
        assert client.response().status == 404


@pytest.mark.parametrize("rest", ["/../admin", "/%2e%2e/admin", "/a%2Fb", "/a%2fb", "/a%5cb", "/a\\b", "/..%2f..%2fetc/passwd", "/./x",
                                  "/..;/admin", "/%2e%2e;/admin", "/%2e%2e%3b/admin", "/.;/x", "/%252e%252e/admin", "/%252E/x",
                                  "/%c0%ae%c0%ae/admin", "/a%00"])
def test_a_path_that_pods_may_read_in_two_ways_is_a_400(scene, rest):
    before = len(scene.pod.requests)
    answer = scene.router.score(b"x", path="/api/v1/endpoint/my-endpoint/score" + rest)
    assert (answer.status, answer.why) == (400, "bad_request")
    assert len(scene.pod.requests) == before


def answering(data):
    def behave(exchange):
        exchange.body()
        exchange.send(data)
        exchange.wait_for_close()
    return behave


@pytest.mark.parametrize("data", [
    b"HTTP/1.1 200 OK\r\nX-Evil: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-Evil: a\nSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-Evil: a\0b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-Evil: a\r\n folded: evil\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 evil\rX-Evil: 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-Evil\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-Evil: " + b"x" * 200_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X-Evil: x\r\n" * 50_000,
], ids=["CR", "LF", "NUL", "folded", "in the phrase", "no colon", "a large value", "fields without end"])
def test_nothing_of_a_pods_broken_head_reaches_the_client(pod, start, data):
    router = start(endpoint(deployment([pod(answering(data))])))
    with router.start_request(b"x", headers={"Connection": "close"}) as client:
        said = client.reader.until_close()
    assert said.startswith(b"HTTP/1.1 502 ") and b"x-router-reason: upstream_invalid_response\r\n" in said
    assert b"evil" not in said.lower() and b"xxxx" not in said
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free")


def test_interim_responses_without_end_do_not_hold_the_shard(pod, start):
    def interim(exchange):
        exchange.body()
        while True:
            exchange.send(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 1000)

    flooding, good = pod(interim), pod()
    router = start(endpoint(deployment([flooding], request_timeout_ms=3000), name="flood"), endpoint(deployment([good])), threads=1)
    with router.connect() as client, router.connect() as other:
        client.send(request(b"x", path="/api/v1/endpoint/flood/score"))
        eventually(lambda: flooding.requests, "the pod to have the request")
        for _ in range(20):
            assert other.exchange(b"x").status == 200
        answer = client.response()
        assert [one.status for one in answer.interim] == [103] * 8
        assert (answer.status, answer.why) == (504, "upstream_timeout")
        assert other.exchange(b"x").status == 200
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free")


def processor_seconds(router):
    fields = Path(f"/proc/{router.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.serial
def test_waiting_for_a_client_that_does_not_read_costs_no_time(pod, start):
    """The pod has more to send all the time. Its data must not wake the router, which cannot pass it on."""
    def flood(exchange):
        exchange.body()
        exchange.begin_chunks()
        while True:
            exchange.chunk(b"f" * 65536)

    blue = pod(flood)
    router = start(endpoint(deployment([blue])))
    with router.connect(receive_buffer=16384) as client:
        client.send(request(b"x"))
        assert client.head().status == 200
        before = processor_seconds(router)
        stays(lambda: router.slots_in_use() == 1, 2, "the answer to be in progress")
        assert processor_seconds(router) - before < 1
