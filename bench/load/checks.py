"""Checks before and after the measurements; if one fails, the run fails."""
import http.client
import re
import socket
import ssl
import urllib.request

from proxies import ENDPOINT, wait_until

PATH = f"/api/v1/endpoint/{ENDPOINT}/score"
SIZES = {"": 200, "?size=1000": 1000, "?size=1048576": 1048576, "?events=3&gap_us=1000": 300}  # of the answers' bodies, by query


def require(true, what):
    if not true:
        raise SystemExit(f"FAILED: {what}")


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def post(port, key, tls=False, query="", size=1024):
    """Sends a POST; returns status, body, TLS version."""
    if tls:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=client_context())
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", PATH + query, body=b"x" * size, headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
        version = connection.sock.version() if tls else None
        answer = connection.getresponse()
        return answer.status, answer.read(), version
    finally:
        connection.close()


def check_stub(stub):
    """The stub understands every framing, also in pieces, and several requests at once."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\n"
    requests = (head + b"Content-Length: 5\r\n\r\n12345" + head + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\n123\r\n0\r\nT: x\r\n\r\n"
                + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + head + b"content-length:0\r\n\r\n")
    for size in (len(requests), 7, 1):
        before = stub.requests()
        with socket.create_connection(("127.0.0.1", stub.ports[0]), 5) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(requests), size):
                client.sendall(requests[start:start + size])
            answers = b""
            while answers.count(b"}") < 4:
                piece = client.recv(65536)
                require(piece, f"the stub answered {answers!r} and closed")
                answers += piece
        require(answers.count(b"HTTP/1.1 200 OK\r\n") == 4 and stub.requests() - before == 3, f"the stub answered {answers!r}")


def answers_score(port, key):
    try:
        return post(port, key)[0] == 200
    except OSError:
        return False


def wait_for_answer(fleet, proxy):
    """Waits until the proxy answers 200. The router first probes its replicas."""
    wait_until(lambda: proxy.must_run() and answers_score(proxy.http, fleet.key), f"{proxy.name} answers 200")
    proxy.find_family()


def check_proxy(fleet, proxy):
    """The proxy gives answers of all sizes, over plaintext and TLS with either certificate, and refuses a wrong key."""
    wait_for_answer(fleet, proxy)
    for query, size in SIZES.items():
        for port in (proxy.http, *proxy.https.values()):
            status, body, version = post(port, fleet.key, port != proxy.http, query, size=100_000)
            require(status == 200 and len(body) == size, f"{proxy.name} answered {status}, {len(body)} bytes to {query!r}")
            require(version in (None, "TLSv1.3"), f"{proxy.name} speaks {version}")
    if proxy.name != "direct":
        status = post(proxy.http, "a-wrong-key")[0]
        require(status == 401, f"{proxy.name} does not check keys: {status} for a wrong one")


def check_router_after(router):
    """The router's metrics count no failed requests except those that the checks sent."""
    with urllib.request.urlopen(f"http://127.0.0.1:{router.observe}/metrics", timeout=10) as answer:
        lines = re.findall(r'^inference_router_requests_total\{(.*)\} (\S+)$', answer.read().decode(), re.MULTILINE)
    odd = {labels: count for labels, count in lines if float(count) and not re.search(r'code="(200|401|499|503)"', labels)}
    require(not odd, f"the router failed requests: {odd}")
