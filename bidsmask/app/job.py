"""Jobs, and what becomes of them."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from bidsmask.app.options import Options
from bidsmask.bids.dataset import Dataset
from bidsmask.bids.run import Run
from bidsmask.errors import BidsmaskError, Finding

if TYPE_CHECKING:
    from bidsmask.app.preparation import MaskPlan

Status = Literal["done", "up to date", "failed"]


class Refusal(NamedTuple):
    """A strategy whose mask `auto` does not take, and why; it may be bad, or could not be made."""

    strategy: str
    why: str
    is_made: bool


@dataclass(frozen=True)
class Job:
    """One Run and the Options that touch it. It can be sent to another process.

    Attributes
    ----------
    run : Run
    options : Options
    dataset : Dataset
        Whose output is where the products go.
    mask : MaskPlan or None
        The mask that the run shares with others, which was made before; None for its own.
    refused : tuple of Refusal
        The strategies that `auto` has tried, first to last.
    """

    run: Run
    options: Options
    dataset: Dataset
    mask: MaskPlan | None = None
    refused: tuple[Refusal, ...] = ()

    @property
    def label(self) -> str:
        """Short name for messages; the mask of a series may be made before its signals."""
        is_mask = self.options.mask_only and self.run.datatype == "func"
        return f"{self.run.label}_mask" if is_mask else self.run.label

    @property
    def participant(self) -> str:
        """Label without `sub-`."""
        return self.run.participant

    @property
    def folder(self) -> Path:
        """Where the products go."""
        participant = f"sub-{self.run.participant}" if self.run.participant else ""
        session = f"ses-{self.run.session}" if self.run.session else ""
        parts = [participant, session, self.run.datatype]
        return self.dataset.output.joinpath(*filter(None, parts))


@dataclass(frozen=True)
class Outcome:
    """What became of a Job.

    Attributes
    ----------
    label, participant : str
        Of the Job, or of that which could not become one.
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
    def failed(cls, label: str, participant: str, error: Exception) -> Outcome:
        """Return what becomes of that which an error stopped: the data's, or a fault of ours."""
        if isinstance(error, BidsmaskError):
            finding, exit_code, crash = Finding.of(error, participant), error.exit_code, ""
        else:
            finding = Finding(
                "error",
                "crash",
                label,
                f"was stopped by a fault of bidsmask: {type(error).__name__}: {error}",
                "Please report it, with the crash file in the log folder.",
                participant,
            )
            exit_code, crash = 70, "".join(traceback.format_exception(error))
        return cls(label, participant, "failed", exit_code, findings=(finding,), crash=crash)
