"""Files for Azure ML stay as Azure's own tools accept them: the router accepts thirty of them, unchanged, with overlays beside them."""

import re
import shutil
import subprocess

import pytest
from support import yaml
from support.azureml import FILES, FOLDER, SCENES, allowed_keys, is_allowed, key_paths
from support.router import BINARY, ROOT


def run(*arguments):
    return subprocess.run([BINARY, *(str(each) for each in arguments)], capture_output=True, text=True, timeout=20, check=False)


def kind_of(text):
    return re.search(r"latest/(\w+)\.schema\.json", text)[1]


def test_there_are_thirty_of_all_kinds():
    assert len(FILES) >= 30
    kinds = [kind_of(each.read_text()) for each in FILES]
    assert {kind: kinds.count(kind) for kind in set(kinds)}.keys() == allowed_keys().keys()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_untouched_files_and_an_overlay_are_a_configuration(scene):
    done = run("--config", scene / "router.yaml", "--check")
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stdout + done.stderr


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_each_scene_needs_its_overlay(scene, tmp_path):
    """Otherwise the test above would prove nothing about overlays."""
    shutil.copytree(scene, tmp_path / "scene", ignore=shutil.ignore_patterns("*.overlay.yml"))
    told = run("--config", tmp_path / "scene" / "router.yaml", "--check")
    assert told.returncode == 1 or "has no replicas" in told.stderr + told.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_file_has_only_keys_that_the_public_schemas_allow(file):
    text = file.read_text()
    allowed = {"$schema": "*", **allowed_keys()[kind_of(text)]}
    paths = key_paths(text)
    assert len(paths) > 2
    assert [path for path in paths if not is_allowed(path, allowed)] == []


def test_a_key_of_ours_is_seen():
    """Otherwise the test above could pass for any key."""
    allowed = allowed_keys()["kubernetesOnlineDeployment"]
    assert key_paths("name: a\nrouter:\n  replicas: [a]\n") == [("name",), ("router",), ("router", "replicas")]
    assert not is_allowed(("router",), allowed)
    assert not is_allowed(("model", "pth"), allowed)
    assert is_allowed(("data_collector", "collections", "model_inputs", "enabled"), allowed)
    assert not is_allowed(("data_collector", "collections", "model_inputs", "enable"), allowed)


def every_key(keys):
    """Returns a value for each key, mostly of the wrong type."""
    if keys == "*":
        return "x"
    return {("any" if key == "*" else key): every_key(inner) for key, inner in keys.items()}


@pytest.mark.parametrize("kind", allowed_keys())
def test_every_key_of_the_public_schemas_is_known(kind, tmp_path):
    document = {"$schema": f"https://azuremlschemas.azureedge.net/latest/{kind}.schema.json", **every_key(allowed_keys()[kind])}
    (tmp_path / "one.yml").write_text(yaml.dump(document))
    (tmp_path / "router.yaml").write_text("listeners: [{port: 0}]\nendpoints: [one.yml]\n")
    done = run("--config", tmp_path / "router.yaml", "--check")
    told = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 1
    assert [line for line in told if "unknown key" in line] == []


def test_the_demo_has_untouched_files_too(tmp_path):
    subprocess.run(["/usr/bin/env", "python3", ROOT / "tests/support/demo/run.py", BINARY, tmp_path, "--describe"], check=True,
                   capture_output=True, timeout=60)
    files = sorted(each for each in (tmp_path / "endpoints").glob("*.yml") if not each.name.endswith(".overlay.yml"))
    assert len(files) == 3
    for file in files:
        allowed = {"$schema": "*", **allowed_keys()[kind_of(file.read_text())]}
        assert [path for path in key_paths(file.read_text()) if not is_allowed(path, allowed)] == []
    done = run("--config", tmp_path / "router.yaml", "--check")
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stdout + done.stderr


def test_convert_takes_them_as_they_are():
    """With their overlays, some of which set the name of the endpoint."""
    for scene in SCENES:
        files = [each for each in FILES if each.parent == scene]
        done = run("convert", *files, *scene.glob("*.overlay.yml"), "--namespace", "team-a")
        assert done.returncode == 0, f"{scene.relative_to(FOLDER)}: {done.stderr}"
        assert done.stdout.count("kind: OnlineDeployment") == len(files) - 1
