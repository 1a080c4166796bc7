"""What is asked of the program before any data starts at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def seconds_of_children() -> float:
    """Return the processor time of all that was waited for: a busy machine adds none to it."""
    times = os.times()
    return times.children_user + times.children_system


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_an_answer_without_data_comes_at_once(option):
    seconds = []
    for _ in range(5):
        start = seconds_of_children()
        subprocess.run([sys.executable, "-m", "bidsmask", option], capture_output=True, check=True)
        seconds.append(seconds_of_children() - start)
    assert 0 < min(seconds) < 0.15


def test_options_are_refused_without_loading_science():
    code = (
        "import sys\n"
        "from bidsmask.cli import main\n"
        "assert main(['in', 'out', 'participant', '--no-voxels']) == 64\n"
        "heavy = {'numpy', 'scipy', 'pandas', 'nibabel', 'bids', 'isal', 'rich'}\n"
        "assert not heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
