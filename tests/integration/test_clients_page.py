"""docs/clients.md: the blocks for curl and requests, unchanged. `./dev test --servers` runs the others."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest
from support.client import PRIMARY, SCORE, request
from support.page import blocks
from support.pod import Held
from support.settings import deployment, endpoint
from support.wait import eventually


def adder(exchange):
    asked = json.loads(exchange.body())
    if asked.get("stream"):
        exchange.begin_chunks(headers={"Content-Type": "text/plain"})
        for number in asked["data"]:
            exchange.chunk(f"{number}\n".encode())
        exchange.end_chunks()
    else:
        exchange.answer(200, json.dumps({"sum": sum(asked["data"])}).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def before(authority, pod, start, tmp_path):
    """A router with TLS in front of such a pod, and a function that runs a block of the page."""
    class Before:
        def __init__(self, behave=adder, **settings):
            self.pod = pod(behave)
            certificate = authority.issue("localhost").as_dict()
            self.router = start(endpoint(deployment([self.pod], **settings)), tls={"certificates": [certificate]})
            self.router.client_context, self.server_name = authority.client_context(), "localhost"

        def run(self, name):
            command = ["sh", "-c"] if name.startswith("curl") else [sys.executable, "-c"]
            surroundings = {key: value for key, value in os.environ.items() if "CA_BUNDLE" not in key}
            done = subprocess.run(
                [*command, blocks("clients.md")[name]], capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path, env={
                    **surroundings, "SCORING_URI": f"https://localhost:{self.router.port}{SCORE}", "KEY": PRIMARY, "CA": str(authority.file)})
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        def scored(self):
            return [one for one in self.pod.requests if one.method == "POST"]
    return Before


@pytest.mark.parametrize("name", ["curl", "requests"])
def test_a_block_of_the_page_gets_its_answer(before, name):
    scene = before()
    assert "6" in scene.run(name)
    [seen] = scene.scored()
    assert seen.headers.get("content-type") == "application/json"
    assert seen.headers.get("x-ms-client-request-id") == "batch-7"


@pytest.mark.parametrize("name", ["curl", "requests"])
def test_a_block_of_the_page_waits_as_retry_after_says_and_comes_again(before, name):
    held = Held()
    scene = before(lambda exchange: held(exchange) if exchange.request.headers.get("x-first") else adder(exchange), max_queue_wait_ms=50)
    with scene.router.connect(server_name="localhost") as client:
        client.send(request(b"x", headers={"x-first": "1"}))
        eventually(lambda: scene.router.slots_in_use() == 1, "the slot to be taken")

        def free_it():
            eventually(lambda: scene.router.metrics().value("requests_total", reason="queue_timeout") > 0, "a refusal")
            held.release.set()
        freeing = threading.Thread(target=free_it)
        freeing.start()
        begun = time.monotonic()
        assert "6" in scene.run(name)
        assert time.monotonic() - begun > 1.0
        freeing.join()
        assert client.response().status == 200
    assert len(scene.scored()) == 2  # the request that held the slot, and one of the two requests of the block


def test_a_stream_is_read_line_by_line(before):
    assert before().run("requests-stream").split() == ["1", "2", "3"]
