"""Work for the executor that misbehaves, in a module that its processes can import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import NoReturn

from bidsmask.app.job import Job, Outcome
from bidsmask.app.options import Options
from bidsmask.bids.dataset import Dataset
from bidsmask.bids.entities import Entities
from bidsmask.bids.run import Run


def job(what: str, folder: Path = Path("out"), number: int = 1) -> Job:
    """Return a Job whose task says what `work` does with it."""
    bold = folder / f"sub-{number:02}_task-{what}_bold.nii.gz"
    run = Run(f"{number:02}", bold, Entities.parse(bold.name))
    return Job(run, Options(folder, folder, "participant"), Dataset(folder, (), folder))


def work(one: Job, n_threads: int) -> Outcome:
    """Do what the task of a Job says."""
    what, participant = one.run.task, one.run.participant
    Path(f"{one.run.path}.started").write_text(str(os.getpid()))
    match what:
        case "ends":
            os._exit(3)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "torn":
            os.write(largest_descriptor(), b"\0\0\1\0half of a message")
            os._exit(0)
        case "fails":
            return Outcome.failed(one.label, participant, KeyError("ours"))
        case "unsendable":
            return Outcome(one.label, participant, "done", findings=(lambda: 0,))  # type: ignore[arg-type]
        case "waits" | "deaf":
            wait_for_the_end(one, deaf=what == "deaf")
    return Outcome(one.label, participant, "done", seconds=os.getpid(), peak_mb=n_threads)


def wait_for_the_end(one: Job, *, deaf: bool) -> NoReturn:
    """Wait to be ended, and tell whether that was done kindly."""
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        while True:
            time.sleep(0.01)
    finally:
        Path(f"{one.run.path}.cleared").touch()


def largest_descriptor() -> int:
    """Return the descriptor that was opened last: the pipe that Outcomes go through."""
    pipes = [
        int(one.name)
        for one in Path("/proc/self/fd").iterdir()
        if one.is_symlink() and os.readlink(one).startswith("pipe:")  # noqa: PTH115
    ]
    return max(pipes)
