"""What a Job needs: how much memory, told from its Preparation without reading anything 4D."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from bidsmask.app.execute import Resources
from bidsmask.app.high_variance import PERCENT_OF_VOXELS
from bidsmask.app.preparation import MaskPlan, MatrixPlan, Preparation
from bidsmask.app.products import Product
from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.images.stream import N_BUFFERS
from bidsmask.masks.given import load_mask
from bidsmask.masks.strategies import STRATEGIES
from bidsmask.signals.extract import BLOCK_VOLUMES
from bidsmask.signals.regions import REDUCERS

# Measured on Linux with Python 3.11: the program once it found the runs, and a process that
# works on one, with all that it imported.
PROGRAM_MB, PROCESS_MB = 137, 90
# What is taken for each voxel of a grid (buffers of three volumes, mask, smoothing), of an
# atlas's own grid (four float64), of a template's, and of the mask where each column is described.
BYTES_PER_GRID_VOXEL = 42
BYTES_PER_ATLAS_VOXEL = 33
BYTES_PER_MAP_VOXEL = 14  # and the buffers of the stream
BYTES_PER_TEMPLATE_VOXEL = 18
BYTES_PER_COLUMN = 520
BYTES_OF_VARIANCE = 48  # sums of each voxel, in float64
# A template's head laid onto an image, and bent onto it, too, MB; and for each voxel of the
# lattice of 1.5 to 2 mm on which the brain is decided.
LAID_MB, BENT_MB, BYTES_PER_LATTICE_VOXEL = 110, 190, 54
# Weights of maps for each voxel of the mask: 8 bytes a map, or 12 a value where few are not 0.
BYTES_PER_VOXEL_OF_MAPS = 150
MOST_BYTES_OF_MAPS = 512
# Their products with one another, for each pair.
BYTES_PER_PAIR_OF_MAPS = 32
# Volumes on their way to the extractors, in float32 and taken apart; and, where a statistic is not
# linear, in float64.
BYTES_PER_VALUE_READ, BYTES_PER_VALUE_READ_WHOLE = 8, 24
# A block of columns while a thread cleans it: one float32 and two float64 of each value.
BLOCK_COLUMNS, BLOCK_BYTES = 2048, 20
# Text on its way to the disk: 8 bytes for each byte of values, in up to three pieces of 8 MB.
TEXT_FACTOR, TEXT_BYTES = 8, 25e6
# Signals while their regions are connected, for each value of them: text, float32 and float64; and
# the matrices, their decomposition and their text, for each pair.
BYTES_PER_VALUE_CONNECTED, BYTES_PER_PAIR_CONNECTED = 30, 70

# A mask that is not computed yet: brains filled 0.20 to 0.27 of the grids that were looked at.
BRAIN_SHARE = 0.25


@dataclass(frozen=True)
class Need:
    """What a Job needs beyond its process, MB.

    Attributes
    ----------
    grid_mb : float
        Buffers of volumes, mask, smoothing; all the time.
    before_mb : float
        The most that is taken before any signal is read: for the column map, an atlas.
    rows_mb : float
        Volumes x columns of all signals, and copies of them; what makes signals of maps.
    reading_mb : float
        The volumes that extractors are given at a time.
    text_mb : float
        Signals on their way to the disk.
    block_mb, n_blocks : float
        One block of columns in cleaning, and how many there are.
    after_mb : float
        The most that is taken once signals are written: for a matrix between regions.
    """

    grid_mb: float
    before_mb: float = 0.0
    rows_mb: float = 0.0
    reading_mb: float = 0.0
    text_mb: float = 0.0
    block_mb: float = 0.0
    n_blocks: float = 0.0
    after_mb: float = 0.0

    def process_mb(self, n_threads: int) -> float:
        """Return the peak of a process that does the Job with so many threads, MB."""
        blocks_mb = min(n_threads, self.n_blocks) * self.block_mb
        signals_mb = self.rows_mb + max(self.reading_mb, blocks_mb, self.text_mb)
        return PROCESS_MB + self.grid_mb + max(self.before_mb, signals_mb, self.after_mb)

    def in_all_mb(self, n_runs: int, resources: Resources) -> float:
        """Return what the program and its processes take for so many runs like this, MB.

        A single run is done by the program itself. Memory that processes share is counted in
        each, as schedulers do that add them up.
        """
        if n_runs == 1:
            return PROGRAM_MB - PROCESS_MB + self.process_mb(resources.n_threads_alone)
        at_a_time = min(n_runs, resources.n_procs)
        server_mb = PROCESS_MB  # what the others are forked from
        return PROGRAM_MB + server_mb + at_a_time * self.process_mb(resources.n_threads)


def need_of(preparation: Preparation, stale: Collection[Product], *, keeps_censored: bool) -> Need:
    """Return about how much memory a Job will need.

    Volumes x columns are held as they were read, in float32 for voxels and in float64 for
    regions; all cleanings but the last need a copy, and so do rows of censored volumes. Means
    over trials are made one at a time.

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
    image, matrices = preparation.image, preparation.matrices
    stale = frozenset(stale)
    per_voxel: float = BYTES_PER_GRID_VOXEL
    if any(plan.choice.confounds.high_variance for plan in preparation.cleanings):
        per_voxel += BYTES_OF_VARIANCE + 8 * image.n_volumes * PERCENT_OF_VOXELS / 100
    largest_grid = max(image.grid, preparation.mask.grid, key=lambda grid: grid.n_voxels)
    grid_mb = per_voxel * largest_grid.n_voxels / 1e6
    n_voxels = count_voxels(preparation.mask, stale, image.grid)
    before = [0.0]
    if preparation.column_map in stale:
        before.append(BYTES_PER_COLUMN * n_voxels)
    plan = preparation.mask
    if plan.product in stale:
        kind = STRATEGIES[plan.strategy]
        if kind.tissue and plan.source is not None:
            before.append(BYTES_PER_TEMPLATE_VOXEL * open_image(plan.source).grid.n_voxels)
        if kind.takes_prior:
            before.append(1e6 * (brain_mb(plan, plan.grid) - grid_mb))
    for atlas in preparation.atlases:
        if atlas.choice.kind != "spheres" and not set(atlas.products).isdisjoint(stale):
            own = open_image(atlas.choice.image)
            each = BYTES_PER_ATLAS_VOXEL
            if atlas.choice.kind == "maps":
                each = BYTES_PER_MAP_VOXEL + N_BUFFERS * own.dtype.itemsize
            before.append(each * own.grid.n_voxels)
    voxels = [plan.voxels for plan in preparation.cleanings]
    tasks: list[tuple[float, int, Sequence[Product | None]]] = [(n_voxels, 4, voxels)]
    block = BYTES_PER_VALUE_READ
    for atlas in preparation.atlases:
        for statistic, signals in atlas.signals.items():
            # An eigenvariate is taken of the voxels, of which about all are in some region.
            is_of_voxels = statistic == "eigenvariate"
            one = (n_voxels, 4) if is_of_voxels else (float(atlas.n_columns), 8)
            tasks.append((*one, signals))
            if statistic in REDUCERS and not set(signals).isdisjoint(stale):
                block = BYTES_PER_VALUE_READ_WHOLE
    maps = [one for one in preparation.atlases if one.choice.kind == "maps"]
    wanted = [one.n_columns for one in maps if not set(one.products).isdisjoint(stale)]
    of_maps = sum(bytes_of_maps(n_maps, n_voxels) for n_maps in wanted)
    held = copied = largest = 0.0
    for n_columns, itemsize, products in tasks:
        made = [preparation.made_with(product) for product in products if product is not None]
        n_wanted = sum(not stale.isdisjoint(one) for one in made)
        if n_wanted:
            rows = n_columns * itemsize * image.n_volumes
            held += rows
            copied = max(copied, rows * ((n_wanted > 1) + keeps_censored))
            largest = max(largest, n_columns)
    trials = preparation.trials if preparation.trial_means is not None else None
    of_trials = 4 * largest * len(trials.table) if trials is not None else 0.0
    return Need(
        grid_mb=grid_mb,
        before_mb=max(before) / 1e6,
        rows_mb=(held + copied + of_maps + of_trials) / 1e6,
        reading_mb=block * min(BLOCK_VOLUMES, image.n_volumes) * n_voxels / 1e6 if held else 0.0,
        text_mb=min(TEXT_FACTOR * held, TEXT_BYTES) / 1e6,
        block_mb=BLOCK_BYTES * min(largest, BLOCK_COLUMNS) * image.n_volumes / 1e6,
        n_blocks=math.ceil(largest / BLOCK_COLUMNS),
        after_mb=max((matrix_mb(one) for one in matrices if one.product in stale), default=0.0),
    )


def matrix_mb(plan: MatrixPlan) -> float:
    """Return about what a matrix between regions takes, MB."""
    n_columns, n_rows = plan.atlas.n_columns, len(plan.cleaning.operator.matrix)
    each = BYTES_PER_VALUE_CONNECTED * n_rows + BYTES_PER_PAIR_CONNECTED * n_columns
    return n_columns * each / 1e6


def brain_mb(plan: MaskPlan, grid: Grid) -> float:
    """Return what the brain strategy takes, MB; nothing else of the run is held beside it."""
    own_mb = LAID_MB if plan.arguments["contrast"] == "EPI" else BENT_MB
    lattice_mm3 = np.clip(grid.voxel_sizes_mm.min(), 1.5, 2) ** 3
    n_voxels = grid.n_voxels * grid.voxel_volume_mm3 / lattice_mm3
    return float(own_mb + BYTES_PER_LATTICE_VOXEL * n_voxels / 1e6)


def bytes_of_maps(n_maps: int, n_voxels: float) -> float:
    """Return about what maps take at the voxels of a mask."""
    each = min(8 * n_maps, MOST_BYTES_OF_MAPS) + BYTES_PER_VOXEL_OF_MAPS
    return each * n_voxels + BYTES_PER_PAIR_OF_MAPS * n_maps**2


def count_voxels(plan: MaskPlan, stale: Collection[Product], grid: Grid) -> float:
    """Return the number of voxels in the mask; a guess where it is not computed yet."""
    path = plan.source if plan.product in stale else plan.product.path
    is_from_template = path == plan.source and bool(STRATEGIES[plan.strategy].tissue)
    if path is None or is_from_template or not path.exists():
        return BRAIN_SHARE * grid.n_voxels
    own = grid if path == plan.source else plan.grid
    return load_mask(path, own, plan.strategy).n_voxels
