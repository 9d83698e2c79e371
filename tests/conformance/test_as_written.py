"""Requirements that the RFCs state literally, case by case: each is a row of docs/conformance.md."""

import datetime
import time
from email.utils import parsedate_to_datetime

import pytest
import requests
from support.client import PRIMARY, SCORE, request
from support.settings import deployment, endpoint
from support.wait import eventually

AUTHORIZED = f"Host: x\r\nAuthorization: Bearer {PRIMARY}\r\n".encode()


def told(answer):
    return f"{answer.status} `{answer.why}`" if answer.why else str(answer.status)


@pytest.fixture
def row(conformance):
    """Asserts the answer, then adds a row to the table."""
    def check(section, case, answer, status, why=None, text=None):
        assert (answer.status, answer.why) == (status, why), case
        conformance.add(section, case, text or told(answer))
    return check


def sent(router, data, method="POST"):
    with router.connect() as client:
        return client.send(data).response(method)


# --- 100 (Continue) ---
def test_http_1_0_never_gets_a_100(scene, row):
    with scene.router.connect() as client:
        client.send(request(headers={"Expect": "100-continue", "Content-Length": "5", "Connection": "keep-alive"}, version="HTTP/1.0"))
        time.sleep(0.3)
        client.send(b"hello")
        answer = client.response()
    assert answer.interim == [] and answer.body == b"hello"
    row("9110 10.1.1", "`Expect: 100-continue` in HTTP/1.0", answer, 200, text="200, and no 100 before it")


@pytest.mark.parametrize("value", ["100-continue", "100-Continue", "100-continue, 100-continue",
                                   "100-continue,", ",100-continue", "100-continue, ,100-continue"])
def test_100_continue_is_answered_with_a_100(scene, row, value):
    with scene.router.connect() as client:
        client.send(request(headers={"Expect": value, "Content-Length": "5"}))
        interim = client.head()
        assert interim.status == 100
        client.send(b"hello")
        answer = client.response()
    row("9110 10.1.1", f"`Expect: {value}`", answer, 200, text="100, then 200")


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("value", ["200-maybe", "100-continue, fly", "100-continue;x=1", "100", ",fly,"])
def test_any_other_expectation_fails(scene, row, value, version):
    with scene.router.connect() as client:
        client.send(request(b"hello", headers={"Expect": value}, version=version))
        answer = client.response()
        assert answer.interim == []
        row("9110 10.1.1", f"`Expect: {value}` in {version}", answer, 417, "bad_request")
        assert client.is_closed()


@pytest.mark.parametrize("value", ["", ",", " , ,"])
def test_an_empty_expectation_is_none(scene, row, value):
    answer = scene.router.score(b"x", headers={"Expect": value})
    assert answer.interim == []
    row("9110 10.1.1", f"`Expect: {value}`" if value else "an empty `Expect`", answer, 200)


# --- Date ---
def is_now(value):
    now = datetime.datetime.now(datetime.timezone.utc)
    return value.endswith(" GMT") and len(value) == 29 and abs((parsedate_to_datetime(value) - now).total_seconds()) < 10


@pytest.mark.parametrize("case, options", [
    ("a local reply", {"key": "wrong"}), ("a refused head", {"headers": {"Host": "a b"}}),
    ("`/healthz`", {"method": "GET", "path": "/healthz"}), ("a pod's answer without one", {"body": b"x"})])
def test_an_answer_has_a_date(scene, conformance, case, options):
    answer = scene.router.score(**options)
    assert len(answer.headers.all("date")) == 1 and is_now(answer.headers.get("date")), answer.headers
    conformance.add("9110 6.6.1", f"`Date` in {case}", "the router's time")


@pytest.mark.parametrize("listener, path", [("observe", "/metrics"), ("observe", "/readyz"), ("observe", "/nothing"), ("admin", "/status")])
def test_an_answer_to_operators_has_a_date(scene, conformance, listener, path):
    port = scene.router.observe_port if listener == "observe" else scene.router.admin_port
    answer = requests.get(f"http://127.0.0.1:{port}{path}", timeout=10)
    assert is_now(answer.headers["date"])
    conformance.add("9110 6.6.1", f"`Date` in `{path}` of `{listener}`", "the router's time")


def test_a_pods_own_date_stays(pod, start, conformance):
    theirs = "Sun, 06 Nov 1994 08:49:37 GMT"
    router = start(endpoint(deployment([pod(lambda exchange: (exchange.body(), exchange.answer(200, b"x", headers={"Date": theirs})))])))
    assert router.score(b"x").headers.all("date") == [theirs]
    conformance.add("9110 6.6.1", "`Date` in a pod's answer with one", "the pod's")


def test_a_date_that_stays_on_its_hop_is_replaced(pod, start):
    def behave(exchange):
        exchange.body()
        exchange.answer(200, b"x", headers={"Date": "Sun, 06 Nov 1994 08:49:37 GMT", "Connection": "date"})

    dates = start(endpoint(deployment([pod(behave)]))).score(b"x").headers.all("date")
    assert len(dates) == 1 and is_now(dates[0])


def test_the_date_goes_on(scene):
    first = scene.router.score(b"x").headers.get("date")
    eventually(lambda: scene.router.score(b"x").headers.get("date") != first, "the date to change", patience=5)


# --- Max-Forwards ---
def test_options_that_may_not_be_forwarded_is_answered_here(scene, row):
    before = len(scene.pod.requests)
    for key in (PRIMARY, None):
        answer = scene.router.score(method="OPTIONS", key=key, headers={"Max-Forwards": "0"})
        assert "OPTIONS" in answer.headers.get("allow") and answer.body == b"" and answer.headers.get("date")
        row("9110 7.6.2", "OPTIONS with `Max-Forwards: 0`", answer, 200, text="200 with `Allow`, by the router")
    assert len(scene.pod.requests) == before


@pytest.mark.parametrize("sent, forwarded", [("1", "0"), ("10", "9"), ("007", "6"), ("many", "many"), ("-1", "-1"), ("", ""),
                                             ("12345678901", "12345678901")])
def test_options_is_forwarded_once_less_often(scene, row, sent, forwarded):
    answer = scene.router.score(method="OPTIONS", headers={"Max-Forwards": sent})
    assert scene.pod.requests[-1].headers.all("max-forwards") == [forwarded]
    row("9110 7.6.2", f"OPTIONS with `Max-Forwards: {sent}`", answer, 200, text=f"forwarded with `{forwarded}`")


def test_max_forwards_means_nothing_to_other_methods(scene, row):
    answer = scene.router.score(b"x", headers={"Max-Forwards": "0"})
    assert scene.pod.requests[-1].headers.all("max-forwards") == ["0"]
    row("9110 7.6.2", "POST with `Max-Forwards: 0`", answer, 200, text="forwarded as it is")


def test_trace_is_refused_whatever_it_allows(scene, row):
    for number in ("0", "5"):
        answer = scene.router.score(method="TRACE", headers={"Max-Forwards": number})
        row("9110 7.6.2", f"TRACE with `Max-Forwards: {number}`", answer, 405, "unsupported")


# --- address of the client ---
def test_an_ipv4_client_of_a_listener_of_both_families_is_told_as_ipv4(pod, start, conformance):
    blue = pod()
    router = start(endpoint(deployment([blue])), listeners=lambda port: [{"address": "::", "port": port}], trusted_proxies=["127.0.0.0/8"])
    assert router.score(b"x", headers={"Forwarded": "for=192.0.2.1", "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}).status == 200
    headers = blue.requests[-1].headers
    assert headers.get("x-forwarded-for") == "192.0.2.1, 127.0.0.1"
    assert headers.get("forwarded") == "for=192.0.2.1, for=127.0.0.1;proto=http"
    assert headers.all("x-forwarded-proto") == ["https"]
    conformance.add("7239 6", "an IPv4 client of a listener at `::`", "`for=127.0.0.1`, not `::ffff:127.0.0.1`")


TOLD_ONCE = {
    "two lines": ([("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "a.test"), ("X-Forwarded-Host", "b.test")], "https", "a.test"),
    "a list": ([("X-Forwarded-Proto", "https, http"), ("X-Forwarded-Host", "a.test,b.test")], "https", "a.test"),
    "an empty line first": ([("X-Forwarded-Proto", ""), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", ","), ("X-Forwarded-Host", "a.test")], "https", "a.test"),
    "empty lines only": ([("X-Forwarded-Proto", ""), ("X-Forwarded-Proto", ","), ("X-Forwarded-Host", "")], "http", "x"),
}


@pytest.mark.parametrize("case", TOLD_ONCE)
def test_a_trusted_proxy_s_scheme_and_host_were_a_list_to_the_pod(pod, start, conformance, case):
    lines, scheme, host = TOLD_ONCE[case]

    def behave(exchange):
        exchange.body()
        exchange.answer(201, b"", headers={"Location": f"{scheme}://{host}/run/1"})

    blue = pod(behave)
    router = start(endpoint(deployment([blue], route="/run")), trusted_proxies=["127.0.0.1"])
    head = "".join(f"{name}: {value}\r\n" for name, value in lines).encode()
    answer = sent(router, f"POST {SCORE} HTTP/1.1\r\nContent-Length: 0\r\n".encode() + AUTHORIZED + head + b"\r\n")
    headers = blue.requests[-1].headers
    assert (headers.all("x-forwarded-proto"), headers.all("x-forwarded-host")) == ([scheme], [host])
    assert answer.headers.get("location") == f"{scheme}://{host}{SCORE}/1", "should have the origin that the pod received"
    conformance.add("9110 5.3", f"`X-Forwarded-Proto` and `-Host` of a trusted proxy, {case}", f"the pod sees `{scheme}` and `{host}`")


# --- methods ---
@pytest.mark.parametrize("mistake, head, status, why", [
    ("a malformed Host", b"HEAD / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad_request"),
    ("a bare CR", b"HEAD / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, "bad_request"),
    ("another version", b"HEAD / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "unsupported"),
    ("a target over the limit", b"HEAD /" + b"a" * 70_000, 414, "headers_too_large")])
def test_a_head_that_was_refused_before_it_was_read_got_a_body(scene, row, mistake, head, status, why):
    with scene.router.connect() as client:
        client.send(head)
        answer = client.response("HEAD")
        assert client.reader.until_close() == b""
    row("9110 9.3.2", f"HEAD with {mistake}", answer, status, why, text=f"{told(answer)}, no body")


# --- /healthz ---
def test_head_of_healthz_is_a_get_without_a_body(scene, row):
    with scene.router.connect() as client:
        answer = client.exchange(method="HEAD", path="/healthz", key=None)
        assert answer.headers.get("content-length") == "3" and answer.body == b""
        row("9110 9.3.2", "HEAD of `/healthz`", answer, 200)
        assert client.exchange(b"x").body == b"x"


# --- Host ---
def test_a_host_name_with_the_root_s_dot_is_the_name(pod, start, row):
    router = start(endpoint(deployment([pod()]), router={"hostnames": ["models.test"]}))
    for host in ("models.test.", "Models.Test.:80", "models.test"):
        row("3986 3.2.2", f"`Host: {host}`", router.score(b"x", path="/score", host=host), 200, text="the endpoint of `models.test`")
    assert router.score(b"x", path="/score", host="models.test..").status == 404


@pytest.mark.parametrize("host", ["", " ", ":80", "[ab..cd::1]", "[::1", "[]", "[1.2.3.4]", "[::g]", "[1:2:3]", "[fe80::1%25eth0]", "[v1.a]", "[::1]x",
                                  "[::1]:x", "a b", "a/b", "a@b", "a:b", "a,b"])
def test_a_host_that_is_none_is_refused(scene, row, host):
    row("9112 3.2", f"`Host: {host}`", sent(scene.router, f"POST {SCORE} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode()), 400, "bad_request")


@pytest.mark.parametrize("host", ["[::1]", "[2001:db8::1]:80", "[::ffff:10.0.0.1]", "127.0.0.1:", "a.b:65535"])
def test_a_host_that_is_one_is_served(scene, row, host):
    row("9112 3.2", f"`Host: {host}`", scene.router.score(b"x", host=host), 200)


# --- target, framing ---
def test_a_target_over_the_limit_is_told_from_a_head_over_it(pod, start, row):
    router = start(endpoint(deployment([pod()])), limits={"max_header_bytes": 4096})
    row("9112 3", "a request line beyond `max_header_bytes`", router.score(b"x", path=SCORE + "?" + "a" * 5000), 414, "headers_too_large")
    many = {f"X-{each}": "a" for each in range(130)}
    row("6585 5", "more fields than `max_header_fields`", router.score(b"x", headers=many), 431, "headers_too_large")
    row("6585 5", "fields beyond `max_header_bytes`", router.score(b"x", headers={"X-A": "a" * 5000}), 431, "headers_too_large")


@pytest.mark.parametrize("coding", ["gzip", "chunked, gzip", "identity", "xchunked", "gzip, chunked, deflate"])
def test_a_body_whose_last_coding_is_not_chunked_has_no_end(scene, row, coding):
    answer = sent(scene.router, f"POST {SCORE} HTTP/1.1\r\nTransfer-Encoding: {coding}\r\n".encode() + AUTHORIZED + b"\r\n")
    row("9112 6.3", f"`Transfer-Encoding: {coding}`", answer, 400, "bad_request")


def test_a_coding_before_chunked_is_not_implemented(scene, row):
    answer = sent(scene.router, f"POST {SCORE} HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n".encode() + AUTHORIZED + b"\r\n")
    row("9112 6.1", "`Transfer-Encoding: gzip, chunked`", answer, 501, "unsupported")


# --- paths ---
@pytest.mark.parametrize("route, path, pods", [("/", "/a", "/a"), ("/", "", "/"), ("/", "/", "/"), ("/run/", "/a", "/run/a"), ("/run", "/a", "/run/a")])
def test_a_scoring_route_and_what_stands_behind_it_have_one_slash_between_them(pod, start, row, route, path, pods):
    blue, copy = pod(), pod()
    router = start(endpoint(deployment([blue], route=route), deployment([copy], name="green", route=route),
                            traffic={"blue": 100}, mirror_traffic={"green": 50}))
    def both():
        answer = router.score(b"x", path=SCORE + path + "?q")
        row("3986 3.3", f"`/score{path}` of a pod at `{route}`", answer, 200, text=f"`{pods}`, for a mirror, too")
        return copy.requests
    eventually(both, "a copy to be sent")
    assert {one.target for one in blue.requests + copy.requests} == {pods + "?q"}


@pytest.mark.parametrize("location, public", [
    ("/run/jobs/1?a#b", SCORE + "/jobs/1?a#b"), ("http://router.test/run/jobs/1", "http://router.test" + SCORE + "/jobs/1"), ("jobs/1", "jobs/1"),
    (SCORE + "/jobs/1", SCORE + "/jobs/1"), ("http://elsewhere.test/run", "http://elsewhere.test/run"), ("https://router.test/run", "https://router.test/run"),
    ("/elsewhere", "/elsewhere")])
def test_a_location_of_the_pod_s_own_is_told_as_the_client_may_ask_it(pod, start, row, location, public):
    def behave(exchange):
        exchange.body()
        exchange.answer(201, b"", headers={"Location": location})

    answer = start(endpoint(deployment([pod(behave)], route="/run"))).score(b"x")
    assert answer.headers.all("location") == [public]
    row("9110 10.2.2", f"`Location: {location}` of a pod at `/run`", answer, 201, text=f"`{public}`")


@pytest.mark.parametrize("location, public", [
    (SCORE.replace("endpoint", "service", 1) + "/jobs/1", None), (SCORE.replace("my-endpoint", "My-Endpoint") + "/jobs/1", None),
    ("/gw" + SCORE + "/jobs/1", None), ("http://public.test/gw" + SCORE + "/jobs/1", None), ("/jobs/1", SCORE + "/jobs/1"),
    ("/api/v1/endpoint/other/score", SCORE + "/api/v1/endpoint/other/score"), ("//evil.test" + SCORE, None)])
def test_a_public_location_of_a_pod_at_the_root_got_a_second_prefix(pod, start, row, location, public):
    def behave(exchange):
        exchange.body()
        exchange.answer(201, b"", headers={"Location": location})

    router = start(endpoint(deployment([pod(behave)], route="/")), trusted_proxies=["127.0.0.1"])
    answer = router.score(b"x", headers={"X-Forwarded-Prefix": "/gw", "X-Forwarded-Host": "public.test"})
    assert answer.headers.all("location") == [public or location]
    row("9110 10.2.2", f"`Location: {location}` of a pod at `/`, behind a trusted proxy's `X-Forwarded-Prefix: /gw`", answer, 201, text=f"`{public or location}`")


def test_a_trusted_proxy_s_scheme_and_host_are_the_origin_of_a_location(pod, start):
    def behave(exchange):
        exchange.body()
        exchange.answer(201, b"", headers={"Location": "https://public.test/run/1"})

    router = start(endpoint(deployment([pod(behave)], route="/run")), trusted_proxies=["127.0.0.1"])
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "public.test"}
    assert router.score(b"x", headers=headers).headers.get("location") == f"https://public.test{SCORE}/1"
    assert router.score(b"x").headers.get("location") == "https://public.test/run/1"


@pytest.mark.parametrize("trusted, sent, told", [([], None, ["/api/v1/endpoint/my-endpoint"]), ([], "/evil", ["/api/v1/endpoint/my-endpoint"]),
                                                 (["127.0.0.1"], "/outer/", ["/outer/api/v1/endpoint/my-endpoint"])])
def test_the_pod_is_told_the_prefix_that_the_client_sees(pod, start, trusted, sent, told):
    blue = pod()
    router = start(endpoint(deployment([blue]), router={"hostnames": ["models.test"]}), trusted_proxies=trusted)
    for path in (SCORE, SCORE + "/a?b", "/api/v1/endpoint/my-endpoint/swagger.json"):
        assert router.score(b"x", path=path, headers={"X-Forwarded-Prefix": sent} if sent else {}).status == 200
        assert blue.requests[-1].headers.all("x-forwarded-prefix") == told
    assert router.score(b"x", path="/score", host="models.test").status == 200
    assert "x-forwarded-prefix" not in blue.requests[-1].headers


@pytest.mark.parametrize("route, path, prefix", [("/", "/score/a", ["/score"]), ("/", "/docs", []), ("/score", "/score/a", []), ("/predict", "/score", [])])
def test_the_pod_of_a_host_name_is_told_a_prefix_if_its_route_is_shorter(pod, start, route, path, prefix):
    blue = pod()
    router = start(endpoint(deployment([blue], route=route), router={"hostnames": ["models.test"]}))
    assert router.score(b"x", path=path, host="models.test").status == 200
    assert blue.requests[-1].headers.all("x-forwarded-prefix") == prefix


# --- bytes between and in the lines ---
def answering(raw):
    def behave(exchange):
        exchange.body()
        exchange.send(raw)
        exchange.close()
    return behave


def test_a_blank_before_a_colon_of_the_pod_is_dropped(pod, start, row):
    raw = b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\nX-Own\t: a : b\r\n\r\nhello"
    answer = start(endpoint(deployment([pod(answering(raw))]))).score(b"x")
    assert answer.body == b"hello" and answer.headers.all("content-length") == ["5"] and answer.headers.get("x-own") == "a : b"
    row("9112 5.1", "`Name : value` of a pod", answer, 200, text="200, without the space")


def test_a_blank_before_a_colon_of_a_pod_s_trailer_is_dropped(pod, start, conformance):
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum : 7\r\n\r\n"
    answer = start(endpoint(deployment([pod(answering(raw))]))).score(b"x")
    assert answer.body == b"hello" and answer.trailers.get("x-sum") == "7"
    conformance.add("9112 5.1", "`Name : value` in a pod's trailers", "passed on, without the space")


def test_a_blank_before_a_colon_of_a_client_is_refused(scene, row):
    row("9112 5.1", "`Name : value` of a client", sent(scene.router, f"POST {SCORE} HTTP/1.1\r\nX-A : b\r\n".encode() + AUTHORIZED + b"\r\n"),
        400, "bad_request")


GOOD_EXTENSIONS = [b";a", b" ;a", b"\t;\ta", b"; a = b", b';a="b;\\"c"', b";a;b=c"]
BAD_EXTENSIONS = [b";", b" ", b";a=", b";=a", b";a b", b';a="b', b";a=b c"]


@pytest.mark.parametrize("extension", GOOD_EXTENSIONS + BAD_EXTENSIONS)
def test_a_chunk_extension_is_taken_if_it_is_well_formed(scene, pod, start, row, conformance, extension):
    good = extension in GOOD_EXTENSIONS
    name = extension.decode().replace("\t", "TAB").replace(" ", "SP")
    chunks = b"5" + extension + b"\r\nhello\r\n0\r\n\r\n"
    answer = sent(scene.router, request(headers={"Transfer-Encoding": "chunked"}, length=False) + chunks)
    row("9112 7.1.1", f"chunk extension `{name}` of a client", answer, *((200, None) if good else (400, "bad_request")))
    assert not good or answer.body == b"hello"
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    router = start(endpoint(deployment([pod(answering(raw))])))
    with router.connect() as client:
        client.send(request(b"x"))
        if good:
            answer = client.response()
            row("9112 7.1.1", f"chunk extension `{name}` of a pod", answer, 200)
            assert answer.body == b"hello"
        else:  # the router has forwarded its head already (contract, section 4)
            head = client.head()
            assert head.status == 200 and client.reader.until_close() == b""
            conformance.add("9112 7.1.1", f"chunk extension `{name}` of a pod", "200, and the connection is cut")


# --- PROXY protocol ---
PROXIED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n"
ADDRESSES = b"\xc0\0\x02\x07\xc6\x33\x64\x01\x12\x67\x01\xbb"
PROXY = {
    "`PROXY TCP4` with all four fields": (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n", True),
    "`PROXY TCP6` with all four fields": (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", True),
    "`PROXY TCP4` with addresses of IPv6": (b"PROXY TCP4 2001:db8::7 2001:db8::1 4711 443\r\n", False),
    "`PROXY TCP4` with an invalid destination": (b"PROXY TCP4 192.0.2.7 nowhere 4711 443\r\n", False),
    "`PROXY TCP4` without the destination's port": (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n", False),
    "`PROXY TCP4` with a fifth field": (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443 x\r\n", False),
    "version 2 with values that fit": (V2 + b"\x21\x11\0\x11" + ADDRESSES + b"\x04\0\x02xy", True),
    "version 2 with a value that is longer than the header": (V2 + b"\x21\x11\0\x11" + ADDRESSES + b"\x04\0\x03xy", False),
    "version 2 with half a value": (V2 + b"\x21\x11\0\x0e" + ADDRESSES + b"\x04\0", False),
}


@pytest.fixture(scope="module")
def proxied(shared_stage):
    return shared_stage.start(endpoint(deployment([shared_stage.pod()])), trusted_proxies=["127.0.0.1"],
                              listeners=lambda port: [{"address": "127.0.0.1", "port": port, "proxy_protocol": True}])


@pytest.mark.parametrize("case", PROXY)
def test_the_proxy_protocol_is_matched_exactly(proxied, conformance, case):
    header, good = PROXY[case]
    with proxied.connect() as client:
        client.send(header + PROXIED)
        if good:
            assert client.response("GET").status == 200
        else:
            assert client.is_closed()
    conformance.add("proxy-protocol.txt 2", case, "200" if good else "the connection ends")
