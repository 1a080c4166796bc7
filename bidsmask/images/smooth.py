"""Gaussian smoothing of flat volumes, computed only where it is needed.

scipy's `gaussian_filter1d` along one axis is a banded matrix. Three of them, cut to the box
that is wanted, are three matrix products for BLAS: the same numbers in a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from bidsmask.images.grid import Box, FloatArray, Grid

SIGMA_PER_FWHM = 1 / np.sqrt(8 * np.log(2))
# Rows of a banded matrix are mostly zero; in blocks of this many, few zeros are multiplied.
BLOCK_ROWS = 32


@dataclass(frozen=True)
class _Block:
    """Some rows of a banded matrix, and the span of columns that they need."""

    rows: slice
    columns: slice
    weights: FloatArray


@dataclass(eq=False)
class Smoother:
    """Smooths volumes of one Grid, in one box of it.

    Attributes
    ----------
    grid : Grid
    box : (slice, slice, slice)
        Along i, j and k: the voxels that come out.
    input_box : (slice, slice, slice)
        The voxels that they depend on: the box and the kernel's radius around it.
    dtype : np.dtype
        float32 or float64: of the arithmetic and of what comes out.
    """

    grid: Grid
    box: Box
    input_box: Box
    dtype: np.dtype[Any]
    _bands: tuple[tuple[_Block, ...], ...] = field(repr=False)
    _scratch: tuple[FloatArray, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        i_in, j_in, k_in = (_length(part) for part in self.input_box)
        i_out, j_out, _ = (_length(part) for part in self.box)
        self._scratch = (
            np.empty((k_in, j_in, i_in), self.dtype),
            np.empty((k_in, j_in, i_out), self.dtype),
            np.empty((k_in, j_out, i_out), self.dtype),
        )

    @classmethod
    def over(
        cls,
        grid: Grid,
        fwhm_mm: float | Sequence[float],
        box: Box | None = None,
        dtype: type[np.float32] | type[np.float64] = np.float32,
    ) -> Smoother:
        """Build the smoother of a grid.

        Parameters
        ----------
        grid : Grid
            Of the volumes.
        fwhm_mm : float or three floats
            Full width at half maximum in mm, along i, j and k; 0 leaves an axis as it is.
            sigma = fwhm / (sqrt(8 ln 2) x voxel size), truncated at 4 sigma, the volume
            continued by reflection: nilearn's `smooth_img`.
        box : (slice, slice, slice), optional
            What is wanted, with whole-number bounds; the whole grid by default.
        dtype : float32 or float64
            float32 is for volumes, float64 for a reference that is subtracted later.
        """
        wanted = box or tuple(slice(0, length) for length in grid.shape)
        fwhm = np.broadcast_to(np.asarray(fwhm_mm, dtype=np.float64), (3,))
        sigmas = fwhm * SIGMA_PER_FWHM / grid.voxel_sizes_mm
        bands = []
        needed = []
        for length, sigma, rows in zip(grid.shape, sigmas, wanted, strict=True):
            blocks, columns = _band(length, float(sigma), rows, np.dtype(dtype))
            bands.append(blocks)
            needed.append(columns)
        i, j, k = wanted
        return cls(
            grid, (i, j, k), (needed[0], needed[1], needed[2]), np.dtype(dtype), tuple(bands)
        )

    @property
    def n_voxels(self) -> int:
        """Number of voxels that come out."""
        i, j, k = (_length(part) for part in self.box)
        return i * j * k

    def apply(self, volume: NDArray[Any], out: FloatArray | None = None) -> FloatArray:
        """Return the smoothed box of one volume.

        Parameters
        ----------
        volume : (n_voxels,) array, or (i, j, k) array of the input box's shape
            The whole volume in file order, or what `input_box` cuts out of it. Any real
            type. One NaN or Inf would spread over the whole box: replace them before.
        out : (n_voxels of the box,) array of `dtype`, C-contiguous, optional
            Where to write.

        Returns
        -------
        (n_voxels of the box,) array of `dtype`
            In file order (i fastest). `out` when given.
        """
        data, after_i, after_j = self._scratch
        data[...] = self._cut(volume)
        if out is None:
            out = np.empty(self.n_voxels, self.dtype)
        band_i, band_j, band_k = self._bands
        k_in, j_in, i_in = data.shape
        for block in band_i:
            np.matmul(
                data.reshape(k_in * j_in, i_in)[:, block.columns],
                block.weights.T,
                out=after_i.reshape(k_in * j_in, -1)[:, block.rows],
            )
        for block in band_j:
            np.matmul(block.weights, after_i[:, block.columns], out=after_j[:, block.rows])
        planes = after_j.reshape(k_in, -1)
        rows = out.reshape(-1, planes.shape[1])
        for block in band_k:
            np.matmul(block.weights, planes[block.columns], out=rows[block.rows])
        return out

    def _cut(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Return the input box as (k, j, i), which is C order for a volume in file order."""
        if volume.ndim == 3:
            return volume.T
        i, j, k = self.input_box
        return volume.reshape(self.grid.shape[::-1])[k, j, i]


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _band(
    length: int, sigma: float, rows: slice, dtype: np.dtype[Any]
) -> tuple[tuple[_Block, ...], slice]:
    """Return blocks of some rows of scipy's filter as a matrix, and the columns they need.

    The rows and columns of the blocks count from the first of each.
    """
    matrix = np.eye(length)
    if sigma > 0:
        matrix = gaussian_filter1d(matrix, sigma, axis=0, mode="reflect", truncate=4.0)
    matrix = matrix[rows]
    needed = _span(matrix)
    blocks = []
    for start in range(0, len(matrix), BLOCK_ROWS):
        part = matrix[start : start + BLOCK_ROWS]
        columns = _span(part)
        blocks.append(
            _Block(
                slice(start, start + len(part)),
                slice(columns.start - needed.start, columns.stop - needed.start),
                np.ascontiguousarray(part[:, columns], dtype=dtype),
            )
        )
    return tuple(blocks), needed


def _span(matrix: FloatArray) -> slice:
    """Return the columns from the first to the last that is not all zero."""
    used = np.flatnonzero(matrix.any(axis=0))
    return slice(int(used[0]), int(used[-1]) + 1)
