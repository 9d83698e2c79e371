"""The PROXY protocol, versions 1 and 2, on a listener that is configured for it, with a trusted peer."""

import socket
import struct
import time

import pytest
from support.client import Client, request
from support.settings import deployment, endpoint

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def version2(source="203.0.113.7", command=1):
    addresses = socket.inet_aton(source) + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 5555, 443)
    return SIGNATURE + bytes([0x20 | command, 0x11]) + struct.pack("!H", len(addresses)) + addresses


def version2_v6():
    addresses = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "::1") + struct.pack("!HH", 1, 2)
    tail = b"\x04\x00\x03abc"  # an unknown TLV
    return SIGNATURE + b"\x21\x21" + struct.pack("!H", len(addresses) + len(tail)) + addresses + tail


@pytest.fixture(scope="module")
def scene(shared_stage):
    class Scene:
        pod = shared_stage.pod()
        router = shared_stage.start(
            endpoint(deployment([pod])), trusted_proxies=["127.0.0.1/32"], limits={"header_timeout_ms": 1000},
            listeners=lambda port: [{"address": "127.0.0.1", "port": port, "proxy_protocol": True}])
    return Scene


@pytest.mark.parametrize("header, address", [
    (b"PROXY TCP4 198.51.100.9 192.0.2.1 4444 443\r\n", "198.51.100.9"),
    (b"PROXY TCP6 2001:db8::9 ::1 4444 443\r\n", "2001:db8::9"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (version2(), "203.0.113.7"),
    (version2_v6(), "2001:db8::7"),
    (version2(command=0), "127.0.0.1"),
    (b"PROXY UNKNOWN ffff:f...f:ffff 192.0.2.1 65535 anything at all\r\n", "127.0.0.1"),
    (SIGNATURE + b"\x20\x00\xff\xff" + b"p" * 65535, "127.0.0.1"),
    (SIGNATURE + b"\x21\x00\xff\xff" + b"\x04\xff\xfc" + b"p" * 65532, "127.0.0.1"),
    (SIGNATURE + b"\x21\x11\x7f\xff" + version2()[16:] + struct.pack("!BH", 0xea, 0x7fff - 15) + b"t" * (0x7fff - 15), "203.0.113.7"),
], ids=["version 1", "over IPv6", "unknown", "version 2", "with a TLV", "local", "unknown and more", "local and 64 KB", "no family and 64 KB",
        "32 KB of TLVs"])
def test_the_address_of_the_client_is_taken_from_the_header(scene, header, address):
    with scene.router.connect() as client:
        client.send(header + request(b"x"))
        assert client.response().status == 200
    assert scene.pod.requests[-1].headers.get("x-forwarded-for") == address


@pytest.mark.parametrize("header", [b"PROXY TCP4 198.51.100.9 192.0.2.1 4444 443\r\n", version2()])
def test_a_header_that_comes_byte_by_byte_is_read(scene, header):
    with scene.router.connect() as client:
        for byte in header + request(b"x"):
            client.send(bytes([byte]))
        assert client.response().status == 200


@pytest.mark.parametrize("garbage", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PROXY TCP4 nonsense\r\n", b"PROXY TCP9 1.1.1.1 2.2.2.2 1 2\r\n",
    b"PROXY " + b"x" * 200, SIGNATURE + b"\x31\x11\x00\x0c" + b"\0" * 12, SIGNATURE + b"\x21\x11\xff\xff" + b"\0" * 600,
    SIGNATURE + b"\x21\x11\x00\x02ab",
    SIGNATURE + b"\x21\x00\x00\x05\x04\x00\x09ab", SIGNATURE + b"\x21\x31\x00\xdb" + b"/" * 216 + b"\x04\x00\x01",
    SIGNATURE + b"\x21\x51\x00\x00", SIGNATURE + b"\x21\x31\x00\x0c" + b"/" * 12,
])
def test_a_connection_without_a_good_header_is_ended(scene, garbage):
    before = len(scene.pod.requests)
    with scene.router.connect() as client:
        client.send(garbage + request(b"x", headers={"Connection": "close"}))
        assert b" 200 " not in client.reader.until_close()
    assert len(scene.pod.requests) == before


@pytest.mark.parametrize("header, believed", [
    (b"PROXY UNKNOWN\r\n", False),
    (b"PROXY UNKNOWN 198.51.100.9 192.0.2.1 4444 443\r\n", False),
    (SIGNATURE + b"\x21\x00\x00\x00", False),  # an unknown address family
    (SIGNATURE + b"\x21\x31\x00\xd8" + b"/" * 216, False),  # a Unix socket
    (SIGNATURE + b"\x20\x00\x00\x00", True),  # LOCAL: a connection of the proxy itself
], ids=["unknown", "unknown and more", "no family", "a Unix socket", "local"])
def test_a_client_whom_the_proxy_does_not_know_is_not_believed(scene, header, believed):
    with scene.router.connect() as client:
        client.send(header + request(b"x", headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"}))
        assert client.response().status == 200
    headers = scene.pod.requests[-1].headers
    assert headers.get("x-forwarded-for") == ("6.6.6.6, 127.0.0.1" if believed else "127.0.0.1")


def test_a_payload_that_does_not_end_is_given_up_in_time(scene):
    begun = time.monotonic()
    with scene.router.connect() as client:
        client.send(SIGNATURE + b"\x20\x00\xff\xff" + b"p" * 600)
        assert client.is_closed()
    assert 0.5 < time.monotonic() - begun < 4


def test_silence_instead_of_a_header_is_ended(scene):
    with scene.router.connect() as client:
        assert client.is_closed()


def test_a_peer_that_is_not_trusted_is_not_believed(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])), trusted_proxies=["10.0.0.0/8"],
                   listeners=lambda port: [{"address": "127.0.0.1", "port": port, "proxy_protocol": True}])
    with router.connect() as client:
        client.send(b"PROXY TCP4 6.6.6.6 192.0.2.1 4444 443\r\n" + request(b"x"))
        answered = client.reader.until_close()
    assert b" 200 " not in answered
    assert blue.requests == []
    assert router.score(b"x").status == 200
    assert blue.requests[-1].headers.get("x-forwarded-for") == "127.0.0.1"


def test_the_header_comes_before_the_handshake(pod, start, authority):
    blue = pod()
    tls = {"certificates": [authority.issue("router.test").as_dict()]}
    router = start(endpoint(deployment([blue])), trusted_proxies=["127.0.0.1"],
                   listeners=lambda port: [{"address": "127.0.0.1", "port": port, "proxy_protocol": True, "tls": tls}])
    with Client(router.port) as client:
        client.send(b"PROXY TCP4 198.51.100.9 192.0.2.1 4444 443\r\n")
        client.socket = authority.client_context().wrap_socket(client.socket, server_hostname="router.test")
        client.reader.socket = client.socket
        assert client.exchange(b"x").status == 200
    assert blue.requests[-1].headers.get("x-forwarded-for") == "198.51.100.9"
    assert blue.requests[-1].headers.get("x-forwarded-proto") == "https"
