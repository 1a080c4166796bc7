"""The documents that show Python: every block runs, and prints what stands under it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("questions.md", "from_nilearn.md")


def conversation(page: str) -> list[tuple[str, str]]:
    """Return the blocks of a page in their order, each with what it prints."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(bash|python|text)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    told = []
    for number, (language, content) in enumerate(blocks):
        follows = blocks[number + 1] if number + 1 < len(blocks) else ("", "")
        if language != "text":
            told.append((content, follows[1] if follows[0] == "text" else ""))
    return told


@pytest.mark.parametrize("page", PAGES)
def test_every_block_prints_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (lines, _), *blocks = conversation(page)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-e"],
        input=lines,
        text=True,
        capture_output=True,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stderr
    names: dict[str, object] = {}
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, page, "exec"), names)
        assert printed.getvalue() == expected, code
    assert len(blocks) >= 3
