"""Run by tests/e2e/test_schemas.py with jsonschema and PyYAML in PYTHONPATH. Reads {"schemas": {name: schema}, "cases": [[name, text]]} from
standard input and prints, for each case, the mistakes of each of its documents: [] if there are none, null if it is not YAML.
"""
import json
import sys

import jsonschema
import yaml


class Loader(yaml.SafeLoader):
    """Dates stay texts, as in editors; a key `on` stays a text, too."""


for letter in list(Loader.yaml_implicit_resolvers):
    Loader.yaml_implicit_resolvers[letter] = [(tag, pattern) for tag, pattern in Loader.yaml_implicit_resolvers[letter]
                                              if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")]
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", __import__("re").compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def told(validator, text):
    try:
        documents = [each for each in yaml.load_all(text, Loader=Loader) if each is not None]  # noqa: S506 - a SafeLoader
    except yaml.YAMLError:
        return None
    return [f"{'/'.join(map(str, mistake.absolute_path))}: {mistake.message[:200]}" for each in documents for mistake in validator.iter_errors(each)]


def main():
    given = json.load(sys.stdin)
    validators = {}
    for name, schema in given["schemas"].items():
        jsonschema.Draft7Validator.check_schema(schema)
        validators[name] = jsonschema.Draft7Validator(schema)
    json.dump([told(validators[name], text) for name, text in given["cases"]], sys.stdout)


if __name__ == "__main__":
    main()
