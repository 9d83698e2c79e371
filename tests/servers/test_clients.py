"""docs/clients.md: the blocks of the clients that come from PyPI or need Node or Go, with real servers; and the cost of their retries."""

import os
import shutil
import subprocess

import pytest
from environments import HERE, prepare
from recipes import RECIPES, Server, start_router
from support.client import PRIMARY, SCORE
from support.page import blocks


class Scene:
    def __init__(self, name, folder, authority):
        recipe = next(one for one in RECIPES if one.name == name)
        self.folder = folder
        self.server = Server(recipe, folder)
        self.server.wait_ready()
        self.router = start_router(recipe, self.server, folder / "router", lambda text: text.replace("models.test", "localhost"),
                                   tls={"certificates": [authority.issue("localhost").as_dict()]})
        self.environment = {
            **{key: value for key, value in os.environ.items() if "CA_BUNDLE" not in key}, "CA": str(authority.file), "KEY": PRIMARY,
            "SCORING_URI": f"https://localhost:{self.router.port}{SCORE}", "BASE_URL": f"https://localhost:{self.router.port}/v1",
            "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}

    def run(self, name):
        source = blocks("clients.md")[name]
        if name == "node":
            command = ["node", "-e", source]
        elif name == "go":
            (self.folder / "main.go").write_text(source)
            go = shutil.which("go") or "/usr/local/go/bin/go"
            command = [go, "run", "main.go"]
        else:
            command = [prepare("clients") / "python", "-c", source]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, cwd=self.folder, env=self.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def close(self):
        try:
            self.router.stop()
        finally:
            self.router.kill()
            self.server.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory, authority):
    scene = Scene("fastapi", tmp_path_factory.mktemp("plain"), authority)
    yield scene
    scene.close()


@pytest.mark.parametrize("name", ["requests", "requests-stream", "httpx", "node", "go", "azure-ai-ml"])
def test_a_block_of_the_page_gets_its_answer(plain, name):
    lines = plain.run(name).replace(" ", "").replace("'", '"')
    if name != "requests-stream":
        assert '{"sum":6}' in lines
        logged = plain.router.access_lines(1)
        assert name == "azure-ai-ml" or any(one.get("XMSClientRequestId") == "batch-7" for one in logged)
    if name not in ("requests", "azure-ai-ml"):
        assert lines.split()[-3:] == ["1", "2", "3"]


def test_the_block_for_the_openai_sdk_gets_its_answer_and_a_stream(tmp_path, authority):
    scene = Scene("openai", tmp_path, authority)
    try:
        assert scene.run("openai").split("\n") == ['{"sum": 6}', "1", "2", "3", ""]
    finally:
        scene.close()


AZURE = """
import os
from azure.ai.ml._utils._http_utils import HttpPipeline
from azure.core.pipeline.policies import RetryPolicy
HttpPipeline(retry_policy=RetryPolicy()).post(os.environ["URL"], json={})
"""
OPENAI = """
import os, openai
try:
    openai.OpenAI(base_url=os.environ["URL"], api_key="none").chat.completions.create(model="m", messages=[])
except openai.APIStatusError:
    pass
"""


@pytest.mark.parametrize("client, status, headers, times", [
    (AZURE, 503, {"Retry-After": "1"}, 4), (AZURE, 504, {}, 4), (AZURE, 500, {}, 4), (AZURE, 502, {}, 1), (AZURE, 408, {}, 1), (AZURE, 424, {}, 1),
    (AZURE, 429, {"Retry-After": "1"}, 4), (OPENAI, 500, {}, 3), (OPENAI, 504, {}, 3), (OPENAI, 408, {}, 3), (OPENAI, 424, {}, 1)],
    ids=lambda value: {AZURE: "azure", OPENAI: "openai"}.get(value) if isinstance(value, str) else None)
def test_how_often_a_client_repeats_a_post_is_what_the_page_says(pod, client, status, headers, times):
    def refuse(exchange):
        exchange.body()
        exchange.answer(status, b"{}", {"Content-Type": "application/json", **headers})
    refusing = pod(refuse)
    done = subprocess.run([prepare("clients") / "python", "-c", client], capture_output=True, text=True, check=False, timeout=60,
                          env={**os.environ, "URL": f"http://{refusing.address}/v1"})
    assert done.returncode == 0, done.stderr
    assert len(refusing.requests) == times


LOAD = """
import sys
from azure.ai.ml import load_online_deployment, load_online_endpoint
load_online_endpoint(sys.argv[1])
for file in sys.argv[2:]:
    load_online_deployment(file)
"""


def test_azures_own_sdk_takes_every_file_of_the_recipes():
    files = [HERE / "endpoint.yml", *sorted(HERE.glob("*/deployment.yml"))]
    done = subprocess.run([prepare("clients") / "python", "-c", LOAD, *files], capture_output=True, text=True, check=False, timeout=120)
    assert len(files) == len(RECIPES) + 1 and done.returncode == 0, done.stderr
