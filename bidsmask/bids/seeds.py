"""Seeds: a table of places in mm, with a name and a radius of each where it holds them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bidsmask.bids.region_names import INDEX_COLUMNS, NAME_COLUMNS, Label
from bidsmask.bids.tables import MISSING, is_number, read_cells
from bidsmask.errors import UnusableTable

_FORM = (
    "Give a TSV or CSV table with the columns `x`, `y` and `z` in mm, and where wanted `index`, "
    "`name` and `radius`."
)
_PLACES = "Coordinates and radii are numbers in mm, a radius 0 or more."
_INDICES = "An index is a whole number other than 0."


@dataclass(frozen=True)
class Seeds:
    """What a table says, by ascending index.

    Attributes
    ----------
    indices : tuple of int
        All different, none 0; the numbers of the rows from 1 where the table has none.
    names : dict of number to str
        By index, of the seeds that have a name.
    centres_mm : tuple of (x, y, z)
    radii_mm : tuple of float, or None
        None where the table has no such column.
    """

    indices: tuple[int, ...]
    names: dict[Label, str]
    centres_mm: tuple[tuple[float, float, float], ...]
    radii_mm: tuple[float, ...] | None


def read_seeds(path: Path) -> Seeds:
    """Read a table of seeds.

    Parameters
    ----------
    path : Path
        TSV, or CSV where its name says so, with a header in any case of letters: `x`, `y` and
        `z`, one of `INDEX_COLUMNS`, one of `NAME_COLUMNS` and `radius`. Others are passed over.

    Raises
    ------
    UnusableTable
        A column of coordinates is missing, a coordinate or radius is no number or a radius
        negative, an index is no whole number or stands there twice, or there is no seed.
    """
    header, rows = read_cells(path)
    places = {name.lower(): place for place, name in reversed(list(enumerate(header)))}
    for axis in "xyz":
        if axis not in places:
            raise UnusableTable(path, f"has no column {axis!r}, only {', '.join(header)}", _FORM)
    if not rows:
        raise UnusableTable(path, "holds no seed", _FORM)
    index = next((one for one in INDEX_COLUMNS if one in places), None)
    name = next((one for one in NAME_COLUMNS if one in places and one != index), None)

    def numbers(column: str) -> list[float]:
        cells = [row[places[column]] for row in rows]
        return [_number(path, line, column, cell) for line, cell in enumerate(cells, start=2)]

    whole = numbers(index) if index else range(1, len(rows) + 1)
    indices = [_index(path, line, value) for line, value in enumerate(whole, start=2)]
    for line, value in enumerate(indices, start=2):
        if value in indices[: line - 2]:
            raise UnusableTable(path, f"has index {value} again in line {line}", "Keep one.")
    order = sorted(range(len(rows)), key=indices.__getitem__)
    texts = [" ".join(row[places[name]].split()) if name else "" for row in rows]
    xyz = list(zip(*map(numbers, "xyz"), strict=True))
    radii = numbers("radius") if "radius" in places else None
    for line, radius in enumerate(radii or (), start=2):
        if radius < 0:
            raise UnusableTable(path, f"has a radius of {radius:g} in line {line}", _PLACES)
    return Seeds(
        indices=tuple(indices[one] for one in order),
        names={indices[one]: texts[one] for one in order if texts[one] not in ("", MISSING)},
        centres_mm=tuple(xyz[one] for one in order),
        radii_mm=tuple(radii[one] for one in order) if radii is not None else None,
    )


def _number(path: Path, line: int, column: str, cell: str) -> float:
    """Return a cell as a finite number."""
    if is_number(cell) and abs(float(cell)) < float("inf"):
        return float(cell)
    advice = _INDICES if column in INDEX_COLUMNS else _PLACES
    raise UnusableTable(path, f"has {cell!r} in line {line}, column {column!r}", advice)


def _index(path: Path, line: int, value: float) -> int:
    """Return an index as the value of a voxel, which cannot be that of the background."""
    if float(value).is_integer() and 0 < abs(value) < 2**31:
        return int(value)
    problem = f"has the index {value:g} in line {line}"
    raise UnusableTable(path, problem, _INDICES)
