"""What a test of random faults has done to its routers, and which failed requests that explains."""

import math
import time
from collections import Counter
from dataclasses import dataclass


@dataclass(eq=False)
class Fault:
    """`router` None: all of them. Times are those of time.monotonic()."""
    kind: str
    router: object
    begun: float
    ended: float = math.inf

    @property
    def seconds(self):
        return self.ended - self.begun

    def met(self, request, after=0.0):
        """Whether the request was under way meanwhile, or so many seconds after that."""
        return self.begun <= request.ended and request.begun <= self.ended + after

    def is_at(self, request):
        """Whether it was a fault of the router that had the request's client."""
        return self.router is not None and self.router.port == request.client


class FaultLog:
    """The faults in the order of their beginning; `story` has them in words."""

    def __init__(self):
        self.faults, self.story, self.counts = [], [], Counter()

    def begin(self, kind, router=None, more=""):
        """Before the fault is done."""
        self.counts[kind] += 1
        self.tell(kind, router, more)
        self.faults.append(Fault(kind, router, time.monotonic()))
        return self.faults[-1]

    def end(self, fault, said=""):
        """After it is undone; without words, the story does not have the end."""
        fault.ended = time.monotonic()
        if said:
            self.tell(said, fault.router)

    def tell(self, what, router=None, more=""):
        who = f"{router.name} ({router.port})" if router else ""
        self.story.append(" ".join(filter(None, (f"{time.monotonic():.3f}", what, who, more))))

    def near(self, request, after):
        """Those during which, or so many seconds after which, the request was under way."""
        return Near(request, [one for one in self.faults if one.met(request, after)])


class Near:
    """The faults near one request."""

    def __init__(self, request, faults):
        self._request, self._faults = request, faults

    def of(self, *kinds, after=0.0, least=0.0, here=None):
        """Those of these kinds, at most so many seconds before the request, that last at least so long. `here`: only those of the router
        that had its client, or only those of others."""
        return [one for one in self._faults if one.kind in kinds and one.seconds >= least and one.met(self._request, after)
                and here in (None, one.is_at(self._request))]
