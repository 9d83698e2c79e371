"""Clients that open connections and ask for nothing."""

import select
import time

from support.settings import deployment, endpoint


def closed(clients):
    """How many of them the router has closed."""
    poll = select.poll()
    for client in clients:
        poll.register(client.socket, select.POLLIN | select.POLLRDHUP)
    return len(poll.poll(0))


def test_above_four_fifths_of_the_places_a_connection_must_ask_within_the_header_timeout(pod, start):
    router = start(endpoint(deployment([pod()])), limits={"max_connections": 10, "header_timeout_ms": 1000})
    used = router.connect()
    assert used.exchange(b"x").status == 200
    silent = [router.connect() for _ in range(6)]
    time.sleep(2.5)
    assert closed(silent) == 0, "7 of 10 places: load balancers' pools may open connections in advance"
    silent += [router.connect() for _ in range(3)]
    time.sleep(2.5)
    assert closed(silent) >= 2, "at most 8 of 10 places are left to those who wait"
    assert closed([used]) == 0 and used.exchange(b"x").status == 200, "who has asked keeps keep_alive_timeout_ms"
    assert router.score(b"x").status == 200
    for client in silent + [used]:
        client.close()
