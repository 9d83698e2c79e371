"""Contract, section 4: every reason is provoked in both status profiles, and is the same in the answer, the access log and the metric. Not
here: `forbidden`, which no authentication mode can return yet, `fleet_uncovered`, which needs several routers, and `internal`, which would be a bug of
the router."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from support.client import request
from support.router import is_listening
from support.settings import SELDOM, deployment, endpoint
from support.wait import eventually

PROFILES = ("kubernetes", "managed")
SLOW_PROBE = {"period": 1000, "failure_threshold": 1000}
PATIENT = {"max_queue_wait_ms": 60000, "request_timeout_ms": 60000}
CASES = []


@dataclass(frozen=True)
class Case:
    name: str
    reason: str
    status: dict  # by profile
    fields: dict  # header fields of the answer, by profile; None: any value
    provoke: object
    metric: bool  # whether the process still runs, so that the metric can be read

    def __str__(self):
        return self.name


def case(reason, kubernetes, managed=None, fields=(), managed_fields=None, metric=True):
    """Registers a way to provoke `reason`: a function of a Scene that returns (router, answer). The answer is None if no client is there to
    read it. `fields` are those of the answer; `managed_fields`, if given, are added in that profile."""
    def register(provoke):
        status = {"kubernetes": kubernetes, "managed": managed or kubernetes}
        both = dict(fields)
        CASES.append(Case(provoke.__name__, reason, status, {"kubernetes": both, "managed": {**both, **(managed_fields or {})}},
                          provoke, metric))
        return provoke
    return register


CLOSES = {"connection": "close"}
RETRY = {"retry-after": None}
PENDING = {"ms-azureml-model-error-reason": "too_many_pending_request"}
NOT_READY = {"ms-azureml-model-error-reason": "model_not_ready"}
MODEL_ERROR = {"ms-azureml-model-error-reason": "model_error"}


class Scene:
    """Starts what a case needs: pods, a router with the profile, and a pod that holds each request until `release` is set."""

    def __init__(self, stage, profile):
        self.pod, self.clogged, self._stage, self._profile = stage.pod, stage.clogged, stage, profile
        self.release = threading.Event()

    def start(self, *deployments, **settings):
        return self._stage.start(self.describe(*deployments), **settings)

    def describe(self, *deployments, **others):
        return endpoint(*(deployments or [deployment([self.pod()])]), router={"status_profile": self._profile}, **others)

    def hold(self, exchange):
        exchange.body()
        exchange.wait(self.release)
        exchange.answer()

    def holding_pod(self):
        return self.pod(self.hold)


def sent(router, data, method="POST"):
    with router.connect() as client:
        return client.send(data).response(method)


@case("bad_request", 400, fields=CLOSES)
def a_malformed_head(scene):
    router = scene.start()
    return router, sent(router, b"POST /x HTTP/1.1\r\nHost : x\r\n\r\n")


@case("unsupported", 501, fields=CLOSES)
def an_unknown_transfer_coding(scene):
    router = scene.start()
    return router, router.score(headers={"Transfer-Encoding": "gzip, chunked"}, length=False)


@case("unsupported", 505, fields=CLOSES)
def an_unknown_version(scene):
    router = scene.start()
    return router, router.score(version="HTTP/2.0")


@case("unsupported", 405, fields={"allow": None, **CLOSES})
def a_method_that_is_not_served(scene):
    router = scene.start()
    return router, router.score(method="TRACE")


@case("loop", 508)
def a_request_that_comes_back(scene):
    router = scene.start(via_name="here")
    return router, router.score(b"x", headers={"Via": "1.1 here"})


@case("unauthorized", 401, fields={"www-authenticate": "Bearer"})
def no_key(scene):
    router = scene.start()
    return router, router.score(b"x", key=None)


@case("unauthorized", 401, fields={"www-authenticate": "Bearer"})
def a_wrong_key(scene):
    router = scene.start()
    return router, router.score(b"x", key="wrong")


@case("endpoint_not_found", 404)
def an_unknown_endpoint(scene):
    router = scene.start()
    return router, router.score(b"x", path="/api/v1/endpoint/nobody/score")


@case("deployment_not_found", 404)
def an_unknown_deployment(scene):
    router = scene.start()
    return router, router.score(b"x", headers={"azureml-model-deployment": "nobody"})


@case("deployment_not_found", 404)
def a_deployment_removed_while_the_request_waits(scene):
    blue = scene.holding_pod()
    green = deployment([scene.pod()], name="green")
    router = scene.start(deployment([blue], **PATIENT), green)
    with router.start_request(b"1") as running, router.connect() as waiting:
        eventually(lambda: blue.concurrent == 1, "the first request to run")
        waiting.send(request(b"2"))
        eventually(lambda: router.queue_length() == 1, "the second request to wait")
        router.write_endpoint(scene.describe(traffic={"green": 100}) | {"deployments": []})
        (router.folder / "endpoints" / "my-endpoint-blue.yml").unlink()
        answer = waiting.response()
        scene.release.set()
        assert running.response().status == 200
    return router, answer


@case("payload_too_large", 413)
def a_length_beyond_the_limit(scene):
    router = scene.start(deployment([scene.pod()], router={"max_request_bytes": 10}))
    return router, router.score(b"x" * 11)


@case("payload_too_large", 413, fields=CLOSES)
def a_body_that_grows_beyond_the_limit(scene):
    router = scene.start(deployment([scene.pod()], router={"max_request_bytes": 10}))
    with router.connect() as client:
        client.send(request(headers={"Transfer-Encoding": "chunked"}, length=False) + b"c\r\nmore than 10\r\n")
        return router, client.response()


@case("headers_too_large", 431, fields=CLOSES)
def a_head_beyond_the_limit(scene):
    router = scene.start(limits={"max_header_bytes": 1024})
    return router, router.score(headers={"x-long": "y" * 2000})


@case("client_timeout", 408, fields=CLOSES)
def a_head_that_stops(scene):
    router = scene.start(limits={"header_timeout_ms": 300})
    return router, sent(router, b"POST /api/v1/endpoint/my-endpoint/score HTTP/1.1\r\nHost: x\r\n")


@case("client_timeout", 408, fields=CLOSES)
def a_body_that_stops(scene):
    router = scene.start(limits={"body_timeout_ms": 300})
    return router, sent(router, request(headers={"Content-Length": "10"}) + b"half")


@case("too_many_connections", 503, fields=CLOSES)
def one_connection_too_many(scene):
    router = scene.start(limits={"max_connections": 1})
    with router.connect() as only:
        assert only.exchange(b"x").status == 200
        only.send(request(b"x" * 100)[:-1])  # the router would close an idle connection to make room, also one with an incomplete head
        return router, sent(router, request(b"x"))


@case("queue_full", 503, 429, fields=RETRY, managed_fields=PENDING)
def a_full_line(scene):
    blue = scene.holding_pod()
    router = scene.start(deployment([blue], probe=SELDOM, router={"max_queue_length": 0}, **PATIENT))
    with router.start_request(b"1") as running:
        eventually(lambda: blue.concurrent == 1, "the first request to run")
        answer = router.score(b"2")
        scene.release.set()
        assert running.response().status == 200
    return router, answer


@case("queue_timeout", 503, 429, fields=RETRY, managed_fields=PENDING)
def a_wait_that_was_too_long(scene):
    blue = scene.holding_pod()
    router = scene.start(deployment([blue], max_queue_wait_ms=200, request_timeout_ms=60000))
    with router.start_request(b"1") as running:
        eventually(lambda: blue.concurrent == 1, "the first request to run")
        answer = router.score(b"2")
        scene.release.set()
        assert running.response().status == 200
    return router, answer


@case("deadline_unmeetable", 503, 429, fields=RETRY, managed_fields=PENDING)
def a_line_too_long_for_the_clients_patience(scene):
    blue = scene.pod(lambda exchange: (exchange.body(), exchange.wait(seconds=0.05), exchange.answer()))
    router = scene.start(deployment([blue], router={"max_queue_length": 200}, **PATIENT))
    with ThreadPoolExecutor(32) as pool:  # so that the router knows the pace of the queue
        assert {answer.status for answer in pool.map(lambda _: router.score(b"l"), range(32))} == {200}
    waiting = [router.start_request(b"w") for _ in range(60)]
    eventually(lambda: router.queue_length() > 40, "the queue to be long")
    answer = router.score(b"x", headers={"x-request-deadline-ms": "200"})
    for client in waiting:
        client.close()
    return router, answer


@case("no_ready_replica", 503, 424, fields=RETRY, managed_fields=NOT_READY)
def a_wait_without_a_ready_replica(scene):
    blue = scene.pod()
    blue.ready = False
    router = scene.start(deployment([blue], max_queue_wait_ms=150), wait=False)
    router.wait_ready(replicas=False)
    return router, router.score(b"x")


@case("no_ready_replica", 503, 424, fields=RETRY, managed_fields=NOT_READY)
def no_replica_at_all(scene):
    router = scene.start(deployment([], **PATIENT))
    return router, router.score(b"x")


@case("upstream_timeout", 504, 408)
def a_silent_pod(scene):
    router = scene.start(deployment([scene.pod(lambda exchange: exchange.wait_for_close())], request_timeout_ms=200))
    return router, router.score(b"x")


@case("upstream_connect_failed", 502, 424, managed_fields=MODEL_ERROR)
def a_pod_to_which_nobody_can_connect(scene):
    blue = scene.clogged()
    router = scene.start(deployment([blue], probe=SLOW_PROBE, router={"connect_timeout_ms": 50}, **PATIENT))
    blue.clog()
    return router, router.score(b"x")


@case("no_ready_replica", 503, 424, fields=RETRY, managed_fields=NOT_READY)
def a_pod_that_refuses(scene):
    blue = scene.pod()
    router = scene.start(deployment([blue], probe=SLOW_PROBE))
    blue.stop()
    eventually(lambda: not is_listening(blue.port), "the pod to stop listening")
    return router, router.score(b"x")


@case("upstream_reset", 502, 424, managed_fields=MODEL_ERROR)
def a_pod_that_breaks_off(scene):
    router = scene.start(deployment([scene.pod(lambda exchange: (exchange.body(), exchange.reset()))]))
    return router, router.score(b"x")


@case("upstream_invalid_response", 502, 424, managed_fields=MODEL_ERROR)
def a_pod_that_does_not_speak_http(scene):
    router = scene.start(deployment([scene.pod(lambda exchange: (exchange.body(), exchange.send(b"SSH-2.0-x\r\n\r\n"), exchange.close()))]))
    return router, router.score(b"x")


@case("client_closed", 499)
def a_client_that_leaves(scene):
    blue = scene.pod(lambda exchange: exchange.wait_for_close())
    router = scene.start(deployment([blue], **PATIENT))
    with router.start_request(b"x"):
        eventually(lambda: blue.concurrent == 1, "the pod to have the request")
    return router, None


@case("draining", 503, fields=CLOSES, metric=False)
def still_in_the_queue_when_the_grace_ends(scene):
    blue = scene.pod(lambda exchange: exchange.wait_for_close())
    router = scene.start(deployment([blue], **PATIENT), drain_grace_ms=300)
    with router.start_request(b"1") as running, router.connect() as waiting:
        eventually(lambda: blue.concurrent == 1, "the first request to run")
        waiting.send(request(b"2"))
        eventually(lambda: router.queue_length() == 1, "the second request to wait")
        router.admin("/drain", "POST")
        answer = waiting.response()
        assert running.response().why == "draining"  # aborted at its pod, before an answer had begun
    assert router.wait_exit() == 0
    return router, answer


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_the_same_in_answer_log_and_metric(stage, case, profile):
    router, answer = case.provoke(Scene(stage, profile))
    status = case.status[profile]
    if answer is not None:
        assert (answer.status, answer.why) == (status, case.reason)
        assert answer.json()["error"]["code"] == case.reason
        assert answer.json()["error"]["request_id"] == answer.headers.get("x-request-id") == answer.headers.get("x-ms-request-id")
        for name, value in case.fields[profile].items():
            assert name in answer.headers and value in (None, answer.headers.get(name)), (name, answer.headers)
        for name in {"retry-after", "ms-azureml-model-error-reason", "www-authenticate"} - case.fields[profile].keys():
            assert name not in answer.headers, answer.headers

    def logged():
        lines = [one for one in router.access_lines(1) if one["ResponseCodeReason"] == case.reason]
        return [one["ResponseCode"] for one in lines]
    assert set(eventually(logged, "the line of the access log")) == {status}
    if case.metric:
        eventually(lambda: router.metrics().value("requests_total", code=str(status), reason=case.reason) == len(logged()), "the metric")


@pytest.mark.parametrize("profile, status, reason", [("kubernetes", 500, ""), ("managed", 424, "model_error")])
def test_a_pods_own_failure_is_the_same_in_answer_log_and_metric(stage, profile, status, reason):
    """The answer is the pod's: it has no reason of the router, but another status in the managed profile."""
    scene = Scene(stage, profile)
    router = scene.start(deployment([scene.pod(lambda exchange: exchange.answer(500, exchange.body()))]))
    answer = router.score(b"the pod's own words")
    assert (answer.status, answer.body, answer.why) == (status, b"the pod's own words", None)
    told = {name: answer.headers.get(f"ms-azureml-model-error-{name}") for name in ("statuscode", "reason")}
    assert told == ({"statuscode": "500", "reason": "model_error"} if reason else {"statuscode": None, "reason": None})
    line = router.access_lines(1)[0]
    assert (line["ResponseCode"], line["ResponseCodeReason"], line["ModelStatusCode"]) == (status, reason, 500)
    eventually(lambda: router.metrics().value("requests_total", code=str(status), reason=reason) == 1, "the metric")
