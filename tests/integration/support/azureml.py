"""The files in tests/azureml: endpoints and deployments as users write them for Azure ML. They contain none of the router's own keys."""

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
    """The paths of the keys of block YAML: [("model", "path"), …]. A member of a list counts as a member of the map that contains the list.
    Flow style, such as `[…]`, is a value."""
    paths, above = [], []
    for line in text.splitlines():
        found = re.fullmatch(r"([ -]*)([^\s:'\"]+):(?: .*)?", line)
        assert found, f"this line has no key: {line}"
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
