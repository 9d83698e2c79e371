"""RFC 9112: requests that two parties could read differently are refused, and the connection ends.

Each case is a whole connection: such a request, then a second request that must never reach the pod or be answered."""

import pytest
from support.client import PRIMARY, SCORE

HIDDEN = (f"GET {SCORE}/hidden HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {PRIMARY}\r\n\r\n").encode()
AUTHORIZED = f"Host: x\r\nAuthorization: Bearer {PRIMARY}\r\n".encode()


def post(fields, body=b"", line=f"POST {SCORE}/shown HTTP/1.1".encode()):
    return line + b"\r\n" + AUTHORIZED + fields + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"

AMBIGUOUS = {
    "length and chunks (6.1)": post(b"Content-Length: 5\r\n" + CHUNKED, END),
    "chunks and length (6.1)": post(CHUNKED + b"Content-Length: 5\r\n", END),
    "two lengths (6.3)": post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"),
    "two equal lengths": post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    "a list of lengths": post(b"Content-Length: 5, 6\r\n", b"hello"),
    "a list of equal lengths": post(b"Content-Length: 5, 5\r\n", b"hello"),
    "a length with a sign": post(b"Content-Length: +5\r\n", b"hello"),
    "a negative length": post(b"Content-Length: -5\r\n", b"hello"),
    "a hexadecimal length": post(b"Content-Length: 0x5\r\n", b"hello"),
    "a length with a space inside": post(b"Content-Length: 5 5\r\n", b"hello"),
    "an empty length": post(b"Content-Length:\r\n", b"hello"),
    "a length with letters": post(b"Content-Length: 5a\r\n", b"hello"),
    "a length with a point": post(b"Content-Length: 5.0\r\n", b"hello"),
    "a length beyond 64 bits": post(b"Content-Length: 18446744073709551621\r\n", b"hello"),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked\r\n", END),
    "chunked in two fields": post(CHUNKED + CHUNKED, END),
    "chunked not last": post(b"Transfer-Encoding: chunked, identity\r\n", END),
    "identity": post(b"Transfer-Encoding: identity\r\n", b"hello"),
    "chunked and identity fields": post(CHUNKED + b"Transfer-Encoding: identity\r\n", END),
    "an unknown coding": post(b"Transfer-Encoding: xchunked\r\n", END),
    "an empty coding": post(b"Transfer-Encoding:\r\n", END),
    "a coding with a vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n", END),
    "a coding in quotes": post(b'Transfer-Encoding: "chunked"\r\n', END),
    "a coding with a parameter": post(b"Transfer-Encoding: chunked;a=b\r\n", END),
    "a coding in HTTP/1.0 (6.1)": post(CHUNKED, END, line=f"POST {SCORE}/shown HTTP/1.0".encode()),
    "a space before the colon (5.1)": post(b"Content-Length : 5\r\n", b"hello"),
    "a tab before the colon": post(b"Transfer-Encoding\t: chunked\r\n", END),
    "a folded field (5.2)": post(b"X-A: one\r\n two\r\n"),
    "a folded coding": post(b"Transfer-Encoding:\r\n chunked\r\n", END),
    "a fold before the first field": f"POST {SCORE}/shown HTTP/1.1\r\n X: y\r\n".encode() + AUTHORIZED + b"\r\n",
    "a field without a colon": post(b"Nonsense\r\n"),
    "a field without a name": post(b": value\r\n"),
    "a space in a name": post(b"X A: b\r\n"),
    "a NUL in a value": post(b"X-A: a\0b\r\n"),
    "a NUL in a name": post(b"X\0A: b\r\n"),
    "a bare LF in a value": post(b"X-A: a\nContent-Length: 5\r\n", b"hello"),
    "a bare CR in a value": post(b"X-A: a\rContent-Length: 5\r\n", b"hello"),
    "lines that end in LF": f"POST {SCORE}/shown HTTP/1.1\nHost: x\nAuthorization: Bearer {PRIMARY}\n\n".encode(),
    "a head that ends in LF CRLF": f"POST {SCORE}/shown HTTP/1.1\r\n".encode() + AUTHORIZED + b"\n\r\n",
    "a control character in a name": post(b"X\x01A: b\r\n"),
    "a control character in a value": post(b"X-A: \x07\r\n"),
    "two hosts": post(b"Host: y\r\n"),
    "no host in HTTP/1.1": f"POST {SCORE}/shown HTTP/1.1\r\nAuthorization: Bearer {PRIMARY}\r\n\r\n".encode(),
    "a host with a slash": f"GET {SCORE}/shown HTTP/1.1\r\nHost: a/b\r\n\r\n".encode(),
    "a host with a space": f"GET {SCORE}/shown HTTP/1.1\r\nHost: a b\r\n\r\n".encode(),
    "a space in the target": f"GET {SCORE}/shown HTTP/1.1 HTTP/1.1\r\n".encode() + AUTHORIZED + b"\r\n",
    "a tab after the method": f"GET\t{SCORE}/shown HTTP/1.1\r\n".encode() + AUTHORIZED + b"\r\n",
    "two spaces in the request line": f"GET  {SCORE}/shown HTTP/1.1\r\n".encode() + AUTHORIZED + b"\r\n",
    "a target without a slash": b"GET shown HTTP/1.1\r\n" + AUTHORIZED + b"\r\n",
    "a control character in the target": f"GET {SCORE}/shown\x01 HTTP/1.1\r\n".encode() + AUTHORIZED + b"\r\n",
    "a raw byte above ASCII in the method": b"G\xc3\x89T / HTTP/1.1\r\n" + AUTHORIZED + b"\r\n",
    "no version": f"GET {SCORE}/shown\r\n".encode() + AUTHORIZED + b"\r\n",
    "a lower case version": f"GET {SCORE}/shown http/1.1\r\n".encode() + AUTHORIZED + b"\r\n",
    "a chunk size with 0x": post(CHUNKED, b"0x5\r\nhello\r\n" + END),
    "a chunk size with a sign": post(CHUNKED, b"+5\r\nhello\r\n" + END),
    "a negative chunk size": post(CHUNKED, b"-5\r\nhello\r\n" + END),
    "an empty chunk size": post(CHUNKED, b"\r\nhello\r\n" + END),
    "a chunk size that is no number": post(CHUNKED, b"five\r\nhello\r\n" + END),
    "a chunk size beyond 64 bits": post(CHUNKED, b"10000000000000005\r\nhello\r\n" + END),
    "a chunk size with spaces before": post(CHUNKED, b" 5\r\nhello\r\n" + END),
    "a chunk size that ends in LF": post(CHUNKED, b"5\nhello\r\n" + END),
    "a chunk that ends in LF": post(CHUNKED, b"5\r\nhello\n" + END),
    "a chunk longer than it says": post(CHUNKED, b"5\r\nhelloXX" + END),
    "an LF in a chunk extension": post(CHUNKED, b"5;a\nb\r\nhello\r\n" + END),
    "a trailer that is folded": post(CHUNKED, b"0\r\nX-A: b\r\n c\r\n\r\n"),
    "a trailer without a colon": post(CHUNKED, b"0\r\nnonsense\r\n\r\n"),
    "an unknown version": f"GET {SCORE}/shown HTTP/1.2x\r\n".encode() + AUTHORIZED + b"\r\n",
    "HTTP/2 without TLS": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": f"GET {SCORE}/shown HTTP/0.9\r\n".encode() + AUTHORIZED + b"\r\n",
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("shape", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_an_ambiguous_shape_is_refused_and_nothing_behind_it_is_read(scene, shape):
    with scene.router.connect() as client:
        client.send(shape + HIDDEN)
        answer = client.response()
        assert answer.status in (400, 431, 501, 505), answer.status
        assert answer.why in ("bad_request", "unsupported", "headers_too_large")
        assert answer.headers.get("connection") == "close"
        assert client.is_closed(), "the connection should end without a second answer"
    assert not scene.reached("hidden")


GOOD = {
    "an empty line before the request (2.2)": b"\r\n" + post(b"Content-Length: 5\r\n", b"hello"),
    "spaces around a value": post(b"Content-Length: \t 5 \t\r\n", b"hello"),
    "a coding in another case": post(b"Transfer-Encoding: CHUNKED\r\n", b"5\r\nhello\r\n" + END),
    "a chunk size with leading zeros": post(CHUNKED, b"0005\r\nhello\r\n" + END),
    "a chunk size in capitals": post(CHUNKED, b"5\r\nhello\r\nA\r\n0123456789\r\n" + END),
    "an empty value": post(b"X-A:\r\nContent-Length: 5\r\n", b"hello"),
    "bytes above ASCII in a value": post(b"X-A: \xc3\xa9\r\nContent-Length: 5\r\n", b"hello"),
}


@pytest.mark.parametrize("shape", GOOD.values(), ids=GOOD.keys())
def test_an_unusual_but_clear_shape_is_served_and_the_connection_goes_on(scene, shape):
    with scene.router.connect() as client:
        client.send(shape)
        answer = client.response()
        assert answer.status == 200 and answer.body.startswith(b"hello")
        assert client.exchange(b"next").body == b"next"


def test_an_absolute_target_rules_over_the_host_field(scene):
    with scene.router.connect() as client:
        client.send(f"GET http://named.test{SCORE} HTTP/1.1\r\n".encode() + AUTHORIZED + b"\r\n")
        assert client.response("GET").status == 200
    assert scene.pod.requests[-1].headers.get("host") == "named.test"
    assert scene.pod.requests[-1].target == "/score"


def test_what_the_pod_gets_has_one_framing_only(scene):
    for options in ({"body": b"five!"}, {"chunks": [b"five!"]}):
        assert scene.router.score(**options).status == 200
        headers = scene.pod.requests[-1].headers
        assert len(headers.all("content-length")) + len(headers.all("transfer-encoding")) == 1
