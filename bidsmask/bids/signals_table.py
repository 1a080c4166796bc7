"""Signals in and out: tables of numbers alone, many of them, exact to the bit.

What `write_signals` writes, `read_signals` gives back: each float32 but the payload of its NaN.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import orjson

from bidsmask.bids.signals_text import Signals, text_pieces
from bidsmask.bids.tables import (
    MISSING,
    check_header,
    header_bytes,
    is_number,
    read_cells,
    read_content,
)
from bidsmask.errors import UnusableTable
from bidsmask.images.source import open_bytes

# Text is read in blocks too, since each number is for a moment an object of 32 bytes.
_BLOCK_BYTES = 1 << 20

_TOO_LARGE = 2.0**128 - 2.0**103  # the middle of the largest float32 and what would be the next
_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
_REST, _MIDDLE = np.uint64(2**29 - 1), np.uint64(2**28)

_OF_NUMBERS = b"0123456789.-+eE\t\n"
_TABS_TO_COMMAS = bytes.maketrans(b"\t", b",")


def write_signals(
    handle: BinaryIO, names: Sequence[str], values: Signals, *, n_processes: int = 1
) -> None:
    """Write signals as a TSV: the names, then one line a row, as `text_pieces` has it.

    Parameters
    ----------
    handle : BinaryIO
        Receives pieces of some megabytes, from a thread; the whole text is never in memory.
    names : sequence of str, one for each column
        Unique, without tabs and line ends.
    values : (n_rows, n_columns) float32 or float64 array
        Any memory order; C order needs no copy of a block.
    n_processes : int
        As many make the text of large signals; the bytes are the same.

    Raises
    ------
    ValueError
        If names and values do not fit, or a name cannot stand in a header.
    """
    if values.ndim != 2 or values.shape[1] != len(names) or not len(names):
        raise ValueError(f"{len(names)} names do not fit signals of shape {values.shape}")
    if values.dtype.newbyteorder("=") not in (np.float32, np.float64):
        raise ValueError(f"signals are float32 or float64, not {values.dtype}")
    handle.write(header_bytes(names) + b"\n")
    # Writing and flushing need no interpreter: a thread of its own writes one piece while the
    # next is made.
    with ThreadPoolExecutor(max_workers=1) as writer:
        writing: Future[int] | None = None
        for piece in text_pieces(values, n_processes):
            if writing is not None:
                writing.result()
            writing = writer.submit(handle.write, piece)
        if writing is not None:
            writing.result()


def read_signals(path: Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Read signals: a header, then numbers or `n/a` alone.

    Numbers come from orjson's parser of JSON, as float64. Of all texts that `write_signals`
    makes of a float32, these are then the float32 but for a few, which lie so near the middle of
    two that float64 cannot tell. Files with such a number, and those that are no JSON after tabs
    have become commas, are read cell by cell, many times slower, and either told or understood.

    Parameters
    ----------
    path : Path
        `.tsv`, or `.tsv.gz`, whose checksum is compared.

    Returns
    -------
    names : list of str
    values : (n_rows, n_columns) float32 array
        NaN for `n/a`.

    Raises
    ------
    UnusableTable
        If it has no header, a column without a name or two of one name, a row of another
        length, or a cell that is neither `n/a` nor a number that float32 can hold.
    DamagedFile
        If a `.gz` is cut off, fails its checksum, or cannot be read.
    """
    first, _, body = read_content(path).partition(b"\n")
    names = _plain_names(first)
    values = _json_numbers(body.removesuffix(b"\n"), len(names))
    if not names or values is None:
        return _read_cell_by_cell(path)
    check_header(path, names)
    return names, values


def read_names(path: Path) -> list[str]:
    """Read the names of the columns alone; raises as `read_signals` does of the first line."""
    if not path.exists():
        raise UnusableTable(path, "does not exist")
    with open_bytes(path) as file:
        names = _plain_names(file.readline().removesuffix(b"\n"))
    if not names:
        names, _ = read_cells(path)
    check_header(path, names)
    return names


def _plain_names(line: bytes) -> list[str]:
    """Return the names in a first line that is simply names and tabs; else none."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return []
    names = text.split("\t")
    is_plain = all(names) and not any(sign in text for sign in ('"', "\r", "\ufeff"))
    return names if is_plain and names == [name.strip() for name in names] else []


def _json_numbers(body: bytes, n_columns: int) -> npt.NDArray[np.float32] | None:
    """Return the rows of a text that is JSON but for its tabs, line ends and `n/a`; else None."""
    left_over = body.translate(None, _OF_NUMBERS)
    if left_over != MISSING.encode() * (len(left_over) // len(MISSING)):
        return None
    blocks = [np.empty((0, n_columns), np.float32)]
    for block in _blocks_of_lines(body):
        rows = block.translate(_TABS_TO_COMMAS).replace(b"\n", b"],[")
        rows = rows.replace(MISSING.encode(), b"null") if left_over else rows
        try:
            values = np.array(orjson.loads(b"[[" + rows + b"]]"), np.float64)
        except ValueError:
            return None
        if values.ndim != 2 or values.shape[1] != n_columns or not _is_clear(values):
            return None
        blocks.append(values.astype(np.float32))
    return np.concatenate(blocks)


def _is_clear(values: npt.NDArray[np.float64]) -> bool:
    """Return whether each number is in the range of float32, and none the middle of two."""
    sizes = np.abs(values)
    if (sizes >= _TOO_LARGE).any() or ((sizes < _SMALLEST_NORMAL) & (sizes > 0)).any():
        return False
    # In float32 23 of float64's 52 bits are left: in the middle the first of the rest is 1 alone.
    return not ((values.view(np.uint64) & _REST) == _MIDDLE).any()


def _blocks_of_lines(body: bytes) -> Iterator[bytes]:
    """Yield the lines of a text, some together, without the line end behind the last."""
    start = 0
    while start < len(body):
        end = body.find(b"\n", start + _BLOCK_BYTES)
        end = len(body) if end < 0 else end
        yield body[start:end]
        start = end + 1


def _read_cell_by_cell(path: Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Read signals that a hand or another program wrote, or say what is wrong with them."""
    names, rows = read_cells(path)
    values = np.full((len(rows), len(names)), np.nan, np.float32)
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            if cell != MISSING:
                values[number, column] = _number(path, cell, number + 2, names[column])
    return names, values


def _number(path: Path, cell: str, line: int, name: str) -> np.float32:
    """Return the float32 next to the number in a cell."""
    number = float(cell) if is_number(cell) else np.nan
    if not abs(number) < _TOO_LARGE:
        problem = f"has {cell!r} in line {line}, column {name!r}"
        advice = f"Signals are numbers within the range of float32, or {MISSING}."
        raise UnusableTable(path, problem, advice)
    near = np.float32(number)
    if _is_clear(np.array([number])):
        return near
    ends = np.array([-_LARGEST, _LARGEST], np.float32)
    nearby: list[np.float32] = [near, *np.nextafter(near, ends)]
    exact = Fraction(cell)
    return min(nearby, key=lambda one: abs(Fraction(float(one)) - exact))
