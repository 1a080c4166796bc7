"""The columns that the runs of a group share: what other columns mean is never guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pandas as pd

from bidsmask.app.group.remedy import EACH, REMOVE, advising_removal
from bidsmask.app.group.task import GroupWork
from bidsmask.bids.tables import read_table
from bidsmask.errors import UnusableTable

Label = int | float


@dataclass(frozen=True)
class GroupColumns:
    """The regions of an atlas, in the order of the columns of the signals.

    Attributes
    ----------
    names : tuple of str
    index : tuple of int or float, or None
        Their labels; None where they are not known.
    """

    names: tuple[str, ...]
    index: tuple[Label, ...] | None = None

    @property
    def table(self) -> pd.DataFrame:
        """One row a region: `index`, where it is known, and `name`."""
        index = {} if self.index is None else {"index": self.index}
        return pd.DataFrame({**index, "name": pd.Series(self.names, dtype=object)})

    def difference(self, other: GroupColumns) -> str:
        """Return in which column another one differs first: `3 is 'a' (3), not 'b' (3)`."""
        pairs = zip_longest(self._described(), other._described(), fillvalue="missing")
        number, (mine, others) = next(
            (number, pair) for number, pair in enumerate(pairs, start=1) if pair[0] != pair[1]
        )
        return f"column {number} is {others}, not {mine}"

    def _described(self) -> list[str]:
        if self.index is None:
            return [repr(name) for name in self.names]
        return [f"{name!r} ({label})" for name, label in zip(self.names, self.index, strict=True)]


def read_columns(path: Path) -> tuple[GroupColumns, pd.DataFrame]:
    """Read a table of regions: `index` and `name`, and what else it has.

    Raises
    ------
    UnusableTable
        If one of the two is not there, or not in each row.
    """
    with advising_removal():
        table = read_table(path, text=("name",))
    for column in ("index", "name"):
        if column not in table or table[column].isna().any():
            raise UnusableTable(path, f"does not have {column!r} for each region", REMOVE)
    if table["index"].dtype.kind not in "if":
        raise UnusableTable(path, "has an index that is no number", REMOVE)
    return GroupColumns(tuple(table["name"]), tuple(table["index"].tolist())), table


def usual_columns(work: GroupWork, columns: Mapping[str, GroupColumns]) -> GroupColumns:
    """Return the columns of most runs, and leave the runs out that have others.

    Parameters
    ----------
    work : GroupWork
    columns : mapping of str to GroupColumns
        Of each run that is not left out, by its label.

    Raises
    ------
    UnusableTable
        There is no run, or there are several sets of columns of which none is that of most runs.
    """
    label = work.task.label
    if not columns:
        raise UnusableTable(label, "has no run that can be read", EACH)
    (usual, n_usual), *others = Counter(columns.values()).most_common()
    if others and 2 * n_usual <= len(columns):
        problem = f"has {1 + len(others)} sets of columns, none of which most runs have"
        raise UnusableTable(label, f"{problem}: {usual.difference(others[0][0])}", _SELECT)
    for run, product in work.sources:
        if run.label not in work.left_out and columns[run.label] != usual:
            problem = f"has other columns than the {n_usual} runs that are joined: "
            problem += usual.difference(columns[run.label])
            work.leave_out(run, UnusableTable(product.path, problem, _SELECT))
    return usual


_SELECT = "Run the participant level with one atlas, or select runs by their labels."
