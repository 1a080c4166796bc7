"""Which volumes of a run stay, and for each of the others the reason why it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from bidsmask.cleaning.motion import MotionFilter, filtered_displacement
from bidsmask.cleaning.table import FloatArray, numbers, require, table_of_run
from bidsmask.errors import MissingCompanion, TooFewVolumes, UsageError

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Thresholds:
    """What censors a volume, and how much must be left of a run.

    Attributes
    ----------
    fd_mm : float or None
        Volumes with more framewise displacement (mm) go; None: displacement is not looked at.
    std_dvars : float or None
        Volumes with more standardised DVARS go.
    min_segment : int
        Runs of fewer volumes between those go, too; 0: none.
    dummy_scans : int or "auto"
        So many first volumes go; "auto": those that fMRIPrep found to be non-steady-state.
    use_outlier_columns : bool
        Volumes go that fMRIPrep's own columns of outliers name (`motion_outlier…`,
        `non_steady_state_outlier…`).
    motion_filter : MotionFilter or None
        What the parameters go through before the displacement that `fd_mm` is held against is
        computed; None: the table's own displacement.
    min_volumes, min_seconds : int, float
        A run with less left is refused.

    Raises
    ------
    UsageError
        If a number makes no sense, in the words of the command line.
    """

    fd_mm: float | None = None
    std_dvars: float | None = None
    min_segment: int = 0
    dummy_scans: int | Literal["auto"] = "auto"
    use_outlier_columns: bool = False
    motion_filter: MotionFilter | None = None
    min_volumes: int = 0
    min_seconds: float = 0.0

    def __post_init__(self) -> None:
        limits = {"--fd-threshold": self.fd_mm, "--dvars-threshold": self.std_dvars}
        for option, limit in limits.items():
            if limit is not None and not 0 < limit < math.inf:
                raise UsageError(f"{option} {limit:g}", "is no threshold", "Give a number above 0.")
        amounts = {
            "--min-segment": self.min_segment,
            "--dummy-scans": 0 if self.dummy_scans == "auto" else self.dummy_scans,
            "--min-volumes": self.min_volumes,
            "--min-seconds": self.min_seconds,
        }
        for option, amount in amounts.items():
            if not 0 <= amount < math.inf:
                raise UsageError(f"{option} {amount:g}", "is no amount", "Give 0 or more.")
        if self.motion_filter is not None and self.fd_mm is None:
            raise UsageError(
                f"--motion-filter {self.motion_filter.kind}",
                "does nothing where no volume is censored for displacement",
                "Give --fd-threshold, or --confounds scrubbing.",
            )


@dataclass(frozen=True, eq=False)
class Censoring:
    """For each volume: kept or not, and the reasons.

    Attributes
    ----------
    kept : (n_volumes,) bool array
    reasons : tuple of str
        Empty for a kept volume, else one or more of "non-steady-state", "fd", "dvars",
        "outlier" and "segment", joined by + in this order.
    filtered_displacement_mm : (n_volumes,) float64 array or None
        What was held against the threshold, where that is not the table's own displacement.
    """

    kept: BoolArray
    reasons: tuple[str, ...]
    filtered_displacement_mm: FloatArray | None = None

    @property
    def n_volumes(self) -> int:
        return len(self.kept)

    @property
    def n_kept(self) -> int:
        return int(self.kept.sum())

    @classmethod
    def none(cls, n_volumes: int) -> Censoring:
        """Return a censoring that keeps every volume."""
        return cls(np.ones(n_volumes, bool), ("",) * n_volumes)


def censor(
    n_volumes: int,
    t_r_s: float,
    thresholds: Thresholds,
    table: pd.DataFrame | None,
    where: str | Path,
) -> Censoring:
    """Return which volumes stay, as `find_censored`, of a run of which enough is left.

    Raises
    ------
    MissingCompanion, MissingColumn, UnusableTable, BadTiming
        As `find_censored`.
    TooFewVolumes
        If no volume is left, or fewer than `min_volumes` or `min_seconds`.
    """
    censoring = find_censored(n_volumes, t_r_s, thresholds, table, where)
    _refuse_too_few(censoring, t_r_s, thresholds, where)
    return censoring


def find_censored(
    n_volumes: int,
    t_r_s: float,
    thresholds: Thresholds,
    table: pd.DataFrame | None,
    where: str | Path,
) -> Censoring:
    """Return which volumes stay: nilearn's `load_confounds` sample mask, with reasons.

    Segments are counted between volumes that moved (displacement, DVARS, outlier columns), in
    one pass; non-steady-state volumes do not part segments (Power et al. 2014, NeuroImage;
    nilearn's "full scrubbing"). A volume without a value, as the first one, is not censored
    for it.

    Parameters
    ----------
    n_volumes : int
        Volumes of the run.
    t_r_s : float
        Repetition time (s).
    thresholds : Thresholds
        What censors.
    table : DataFrame or None
        The run's confounds, one row per volume; None where the run has no table.
    where : str or Path
        The table, for messages.

    Raises
    ------
    MissingCompanion
        If something censors that needs a table, and there is none.
    MissingColumn
        If `framewise_displacement`, `std_dvars` or a motion parameter is needed and is not
        there.
    UnusableTable
        If the table is not of this run.
    BadTiming
        If the repetition time cannot hold a cut-off of the motion filter.
    """
    named = None if table is None else table_of_run(table, n_volumes, where)
    nothing = np.zeros(n_volumes, bool)
    dummy = _dummy_scans(n_volumes, thresholds, named, where)
    filtered, fd, dvars, outlier = None, nothing, nothing, nothing
    if thresholds.motion_filter is not None and thresholds.fd_mm is not None:
        rows = _needed(named, "the six parameters of motion", where)
        filtered = filtered_displacement(thresholds.motion_filter, rows, t_r_s, where)
        fd = filtered > thresholds.fd_mm
    elif thresholds.fd_mm is not None:
        fd = _above(thresholds.fd_mm, "framewise_displacement", named, where)
    if thresholds.std_dvars is not None:
        dvars = _above(thresholds.std_dvars, "std_dvars", named, where)
    if thresholds.use_outlier_columns:
        rows = _needed(named, "the columns of outliers", where)
        outlier = _flagged(rows, "motion_outlier", where)
    segment = _short_segments(fd | dvars | outlier, thresholds.min_segment)
    causes = {
        "non-steady-state": dummy,
        "fd": fd,
        "dvars": dvars,
        "outlier": outlier,
        "segment": segment,
    }
    reasons = tuple(
        "+".join(name for name, goes in causes.items() if goes[volume])
        for volume in range(n_volumes)
    )
    kept = np.array([not reason for reason in reasons], bool)
    return Censoring(kept, reasons, filtered)


def _dummy_scans(
    n_volumes: int, thresholds: Thresholds, table: pd.DataFrame | None, where: str | Path
) -> BoolArray:
    dummy = np.zeros(n_volumes, bool)
    if thresholds.dummy_scans != "auto":
        dummy = np.arange(n_volumes) < thresholds.dummy_scans
    if table is not None and (thresholds.dummy_scans == "auto" or thresholds.use_outlier_columns):
        dummy |= _flagged(table, "non_steady_state", where)
    return dummy


def _flagged(table: pd.DataFrame, word: str, where: str | Path) -> BoolArray:
    """Return the volumes that any column names whose own name holds a word."""
    flagged = np.zeros(len(table), bool)
    for name in table.columns:
        if word in name:
            flagged |= np.nan_to_num(numbers(table, name, where)) != 0
    return flagged


def _needed(table: pd.DataFrame | None, what: str, where: str | Path) -> pd.DataFrame:
    """Return the table, or say what it is needed for."""
    if table is None:
        raise MissingCompanion(
            where,
            f"has no confounds table, and censoring needs {what}",
            "Add the table that fMRIPrep wrote, or leave out what censors.",
        )
    return table


def _above(threshold: float, name: str, table: pd.DataFrame | None, where: str | Path) -> BoolArray:
    """Return the volumes whose value in a column is above the threshold."""
    rows = _needed(table, f"its column {name}", where)
    require(rows, [name], f"censoring above {threshold:g}", where)
    return np.asarray(numbers(rows, name, where) > threshold)


def _short_segments(moved: BoolArray, min_segment: int) -> BoolArray:
    """Return the volumes of each run of unmoved volumes shorter than `min_segment`."""
    short = np.zeros_like(moved)
    if not moved.any():
        return short
    gaps = np.flatnonzero(np.concatenate(([True], moved, [True])))
    for start, end in zip(gaps[:-1], gaps[1:] - 1, strict=True):
        if end - start < min_segment:
            short[start:end] = True
    return short


def _refuse_too_few(
    censoring: Censoring, t_r_s: float, thresholds: Thresholds, where: str | Path
) -> None:
    kept, seconds = censoring.n_kept, censoring.n_kept * t_r_s
    left = f"has {kept} of {censoring.n_volumes} volumes left after censoring"
    advice = "Leave this run out, or choose milder thresholds."
    if kept == 0:
        raise TooFewVolumes(where, left, advice)
    if kept < thresholds.min_volumes:
        raise TooFewVolumes(where, f"{left}, fewer than {thresholds.min_volumes}", advice)
    if thresholds.min_seconds and seconds < thresholds.min_seconds:
        raise TooFewVolumes(
            where, f"{left} ({seconds:g} s, less than {thresholds.min_seconds:g} s)", advice
        )
