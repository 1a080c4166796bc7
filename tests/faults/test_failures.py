"""Whatever change of the disk fails, no file that looks finished is unfinished."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.make_app import run_app
from tests.make_faults import CHANGES, GROUP_CHANGES, Scene, Watch, write_scene
from tests.make_runs import contents, leftovers, write_dataset


def full_disk() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fail_at(scene: Scene, monkeypatch: pytest.MonkeyPatch, *, every: int) -> int:
    """Let one change of the disk fail, then run again; return how many changes there are."""
    watch = Watch(monkeypatch)
    scene.reset()
    watch.before(0, full_disk)
    assert scene.run() == 0
    scene.assert_finished()
    n_calls = watch.count
    for n in range(1, n_calls + 1, every):
        scene.reset()
        watch.before(n, full_disk)
        exit_code = scene.run()
        watch.before(0, full_disk)
        scene.assert_nothing_lies()
        if exit_code == 0:
            scene.assert_finished()
        # One product of the group may fail while others are made.
        assert exit_code in ((0, 1, 73, 74) if scene.is_group else (0, 73, 74)), n
        assert scene.run() == 0
        scene.assert_finished()
    return n_calls


@pytest.mark.parametrize("change", [*CHANGES, *GROUP_CHANGES])
def test_a_change_of_the_disk_may_fail(tmp_path, monkeypatch, change):
    scene = write_scene(tmp_path, change)
    every = {"nothing before": 6, "no group before": 17, "another group before": 13}.get(change, 1)
    assert fail_at(scene, monkeypatch, every=every) > 30


@pytest.mark.slow
@pytest.mark.parametrize("change", [*CHANGES, *GROUP_CHANGES])
def test_each_change_of_the_disk_may_fail(tmp_path, monkeypatch, change):
    scene = write_scene(tmp_path, change, with_regions=True)
    assert fail_at(scene, monkeypatch, every=1) > 90


@contextlib.contextmanager
def files_of_at_most(n_bytes: int) -> Iterator[None]:
    """Let the system refuse to make a file longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_system_may_refuse_a_long_file(tmp_path, capsys):
    scene = write_scene(tmp_path, "nothing before")
    capsys.readouterr()
    with files_of_at_most(20_000):
        assert scene.run() == 74
    said = capsys.readouterr().err
    assert "timeseries.tsv cannot be written" in said
    assert "File too large" in said
    assert "The same command does again just what failed." in said
    scene.assert_nothing_lies()
    assert leftovers(scene.output) == []
    assert scene.run() == 0
    scene.assert_finished()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 128 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            yield disk
            subprocess.run(["umount", str(disk)], check=True)
            return
    pytest.skip("no right to mount a file system")


def test_a_full_disk_ends_the_run_and_room_lets_it_go_on(tmp_path, capsys, small_disk):
    write_dataset(tmp_path / "in", n_volumes=120)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(60_000))
    assert run_app(tmp_path / "in", small_disk / "out") == 74
    said = capsys.readouterr().err
    assert "the disk is full" in said
    assert "MB free" in said
    assert "Traceback" not in said
    assert leftovers(small_disk) == []
    assert not list((small_disk / "out").glob("sub-*/func/*timeseries*"))
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    assert run_app(tmp_path / "in", small_disk / "out") == 0
    assert run_app(tmp_path / "in", tmp_path / "out") == 0
    ours, theirs = (contents(one / "out" / "sub-01") for one in (small_disk, tmp_path))
    assert ours == theirs
