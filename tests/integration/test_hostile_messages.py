"""Requests and answers of attackers: heads that are too large or contain forbidden bytes, paths that two parsers read in two ways."""

import pytest
from support.client import request
from support.settings import deployment, endpoint
from support.wait import eventually


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
