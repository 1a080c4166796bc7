"""Probabilistic maps: how much of each map is in a volume, by least squares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
from scipy import sparse

from bidsmask.errors import UnusableImage
from bidsmask.images.grid import Grid, flat_indices
from bidsmask.images.image import open_image
from bidsmask.images.resample import linear_weights, resample_nearest
from bidsmask.images.stream import stream
from bidsmask.masks.mask import Mask
from bidsmask.signals.extractor import FloatArray

# Share of values that are not 0.
DENSE = 0.1


@dataclass(frozen=True, eq=False)
class Maps:
    """Maps at the voxels of a mask.

    Attributes
    ----------
    weights : (n_maps, n_voxels) sparse array
        Values of the maps at the voxels of the mask, in its C order.
    coverage : (n_maps,) float64 array
        Share of each map's sum of absolute values that lies inside the mask, counted over
        the voxels of the maps themselves; 0 for an empty map.
    """

    weights: sparse.csr_array
    coverage: npt.NDArray[np.float64]


def read_maps(path: Path, mask: Mask) -> Maps:
    """Read maps one by one, moved linearly to the voxels of a mask.

    Parameters
    ----------
    path : Path
        A 4D NIfTI image, a map a volume; or a 3D one, a single map. Values that are not finite
        count as 0.
    mask : Mask

    Returns
    -------
    Maps
        Held sparse: 12 bytes a voxel of the mask where a map is not 0.

    Raises
    ------
    UnusableImage
        Every value is 0.
    DamagedFile
        As `stream`.
    """
    image = open_image(path)
    volumes = (image.scale(stored) for stored in stream(image))
    return gather_maps(volumes, image.grid, mask, path)


def gather_maps(
    volumes: Iterable[npt.NDArray[Any]],
    grid: Grid,
    mask: Mask,
    where: str | Path,
    *,
    within: bool = False,
) -> Maps:
    """Gather maps one by one, moved linearly to the voxels of a mask.

    Parameters
    ----------
    volumes : iterable of (n_voxels,) arrays
        The maps in file order (i fastest). Values that are not finite count as 0.
    grid : Grid
        Of the maps.
    mask : Mask
    where : str or Path
        What messages are about.
    within : bool
        As of `linear_weights`.

    Raises
    ------
    UnusableImage
        Every value is 0.
    """
    is_here = grid.is_same(mask.grid)
    moving = None if is_here else linear_weights(grid, mask.grid, mask.ijk, within=within)
    needed = flat_indices(mask.ijk, mask.grid.shape) if moving is None else used_columns(moving)
    column = np.full(grid.n_voxels, -1, np.int32)
    column[needed] = np.arange(len(needed))
    seen = mask.voxels
    if not is_here:
        seen = resample_nearest(seen.astype(np.uint8), mask.grid, grid) != 0
    is_seen = seen.ravel(order="F")
    rows, totals, inside = [], [], []
    for values in volumes:
        # Of truth values four times as fast as of float32.
        places = np.flatnonzero(values != 0)
        there = values[places].astype(np.float64)
        there[~np.isfinite(there)] = 0
        totals.append(np.abs(there).sum())
        inside.append(np.abs(there[is_seen[places]]).sum())
        near = column[places] >= 0
        ends = np.array([0, np.count_nonzero(near)])
        parts = (there[near], column[places[near]], ends)
        rows.append(sparse.csr_array(parts, (1, len(needed))))
    if not any(totals):
        raise UnusableImage(where, "holds no map: every value is 0", "Is it the right image?")
    weights = sparse.csr_array(sparse.vstack(rows, "csr"))
    if moving is not None:
        weights = sparse.csr_array(weights @ narrowed(moving, needed).T)
        weights.eliminate_zeros()
    return Maps(weights, np.array(inside) / np.where(totals, totals, 1))


class MapExtractor:
    """One column per map: the least-squares fit of all maps to a volume.

    The numbers of nilearn's `NiftiMapsMasker`, by normal equations over the voxels of the mask
    where any map is not 0. Of collinear maps the fit of the smallest norm is taken, as there.

    Parameters
    ----------
    maps : Maps
        One that is 0 all over the mask is a missing column.
    mask : Mask
        That of the maps.

    Attributes
    ----------
    collinear : (n_columns,) bool array
        Maps that others add up to, and those others: they share one signal.
    """

    is_linear = True

    def __init__(self, maps: Maps, mask: Mask) -> None:
        weights = maps.weights
        support = used_columns(weights)
        self.ijk = mask.ijk[support]
        self.n_columns = weights.shape[0]
        self.dtype: np.dtype[np.floating] = np.dtype(np.float64)
        self.missing = np.diff(weights.indptr) == 0
        own = narrowed(weights, support)
        # Above this a dense product takes less time than a sparse one, and little more memory.
        self._weights = own.toarray() if own.nnz > DENSE * np.prod(own.shape) else own
        self._inverse = np.zeros((self.n_columns, self.n_columns))
        self.collinear = np.zeros(self.n_columns, bool)
        there = np.flatnonzero(~self.missing)
        if len(there):
            products = self._weights @ self._weights.T
            gram = np.asarray(products if isinstance(products, np.ndarray) else products.todense())
            inverse, self.collinear[there] = _inverse(gram[np.ix_(there, there)])
            self._inverse[np.ix_(there, there)] = inverse

    def rows(self, values: FloatArray) -> FloatArray:
        """Return how much of each map there is; 0 for a missing column."""
        products = self._weights @ np.asarray(values, np.float64).T
        rows: FloatArray = products.T @ self._inverse
        return rows


def used_columns(matrix: sparse.csr_array) -> npt.NDArray[np.intp]:
    """Return the columns of a sparse array that hold anything, ascending."""
    is_used = np.zeros(matrix.shape[1], bool)
    is_used[matrix.indices] = True
    return np.flatnonzero(is_used)


def narrowed(matrix: sparse.csr_array, columns: npt.NDArray[np.intp]) -> sparse.csr_array:
    """Return a sparse array with its used columns alone, in the time of one look at its values."""
    place = np.zeros(matrix.shape[1], matrix.indices.dtype)
    place[columns] = np.arange(len(columns))
    parts = (matrix.data, place[matrix.indices], matrix.indptr)
    return sparse.csr_array(parts, (matrix.shape[0], len(columns)))


def _inverse(
    gram: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the (pseudo-)inverse of the products of maps, and which maps are collinear."""
    unit = 1 / np.sqrt(np.diag(gram))
    least = 10 * len(gram) * np.finfo(float).eps
    # Maps of unit length first, so that one in percent does not hide one in shares.
    squares, vectors = scipy.linalg.eigh(gram * np.outer(unit, unit))
    null = squares <= least * squares[-1]
    collinear: npt.NDArray[np.bool_] = np.any(np.abs(vectors[:, null]) > 1e-6, axis=1)
    if null.any():
        unit = np.ones(len(gram))
        squares, vectors = scipy.linalg.eigh(gram)
        null = squares <= least * squares[-1]
    own = vectors[:, ~null] * unit[:, np.newaxis]
    return (own / squares[~null]) @ own.T, collinear
