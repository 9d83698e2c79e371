"""What a large number of deployments costs the router."""

import gzip
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from support import scraping
from support.router import SANITIZED
from support.settings import deployment, endpoint

ENDPOINTS, DEPLOYMENTS = 40, 25  # deployments of each endpoint


def many(tls):
    """Returns a thousand deployments without replicas: the router has nothing to resolve or to probe."""
    settings = {"tls": {}} if tls else {}
    return [endpoint(*(deployment([], f"deployment-{each}", router=settings) for each in range(DEPLOYMENTS)), name=f"many-{number}")
            for number in range(ENDPOINTS)]


@pytest.mark.serial
def test_a_thousand_deployments_with_tls_loaded_the_trust_store_a_thousand_times(start):
    figures = {}
    for tls in (False, True):
        router = start(*many(tls))
        figures[tls] = (router.cpu_seconds(), router.memory())
        router.stop()
    (plain_cpu, plain_memory), (tls_cpu, tls_memory) = figures[False], figures[True]
    print(f"\n{ENDPOINTS * DEPLOYMENTS} deployments: {tls_cpu - plain_cpu:.2f} s of CPU and "
          f"{(tls_memory - plain_memory) / 1e6:.1f} MB more with `tls: {{}}` than without")
    assert tls_cpu - plain_cpu < 2
    if not SANITIZED:
        assert tls_memory - plain_memory < 20e6


# --- scrapes ---


@contextmanager
def scraped(port, period_ms, *options):
    """Another process scrapes meanwhile."""
    scraper = subprocess.Popen([sys.executable, "-I", Path(scraping.__file__), str(port), str(period_ms), *options],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield
        said, _ = scraper.communicate(timeout=60)
        print(f"\n{said.strip()} bytes {' '.join(options)}", end="")
        assert int(said.split()[1]) > 0
    finally:
        scraper.kill()
        scraper.wait()


def durations(ask, seconds, pause):
    ends, found = time.monotonic() + seconds, []
    while time.monotonic() < ends:
        begun = time.monotonic()
        ask()
        found.append(time.monotonic() - begun)
        time.sleep(pause)
    return sorted(found)


def told(name, found):
    """Prints the median, the 99th percentile and the maximum, in milliseconds."""
    shown = [found[len(found) // 2], found[len(found) * 99 // 100], found[-1]]
    print(f"\n{name}: " + ", ".join(f"{each * 1000:.1f}" for each in shown) + f" ms (p50, p99, max of {len(found)})", end="")


def healthz(port):
    """Uses one connection, so that each answer needs one turn of the control thread's event loop and little more."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask():
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
    return ask


@pytest.mark.serial
def test_a_scrape_of_a_thousand_deployments_kept_control_from_everything_else(pod, start):
    router = start(endpoint(deployment([pod()])), *many(tls=False))
    client = router.connect()

    def score():
        assert client.exchange(b"x" * 1024).status == 200
    measured = {}
    for options in ((), ("gzip",)):
        measured["alone"] = durations(healthz(router.observe_port), 2, 0.002)
        scores_alone = durations(score, 2, 0.002)
        with scraped(router.observe_port, 100, *options):
            measured["among"] = durations(healthz(router.observe_port), 5, 0.003)
            scores = durations(score, 3, 0.003)
        told("/healthz alone", measured["alone"])
        told("/healthz among scrapes", measured["among"])
        told("1 KB POSTs alone", scores_alone)
        told("1 KB POSTs among scrapes", scores)
        among = measured["among"]
        # Without optimisation, a piece takes five times as long. Other processes of this machine also take time.
        assert SANITIZED or among[len(among) * 99 // 100] < 0.05
    client.close()


@pytest.mark.serial
def test_a_scrape_is_the_same_text_in_a_twentieth_of_the_bytes(start):
    router = start(*many(tls=False))
    plain = router.metrics().text
    connection = HTTPConnection("127.0.0.1", router.observe_port, timeout=30)
    connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    assert (answer.getheader("Content-Encoding"), answer.getheader("Transfer-Encoding")) == ("gzip", "chunked")
    packed = answer.read()
    text = gzip.decompress(packed).decode()
    print(f"\n{len(text)} bytes, {len(packed)} compressed: a {len(text) / len(packed):.0f}th")
    assert len(packed) * 15 < len(text)
    # Ages and similar values differ; the series are the same.
    assert [line.rpartition(" ")[0] for line in text.splitlines()] == [line.rpartition(" ")[0] for line in plain.splitlines()]
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    with socket.create_connection(("127.0.0.1", router.observe_port), timeout=30) as old:
        old.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        received = b""
        while piece := old.recv(1 << 20):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"chunked" not in head and len(body.splitlines()) == len(plain.splitlines())
