"""The blocks of a documentation page that are marked `<!-- run: NAME -->`: a test runs what a reader copies."""

import re

from .router import ROOT

_BLOCK = re.compile(r"^<!-- run: (\S+) -->\n```\w+\n(.*?)^```$", re.M | re.S)


def blocks(page):
    """Returns the blocks of a file in docs/, by name."""
    found = _BLOCK.findall((ROOT / "docs" / page).read_text())
    assert len(dict(found)) == len(found), "two blocks have the same name"
    return dict(found)
