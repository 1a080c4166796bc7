"""Jobs, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bidsmask.app.options import Options
from bidsmask.bids.dataset import Dataset
from bidsmask.bids.run import Run
from bidsmask.errors import Finding

Status = Literal["done", "up to date", "failed"]


@dataclass(frozen=True)
class Job:
    """One Run and the Options that touch it. It can be sent to another process.

    Attributes
    ----------
    run : Run
    options : Options
    dataset : Dataset
        Whose output is where the products go.
    """

    run: Run
    options: Options
    dataset: Dataset

    @property
    def label(self) -> str:
        """Short name for messages."""
        return self.run.label


@dataclass(frozen=True)
class Outcome:
    """What became of a Job.

    Attributes
    ----------
    label, participant : str
        Of the Job.
    status : {"done", "up to date", "failed"}
    exit_code : int
        0, or that of the error that stopped it.
    outputs : tuple of Path
        Files that were written.
    findings : tuple of Finding
    seconds : float
        Time it took.
    peak_mb : float
        Largest memory of the process until then, MB.
    crash : str
        The traceback where the fault is ours; empty otherwise.
    """

    label: str
    participant: str
    status: Status
    exit_code: int = 0
    outputs: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    peak_mb: float = 0.0
    crash: str = ""

    @classmethod
    def crashed(cls, job: Job, error: Exception, crash: str) -> Outcome:
        """Return the Outcome of a Job that was stopped by a fault of ours."""
        participant = job.run.participant
        finding = Finding(
            "error",
            "crash",
            job.label,
            f"was stopped by a fault of bidsmask: {type(error).__name__}: {error}",
            "Please report it, with the crash file in the log folder.",
            participant,
        )
        return cls(job.label, participant, "failed", 70, findings=(finding,), crash=crash)
