"""The blocks of a documentation page that say `<!-- run: NAME -->` above: what a reader copies is what a test runs."""

import re

from .router import ROOT

_BLOCK = re.compile(r"^<!-- run: (\S+) -->\n```\w+\n(.*?)^```$", re.M | re.S)


def blocks(page):
    """By name, of a file in docs/."""
    found = _BLOCK.findall((ROOT / "docs" / page).read_text())
    assert len(dict(found)) == len(found), "two blocks of one name"
    return dict(found)
