"""azure-ai-ml from PyPI loads the same files as the router, and refuses what would be a key of ours."""

import fcntl
import json
import os
import shutil
import subprocess

import pytest
from model_servers import HERE, prepare
from support.azureml import FILES, FOLDER, SCENES, allowed_keys
from support.router import BINARY, ROOT

pytestmark = pytest.mark.long

SITE = ROOT / "build" / "azureml"


@pytest.fixture(scope="module")
def sdk():
    """A function that runs tests/azureml/sdk.py. The packages are in a folder of their own: the model servers need others. What
    only Azure's telemetry needs is left out, and nothing is compiled: that takes longer than all the tests."""
    python = prepare() / "python"
    requirements = HERE / "requirements-azureml.txt"
    with open(SITE.parent / "azureml.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (SITE / "made-of").exists() or (SITE / "made-of").read_text() != requirements.read_text():
            shutil.rmtree(SITE, ignore_errors=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile", "--target", SITE,
                            "-r", requirements], check=True, timeout=600)
            shutil.copy(requirements, SITE / "made-of")

    def run(*arguments):
        done = subprocess.run([python, FOLDER / "sdk.py", *arguments], capture_output=True, text=True, timeout=120, check=False,
                              env={**os.environ, "PYTHONPATH": str(SITE), "PYTHONDONTWRITEBYTECODE": "1"})
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return run


def test_the_sdk_and_the_router_take_the_same_files(sdk):
    loaded = sdk("load", *FILES)
    assert len(loaded) == len(FILES) >= 30
    for file, (kind, name) in loaded.items():
        assert kind in ("KubernetesOnlineEndpoint", "KubernetesOnlineDeployment", "ManagedOnlineEndpoint", "ManagedOnlineDeployment"), \
            f"{file}: {kind}: {name}"
        # the schema that the file names is the one that was used
        assert f"{kind[0].lower()}{kind[1:]}.schema.json" in open(file, encoding="utf-8").read(), file
    for scene in SCENES:
        done = subprocess.run([BINARY, "--config", scene / "router.yaml", "--check"], capture_output=True, text=True, timeout=20, check=False)
        assert (done.returncode, done.stdout) == (0, "ok\n"), done.stdout + done.stderr


def test_the_sdk_takes_the_files_of_the_demo(sdk, tmp_path):
    subprocess.run(["python3", ROOT / "tests/support/demo/run.py", BINARY, tmp_path, "--describe"], check=True, capture_output=True, timeout=60)
    files = [each for each in (tmp_path / "endpoints").glob("*.yml") if ".overlay." not in each.name]
    assert sorted(kind for kind, _ in sdk("load", *files).values()) == ["KubernetesOnlineDeployment"] * 2 + ["KubernetesOnlineEndpoint"]


def test_the_sdk_refuses_a_key_of_ours(sdk, tmp_path):
    """Why overlays are there; when it no longer does, they are no longer needed for this."""
    shutil.copytree(FOLDER / "assets", tmp_path / "assets")
    file = tmp_path / "scene" / "deployment.yml"
    file.parent.mkdir()
    file.write_text((FOLDER / "kubernetes-basic" / "blue-deployment.yml").read_text() + "router:\n  replicas: ['127.0.0.1:5001']\n")
    kind, why = sdk("load", file)[str(file)]
    assert kind == "refused" and "router" in why


def test_the_recorded_keys_are_those_of_the_sdk(sdk):
    """tests/azureml/allowed_keys.json, for the tests that run without it: `sdk.py keys` writes it anew."""
    assert sdk("keys") == allowed_keys()
