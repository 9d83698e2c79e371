"""The cost of single events of the router: its start, and a scrape."""
import http.client
import re
import subprocess
import threading
import time
import urllib.request

import checks
import loads
from proxies import ENDPOINT

SCRAPE_SECONDS = 0.1  # from one to the next: far more often than in production
RATE = 2000           # requests a second meanwhile: the core is 5 % busy
SLOW = "0.001"        # seconds of router overhead; a bound of its histogram


def _is_ready(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False


def start(fleet, endpoints):
    """The time from the start of the process until `/readyz` answers 200."""
    router = fleet.start("router", endpoints, wait=False)
    try:
        until = time.monotonic() + 30
        while not _is_ready(router.observe):
            router.must_run()
            checks.require(time.monotonic() < until, "the router was not ready within 30 s")
            time.sleep(0.001)
        return {"ready_after_ms": (time.monotonic() - router.begun) * 1000}
    finally:
        router.stop()


def _slow_exchanges(router):
    """Number of exchanges of the loaded endpoint with more than SLOW seconds of router overhead."""
    with urllib.request.urlopen(f"http://127.0.0.1:{router.observe}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    name = "inference_router_router_overhead_seconds"
    fast = re.search(rf'^{name}_bucket{{[^}}]*endpoint="{ENDPOINT}"[^}}]*le="{SLOW}"}} (\d+)$', text, re.MULTILINE)
    every = re.search(rf'^{name}_count{{[^}}]*endpoint="{ENDPOINT}"[^}}]*}} (\d+)$', text, re.MULTILINE)
    return int(every[1]) - int(fast[1])


class Scraper(threading.Thread):
    """Scrapes until `ended` is set."""

    def __init__(self, fleet, router):
        super().__init__()
        self.command = ["taskset", "-c", str(fleet.load_core), "curl", "-s", "-S", "-f", "-o", "/dev/null", f"http://127.0.0.1:{router.observe}/metrics"]
        self.ended, self.scrapes = threading.Event(), 0

    def run(self):
        while not self.ended.wait(SCRAPE_SECONDS):
            subprocess.run(self.command, check=True, timeout=10)
            self.scrapes += 1


def scraped(fleet, router, case, seconds, scrapes):
    """Number of slow exchanges within `seconds`, with scrapes or without."""
    before = _slow_exchanges(router)
    scraper = Scraper(fleet, router)
    if scrapes:
        scraper.start()
    try:
        loads.constant_rate(fleet, router, case, RATE, seconds)
    finally:
        scraper.ended.set()
        if scrapes:
            scraper.join()
    checks.require(not scrapes or scraper.scrapes >= 3, "there was no time to scrape")
    return {"exchanges_over_1_ms": _slow_exchanges(router) - before}
