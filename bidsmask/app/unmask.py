"""Back to the brain: rows of a table of signals as an image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np

from bidsmask.app.atlases import refuse_missing
from bidsmask.app.column_maps import (
    SignalsTable,
    find_column_map,
    place_columns,
    read_metadata,
    sidecar_of,
)
from bidsmask.app.unmask_options import UnmaskOptions
from bidsmask.bids.entities import Entities
from bidsmask.bids.publish import SIZES, gzipped, publish
from bidsmask.bids.signals_table import read_signals
from bidsmask.bids.tables import read_table
from bidsmask.errors import OutputRefused, UnusableTable, UsageError
from bidsmask.images.write import space_of, write_volumes

NIFTI: Any = nib.Nifti1Image

# As many NIfTI-1 holds.
MOST_VOLUMES = 32767


def write_unmasked(options: UnmaskOptions) -> Iterator[str]:
    """Write the image of a table, and yield sentences on what is to be known of it.

    Raises
    ------
    UsageError, MissingInput, DataError, OutputRefused, WritingFailed
        What is wrong with the table, its map or the output; then nothing is written.
    """
    signals = read_signals_table(options.signals)
    found = find_column_map(signals, options.map)
    inputs = [signals.path, sidecar_of(signals.path), *found.inputs]
    _refuse_output(options, [*inputs, *map(sidecar_of, found.inputs)])
    placed = place_columns(signals, found)
    chosen = _chosen(signals, options.row)
    values = signals.values[chosen][:, placed.order]

    def write(handle: BinaryIO) -> None:
        volumes = placed.back.volumes(values)
        space = space_of(Entities.parse(signals.path.name).get("space") or "")
        t_r_s = _repetition_time(signals)
        write_volumes(handle, volumes, len(values), placed.grid, space=space, t_r_s=t_r_s)

    is_gzipped = options.output.name.endswith(".gz")
    publish(options.output, gzipped(write) if is_gzipped else write)
    yield f"{len(values)} of {len(signals.values)} rows by {found.image.name}: {options.output}"
    if placed.doubt:
        yield f"warning: {placed.doubt}"
    yield from _warnings(signals, np.isnan(values))


def unmask_signals(
    signals: str | Path,
    map_img: str | Path | None = None,
    rows: Sequence[int | str] = (),
) -> Any:
    """Return rows of a table of signals as an image.

    Parameters
    ----------
    signals : path
        A table of bidsmask, `.tsv` or `.tsv.gz`, with a column for each voxel, region, sphere
        or map; or a matrix between regions.
    map_img : path, optional
        The image that tells where the columns lie, with a table of names beside it. Default:
        what the JSON file of the table names, or what its name tells.
    rows : sequence of int or str
        Numbers from 0, or in a matrix names of regions; default all.

    Returns
    -------
    nibabel.Nifti1Image
        float32; 3D for one row, else 4D with the repetition time of the run. Each voxel has the
        value of its column, of overlapping spheres their mean, of maps the sum of signals times
        maps; 0 where there is no column, and NaN where that has no value.

    Raises
    ------
    UsageError, MissingInput, DataError
        What is wrong with the table or its map.
    """
    table = read_signals_table(Path(signals))
    placed = place_columns(table, find_column_map(table, str(map_img) if map_img else None))
    values = table.values[_chosen(table, [str(row) for row in rows])][:, placed.order]
    array = placed.back.array(values)
    image = NIFTI(array if len(values) > 1 else array[..., 0], placed.grid.affine)
    if len(values) > 1:
        image.header.set_zooms([*placed.grid.voxel_sizes_mm, _repetition_time(table) or 0.0])
        image.header.set_xyzt_units("mm", "sec")
    return image


def read_signals_table(path: Path) -> SignalsTable:
    """Read a table of signals with what its JSON file says.

    Raises
    ------
    UsageError, MissingInput
        It is no table, or not there.
    UnusableTable, DamagedFile
        It cannot be read, holds text where numbers belong, or no row.
    """
    if not path.name.endswith((".tsv", ".tsv.gz")):
        raise UsageError(str(path), "is no table of signals", "Give a .tsv or .tsv.gz file.")
    refuse_missing(path)
    metadata = read_metadata(path)
    if Entities.parse(path.name).suffix == "relmat":
        table = _read_matrix(path, metadata)
    else:
        table = SignalsTable(path, *read_signals(path), [], metadata)
    if not len(table.values):
        raise UnusableTable(path, "holds no row of signals")
    return table


def _read_matrix(path: Path, metadata: Any) -> SignalsTable:
    """Read a matrix, whose first column names its rows."""
    table = read_table(path)
    names = [str(name) for name in table.columns[1:]]
    for name in names:
        if table[name].dtype.kind not in "if":
            problem = f"holds text in column {name!r}"
            raise UnusableTable(path, problem, "A matrix has numbers, or n/a.")
    rows = [str(name) for name in table.iloc[:, 0]]
    return SignalsTable(path, names, table[names].to_numpy(np.float32), rows, metadata)


def _chosen(signals: SignalsTable, rows: Sequence[str]) -> Any:
    """Return the numbers of the rows that are asked for."""
    n_rows = len(signals.values)
    numbers = []
    for row in rows:
        if row in signals.rows:
            numbers.append(signals.rows.index(row))
        elif row.isdecimal() and int(row) < n_rows:
            numbers.append(int(row))
        else:
            told = f"rows 0 to {n_rows - 1}" + (", or their names" if signals.rows else "")
            raise UsageError(f"row {row}", f"is none of {signals.path.name}", f"Give {told}.")
    chosen = np.array(numbers, np.intp) if rows else np.arange(n_rows)
    if len(chosen) > MOST_VOLUMES:
        problem = f"has {len(chosen)} rows, and NIfTI-1 holds {MOST_VOLUMES} volumes"
        raise UnusableTable(signals.path, problem, "Choose some by --row.")
    return chosen


def _refuse_output(options: UnmaskOptions, inputs: Sequence[Path]) -> None:
    """Raise OutputRefused where a file stands that must not, or may not, be replaced."""
    path = options.output
    if path.exists() and any(one.exists() and path.samefile(one) for one in inputs):
        raise OutputRefused(path, "is an input", "Choose another output.")
    if path.is_dir():
        raise OutputRefused(path, "is a folder", "Give a name that ends with .nii.gz or .nii.")
    if path.exists() and not options.force:
        advice = "Choose another output, or replace it by --force."
        raise OutputRefused(path, "is there already", advice)


def _repetition_time(signals: SignalsTable) -> float | None:
    """Return the time between two rows, s; None where rows are no volumes."""
    is_series = Entities.parse(signals.path.name).suffix == "timeseries"
    t_r_s = signals.metadata.get("RepetitionTime") if is_series else None
    if isinstance(t_r_s, bool) or not isinstance(t_r_s, float | int):
        return None
    return float(t_r_s) if 0 < t_r_s < math.inf else None


def _warnings(signals: SignalsTable, missing: Any) -> Iterator[str]:
    """Yield what is odd about a table."""
    path = signals.path
    if signals.metadata.get(SIZES, [path.stat().st_size]) != [path.stat().st_size]:
        yield f"warning: {path.name} was changed since bidsmask wrote it"
    n_missing = int(missing.any(axis=0).sum())
    if n_missing:
        yield f"warning: {n_missing} of {missing.shape[1]} columns hold n/a, which is NaN there"
    freedom = signals.metadata.get("DegreesOfFreedom")
    n_censored = freedom.get("censored") if isinstance(freedom, dict) else 0
    if n_censored and signals.metadata.get("Rows") == "kept volumes":
        yield f"the rows are the kept volumes of the run; {n_censored} censored ones are not there"
