"""What many deployments cost that their authors write in a line each."""

import os
from pathlib import Path

import pytest
from support.router import SANITIZED
from support.settings import deployment, endpoint

ENDPOINTS, DEPLOYMENTS = 40, 25  # of each endpoint


def cpu_of(router):
    """Seconds of CPU that the process has used."""
    fields = Path(f"/proc/{router.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def many(tls):
    """A thousand deployments without replicas, which nobody has to look up or to probe."""
    settings = {"tls": {}} if tls else {}
    return [endpoint(*(deployment([], f"deployment-{each}", router=settings) for each in range(DEPLOYMENTS)), name=f"many-{number}")
            for number in range(ENDPOINTS)]


@pytest.mark.serial
def test_a_thousand_deployments_with_tls_loaded_the_trust_store_a_thousand_times(start):
    figures = {}
    for tls in (False, True):
        router = start(*many(tls))
        figures[tls] = (cpu_of(router), router.memory())
        router.stop()
    (plain_cpu, plain_memory), (tls_cpu, tls_memory) = figures[False], figures[True]
    print(f"\n{ENDPOINTS * DEPLOYMENTS} deployments: {tls_cpu - plain_cpu:.2f} s of CPU and "
          f"{(tls_memory - plain_memory) / 1e6:.1f} MB more with `tls: {{}}` than without")
    assert tls_cpu - plain_cpu < 2
    if not SANITIZED:
        assert tls_memory - plain_memory < 20e6
