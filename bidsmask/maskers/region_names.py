"""What the regions of a label image are called: nilearn's `labels` and `lut`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from bidsmask.errors import UnusableTable, UsageError, WrongType

BACKGROUND = "Background"
UNKNOWN = "unknown"


def region_table(
    values: NDArray[Any],
    background: float,
    labels: Sequence[str] | None,
    lut: pd.DataFrame | str | Path | None,
) -> pd.DataFrame:
    """Return the table of the labels that an image holds.

    Parameters
    ----------
    values : (n_labels,) array
        Of the image, ascending, background included where it is there.
    background : float
        The label that is none.
    labels : sequence of str, optional
        Names in the order of the labels; the first may stand for the background.
    lut : DataFrame or path of a CSV or TSV file, optional
        With the columns `index` and `name`, rows in any order.

    Returns
    -------
    DataFrame
        `index` and `name`, a row for each value, ascending; further columns of `lut` follow it.
        The background is called `Background`; what has no name is called `unknown`, or by its
        value where there are neither `labels` nor `lut`.

    Raises
    ------
    UsageError
        `labels` and `lut` together.
    WrongType
        Names that are no list of text.
    UnusableTable
        A table without `index` and `name`, or that names an index twice.
    """
    if lut is not None and labels is not None:
        raise UsageError("labels", "and lut are both given", "Give one of them.")
    if lut is not None:
        return _by_index(values, background, _table(lut))
    regions = values[values != background]
    names = [str(value) for value in regions] if labels is None else _in_order(labels, regions)
    named = dict(zip(regions.tolist(), names, strict=True))
    return pd.DataFrame(
        {"index": values, "name": [named.get(value, BACKGROUND) for value in values.tolist()]}
    )


def _in_order(labels: Sequence[str], regions: NDArray[Any]) -> list[str]:
    """Return a name for each region, from names in the order of the regions."""
    if not isinstance(labels, list):
        raise WrongType("'labels'", f"must be a list, but is a {type(labels).__name__}")
    for name in labels:
        if not isinstance(name, str):
            raise WrongType("'labels'", f"must hold text alone, but holds {name!r}")
    has_background = bool(labels) and labels[0].lower() == BACKGROUND.lower()
    names = labels[1:] if has_background else list(labels)
    told = f"{len(names)} names for {len(regions)} regions"
    if len(names) < len(regions):
        message = f"Too many indices for the names. {told}: those without are '{UNKNOWN}'."
        warnings.warn(message, UserWarning, stacklevel=3)
    if len(names) > len(regions):
        message = f"Too many names for the indices. Dropping excess names values: {told}."
        warnings.warn(message, UserWarning, stacklevel=3)
    return (names + [UNKNOWN] * len(regions))[: len(regions)]


def _by_index(values: NDArray[Any], background: float, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table that are about these values, in their order."""
    given = table.set_index("index", drop=False)
    found = given.reindex(values)
    found["index"] = values
    found["name"] = found["name"].fillna(UNKNOWN).astype(str)
    found.loc[values == background, "name"] = BACKGROUND
    lacking = found["index"][(found["name"] == UNKNOWN) & ~found["index"].isin(given.index)]
    if len(lacking):
        message = f"The table does not name index {', '.join(map(str, lacking))}: '{UNKNOWN}'."
        warnings.warn(message, UserWarning, stacklevel=3)
    return found.reset_index(drop=True)


def _table(lut: pd.DataFrame | str | Path) -> pd.DataFrame:
    """Return a table with the columns `index` and `name`, each index once."""
    where: str | Path = "lut"
    if not isinstance(lut, pd.DataFrame):
        where = Path(lut)
        try:
            lut = pd.read_csv(where, sep="\t" if where.suffix == ".tsv" else ",")
        except (OSError, ValueError) as error:
            raise UnusableTable(where, f"cannot be read as a table ({error})") from error
    if not {"index", "name"} <= set(lut.columns):
        problem = f"has the columns {', '.join(map(str, lut.columns))}"
        raise UnusableTable(where, problem, "Name two of them `index` and `name`.")
    doubled = lut["index"][lut["index"].duplicated()]
    if len(doubled):
        raise UnusableTable(where, f"names index {doubled.iloc[0]} twice", "Keep one of them.")
    return lut
