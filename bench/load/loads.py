"""One function for each kind of load: it loads a proxy, and returns the cost for the proxy."""
import json
import pathlib
import re
import subprocess
import time

import checks
import processes
import system_calls
from proxies import ENDPOINT, find

HERE = pathlib.Path(__file__).parent
WARM_UP_SECONDS = 0.3      # connections are opened, buffers and caches are filled; not measured
SECONDS_OF_CONNECTING = {"plaintext": 0.0003, "tls": 0.002}  # for each connection, added to the warm-up
TAIL_SECONDS = 0.1         # the measurement ends before the load does
COUNT_SECONDS = 2          # of load while system calls are counted
IDLE_CONNECTIONS = 2000    # for the memory of one
FIRST_CONNECTIONS = 200    # opened before them, so that the proxy's fixed memory is allocated already
REST_SECONDS = 2           # until their memory is read
SETTLE_SECONDS = 0.3       # after handshakes, for the rest of the proxy's work
HANDSHAKE_CONNECTIONS = 16
ATTEMPTS = 3
PATH = f"/api/v1/endpoint/{ENDPOINT}/score"
WORKLOADS = {  # name: query (what the stub answers), bytes of the request's body
    "post-1k": ("", 1024),
    "post-100k": ("?size=1000", 100 * 1024),
    "answer-1m": ("?size=1048576", 1024),
    "sse": ("?events=20&gap_us=10000", 1024),
}


class Load:
    """wrk against one proxy; no request may fail."""

    def __init__(self, fleet, proxy, case, seconds):
        self.what = f"{proxy.name}, {case}"
        query, body = WORKLOADS[case.workload]
        url = f"https://127.0.0.1:{proxy.https['ecdsa']}" if case.transport == "tls" else f"http://127.0.0.1:{proxy.http}"
        self.patience = seconds + 60
        self.popen = subprocess.Popen(
            ["taskset", "-c", str(fleet.load_core), find("wrk"), "-t1", f"-c{case.connections}", f"-d{seconds:.0f}s", "--timeout", "30s",
             "-s", HERE / "post.lua", url + PATH + query],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=fleet.environment() | {"BENCH_BODY": str(body)})

    def finish(self):
        """Waits for the end of the load; returns how many requests were answered."""
        output = self.popen.communicate(timeout=self.patience)[0]
        counted = re.findall(r"^\{.*\}$", output, re.MULTILINE)
        checks.require(self.popen.returncode == 0 and counted, f"{self.what}: wrk printed {output}")
        counts = json.loads(counted[-1])
        requests = counts.pop("requests")
        checks.require(requests > 0 and not any(counts.values()), f"{self.what}: failed requests: {counts}")
        return requests

    def abandon(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()


def closed_loop(fleet, proxy, case, seconds):
    """As many requests as possible: each of `connections` clients sends the next one when the last is answered. If other work takes the
    core of the load, a short measurement may see no request at all, although none failed. It is then repeated."""
    for _ in range(ATTEMPTS):
        got = _closed_loop(fleet, proxy, case, seconds)
        if got:
            return got
    raise SystemExit(f"FAILED: {proxy.name}, {case}: no request in the time measured, {ATTEMPTS} times")


def _closed_loop(fleet, proxy, case, seconds):
    warm_up = WARM_UP_SECONDS + case.connections * SECONDS_OF_CONNECTING[case.transport]
    whole = max(1, round(seconds + warm_up))  # wrk knows no fractions
    load = Load(fleet, proxy, case, whole)
    try:
        time.sleep(warm_up)
        begun, cpu, requests = time.monotonic(), processes.cpu_seconds(proxy.pids), fleet.stub.requests()
        time.sleep(max(0.3, whole - warm_up - TAIL_SECONDS))
        ended, cpu, requests = time.monotonic(), processes.cpu_seconds(proxy.pids) - cpu, fleet.stub.requests() - requests
        load.finish()
    finally:
        load.abandon()
    if requests == 0:
        return None
    return {"cpu_us_per_request": cpu / requests * 1e6, "requests_per_second": requests / (ended - begun), "busy": cpu / (ended - begun)}


def count_system_calls(fleet, proxy, case):
    """(Tool, system calls per request by name), including those of opening the connections; None if no tool may count."""
    def load():
        before = fleet.stub.requests()
        running = Load(fleet, proxy, case, COUNT_SECONDS)
        try:
            running.finish()
        finally:
            running.abandon()
        return fleet.stub.requests() - before

    return system_calls.count(proxy.pids, load)


def client_command(fleet, proxy, mode, tls, **options):
    port = proxy.https[tls] if tls else proxy.http
    words = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    flat = [part for word in words for part in word.split("=", 1)]
    return ["taskset", "-c", str(fleet.load_core), str(fleet.client), mode, "--port", str(port), "--tls", str(int(bool(tls))), *flat]


def run_client(fleet, proxy, mode, tls, patience, **options):
    done = subprocess.run(client_command(fleet, proxy, mode, tls, **options), capture_output=True, text=True, timeout=patience, check=False,
                          env=fleet.environment())
    checks.require(done.returncode == 0, f"{proxy.name}: bench_client {mode} {options}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def constant_rate(fleet, proxy, case, rate, seconds):
    """Latency of requests that are sent at planned times, whether or not earlier ones are answered."""
    query, body = WORKLOADS[case.workload]
    got = run_client(fleet, proxy, "steady", "ecdsa" if case.transport == "tls" else "", seconds + 90, rate=rate, seconds=seconds,
                     connections=case.connections, path=PATH + query, body=body)
    return {f"latency_{name}_us": got[f"{name}_us"] for name in ("p50", "p99", "p999")} | {"sent_late_p99_us": got["sent_late_p99_us"]}


def handshakes(fleet, proxy, certificate, resume, seconds):
    """TLS connections that are opened and closed, without requests."""
    cpu = processes.cpu_seconds(proxy.pids)
    begun = time.monotonic()
    got = run_client(fleet, proxy, "handshakes", certificate, seconds + 90, seconds=seconds, connections=HANDSHAKE_CONNECTIONS, resume=int(resume))
    time.sleep(SETTLE_SECONDS)
    cpu = processes.cpu_seconds(proxy.pids) - cpu
    kind, other = ("resumed", "full") if resume else ("full", "resumed")
    checks.require(got[kind] > 5 * got[other], f"{proxy.name}, {certificate}: wanted {kind} handshakes, got {got}")
    return {"cpu_us_per_handshake": cpu / (got[kind] + got[other]) * 1e6, "handshakes_per_second": got[kind] / got["seconds"],
            "busy": cpu / (time.monotonic() - begun)}


class Held:
    """TLS connections that are idle after one request each, within the `with` block."""

    def __init__(self, fleet, proxy, connections):
        self.command = client_command(fleet, proxy, "hold", "ecdsa", connections=connections, path=PATH)
        self.environment, self.what = fleet.environment(), f"{proxy.name}: {connections} connections"

    def __enter__(self):
        self.popen = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment)
        line = self.popen.stdout.readline()
        if not line.startswith("{"):
            self.__exit__()
            raise SystemExit(f"FAILED: {self.what} could not be held")
        time.sleep(REST_SECONDS)

    def __exit__(self, *_):
        try:
            self.popen.communicate("", timeout=20)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def idle_memory(fleet, name):
    """Bytes of a TLS connection that is idle after one request. The proxy is started for this alone: memory that an earlier load has left
    in its allocator would hide them."""
    proxy = fleet.start(name)
    try:
        checks.wait_for_answer(fleet, proxy)
        with Held(fleet, proxy, FIRST_CONNECTIONS):
            before = processes.memory(proxy.pids)
            with Held(fleet, proxy, IDLE_CONNECTIONS):
                after = processes.memory(proxy.pids)
        proxy.must_run()
        return {"bytes_per_idle_tls_connection": (after - before) / IDLE_CONNECTIONS}
    finally:
        proxy.stop()
