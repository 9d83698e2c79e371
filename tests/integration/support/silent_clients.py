"""A process that holds connections and sends nothing: `python3 silent_clients.py PORT COUNT`. It replaces each connection that the router
closes. It prints `held N` when N are open. When its input ends, it prints how many it has opened in all, `opened N`."""

import resource
import select
import socket
import subprocess
import sys
from contextlib import contextmanager


@contextmanager
def silent(port, count):
    """Holds `count` silent connections, each replaced as soon as the router closes it. At the end, prints how many were opened."""
    clients = subprocess.Popen([sys.executable, __file__, str(port), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert clients.stdout.readline() == f"held {count}\n"
        yield clients
        said, _ = clients.communicate(timeout=30)
        print(f"\n{said.strip()} silent connections")
    finally:
        clients.kill()
        clients.wait()


def open_one(port, poll, held):
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(("127.0.0.1", port))
    held[sock.fileno()] = sock
    poll.register(sock, select.EPOLLIN | select.EPOLLRDHUP)


def main():
    port, count = int(sys.argv[1]), int(sys.argv[2])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    poll, held, opened = select.epoll(), {}, 0
    poll.register(sys.stdin, select.EPOLLIN)
    for _ in range(count):
        open_one(port, poll, held)
        opened += 1
    print("held", opened, flush=True)
    while True:
        for number, _ in poll.poll():
            if number == sys.stdin.fileno():
                print("opened", opened, flush=True)
                return
            poll.unregister(number)
            held.pop(number).close()
            open_one(port, poll, held)
            opened += 1


if __name__ == "__main__":
    main()
