"""Contract, section 3: a request that comes back to a router is refused (`loop`); one that passes through several routers is not."""

import pytest
from support.settings import deployment, endpoint
from support.wait import eventually

ROUTE = "/api/v1/endpoint/my-endpoint/score"


def to(*addresses, **settings):
    """Returns an endpoint whose replicas are routers that have an endpoint with the same name and keys."""
    readiness = {"readiness_route": {"port": 5001, "path": "/healthz"}}
    described = deployment(addresses, route=ROUTE, **settings)
    described["environment"]["inference_config"].update(readiness)
    return endpoint(described, router={"forward_authorization": True})


def ring(start, **settings):
    """Starts two routers, each of which is the replica of the other."""
    first = start(to(), **settings)
    second = start(to(f"127.0.0.1:{first.port}"), **settings)
    first.reloaded(lambda: first.write_endpoint(to(f"127.0.0.1:{second.port}")))
    first.wait_ready()
    return first, second


def counted(router, **labels):
    return router.metrics().value("requests_total", **labels)


def expect_counted(router, **labels):
    """Waits until one such request is counted: the client may have the whole answer a moment before."""
    eventually(lambda: counted(router, **labels) == 1, f"one request with {labels} to be counted")


def test_a_request_went_round_between_two_routers_until_slots_ran_out(start):
    first, second = ring(start)
    answer = first.score(b"x")
    # The first router's refusal, passed on like a pod's answer.
    assert (answer.status, answer.json()["error"]["code"]) == (508, "loop")
    expect_counted(first, code="508", reason="loop")
    expect_counted(first, code="508", reason="")
    expect_counted(second, code="508", reason="")
    assert sum(counted(each, code=code, reason=reason) or 0 for each in (first, second)
               for code, reason in [("503", "queue_timeout"), ("503", "queue_full"), ("508", "loop")]) == 1
    lines = first.access_lines(2)
    assert sorted(line["ResponseCodeReason"] or "" for line in lines) == ["", "loop"]


def test_routers_of_one_installation_share_a_name(start):
    first, second = ring(start, via_name="Models.Cluster-1")
    answer = first.score(b"x")
    assert (answer.status, answer.json()["error"]["code"]) == (508, "loop")
    expect_counted(second, code="508", reason="loop")  # the second router should have refused the request already
    assert counted(first, code="508", reason="loop") in (0, None)


def test_where_via_is_off_a_loop_ends_only_with_the_slots(start):
    first, second = ring(start, via=False)
    answer = first.score(b"x")
    assert answer.status == 503 and answer.json()["error"]["code"] == "queue_timeout"
    assert counted(first, code="508", reason="loop") in (0, None) and counted(second, code="508", reason="loop") in (0, None)


def test_a_router_says_that_the_request_is_a_loop(start, pod):
    blue = pod()
    router = start(endpoint(deployment([blue])), via_name="me")
    answer = router.score(b"x", headers={"Via": "1.1 a, 1.1 ME (again)"})
    assert (answer.status, answer.reason, answer.why) == (508, "Loop Detected", "loop")
    assert answer.json()["error"]["message"]
    assert not blue.requests
    assert router.score(b"x", headers={"Via": "1.1 a (me), 1.1 me-2"}).status == 200


def test_installations_in_a_chain_pass_and_are_named_in_order(start, pod):
    blue = pod()
    last = start(endpoint(deployment([blue]), router={"forward_authorization": True}), via_name="last")
    middle = start(to(f"127.0.0.1:{last.port}"), via=False)
    first = start(to(f"127.0.0.1:{middle.port}"), via_name="first")
    assert first.score(b"x", headers=[("Via", "1.0 a"), ("Via", "1.1 b (c)")]).status == 200
    assert ", ".join(blue.requests[-1].headers.all("via")) == "1.0 a, 1.1 b (c), 1.1 first, 1.1 last"


def test_a_mirrored_copy_is_marked_too(start, pod):
    blue, green = pod(), pod(name="green")
    described = endpoint(deployment([blue]), deployment([green], name="green"), mirror_traffic={"green": 50})
    router = start(described, via_name="me")

    def mirrored():
        assert router.score(b"x").status == 200
        return green.requests
    eventually(mirrored, "a copy to be counted")
    assert green.requests[0].headers.get("via") == "1.1 me"


@pytest.mark.parametrize("settings", [{}, {"via": True}])
def test_each_process_has_a_name_of_its_own_where_none_is_given(start, pod, settings):
    blue = pod()
    names = set()
    for _ in range(2):
        router = start(endpoint(deployment([blue])), **settings)
        assert router.score(b"x").status == 200
        assert router.score(b"x", version="HTTP/1.0").status == 200
        one, zero = (each.headers.get("via") for each in blue.requests[-2:])
        assert one.startswith("1.1 router-") and zero == "1.0" + one[3:]
        names.add(one)
    assert len(names) == 2


def test_the_name_changes_with_a_reload(start, pod):
    blue = pod()
    router = start(endpoint(deployment([blue])), via_name="before")
    router.settings["via_name"] = "after"
    router.reloaded(router.write)
    assert router.score(b"x", headers={"Via": "1.1 before"}).status == 200
    assert blue.requests[-1].headers.all("via") == ["1.1 before", "1.1 after"]
