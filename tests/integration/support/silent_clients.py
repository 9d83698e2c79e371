"""A process of its own that holds connections and says nothing: `python3 silent_clients.py PORT COUNT`. One that is closed is opened
again. Prints `held N` when so many have been opened. When its input ends, it tells how many it has opened in all, `opened N`."""

import resource
import select
import socket
import subprocess
import sys
from contextlib import contextmanager


@contextmanager
def silent(port, count):
    """`count` silent connections, renewed as soon as the router closes them; ends with how many were opened."""
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
