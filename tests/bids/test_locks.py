"""Leftovers of killed runs are found, and what another run makes is left to it."""

import errno
import fcntl
import os
import signal
import threading

import pytest

from bidsmask.bids import disk
from bidsmask.bids.locks import held, is_temporary, remove_leftovers
from bidsmask.bids.publish import publish
from bidsmask.errors import OutputRefused, WritingFailed
from tests.make_faults import ORIGINALS, Watch

# Leftovers


def leftover(folder, name=".bidsmask-0123456789abcdef.part"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"half")
    return folder / name


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    deep = leftover(tmp_path / "sub-01" / "func")
    ours, theirs = leftover(tmp_path), leftover(tmp_path, ".other.part")
    assert remove_leftovers(tmp_path, recursive=False) == [ours]
    assert remove_leftovers(tmp_path) == [deep]
    assert theirs.exists()
    assert remove_leftovers(tmp_path / "none") == []


def test_a_file_in_the_making_is_no_leftover(tmp_path):
    started, go_on = threading.Event(), threading.Event()

    def content(handle):
        handle.write(b"half")
        started.set()
        assert go_on.wait(10)

    writer = threading.Thread(target=publish, args=(tmp_path / "a", content))
    writer.start()
    assert started.wait(10)
    assert remove_leftovers(tmp_path) == []
    go_on.set()
    writer.join()
    assert (tmp_path / "a").read_bytes() == b"half"


def test_a_temporary_that_was_taken_for_a_leftover_is_made_anew(tmp_path, monkeypatch):
    taken = []

    def create(path):
        descriptor = ORIGINALS[disk, "create"](path)
        if not taken:
            taken.append(path)
            path.unlink()
        return descriptor

    monkeypatch.setattr(disk, "create", create)
    publish(tmp_path / "a", b"content")
    assert taken
    assert (tmp_path / "a").read_bytes() == b"content"


def test_without_locks_files_are_published_and_leftovers_stay(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    publish(tmp_path / "a", b"content")
    left = leftover(tmp_path)
    assert remove_leftovers(tmp_path) == []
    assert left.exists()


def test_a_link_with_the_name_of_a_leftover_is_left_alone(tmp_path):
    target = tmp_path / "kept"
    target.write_bytes(b"")
    link = tmp_path / ".bidsmask-0123456789abcdef.part"
    link.symlink_to(target)
    assert remove_leftovers(tmp_path) == []
    assert target.exists()


# What is held


def test_a_name_is_held_by_one_at_a_time(tmp_path):
    with held(tmp_path / "func", "sub-01_task-a"), held(tmp_path / "func", "sub-01_task-b"):
        [first, _] = sorted((tmp_path / "func").iterdir())
        assert is_temporary(first)
        assert remove_leftovers(tmp_path) == []
        with (
            pytest.raises(OutputRefused, match="by another run") as refused,
            held(tmp_path / "func", "sub-01_task-a"),
        ):
            pytest.fail("both hold it")
        assert f"remove {first}." in refused.value.advice
        assert first.exists()
    assert list((tmp_path / "func").iterdir()) == []
    with held(tmp_path / "func", "sub-01_task-a"):
        pass


def test_who_was_killed_or_failed_holds_nothing(tmp_path):
    child = os.fork()
    if child == 0:
        with held(tmp_path, "a"):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    [left] = tmp_path.iterdir()
    with pytest.raises(ZeroDivisionError), held(tmp_path, "a"):
        raise ZeroDivisionError(left)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_removed_meanwhile_is_made_anew(tmp_path, monkeypatch):
    taken = []

    def create(path, flags):
        descriptor = ORIGINALS[disk, "create"](path, flags)
        if not taken:
            taken.append(path)
            path.unlink()
        return descriptor

    monkeypatch.setattr(disk, "create", create)
    with held(tmp_path, "a"):
        assert list(tmp_path.iterdir()) == taken


def test_without_locks_nothing_is_held(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with held(tmp_path, "a"), held(tmp_path, "a"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_cannot_be_held_is_a_failure_to_write(tmp_path, monkeypatch):
    def full_disk():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    watch = Watch(monkeypatch)
    for n in (1, 2, 3):
        watch.before(n, full_disk)
        with pytest.raises(WritingFailed, match="the disk is full"), held(tmp_path / "func", "a"):
            pass
