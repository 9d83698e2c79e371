"""Writes plain values as block YAML, as far as the configurations of the tests need it."""

import json


def _scalar(value):
    if isinstance(value, str) and value.startswith("${") and value.endswith("}"):
        return value
    return json.dumps(value)  # a JSON scalar is a YAML scalar; also [] and {}


def _lines(value, indent):
    space = "  " * indent
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                yield f"{space}{key}:"
                yield from _lines(item, indent + 1)
            else:
                yield f"{space}{key}: {_scalar(item)}"
    else:
        for item in value:
            if isinstance(item, (dict, list)) and item:
                first, *rest = _lines(item, indent + 1)
                yield f"{space}- {first.lstrip()}"
                yield from rest
            else:
                yield f"{space}- {_scalar(item)}"


def dump(value):
    return "\n".join(_lines(value, 0)) + "\n"
