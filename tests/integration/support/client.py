"""A client on the level of bytes: it sends exactly the given bytes and reads exactly the bytes that arrive."""

import json
import socket
import struct
from dataclasses import dataclass, field

from .http import Gone, Headers, Reader, encode_chunk, encode_head

PRIMARY = "primary-key-of-the-tests-0001"
SECONDARY = "secondary-key-of-the-tests-0002"
SCORE = "/api/v1/endpoint/my-endpoint/score"


def request(body=b"", method="POST", path=SCORE, headers=(), key=PRIMARY, host="router.test", chunks=None, length=True,
            version="HTTP/1.1", trailers=()):
    """Returns the bytes of a request. `headers` is a dict or pairs. If `chunks` is given, the body is that list, sent chunked."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
    given = {name.lower() for name, _ in pairs}
    fields = [("Host", host)] if host is not None and "host" not in given else []
    if key is not None and "authorization" not in given:
        fields.append(("Authorization", f"Bearer {key}"))
    fields += pairs
    if chunks is not None:
        fields.append(("Transfer-Encoding", "chunked"))
        end = b"0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in trailers).encode() + b"\r\n"
        body = b"".join(map(encode_chunk, chunks)) + end
    elif length and "content-length" not in given and (body or method in ("POST", "PUT", "PATCH")):
        fields.append(("Content-Length", str(len(body))))
    return encode_head(f"{method} {path} {version}", fields) + body


@dataclass
class Response:
    status: int
    reason: str
    headers: Headers
    version: str = "HTTP/1.1"
    body: bytes = b""
    trailers: Headers = field(default_factory=Headers)
    interim: list = field(default_factory=list)

    def json(self):
        return json.loads(self.body)

    @property
    def why(self):
        """The router's reason; None if the answer is the pod's."""
        return self.headers.get("x-router-reason")


class Client:
    def __init__(self, port, host="127.0.0.1", tls=None, server_name=None, timeout=15, receive_buffer=None, session=None):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.settimeout(timeout)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=server_name, session=session)
        self.reader = Reader(self.socket)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes the connection with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def finish_sending(self):
        self.socket.shutdown(socket.SHUT_WR)

    def send(self, data):
        self.socket.sendall(data)
        return self

    def head(self):
        """Returns the next response head, which may be an interim one."""
        version, status, reason = (self.reader.line().decode("latin-1") + " ").split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), version
        return Response(int(status), reason.strip(), self.reader.fields(), version)

    def response(self, method="POST"):
        """Returns a whole response; the interim ones before it are in `interim`."""
        interim = []
        answer = self.head()
        while answer.status < 200:
            interim.append(answer)
            answer = self.head()
        answer.interim = interim
        if method == "HEAD" or answer.status in (204, 304):
            return answer
        if answer.headers.get("transfer-encoding"):
            assert answer.headers.get("transfer-encoding") == "chunked" and "content-length" not in answer.headers
            pieces = list(iter(self.reader.chunk, b""))
            answer.body, answer.trailers = b"".join(pieces), self.reader.fields()
        elif "content-length" in answer.headers:
            answer.body = self.reader.exactly(int(answer.headers.get("content-length")))
        else:
            answer.body = self.reader.until_close()
        return answer

    def chunk(self):
        return self.reader.chunk()

    def exchange(self, *args, **kwargs):
        self.send(request(*args, **kwargs))
        return self.response(kwargs.get("method", "POST"))

    def is_closed(self):
        """Waits for the end of the connection. Returns True if no byte arrives before it."""
        try:
            self.reader.fill()
        except Gone:
            return not self.reader.buffer
        return False
