"""README, as a new user reads it: the blocks of "Five minutes" run unchanged in an empty folder, and its links lead to existing targets."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.azureml import allowed_keys, is_allowed, key_paths
from support.readme import README, blocks, written_files
from support.router import BINARY, ROOT

SECTION = "Five minutes"
# Runs its arguments in a network namespace of its own, if the machine allows it, since another program may use the ports of the blocks.
OWN_NETWORK = """
import ctypes, fcntl, os, socket, struct, sys
CLONE_NEWNET, SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x40000000, 0x8913, 0x8914, 1
if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = bytearray(struct.pack("16sH22x", b"lo", 0))
        fcntl.ioctl(any_socket, SIOCGIFFLAGS, request)
        flags = struct.unpack("16xH22x", request)[0]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.serial  # the blocks use fixed ports
def test_the_blocks_can_be_pasted_as_they_stand(tmp_path):
    install, *rest = blocks(SECTION)
    # Building and installing a package takes minutes and needs root, and the package's own tests do that. Here the binary under test takes
    # its place.
    assert "./dev package" in install and "apt-get install" in install
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "inference-router").symlink_to(BINARY)
    for number, block in enumerate(rest):
        (tmp_path / f"{number}.sh").write_text(block)
    # One shell sources all blocks, as if they were pasted into it. The first line that fails ends it.
    script = "set -e\n" + "".join(f". {tmp_path}/{number}.sh\n" for number in range(len(rest))) + "wait\n"
    begun = time.monotonic()
    shell = subprocess.Popen([sys.executable, "-c", OWN_NETWORK, "bash", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, start_new_session=True,
                             env={"HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})
    try:
        told, _ = shell.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):  # the last block stops all processes, if it was reached
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, told
    assert "ok\n" in told and '["setosa", "virginica"]\n' in told and "drained" in told, told
    assert (tmp_path / "iris" / "access.log").read_text().count('"ResponseCode":200') == 1, told
    assert time.monotonic() - begun < 30
    # The blocks write only the files that the page names.
    assert sorted(path.name for path in (tmp_path / "iris").iterdir()) == [
        "access.log", "cert.pem", "endpoints", "key.pem", "model.py", "primary.key", "router.yaml"]


def test_the_two_files_of_azure_hold_nothing_of_ours():
    files = written_files(SECTION)
    azures = {name: text for name, text in files.items() if name.startswith("endpoints/") and ".overlay." not in name}
    assert list(azures) == ["endpoints/endpoint.yml", "endpoints/blue-deployment.yml"] and "endpoints/iris.overlay.yml" in files
    for text in azures.values():
        kind = re.match(r"\$schema: https://azuremlschemas\.azureedge\.net/latest/(\w+)\.schema\.json\n", text)[1]
        allowed = {"$schema": "*", **allowed_keys()[kind]}  # written by Azure's SDK: tests/e2e/test_azureml_sdk.py
        assert [path for path in key_paths(text) if not is_allowed(path, allowed)] == []


def anchors(page):
    """Returns the anchors that GitHub makes of the headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower()).replace(" ", "-") for heading in headings}


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_page_and_a_heading(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        leads_to = (page.parent / path).resolve() if path else page
        if not leads_to.exists():
            wrong.append(target)
        elif anchor and leads_to.suffix == ".md" and anchor not in anchors(Path(leads_to)):
            wrong.append(target)
    assert wrong == []


def test_every_metric_stands_in_a_page():
    names = re.findall(r'"inference_router_(\w+)"', (ROOT / "router/metrics/names.h").read_text())
    table, operations = ((ROOT / "docs" / page).read_text() for page in ("metrics.md", "operations.md"))
    assert len(names) > 20
    assert [name for name in names if f"`{name}" not in table and f"`inference_router_{name}" not in operations] == []


def test_every_figure_of_the_table_stands_where_its_link_leads():
    rows = re.findall(r"^\| (.*) \| \[\w+\]\((docs/\w+\.md)[#\w-]*\) \|$", README, re.MULTILINE)
    assert len(rows) > 8
    for facts, page in rows:
        there = (ROOT / page).read_text().replace(",", "")
        for figure in re.findall(r"\d[\d,]*(?:\.\d+)?", facts):
            assert re.search(rf"(?<![\d.]){re.escape(figure.replace(',', '').rstrip('.'))}(?![\d])", there), f"{figure} is not in {page}"
