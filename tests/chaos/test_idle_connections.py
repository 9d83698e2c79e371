"""Ten thousand idle TLS connections beside ordinary requests."""

import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support import idle_clients
from support.router import SANITIZED
from support.settings import deployment, endpoint
from support.wait import eventually

GOAL = 16 * 1024  # bytes of resident memory for each idle connection
BOUND = 2 * GOAL
RATE, SECONDS, CLIENTS = 500, 4, 10  # of the ordinary requests


class IdleClients:
    def __init__(self, router, count, authority):
        self._process = subprocess.Popen([sys.executable, Path(idle_clients.__file__), str(router.port), str(count), str(authority.file)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == f"held {count}\n"

    def end(self):
        """Ends the process. Returns how many of the connections the router had closed."""
        said, _ = self._process.communicate(timeout=60)
        return int(said.split()[1])


def traffic(router, wrong):
    """Sends RATE requests a second for SECONDS seconds on a few connections, or as many as this machine can. Adds failures to `wrong`."""
    begun = time.monotonic()
    served = []

    def ask():
        mine = 0
        try:
            with router.connect() as client:
                while time.monotonic() - begun < SECONDS:
                    answer = client.exchange(b"%d" % mine)
                    if (answer.status, answer.body) != (200, b"%d" % mine):
                        wrong.append((answer.status, answer.why))
                    mine += 1
                    time.sleep(max(0, begun + mine * CLIENTS / RATE - time.monotonic()))
        except Exception as error:
            wrong.append(error)
        served.append(mine)

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(served)


@pytest.mark.long
def test_ten_thousand_idle_tls_connections_cost_little_and_disturb_nobody(pod, start, authority):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(10_000, hard * 3 // 4 - 300)  # three quarters of the router's descriptors are for clients
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod() for _ in range(2)], slots=0)), tls={"certificates": [pair.as_dict()]},
                   limits={"keep_alive_timeout_ms": 600_000})
    router.client_context = authority.client_context()
    wrong = []
    traffic(router, wrong)  # so that what ordinary requests need is allocated already
    before = router.memory()
    idle = IdleClients(router, count, authority)
    assert router.metrics().value("connections_active") >= count
    each = (router.memory() - before) / count
    print(f"\n{count} idle TLS connections: {each / 1024:.1f} KB of resident memory each (goal {GOAL // 1024})")
    served = traffic(router, wrong)
    print(f"{served / SECONDS:.0f} requests/s beside them")
    assert not wrong, wrong[:5]
    assert served > RATE * SECONDS / 10
    assert SANITIZED or each < BOUND
    assert idle.end() == 0
    eventually(lambda: router.metrics().value("connections_active") == 0, "the connections to end")
