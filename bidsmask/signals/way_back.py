"""The way back: rows of the signals become volumes again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidsmask.errors import UsageError
from bidsmask.images.blank import blank
from bidsmask.images.grid import flat_indices
from bidsmask.masks.mask import Mask
from bidsmask.signals.extractor import FloatArray
from bidsmask.signals.maps import DENSE, Maps, narrowed, used_columns
from bidsmask.signals.regions import IntArray, Regions

# Volumes that maps are added up for at a time: one look at the weights serves them all.
BLOCK_VOLUMES = 16


class WayBack:
    """What each column says of each voxel: the numbers of nilearn's `inverse_transform`.

    Parameters
    ----------
    shape : (int, int, int)
        Of a volume.
    ijk : (n_voxels, 3) int array
        The voxels that columns say something of; all others are 0.
    weights : (n_voxels, n_columns) sparse array
        A voxel's value is their product with the row.
    """

    def __init__(
        self, shape: tuple[int, int, int], ijk: IntArray, weights: sparse.csr_array
    ) -> None:
        self.shape = shape
        self.n_columns: int = weights.shape[1]
        places = flat_indices(ijk, shape)
        # In file order writing takes a third of the time.
        order = np.argsort(places)
        self._places = places[order]
        self._weights = weights = weights[order]
        is_choice = bool(np.all(np.diff(weights.indptr) == 1) and np.all(weights.data == 1))
        # A look-up takes a tenth of the time of a product.
        self._chosen = weights.indices if is_choice else None
        is_dense = not is_choice and weights.nnz > DENSE * np.prod(weights.shape)
        self._dense = weights.toarray() if is_dense else None

    @classmethod
    def of_voxels(cls, mask: Mask) -> WayBack:
        """Return the way back of voxel signals: each column to its voxel."""
        return cls(mask.grid.shape, mask.ijk, sparse.csr_array(sparse.eye_array(mask.n_voxels)))

    @classmethod
    def of_regions(cls, regions: Regions, shape: tuple[int, int, int]) -> WayBack:
        """Return the way back of labels or spheres.

        Each voxel gets the value of its region; one of several regions, their mean.
        """
        is_in = sparse.csr_array(regions.matrix.T)
        shares = sparse.diags_array(1 / np.diff(is_in.indptr))
        return cls(shape, regions.ijk, sparse.csr_array(shares @ is_in))

    @classmethod
    def of_maps(cls, maps: Maps, mask: Mask) -> WayBack:
        """Return the way back of maps: each voxel gets the sum of signals times maps."""
        support = used_columns(maps.weights)
        weights = sparse.csr_array(narrowed(maps.weights, support).T)
        return cls(mask.grid.shape, mask.ijk[support], weights)

    def volumes(self, rows: FloatArray) -> Iterator[FloatArray]:
        """Yield a volume of each row, (i, j, k) in file order; valid until the next is asked for.

        Parameters
        ----------
        rows : (n, n_columns) float32 or float64 array
            A NaN is one at the voxels of its column.

        Raises
        ------
        UsageError
            Rows of another length.
        """
        self._check(rows)
        volume = np.zeros(int(np.prod(self.shape)), rows.dtype)
        for values in self._values(rows):
            volume[self._places] = values
            yield volume.reshape(self.shape, order="F")

    def array(self, rows: FloatArray) -> FloatArray:
        """Return the volumes of all rows, (i, j, k, n) in file order.

        Raises
        ------
        UsageError
            Rows of another length.
        """
        self._check(rows)
        volumes = blank((*self.shape, len(rows)), rows.dtype)
        flat = volumes.reshape((-1, len(rows)), order="F")
        for volume, values in zip(flat.T, self._values(rows), strict=True):
            volume[self._places] = values
        return volumes

    def _check(self, rows: npt.NDArray[np.floating]) -> None:
        if rows.ndim != 2 or rows.shape[1] != self.n_columns:
            problem = f"have shape {rows.shape}, but {self.n_columns} columns are needed"
            raise UsageError("the signals", problem, "Give volumes x columns.")

    def _values(self, rows: FloatArray) -> Iterator[FloatArray]:
        """Yield the values of the voxels, row by row."""
        if self._chosen is not None:
            yield from (row.take(self._chosen) for row in rows)
            return
        for start in range(0, len(rows), BLOCK_VOLUMES):
            block = np.asarray(rows[start : start + BLOCK_VOLUMES], np.float64)
            # Dense products would carry a NaN to voxels that its column says nothing of.
            if self._dense is not None and np.isfinite(block).all():
                yield from block @ self._dense.T
            else:
                yield from (self._weights @ block.T).T
