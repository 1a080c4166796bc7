"""When the volumes of a run are: its repetition time, and when the first of them was."""

from __future__ import annotations

import math

from bidsmask.app.job import Job
from bidsmask.app.notes import Notes
from bidsmask.app.words import LONGEST_T_R_S, SHORTEST_T_R_S
from bidsmask.errors import BadTiming
from bidsmask.images.image import Image


def repetition_time(job: Job, image: Image, notes: Notes) -> float:
    """Return the repetition time (s) of a run.

    The sidecar's counts; where it has none, that of the command line; where there is none
    either, the header's, with a warning.
    """
    run, asked = job.run, job.options.t_r
    in_sidecar, in_header = run.metadata.get("RepetitionTime"), image.t_r_s
    if in_sidecar is None:
        if asked is not None:
            if in_header is not None and not is_close(in_header, asked):
                problem = f"has {in_header:g} s in its header; {asked:g} s of --t-r is taken"
                notes.add("warning", "repetition-time-unlike-header", run.path, problem)
            return asked
        if "VolumeTiming" in run.metadata:
            raise BadTiming(
                run.path,
                "has VolumeTiming, not RepetitionTime: its volumes are not evenly spaced in time",
                "Such runs cannot be filtered; give --mask-only for their masks.",
            )
        if in_header is None or not SHORTEST_T_R_S <= in_header <= LONGEST_T_R_S:
            found = "none" if in_header is None else f"{in_header:g} s"
            raise BadTiming(
                run.path,
                f"has no repetition time in its sidecar, and {found} in its header",
                "Add RepetitionTime to the sidecar, or give --t-r.",
            )
        notes.add(
            "warning",
            "repetition-time-from-header",
            run.path,
            f"has no RepetitionTime in its sidecar; {in_header:g} s is taken from its header",
            "Add RepetitionTime to the sidecar, or give --t-r.",
        )
        return in_header
    t_r_s = number(in_sidecar)
    if not SHORTEST_T_R_S <= t_r_s <= LONGEST_T_R_S:
        raise BadTiming(
            run.path,
            f"has a RepetitionTime of {in_sidecar!r:.40} in its sidecar",
            "Give the seconds between two volumes there.",
        )
    for other, whose, advice in (
        (in_header, "its header says", "Correct whichever is wrong."),
        (asked, "--t-r says", "It is for runs whose sidecar has none: leave it out."),
    ):
        if other is not None and not is_close(other, t_r_s):
            raise BadTiming(
                run.path,
                f"has a RepetitionTime of {t_r_s:g} s in its sidecar, but {whose} {other:g} s",
                advice,
            )
    return t_r_s


def is_close(one_s: float, other_s: float) -> bool:
    """Return whether two repetition times mean the same."""
    # Headers hold float32 and, from some scanners, whole milliseconds.
    return math.isclose(one_s, other_s, rel_tol=1e-3, abs_tol=1e-3)


def start_time(job: Job) -> float:
    """Return when the first volume was, s, as the sidecar says; 0 where it says no number."""
    said = number(job.run.metadata.get("StartTime"))
    return said if math.isfinite(said) else 0.0


def number(value: object) -> float:
    """Return what a sidecar holds as a number; NaN where it is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
