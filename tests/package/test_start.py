"""What is asked of the program before any data starts at once."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from bidsmask import __version__

# Each costs more to import than the whole answer may.
HEAVY = ("numpy", "scipy", "pandas", "nibabel", "bids", "isal", "rich", "multiprocessing")

LOADED = """
import sys
from bidsmask.cli import main
try:
    main([{option!r}])
except SystemExit:
    pass
print("loaded", *sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_an_answer_without_data_loads_no_science(option):
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(option=option)],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stderr.split()
    assert loaded[0] == "loaded"
    assert not set(HEAVY) & set(loaded)
    assert __version__ in done.stdout or "usage: bidsmask" in done.stdout


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_an_answer_without_data_comes_at_once(option):
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "bidsmask", option], capture_output=True, check=True)
        seconds.append(time.perf_counter() - start)
    # 0.15 s on a machine of one's own.
    assert min(seconds) < 0.5
