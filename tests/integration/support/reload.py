"""Settings of the process that change while the router runs: how a test writes them, and what it is told."""

import json

from . import yaml
from .client import Client
from .router import write_at_once


def write_settings(router, **settings):
    router.settings.update(settings)
    write_at_once(router.config_file, yaml.dump(router.settings))


def take_up(router, **settings):
    """Writes router.yaml and has it read; it must be accepted."""
    write_settings(router, **settings)
    status, text = router.admin("/reload", "POST")
    assert status == 200, text


def refusal(router, code=None, **settings):
    """Writes router.yaml and has it read; it must be refused. What is told, and router.yaml's lines by number; the settings of
    before stand in `router.settings` again."""
    before = dict(router.settings)
    generation = router.generation()
    write_settings(router, **settings)
    lines = router.config_file.read_text().splitlines()
    status, text = router.admin("/reload", "POST")
    assert status == (code or 422), text
    assert router.generation() == generation
    router.settings = before
    return json.loads(text)["error"]["mistakes"], lines


def line_of(lines, part):
    return next(number for number, line in enumerate(lines, 1) if part in line)


def plain(port, address="127.0.0.1", **others):
    return {"address": address, "port": port, **others}


def asks(port, **options):
    """One request on a connection of its own to this port."""
    with Client(port, **options) as client:
        return client.exchange(b"x")
