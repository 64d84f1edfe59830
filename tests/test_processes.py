"""Huge pages: asked for by commands and what they begin, and not against what the environment says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vemrecon.processes import HUGE_PAGES, prefer_huge_pages

SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")
CODE = """
from contextlib import suppress
from vemrecon.cli import main
with suppress(SystemExit):
    main(["--help"])
import torch
tensor = torch.zeros(64 << 20, dtype=torch.uint8)
inside, advised = False, False
for line in open("/proc/self/smaps"):
    words = line.split()
    if "-" in words[0] and not words[0].endswith(":"):
        low, high = (int(end, 16) for end in words[0].split("-"))
        inside = low <= tensor.data_ptr() + (32 << 20) < high
    elif inside and words[0] == "VmFlags:":
        advised = "hg" in words
print("ADVISED", advised)
"""


@pytest.mark.skipif(
    not SWITCH.exists() or "[never]" in SWITCH.read_text(), reason="this system has no huge pages to ask for"
)
@pytest.mark.parametrize("said", [None, "0", "1"])
def test_commands_ask_for_huge_pages_unless_the_environment_says_no(said):
    environ = {name: value for name, value in os.environ.items() if name != HUGE_PAGES}
    environ |= {} if said is None else {HUGE_PAGES: said}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environ, check=True)
    assert done.stdout.split()[-1] == str(said != "0")


def test_what_the_environment_says_stays(monkeypatch):
    monkeypatch.setenv(HUGE_PAGES, "0")
    prefer_huge_pages()
    assert os.environ[HUGE_PAGES] == "0"
    monkeypatch.delenv(HUGE_PAGES)
    prefer_huge_pages()
    assert os.environ[HUGE_PAGES] == "1"
