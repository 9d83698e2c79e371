"""The demo of `./dev run`, which a new user sees first."""

import signal
import subprocess
import sys
import urllib.request

import pytest
from support.router import BINARY, ROOT

pytestmark = pytest.mark.serial  # each demo uses the same ports
DEMO = [sys.executable, str(ROOT / "tests/support/demo/run.py"), BINARY]


def smoke(folder, *model_options):
    return subprocess.run([*DEMO, str(folder), "--smoke", "--", *model_options], capture_output=True, text=True, timeout=60, check=False)


def test_smoke_sends_every_printed_request_and_ends_with_0(tmp_path):
    done = smoke(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "smoke: 6 right, 0 wrong; the router ended with 0" in done.stdout
    for shown in ('"sums": [6, 9]', '"model": "green"', "data: event 2 of", '"code":"unauthorized"', "inference_router_requests_total"):
        assert shown in done.stdout, shown


def test_smoke_fails_when_an_answer_is_wrong(tmp_path):
    done = smoke(tmp_path, "--fail-rate", "1")
    assert done.returncode == 1
    assert "smoke: 4 right, 2 wrong" in done.stdout  # from both clients that request sums from the model


def test_a_printed_line_works_and_sigterm_ends_all_that_was_started(tmp_path):
    demo = subprocess.Popen([*DEMO, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        lines = {}
        for line in demo.stdout:
            if line.startswith("# "):
                lines[line[2:].strip()] = next(demo.stdout)
            if line.startswith("Ctrl-C"):
                break
        done = subprocess.run(lines["score over TLS"], shell=True, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0 and '"sums": [6, 9]' in done.stdout
        observe = lines["metrics"].split()[-1]
        assert urllib.request.urlopen(observe, timeout=5).status == 200
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.wait(timeout=30)
    assert demo.returncode == 0
    assert subprocess.run(["pgrep", "-f", str(tmp_path)], check=False).returncode == 1
