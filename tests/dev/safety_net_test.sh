#!/usr/bin/env bash
# Every unit test that docs/safety_net.md names exists.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python3 - <<'PYTHON'
import pathlib
import re
import sys

tests = set()
for path in pathlib.Path("tests/unit").rglob("*.cpp"):
    tests |= {f"{suite}.{name}" for suite, name in re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", path.read_text(), re.M)}
named = set(re.findall(r"`([A-Z]\w+\.[A-Z]\w+)`", pathlib.Path("docs/safety_net.md").read_text()))
assert len(named) > 100, "the page's form has changed: this test reads no names"
gone = sorted(named - tests)
for name in gone:
    print(f"docs/safety_net.md names {name}, and there is no such test", file=sys.stderr)
sys.exit(1 if gone else 0)
PYTHON
