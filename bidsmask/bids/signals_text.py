"""The text of signals: rows of numbers as a TSV, in pieces that several processes make."""

from __future__ import annotations

import mmap
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from socket import MSG_WAITALL, socketpair
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

_LENGTH_BYTES = 8  # of the number that tells the length of a piece
_N_PLACES = 2  # for pieces of a helper: one is being made while the other is written


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
            turn, before = number % n_processes, (number - 2) % n_processes
            if number > 1 and before:
                helpers[before - 1].release()
            piece = helpers[turn - 1].receive() if turn else memory[0][:0]
            if not len(piece):
                # What a helper could not make, since something ended it, is made here.
                place = memory[number % 2]
                piece = place[: _fill(place, values, number)]
            yield piece.data


class _Helper:
    """A copy of this process that makes some of the pieces in memory that both share."""

    def __init__(self, values: Signals, turns: range, others: Sequence[_Helper]) -> None:
        self._memory = mmap.mmap(-1, _N_PLACES * _PIECE_BYTES)
        flat: npt.NDArray[np.uint8] = np.frombuffer(self._memory, np.uint8)
        self._places = flat.reshape(_N_PLACES, _PIECE_BYTES)
        self._socket, socket = socketpair()
        self._n_received = 0
        with warnings.catch_warnings():
            # A copy has no other thread, whose locks could stay shut: it computes and writes.
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                self._process: int | None = os.fork()
            except OSError:  # the system allows no more processes: no piece comes
                self._process = None
        if self._process != 0:
            socket.close()
            return
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            # A socket that nobody else holds ends the copy when this process is gone.
            for helper in (self, *others):
                helper._socket.close()
            for turn, number in enumerate(turns):
                if turn >= _N_PLACES and not socket.recv(1):
                    break
                used = _fill(self._places[turn % _N_PLACES], values, number)
                socket.sendall(used.to_bytes(_LENGTH_BYTES, "big"))
        finally:
            os._exit(0)

    def receive(self) -> npt.NDArray[np.uint8]:
        """Return the next piece, empty where there is none; it stays until it is released."""
        told = b""
        with suppress(ConnectionError):
            told = self._socket.recv(_LENGTH_BYTES, MSG_WAITALL)
        length = int.from_bytes(told, "big") if len(told) == _LENGTH_BYTES else 0
        piece: npt.NDArray[np.uint8] = self._places[self._n_received % _N_PLACES, :length]
        self._n_received += 1
        return piece

    def release(self) -> None:
        """Let the memory of the oldest piece be used again."""
        with suppress(ConnectionError):
            self._socket.sendall(b"1")

    def close(self) -> None:
        """End the copy, which cannot tell of any more pieces, and wait for it."""
        self._socket.close()
        if self._process is not None:
            os.waitpid(self._process, 0)


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
