"""Streams in lockstep: the pod sends event n+1 only after the client has confirmed event n. If the router holds a byte back, the test
fails."""

import threading

import pytest
from support.client import request
from support.settings import deployment, endpoint
from support.wait import eventually

EVENTS = 1000


class Lockstep:
    """A pod's behaviour; `confirm` lets it send the next event."""

    def __init__(self, size, chunked, events=EVENTS):
        self._size, self._chunked, self._events = size, chunked, events
        self._confirmed = threading.Semaphore(0)

    def event(self, number):
        return (b"data: %08d " % number).ljust(self._size - 2, b".") + b"\n\n"

    def confirm(self):
        self._confirmed.release()

    def __call__(self, exchange):
        exchange.body()
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        if self._chunked:
            exchange.begin_chunks(headers=headers)
        else:
            exchange.head(200, headers)
        for number in range(self._events):
            exchange.chunk(self.event(number)) if self._chunked else exchange.send(self.event(number))
            assert self._confirmed.acquire(timeout=15), f"event {number} was held back"
        exchange.end_chunks() if self._chunked else exchange.close()


@pytest.mark.long
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "until close"])
@pytest.mark.parametrize("size", [50, 65536])
def test_each_event_reaches_the_client_at_once(pod, start, authority, size, chunked, tls):
    lockstep = Lockstep(size, chunked)
    settings = {"tls": {"certificates": [authority.issue("router.test").as_dict()]}} if tls else {}
    router = start(endpoint(deployment([pod(lockstep)])), **settings)
    router.client_context = authority.client_context() if tls else None
    with router.start_request(b'{"stream": true}') as client:
        head = client.head()
        assert head.status == 200 and head.headers.get("content-type") == "text/event-stream"
        pending = b""
        for number in range(EVENTS):
            while len(pending) < size:
                pending += client.chunk()
            event, pending = pending[:size], pending[size:]
            assert event == lockstep.event(number)
            lockstep.confirm()
        assert pending == b"" and client.chunk() == b""


def test_each_piece_of_a_request_reaches_the_pod_at_once(pod, start):
    arrived = threading.Semaphore(0)

    def confirm_each(exchange):
        for _ in exchange.pieces():
            arrived.release()
        exchange.answer(200, b"done")

    router = start(endpoint(deployment([pod(confirm_each)])))
    with router.connect() as client:
        client.send(request(headers={"Transfer-Encoding": "chunked"}, length=False))
        for _ in range(200):
            client.send(b"5\r\nhello\r\n")
            assert arrived.acquire(timeout=10), "a piece was held back"
        client.send(b"0\r\n\r\n")
        assert client.response().body == b"done"


def test_both_directions_stream_at_the_same_time(pod, start):
    def converse(exchange):
        exchange.begin_chunks()
        for piece in exchange.pieces():
            exchange.chunk(piece.upper())
        exchange.end_chunks()

    router = start(endpoint(deployment([pod(converse)])))
    with router.connect() as client:
        client.send(request(headers={"Transfer-Encoding": "chunked"}, length=False))
        assert client.head().status == 200
        for _ in range(100):
            client.send(b"4\r\nping\r\n")
            assert client.chunk() == b"PING"
        client.send(b"0\r\n\r\n")
        assert client.chunk() == b""


def test_the_head_of_an_answer_is_not_held_until_its_body(pod, start):
    go_on = threading.Event()

    def behave(exchange):
        exchange.body()
        exchange.head(200, {"Content-Length": "4"})
        exchange.wait(go_on)
        exchange.send(b"body")

    router = start(endpoint(deployment([pod(behave)])))
    with router.start_request(b"x") as client:
        assert client.head().status == 200
        go_on.set()
        assert client.reader.exactly(4) == b"body"


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}], ids=["keep-alive", "close"])
def test_the_slot_is_free_when_the_pod_is_done_not_when_the_client_has_read(pod, start, headers):
    def behave(exchange):
        exchange.body()
        exchange.answer(200, b"a" * 60000, headers)
        if headers:
            exchange.wait_for_close()

    blue = pod(behave)
    router = start(endpoint(deployment([blue])))
    slow = router.connect(receive_buffer=4096)
    slow.send(request(b"slow"))
    eventually(lambda: len(blue.requests) == 1 and blue.concurrent == 0, "the pod to finish")
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free, although the client has read nothing")
    assert router.score(b"other").status == 200
    assert len(slow.response().body) == 60000
    slow.close()
