"""The router refuses each connection above a limit, reports it once, and goes on serving the others."""

import ssl

import pytest
from support.client import request
from support.settings import deployment, endpoint
from support.wait import eventually

PROXY_LISTENER = {"trusted_proxies": ["127.0.0.1"],
                  "listeners": lambda port: [{"address": "127.0.0.1", "port": port, "proxy_protocol": True}]}


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
