"""The router with an allocator that fails on demand (tests/support/failing_allocations.cpp), and what must hold after each failure.

A trial arms the allocator so that its n-th allocation from then on fails, runs an action, and checks the process: it runs, other clients
got their own answers, nothing has leaked. Each violation becomes a finding with the stack of the allocation that failed.
"""

import contextlib
import functools
import os
import re
import subprocess
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from .client import request
from .failing_allocator import FAILING, NEVER, NEW, PATIENCE, SEED, SHARDS, Allocator, Failure, Finding, Findings, choose, name_stacks
from .http import Gone
from .wait import eventually


def read_answer(client, sent):
    """Returns what became of a request with the body `sent`, whose answer is its echo: ("answered" / "refused" / "cut" / "closed", status),
    or ("wrong" / "hung", why)."""
    try:
        answer = client.head()
    except Gone as gone:
        return _end(gone, "closed")
    except TimeoutError:
        return "hung", "no answer and no end"
    except (AssertionError, ValueError) as error:
        return "wrong", f"not HTTP: {error}, {client.reader.buffer[:80]!r}"
    if answer.status == 100:
        return read_answer(client, sent)
    ours = answer.headers.get("x-router-reason") is not None
    if answer.status != 200 and not ours:
        return "wrong", f"a status of nobody: {answer.status}"
    expected = None if ours else sent
    length = int(answer.headers.get("content-length", "-1"))
    body = b""
    try:
        while len(body) < length:
            body += client.reader.some(length - len(body))
    except Gone as gone:
        if expected is not None and not expected.startswith(body):
            return "wrong", "the beginning of another answer"
        return _end(gone, "cut", answer.status)
    except TimeoutError:
        return "hung", f"an answer that stops after {len(body)} of {length} bytes"
    if expected is not None and body != expected:
        return "wrong", "another answer"
    return ("refused" if ours else "answered"), answer.status


def _end(gone, what, status=0):
    """The connection may end with a FIN, a reset or a fatal alert. TLS records that the client cannot read are an error of the router."""
    text = str(gone)
    for sign in ("BAD_RECORD_MAC", "WRONG_VERSION", "RECORD_LAYER", "BAD_RECORD_TYPE", "UNEXPECTED_MESSAGE", "INVALID", "DATA_LENGTH"):
        if sign in text.upper():
            return "wrong", f"TLS that cannot be read: {text}"
    return what, status


def marked(size, name=None):
    """Returns a body that no other request has."""
    name = name or uuid.uuid4().hex
    return (name.encode() * (size // len(name) + 1))[:size]


class Echo:
    """The pods' behaviour: a pod echoes the body. `x-hold` makes it wait until `release`; `x-close` makes it close the connection."""

    def __init__(self):
        self.holding = 0
        self.go = 0  # holding requests with a lower number continue
        self.ids = Counter()  # x-request-id of each request that has arrived

    def hold_next(self):
        self.go = self.holding

    def release(self):
        self.go = 1 << 60

    def __call__(self, exchange):
        headers = exchange.request.headers
        self.ids[headers.get("x-request-id")] += 1
        body = exchange.body()
        if headers.get("x-hold"):
            number, self.holding = self.holding, self.holding + 1
            exchange.wait(_Turn(self, number))
        closes = headers.get("x-close")
        exchange.answer(200, body, {"Connection": "close"} if closes else {})
        if closes:
            exchange.close()


class _Turn:
    def __init__(self, echo, number):
        self._echo, self._number = echo, number

    def is_set(self):
        return self._number < self._echo.go


class Rig:
    """One configuration of the failing router, with pods and a bystander: a client whose request is in progress at its pod while the
    allocator fails. The bystander must get its own answer."""

    def __init__(self, stage, name, make, closes=True, bystander=True):
        """`make(folder, **options)` starts the router."""
        self.stage, self.name, self._make = stage, name, make
        self.echo = Echo()
        self.closes = closes
        self.findings = Findings()
        self.untold = Findings()
        self._starts = self._trials = 0
        self.trial, self.number = name, 0
        self.last = Failure(0, 0, ())
        self._with_bystander = bystander
        # In CPython 3.13, an OpenSSL error of one connection stays in the error queue of its thread, and the next call for another
        # connection reports it. So the clients that must be served run on a thread whose connections do not fail.
        self._unharmed = ThreadPoolExecutor(1)
        self.start()

    # the process
    def start(self):
        folder = self.stage.folder / f"{self.name}-{self._starts}"
        self._starts += 1
        folder.mkdir(parents=True)
        self.allocator = Allocator(folder / "allocations")
        self.router = self._make(folder, self.echo, binary=FAILING,
                                 environment={"FAILING_ALLOCATIONS": str(folder / "allocations")})
        self.echo.ids.clear()
        self._trial_of = {}  # by request id
        self._failures = {}  # by trial: name, n, stack
        self.told = {}  # request ids that must be in the log, and which side knows each
        self._bystander = None
        for _ in range(3):
            self.score()
        self.settle()
        self.descriptors = self.count_descriptors()

    def count_descriptors(self):
        return len(os.listdir(f"/proc/{self.router.process.pid}/fd"))

    def retire(self):
        """Ends this process and compares the exchanges that it logged with those that clients and pods know."""
        if self._bystander is not None:
            self._bystander.close()
            self._bystander = None
        if not self.died():
            self.check_account()
        self.router.kill()
        for reserved in self.router._reserved:
            reserved.close()

    def died(self):
        code = self.router.process.poll()
        return code is not None

    def find(self, effect):
        self.findings.append(Finding(self.trial, self.number, effect, self.last.stack))

    # clients
    def headers(self, **more):
        identity = str(uuid.uuid4())
        self._trial_of[identity] = self._trials
        return identity, {"x-request-id": identity, **({"x-close": "1"} if self.closes else {}), **more}

    def ask(self, client, body, **options):
        """Sends one request and returns its outcome, as `read_answer` does."""
        identity, headers = self.headers(**options.pop("headers", {}))
        try:
            client.send(request(body, headers=headers, **options))
        except TimeoutError:
            return "hung", "the request is not taken"
        except OSError:
            pass  # an answer may have arrived before the end of the connection
        return self.note(identity, read_answer(client, body))

    def read(self, client, body):
        return read_answer(client, body)

    @contextlib.contextmanager
    def in_background(self, task):
        """Runs `task()` on another thread; `result()` waits for it."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(task)

    def note(self, identity, outcome):
        if outcome[0] in ("answered", "refused") or outcome == ("cut", 200):
            self.told[identity] = f"a client got {outcome}"
        return outcome

    def judge(self, who, outcome):
        """Checks the outcome of any client: it must be the client's own answer, an error or an end."""
        if outcome[0] in ("wrong", "hung"):
            self.find(f"{who} {outcome[0]}: {outcome[1]}")
        return outcome

    def connect(self):
        return self.router.connect(timeout=PATIENCE)

    def score(self):
        """Sends a request while the allocator does not fail."""
        return self._unharmed.submit(self._score).result()

    def _score(self):
        body = marked(20000)
        try:
            with self.connect() as client:
                return self.ask(client, body)
        except OSError as error:
            return "closed", str(error)

    # a trial
    def hold_bystander(self):
        if self._with_bystander:
            self._unharmed.submit(self._hold_bystander).result()

    def _hold_bystander(self):
        if self._bystander is None:
            self._bystander = self.connect()
        self.echo.hold_next()
        before = self.echo.holding
        self._body = marked(30000)
        self._identity, headers = self.headers(**{"x-hold": "1"})
        self._bystander.send(request(self._body, headers=headers))
        eventually(lambda: self.echo.holding > before, "the bystander's request", pause=0.001)

    def release_bystander(self):
        self.echo.release()
        if not self._with_bystander:
            return
        outcome = self.note(self._identity, self._unharmed.submit(read_answer, self._bystander, self._body).result())
        if outcome[0] != "answered":
            self.find(f"the bystander's request failed: {outcome}")
            self._bystander.close()
            self._bystander = None

    def settle(self):
        """Waits until all slots are free and the queue is empty."""
        eventually(lambda: self.router.slots_in_use() == 0 and self.router.queue_length() == 0, "free slots and an empty queue",
                   patience=PATIENCE, pause=0.002)

    def look(self):
        """Checks the process after a failure, when the allocator works again."""
        try:
            outcome = self.score()
            if outcome[0] != "answered":
                self.find(f"the next request is not served: {outcome}")
            self.settle()
            eventually(lambda: self.count_descriptors() <= self.descriptors + (self._bystander is not None),
                       "as many descriptors as before", patience=PATIENCE, pause=0.002)
        except (AssertionError, OSError) as error:
            if not self.died():
                self.find(f"lost: {error}")

    def count(self, act, runs=3, **arming):
        """Returns how many allocations `act` makes in each run, sorted."""
        seen = []
        for _ in range(runs):
            self.hold_bystander()
            self.allocator.arm(threads=arming.get("threads", SHARDS), kinds=arming.get("kinds", NEW))
            act()
            seen.append(self.allocator.disarm().seen)
            self.release_bystander()
            self.settle()
        return sorted(seen)

    def run(self, trial, act, at_most, last=0, look=None, spares=None, excuses=None, times_each=1, **arming):
        """Runs `act` once for each n; what does not hold becomes an entry of `findings`. `act` returns the outcomes of its requests. These
        must be answered if the stack of the failed allocation has a frame that `spares` matches. `excuses`: an effect, and a frame that
        makes it acceptable."""
        self.trial = f"{self.name}: {trial}"
        totals = self.count(act, **arming)
        total = totals[-1]
        assert total > 0, "no allocation was counted"
        numbers = choose(totals, at_most, last)
        failures, outcomes, begun = 0, [], len(self.findings)
        for self.number in [number for number in numbers for _ in range(times_each)]:
            found = len(self.findings)
            self.last = Failure(0, 0, ())
            self._trials += 1
            try:
                self.hold_bystander()
                self.allocator.arm(self.number, **arming)
                outcome = act()
            except (AssertionError, OSError, Gone) as error:
                outcome = None
                if not self.died():
                    self.find(f"the trial ended: {type(error).__name__} {error}")
            self.last = self.allocator.disarm()
            failures += self.last.failed
            if outcome and any(one[0] != "answered" for one in outcome):
                outcomes.append((self.number, outcome, self.last.stack))
            self._failures[self._trials] = (self.trial, self.number, self.last.stack)
            for one in self.findings[found:]:
                one.stack = self.last.stack
            if not self.died():
                try:
                    self.release_bystander()
                    (look or self.look)()
                except (AssertionError, OSError, Gone) as error:
                    self.find(f"lost: {type(error).__name__} {error}")
            if len(self.findings) > found:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.router.process.wait(0.3)  # the end of the process explains the other findings
            if self.died():
                code = self.router.wait_exit()
                del self.findings[found:]
                self.find(f"the process ended: {code}, {self.router.log[-600:]}")
            if len(self.findings) > found:
                self.retire()
                self.start()
                self.restarted()
        if spares:
            frames = name_stacks({stack for _, _, stack in outcomes})
            self.findings.extend(Finding(self.trial, number, f"a request failed that should be answered: {outcome}", stack)
                                 for number, outcome, stack in outcomes if any(re.search(spares, one) for one in frames[stack]))
        if excuses:
            effect, frame = excuses
            self.findings[begun:] = [one for one in Findings(self.findings[begun:]).name()
                                     if not (re.search(effect, one.effect) and any(re.search(frame, each) for each in one.frames))]
        print(f"{self.trial}: {len(numbers)} of {total} allocations, {failures} failures, {len(self.findings) - begun} findings, "
              f"seed {SEED}")
        assert failures > 0, "no allocation failed"

    restarted = staticmethod(lambda: None)  # what a trial has to do after a new process has started

    def run_processes(self, trial, act, at_most, **arming):
        """As `run`, but with one process for each n: `act` calls `arm` at its time, and ends the process."""
        self.trial = f"{self.name}: {trial}"
        self.arm = functools.partial(self.allocator_of_now, **arming)
        self.number = NEVER
        act()
        total = self.allocator.disarm().seen
        numbers = choose([total], at_most)
        failures, begun = 0, len(self.findings)
        for self.number in numbers:
            self.start()
            found = len(self.findings)
            try:
                act()
            except (AssertionError, OSError, Gone) as error:
                self.find(f"lost: {type(error).__name__} {error}")
            self.last = self.allocator.disarm()
            failures += self.last.failed
            for one in self.findings[found:]:
                one.stack = self.last.stack
            self.router.kill()
            self.check_lines()
        print(f"{self.trial}: {len(numbers)} of {total} allocations, {failures} failures, {len(self.findings) - begun} findings, "
              f"seed {SEED}")
        assert failures > 0, "no allocation failed"

    def allocator_of_now(self, **arming):
        self.allocator.arm(self.number, **arming)

    # the access log and the metrics
    def check_lines(self):
        """After the end of the process: each exchange that a client or a pod knows is in the access log exactly once."""
        told = self.told_in_log()
        for identity in {*self.told, *filter(None, self.echo.ids)}:
            if told[identity] != 1:
                self.untold.append(Finding(self.trial, self.number, f"an exchange is in the log {told[identity]} times", self.last.stack))

    def told_in_log(self):
        lines = self.router.access_log_file.read_text().splitlines()
        return Counter(line.split('"XRequestId":"', 1)[1][:36] for line in lines if '"XRequestId":"' in line)

    def check_account(self):
        """Each exchange that a client or a pod knows is in the access log exactly once. The metrics count as many exchanges as the log
        has."""
        known = dict(self.told)
        known.update({identity: "a pod got it" for identity in self.echo.ids if identity and identity not in known})
        lines = []

        dropped = requests = 0

        def is_whole():
            nonlocal dropped, requests
            lines[:] = self.router.access_log_file.read_text().splitlines()
            metrics = self.router.metrics()
            dropped, requests = metrics.value("access_log_dropped_total"), metrics.value("requests_total")
            return len(lines) + dropped >= max(requests, len(known))
        try:
            eventually(is_whole, "the access log", patience=2)
        except AssertionError:
            pass  # reported below
        except OSError as error:
            return self.find(f"an operators' listener does not answer: {error}")
        told = self.told_in_log()
        missing = [identity for identity in known if told[identity] == 0]
        if len(missing) > dropped:
            for identity in missing:
                trial, number, stack = self._failures.get(self._trial_of.get(identity), (self.trial, 0, ()))
                self.untold.append(Finding(trial, number, f"an exchange is not in the log: {known[identity]}", stack))
        if any(count > 1 for count in told.values()):
            self.untold.append(Finding(self.trial, 0, "exchanges are in the log twice", ()))
        if len(lines) + dropped != requests:
            self.untold.append(Finding(self.trial, 0, f"counts differ: {len(lines)} lines, {dropped} dropped, {requests} counted", ()))
