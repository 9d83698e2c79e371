"""RFC 9110 and 9112 on a client's connection: persistence, pipelining, HTTP/1.0, messages without a body."""

import pytest
from support.client import Client, request
from support.settings import deployment, endpoint


def test_pipelined_requests_are_answered_in_order(scene):
    with scene.router.connect() as client:
        client.send(b"".join(request(b"%d" % number) for number in range(200)))
        assert [client.response().body for _ in range(200)] == [b"%d" % number for number in range(200)]


def test_pipelined_requests_behind_a_refused_one_are_answered(scene):
    with scene.router.connect() as client:
        client.send(request(b"1") + request(b"2", key="wrong") + request(b"3", path="/nowhere") + request(chunks=[b"4"]))
        assert [client.response().status for _ in range(4)] == [200, 401, 404, 200]


def test_a_connection_serves_many_requests(scene):
    with scene.router.connect() as client:
        for number in range(300):
            assert client.exchange(b"%d" % number).body == b"%d" % number


def test_connection_close_ends_the_connection_after_the_answer(scene):
    for value in ("close", "Close", "foo, close"):
        with scene.router.connect() as client:
            answer = client.exchange(b"x", headers={"Connection": value})
            assert answer.status == 200 and answer.headers.get("connection") == "close"
            assert client.is_closed()


def test_http_1_0_closes_after_the_answer_unless_asked_to_stay(scene):
    with scene.router.connect() as client:
        answer = client.exchange(b"x", version="HTTP/1.0")
        assert answer.body == b"x"
        assert client.is_closed()
    with scene.router.connect() as client:
        for _ in range(3):
            answer = client.exchange(b"x", version="HTTP/1.0", headers={"Connection": "keep-alive"})
            assert answer.body == b"x" and answer.headers.get("connection").lower() == "keep-alive"


def test_http_1_0_needs_no_host(scene):
    answer = scene.router.score(b"x", version="HTTP/1.0", host=None)
    assert answer.status == 200


def test_http_1_0_gets_no_chunks_and_no_interim_response(pod, start):
    def behave(exchange):
        exchange.body()
        exchange.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        exchange.begin_chunks()
        exchange.chunk(b"one ")
        exchange.chunk(b"two")
        exchange.end_chunks()

    router = start(endpoint(deployment([pod(behave)])))
    with router.connect() as client:
        answer = client.exchange(b"x", version="HTTP/1.0", headers={"Connection": "keep-alive"})
        assert answer.body == b"one two" and answer.interim == []
        assert "transfer-encoding" not in answer.headers
        assert client.is_closed()


def test_a_response_to_head_has_no_body_and_keeps_its_length(pod, start):
    def behave(exchange):
        exchange.head(200, {"Content-Length": "1234"})
        exchange.ended()

    router = start(endpoint(deployment([pod(behave)])))
    with router.connect() as client:
        for _ in range(3):
            answer = client.exchange(method="HEAD")
            assert answer.status == 200 and answer.headers.get("content-length") == "1234"


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_ends_with_its_head(pod, start, status):
    def behave(exchange):
        exchange.body()
        exchange.head(status, {"ETag": '"1"'})
        exchange.ended()

    router = start(endpoint(deployment([pod(behave)])))
    with router.connect() as client:
        for _ in range(3):
            answer = client.exchange(b"x")
            assert answer.status == status and answer.headers.get("etag") == '"1"'
            assert "transfer-encoding" not in answer.headers
    assert router.metrics().value("requests_total", code=str(status)) >= 2


def test_a_304_may_tell_the_length_that_a_200_would_have(pod, start):
    router = start(endpoint(deployment([pod(lambda exchange: (exchange.body(), exchange.head(304, {"Content-Length": "99"}), exchange.ended()))])))
    with router.connect() as client:
        assert client.exchange(b"x").status == 304
        assert client.exchange(b"x").status == 304


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("length", [{}, {"Content-Length": "9"}])
def test_the_424_that_hides_a_status_without_a_body_has_an_end(pod, start, status, length):
    def behave(exchange):
        exchange.body()
        exchange.head(status, length)
        exchange.ended()

    router = start(endpoint(deployment([pod(behave)]), router={"status_profile": "managed"}))
    with router.connect() as client:
        for _ in range(2):
            answer = client.exchange(b"x")
            assert (answer.status, answer.body, answer.headers.get("content-length")) == (424, b"", "0")


def test_an_interim_response_has_no_length(pod, start):
    def behave(exchange):
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 20\r\n\r\n")
        exchange.answer(200, exchange.body())

    answer = start(endpoint(deployment([pod(behave)]))).score(b"x")
    assert answer.interim[0].headers.get("link") == "</a>" and "content-length" not in answer.interim[0].headers
    assert (answer.status, answer.body) == (200, b"x")


def test_an_empty_answer_is_an_answer(pod, start):
    router = start(endpoint(deployment([pod(lambda exchange: (exchange.body(), exchange.answer(200)))])))
    with router.connect() as client:
        for _ in range(3):
            answer = client.exchange(b"x")
            assert (answer.status, answer.body) == (200, b"")
            assert answer.headers.get("content-length") == "0"


def test_an_answer_in_http_1_0_is_relayed_and_its_connection_not_used_again(pod, start):
    def behave(exchange):
        exchange.body()
        exchange.send(b"HTTP/1.0 200 Old\r\nContent-Type: text/plain\r\n\r\nold but good")
        exchange.close()

    blue = pod(behave)
    router = start(endpoint(deployment([blue])))
    with router.connect() as client:
        for _ in range(3):
            answer = client.exchange(b"x")
            assert (answer.status, answer.body) == (200, b"old but good")
    assert len({one.connection for one in blue.requests}) == 3


def test_a_reason_phrase_and_an_unusual_status_pass(pod, start):
    router = start(endpoint(deployment([pod(lambda exchange: (exchange.body(), exchange.answer(299, b"!", reason="Rather odd")))])))
    answer = router.score(b"x")
    assert (answer.status, answer.reason, answer.body) == (299, "Rather odd", b"!")


def test_the_router_answers_in_http_1_1_whatever_the_pod_speaks(pod, start):
    def behave(exchange):
        exchange.body()
        exchange.send(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi")

    router = start(endpoint(deployment([pod(behave)])))
    answer = router.score(b"x")
    assert (answer.version, answer.body) == ("HTTP/1.1", b"hi")


def test_bytes_behind_an_answer_of_a_pod_are_never_taken_for_the_next_one(pod, start):
    """Response smuggling: bytes that a pod sends after its answer must not reach another client."""
    def behave(exchange):
        body = exchange.body()
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                      + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")

    router = start(endpoint(deployment([pod(behave)])))
    with router.connect() as client:
        for number in range(20):
            answer = client.exchange(b"%d" % number)
            assert answer.body == b"%d" % number or answer.status in (502,)
            assert answer.body != b"forged"


def test_a_client_that_sends_nothing_costs_nothing(scene):
    with Client(scene.router.port):
        assert scene.router.score(b"x").status == 200


def test_options_of_the_server_itself_are_not_forwarded(scene):
    before = len(scene.pod.requests)
    answer = scene.router.score(method="OPTIONS", path="*")
    assert answer.status in (200, 400, 404)
    assert len(scene.pod.requests) == before
