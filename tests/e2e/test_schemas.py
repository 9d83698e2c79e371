"""Compares the schemas that `inference-router schema` prints with all files of the tests. They accept each file that the router accepts. Of
the files that the router refuses, they accept only those whose mistake a schema cannot express."""

import json
import os
import re
import subprocess

import pytest
from model_servers import prepare
from support.azureml import FILES, FOLDER, SCENES
from support.router import BINARY, ROOT
from test_azureml_sdk import SITE, sdk  # noqa: F401 - the fixture installs jsonschema and PyYAML
from test_bad_files import BAD, GOOD

pytestmark = pytest.mark.long

NAMES = ("router", "overlay", "endpoint", "deployment", "OnlineEndpoint", "OnlineDeployment")

# Mistakes that a schema of one file cannot express, or that do not concern keys, types, bounds and words.
NOT_OF_A_SCHEMA = {
    # rules over several keys, documents or files
    "a share twice", "two documents for one endpoint", "two documents for one deployment", "two files for one deployment",
    "a replica twice", "two listeners on one port", "a host name of two endpoints",
    "traffic sums to 90", "traffic sums to 110", "two mirrors", "buckets that do not ascend",
    "more instances at least than at most", "names too long together", "a share of nobody", "a deployment of nobody",
    "a certificate without a key", "an admin listener for everybody", "no name",
    # the form of texts
    "a name too long", "a name with a dash last", "a host name with a port", "a replica without a host", "a replica that is a URL",
    "a replica with port 0", "a route with a query", "a listener on a name", "a trusted proxy that is a name", "a bucket of no seconds",
    "a variable that is not set", "a variable that is none", "a schema of something else",
    # other files
    "a missing key file", "an empty key file", "a key of two lines", "a key file that is a folder", "a key file of a megabyte",
    "a missing endpoint file",
    # YAML itself; other readers use the last of two values
    "a key twice", "a nested key twice", "a key of a list's map twice",
}


@pytest.fixture(scope="module")
def validate(sdk):  # noqa: F811
    """Returns a function that validates each of `[(schema, text)]` and returns its mistakes."""
    schemas = {}
    for name in NAMES:
        done = subprocess.run([BINARY, "schema", name], capture_output=True, text=True, check=True, timeout=20)
        schemas[name] = json.loads(done.stdout)

    def run(cases):
        done = subprocess.run([prepare() / "python", ROOT / "tests/e2e/validate_schemas.py"], check=True, capture_output=True, text=True,
                              input=json.dumps({"schemas": schemas, "cases": cases}), timeout=100,
                              env={**os.environ, "PYTHONPATH": str(SITE), "PYTHONDONTWRITEBYTECODE": "1"})
        return json.loads(done.stdout)

    return run


def schema_of(name, text):
    if name == "router.yaml":
        return "router"
    if name.endswith((".overlay.yml", ".overlay.yaml")):
        return "overlay"
    if re.search("^endpoint_name:|OnlineDeployment", text, re.MULTILINE):
        return "deployment"
    if re.search("^(auth_mode|traffic):|OnlineEndpoint", text, re.MULTILINE):
        return "endpoint"
    return "deployment" if "deployment" in name or "blue" in name else "endpoint"


def test_every_file_that_the_router_takes_is_good(validate):
    files = [*FILES, *FOLDER.glob("*/*.overlay.yml"), *FOLDER.glob("*/router.yaml")]
    assert len(files) >= 45
    cases = [(schema_of(each.name, each.read_text()), each.read_text()) for each in files]
    cases += [(schema_of(name, text), text) for name, text in GOOD.items() if name != "key"]
    for spelled in ("log: {level: WARN}", "via: Yes", "threads: '4'", "threads: ${THREADS}", "limits: {max_connections: 7}",
                    "listeners: [{port: 1, tls: {minimum_version: 1.2, certificates: [{directory: x}]}}]", "metrics: {buckets: [0.1, 1]}"):
        cases.append(("router", ("" if "listeners" in spelled else "listeners: [{}]\n") + spelled + "\n"))
    assert [(case, told) for case, told in zip(cases, validate(cases)) if told != []] == []


def test_what_convert_writes_is_good(validate):
    cases = []
    for scene in SCENES:
        done = subprocess.run([BINARY, "convert", *sorted(scene.glob("*.yml")), "--namespace", "team-a"], capture_output=True, text=True,
                              check=False, timeout=20)
        assert done.returncode == 0, done.stderr
        for document in done.stdout.split("\n---\n"):
            kind = re.search("^kind: (Online[A-Za-z]+)$", document, re.MULTILINE)
            if kind:
                cases.append((kind[1], document))
    assert len(cases) >= 24 and {kind for kind, _ in cases} == {"OnlineEndpoint", "OnlineDeployment"}
    assert [(case, told) for case, told in zip(cases, validate(cases)) if told != []] == []


def test_every_bad_file_is_bad_but_for_what_a_schema_cannot_say(validate):
    cases, names = [], []
    for name, files in BAD.items():
        for file, text in files.items():
            if isinstance(text, str) and "#!" in text:
                for document in re.sub(r" *#!.*", "", text).split("---\n"):
                    cases.append((schema_of(file, document), document))
                    names.append(name)
    good = {name for name in names}
    for name, told in zip(names, validate(cases)):
        if told != []:
            good.discard(name)
    assert good == NOT_OF_A_SCHEMA


def test_what_is_no_schema_is_told_with_those_that_are():
    done = subprocess.run([BINARY, "schema", "Router"], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 2 and "router, overlay, endpoint, deployment, OnlineEndpoint, OnlineDeployment" in done.stderr
