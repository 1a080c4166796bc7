"""Who is absent: participants without outputs, and jobs of the participant level that failed.

The table of participants tells who was there, the ledgers who was asked for and what failed.
Damaged or strange ledgers are passed over: what they would have told is then not known.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bidsmask.app.group.cohort import Cohort, as_anatomy, is_wanted
from bidsmask.app.options import Options
from bidsmask.app.plan import selection
from bidsmask.bids.dataset import participant_folders
from bidsmask.bids.entities import Entities, natural_order
from bidsmask.bids.outputs import SHARED_MASKS
from bidsmask.errors import Finding
from bidsmask.images.source import open_regular

# A line of a ledger takes 5 kB, and 10,000 participants 200 MB.
LONGEST_LINE: Final = 1 << 20
LARGEST_LEDGER: Final = 1 << 29
# So many letters of a reason are repeated.
LONGEST_REASON: Final = 200

_OF_PARTICIPANT: Final = re.compile(r"sub-([A-Za-z0-9+]+)(?=_|$)")
_AGAIN: Final = "Run the participant level for it again, or go on without it."


@dataclass
class History:
    """What the ledgers of the participant level tell, the last word on each job.

    Attributes
    ----------
    asked : set of str
        Labels of participants that it was asked for by name, or worked on.
    failed : dict of str to dict of str to str
        By participant, the jobs that failed and were not done since, each with the reason.
    """

    asked: set[str] = field(default_factory=set)
    failed: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, lines: Iterator[tuple[str, str | None]]) -> None:
        """Take in what one run of the program tells: each job, with its reason if it failed."""
        told = dict(lines)
        for participant in {participant_of(job) for job in told}:
            before = self.failed.pop(participant, {})
            # A failure of no run has another name when it is mended.
            still = {job: why for job, why in before.items() if is_run(job) and job not in told}
            self.asked.add(participant)
            self.failed[participant] = still
        for job, reason in told.items():
            if reason is not None:
                self.failed[participant_of(job)][job] = reason


def absent(cohort: Cohort, known: Collection[str], options: Options) -> Iterator[Finding]:
    """Yield a warning for each participant without outputs, and each job that failed.

    Parameters
    ----------
    cohort : Cohort
    known : collection of str
        Labels of the participants that participants.tsv lists.
    options : Options
        Whose labels select.
    """
    history = read_history(cohort.output / "logs")
    present = {label for label, _ in participant_folders(cohort.output)}
    everybody = present | history.asked | set(known)
    wanted = everybody & set(options.participant_label or everybody)
    for participant in sorted(wanted, key=natural_order):
        failed = history.failed.get(participant, {})
        failed = {job: why for job, why in failed.items() if is_selected(job, options)}
        where, reasons = f"sub-{participant}", list(failed.values())
        if participant not in present:
            problem = "is missing, it has no outputs: "
            problem += told(reasons) if reasons else "the participant level did not finish it"
            yield Finding("warning", "participant-missing", where, problem, _AGAIN, participant)
        elif reasons:
            problem = f"is not as asked for: {told(reasons)}"
            yield Finding("warning", "jobs-failed", where, problem, _AGAIN, participant)


def told(reasons: list[str]) -> str:
    """Return how many jobs failed, and why the first did."""
    jobs = "1 job failed" if len(reasons) == 1 else f"{len(reasons)} jobs failed"
    return f"{jobs} at the participant level ({reasons[0]})"


def is_run(job: str) -> bool:
    """Return whether a job is named as a run, not as a participant or a file."""
    return "_" in job and "." not in job


def is_combination(job: str) -> bool:
    """Return whether a job is a mask that several runs share, or their probability map."""
    desc = Entities.parse(job).get("desc") or ""
    return desc.lower().endswith((*SHARED_MASKS, "share"))


def is_selected(job: str, options: Options) -> bool:
    """Return whether the labels select a job; a participant as a whole they always do."""
    entities = Entities.parse(job)
    if "task" not in entities:
        entities = as_anatomy(entities)
    return not is_run(job) or is_wanted(entities, selection(options))


def participant_of(job: object) -> str:
    """Return the label of a job's participant; empty where it has none, as at the group level."""
    match = _OF_PARTICIPANT.match(job) if isinstance(job, str) else None
    return match[1] if match else ""


def read_history(logs: Path) -> History:
    """Return what the ledgers tell together, the oldest first."""
    history = History()
    try:
        with os.scandir(logs) as entries:
            runs = sorted(entry.path for entry in entries if entry.name.startswith("run-"))
    except OSError:
        return history
    for folder in map(Path, runs):
        config = read_config(folder / "config.toml")
        if config.get("analysis_level") == "participant":
            labels = config.get("participant_label")
            asked = labels if isinstance(labels, list) else []
            history.asked.update(filter(None, (participant_of(f"sub-{one}") for one in asked)))
            history.add(read_ledger(folder / "ledger.jsonl"))
    return history


def read_config(path: Path) -> dict[str, Any]:
    """Return the options of a run of the program; none where they cannot be read."""
    try:
        with open_regular(path) as file:
            return tomllib.loads(file.read(LONGEST_LINE).decode())
    except (OSError, ValueError, RecursionError):
        return {}


def read_ledger(path: Path) -> Iterator[tuple[str, str | None]]:
    """Yield each job of a participant, with the reason if it failed, as far as can be read."""
    try:
        with open_regular(path) as file:
            while file.tell() < LARGEST_LEDGER and (line := file.readline(LONGEST_LINE)):
                yield from job_of(line)
    except OSError:
        return


def job_of(line: bytes) -> Iterator[tuple[str, str | None]]:
    """Yield the job of a line of a ledger, if it tells of one.

    The mask of a run, where that was made first, is the run; a mask that several runs share is
    none: each of them has failed where it could not be made.
    """
    try:
        told = json.loads(line)
        job, status, findings = told["job"], told["status"], told["findings"]
        errors = [one for one in findings if one["severity"] == "error"] or [{}]
        reason = f"{Path(str(errors[0].get('where'))).name} {errors[0].get('problem')}"
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return
    if participant_of(job) and not is_combination(job):
        short = "".join(filter(str.isprintable, reason))[:LONGEST_REASON]
        yield job.removesuffix("_mask"), short if status == "failed" else None
