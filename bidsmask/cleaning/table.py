"""A run's confounds table: its names made regular, its columns read as numbers or refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bidsmask.errors import MissingColumn, UnusableTable

FloatArray = npt.NDArray[np.float64]

# fMRIPrep 1.0 and 1.1 wrote camel case; everything since 1.2 writes the names on the right.
_OLD_NAMES = {
    "CSF": "csf",
    "WhiteMatter": "white_matter",
    "GlobalSignal": "global_signal",
    "stdDVARS": "std_dvars",
    "non-stdDVARS": "dvars",
    "vx-wisestdDVARS": "voxel_wise_std_dvars",
    "FramewiseDisplacement": "framewise_displacement",
    "X": "trans_x",
    "Y": "trans_y",
    "Z": "trans_z",
    "RotX": "rot_x",
    "RotY": "rot_y",
    "RotZ": "rot_z",
}
_OLD_NUMBERED_NAMES = {
    "tCompCor": "t_comp_cor_",
    "aCompCor": "a_comp_cor_",
    "Cosine": "cosine",
    "NonSteadyStateOutlier": "non_steady_state_outlier",
    "AROMAAggrComp": "aroma_motion_",
}
_NUMBERED = re.compile(r"([A-Za-z]+?)(\d+)")

# What every fMRIPrep since 1.0 has computed for a BOLD run, and what only diffusion has.
_OF_FMRIPREP = {"trans_x", "white_matter", "global_signal", "std_dvars", "dvars"}
_OF_DIFFUSION = {"bval", "grad_x", "hmc_r2"}


@dataclass(frozen=True, eq=False)
class OtherTable:
    """A table of a run beside its confounds.

    Attributes
    ----------
    path : Path
    table : DataFrame
        As it was read.
    """

    path: Path
    table: pd.DataFrame


def normal_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the column names that fMRIPrep has used since 1.2.

    Camel-case names (`WhiteMatter`, `aCompCor00`, `RotX`) are mapped; others stay as they
    are. The values are shared with `table`, which is not changed.

    Parameters
    ----------
    table : DataFrame
        One row per volume of the run, one column per confound.
    """
    return _named(table, [_normal_name(str(name)) for name in table.columns])


def _named(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the table under other names, its values shared: `rename` takes 4 ms of 200 columns."""
    named = table.copy(deep=False)
    named.columns = pd.Index(names)
    return named


def _normal_name(name: str) -> str:
    if name in _OLD_NAMES:
        return _OLD_NAMES[name]
    numbered = _NUMBERED.fullmatch(name)
    if numbered and numbered[1] in _OLD_NUMBERED_NAMES:
        return _OLD_NUMBERED_NAMES[numbered[1]] + numbered[2]
    return name


def table_of_run(table: pd.DataFrame, n_volumes: int, where: str | Path) -> pd.DataFrame:
    """Return the table with regular names, or say why it cannot belong to this run.

    Raises
    ------
    UnusableTable
        As `rows_of_run`.
    """
    return rows_of_run(normal_names(table), n_volumes, where)


def rows_of_run(table: pd.DataFrame, n_volumes: int, where: str | Path) -> pd.DataFrame:
    """Return a table with one row per volume, its names as they are, or say why it is none.

    Raises
    ------
    UnusableTable
        With another number of rows than the run has volumes, a header that names a column
        twice, or no header at all.
    """
    if len(table) != n_volumes:
        raise UnusableTable(
            where,
            f"has {len(table)} rows, but its BOLD run has {n_volumes} volumes",
            "Re-run fMRIPrep for this run, or leave it out with --bids-filter-file.",
        )
    named = _named(table, [str(name) for name in table.columns])
    double = named.columns[named.columns.duplicated()]
    if len(double):
        raise UnusableTable(
            where, f"has more than one column {double[0]}", "Rename or remove one of them."
        )
    if len(named.columns) and _is_number(str(named.columns[0])):
        raise UnusableTable(
            where,
            f"has no header: its first line starts with {named.columns[0]}",
            "Give a confounds table as fMRIPrep writes it.",
        )
    return named


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def refuse_foreign(table: pd.DataFrame, where: str | Path) -> None:
    """Raise UnusableTable for a table that fMRIPrep has not made from a BOLD run.

    QSIPrep and physiological toolboxes use the very same file name endings, so only the
    columns tell.
    """
    names = set(table.columns)
    advice = "Give the confounds table that fMRIPrep wrote for this run."
    if names & _OF_DIFFUSION:
        culprit = sorted(names & _OF_DIFFUSION)[0]
        raise UnusableTable(where, f"is of a diffusion run: it has a column {culprit}", advice)
    if not names & _OF_FMRIPREP:
        first = ", ".join(table.columns[:3])
        raise UnusableTable(
            where, f"is no fMRIPrep confounds table: its columns are {first}, …", advice
        )


def require(table: pd.DataFrame, names: Iterable[str], purpose: str, where: str | Path) -> None:
    """Raise MissingColumn if a name is not a column of the table.

    Parameters
    ----------
    table : DataFrame
        With regular names.
    names : iterable of str
        The columns that `purpose` (a few words, as "motion full") needs.
    """
    missing = [name for name in names if name not in table.columns]
    if not missing:
        return
    many = len(missing) > 1
    raise MissingColumn(
        where,
        f"lacks the column{'s' * many} {', '.join(missing)}, which {purpose} needs",
        _advice_for(missing, list(table.columns)),
    )


def _advice_for(missing: list[str], columns: list[str]) -> str:
    """Name the columns nearest to the missing ones, or the version that has them."""
    if all(re.search(r"_(derivative1|power2)$", name) for name in missing):
        return "fMRIPrep writes derivatives and squares since 1.4; choose a strategy without them."
    near = dict.fromkeys(
        hit for name in missing for hit in difflib.get_close_matches(name, columns, n=3)
    )
    return f"Near to it: {', '.join(near)}." if near else "Choose a strategy that does without."


def numbers(table: pd.DataFrame, name: str, where: str | Path) -> FloatArray:
    """Return a column as float64, NaN where it says `n/a`.

    Raises
    ------
    UnusableTable
        If a value is neither a number nor `n/a`, or is infinite.
    """
    column = table[name]
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    is_empty = column.isna()
    if not pd.api.types.is_numeric_dtype(column):
        is_empty = is_empty | column.astype(str).str.strip().isin(["n/a", "", "nan", "NaN"])
    wrong = (np.isnan(values) & ~is_empty.to_numpy()) | np.isinf(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UnusableTable(
            where,
            f"has {str(column.iloc[row])!r} in column {name}, row {row + 1}, "
            "where a number should be",
            "Correct the table, or re-run fMRIPrep for this run.",
        )
    return values
