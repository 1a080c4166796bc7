"""Confounds of a run: from its table and a strategy to the columns that are regressed out.

The column models and the presets are those of nilearn's `load_confounds`, which tests hold
them to; Ciric et al. (2017, NeuroImage) compared the strategies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from bidsmask.cleaning.table import (
    FloatArray,
    numbers,
    refuse_foreign,
    require,
    table_of_run,
)
from bidsmask.errors import MissingColumn, MissingCompanion, UnusableTable, UsageError

Model = Literal["none", "basic", "derivatives", "power2", "full"]

_SUFFIXES: Mapping[Model, tuple[str, ...]] = {
    "none": (),
    "basic": ("",),
    "derivatives": ("", "_derivative1"),
    "power2": ("", "_power2"),
    "full": ("", "_derivative1", "_power2", "_derivative1_power2"),
}
_MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
_WM_CSF = ("csf", "white_matter")
_GLOBAL_SIGNAL = ("global_signal",)

# Nothing moves before the first volume: the honest value of a difference there is 0.
_IS_DIFFERENCE = re.compile(r".*_derivative1(_power2)?|framewise_displacement|rmsd")
# DVARS is never near 0, so a 0 would be an outlier: the second volume's value stands in.
_IS_DVARS = re.compile(r".*dvars")


@dataclass(frozen=True)
class ConfoundsStrategy:
    """Which columns of a confounds table to regress out, and which volumes to censor.

    Attributes
    ----------
    name : str
        As the user gives it.
    motion, wm_csf, global_signal : {"none", "basic", "derivatives", "power2", "full"}
        The six parameters, the means of csf and white matter, the mean of the brain: as they
        are, with their first differences, with their squares, or with both and the squares
        of the differences.
    high_pass : bool
        fMRIPrep's cosine columns.
    compcor : {"none", "anat_combined"}
        aCompCor components of the combined white matter and csf mask (Behzadi 2007). They
        were computed after a high-pass, so they need `high_pass`.
    n_compcor : int, float or "all"
        That many components; or as many as explain that share of variance (0 to 1); or all.
    columns : tuple of str
        More columns, by name or glob pattern.
    fd_mm, std_dvars : float or None
        Censor volumes with more framewise displacement (mm) or standardised DVARS.
    min_segment : int
        Censor runs of kept volumes that are shorter (volumes).
    """

    name: str
    motion: Model = "none"
    wm_csf: Model = "none"
    global_signal: Model = "none"
    high_pass: bool = False
    compcor: Literal["none", "anat_combined"] = "none"
    n_compcor: int | float | Literal["all"] = 0.5
    columns: tuple[str, ...] = ()
    fd_mm: float | None = None
    std_dvars: float | None = None
    min_segment: int = 0

    def __post_init__(self) -> None:
        if self.compcor != "none" and not self.high_pass:
            raise UsageError(
                self.name,
                "uses CompCor without the cosine columns",
                "fMRIPrep computes CompCor after a high-pass filter: add the cosine columns.",
            )
        count = self.n_compcor
        if count != "all" and (count <= 0 or (isinstance(count, float) and count > 1)):
            raise UsageError(
                "n_compcor",
                f"is {count}",
                "Give a number of components, a share of variance up to 1.0, or all.",
            )


STRATEGIES: Mapping[str, ConfoundsStrategy] = {
    strategy.name: strategy
    for strategy in (
        ConfoundsStrategy("none"),
        ConfoundsStrategy("simple", motion="full", wm_csf="basic", high_pass=True),
        ConfoundsStrategy(
            "scrubbing",
            motion="full",
            wm_csf="full",
            high_pass=True,
            fd_mm=0.5,
            std_dvars=1.5,
            min_segment=5,
        ),
        ConfoundsStrategy("24P", motion="full"),
        ConfoundsStrategy("27P", motion="full", wm_csf="basic", global_signal="basic"),
        ConfoundsStrategy("36P", motion="full", wm_csf="full", global_signal="full"),
        ConfoundsStrategy("acompcor", motion="full", high_pass=True, compcor="anat_combined"),
    )
}


@dataclass(frozen=True, eq=False)
class Regressors:
    """Confound columns of one run.

    Attributes
    ----------
    values : (n_volumes, n_columns) float64 array
        Without NaN.
    names : tuple of str
        One per column, sorted.
    """

    values: FloatArray
    names: tuple[str, ...]

    @classmethod
    def none(cls, n_volumes: int) -> Regressors:
        """Return no columns for a run of `n_volumes` volumes."""
        return cls(np.empty((n_volumes, 0)), ())


def select_regressors(
    strategy: ConfoundsStrategy,
    table: pd.DataFrame | None,
    metadata: Mapping[str, object],
    n_volumes: int,
    where: str | Path,
    *,
    first_derivative: Literal["zero", "nilearn"] = "zero",
) -> Regressors:
    """Return the columns of a confounds table that a strategy regresses out.

    Parameters
    ----------
    strategy : ConfoundsStrategy
        Which columns.
    table : DataFrame or None
        The run's confounds, one row per volume; None where the run has no table.
    metadata : mapping
        The table's JSON sidecar, empty where there is none; only CompCor needs it.
    n_volumes : int
        Volumes of the run.
    where : str or Path
        The table, for messages.
    first_derivative : {"zero", "nilearn"}
        What stands for `n/a` in the first row of a difference: 0, or the second row's value
        as in nilearn's `load_confounds`.

    Raises
    ------
    MissingCompanion
        If the strategy needs a table, or CompCor its sidecar, and there is none.
    MissingColumn
        If a column that the strategy needs is not there; its name and those near to it.
    UnusableTable
        If the table is not of this run, is no fMRIPrep table, or has another `n/a` or no
        number in a column that is used; the column and the row.
    """
    if strategy.columns == () and not _uses_table(strategy):
        return Regressors.none(n_volumes)
    if table is None:
        raise MissingCompanion(
            where,
            f"has no confounds table, which the strategy {strategy.name} needs",
            "Add the table that fMRIPrep wrote, or choose --confounds none.",
        )
    table = table_of_run(table, n_volumes, where)
    if _uses_table(strategy):
        refuse_foreign(table, where)
    names = tuple(sorted(_columns_of(strategy, table, metadata, where)))
    fill = _first_row_as_nilearn if first_derivative == "nilearn" else _first_row
    columns = [_complete(numbers(table, name, where), name, fill, where) for name in names]
    return Regressors(np.column_stack(columns) if columns else np.empty((n_volumes, 0)), names)


def _uses_table(strategy: ConfoundsStrategy) -> bool:
    models = (strategy.motion, strategy.wm_csf, strategy.global_signal, strategy.compcor)
    return strategy.high_pass or any(model != "none" for model in models)


def _columns_of(
    strategy: ConfoundsStrategy,
    table: pd.DataFrame,
    metadata: Mapping[str, object],
    where: str | Path,
) -> set[str]:
    """Return the names of the columns that the strategy uses, all of them in the table."""
    groups: list[tuple[str, list[str]]] = [
        (f"motion {strategy.motion}", _with_suffixes(_MOTION, strategy.motion)),
        (f"wm_csf {strategy.wm_csf}", _with_suffixes(_WM_CSF, strategy.wm_csf)),
        (
            f"global_signal {strategy.global_signal}",
            _with_suffixes(_GLOBAL_SIGNAL, strategy.global_signal),
        ),
    ]
    if strategy.high_pass:  # a short run has no cosine column, and needs none
        groups.append(("high_pass", [name for name in table.columns if "cosine" in name]))
    if strategy.compcor != "none":
        groups.append(("CompCor", _acompcor(strategy.n_compcor, metadata, where)))
    for purpose, names in groups:
        require(table, names, purpose, where)
    asked = _matching(strategy.columns, table, where)
    return set(chain.from_iterable(names for _, names in groups)) | set(asked)


def _with_suffixes(parameters: tuple[str, ...], model: Model) -> list[str]:
    return [name + suffix for name in parameters for suffix in _SUFFIXES[model]]


def _acompcor(
    n_compcor: int | float | str, metadata: Mapping[str, object], where: str | Path
) -> list[str]:
    """Return the names of the first anat_combined components, in their own order."""
    components = {
        name: entry
        for name, entry in metadata.items()
        if re.fullmatch(r"a_comp_cor_\d+", name)
        and isinstance(entry, Mapping)
        and entry.get("Mask") == "combined"
    }
    if not components:
        raise MissingCompanion(
            where,
            "has no sidecar that names aCompCor components of the combined mask",
            "fMRIPrep writes it beside the table since 1.4 (…desc-confounds_timeseries.json).",
        )
    names = sorted(components, key=lambda name: int(name.rpartition("_")[2]))
    if isinstance(n_compcor, str):
        return names
    if isinstance(n_compcor, int):
        return names[:n_compcor]
    shares = [_explained(components[name], name, where) for name in names]
    # fMRIPrep keeps the component that reaches the share, too.
    return names[: 1 + sum(share < n_compcor for share in shares)]


def _explained(entry: Mapping[str, object], name: str, where: str | Path) -> float:
    share = entry.get("CumulativeVarianceExplained")
    if not isinstance(share, int | float):
        raise UnusableTable(
            where,
            f"has a sidecar without CumulativeVarianceExplained of {name}",
            "Ask for a number of components instead of a share of variance.",
        )
    return float(share)


def _matching(patterns: tuple[str, ...], table: pd.DataFrame, where: str | Path) -> list[str]:
    """Return the columns that names or glob patterns ask for."""
    names = list(table.columns)
    found: list[str] = []
    for pattern in patterns:
        hits = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        if not hits and any(c in pattern for c in "*?["):
            raise MissingColumn(
                where,
                f"has no column that matches {pattern}",
                f"Its first columns are {', '.join(names[:5])}.",
            )
        if not hits:
            require(table, [pattern], "the list of columns", where)
        found += hits
    return found


def _complete(
    values: FloatArray, name: str, fill: Callable[[FloatArray, str], float], where: str | Path
) -> FloatArray:
    """Return the column without NaN, or say where it has one that nothing can stand for."""
    if len(values) > 1 and np.isnan(values[0]):
        values = values.copy()
        values[0] = fill(values, name)
    unknown = np.isnan(values)
    if unknown.any():
        raise UnusableTable(
            where,
            f"has n/a in column {name}, row {int(np.argmax(unknown)) + 1} "
            f"({int(unknown.sum())} in all)",
            "Choose a strategy without this column, or re-run fMRIPrep for this run.",
        )
    return values


def _first_row(values: FloatArray, name: str) -> float:
    if _IS_DIFFERENCE.fullmatch(name):
        return 0.0
    return float(values[1]) if _IS_DVARS.fullmatch(name) else np.nan


def _first_row_as_nilearn(values: FloatArray, name: str) -> float:
    return float(values[1])
