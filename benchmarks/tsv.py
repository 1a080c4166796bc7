"""How fast a voxel TSV is written, beside pandas, on the same numbers in the same run.

    python benchmarks/tsv.py [--rows 40] [--columns 236000]

Both write to memory, so that the disk does not count; the better of two times each. What both
wrote is read back and compared bit for bit. Aim: 20 times pandas.
"""

from __future__ import annotations

import argparse
import io
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pandas as pd

from bidsmask.bids.signals_table import write_signals


def best(write: Callable[[io.BytesIO], object], repeats: int = 2) -> tuple[float, bytes]:
    """Return the shortest time (s) that a writer took, and what it wrote."""
    seconds = []
    for _ in range(repeats):
        handle = io.BytesIO()
        start = time.perf_counter()
        write(handle)
        seconds.append(time.perf_counter() - start)
    return min(seconds), handle.getvalue()


def peak(write: Callable[[io.RawIOBase], object]) -> float:
    """Return the memory (MB) that a writer needed above what was there."""

    class Nowhere(io.RawIOBase):
        def write(self, piece: bytes) -> int:
            return len(piece)

    tracemalloc.start()
    write(Nowhere())
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size / 1e6


def numbers(content: bytes) -> np.ndarray:
    """Read the rows of a TSV back as float32."""
    rows = content.split(b"\n")[1:-1]
    return np.array([row.split(b"\t") for row in rows]).astype(str).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--columns", type=int, default=236_000)
    shape = parser.parse_args()
    values = np.random.default_rng(0).standard_normal((shape.rows, shape.columns), np.float32)
    names = [f"v{number:07d}" for number in range(1, shape.columns + 1)]
    table = pd.DataFrame(values, columns=names, copy=False)
    writers = {
        "bidsmask": lambda handle: write_signals(handle, names, values),
        "pandas": lambda handle: table.to_csv(handle, sep="\t", index=False, na_rep="n/a"),
    }
    seconds, contents = {}, {}
    for name, write in writers.items():
        seconds[name], contents[name] = best(write)
    print(f"{shape.rows} rows x {shape.columns} columns, float32")
    print(f"{'':10}{'s':>8}{'M values/s':>12}{'MB':>8}{'peak MB':>9}  same bits")
    for name in writers:
        rate = values.size / seconds[name] / 1e6
        same = numbers(contents[name]).tobytes() == values.tobytes()
        size = len(contents[name]) / 1e6
        memory = peak(writers[name]) if name == "bidsmask" else float("nan")
        print(f"{name:10}{seconds[name]:8.2f}{rate:12.1f}{size:8.1f}{memory:9.1f}  {same}")
    print(f"ratio {seconds['pandas'] / seconds['bidsmask']:.1f}")


if __name__ == "__main__":
    main()
