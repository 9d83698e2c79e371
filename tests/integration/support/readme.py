"""Reads README and other pages as a new user does: the blocks to copy and paste."""

import re

from .router import ROOT

README = (ROOT / "README.md").read_text()


def blocks(section, page=README):
    """Returns the shell blocks of a section, in order."""
    inside = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL).group(1)
    return re.findall(r"^```sh\n(.*?)^```$", inside, re.MULTILINE | re.DOTALL)


def written_files(section):
    """Returns the files that the blocks of a section write, by path."""
    return dict(re.findall(r"^cat > (\S+) <<'EOF'\n(.*?)^EOF$", "".join(blocks(section)), re.MULTILINE | re.DOTALL))
