"""A name in `replicas` that has several addresses is several replicas. `localhost` is one, whichever address family answers (decision
0045)."""

import itertools
import socket

import pytest
from support.settings import deployment, endpoint
from support.wait import eventually


def listens(host):
    """Whether a server can listen at that address of `localhost` on this machine."""
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        return False
    return True


# Whatever the resolver returns for localhost, the router finds a server at either address. tests/unit/discovery/replica_source_test.cpp has
# all cases.
HOSTS = [host for host in ("127.0.0.1", "::1") if listens(host)]


@pytest.mark.parametrize("host", HOSTS)
def test_localhost_was_the_family_that_came_first(pod, start, host):
    blue = pod(host=host)
    router = start(endpoint(deployment([f"localhost:{blue.port}"])), wait=False)
    router.wait_ready(replicas=False)
    eventually(lambda: router.score(b"x").status == 200, "the replica to be found", patience=5)
    (replica,) = router.deployments()[0]["replicas"]
    assert replica["name"] == f"localhost:{blue.port} ({host})"
    assert replica["ready"] and "why" not in replica
    assert router.access_lines(1)[-1]["Replica"] == replica["name"]


@pytest.mark.parametrize("first, then", list(itertools.permutations(HOSTS, 2)) or [(HOSTS[0], HOSTS[0])])
def test_localhost_stayed_at_the_family_on_which_its_server_no_longer_listens(pod, start, first, then):
    blue = pod(host=first)
    router = start(endpoint(deployment([f"localhost:{blue.port}"])))
    assert len(router.deployments()[0]["replicas"]) == 1
    blue.stop()
    green = pod(host=then, port=blue.port)
    eventually(lambda: [one["name"] for one in router.deployments()[0]["replicas"] if one["ready"]]
               == [f"localhost:{green.port} ({then})"] and router.score(b"x").status == 200, "the server of the other family", patience=15)


@pytest.mark.parametrize("host", HOSTS)
def test_a_name_below_localhost_was_asked_of_a_resolver_that_does_not_know_it(pod, start, host):
    blue = pod(host=host)
    router = start(endpoint(deployment([f"blue.localhost:{blue.port}"])))
    assert router.score(b"x").status == 200
    assert [one["name"] for one in router.deployments()[0]["replicas"]] == [f"blue.localhost:{blue.port} ({host})"]


def ask_two_deployments(pod, start, first, second):
    """Sends ten requests at once to each of two endpoints, all of whose replicas are one pod with one slot; returns the router. `first` and
    `second` make lists of replicas from the pod's port."""
    def slow(exchange):
        exchange.body()
        exchange.wait(None, 0.02)
        exchange.answer(200, exchange.body())

    blue = pod(slow)
    patient = {"max_queue_wait_ms": 20000}
    router = start(endpoint(deployment(first(blue.port), name="blue", **patient), name="first"),
                   endpoint(deployment(second(blue.port), name="green", **patient), name="second"))
    requests = [router.start_request(b"x", path=f"/api/v1/endpoint/{name}/score") for _ in range(10) for name in ("first", "second")]
    assert [client.response().status for client in requests] == [200] * 20
    for client in requests:
        client.close()
    assert blue.most_concurrent == 1 and blue.most_connections == 1
    return router


def test_an_ipv4_address_in_ipv6_form_had_slots_of_its_own(pod, start):
    router = ask_two_deployments(pod, start, lambda port: [f"127.0.0.1:{port}", f"[::ffff:127.0.0.1]:{port}"],
                                 lambda port: [f"[::ffff:127.0.0.1]:{port}"])
    assert [len(one["replicas"]) for one in router.deployments()] == [1, 1]


def test_two_deployments_of_one_pod_had_its_slots_twice(pod, start):
    ask_two_deployments(pod, start, lambda port: [f"127.0.0.1:{port}"], lambda port: [f"localhost:{port}"])


def test_a_name_with_a_dot_at_its_end_was_refused(pod, start):
    blue = pod()
    router = start(endpoint(deployment([f"localhost.:{blue.port}"])))
    assert router.score(b"x").status == 200
