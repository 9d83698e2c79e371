"""Contract, section 3: what the router does with header fields."""

import re
import threading
import wsgiref.simple_server

import pytest
from support.client import PRIMARY, request
from support.settings import deployment, endpoint
from support.wait import eventually, stays

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
ID = "0123abcd-0123-4abc-8def-0123456789ab"


@pytest.fixture(scope="module")
def scene(shared_stage):
    class Scene:
        pod = shared_stage.pod()
        router = shared_stage.start(endpoint(deployment([pod])))

        def forwarded(self, **kwargs):
            """Returns the header fields that the pod receives."""
            assert self.router.score(b"x", **kwargs).status == 200
            return self.pod.requests[-1].headers
    return Scene()


def test_the_credential_does_not_reach_the_pod(scene):
    assert "authorization" not in scene.forwarded()


def test_the_credential_reaches_the_pod_where_the_endpoint_says_so(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue]), router={"forward_authorization": True}))
    assert router.score(b"x").status == 200
    assert blue.requests[-1].headers.get("authorization") == f"Bearer {PRIMARY}"


def test_the_host_is_forwarded_as_the_client_sent_it(scene):
    headers = scene.forwarded(host="Some.Host:8443")
    assert headers.get("host") == "Some.Host:8443"
    assert headers.get("x-forwarded-host") == "Some.Host:8443"


def test_a_request_id_that_is_a_uuid_is_kept_and_echoed(scene):
    answer = scene.router.score(b"x", headers={"X-Request-Id": ID})
    assert scene.pod.requests[-1].headers.get("x-request-id") == ID
    assert answer.headers.get("x-request-id") == ID
    assert answer.headers.get("x-ms-request-id") == ID


@pytest.mark.parametrize("sent", [None, "not-a-uuid", ID + "0", "", ID[:-1] + "g"])
def test_any_other_request_id_is_replaced_by_a_new_one(scene, sent):
    answer = scene.router.score(b"x", headers={} if sent is None else {"x-request-id": sent})
    given = answer.headers.get("x-request-id")
    assert UUID.match(given) and given != sent
    assert scene.pod.requests[-1].headers.get("x-request-id") == given
    assert answer.headers.get("x-ms-request-id") == given


@pytest.mark.parametrize("sent, kept", [
    ("abc-DEF_123", "abc-DEF_123"),
    ("a b;c=d\"e<f>g", "abcdefg"),
    ("x" * 60, "x" * 40),
    ("!" + "y" * 50, "y" * 40),
])
def test_the_clients_own_id_is_cleaned_forwarded_and_echoed(scene, sent, kept):
    answer = scene.router.score(b"x", headers={"x-ms-client-request-id": sent})
    assert answer.headers.get("x-ms-client-request-id") == kept
    assert scene.pod.requests[-1].headers.get("x-ms-client-request-id") == kept


def test_a_client_id_that_was_not_sent_or_is_all_dropped_is_not_made_up(scene):
    assert "x-ms-client-request-id" not in scene.router.score(b"x").headers
    assert "x-ms-client-request-id" not in scene.router.score(b"x", headers={"x-ms-client-request-id": "!!"}).headers


def test_the_deadline_is_forwarded_with_what_is_left(scene):
    headers = scene.forwarded(headers={"x-request-deadline-ms": "5000"})
    assert 3000 < int(headers.get("x-request-deadline-ms")) <= 5000
    assert "x-request-deadline-ms" not in scene.forwarded()


def test_trace_context_is_forwarded_and_never_invented(scene):
    context = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=b"}
    headers = scene.forwarded(headers=context)
    assert {name: headers.get(name) for name in context} == context
    assert "traceparent" not in scene.forwarded()


FORGED = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil", "Forwarded": "for=6.6.6.6"}


def test_forwarded_fields_of_a_stranger_are_replaced(scene):
    headers = scene.forwarded(headers=FORGED)
    assert headers.get("x-forwarded-for") == "127.0.0.1"
    assert headers.get("x-forwarded-proto") == "http"
    assert headers.get("x-forwarded-host") == "router.test"
    assert headers.get("forwarded") == "for=127.0.0.1;proto=http"
    assert "forwarded" not in scene.forwarded()


def test_forwarded_fields_of_a_trusted_proxy_are_appended_to(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])), trusted_proxies=["127.0.0.0/8", "10.0.0.1"])
    assert router.score(b"x", headers={**FORGED, "X-Forwarded-For": "1.1.1.1, 2.2.2.2"}).status == 200
    headers = blue.requests[-1].headers
    assert headers.get("x-forwarded-for") == "1.1.1.1, 2.2.2.2, 127.0.0.1"
    assert headers.get("forwarded").startswith("for=6.6.6.6, for=127.0.0.1")
    assert router.score(b"x").status == 200
    assert blue.requests[-1].headers.get("x-forwarded-for") == "127.0.0.1"


OF_PROXIES = {"X-Forwarded-Port": "1", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Server": "evil", "X-Forwarded-Client-Cert": "evil",
              "X-Real-IP": "6.6.6.6", "True-Client-IP": "6.6.6.6", "X-Original-URL": "/evil", "X-Rewrite-URL": "/evil",
              "X-Client-IP": "6.6.6.6", "CF-Connecting-IP": "6.6.6.6", "X-Cluster-Client-IP": "6.6.6.6", "X-Original-Host": "evil",
              "Client-IP": "6.6.6.6", "Remote-User": "evil", "X-Remote-User": "evil"}
UNDERSCORED = {"X_Forwarded_For": "6.6.6.6", "X-Forwarded_Proto": "https", "X_Real_IP": "6.6.6.6", "X_Request_Id": ID,
               "Content_Length": "7", "Transfer_Encoding": "chunked", "azureml_model_deployment": "evil", "X_Forwarded_Server": "evil"}


def test_what_a_stranger_says_as_a_proxy_reached_the_pod(scene):
    headers = scene.forwarded(headers=OF_PROXIES)
    assert headers.all("x-forwarded-prefix") == ["/api/v1/endpoint/my-endpoint"]  # the router's own value
    assert [name for name in OF_PROXIES if name in headers and name != "X-Forwarded-Prefix"] == []


def test_what_a_trusted_proxy_says_is_kept(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])), trusted_proxies=["127.0.0.1"])
    scheme = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "public.example"}
    assert router.score(b"x", headers={**OF_PROXIES, **scheme, **UNDERSCORED}).status == 200
    headers = blue.requests[-1].headers
    # the prefix that the proxy removed, then the one that the router removes
    cut_off = OF_PROXIES["X-Forwarded-Prefix"] + "/api/v1/endpoint/my-endpoint"
    assert {name: headers.get(name) for name in OF_PROXIES} == {**OF_PROXIES, "X-Forwarded-Prefix": cut_off}
    assert {name: headers.get(name) for name in scheme} == scheme, "each field should have a single value"
    assert [name for name in UNDERSCORED if name in headers] == []
    assert router.score(b"x").status == 200
    assert blue.requests[-1].headers.get("x-forwarded-proto") == "http", "the router should add the missing field"
    assert blue.requests[-1].headers.get("x-forwarded-host") == "router.test"


def test_names_with_an_underscore_that_mean_a_field_of_the_router_stay_behind_in_trailers_too(scene):
    own = {"my_own": "1"}
    headers = scene.forwarded(headers={**UNDERSCORED, **own})
    assert [name for name in UNDERSCORED if name in headers] == []
    assert headers.get("my_own") == "1"
    trailers = [*UNDERSCORED.items(), ("X-Real-IP", "6.6.6.6"), ("X-Checksum", "abc")]
    assert scene.router.score(chunks=[b"hello"], trailers=trailers).status == 200
    assert scene.pod.requests[-1].trailers == [("X-Checksum", "abc")]


def test_a_wsgi_program_took_x_forwarded_for_with_underscores_for_the_routers_word(start):
    seen = []

    def program(environ, start_response):
        seen.append({name: value for name, value in environ.items() if name.startswith("HTTP_X_")})
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]

    class Quiet(wsgiref.simple_server.WSGIRequestHandler):
        def log_message(self, *_):
            pass

    with wsgiref.simple_server.make_server("127.0.0.1", 0, program, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            router = start(endpoint(deployment([f"127.0.0.1:{server.server_port}"])))
            forged = {"X_Forwarded_For": "6.6.6.6", "X_Forwarded_Proto": "https", "X_Real_IP": "6.6.6.6", "X_Forwarded_Port": "1"}
            assert router.score(b"x", headers=forged).status == 200
            got = seen[-1]
            assert got["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"  # wsgiref would have returned both values: "6.6.6.6,127.0.0.1"
            assert got["HTTP_X_FORWARDED_PROTO"] == "http"
            assert "HTTP_X_REAL_IP" not in got and "HTTP_X_FORWARDED_PORT" not in got
        finally:
            server.shutdown()
            thread.join()


def test_hop_by_hop_fields_and_those_named_by_connection_stay_behind(scene):
    headers = scene.forwarded(headers=[
        ("Connection", "keep-alive, X-Mine"), ("Connection", "x-yours"), ("Keep-Alive", "timeout=5"), ("X-Mine", "1"),
        ("X-Yours", "2"), ("Proxy-Authorization", "Basic eA=="), ("Proxy-Connection", "keep-alive"), ("TE", "trailers"),
        ("Upgrade", "websocket"), ("X-Stays", "3"), ("X-Stays", "4"), ("Accept", "*/*"), ("Cookie", "a=b")])
    for gone in ("keep-alive", "x-mine", "x-yours", "proxy-authorization", "proxy-connection", "upgrade"):
        assert gone not in headers, gone
    assert headers.all("x-stays") == ["3", "4"]
    assert headers.get("accept") == "*/*" and headers.get("cookie") == "a=b"
    assert "x-mine" not in (headers.get("connection") or "").lower()


def test_connection_cannot_name_a_field_that_the_router_wrote(scene):
    headers = scene.forwarded(headers={"Connection": "close, x-request-id, x-forwarded-for, host, content-length"})
    assert UUID.match(headers.get("x-request-id"))
    assert headers.get("x-forwarded-for") == "127.0.0.1"
    assert headers.get("host") == "router.test"
    assert headers.get("content-length") == "1"


def test_hop_by_hop_fields_of_the_pod_stay_behind_and_its_own_fields_pass(pod, start):
    def behave(exchange):
        exchange.answer(200, b"hi", [("Connection", "X-Secret"), ("X-Secret", "1"), ("Keep-Alive", "timeout=1"), ("Server", "gunicorn"),
                                     ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("x-ms-request-id", "forged"),
                                     ("X-Request-Id", "forged"), ("azureml-model-deployment", "forged")])

    router = start(endpoint(deployment([pod(behave)])))
    headers = router.score(b"x", headers={"x-request-id": ID}).headers
    assert "x-secret" not in headers and "keep-alive" not in headers
    assert headers.all("set-cookie") == ["a=1", "b=2"]
    assert headers.get("server") == "gunicorn"
    assert headers.get("x-request-id") == ID and headers.get("x-ms-request-id") == ID
    assert headers.get("azureml-model-deployment") == "blue"


def test_a_reply_of_the_router_says_why_and_names_the_request(scene):
    answer = scene.router.score(b"x", path="/nowhere", headers={"x-request-id": ID, "x-ms-client-request-id": "mine"})
    error = answer.json()["error"]
    assert (error["code"], error["request_id"]) == ("endpoint_not_found", ID)
    assert error["message"]
    assert answer.headers.get("x-router-reason") == "endpoint_not_found"
    assert answer.headers.get("x-request-id") == ID and answer.headers.get("x-ms-client-request-id") == "mine"
    assert answer.headers.get("content-type").startswith("application/json")


def test_a_pod_cannot_pretend_that_the_router_answered(pod, start):
    router = start(endpoint(deployment([pod(lambda exchange: exchange.answer(503, b"", {"x-router-reason": "draining"}))])))
    answer = router.score(b"x")
    assert answer.status == 503 and answer.why is None


def test_a_pod_pretended_in_an_interim_response_that_the_router_answered(pod, start):
    ours = ("x-router-reason", "x-request-id", "x-ms-request-id", "azureml-model-deployment")

    def pretend(exchange):
        exchange.body()
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n" + b"".join(b"%s: evil\r\n" % name.encode() for name in ours) + b"\r\n")
        exchange.answer(200, b"ok")
    router = start(endpoint(deployment([pod(pretend)])))
    [hints] = router.score(b"x").interim
    assert hints.headers.get("link") == "</a>" and [name for name in ours if name in hints.headers] == []


def test_a_pod_told_a_model_error_of_its_own_beside_the_routers(pod, start):
    words = {"ms-azureml-model-error-statuscode": "999", "MS-AzureML-Model-Error-Reason": "too_many_pending_request"}
    router = start(endpoint(deployment([pod(lambda exchange: exchange.answer(500, b"", words))]), router={"status_profile": "managed"}))
    answer = router.score(b"x")
    told = [(name.lower(), value) for name, value in answer.headers if "model-error" in name.lower()]
    assert answer.status == 424
    assert sorted(told) == [("ms-azureml-model-error-reason", "model_error"), ("ms-azureml-model-error-statuscode", "500")]


def test_100_continue_is_sent_once_the_slot_is_held_and_not_forwarded(pod, start):
    release = threading.Event()

    def hold_first(exchange):
        if exchange.number == 1:
            exchange.wait(release)
        exchange.answer(200, exchange.body())

    blue = pod(hold_first)
    router = start(endpoint(deployment([blue], max_queue_wait_ms=10000, request_timeout_ms=20000)))
    first = router.start_request()
    eventually(lambda: blue.concurrent == 1, "the slot to be taken")
    with router.connect() as client:
        client.send(request(headers={"Expect": "100-continue", "Content-Length": "70000"}))
        eventually(lambda: router.queue_length() == 1, "the second request to wait")
        client.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.reader.fill()
        client.socket.settimeout(10)
        stays(lambda: len(blue.requests) == 1, 0.05)
        release.set()
        assert client.head().status == 100
        client.send(b"hello" * 14000)
        answer = client.response()
        assert (answer.status, answer.body, answer.interim) == (200, b"hello" * 14000, [])
    assert "expect" not in blue.requests[-1].headers
    assert first.response().status == 200
    first.close()


def test_a_refused_client_is_never_asked_for_its_body(scene):
    before = len(scene.pod.requests)
    with scene.router.connect() as client:
        client.send(request(headers={"Expect": "100-continue", "Content-Length": "5"}, key="wrong"))
        assert client.head().status == 401
    assert len(scene.pod.requests) == before


def test_a_100_from_the_pod_is_swallowed_and_other_interim_responses_are_relayed(pod, start):
    def behave(exchange):
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")
        exchange.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        exchange.answer(200, exchange.body())

    router = start(endpoint(deployment([pod(behave)])))
    answer = router.score(b"x")
    assert [one.status for one in answer.interim] == [103, 102]
    assert answer.interim[0].headers.get("link") == "</a>; rel=preload"
    assert (answer.status, answer.body) == (200, b"x")
    assert router.score(b"y").body == b"y"


def test_interim_responses_are_passed_on_within_bounds_and_dropped_beyond_them(pod, start):
    """At most 8 heads and 16 KB a request; the final answer always arrives."""
    def behave(exchange):
        exchange.body()
        size = int(exchange.request.headers.get("x-size"))
        head = b"HTTP/1.1 103 Early Hints\r\nX: " + b"x" * size + b"\r\n\r\n"
        for _ in range(1000):
            exchange.send(head)
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nX: last\r\n\r\n")
        exchange.answer(200, b"fine")

    router = start(endpoint(deployment([pod(behave)])))
    with router.connect() as client:
        for size, passed in ((10, [10] * 8), (5000, [5000] * 3 + [4]), (40_000, [4])):
            answer = client.exchange(b"x", headers={"x-size": str(size)})
            assert (answer.status, answer.body) == (200, b"fine")
            assert [len(one.headers.get("x")) for one in answer.interim] == passed
