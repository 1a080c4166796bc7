"""The names of an atlas's regions, from the tables that are found beside atlases.

A name belongs to the index that stands with it: the order of rows means nothing, so that a mere
list of names is refused.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bidsmask.bids.tables import MISSING, is_number, read_content, read_lines, read_text
from bidsmask.errors import UnusableTable

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
_NUMBER_THEM = "Where line 1 names label 1 and so on, `cat -n` writes the indices beside them."

# Where the row stands (`line 3`), index as it stands there, name.
_Row = tuple[str, str, str]


def read_region_names(path: Path) -> dict[Label, str]:
    """Read what a table calls each index.

    Parameters
    ----------
    path : Path
        `.tsv`, `.csv`: a header that names its index column one of `INDEX_COLUMNS` and its name
        column one of `NAME_COLUMNS`, in any case of letters; or, if its first line starts with
        a number, no header and these two first.
        `.txt`, `.lut`, `.ctab`, `.label`: lines of an index and a name, and numbers before or
        behind the name (colours, codes), or quotes around it: the tables of FreeSurfer,
        FSLeyes, ITK-SNAP, MRIcron. What starts with `#` is a comment. Or a header, as above.
        `.json`: an object of names by index, a list of objects with an index and a name, or
        two lists of equal length under such names.
        `.xml`: FSL's, whose `index` counts from 0 where the atlas is probabilistic, so that
        label and volume are one more; or SPM's.

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
    if kind not in _READERS:
        raise UnusableTable(path, f"is no table of region names: {kind or 'no'} suffix", _FORMS)
    places: dict[Label, str] = {}
    names: dict[Label, str] = {}
    for place, cell, text in _READERS[kind](path):
        index = _index(path, place, cell)
        if index in places:
            problem = f"names index {index} twice: in {places[index]} and in {place}"
            raise UnusableTable(path, problem, "Keep one of them.")
        places[index] = place
        name = " ".join(text.split())
        if name not in ("", MISSING):
            names[index] = name
    return names


def _index(path: Path, place: str, cell: str) -> Label:
    """Return an index as int where it is whole."""
    number = _number(cell)
    if number is None:
        problem = f"has no number as index in {place}, but {cell!r}"
        raise UnusableTable(path, problem, "An index is the value of its region in the image.")
    return int(number) if number.is_integer() else number


def _number(cell: str) -> float | None:
    """Return a cell as a finite number, if it is one."""
    if not is_number(cell):
        return None
    number = float(cell)
    return number if abs(number) < float("inf") else None


# Tables


def _table_rows(path: Path) -> list[_Row]:
    """Return the rows of a TSV or CSV, with or without header."""
    sep = None
    if path.suffix.lower() == ".csv":
        first = read_text(path).partition("\n")[0]
        sep = max(",;\t", key=first.count)
    return _cell_rows(path, list(enumerate(read_lines(path, sep=sep), start=1)))


def _cell_rows(path: Path, lines: Sequence[tuple[int, Sequence[str]]]) -> list[_Row]:
    """Return the rows of lines that are parted into cells, with or without header."""
    index, name, side = 0, 1, None
    if _number(lines[0][1][0]) is None:
        header = [cell.lower() for cell in lines[0][1]]
        index, name = _columns(path, header)
        side = next((header.index(c) for c in _HEMISPHERE_COLUMNS if c in header), None)
        lines = lines[1:]
    for number, cells in lines:
        if len(cells) <= max(index, name, side or 0):
            raise UnusableTable(path, f"has only {len(cells)} cells in line {number}", _FORMS)
    names = [cells[name] for _, cells in lines]
    if side is not None:
        names = _with_sides(names, [cells[side] for _, cells in lines])
    return [
        (f"line {number}", cells[index], text)
        for (number, cells), text in zip(lines, names, strict=True)
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


# Lines of text


def _text_rows(path: Path) -> list[_Row]:
    """Return the rows of a text file, whose lines may have more to them than index and name."""
    if b"\0" in read_content(path):
        raise UnusableTable(path, "is no text, but a binary table of colours", _FORMS)
    lines = [
        (number, text.strip())
        for number, text in enumerate(read_text(path).splitlines(), start=1)
        if text.strip() and not text.lstrip().startswith("#")
    ]
    if not lines:
        raise UnusableTable(path, "is empty")
    for mark in ("\t", ",", None):
        cells = [(number, [cell.strip() for cell in text.split(mark)]) for number, text in lines]
        if _is_table([row for _, row in cells], needs_header=mark is None):
            return _cell_rows(path, cells)
    return _word_rows(path, lines)


def _is_table(rows: Sequence[Sequence[str]], *, needs_header: bool) -> bool:
    """Return whether rows have a header, or begin with an index and a name."""
    if len({len(cells) for cells in rows}) > 1 or len(rows[0]) < 2:
        return False
    words = {cell.lower() for cell in rows[0] if not is_number(cell)}
    if len(words) == len(rows[0]) and words & set(INDEX_COLUMNS) and words & set(NAME_COLUMNS):
        return True
    is_indexed = all(is_number(cells[0]) for cells in rows)
    return is_indexed and not needs_header and not all(is_number(cells[1]) for cells in rows)


def _word_rows(path: Path, lines: Sequence[tuple[int, str]]) -> list[_Row]:
    """Return the rows of lines of an index, a name and numbers before or behind it."""
    rests: list[list[str]] = []
    for number, text in lines:
        words = text.split()
        if len(words) < 2 or _number(words[0]) is None:
            problem = f"has no index and name in line {number}: {text!r}"
            raise UnusableTable(path, problem, f"{_FORMS} {_NUMBER_THEM}")
        rests.append(words[1:])
    quoted = [re.search(r'"(.*)"', text) for _, text in lines]
    in_quotes = [found[1] for found in quoted if found]
    names = in_quotes if len(in_quotes) == len(lines) else _without_numbers(rests)
    for (number, text), name in zip(lines, names, strict=True):
        if is_number(name) or not name:
            problem = f"has numbers alone in line {number}: {text!r}"
            raise UnusableTable(path, problem, _FORMS)
    return [
        (f"line {number}", text.split()[0], name)
        for (number, text), name in zip(lines, names, strict=True)
    ]


def _without_numbers(rests: Sequence[Sequence[str]]) -> list[str]:
    """Return the words of each line but the numbers that all lines begin or end with.

    One or two numbers at the end may be the name's own (`Area 44`): they go only where names
    stay unique without them.
    """
    before = min(_n_numbers(words) for words in rests)
    behind = min(_n_numbers(words[::-1]) for words in rests)
    for n_behind in range(behind, -1, -1):
        names = [" ".join(words[before : len(words) - n_behind]) for words in rests]
        if n_behind > 2 or n_behind == 0 or len(set(names)) == len(names):
            return names
    return []


def _n_numbers(words: Sequence[str]) -> int:
    """Return how many numbers come first."""
    return next((n for n, word in enumerate(words) if not is_number(word)), len(words))


# JSON and XML


def _json_rows(path: Path) -> list[_Row]:
    """Return the rows of a JSON file."""
    try:
        pairs = _pairs(json.loads(read_text(path)))
    except (ValueError, RecursionError) as error:
        raise UnusableTable(path, f"is not readable as JSON ({error})", _FORMS) from error
    if pairs is None:
        problem = "holds no index beside each name"
        raise UnusableTable(path, problem, 'Write {"1": "first", "2": "second"}.')
    return [(f"entry {n}", str(index), name) for n, (index, name) in enumerate(pairs, start=1)]


def _pairs(found: Any) -> list[tuple[Any, str]] | None:
    """Return the indices and names that a value of JSON holds; None where it has no such."""
    if isinstance(found, list):
        rows = [row for row in map(_of_columns, found) if row and isinstance(row[1], str)]
        return rows if rows and len(rows) == len(found) else None
    if not isinstance(found, dict) or not found:
        return None
    if all(is_number(key) for key in found):
        named = [(key, _name_of(value)) for key, value in found.items()]
        return named if all(isinstance(name, str) for _, name in named) else None
    columns = _of_columns(found)
    if columns and isinstance(columns[0], list) and isinstance(columns[1], list):
        is_whole = len(columns[0]) == len(columns[1]) and all(
            isinstance(n, str) for n in columns[1]
        )
        return list(zip(*columns, strict=True)) if is_whole else None
    inner = [value for value in found.values() if isinstance(value, dict)]
    return next(filter(None, map(_pairs, inner)), None)


def _of_columns(row: Any) -> tuple[Any, Any] | None:
    """Return what stands under the words for an index and for a name."""
    if not isinstance(row, Mapping):
        return None
    values = {key.lower(): value for key, value in row.items()}
    # NiiVue's colour maps have their indices under I.
    index = next((one for one in (*INDEX_COLUMNS[:-1], "i") if one in values), None)
    name = next((one for one in (*NAME_COLUMNS, "labels", "names") if one in values), None)
    if index is None or name is None:
        return None
    return values[index], values[name]


def _name_of(value: Any) -> Any:
    """Return a name that stands by itself, or in an object with other things."""
    if not isinstance(value, Mapping):
        return value
    lower = {key.lower(): one for key, one in value.items()}
    return next((lower[column] for column in NAME_COLUMNS if column in lower), None)


def _xml_rows(path: Path) -> list[_Row]:
    """Return the rows of an XML file of FSL or SPM."""
    content = read_content(path)
    if b"<!" in content.replace(b"<!--", b"") or b"\0" in content:
        raise UnusableTable(path, "is no plain XML: it declares what no table needs", _FORMS)
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UnusableTable(path, f"is not readable as XML ({error})", _FORMS) from error
    kind = (root.findtext("header/type") or "").strip().lower()
    first = 1 if kind.startswith(("prob", "stat")) else 0
    rows = []
    for number, label in enumerate(root.iter("label"), start=1):
        cell = label.get("value") or label.findtext("index")
        place, index = f"label {number}", label.get("index")
        if cell is None and index is not None:
            whole = _index(path, place, index)
            cell = str(whole + first)
        rows.append((place, (cell or "").strip(), label.findtext("name") or label.text or ""))
    if not rows:
        raise UnusableTable(path, "holds no label", _FORMS)
    return rows


_READERS: Mapping[str, Callable[[Path], list[_Row]]] = {
    ".tsv": _table_rows,
    ".csv": _table_rows,
    **dict.fromkeys((".txt", ".lut", ".ctab", ".label"), _text_rows),
    ".json": _json_rows,
    ".xml": _xml_rows,
}
