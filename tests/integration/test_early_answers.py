"""An answer that arrives before the end of the request's body (contract, sections 4 and 5): the connection stays open if the rest of the
body is known to end soon; otherwise the answer says `Connection: close`. The router answers whatever the client then sends, unless it has
announced the close."""

import threading
import time
from contextlib import ExitStack

import pytest
import requests
from support.client import PRIMARY, SCORE, request
from support.http import encode_chunk
from support.pod import Held
from support.settings import deployment, endpoint
from support.wait import eventually

MEGABYTE = 1 << 20


def refuse_unread(exchange):
    """As FastAPI for an unknown route: answers without waiting for the body, then reads and drops it."""
    exchange.answer(404, b"no such route")


def closes(answer):
    return answer.headers.get("connection", "keep-alive").lower() == "close"


@pytest.fixture(scope="module")
def scene(shared_stage):
    """A router whose pod answers 404 before it reads the body, and 200 to GET."""
    def behave(exchange):
        exchange.answer(200, b"second") if exchange.request.method == "GET" else refuse_unread(exchange)

    return shared_stage.start(endpoint(deployment([shared_stage.pod(behave)], max_queue_wait_ms=20000)))


def next_request_is_served(client):
    answer = client.exchange(method="GET")
    assert (answer.status, answer.body) == (200, b"second")


def test_the_request_after_an_early_answer_is_served(scene):
    with scene.connect() as client:
        client.send(request(headers={"Content-Length": "70000"}))
        answer = client.response()
        assert answer.status == 404 and not closes(answer)
        client.send(b"b" * 70000)
        next_request_is_served(client)


def test_the_request_that_stands_right_behind_the_late_body_is_served(scene):
    with scene.connect() as client:
        client.send(request(headers={"Content-Length": "70000"}) + b"b" * 1000)
        assert client.response().status == 404
        client.send(b"b" * 69000 + request(method="GET"))
        assert client.response("GET").body == b"second"


def test_up_to_a_megabyte_is_dropped_for_the_next_request(scene):
    with scene.connect() as client:
        client.send(request(headers={"Content-Length": str(MEGABYTE)}))
        answer = client.response()
        assert answer.status == 404 and not closes(answer)
        client.send(b"m" * MEGABYTE)
        next_request_is_served(client)


def test_a_rest_of_more_than_a_megabyte_closes(scene):
    with scene.connect() as client:
        client.send(request(headers={"Content-Length": str(2 * MEGABYTE)}))
        answer = client.response()
        assert answer.status == 404 and closes(answer)
        assert client.is_closed()


def test_an_unfinished_chunked_body_closes(scene):
    with scene.connect() as client:
        client.send(request(headers={"Transfer-Encoding": "chunked"}, length=False) + encode_chunk(b"begun"))
        answer = client.response()
        assert answer.status == 404 and closes(answer)
        assert client.is_closed()


def test_a_client_that_leaves_instead_of_sending_the_rest_costs_nothing(scene):
    for _ in range(3):
        with scene.connect() as client:
            client.send(request(headers={"Content-Length": "70000"}))
            assert client.response().status == 404
    assert scene.score(method="GET").body == b"second"
    eventually(lambda: scene.metrics().value("connections_active") == 0, "the connections to end")


def test_the_slot_does_not_wait_for_the_rest(pod, start):
    """The pod's connection is free at once: the router serves another client while the first still has to send its body."""
    def behave(exchange):
        exchange.answer(200, b"second") if exchange.request.method == "GET" else refuse_unread(exchange)

    router = start(endpoint(deployment([pod(behave)])))
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "70000"}))
        assert client.response().status == 404
        begun = time.monotonic()
        assert router.score(method="GET").body == b"second"
        assert time.monotonic() - begun < 1


def test_a_pod_that_answers_while_the_body_goes_on_is_served(pod, start):
    """Duplex: the pod answers each piece before the client sends the next one."""
    def behave(exchange):
        exchange.begin_chunks()
        for piece in exchange.pieces():
            exchange.chunk(piece.upper())
        exchange.end_chunks()

    router = start(endpoint(deployment([pod(behave)])))
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "66000"}))
        answer = client.head()
        assert answer.status == 200 and not closes(answer)
        for piece in (b"first-----", b"second----", b"third-----"):
            client.send(piece)
            assert client.chunk() == piece.upper()
        client.send(b"r" * (66000 - 30))
        assert b"".join(iter(client.chunk, b"")) == b"R" * (66000 - 30) and not client.reader.fields()
        assert client.exchange(b"again").status == 200


def test_an_expecting_client_that_is_refused_is_told_to_close(scene):
    """The router did not request the body. The client may still send it, so the router cannot know what the next bytes are (RFC 9110,
    10.1.1)."""
    with scene.connect() as client:
        client.send(request(headers={"Content-Length": "10", "Expect": "100-continue"}, key="wrong"))
        answer = client.response()
        assert answer.status == 401 and closes(answer) and not answer.interim
        assert client.is_closed()


def test_an_expecting_client_that_has_begun_its_body_keeps_its_connection(scene):
    with scene.connect() as client:
        client.send(request(headers={"Content-Length": "10", "Expect": "100-continue"}, key="wrong") + b"01234")
        answer = client.response()
        assert answer.status == 401 and not closes(answer)
        client.send(b"56789")
        next_request_is_served(client)


# --- answers of the router itself -------------------------------------------------------------------------------------------------

def test_a_refused_key_keeps_the_connection(scene):
    with scene.connect() as client:
        for _ in range(20):
            client.send(request(headers={"Content-Length": "5000"}, key="wrong"))
            answer = client.response()
            assert answer.why == "unauthorized" and not closes(answer)
            client.send(b"b" * 5000)
        next_request_is_served(client)


def test_a_full_queue_keeps_the_connection(pod, start):
    hold = Held()
    blue = pod(hold)
    router = start(endpoint(deployment([blue], router={"max_queue_length": 1}, max_queue_wait_ms=20000)))
    others = [router.start_request(b"1")]
    eventually(lambda: blue.concurrent == 1, "the pod to be busy")
    others.append(router.start_request(b"2"))
    eventually(lambda: router.queue_length() == 1, "the queue to be full")
    with router.connect() as client:
        for _ in range(5):
            client.send(request(headers={"Content-Length": "70000"}))
            answer = client.response()
            assert answer.why == "queue_full" and not closes(answer)
            client.send(b"b" * 70000)
        hold.release.set()
        assert [other.response().status for other in others] == [200, 200]
        assert client.exchange(b"now").status == 200
    for other in others:
        other.close()


def test_a_health_check_with_a_body_keeps_the_connection(scene):
    with scene.connect() as client:
        client.send(request(method="GET", path="/healthz", headers={"Content-Length": "10"}))
        answer = client.response("GET")
        assert answer.status == 200 and not closes(answer)
        client.send(b"0123456789")
        next_request_is_served(client)


def test_a_body_over_the_limit_closes_where_much_is_left(pod, start):
    router = start(endpoint(deployment([pod()], router={"max_request_bytes": 1000})))
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "2000"}))
        answer = client.response()
        assert answer.why == "payload_too_large" and not closes(answer)
        client.send(b"b" * 2000)
        client.send(request(headers={"Content-Length": str(2 * MEGABYTE)}))
        answer = client.response()
        assert answer.why == "payload_too_large" and closes(answer)


def test_with_tls_too(pod, start, authority):
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod(refuse_unread)])), tls={"certificates": [pair.as_dict()]})
    with router.connect(tls=authority.client_context(), server_name="router.test") as client:
        for _ in range(3):
            client.send(request(headers={"Content-Length": "100000"}))
            answer = client.response()
            assert answer.status == 404 and not closes(answer)
            client.send(b"m" * 100000)


def test_no_client_of_a_pool_loses_a_request(scene):
    """Python's requests sends 1 MB to a route that answers 404 at once, then sends another request on the same connection."""
    lost = []

    def work():
        with requests.Session() as session:
            url = f"http://127.0.0.1:{scene.port}{SCORE}"
            headers = {"Authorization": f"Bearer {PRIMARY}"}
            for _ in range(15):
                try:
                    refused = session.post(url, data=b"m" * 1_000_000, headers=headers, timeout=10)
                    answered = session.get(url, headers=headers, timeout=10)
                except requests.RequestException as error:
                    lost.append(error)
                else:
                    lost.extend(each.text for each, status in ((refused, 404), (answered, 200)) if each.status_code != status)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not lost


@pytest.mark.serial
def test_a_client_that_neither_reads_its_answer_nor_sends_its_body_is_let_go_in_seconds(pod, start):
    """Such a client kept its connection as long as one that had sent everything: `send_timeout_ms`, by default 60 s."""
    def behave(exchange):
        exchange.answer(200, b"a" * int(exchange.request.headers.get("x-size")))
        exchange.wait_for_close()

    blue = pod(behave)
    router = start(endpoint(deployment([blue], slots=0)), limits={"send_timeout_ms": 20_000})
    bodies = [{"Content-Length": "70000"}, {"Content-Length": "9000000"}, {"Transfer-Encoding": "chunked"}]
    with ExitStack() as stack:
        # It depends on the kernel how much it accepts. With one of these sizes, the last piece of the answer stays in the router.
        sizes = [300_000 + 20_000 * i for i in range(20)]
        clients = [stack.enter_context(router.connect(receive_buffer=4096)) for _ in sizes]
        begun = time.monotonic()
        for i, (client, size) in enumerate(zip(clients, sizes)):
            client.send(request(headers={**bodies[i % 3], "x-size": str(size)}, length=False) + (b"1\r\nx\r\n" if i % 3 == 2 else b""))
        eventually(lambda: len(blue.requests) == len(sizes), "all requests to be answered")
        eventually(lambda: router.metrics().value("connections_active") == 0, "all connections to be closed", patience=19)
        took = time.monotonic() - begun
    print(f"\nthe last one after {took:.1f} s")
    assert took < 12, "5 s if the client has not read the pod's answer, 2 s for the others"
    assert router.slots_in_use() == 0
