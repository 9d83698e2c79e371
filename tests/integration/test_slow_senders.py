"""Contract, section 5: a slow sender holds no slot."""

import threading
import time
from contextlib import ExitStack

import pytest
from support.client import request
from support.http import encode_chunk
from support.settings import SELDOM, deployment, endpoint
from support.wait import eventually

pytestmark = pytest.mark.serial

LARGE = 65537  # the smallest body whose request joins the queue before the body has arrived


def chunked(*pieces, headers=()):
    """Returns a head and the first pieces of a chunked body, without its end."""
    head = request(headers={"Transfer-Encoding": "chunked", **dict(headers)}, length=False)
    return head + b"".join(map(encode_chunk, pieces))


class Drip:
    """Clients that send a byte every few milliseconds until the end of the `with` block."""

    def __init__(self, clients, every=1 / 300):
        self.clients, self.every = clients, every
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ended.wait(self.every):
            for client in self.clients:
                try:
                    client.send(b"d")
                except OSError:
                    pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def test_two_clients_at_300_bytes_a_second_do_not_block_two_slots(pod, start):
    """Had they a slot, honest requests would wait for it. The wait is the router's own figure: how late this machine runs this client is
    not in it."""
    router = start(endpoint(deployment([pod()], slots=2, probe=SELDOM, max_queue_wait_ms=500)))
    with ExitStack() as stack:
        slow = [stack.enter_context(router.connect()) for _ in range(8)]
        for client in slow:
            client.send(request(headers={"Content-Length": "65536"}) + b"begun")
        with Drip(slow), router.connect() as honest:
            time.sleep(0.2)  # until they hold all that they can hold
            assert router.slots_in_use() == 0
            for _ in range(400):
                assert honest.exchange(b"x" * 1024).status == 200
    waits = sorted(line["QueueDurationMs"] for line in router.access_lines(408) if line["ResponseCode"] == 200)
    assert len(waits) == 400 and waits[399] < 1, waits[-5:]


def test_a_head_with_expect_and_no_body_holds_no_slot(pod, start):
    router = start(endpoint(deployment([pod()], probe=SELDOM)))
    with router.connect() as client:
        client.send(request(headers={"Expect": "100-continue", "Content-Length": "1000"}))
        assert client.head().status == 100
        for _ in range(10):
            eventually(lambda: router.slots_in_use() == 0, "no slot to be held")
            assert router.score(b"y").status == 200
        client.send(b"z" * 1000)
        assert client.response().body == b"z" * 1000


@pytest.mark.parametrize("framing", [{"Content-Length": str(LARGE)}, {"Transfer-Encoding": "chunked"}])
def test_a_large_upload_that_does_not_begin_after_its_100_gives_its_slot_back_in_a_second(pod, start, framing):
    blue = pod()
    router = start(endpoint(deployment([blue])))
    with router.connect() as client:
        client.send(request(headers={"Expect": "100-continue", **framing}, length=False))
        assert client.head().status == 100
        begun = time.monotonic()
        assert router.slots_in_use() == 1
        answer = client.response()
        assert (answer.status, answer.why) == (408, "client_timeout")
        assert 0.9 < time.monotonic() - begun < 2
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free")


def test_a_client_that_begins_its_chunk_with_the_head_gets_no_100_and_owes_no_first_byte(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])))
    with router.connect() as client:
        client.send(request(headers={"Expect": "100-continue", "Transfer-Encoding": "chunked"}, length=False) + b"5\r\n")
        time.sleep(1.3)  # longer than the first byte may take after a 100: what this test is about
        client.send(b"hello\r\n0\r\n\r\n")
        answer = client.response()
        assert (answer.status, answer.body, answer.interim) == (200, b"hello", [])


def test_a_large_upload_that_keeps_the_minimum_rate_ends_with_upload_timeout_ms(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue], router={"upload_timeout_ms": 700})))
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "200000"}) + b"x" * 1000)
        with Drip([client]):
            eventually(lambda: router.slots_in_use() == 1, "the slot to be taken")
            begun = time.monotonic()
            answer = client.response()
        assert (answer.status, answer.why) == (408, "client_timeout")
        assert 0.5 < time.monotonic() - begun < 3, "should take 0.7 s, and 0.2 s for its size"
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free")
    assert router.score(b"y").status == 200


def test_the_time_of_an_upload_does_not_run_while_the_pod_takes_nothing(pod, start):
    def slow_reader(exchange):
        time.sleep(1.2)  # longer than the upload may take: what this test is about
        exchange.answer(200, str(len(exchange.body())).encode())

    router = start(endpoint(deployment([pod(slow_reader)], request_timeout_ms=10000, router={"upload_timeout_ms": 600})))
    size = 16 << 20
    assert router.score(b"x" * size).body == str(size).encode()


def test_the_time_of_an_upload_does_not_cut_a_conversation(pod, start):
    """After the answer has begun, each side may continue as long as it likes."""
    def converse(exchange):
        exchange.begin_chunks()
        for piece in exchange.pieces():
            exchange.chunk(piece)
        exchange.end_chunks()

    router = start(endpoint(deployment([pod(converse)], router={"upload_timeout_ms": 300})))
    with router.connect() as client:
        client.send(chunked(b"0"))
        assert client.head().status == 200
        assert client.chunk() == b"0"
        for number in range(1, 5):
            time.sleep(0.2)  # longer than the upload may take, in total: what this test is about
            client.send(encode_chunk(b"%d" % number))
            assert client.chunk() == b"%d" % number
        client.send(b"0\r\n\r\n")
        assert client.chunk() == b""


def test_a_small_body_without_a_length_is_whole_before_its_slot(pod, start):
    router = start(endpoint(deployment([pod()], probe=SELDOM)))
    with router.connect() as client:
        client.send(chunked(b"one"))
        for _ in range(5):
            time.sleep(0.04)  # never silent for 100 ms: what this test is about
            client.send(encode_chunk(b"more"))
            assert router.slots_in_use() == 0
        client.send(b"0\r\nx-last: 1\r\n\r\n")
        assert client.response().body == b"one" + b"more" * 5


def test_a_stream_without_a_length_joins_after_100_ms_of_silence_and_is_relayed_at_once_from_then_on(pod, start):
    arrived = []

    def converse(exchange):
        exchange.begin_chunks()
        for piece in exchange.pieces():
            arrived.append(piece)
            exchange.chunk(piece)
        exchange.end_chunks()

    router = start(endpoint(deployment([pod(converse)])))
    with router.connect() as client:
        begun = time.monotonic()
        client.send(chunked(b"0"))
        assert client.head().status == 200
        assert client.chunk() == b"0"
        assert 0.09 < time.monotonic() - begun < 0.4
        trips = []
        for number in range(1, 50):
            begun = time.monotonic()
            client.send(encode_chunk(b"%d" % number))
            assert client.chunk() == b"%d" % number
            trips.append(time.monotonic() - begun)
        client.send(b"0\r\n\r\n")
        assert client.chunk() == b""
    assert sorted(trips)[len(trips) // 2] < 0.02


@pytest.mark.parametrize("first", [chunked(b"0", headers={"Content-Type": "application/grpc-web+proto"}), chunked(b"x" * 70000)])
def test_grpc_and_what_has_brought_64_kb_join_at_once(pod, start, first):
    def converse(exchange):
        exchange.begin_chunks()
        for _ in exchange.pieces():
            exchange.chunk(b"seen")
            break
        exchange.wait_for_close()

    router = start(endpoint(deployment([pod(converse)])))
    found = []
    for _ in range(5):
        with router.connect() as client:
            begun = time.monotonic()
            client.send(first)
            assert client.head().status == 200
            found.append(time.monotonic() - begun)
        eventually(lambda: router.slots_in_use() == 0, "the slot to be free")
    assert min(found) < 0.08, found


def test_an_upload_with_expect_is_as_quick_as_before(pod, start):
    router = start(endpoint(deployment([pod()])))
    for size in (1000, 1 << 20):
        found = []
        for _ in range(5):
            with router.connect() as client:
                begun = time.monotonic()
                client.send(request(headers={"Expect": "100-continue", "Content-Length": str(size)}))
                assert client.head().status == 100
                client.send(b"u" * size)
                assert client.response().body == b"u" * size
                found.append(time.monotonic() - begun)
        assert min(found) < 0.08, (size, found)


def test_a_refused_client_never_uploads(pod, start):
    router = start(endpoint(deployment([pod()], router={"max_request_bytes": 100})))
    for size, headers in ((101, {}), (1000000, {}), (50, {"Authorization": "Bearer wrong"})):
        with router.connect() as client:
            client.send(request(headers={"Expect": "100-continue", "Content-Length": str(size), **headers}))
            assert client.response().interim == [], "the client should get no 100 (Continue)"


def test_a_small_body_that_stops_is_a_408_and_no_pod_hears_of_it(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])), limits={"body_timeout_ms": 1000})
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "10"}) + b"half")
        answer = client.response()
        assert (answer.status, answer.why) == (408, "client_timeout")
        assert client.is_closed()
    assert blue.requests == []
    line = router.access_lines(1)[0]
    assert line["ResponseCodeReason"] == "client_timeout" and line["Attempts"] == 0


def test_a_client_that_leaves_before_its_body_is_whole_is_a_499(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])))
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "10"}) + b"half")
        time.sleep(0.05)
    line = router.access_lines(1)[0]
    assert line["ResponseCode"] == 499 and blue.requests == []


def test_a_malformed_chunk_is_refused_before_the_slot(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])))
    with router.connect() as client:
        client.send(chunked(b"good"))
        time.sleep(0.02)
        client.send(b"zz\r\n")
        assert client.response().status == 400
    assert blue.requests == []


def test_what_is_gathered_is_at_most_64_mb_a_process(pod, start):
    """Above this, requests join the queue at once, as if their bodies were large. Here: 72 MB in all, from clients that hold the last byte
    back."""
    blue = pod()
    router = start(endpoint(deployment([blue], slots=0)), limits={"min_body_rate": 0})
    body = b"g" * 65535
    with ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(router.connect()).send(request(headers={"Content-Length": "65536"}) + body)
        eventually(lambda: router.metrics().value("connections_active") >= 400, "the first connections")
        assert blue.requests == []
        for _ in range(750):
            stack.enter_context(router.connect()).send(request(headers={"Content-Length": "65536"}) + body)
        eventually(lambda: blue.requests, "some requests to reach the pod")
