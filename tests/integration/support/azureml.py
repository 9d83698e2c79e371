"""The files in tests/azureml: endpoints and deployments as people write them for Azure ML, none of which has a key of ours."""

import json
import re

from .router import ROOT

FOLDER = ROOT / "tests" / "azureml"
SCENES = sorted(each.parent for each in FOLDER.glob("*/router.yaml"))
FILES = sorted(each for scene in SCENES for each in scene.glob("*.yml") if not each.name.endswith(".overlay.yml"))
RECORD = FOLDER / "allowed_keys.json"


def allowed_keys():
    return json.loads(RECORD.read_text())


def key_paths(text):
    """The keys of block YAML, level by level: [("model", "path"), …]. Members of a list are members of the map that has it. What
    stands in one line, such as `[…]`, is a value."""
    paths, above = [], []
    for line in text.splitlines():
        found = re.fullmatch(r"([ -]*)([^\s:'\"]+):(?: .*)?", line)
        assert found, f"not a line with a key: {line}"
        indent = len(found[1])
        above = [each for each in above if each[0] < indent] + [(indent, found[2])]
        paths.append(tuple(key for _, key in above))
    return paths


def is_allowed(path, keys):
    for key in path:
        if keys == "*":
            return True
        keys = keys.get(key, keys.get("*"))
        if keys is None:
            return False
    return True
