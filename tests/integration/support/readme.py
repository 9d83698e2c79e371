"""README, and other pages, as a newcomer reads them: what is copied and pasted."""

import re

from .router import ROOT

README = (ROOT / "README.md").read_text()


def blocks(section, page=README):
    """The shell blocks of a section, in order."""
    inside = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL).group(1)
    return re.findall(r"^```sh\n(.*?)^```$", inside, re.MULTILINE | re.DOTALL)


def written_files(section):
    """What its blocks write, by path."""
    return dict(re.findall(r"^cat > (\S+) <<'EOF'\n(.*?)^EOF$", "".join(blocks(section)), re.MULTILINE | re.DOTALL))
