"""Confounds of a run: from its table and a strategy to the columns that are regressed out.

Selection is that of nilearn's `load_confounds`, which tests hold it to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from bidsmask.cleaning.columns import Completion
from bidsmask.cleaning.compcor import compcor_names
from bidsmask.cleaning.strategies import ConfoundsStrategy, Model
from bidsmask.cleaning.table import (
    FloatArray,
    OtherTable,
    numbers,
    refuse_foreign,
    require,
    rows_of_run,
    table_of_run,
)
from bidsmask.cleaning.tedana import METRICS, MIXING, tedana_columns
from bidsmask.errors import MissingColumn, MissingCompanion, UnusableTable

_SUFFIXES: Mapping[Model, tuple[str, ...]] = {
    "none": (),
    "basic": ("",),
    "derivatives": ("", "_derivative1"),
    "power2": ("", "_power2"),
    "full": ("", "_derivative1", "_power2", "_derivative1_power2"),
}
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
_WM_CSF = ("csf", "white_matter")
_GLOBAL_SIGNAL = ("global_signal",)

# Nothing moves before the first volume: the honest value of a difference there is 0.
_IS_DIFFERENCE = re.compile(r".*_derivative1(_power2)?|framewise_displacement|rmsd")
# DVARS is never near 0, so a 0 would be an outlier: the second volume's value stands in.
_IS_DVARS = re.compile(r".*dvars")


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
    others: Mapping[str, OtherTable] | None = None,
    *,
    first_derivative: Literal["zero", "nilearn"] = "zero",
    unknown: Literal["refuse", "pass"] = "refuse",
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
    others : mapping, optional
        The tables beside it that the strategy needs, by `ColumnChoice.place`; tedana's two by
        `MIXING` and `METRICS`.
    first_derivative : {"zero", "nilearn"}
        What stands for `n/a` in the first row: 0 in that of a difference; or in every column
        the second row's value, as in nilearn's `load_confounds`.
    unknown : {"refuse", "pass"}
        What becomes of other `n/a`: an error, or NaN.

    Raises
    ------
    MissingCompanion
        If the strategy needs a table, or CompCor its sidecar, and there is none.
    MissingColumn
        If a column that the strategy needs is not there; its name and those near to it.
    UnusableTable
        If a table is not of this run, is no fMRIPrep table, or has another `n/a` or no
        number in a column that is used; the column and the row.
    """
    others = others or {}

    def completion(where: str | Path) -> Completion:
        fill = _first_row_as_nilearn if first_derivative == "nilearn" else _first_row
        return partial(_complete, fill=fill, where=where, is_refused=unknown == "refuse")

    found = [_of_run(strategy, table, metadata, n_volumes, where, completion(where))]
    if strategy.tedana != "none":
        mixing = others[MIXING]
        rejected = tedana_columns(strategy.tedana, mixing, others[METRICS], n_volumes)
        complete = completion(mixing.path)
        found.append({name: complete(values, name) for name, values in rejected.items()})
    for choice in strategy.columns:
        if choice.table:
            other = others[choice.place]
            rows = rows_of_run(other.table, n_volumes, other.path)
            found.append(choice.values_in(rows, other.path, completion(other.path)))
    return _joined(found, n_volumes, where)


def _joined(found: list[dict[str, FloatArray]], n_volumes: int, where: str | Path) -> Regressors:
    """Return the columns of several tables, sorted by name."""
    columns: dict[str, FloatArray] = {}
    for some in found:
        double = sorted(columns.keys() & some.keys())
        if double:
            raise UnusableTable(
                where,
                f"has a column {double[0]}, and so has another table that is asked for it",
                "Take it from one of them.",
            )
        columns |= some
    names = tuple(sorted(columns))
    values = [columns[name] for name in names]
    return Regressors(np.column_stack(values) if values else np.empty((n_volumes, 0)), names)


def _of_run(
    strategy: ConfoundsStrategy,
    table: pd.DataFrame | None,
    metadata: Mapping[str, object],
    n_volumes: int,
    where: str | Path,
    complete: Completion,
) -> dict[str, FloatArray]:
    """Return the columns that come from the confounds table of the run itself."""
    choices = [choice for choice in strategy.columns if not choice.table]
    if not (choices or strategy.uses_fmriprep):
        return {}
    if table is None:
        raise MissingCompanion(
            where,
            f"has no confounds table, which the strategy {strategy.name} needs",
            "Add the table that fMRIPrep wrote, or choose --confounds none or --mask-only.",
        )
    table = table_of_run(table, n_volumes, where)
    if strategy.uses_fmriprep:
        refuse_foreign(table, where)
    names = _names_of(strategy, table, metadata, where)
    found = {name: complete(numbers(table, name, where), name) for name in names}
    for choice in choices:
        found |= choice.values_in(table, where, complete)
    return found


def _names_of(
    strategy: ConfoundsStrategy,
    table: pd.DataFrame,
    metadata: Mapping[str, object],
    where: str | Path,
) -> set[str]:
    """Return the names of the columns that the strategy uses, all of them in the table."""
    groups: list[tuple[str, list[str]]] = [
        (f"motion {strategy.motion}", _with_suffixes(MOTION, strategy.motion)),
        (f"wm_csf {strategy.wm_csf}", _with_suffixes(_WM_CSF, strategy.wm_csf)),
        (
            f"global_signal {strategy.global_signal}",
            _with_suffixes(_GLOBAL_SIGNAL, strategy.global_signal),
        ),
    ]
    if strategy.high_pass:  # a short run has no cosine column, and needs none
        groups.append(("high_pass", [name for name in table.columns if "cosine" in name]))
    if strategy.compcor != "none":
        components = compcor_names(strategy.compcor, strategy.n_compcor, metadata, where)
        groups.append((f"CompCor {strategy.compcor}", components))
    if strategy.aroma == "basic":
        groups.append(("ICA-AROMA", _aroma(table, where)))
    for purpose, names in groups:
        require(table, names, purpose, where)
    return set(chain.from_iterable(names for _, names in groups))


def _with_suffixes(parameters: tuple[str, ...], model: Model) -> list[str]:
    return [name + suffix for name in parameters for suffix in _SUFFIXES[model]]


def _aroma(table: pd.DataFrame, where: str | Path) -> list[str]:
    """Return the names of the components that ICA-AROMA took for motion."""
    names = [name for name in table.columns if "aroma" in name]
    if not names:
        raise MissingColumn(
            where,
            "has no column of ICA-AROMA (aroma_motion_…)",
            "fMRIPrep wrote them until 23.0, with --use-aroma; since then fMRIPost-AROMA does.",
        )
    return names


def _complete(
    values: FloatArray,
    name: str,
    fill: Callable[[FloatArray, str], float],
    where: str | Path,
    *,
    is_refused: bool,
) -> FloatArray:
    """Return the column without NaN, or say where it has one that nothing can stand for."""
    if len(values) > 1 and np.isnan(values[0]):
        values = values.copy()
        values[0] = fill(values, name)
    unknown = np.isnan(values)
    if unknown.any() and is_refused:
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
