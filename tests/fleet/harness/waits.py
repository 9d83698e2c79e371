"""How long requests take while members change, compared with the same load while nothing changes."""

import statistics
import time

from .load import sort, told

STEADY = 1.2  # seconds without a change, before each of the changes that are measured


def percentile(seconds, share):
    seconds = sorted(seconds)
    return seconds[int(share * (len(seconds) - 1))]


class Waits:
    """Measures rounds of changes under load. Each round is compared as a whole, and the median of the rounds counts: a busy machine
    spoils some rounds, a router that lets requests wait spoils all."""

    def __init__(self):
        self._steady, self._rounds = [], []

    def measure(self, running, change):
        """Lets the load run without a change, then with `change()`. Ends the load, of which no request may have failed."""
        steady = time.monotonic()
        time.sleep(STEADY)
        begun = time.monotonic()
        change()
        ended = time.monotonic()
        result = sort(running.stop())
        assert not result.failed, told(result.failed)
        assert not result.refused, told(result.refused)
        self._steady += [one.ended - one.begun for one in result.served if one.begun >= steady and one.ended < begun]
        self._rounds.append(percentile([one.ended - one.begun for one in result.served if begun <= one.ended <= ended], 0.99))
        print(f"{len(result.served)} served; p99 {1000 * self._rounds[-1]:.0f} ms during {ended - begun:.1f} s of changes")

    def assert_hardly_longer(self, times=2.0):
        """The 99th percentile meanwhile is at most so many times the steady one (acceptance A7)."""
        steady, meanwhile = percentile(self._steady, 0.99), statistics.median(self._rounds)
        print(f"p99 {1000 * steady:.0f} ms steady, {1000 * meanwhile:.0f} ms meanwhile (the median of {len(self._rounds)} rounds): "
              f"{meanwhile / steady:.2f} times")
        assert meanwhile <= times * steady, f"{1000 * meanwhile:.0f} ms, steady {1000 * steady:.0f} ms"
