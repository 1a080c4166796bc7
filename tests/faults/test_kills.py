"""A program that is killed at any moment leaves nothing that lies, and resumes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from tests.make_faults import CHANGES, GROUP_CHANGES, Scene, Watch, write_scene
from tests.make_runs import contents, leftovers, write_dataset

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

ASKED_TO_STOP = {signal.SIGTERM: 143, signal.SIGINT: 130}


def count_changes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many changes of the disk the scene has."""
    scene.reset()
    watch = Watch(monkeypatch)
    watch.before(0, lambda: None)
    assert scene.run() == 0
    monkeypatch.undo()
    return watch.count


def killed_at(scene: Scene, n: int, number: signal.Signals, *, and_after: bool = False) -> int:
    """Run in a child that gets a signal before its n-th change of the disk; return its end."""
    scene.reset()
    child = os.fork()
    if child == 0:
        exit_code = 99
        try:
            with pytest.MonkeyPatch.context() as patch:
                Watch(patch).before(n, lambda: os.kill(os.getpid(), number), and_after=and_after)
                exit_code = scene.run()
        finally:
            os._exit(exit_code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def kill_at(scene: Scene, moments: Sequence[int], number: signal.Signals) -> None:
    """Kill a run at some moments, and let the next one finish it."""
    expected = ASKED_TO_STOP.get(number, -number)
    for n in moments:
        assert killed_at(scene, n, number) == expected, n
        scene.assert_nothing_lies()
        if number in ASKED_TO_STOP:
            assert leftovers(scene.output) == [], n
        assert scene.run() == 0
        scene.assert_finished()


@pytest.mark.parametrize("change", [*CHANGES, *GROUP_CHANGES])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_resumes(tmp_path, monkeypatch, change, number):
    scene = write_scene(tmp_path, change)
    n_changes = count_changes(scene, monkeypatch)
    step = n_changes // (9 if number == signal.SIGKILL else 4)
    kill_at(scene, range(1 + len(change) % 3, n_changes, step), number)


@pytest.mark.parametrize("number", ASKED_TO_STOP)
def test_a_signal_that_comes_again_disturbs_no_clearing_away(tmp_path, number):
    scene = write_scene(tmp_path, "other input before")
    for n in (3, 33, 44, 55):
        assert killed_at(scene, n, number, and_after=True) == ASKED_TO_STOP[number]
        scene.assert_nothing_lies()
        assert leftovers(scene.output) == []


@pytest.mark.slow
@pytest.mark.parametrize("change", [*CHANGES, *GROUP_CHANGES])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_killed_at_each_moment_resumes(tmp_path, monkeypatch, change, number):
    scene = write_scene(tmp_path, change, with_regions=True)
    n_changes = count_changes(scene, monkeypatch)
    kill_at(scene, range(1, n_changes + 1), number)


@pytest.mark.parametrize("number", ASKED_TO_STOP)
def test_a_stopped_run_of_many_processes_leaves_no_debris(tmp_path, number):
    labels = ["01", "02", "03", "04"]
    write_dataset(tmp_path / "in", labels, shape=(24, 24, 24), n_volumes=150)
    output = tmp_path / "out"
    command = [sys.executable, "-m", "bidsmask", str(tmp_path / "in"), str(output), "participant"]
    command += ["--n-procs", "2", "--format", "tsv.gz"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, process_group=0)
    while process.poll() is None and not list(output.glob("sub-*/func/*timeseries.json")):
        time.sleep(0.002)
    while process.poll() is None and not leftovers(output):
        time.sleep(0.0005)
    # A scheduler asks the first process alone; a key at the terminal reaches them all.
    (os.kill if number == signal.SIGTERM else os.killpg)(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == ASKED_TO_STOP[number]
    assert "the same command resumes" in said
    assert "Traceback" not in said
    assert leftovers(output) == []
    finished = {name: digest for name, digest in contents(output).items() if "timeseries" in name}
    assert 0 < len(finished) < 2 * len(labels)
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True)
    n_kept = len([name for name in finished if name.endswith(".json")])
    assert f"{len(labels) - n_kept} done, {n_kept} up to date, 0 failed." in done.stderr
    assert finished.items() <= contents(output).items()
