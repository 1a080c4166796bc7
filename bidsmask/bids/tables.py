"""Tables in and out, as BIDS writes them: tabs, one header line, `n/a` where there is no value.

Reading guesses as little as possible: a column is numbers if each of its cells is one, else text.
Writing is deterministic, and its numbers are the shortest that read back to the same bits.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd

from bidsmask.errors import UnusableTable
from bidsmask.images.source import is_compressed, open_bytes, read_regular, refuse_stand_in

MISSING = "n/a"
_EMPTY = frozenset({"n/a", "N/A", ""})

# float() also takes 1_000 and its own spellings of infinity; a table means the first as text.
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(inf|nan)", re.IGNORECASE)
_INTEGER = re.compile(r"[-+]?\d+")
_PADDED = re.compile(r"[-+]?0\d+")

_LINE_ENDS = re.compile(r"[\t\r\n\v\f\x85\u2028\u2029]")
_COMMAS_TO_TABS = bytes.maketrans(b",", b"\t")
# A block's cells are objects for a moment; the memory of the next is that of the last.
_BLOCK_ROWS = 1 << 13

_SERIALISED = (np.float32, np.float64, np.int64, np.int32, np.uint32, np.uint64)


def read_table(path: Path, *, sep: str | None = None, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a table with one header line.

    A column whose cells are all whole numbers is int64; one of numbers, or with cells that are
    `n/a`, empty or `nan`, is float64 with NaN; one of only `true` and `false` is bool; all
    others are text (dtype object) with NaN. Whole numbers with leading zeros (`01`) are labels
    and stay text. No other word means "missing": `NA` and `None` are text.

    Parameters
    ----------
    path : Path
        UTF-8 text with or without byte order mark, any line ends. Cells may stand in double
        quotes. Blank lines at the end are ignored.
    sep : str, optional
        What parts the cells. Default: a comma for `.csv`, else a tab.
    text : collection of str
        Columns that are text whatever their cells.

    Returns
    -------
    DataFrame
        Rows and columns in the order of the file, columns named by the header.

    Raises
    ------
    UnusableTable
        If it cannot be read or decoded, is empty, has no header, a column without a name, two
        of one name, or a row of another length.
    """
    header, rows = read_cells(path, sep=sep)
    columns = zip(*rows, strict=True) if rows else ((),) * len(header)
    return pd.DataFrame(
        {
            name: _text(cells) if name in text else _typed(cells)
            for name, cells in zip(header, columns, strict=True)
        }
    )


def read_cells(path: Path, *, sep: str | None = None) -> tuple[list[str], list[list[str]]]:
    """Read a table as `read_table` does, but leave each cell the text that it is.

    Returns
    -------
    header : list of str
    rows : list of list of str
        Each as long as the header; blanks around a cell are gone.
    """
    lines = read_lines(path, sep=sep)
    header, rows = lines[0], lines[1:]
    check_header(path, header)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UnusableTable(path, _ragged(number, row, header), "Write one cell a column.")
    return header, rows


def first_text(path: Path, column: str) -> tuple[int, str]:
    """Return the line, counted from 1, and the cell that make a column of a table text."""
    header, rows = read_cells(path)
    cells = [row[header.index(column)] for row in rows]
    return next(
        (line, cell)
        for line, cell in enumerate(cells, start=2)
        if _typed([cell]).dtype.kind not in "if"
    )


def read_lines(path: Path, *, sep: str | None = None) -> list[list[str]]:
    """Read the cells of each line, at least one line, whatever their number and meaning."""
    delimiter = sep or ("," if path.suffix.lower() == ".csv" else "\t")
    text = read_text(path)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [[cell.strip() for cell in line] for line in reader]
    except csv.Error as error:
        problem = f"cannot be parted into cells: {error}"
        raise UnusableTable(
            path, problem, "Look for a double quote without its partner."
        ) from error
    while lines and not any(lines[-1]):
        lines.pop()
    if not lines:
        raise UnusableTable(path, "is empty")
    return lines


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without byte order mark; a `.gz` is decompressed.

    Raises
    ------
    UnusableTable
        If it cannot be opened or decoded, or stands for a file that is elsewhere (git-annex).
    DamagedFile
        If a `.gz` is cut off, fails its checksum, or cannot be read.
    """
    content = read_content(path)
    if content.startswith(b"/annex/objects/"):
        raise UnusableTable(path, "is a git-annex pointer, its content is not here", _FETCH)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text: byte {error.start} is 0x{content[error.start]:02x}"
        raise UnusableTable(path, problem, "Save it as UTF-8.") from error


def read_content(path: Path) -> bytes:
    """Read the bytes of a file, as `read_text` does before it decodes them."""
    if is_compressed(path):
        refuse_stand_in(path)
        with open_bytes(path) as file:
            return file.read()
    try:
        return read_regular(path)
    except OSError as error:
        raise UnusableTable(path, f"cannot be read: {error.strerror}", _fetch(path)) from error


_FETCH = "Fetch it, for example with `datalad get`."


def _fetch(path: Path) -> str:
    """Advise to fetch a file whose link leads nowhere."""
    return _FETCH if path.is_symlink() and not path.exists() else ""


def check_header(path: Path, header: Sequence[str]) -> None:
    """Refuse, by UnusableTable, a first line that cannot name the columns."""
    if all(is_number(name) for name in header):
        problem = f"has no header: its first line is numbers ({header[0]}, …)"
        raise UnusableTable(path, problem, "Name the columns in the first line.")
    seen: dict[str, int] = {}
    for column, name in enumerate(header, start=1):
        if not name:
            raise UnusableTable(path, f"has no name for column {column}", "Name each column.")
        if name in seen:
            problem = f"has two columns named {name!r}: {seen[name]} and {column}"
            raise UnusableTable(path, problem, "Rename or remove one.")
        seen[name] = column


def is_number(cell: str) -> bool:
    """Say whether a cell is a number, or one of IEEE's words for what is none."""
    return _NUMBER.fullmatch(cell) is not None


def _ragged(number: int, row: Sequence[str], header: Sequence[str]) -> str:
    """Say which line has how many cells, and where it departs from the header."""
    if not any(row):
        return f"has an empty line {number}"
    counts = f"has {len(row)} cells in line {number}, but {len(header)} columns"
    if len(row) < len(header):
        return f"{counts}: nothing for column {len(row) + 1} ({header[len(row)]!r})"
    return f"{counts}: {row[len(header)]!r} stands in column {len(header) + 1}"


def _typed(cells: Sequence[str]) -> pd.Series:
    """Return a column as numbers, truth values or text."""
    filled = [cell for cell in cells if cell not in _EMPTY]
    if filled and all(is_number(cell) for cell in filled):
        if not any(_PADDED.fullmatch(cell) for cell in filled):
            return _numbers(cells, whole=len(filled) == len(cells))
    elif filled and len(filled) == len(cells) and set(filled) <= {"true", "false"}:
        return pd.Series([cell == "true" for cell in cells], dtype=bool)
    elif not filled:
        return pd.Series(np.full(len(cells), np.nan))
    return _text(cells)


def _text(cells: Sequence[str]) -> pd.Series:
    """Return a column as text."""
    return pd.Series([np.nan if cell in _EMPTY else cell for cell in cells], dtype=object)


def _numbers(cells: Sequence[str], *, whole: bool) -> pd.Series:
    """Return a column of numbers as int64 where that holds them, else as float64."""
    if whole and all(_INTEGER.fullmatch(cell) for cell in cells):
        integers = [int(cell) for cell in cells]
        if all(-(2**63) <= integer < 2**63 for integer in integers):
            return pd.Series(integers, dtype=np.int64)
    return pd.Series([np.nan if cell in _EMPTY else float(cell) for cell in cells], dtype=float)


def table_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as the bytes of a BIDS TSV.

    Floats are the shortest decimal that gives the float64 (or float32, by dtype) back; NaN,
    infinities, None, NA and empty text are `n/a`; truth values are `true` and `false`; whole
    numbers have no point. Tabs and line ends inside a cell become blanks. The index is not
    written.

    Parameters
    ----------
    table : DataFrame
        With unique column names of type str, free of tabs and line ends.

    Returns
    -------
    bytes
        The same for the same table, always; ends with a newline.

    Raises
    ------
    ValueError
        If a column name is not unique, not text, or contains a tab or line end.
    """
    header = header_bytes(list(table.columns))
    columns = [table.iloc[:, number] for number in range(table.shape[1])]
    # Neighbours of one type are turned to text together: 3 joins a row for the 8 columns of a
    # column map of 236,000 rows.
    groups = [list(group) for _, group in groupby(columns, key=_group)]
    lines = [header]
    for start in range(0, len(table), _BLOCK_ROWS):
        block = [[column.iloc[start : start + _BLOCK_ROWS] for column in one] for one in groups]
        lines.append(b"\n".join(map(b"\t".join, zip(*map(_rows_bytes, block), strict=True))))
    return b"\n".join(lines) + b"\n"


def _group(column: pd.Series) -> str:
    """Return what columns must share to be turned to text together."""
    is_serialised = isinstance(column.dtype, np.dtype) and column.dtype in _SERIALISED
    return str(column.dtype) if is_serialised else f"object {column.name}"


def _rows_bytes(columns: Sequence[pd.Series]) -> list[bytes]:
    """Return the rows of neighbouring columns of one type, or the cells of one other column."""
    if _group(columns[0]).startswith("object"):
        cells = list(columns[0].astype(object))
        return _plain_words(cells) or [_cell(value) for value in cells]
    return _number_rows(np.column_stack([column.to_numpy() for column in columns])).split(b"\n")


def _plain_words(cells: list[object]) -> list[bytes]:
    """Return cells that are words without blanks or quotes; nothing if one is not.

    The 236,000 names of a column map take 0.03 s this way, and 0.2 s one by one.
    """
    if not all(type(cell) is str for cell in cells):
        return []
    joined = "\n".join(cast(list[str], cells))
    is_plain = joined.split() == cells and '"' not in joined
    return joined.encode().split(b"\n") if is_plain else []


def _cell(value: object) -> bytes:
    """Return one cell of a column that is not simply floats."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return _quoted(value if value.isprintable() else _LINE_ENDS.sub(" ", value))
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int):
        return str(value).encode()
    if isinstance(value, float):
        return orjson.dumps(value).replace(b"null", MISSING.encode())
    if value is None or value is pd.NA or value is pd.NaT:
        return MISSING.encode()
    raise ValueError(f"a cell of type {type(value).__name__} has no text in BIDS: {value!r}")


def _quoted(text: str) -> bytes:
    """Protect a leading double quote, which readers take for the start of a quoted cell."""
    text = text.strip() or MISSING
    return ('"' + text.replace('"', '""') + '"' if text.startswith('"') else text).encode()


def header_bytes(names: Sequence[object]) -> bytes:
    """Return the first line, without its end, of names that can stand there; else ValueError."""
    unfit = [name for name in names if not isinstance(name, str) or not name.strip()]
    # A voxel table has 236,000 names: looked at one by one, they would cost more than ten rows.
    line = "\t".join(name for name in names if isinstance(name, str))
    if line.count("\t") >= len(names) or "\n" in line or "\r" in line:
        unfit += [name for name in names if re.search(r"[\t\r\n]", str(name))]
    if unfit:
        raise ValueError(f"a column cannot be named {unfit[0]!r}")
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two columns are named {double!r}")
    return b"\t".join(map(_quoted, line.split("\t"))) if '"' in line else line.encode()


def _number_rows(values: npt.NDArray[Any]) -> bytes:
    """Return rows of numbers, with tabs between the columns."""
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    text = text[2:-2].replace(b"],[", b"\n").translate(_COMMAS_TO_TABS)
    return text.replace(b"null", MISSING.encode())
