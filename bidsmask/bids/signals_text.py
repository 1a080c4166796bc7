"""The text of signals: rows of numbers as a TSV, in pieces that several processes make."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson

from bidsmask.bids.tables import MISSING

Signals = npt.NDArray[np.float32] | npt.NDArray[np.float64]

# Numbers are turned to text in blocks of about this many cells, half a megabyte of text, which
# stays in the cache: 35 million values/s against 23 for whole rows of voxels.
BLOCK_CELLS: Final = 1 << 16

# Between two threads the interpreter changes hands after 5 ms: a piece must take much longer to
# write than that (8 MB: about 20 ms).
PIECE_BLOCKS: Final = 12

# No number has more than 24 characters, as -1.7976931348623157e+308, and a tab.
_PIECE_BYTES = 25 * BLOCK_CELLS * PIECE_BLOCKS

# The interpreter is held while numbers become text, so that threads cannot share the work. Other
# systems than Linux do not promise that a process with threads can be forked.
_CAN_FORK = sys.platform == "linux"

_LENGTH = np.dtype(np.int64)  # of a piece, before it


def text_pieces(values: Signals, n_processes: int = 1) -> Iterator[memoryview]:
    """Yield the rows as text, in pieces of some megabytes.

    Numbers are the shortest decimals that give the same float back (all bits but NaN's), from
    orjson's serialiser of numpy arrays, whose brackets and commas become tabs and line ends.
    What is not finite is `n/a`: JSON has no word for infinities either.

    Parameters
    ----------
    values : (n_rows, n_columns) float32 or float64 array
        At least one column.
    n_processes : int
        As many make the pieces in turn, where there are so many pieces; the text is the same.

    Yields
    ------
    memoryview
        The next but one is made in the same memory.
    """
    blocks = _blocks(values.shape)
    n_pieces = -(-len(blocks) // PIECE_BLOCKS)
    n_processes = min(n_processes, n_pieces) if _CAN_FORK else 1
    memory = [np.empty(_PIECE_BYTES, np.uint8) for _ in range(2)]
    with ExitStack() as stack:
        helpers: list[_Helper] = []
        for first in range(1, n_processes):
            turns = range(first, n_pieces, n_processes)
            helpers.append(_Helper(values, turns, helpers))
            stack.callback(helpers[-1].close)
        for number in range(n_pieces):
            place = memory[number % 2]
            turn = number % n_processes
            used = helpers[turn - 1].receive(place) if turn else 0
            # What a helper could not make, since something ended it, is made here.
            used = used or _fill(place, values, number)
            yield place[:used].data


class _Helper:
    """A copy of this process that makes some of the pieces and sends them through a pipe."""

    def __init__(self, values: Signals, turns: range, others: Sequence[_Helper]) -> None:
        self._pipe, pipe = os.pipe()
        with warnings.catch_warnings():
            # A copy has no other thread, whose locks could stay shut: it computes and writes.
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                self._process: int | None = os.fork()
            except OSError:  # the system allows no more processes: the pipe stays empty
                self._process = None
        if self._process != 0:
            os.close(pipe)
            return
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            # A pipe that nobody else can read ends the copy when this process is gone.
            for helper in (self, *others):
                os.close(helper._pipe)
            place = np.empty(_PIECE_BYTES, np.uint8)
            for number in turns:
                used = _fill(place, values, number)
                _send(pipe, _LENGTH.type(used).tobytes())
                _send(pipe, place[:used].data)
        finally:
            os._exit(0)

    def receive(self, place: npt.NDArray[np.uint8]) -> int:
        """Take over the next piece; return its length, 0 where there is none."""
        if not self._read(place[: _LENGTH.itemsize]):
            return 0
        length = int(place[: _LENGTH.itemsize].view(_LENGTH)[0])
        return length if self._read(place[:length]) else 0

    def close(self) -> None:
        """End the copy, which cannot write any more, and wait for it."""
        os.close(self._pipe)
        if self._process is not None:
            os.waitpid(self._process, 0)

    def _read(self, place: npt.NDArray[np.uint8]) -> bool:
        """Fill the place; return whether so much came."""
        done = 0
        while done < len(place):
            n_bytes = os.readv(self._pipe, [place[done:].data])
            if not n_bytes:
                return False
            done += n_bytes
        return True


def _send(pipe: int, content: bytes | memoryview) -> None:
    """Write all of it."""
    view = memoryview(content)
    while view:
        view = view[os.write(pipe, view) :]


def _fill(place: npt.NDArray[np.uint8], values: Signals, number: int) -> int:
    """Write a piece of the text into a place; return its length."""
    used = 0
    for row, column in _blocks(values.shape)[number * PIECE_BLOCKS : (number + 1) * PIECE_BLOCKS]:
        text = _text(values, row, column)
        with_tabs = place[used : used + len(text)]
        # In place, by numpy: a tenth of the time of bytes.translate and a join.
        commas = np.equal(text, ord(","), out=with_tabs.view(bool)).view(np.uint8)
        commas *= ord(",") - ord("\t")
        np.subtract(text, commas, out=with_tabs)
        used += len(text)
    return used


def _blocks(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the first row and column of each block: some rows, or parts of a row."""
    n_rows, n_columns = shape
    columns = range(0, n_columns, BLOCK_CELLS)
    return [(row, column) for row in range(0, n_rows, _rows(n_columns)) for column in columns]


def _rows(n_columns: int) -> int:
    """Return how many rows a block has."""
    return max(1, BLOCK_CELLS // n_columns)


def _text(values: Signals, row: int, column: int) -> npt.NDArray[np.uint8]:
    """Return a block as text with commas, and what separates it from the next."""
    n_columns = values.shape[1]
    block = values[row : row + _rows(n_columns), column : column + BLOCK_CELLS]
    numbers = np.ascontiguousarray(block, dtype=values.dtype.newbyteorder("="))
    text = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[2:]
    if len(numbers) > 1:
        text = text.replace(b"],[", b"\n")
    if b"u" in text:
        text = text.replace(b"null", MISSING.encode())
    is_line_end = column + BLOCK_CELLS >= n_columns
    return np.frombuffer(text[:-2] + (b"\n" if is_line_end else b","), np.uint8)
