"""What must hold before and after anything is measured; otherwise the run fails."""
import http.client
import re
import socket
import ssl
import urllib.request

from proxies import wait_until

PATH = "/api/v1/endpoint/bench/score"
BODY_SIZE = 200
CIPHERS = {}  # by proxy


def require(true, what):
    if not true:
        raise SystemExit(f"FAILED: {what}")


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def post(port, key, tls=False):
    if tls:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=client_context())
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", PATH, body=b"x" * 1024, headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
        cipher = connection.sock.cipher()[:2] if tls else None
        answer = connection.getresponse()
        return answer.status, answer.read(), cipher
    finally:
        connection.close()


def check_stub(stub):
    """Every framing, also in pieces and several requests at once."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\n"
    requests = (head + b"Content-Length: 5\r\n\r\n12345" + head + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\n123\r\n0\r\nT: x\r\n\r\n"
                + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + head + b"content-length:0\r\n\r\n")
    for size in (len(requests), 7, 1):
        before = stub.requests()
        with socket.create_connection(("127.0.0.1", stub.http), 5) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(requests), size):
                client.sendall(requests[start:start + size])
            answers = b""
            while answers.count(b"}") < 4:
                piece = client.recv(65536)
                require(piece, f"the stub answered {answers!r} and closed")
                answers += piece
        require(answers.count(b"HTTP/1.1 200 OK\r\n") == 4 and stub.requests() - before == 3, f"the stub answered {answers!r}")


def check_answer(name, port, key, tls):
    status, body, cipher = post(port, key, tls)
    require(status == 200 and len(body) == BODY_SIZE and body.startswith(b'{"prediction"'), f"{name} answered {status} {body!r}")
    if tls:
        CIPHERS[name] = cipher
        require(cipher[1] == "TLSv1.3", f"{name} speaks {cipher}")


def answers_score(port, key):
    try:
        return post(port, key)[0] == 200
    except OSError:
        return False


def check_before(bench, proxies):
    check_stub(bench.stub)
    # The router waits for its replica's readiness, which it asks for at the start.
    wait_until(lambda: bench.router.must_run() and answers_score(bench.router.http, bench.key), "the router answers 200")
    for name, proxy in proxies.items():
        check_answer(name, proxy.http, bench.key, tls=False)
        if proxy.https:
            check_answer(name, proxy.https, bench.key, tls=True)
    require(len(set(CIPHERS.values())) <= 1, f"the proxies do not use the same cipher: {CIPHERS}")
    status = post(bench.router.http, "a-wrong-key")[0]
    require(status == 401, f"the router does not check keys: {status} for a wrong one")


def check_after(bench, proxies, posts_through_router):
    """Nobody died, and the router's own metrics know of no failed request but those that the checks sent."""
    for proxy in proxies.values():
        proxy.must_run()
    with urllib.request.urlopen(f"http://127.0.0.1:{bench.observe}/metrics", timeout=10) as answer:
        lines = re.findall(r'^inference_router_requests_total\{(.*)\} (\S+)$', answer.read().decode(), re.MULTILINE)
    good = sum(float(count) for labels, count in lines if 'code="200"' in labels)
    require(good >= posts_through_router, f"the router counted {good} answers of {posts_through_router}")
    odd = {labels: count for labels, count in lines if float(count) and not re.search(r'code="(200|401|499|503)"', labels)}
    require(not odd, f"the router failed requests: {odd}")
