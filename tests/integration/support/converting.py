"""Runs `inference-router convert` in a folder of the test."""

import subprocess

from .router import BINARY

ENDPOINT = """$schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineEndpoint.schema.json
name: My-Endpoint   # a comment
auth_mode: Key
traffic: {Blue: 90, green: 10}
tags: {version: "1.0", count: 5, 'on': yes}
router:
  hostnames: [models.example]
  keys: {primary_file: keys/primary, secondary_file: keys/secondary}
"""
BLUE = "name: blue\nendpoint_name: my-endpoint\nenvironment: {image: registry.example/model:1}\n"


def run(*arguments, **options):
    return subprocess.run([BINARY, "convert", *arguments], capture_output=True, text=True, check=False, timeout=20, **options)


def convert(folder, *texts, **options):
    """Each text is a file: 0.yml, 1.yml, …"""
    for number, text in enumerate(texts):
        (folder / f"{number}.yml").write_text(text)
    return run(*(f"{number}.yml" for number in range(len(texts))), "--namespace", "team-a", cwd=folder, **options)


def converted(folder, *texts, **options):
    done = convert(folder, *texts, **options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def comments(text):
    return [line[2:] for line in text.splitlines() if line.startswith("# ")]
