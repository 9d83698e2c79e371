"""A process that holds idle TLS connections: `python3 idle_clients.py PORT COUNT CA_FILE`. It prints `held N` when all are open and the
router has answered one request on each. When its input ends, it prints how many the router has closed meanwhile, `closed N`, and ends."""

import resource
import select
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor

PARALLEL = 16  # handshakes at a time


def connect(port, context, session):
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock = context.wrap_socket(sock, server_hostname="router.test", session=session)
    sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: router.test\r\n\r\n")
    answer = b""
    while b"\r\n\r\nok\n" not in answer:
        got = sock.recv(4096)
        if not got:
            raise OSError("closed instead of answered")
        answer += got
    return sock


def main():
    port, count, authority = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = ssl.create_default_context(cafile=authority)
    session = connect(port, context, None).session  # a resumed session costs both sides less
    with ThreadPoolExecutor(PARALLEL) as pool:
        held = list(pool.map(lambda _: connect(port, context, session), range(count)))
    print("held", len(held), flush=True)
    sys.stdin.read()
    poll = select.poll()
    for sock in held:
        poll.register(sock, select.POLLRDHUP)
    print("closed", len(poll.poll(0)), flush=True)


if __name__ == "__main__":
    main()
