"""Settings that change while the router runs: how a test writes them, and the router's answer to the reload."""

import json

from . import yaml
from .client import Client
from .router import write_at_once


def write_settings(router, **settings):
    router.settings.update(settings)
    write_at_once(router.config_file, yaml.dump(router.settings))


def take_up(router, **settings):
    """Writes router.yaml and reloads it; the router must accept it."""
    write_settings(router, **settings)
    status, text = router.admin("/reload", "POST")
    assert status == 200, text


def refusal(router, code=None, **settings):
    """Writes router.yaml and reloads it; the router must refuse it. Returns the message and router.yaml's lines by number.
    `router.settings` has the previous settings again."""
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
    """Sends one request to this port on a connection of its own."""
    with Client(port, **options) as client:
        return client.exchange(b"x")
