"""A scripted model server: a function of the test decides how it answers a request."""

import select
import socket
import struct
import threading
import time
from dataclasses import dataclass

from .http import Gone, Headers, Reader, encode_chunk, encode_head
from .listening import refuse_connections, stop_listening

PROBE = "/ready"  # the readiness route of every deployment in the tests; these requests are not counted


@dataclass
class Request:
    method: str
    target: str
    version: str
    headers: Headers
    body: bytes = b""
    trailers: Headers = None
    connection: int = 0  # number of the connection that carried it


class Exchange:
    """One request at the pod, with methods to answer it in any way."""

    def __init__(self, pod, connection, number, request):
        self.pod, self.connection, self.request = pod, connection, request
        self.number = number
        self._socket, self._reader = connection.socket, connection.reader
        self._counted = True
        self._body_read = False

    # reading
    def pieces(self):
        """Yields the pieces of the body as they arrive."""
        headers = self.request.headers
        if headers.get("transfer-encoding"):
            while piece := self._reader.chunk():
                yield piece
            self.request.trailers = self._reader.fields()
        else:
            left = int(headers.get("content-length", "0"))
            while left:
                piece = self._reader.some(left)
                left -= len(piece)
                yield piece
        self._body_read = True

    def body(self):
        if not self._body_read:
            self.request.body = b"".join(self.pieces())
        return self.request.body

    def wait(self, event=None, seconds=20.0):
        """Waits for `event`; without an event, waits for `seconds`. Raises Gone if the router closes the connection meanwhile."""
        deadline = time.monotonic() + seconds
        while not (event is not None and event.is_set()):
            left = deadline - time.monotonic()
            if left <= 0:
                assert event is None, "the event was not set in time"
                return
            pause = left if event is None else min(left, 0.005)
            if select.select([self._socket], [], [], pause)[0]:
                self._reader.fill()

    def wait_for_close(self, seconds=20.0):
        """Waits until the router closes the connection: always raises Gone."""
        self.wait(None, seconds)
        raise AssertionError("the router did not close the connection")

    # answering
    def send(self, data):
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Gone(str(error)) from error

    def head(self, status=200, headers=(), reason="Fine"):
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        self.send(encode_head(f"HTTP/1.1 {status} {reason}", pairs))

    def answer(self, status=200, body=b"", headers=(), reason="Fine", length=True):
        """Sends a whole answer. The exchange counts as ended just before the last byte is sent."""
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        if length:
            pairs.append(("Content-Length", str(len(body))))
        data = encode_head(f"HTTP/1.1 {status} {reason}", pairs) + body
        self.send(data[:-1])
        self.ended()
        self.send(data[-1:])

    def begin_chunks(self, status=200, headers=()):
        self.head(status, [*(headers.items() if isinstance(headers, dict) else headers), ("Transfer-Encoding", "chunked")])

    def chunk(self, data):
        self.send(encode_chunk(data))

    def end_chunks(self, trailers=()):
        data = b"0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in trailers).encode() + b"\r\n"
        self.send(data[:-1])
        self.ended()
        self.send(data[-1:])

    def close(self):
        """Ends the connection: it takes no further request."""
        self.ended()
        self.connection.close()

    def reset(self):
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def ended(self):
        if self._counted:
            self._counted = False
            with self.pod.lock:
                self.pod.concurrent -= 1


class _Connection:
    def __init__(self, sock, number):
        self.socket, self.number = sock, number
        self.reader = Reader(sock)
        self.open = True
        self.before_close = lambda: None

    def close(self):
        if self.open:
            self.open = False
            self.before_close()  # the count changes before anyone can see that the connection ended
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.socket.close()


def echo(exchange):
    """The default behaviour: the pod echoes the body."""
    body = exchange.body()
    kind = exchange.request.headers.get("content-type", "application/octet-stream")
    exchange.answer(200, body, {"Content-Type": kind, "x-pod": exchange.pod.name})


class Clogged:
    """A server whose kernel neither accepts nor refuses further connections after `clog()`: connecting never completes. Before that, it is
    ready and echoes."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._clogged = threading.Event()
        self._waiting = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while not self._clogged.is_set():
            if not select.select([self._listener], [], [], 0.01)[0]:
                continue
            sock, _ = self._listener.accept()
            with sock:
                reader = Reader(sock)
                try:
                    reader.line()
                    length = int(reader.fields().get("content-length", "0"))
                    while length:
                        length -= len(reader.some(length))
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                except (Gone, OSError):
                    pass

    def clog(self):
        self._clogged.set()
        self._thread.join()
        while True:  # fills the backlog
            sock = socket.socket()
            self._waiting.append(sock)
            sock.settimeout(0.2)
            try:
                sock.connect(self._listener.getsockname())
            except TimeoutError:
                return

    def stop(self):
        self._clogged.set()
        self._thread.join()
        for sock in [*self._waiting, self._listener]:
            sock.close()


class Held:
    """A behaviour of a pod: it answers only when `release` is set."""

    def __init__(self):
        self.release = threading.Event()

    def __call__(self, exchange):
        exchange.body()
        exchange.wait(self.release)
        exchange.answer()


class Pod:
    """Listens as soon as it is constructed; `behave(exchange)` runs on the thread of the connection. With `one_at_a_time` the server is
    single-threaded and serves one connection until it ends, as simple keep-alive servers do."""

    ready = True  # what it answers to probes

    def __init__(self, behave=echo, name="pod", tls=None, one_at_a_time=False, host="127.0.0.1", port=0):
        self.behave, self.name, self._tls, self._one_at_a_time = behave, name, tls, one_at_a_time
        self.lock = threading.Lock()
        self.requests = []
        self.failures = []  # what a behaviour raised: an error of the test or of the router
        self.concurrent = self.most_concurrent = 0
        self.connections = self.most_connections = self.accepted = 0
        self.aborts = 0  # exchanges whose connection the router ended
        self.probes = 0
        self._open = set()
        self._stopping = False
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=512)
        self.port = self._listener.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def stop(self):
        """Stops listening and ends every connection."""
        self._stopping = True
        refuse_connections(self._listener)
        for connection in list(self._open):
            try:
                connection.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        stop_listening(self._listener, self._accepting)

    def _accept(self):
        while not self._stopping:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self._one_at_a_time:
                self._serve(sock)
            else:
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
        except OSError:
            sock.close()
            return
        with self.lock:
            self.accepted += 1
            connection = _Connection(sock, self.accepted)
            self._open.add(connection)
        counted = False

        def uncount():
            nonlocal counted
            with self.lock:
                self.connections -= counted
                counted = False

        connection.before_close = uncount
        try:
            while connection.open:
                request = self._read_request(connection)
                if request.target == PROBE:
                    self._answer_probe(sock)
                    continue
                if not counted:
                    counted = True
                    with self.lock:
                        self.connections += 1
                        self.most_connections = max(self.most_connections, self.connections)
                self._run(connection, request)
        except (Gone, OSError, ValueError):
            pass
        finally:
            with self.lock:
                self._open.discard(connection)
            uncount()
            connection.close()

    def _read_request(self, connection):
        method, target, version = connection.reader.line().decode("latin-1").split(" ")
        return Request(method, target, version, connection.reader.fields(), connection=connection.number)

    def _answer_probe(self, sock):
        self.probes += 1
        status = "200 OK" if self.ready else "503 Busy"
        sock.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    def _run(self, connection, request):
        with self.lock:
            self.concurrent += 1
            self.most_concurrent = max(self.most_concurrent, self.concurrent)
            self.requests.append(request)
            number = len(self.requests)
        exchange = Exchange(self, connection, number, request)
        try:
            self.behave(exchange)
            if connection.open:
                exchange.body()
        except (Gone, OSError) as error:
            with self.lock:
                self.aborts += 1
            raise Gone() from error
        except Exception as error:  # reported at the end of the test
            self.failures.append(error)
            raise Gone() from error
        finally:
            exchange.ended()


class UnreadyPod(Pod):
    """Fails its probes from the first moment on: no probe can have found it ready before the test says so."""

    ready = False
