"""The events of a run, and what is odd about them: a Finding each, which stops no run.

A table that cannot be read at all stops those whose trials are asked for.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bidsmask.app.job import Job
from bidsmask.app.notes import Notes
from bidsmask.app.timing import start_time
from bidsmask.bids.tables import first_text, read_table
from bidsmask.errors import UnusableTable
from bidsmask.signals.trials import Trials

SECONDS = "Onsets are seconds from the first volume of the run."


def trials_of(job: Job, n_volumes: int, t_r_s: float, notes: Notes) -> Trials | None:
    """Return the trials of a run; None where it has no events, or none that can serve.

    Raises
    ------
    UnusableTable
        The events cannot serve, and their trials are asked for.
    """
    run = job.run
    if run.events is None:
        if job.options.trials:
            problem = "has no table of events, and so no trials"
            notes.add("note", "no-events", run.path, problem)
        return None
    try:
        events = read_events(run.events)
    except UnusableTable as error:
        if job.options.trials:
            raise
        notes.add("warning", "unusable-events", run.events, error.problem, error.advice)
        return None
    start_s = start_time(job)
    if run.metadata.get("SliceTimingCorrected") is True and "StartTime" not in run.metadata:
        notes.add(
            "note",
            "start-time-unsaid",
            run.path,
            "was corrected for slice timing, and its sidecar has no StartTime: its volumes are "
            "taken to be at the start of their acquisition",
            "Add StartTime, the time of the reference slice in s, to the sidecar.",
        )
    check_events(run.events, events, start_s + n_volumes * t_r_s, notes)
    columns = job.options.events_columns
    missing = [name for name in columns if name not in events]
    if missing:
        notes.add(
            "warning",
            "missing-events-column",
            run.events,
            f"has no column {', '.join(missing)}, which is n/a in all its volumes and trials",
            f"Its columns are {', '.join(events.columns)}.",
        )
    return Trials.of(events, n_volumes, t_r_s, start_s, columns)


def read_events(path: Path) -> pd.DataFrame:
    """Return the events of a run; raise UnusableTable where the table cannot serve."""
    events = read_table(path, text=("trial_type",))
    if "onset" not in events:
        raise UnusableTable(path, "has no column onset", f"Give one. {SECONDS}")
    for column in ("onset", "duration"):
        if column in events and events[column].dtype.kind not in "if":
            line, cell = first_text(path, column)
            problem = f"has text in its column {column}: {cell!r} in line {line}"
            raise UnusableTable(path, problem, "Give seconds, or n/a.")
    return events


def check_events(path: Path, events: pd.DataFrame, end_s: float, notes: Notes) -> None:
    """Say what is odd about the onsets and durations of a run that ends at a time, s."""
    onsets = np.asarray(events["onset"], float)
    in_all = f"of {len(events)} events"
    unknown = int((~np.isfinite(onsets)).sum())
    if unknown:
        problem = f"does not say when {unknown} {in_all} began: no volume is theirs"
        notes.add("warning", "events-without-onset", path, problem, f"Give onsets. {SECONDS}")
    late = onsets[np.isfinite(onsets) & (onsets >= end_s)]
    if len(late):
        notes.add(
            "warning",
            "events-past-end",
            path,
            f"has {len(late)} {in_all} that begin after the end of the run at {end_s:g} s, "
            f"the last at {late.max():g} s",
            f"{SECONDS} Look whether the table is of this run, and the run whole.",
        )
    if "duration" not in events:
        problem = "has no column duration: each event counts as a moment"
        notes.add("warning", "events-without-duration", path, problem, "Give one, s.")
        return
    durations = np.asarray(events["duration"], float)
    negative, missing = int((durations < 0).sum()), int(np.isnan(durations).sum())
    if negative:
        problem = f"has {negative} {in_all} with a negative duration, which count as moments"
        notes.add("warning", "negative-duration", path, problem, "Give 0 s or more.")
    if missing:
        problem = f"does not say how long {missing} {in_all} were: they count as moments"
        notes.add("note", "unknown-duration", path, problem)
