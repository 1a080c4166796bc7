"""Jobs are done in processes of their own, and what happens to one happens to no other."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from bidsmask.app import execute as module
from bidsmask.app.execute import Resources, execute
from tests.make_work import job, work

TWO = Resources(2, 1, 2)


def jobs(folder: Path, *tasks: str):
    return iter([job(what, folder, number) for number, what in enumerate(tasks, start=1)])


def outcomes(folder: Path, *tasks: str, **options: object):
    """Return the Outcomes in the order of their Jobs."""
    found = execute(jobs(folder, *tasks), work, TWO, **options)
    return sorted(found, key=lambda one: one.participant)


def is_alive(folder: Path, number: int, what: str) -> bool:
    """Say whether the process of a Job is there."""
    started = folder / f"sub-{number:02}_task-{what}_bold.nii.gz.started"
    try:
        os.kill(int(started.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_started(folder: Path, n_jobs: int) -> None:
    deadline = time.monotonic() + 30
    while len([one for one in folder.glob("*.started") if one.read_text()]) < n_jobs:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_job_is_no_outcome():
    assert list(execute(iter(()), work, TWO)) == []


def test_a_single_job_needs_no_process(tmp_path):
    [outcome] = execute(jobs(tmp_path, "works"), work, TWO)
    assert outcome.status == "done"
    assert outcome.seconds == os.getpid()
    assert outcome.peak_mb == TWO.n_threads_alone


def test_a_process_that_dies_is_one_failed_job_and_its_neighbours_are_done(tmp_path):
    tasks = ("works", "ends", "works", "killed", "torn", "unsendable", "works")
    found = outcomes(tmp_path, *tasks)
    assert [one.status == "done" for one in found] == [what == "works" for what in tasks]
    assert os.getpid() not in [one.seconds for one in found]
    assert found[0].peak_mb == TWO.n_threads
    for one, how in zip(
        [one for one in found if one.status == "failed"],
        ("ended with 3", "killed by signal 9", "ended with 0", "ended with 1"),
        strict=True,
    ):
        assert one.exit_code == 75
        assert one.crash == ""
        [finding] = one.findings
        assert finding.code == "process-died"
        assert how in finding.problem
        assert ("Memory" in finding.advice) == ("signal 9" in how)


def test_nothing_is_started_after_the_first_failed_job(tmp_path):
    found = execute(
        jobs(tmp_path, "fails", "works", "works"), work, Resources(1, 1, 1), stop_on_failure=True
    )
    assert [one.status for one in found] == ["failed"]
    assert len(list(tmp_path.glob("*.started"))) == 1


def test_jobs_are_asked_for_when_there_is_room(tmp_path):
    asked = []

    def lazily():
        for number in range(1, 6):
            asked.append(number)
            yield job("works", tmp_path, number)

    found = execute(lazily(), work, TWO)
    next(found)
    assert asked == [1, 2]
    assert len(list(found)) == 4


def test_processes_end_with_the_iterator_and_clear_away(tmp_path):
    found = execute(jobs(tmp_path, "waits", "works", "waits"), work, TWO)
    assert next(found).participant == "02"
    wait_until_started(tmp_path, 2)
    found.close()
    assert not is_alive(tmp_path, 1, "waits")
    assert (tmp_path / "sub-01_task-waits_bold.nii.gz.cleared").exists()


def test_a_process_that_does_not_listen_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    found = execute(jobs(tmp_path, "deaf", "works"), work, TWO)
    assert next(found).participant == "02"
    wait_until_started(tmp_path, 2)
    found.close()
    assert not is_alive(tmp_path, 1, "deaf")
    assert not (tmp_path / "sub-01_task-deaf_bold.nii.gz.cleared").exists()


def test_an_error_of_the_planner_ends_the_processes(tmp_path):
    def broken():
        yield job("waits", tmp_path, 1)
        yield job("works", tmp_path, 2)
        raise RuntimeError("planner")

    found = execute(broken(), work, TWO)
    assert next(found).participant == "02"
    wait_until_started(tmp_path, 2)
    with pytest.raises(RuntimeError, match="planner"):
        next(found)
    assert not is_alive(tmp_path, 1, "waits")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [((0, 0), (4, 1, 4)), ((1, 0), (1, 4, 4)), ((3, 0), (3, 1, 3)), ((8, 2), (8, 2, 2))],
)
def test_processors_are_shared_out(monkeypatch, asked, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    assert Resources.of(*asked) == Resources(*expected)


def test_without_a_fork_server_processes_are_spawned(monkeypatch):
    monkeypatch.setattr(module.multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert module.process_context().get_start_method() == "spawn"


def test_a_long_temporary_folder_does_not_matter(tmp_path, monkeypatch):
    folder = tmp_path / ("x" * 80)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert [one.status for one in outcomes(tmp_path, "works", "works")] == ["done", "done"]


def test_without_a_temporary_folder_the_work_is_done_all_the_same(tmp_path, monkeypatch):
    def missing():
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(tempfile, "gettempdir", missing)
    assert module.process_context().get_start_method() == "spawn"
    assert [one.status for one in outcomes(tmp_path, "works", "works")] == ["done", "done"]
