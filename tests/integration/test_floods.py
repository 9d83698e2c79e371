"""A client or a pod that sends bytes without end does not keep a shard from serving its other clients."""

import threading

import pytest
from support.client import request
from support.settings import deployment, endpoint
from support.wait import eventually, stays


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
        before = router.cpu_seconds()
        stays(lambda: router.slots_in_use() == 1, 2, "the answer to be in progress")
        assert router.cpu_seconds() - before < 1
