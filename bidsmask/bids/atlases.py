"""The names of an atlas's regions: which table belongs to an image, and what it calls each label.

Names come from the table by index value alone: the order of its rows means nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bidsmask.bids.tables import MISSING, read_lines, read_text
from bidsmask.errors import MissingInput, UnusableTable

Label = int | float

# In the order in which they are looked for. `label` is an index in some tables and a name in
# others: it is the index only where no other column can be.
INDEX_COLUMNS = ("index", "id", "value", "label_id", "roi", "number", "component", "label")
NAME_COLUMNS = (
    "name",
    "label",
    "region",
    "region_name",
    "roi_name",
    "label_name",
    "structure",
    "difumo_names",
)
_HEMISPHERE_COLUMNS = ("hemisphere", "hemi")

_FORMS = (
    "Give a TSV or CSV table with the columns `index` and `name`, "
    "or a text file whose lines are an index and a name."
)


def find_atlas_table(image: Path, given: Path | None = None) -> Path | None:
    """Find the table that names the regions of a label image.

    Parameters
    ----------
    image : Path
        The label image, `.nii` or `.nii.gz`.
    given : Path, optional
        The table that the user named; then nothing is looked for.

    Returns
    -------
    Path or None
        The first of: `given`; the image's name with `.tsv`, `.csv` or `.txt` in place of
        `.nii.gz` or of `.gz` alone; a `.tsv` in the same folder that has the image's suffix and
        none but the image's entities (BIDS and TemplateFlow leave out `res-` there), the one
        that shares most. None if there is none.

    Raises
    ------
    MissingInput
        If `given` is not there.
    """
    if given is not None:
        if not given.is_file():
            raise MissingInput(given, "is not there", "Name the atlas's table by its path.")
        return given
    stem = image.name.removesuffix(".gz")
    stems = (stem.removesuffix(".nii"), stem)
    beside = (image.with_name(s + e) for e in (".tsv", ".csv", ".txt") for s in stems)
    return next((path for path in beside if path.is_file()), None) or _inherited(image, stems[0])


def _inherited(image: Path, stem: str) -> Path | None:
    """Find the TSV whose name is the image's with some entities left out."""
    *entities, suffix = stem.split("_")

    def shared(path: Path) -> int:
        *others, its_suffix = path.stem.split("_")
        fits = its_suffix == suffix and set(others) <= set(entities)
        return len(others) if fits else 0

    found = max(sorted(image.parent.glob(f"*_{suffix}.tsv")), key=shared, default=None)
    return found if found and shared(found) else None


AtlasKind = Literal["labels", "maps", "spheres"]
_SUFFIXES: dict[AtlasKind, str] = {"labels": "dseg", "maps": "probseg", "spheres": "seeds"}


def atlas_copy(output: Path, name: str, file: Path, kind: AtlasKind = "labels") -> Path:
    """Return where an output keeps the image of an atlas, or its seeds, as it was used."""
    extension = file.suffix.lower()
    if kind != "spheres":
        extension = ".nii.gz" if extension == ".gz" else ".nii"
    return output / "atlases" / f"atlas-{name}_{_SUFFIXES[kind]}{extension}"


def other_copies(output: Path, name: str, kind: AtlasKind) -> list[Path]:
    """Return the files that an output keeps of atlases of this name, but of another kind."""
    others = [suffix for one, suffix in _SUFFIXES.items() if one != kind]
    found = (output / "atlases").glob(f"atlas-{name}_*")
    return sorted(path for path in found if path.name.split(".")[0].endswith(tuple(others)))


def read_region_names(path: Path) -> dict[Label, str]:
    """Read what a table calls each index.

    A TSV or CSV has a header that names its index column one of `INDEX_COLUMNS` and its name
    column one of `NAME_COLUMNS`, in any case of letters; or, if its first line starts with a
    number, no header and these two first. A `.txt` has lines of an index, a name and what else
    follows, parted by blanks; lines that start with `#` are comments (FreeSurfer's colour
    tables are such files).

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of number to str
        In the order of the file. Indices that are whole numbers are int, whatever they look
        like (`1.0`). Tabs, line ends and repeated blanks in a name are one blank. Rows without
        a name are left out. Names that are not unique in the table, but are with its column
        `hemisphere`, get that added: `cuneus_L`. Else names may still be double;
        `region_columns` sees to that.

    Raises
    ------
    UnusableTable
        If the file is of another kind, has no such columns, an index that is no number, or
        one index twice.
    """
    kind = path.suffix.lower()
    if kind == ".txt":
        rows = _text_rows(path)
    elif kind in (".tsv", ".csv"):
        rows = _table_rows(path)
    else:
        raise UnusableTable(path, f"is no table of region names: {kind or 'no'} suffix", _FORMS)
    lines: dict[Label, int] = {}
    names: dict[Label, str] = {}
    for line, cell, name in rows:
        index = _index(path, line, cell)
        if index in lines:
            problem = f"names index {index} twice: in line {lines[index]} and in line {line}"
            raise UnusableTable(path, problem, "Keep one of them.")
        lines[index] = line
        if name not in ("", MISSING):
            names[index] = name
    return names


# Line of the file from 1, index as it stands there, name.
_Row = tuple[int, str, str]


def _text_rows(path: Path) -> list[_Row]:
    """Return the rows of a text file without header."""
    rows = []
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        cells = text.split()
        if not cells or cells[0].startswith("#"):
            continue
        if len(cells) < 2:
            raise UnusableTable(path, f"has no index and name in line {line}: {text!r}", _FORMS)
        rows.append((line, cells[0], cells[1]))
    if not rows:
        raise UnusableTable(path, "is empty")
    return rows


def _table_rows(path: Path) -> list[_Row]:
    """Return the rows of a TSV or CSV, with or without header."""
    lines = read_lines(path)
    first = 0
    index_column, name_column, hemisphere = 0, 1, None
    if _number(lines[0][0]) is None:
        header = [cell.lower() for cell in lines[0]]
        index_column, name_column = _columns(path, header)
        hemisphere = next((header.index(c) for c in _HEMISPHERE_COLUMNS if c in header), None)
        first = 1
    for line, cells in enumerate(lines[first:], start=first + 1):
        if len(cells) <= max(index_column, name_column, hemisphere or 0):
            raise UnusableTable(path, f"has only {len(cells)} cells in line {line}", _FORMS)
    names = [" ".join(cells[name_column].split()) for cells in lines[first:]]
    if hemisphere is not None:
        sides = [cells[hemisphere] for cells in lines[first:]]
        names = _with_sides(names, sides)
    return [
        (line, cells[index_column], name)
        for line, (cells, name) in enumerate(zip(lines[first:], names, strict=True), first + 1)
    ]


def _columns(path: Path, header: Sequence[str]) -> tuple[int, int]:
    """Return the positions of index and name."""
    index = next((column for column in INDEX_COLUMNS if column in header), None)
    name = next((column for column in NAME_COLUMNS if column in header and column != index), None)
    if index is None or name is None:
        wanted = ("index", INDEX_COLUMNS) if index is None else ("name", NAME_COLUMNS)
        problem = f"has no column for the {wanted[0]} of a region, only {', '.join(header)}"
        raise UnusableTable(path, problem, f"Name one of its columns {' or '.join(wanted[1])}.")
    return header.index(index), header.index(name)


def _with_sides(names: Sequence[str], sides: Sequence[str]) -> list[str]:
    """Add the hemisphere to names that stand there more than once."""
    times = Counter(names)
    return [
        f"{name}_{side}" if times[name] > 1 and side not in ("", MISSING) else name
        for name, side in zip(names, sides, strict=True)
    ]


def _index(path: Path, line: int, cell: str) -> Label:
    """Return an index as int where it is whole."""
    number = _number(cell)
    if number is None:
        problem = f"has no number as index in line {line}, but {cell!r}"
        raise UnusableTable(path, problem, "An index is the value of its region in the image.")
    return int(number) if number.is_integer() else number


def _number(cell: str) -> float | None:
    """Return a cell as a finite number, if it is one."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if abs(number) < float("inf") and "_" not in cell else None


@dataclass(frozen=True)
class RegionColumns:
    """What the columns of an atlas's signals are called.

    Attributes
    ----------
    names : tuple of str
        One for each label, all different.
    missing : tuple of numbers
        The labels that the table does not name; their columns are `label-<value>`.
    doubled : tuple of str
        The names that the table gives to more than one of the labels; their columns are
        `<name>_<value>`.
    is_shifted : bool
        Whether the table seems to count from 0 what the image counts from 1, as TemplateFlow's
        Harvard-Oxford tables do, so that each name would be that of the next region: index 0
        has a name and the highest label has none, but the one below it has.
    """

    names: tuple[str, ...]
    missing: tuple[Label, ...]
    doubled: tuple[str, ...]
    is_shifted: bool


def region_columns(labels: Iterable[Label], names: Mapping[Label, str]) -> RegionColumns:
    """Return a unique name for each label.

    The name of a label depends on the table and on the labels of the atlas, not on the rows'
    order, so that it is the same for every participant.

    Parameters
    ----------
    labels : iterable of numbers
        The values in the atlas image, background left out, each once; sorted, as the columns.
    names : mapping of number to str
        From `read_region_names`, or empty.
    """
    values = [int(label) if float(label).is_integer() else float(label) for label in labels]
    missing = tuple(value for value in values if value not in names)
    wanted = [names.get(value, f"label-{value}") for value in values]
    times = Counter(wanted)
    doubled = tuple(name for name in times if times[name] > 1)
    # A name that was unique keeps its column; one made here must not take it away.
    taken = {name for name in wanted if times[name] == 1}
    result = []
    for value, name in zip(values, wanted, strict=True):
        column = name
        while times[name] > 1 and (column == name or column in taken):
            column = f"{column}_{value}"
        taken.add(column)
        result.append(column)
    highest = max(values, default=0)
    is_shifted = highest not in names and 0 in names and highest - 1 in names
    return RegionColumns(tuple(result), missing, doubled, is_shifted)
