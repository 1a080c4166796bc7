"""What a Job needs: how much memory, told from its Preparation without reading anything 4D."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bidsmask.app.preparation import MaskPlan, Preparation
from bidsmask.app.products import Product
from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.masks.given import load_mask

# Measured on Linux with Python 3.11: the program once it found the runs, and a process that
# works on one, with all that it imported.
PROGRAM_MB, PROCESS_MB = 137, 90
# What is taken for each voxel of a grid (buffers of three volumes, mask, smoothing), of an
# atlas's own grid (four float64), and of the mask where each column is described.
BYTES_PER_GRID_VOXEL = 42
BYTES_PER_ATLAS_VOXEL = 33
BYTES_PER_COLUMN = 520
# A block of columns while it is cleaned: one float32 and two float64 of each value.
BLOCK_COLUMNS, BLOCK_BYTES = 2048, 20
# Text on its way to the disk: 8 bytes for each byte of values, in up to three pieces of 8 MB.
TEXT_FACTOR, TEXT_BYTES = 8, 25e6

# A mask that is not computed yet: brains filled 0.20 to 0.27 of the grids that were looked at.
BRAIN_SHARE = 0.25


def needed_mb(
    preparation: Preparation, stale: Collection[Product], *, keeps_censored: bool
) -> float:
    """Return about how much memory the process of a Job will need at its peak, MB.

    Parameters
    ----------
    preparation : Preparation
    stale : collection of Product
        Those that have to be made.
    keeps_censored : bool
        Whether signals get a row for every volume.

    Raises
    ------
    DataError
        The file of the mask, which is read to count its voxels, is not usable.
    """
    grid = preparation.image.grid
    n_voxels = count_voxels(preparation.mask, stale, grid)
    stages = [0.0, signals_bytes(preparation, stale, n_voxels, keeps_censored=keeps_censored)]
    if preparation.column_map in stale:
        stages.append(BYTES_PER_COLUMN * n_voxels)
    for atlas in preparation.atlases:
        if not {atlas.labels, atlas.coverage, *atlas.signals}.isdisjoint(stale):
            own_grid = open_image(atlas.choice.image).grid
            stages.append(BYTES_PER_ATLAS_VOXEL * own_grid.n_voxels)
    return PROCESS_MB + (BYTES_PER_GRID_VOXEL * grid.n_voxels + max(stages)) / 1e6


def needed_in_all_mb(largest_mb: float, n_runs: int, n_procs: int) -> float:
    """Return about how much memory the program will need with all its processes, MB.

    Memory that processes share is counted in each, as schedulers do that add them up.

    Parameters
    ----------
    largest_mb : float
        That of the largest Job.
    n_runs : int
        Jobs that have to be done. A single one is done by the program itself.
    n_procs : int
        Jobs at a time, each in a process forked from a server.
    """
    if n_runs == 1:
        return PROGRAM_MB - PROCESS_MB + largest_mb
    return PROGRAM_MB + PROCESS_MB + min(n_runs, n_procs) * largest_mb


def count_voxels(plan: MaskPlan, stale: Collection[Product], grid: Grid) -> float:
    """Return the number of voxels in the mask; a guess where it is not computed yet."""
    path = plan.source if plan.product in stale else plan.product.path
    if path is None:
        return BRAIN_SHARE * grid.n_voxels
    return load_mask(path, grid, plan.strategy).n_voxels


def signals_bytes(
    preparation: Preparation,
    stale: Collection[Product],
    n_voxels: float,
    *,
    keeps_censored: bool,
) -> float:
    """Return what is held for the signals: all rows of all columns, copies, text.

    Volumes x columns are held as they were read, in float32 for voxels and in float64 for
    regions; all cleanings but the last need a copy, and so do rows of censored volumes.
    """
    n_volumes = preparation.image.n_volumes
    voxels = [plan.voxels for plan in preparation.cleanings]
    tasks: list[tuple[float, int, Sequence[Product | None]]] = [(n_voxels, 4, voxels)]
    tasks += [(len(atlas.names), 8, atlas.signals) for atlas in preparation.atlases]
    held, most = 0.0, 0.0
    for n_columns, itemsize, products in tasks:
        n_wanted = sum(product in stale for product in products)
        if n_wanted:
            rows = n_columns * itemsize * n_volumes
            copies = (n_wanted > 1) + keeps_censored
            block = BLOCK_BYTES * min(n_columns, BLOCK_COLUMNS) * n_volumes
            held += rows
            most = max(most, copies * rows + max(block, min(TEXT_FACTOR * rows, TEXT_BYTES)))
    return held + most
