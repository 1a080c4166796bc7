"""Which volumes of a run stay, and for each of the others the reason why it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from bidsmask.cleaning.table import numbers, require, table_of_run
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


@dataclass(frozen=True, eq=False)
class Censoring:
    """For each volume: kept or not, and the reasons.

    Attributes
    ----------
    kept : (n_volumes,) bool array
    reasons : tuple of str
        Empty for a kept volume, else one or more of "non-steady-state", "fd", "dvars" and
        "segment", joined by + in this order.
    """

    kept: BoolArray
    reasons: tuple[str, ...]

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
    """Return which volumes stay: nilearn's `load_confounds` sample mask, with reasons.

    Segments are counted between volumes that moved (displacement or DVARS), in one pass;
    non-steady-state volumes do not part segments (Power et al. 2014, NeuroImage; nilearn's
    "full scrubbing"). A volume without a value, as the first one, is not censored for it.

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
        If there are thresholds and no table.
    MissingColumn
        If `framewise_displacement` or `std_dvars` is needed and is not there.
    UnusableTable
        If the table is not of this run.
    TooFewVolumes
        If no volume is left, or fewer than `min_volumes` or `min_seconds`.
    """
    named = None if table is None else table_of_run(table, n_volumes, where)
    dummy = _dummy_scans(n_volumes, thresholds.dummy_scans, named, where)
    fd = _above(thresholds.fd_mm, "framewise_displacement", n_volumes, named, where)
    dvars = _above(thresholds.std_dvars, "std_dvars", n_volumes, named, where)
    segment = _short_segments(fd | dvars, thresholds.min_segment)
    causes = {"non-steady-state": dummy, "fd": fd, "dvars": dvars, "segment": segment}
    reasons = tuple(
        "+".join(name for name, goes in causes.items() if goes[volume])
        for volume in range(n_volumes)
    )
    censoring = Censoring(np.array([not reason for reason in reasons], bool), reasons)
    _refuse_too_few(censoring, t_r_s, thresholds, where)
    return censoring


def _dummy_scans(
    n_volumes: int,
    dummy_scans: int | Literal["auto"],
    table: pd.DataFrame | None,
    where: str | Path,
) -> BoolArray:
    if dummy_scans != "auto":
        return np.arange(n_volumes) < dummy_scans
    dummy = np.zeros(n_volumes, bool)
    if table is not None:
        for name in table.columns:
            if "non_steady_state" in name:
                dummy |= np.nan_to_num(numbers(table, name, where)) != 0
    return dummy


def _above(
    threshold: float | None,
    name: str,
    n_volumes: int,
    table: pd.DataFrame | None,
    where: str | Path,
) -> BoolArray:
    """Return the volumes whose value in a column is above the threshold."""
    if threshold is None:
        return np.zeros(n_volumes, bool)
    if table is None:
        raise MissingCompanion(
            where,
            f"has no confounds table, and censoring needs its column {name}",
            "Add the table that fMRIPrep wrote, or leave out the threshold.",
        )
    require(table, [name], f"censoring above {threshold:g}", where)
    return np.asarray(numbers(table, name, where) > threshold)


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
