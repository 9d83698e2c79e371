"""Bodies: streamed both ways in bounded memory, with their limits."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.client import request
from support.http import encode_chunk
from support.router import SANITIZED
from support.settings import deployment, endpoint
from support.wait import eventually

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def scene(shared_stage):
    class Scene:
        pod = shared_stage.pod()
        router = shared_stage.start(endpoint(deployment([pod], router={"max_request_bytes": 100000})))
    return Scene


@pytest.mark.parametrize("size", [0, 1, 100, 16383, 16384, 16385, 65535, 65536, 65537, 99999, 100000])
def test_a_body_of_any_size_comes_back_whole(scene, size):
    body = bytes(range(256)) * (size // 256 + 1)
    answer = scene.router.score(body[:size])
    assert (answer.status, answer.body) == (200, body[:size])


@pytest.mark.parametrize("chunks", [[], [b"a"], [b"ab", b"c" * 5000, b"d" * 70000], [b"x"] * 500])
def test_a_chunked_body_comes_back_whole(scene, chunks):
    answer = scene.router.score(chunks=chunks)
    assert (answer.status, answer.body) == (200, b"".join(chunks))
    assert scene.pod.requests[-1].headers.get("transfer-encoding") == "chunked"
    assert "content-length" not in scene.pod.requests[-1].headers


def test_chunk_extensions_are_read_and_dropped(scene):
    with scene.router.connect() as client:
        client.send(request(headers={"Transfer-Encoding": "chunked"}, length=False)
                    + b"3;name=value;other=\"quoted\"\r\nabc\r\n0;last\r\n\r\n")
        assert client.response().body == b"abc"


def test_a_head_and_a_body_that_come_byte_by_byte_are_read(scene):
    with scene.router.connect() as client:
        for byte in request(b"hello", chunks=[b"he", b"llo"]):
            client.send(bytes([byte]))
        assert client.response().body == b"hello"


def test_trailers_pass_both_ways(pod, start):
    def behave(exchange):
        exchange.body()
        trailers = exchange.request.trailers
        exchange.begin_chunks(headers={"Trailer": "X-Sum"})
        exchange.chunk(b"data")
        exchange.end_chunks([("X-Sum", trailers.get("x-check"))])

    router = start(endpoint(deployment([pod(behave)])))
    with router.connect() as client:
        client.send(request(chunks=[b"abc"], trailers=[("X-Check", "42")], headers={"Trailer": "X-Check", "TE": "trailers"}))
        answer = client.response()
        assert (answer.body, answer.trailers.get("x-sum")) == (b"data", "42")
        assert client.exchange(chunks=[b"x"], trailers=[("X-Check", "43")]).trailers.get("x-sum") == "43"


def test_trailers_cannot_smuggle_framing_or_credentials(pod, start):
    blue = pod(lambda exchange: (exchange.body(), exchange.answer()))
    router = start(endpoint(deployment([blue])))
    for name in ("Content-Length", "Transfer-Encoding", "Authorization", "Host"):
        with router.connect() as client:
            client.send(request(chunks=[b"abc"], trailers=[(name, "5")]))
            status = client.response().status
            assert status in (200, 400)
    for one in blue.requests:
        for name in ("content-length", "transfer-encoding", "authorization", "host"):
            assert one.trailers is None or name not in one.trailers


def test_a_body_that_ends_with_the_pods_connection_is_relayed_as_chunks(pod, start):
    def behave(exchange):
        exchange.body()
        exchange.head(200)
        exchange.send(b"until the end")
        exchange.close()

    router = start(endpoint(deployment([pod(behave)])))
    with router.connect() as client:
        for _ in range(2):  # the client's connection stays open
            answer = client.exchange(b"x")
            assert (answer.status, answer.body) == (200, b"until the end")
            assert answer.headers.get("transfer-encoding") == "chunked"


def test_a_body_that_breaks_off_is_cut_for_the_client_too(pod, start):
    def behave(exchange):
        exchange.body()
        exchange.head(200, {"Content-Length": "100"})
        exchange.send(b"only this")
        exchange.close()

    router = start(endpoint(deployment([pod(behave)])))
    with router.start_request(b"x") as client:
        assert client.head().status == 200
        assert client.reader.until_close() == b"only this"
    assert router.access_lines(1)[0]["ResponseCodeReason"] == "upstream_reset"


@pytest.mark.parametrize("data", [b"5\r\nab", b"zz\r\nab\r\n", b"2\r\nabXX0\r\n\r\n"])
def test_broken_chunks_of_a_pod_are_cut_for_the_client_too(pod, start, data):
    def behave(exchange):
        exchange.body()
        exchange.head(200, {"Transfer-Encoding": "chunked"})
        exchange.send(data)
        exchange.close()

    router = start(endpoint(deployment([pod(behave)])))
    with router.start_request(b"x") as client:
        answered = client.reader.until_close()
    assert not answered.endswith(b"0\r\n\r\n")


def test_a_pod_may_answer_before_it_has_the_whole_body(pod, start):
    def early(exchange):
        exchange.answer(403, b"enough")
        exchange.close()

    blue = pod(early)
    router = start(endpoint(deployment([blue])))
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "1000000"}) + b"z" * 1000)
        answer = client.response()
        assert (answer.status, answer.body) == (403, b"enough")
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free")
    blue.behave = lambda exchange: exchange.answer(200, exchange.body())
    assert router.score(b"next").body == b"next"


def test_a_declared_body_over_the_limit_is_refused_before_it_is_read(scene):
    before = len(scene.pod.requests)
    with scene.router.connect() as client:
        client.send(request(headers={"Content-Length": "100001"}))
        answer = client.response()
    assert (answer.status, answer.why) == (413, "payload_too_large")
    assert len(scene.pod.requests) == before


def test_a_chunked_body_over_the_limit_is_refused_where_it_exceeds(pod, start):
    blue = pod(lambda exchange: (exchange.body(), exchange.answer()))
    router = start(endpoint(deployment([blue], router={"max_request_bytes": 100000})))
    with router.connect() as client:
        client.send(request(headers={"Transfer-Encoding": "chunked"}, length=False))
        client.send(encode_chunk(b"c" * 10000))
        eventually(lambda: blue.concurrent == 1, "the pod to have the request")
        for _ in range(10):
            client.send(encode_chunk(b"c" * 10000))
        answer = client.response()
        assert (answer.status, answer.why) == (413, "payload_too_large")
        assert client.is_closed()
    eventually(lambda: blue.aborts == 1, "the pod to lose the connection before it has the whole body")


@pytest.mark.parametrize("length", [str(2**63), str(2**64), str(2**64 + 5), "9" * 40])
def test_a_monstrous_length_is_refused(scene, length):
    with scene.router.connect() as client:
        client.send(request(headers={"Content-Length": length}))
        assert client.response().status in (400, 413)


@pytest.mark.parametrize("head", [
    [("X-Big", "b" * 70000)],
    [(f"X-{number}", "b" * 60) for number in range(1200)],
])
def test_a_head_over_the_limit_is_a_431(scene, head):
    with scene.router.connect() as client:
        client.send(request(b"x", headers=head))
        answer = client.response()
        assert (answer.status, answer.why) == (431, "headers_too_large")
        assert client.is_closed()


def test_a_head_just_below_the_limit_is_served(scene):
    assert scene.router.score(b"x", headers={"X-Big": "b" * 60000}).status == 200
    assert scene.pod.requests[-1].headers.get("x-big") == "b" * 60000


def test_a_request_line_over_the_limit_is_refused(scene):
    with scene.router.connect() as client:
        client.send(request(b"x", path="/api/v1/endpoint/my-endpoint/score?" + "q" * 70000))
        assert client.response().status in (414, 431)


@pytest.mark.serial
@pytest.mark.long
def test_100_megabytes_up_and_100_down_at_once_need_no_memory(pod, start):
    size, piece = 100_000_000, b"\xa5" * 250_000
    uploaded = threading.Event()

    def behave(exchange):
        if exchange.request.headers.get("x-direction") == "down":
            exchange.head(200, {"Content-Length": str(size)})
            for _ in range(size // len(piece)):
                exchange.send(piece)
        else:
            got = sum(map(len, exchange.pieces()))
            uploaded.set()
            exchange.answer(200, str(got).encode())

    router = start(endpoint(deployment([pod(behave)], slots=2, request_timeout_ms=60000)))
    assert router.score(b"warm").status == 200
    idle = router.memory()
    highest = [idle]
    done = threading.Event()

    def watch():
        while not done.wait(0.01):
            highest[0] = max(highest[0], router.memory())

    def upload():
        with router.connect(timeout=60) as client:
            client.send(request(headers={"Content-Length": str(size)}))
            for _ in range(size // len(piece)):
                client.send(piece)
            return client.response().body

    def download():
        with router.connect(timeout=60) as client:
            client.send(request(b"x", headers={"x-direction": "down"}))
            assert client.head().status == 200
            got = 0
            while got < size:
                got += len(client.reader.some(1 << 20))
            return got

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(2) as pool:
        up, down = pool.submit(upload), pool.submit(download)
        assert up.result() == str(size).encode()
        assert down.result() == size
    done.set()
    watcher.join()
    assert SANITIZED or highest[0] - idle < 16 * MEGABYTE, f"{(highest[0] - idle) / MEGABYTE:.1f} MB above idle"


@pytest.mark.serial
def test_a_client_that_does_not_read_holds_the_pod_back(pod, start):
    sent = [0]

    def flood(exchange):
        exchange.body()
        exchange.head(200, {"Content-Length": str(1 << 30)})
        while True:
            exchange.send(b"f" * 65536)
            sent[0] += 65536

    router = start(endpoint(deployment([pod(flood)])))
    idle = router.memory()
    with router.connect(receive_buffer=16384) as client:
        client.send(request(b"x"))
        client.head()
        last = -1
        while sent[0] != last:  # until all buffers are full
            last = sent[0]
            threading.Event().wait(0.3)
        assert sent[0] < 64 * MEGABYTE
        assert SANITIZED or router.memory() - idle < 16 * MEGABYTE
