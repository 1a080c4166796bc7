"""Confounds and sample masks as Python users give them: arrays, tables, files, lists of these."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bidsmask.cleaning.confounds import Regressors
from bidsmask.errors import MissingInput, TooFewVolumes, UnusableTable, UsageError, WrongType

Confounds = Any
SampleMask = Any
BoolArray = NDArray[np.bool_]
WHERE = "Confound signal"
NO_NUMBERS = ("n/a", "nan", "na", "")


def read_confounds(confounds: Confounds, n_volumes: int) -> Regressors:
    """Return the columns of confounds, side by side.

    Parameters
    ----------
    confounds : array, DataFrame, path, or list of these; None for no column
        Each with a row for every volume; one axis is a column. A file holds columns with tabs,
        commas, semicolons or blanks between them, with or without a line of names.
    n_volumes : int

    Raises
    ------
    UnusableTable
        Another number of rows, or what is no finite number, with its place.
    MissingInput
        A file that is not there.
    WrongType
        Something else.
    """
    if confounds is None:
        return Regressors.none(n_volumes)
    parts = confounds if isinstance(confounds, list | tuple) else [confounds]
    tables = [_table(part) for part in parts]
    for table in tables:
        if len(table) != n_volumes:
            raise UnusableTable(
                WHERE,
                f"has an incorrect length: {len(table)} rows, but there are {n_volumes} volumes",
            )
    if not tables:
        return Regressors.none(n_volumes)
    names = tuple(str(name) for table in tables for name in table.columns)
    values = np.hstack([table.to_numpy(np.float64, na_value=np.nan) for table in tables])
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0]
        raise UnusableTable(
            WHERE,
            f"holds {values[row, column]} in column {names[column]}, row {row + 1}",
            "Fill it, or leave the column out.",
        )
    return Regressors(values, names)


def _table(part: Any) -> pd.DataFrame:
    if isinstance(part, str | Path):
        return _read_table(Path(part).expanduser())
    if isinstance(part, pd.DataFrame | pd.Series):
        part = pd.DataFrame(part)
    elif isinstance(part, np.ndarray):
        if part.ndim not in (1, 2):
            raise UnusableTable(WHERE, f"has {part.ndim} axes, but one or two are needed")
        part = pd.DataFrame(part.reshape(len(part), -1))
    else:
        raise WrongType(
            WHERE, f"is a {type(part).__name__}", "Give an array, a DataFrame, a path, or a list."
        )
    try:
        table: pd.DataFrame = part.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise UnusableTable(WHERE, f"holds what is no number ({error})") from error
    return table


def _read_table(path: Path) -> pd.DataFrame:
    """Return the table that a text file holds; nilearn guesses its form in the same way."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MissingInput(str(path), f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UnusableTable(path, "is no text") from error
    first = text.split("\n", 1)[0]
    delimiter = next((one for one in "\t,;" if one in first), None)
    if delimiter is None:
        rows = [line.split() for line in text.splitlines() if line.strip()]
    else:
        lines = (line for line in text.splitlines() if line.strip())
        rows = list(csv.reader(lines, delimiter=delimiter))
    if not rows or len({len(row) for row in rows}) > 1:
        raise UnusableTable(path, "has no rows, or rows of several lengths")
    numbers = [[_number(cell) for cell in row] for row in rows]
    # Names are words, or numbers after the empty name of an index, as pandas writes it.
    if None in numbers[0] or np.isnan(numbers[0][0]):  # type: ignore[arg-type]  # it is no None
        names, numbers = rows[0], numbers[1:]
    else:
        names = [str(column) for column in range(len(rows[0]))]
    for number, row in enumerate(numbers, 1):
        if None in row:
            column = row.index(None)
            raise UnusableTable(path, f"holds no number in column {names[column]}, row {number}")
    return pd.DataFrame(np.array(numbers, np.float64).reshape(-1, len(names)), columns=names)


def _number(cell: str) -> float | None:
    """Return a cell as a number, NaN for a missing one, None for a word."""
    if cell.strip().lower() in NO_NUMBERS:
        return np.nan
    try:
        return float(cell)
    except ValueError:
        return None


def rows_of_runs(runs: Any, n_volumes: int) -> list[NDArray[np.intp]]:
    """Return the volumes of each run, in ascending order of the runs' marks.

    Parameters
    ----------
    runs : (n_volumes,) array-like of marks, or None for one run

    Raises
    ------
    UsageError
        Another number of marks than of volumes.
    """
    if runs is None:
        return [np.arange(n_volumes)]
    marks = np.asarray(runs)
    if marks.shape != (n_volumes,):
        raise UsageError(
            "The length of the run vector",
            f"({len(np.atleast_1d(marks))}) does not match the length of the signals ({n_volumes})",
        )
    return [np.flatnonzero(marks == mark) for mark in np.unique(marks)]


def kept_of_runs(sample_mask: SampleMask, lengths: Sequence[int]) -> list[BoolArray]:
    """Return for each run which of its volumes are kept.

    Parameters
    ----------
    sample_mask : None, index or boolean array, or a list of them, one for each run
    lengths : list of int
        Volumes of each run.

    Raises
    ------
    UsageError
        Another number of masks than of runs, indices that are not of the run or not ascending.
    TooFewVolumes
        A mask that keeps nothing.
    """
    if sample_mask is None:
        return [np.ones(length, bool) for length in lengths]
    is_list = isinstance(sample_mask, list | tuple)
    masks = sample_mask if is_list and len(sample_mask) and np.ndim(sample_mask[0]) else None
    masks = [sample_mask] if masks is None else masks
    if not (is_list or isinstance(sample_mask, np.ndarray | pd.Series)):
        raise WrongType("sample_mask", f"is a {type(sample_mask).__name__}", "Give an array.")
    if len(masks) != len(lengths):
        raise UsageError(
            "sample_mask", f"has {len(masks)} masks, not matching number of runs ({len(lengths)})"
        )
    return [_kept(np.asarray(mask), length) for mask, length in zip(masks, lengths, strict=True)]


def _kept(mask: NDArray[Any], length: int) -> BoolArray:
    if mask.ndim != 1 or (mask.size and mask.dtype.kind not in "biu"):
        raise WrongType("sample_mask", f"is no list of indices or truth values: {mask!r:.60}")
    if mask.dtype == bool and len(mask) != length:
        raise UsageError("sample_mask", f"has {len(mask)} values for {length} volumes")
    kept = mask.copy() if mask.dtype == bool else np.zeros(length, bool)
    if mask.dtype != bool and mask.size:
        if int(mask.min()) < 0:
            raise UsageError("sample_mask", "should not contain negative values")
        if int(mask.max()) >= length:
            raise UsageError(
                "sample_mask", f"contains invalid index {mask.max()}: there are {length} volumes"
            )
        if (np.diff(mask.astype(np.int64)) <= 0).any():
            raise UsageError(
                "sample_mask", "is not in ascending order", "Rows come back in the order of time."
            )
        kept[mask] = True
    if not kept.any():
        raise TooFewVolumes("sample_mask", "removes all volumes", "Choose milder thresholds.")
    return kept
