"""Signals of many runs in one HDF5 file: the same runs give the same bytes, always.

    /                     attributes: what all runs share
    /columns/index, name  the table of columns
    /participants/…       the table of participants
    /signals/RUN          float32 (rows, columns), NaN for n/a; attributes: what tells runs apart
    /volumes/RUN/…        the run's table of volumes

Each column of a table is a dataset of its own: numbers are int64, or float64 with NaN for n/a;
truth values are HDF5's own enumeration; text is UTF-8, empty for n/a.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    import h5py

# The oldest format with room for thousands of runs in a group; every HDF5 since 2008 reads it.
_LIBVER = ("v108", "v108")

Attribute = str | int | float


@dataclass(frozen=True, eq=False)
class StackedRun:
    """What a stack holds of one run.

    Attributes
    ----------
    name : str
        Of its datasets: without slashes, no two alike.
    participant_id : str
        As in the table of participants.
    values : (n_rows, n_columns) float32 array
    volumes : DataFrame or None
        One row a volume; None where there is no such table.
    attributes : mapping of str to str, int or float
    """

    name: str
    participant_id: str
    values: npt.NDArray[np.float32]
    volumes: pd.DataFrame | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


def write_stack(
    handle: BinaryIO,
    columns: pd.DataFrame,
    participants: pd.DataFrame,
    runs: Iterable[StackedRun],
    attributes: Mapping[str, Attribute],
) -> None:
    """Write a stack into a handle that can seek, one run after the other.

    Parameters
    ----------
    handle : BinaryIO
        Empty.
    columns : DataFrame
        A row a column of the signals.
    participants : DataFrame
        With `participant_id`; of its rows, those of the runs are written.
    runs : iterable of StackedRun
        Each is needed only while it is written.
    attributes : mapping
        Of the whole.

    Raises
    ------
    OSError
        What the handle raises; also all else that comes while it is used.
    """
    import h5py

    seen = set()
    patient = _Patient(handle)
    with h5py.File(patient, "w", libver=_LIBVER) as file:
        file.attrs.update(attributes)
        _write_table(file.create_group("columns", track_order=True), columns)
        signals, volumes = file.create_group("signals"), file.create_group("volumes")
        for run in runs:
            _write_run(signals, volumes, run)
            seen.add(run.participant_id)
            patient.complain()
        present = participants[participants["participant_id"].isin(seen)]
        _write_table(file.create_group("participants", track_order=True), present)
    patient.complain()


class _Patient(io.RawIOBase):
    """A handle that hides from HDF5 what fails, and does nothing from then on.

    HDF5 has no way back from a write that fails while it closes a dataset: h5py 3.16 prints a
    traceback, and the process may end by a segmentation fault.
    """

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._failure: BaseException | None = None

    def complain(self) -> None:
        """Raise what was hidden."""
        if self._failure is not None:
            raise self._failure

    def write(self, piece: Any) -> int:
        return self._try(lambda: self._handle.write(piece), len(piece))

    def truncate(self, size: int | None = None) -> int:
        return self._try(lambda: self._handle.truncate(size), size or 0)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._try(lambda: self._handle.seek(offset, whence), offset)

    def readinto(self, target: Any) -> int:
        handle = cast(io.RawIOBase, self._handle)
        return self._try(lambda: handle.readinto(target) or 0, len(target))

    def _try(self, do: Callable[[], int], otherwise: int) -> int:
        if self._failure is None:
            try:
                return do()
            except BaseException as error:
                self._failure = error
        return otherwise


def _write_run(signals: h5py.Group, volumes: h5py.Group, run: StackedRun) -> None:
    """Write the datasets of one run."""
    # One chunk a run, for the checksum: 0.2 ms a run of 300 x 400. Shuffled and gzipped it would
    # take 9 ms more, as long as reading the text, and 1 ms to read, to save an eighth.
    has_values = run.values.size > 0
    dataset = signals.create_dataset(
        run.name,
        data=run.values,
        chunks=run.values.shape if has_values else None,
        fletcher32=has_values,
        track_times=False,
    )
    dataset.attrs["participant_id"] = run.participant_id
    dataset.attrs.update(run.attributes)
    if run.volumes is not None:
        _write_table(volumes.create_group(run.name, track_order=True), run.volumes)


def _write_table(group: h5py.Group, table: pd.DataFrame) -> None:
    """Write a table, a dataset for each column, in its order."""
    for name in table.columns:
        # A slash would part groups, and a point alone means the group itself.
        link = name.replace("/", "_") if name != "." else "_"
        while link in group:
            link += "_"
        group.create_dataset(link, data=_values(table[name]), track_times=False)


def _values(column: pd.Series) -> npt.NDArray[Any]:
    """Return a column as HDF5 shall hold it."""
    import h5py

    if column.dtype == np.bool_:
        return column.to_numpy()
    if column.dtype.kind in "iuf":
        return column.to_numpy(np.float64 if column.dtype.kind == "f" else np.int64)
    texts = [b"" if pd.isna(cell) else str(cell).encode() for cell in column]
    length = max(map(len, texts), default=0) or 1
    return np.array(texts, h5py.string_dtype("utf-8", length))
