"""azure-ai-ml from PyPI loads the same files as the router, and refuses a key of the router in them."""

import fcntl
import json
import os
import shutil
import subprocess

import pytest
from model_servers import HERE, prepare
from support.azureml import FILES, FOLDER, SCENES, allowed_keys
from support.readme import written_files
from support.router import BINARY, ROOT

pytestmark = pytest.mark.long

SITE = ROOT / "build" / "azureml"


def python_with_sdk():
    """Returns a Python and its environment. The packages are in a folder of their own, since the model servers need other versions.
    Packages that only Azure's telemetry needs are left out. Nothing is compiled, which would take longer than all the tests."""
    python, requirements = prepare() / "python", HERE / "requirements-azureml.txt"
    with open(SITE.parent / "azureml.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (SITE / "made-of").exists() or (SITE / "made-of").read_text() != requirements.read_text():
            shutil.rmtree(SITE, ignore_errors=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile",
                            "--target", SITE, "-r", requirements], check=True, timeout=600)
            shutil.copy(requirements, SITE / "made-of")
    return python, {**os.environ, "PYTHONPATH": str(SITE), "PYTHONDONTWRITEBYTECODE": "1"}


class Told:
    """The SDK's results for all files of these tests, computed once, since the SDK takes seconds to start."""

    def __init__(self, folder):
        demo = ROOT / "tests" / "support" / "demo" / "run.py"
        subprocess.run(["python3", demo, BINARY, folder / "demo", "--describe"], check=True, capture_output=True, timeout=60)
        self.demo = [each for each in (folder / "demo" / "endpoints").glob("*.yml") if ".overlay." not in each.name]
        self.readme = []
        for name, text in written_files("Five minutes").items():
            if name.startswith("endpoints/") and ".overlay." not in name:
                self.readme.append(folder / "readme" / name)
                self.readme[-1].parent.mkdir(parents=True, exist_ok=True)
                self.readme[-1].write_text(text)
        shutil.copytree(FOLDER / "assets", folder / "assets")
        self.with_ours = folder / "scene" / "deployment.yml"
        self.with_ours.parent.mkdir()
        azures = (FOLDER / "kubernetes-basic" / "blue-deployment.yml").read_text()
        self.with_ours.write_text(azures + "router:\n  replicas: ['127.0.0.1:5001']\n")
        python, environment = python_with_sdk()
        done = subprocess.run([python, FOLDER / "sdk.py", *FILES, *self.demo, *self.readme, self.with_ours], capture_output=True, text=True, timeout=300,
                              check=False, env=environment)
        assert done.returncode == 0, done.stderr[-2000:]
        self.keys = json.loads(done.stdout)["keys"]
        self._loaded = json.loads(done.stdout)["loaded"]

    def of(self, file):
        """Returns the kind of what was loaded and its name, or "refused" and the reason."""
        return self._loaded[str(file)]


@pytest.fixture(scope="module")
def sdk(tmp_path_factory):
    return Told(tmp_path_factory.mktemp("sdk"))


def test_the_sdk_and_the_router_take_the_same_files(sdk):
    assert len(FILES) >= 30
    for file in FILES:
        kind, name = sdk.of(file)
        # the SDK has used the schema that the file names
        assert f"{kind[0].lower()}{kind[1:]}.schema.json" in file.read_text(), f"{file}: {kind}: {name}"
    for scene in SCENES:
        done = subprocess.run([BINARY, "--config", scene / "router.yaml", "--check"], capture_output=True, text=True, timeout=20, check=False)
        assert (done.returncode, done.stdout) == (0, "ok\n"), done.stdout + done.stderr


def test_the_sdk_takes_the_files_of_the_demo(sdk):
    kinds = sorted(sdk.of(file)[0] for file in sdk.demo)
    assert kinds == ["KubernetesOnlineDeployment", "KubernetesOnlineDeployment", "KubernetesOnlineEndpoint"]


def test_the_sdk_takes_the_files_of_readme(sdk):
    assert [sdk.of(file) for file in sdk.readme] == [["KubernetesOnlineEndpoint", "iris"], ["KubernetesOnlineDeployment", "blue"]]


def test_the_sdk_refuses_a_key_of_ours(sdk):
    """The reason for overlays."""
    kind, why = sdk.of(sdk.with_ours)
    assert kind == "refused" and "router" in why


def test_the_recorded_keys_are_those_of_the_sdk(sdk):
    """Checks tests/azureml/allowed_keys.json, which other tests use without the SDK. `sdk.py` without files writes it."""
    assert sdk.keys == allowed_keys()
