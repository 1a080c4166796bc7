"""Laplacians of graphs, solved by multigrid with conjugate gradients, several sides at once.

The hierarchy is smoothed aggregation (Vaněk, Mandel and Brezina 1996) on pyamg's aggregates. All
linear steps of a level are folded into two sparse matrices, so that a cycle is four products
with blocks of columns: each matrix is read once for all columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bidsmask.errors import UnusableImage

FloatArray = NDArray[np.floating[Any]]

# Neighbours whose weight is less than this share of both their diagonals are not joined: 7 to 9
# cycles on smooth maps, where .02 needs 8 to 9 and .05 takes a third longer to set up.
STRONG = 0.03
# A damped Jacobi step; below 2 it is stable on every level, since each row is weighted by the
# sum of its absolute values.
DAMPING = 1.5
# Nodes of a level that a dense matrix solves.
COARSEST = 300
MOST_CYCLES = 200


@dataclass(frozen=True, eq=False)
class _Level:
    """A smoothing before and after the correction from the level below, as matrices."""

    smoother: Any  # (n, n): what both smoothings give by themselves
    up: Any  # (n, n_coarse): the correction, smoothed
    down: Any  # its transpose


class Multigrid:
    """A cycle for one symmetric positive definite matrix.

    Parameters
    ----------
    matrix : (n, n) sparse CSR array, float64
        A graph's Laplacian with some nodes held fixed: no positive value off the diagonal, no
        negative row sum.
    dtype : float32 or float64
        Of all that is done with it; float32 loses weights that are less than its rounding of
        others.
    """

    def __init__(self, matrix: Any, dtype: type[np.floating[Any]] = np.float64) -> None:
        self.matrix = _with(matrix, matrix.data.astype(dtype))
        self._levels: list[_Level] = []
        while matrix.shape[0] > COARSEST:
            weight = DAMPING / abs(matrix).sum(axis=1)
            step = _with(matrix, matrix.data * np.repeat(weight, np.diff(matrix.indptr)))
            aggregates = _aggregates(matrix)
            prolongation = (aggregates - step @ aggregates).tocsr()
            up = (prolongation - step @ prolongation).tocsr()
            smoother = _with(step, -step.data * weight[step.indices])
            smoother.setdiag(smoother.diagonal() + 2 * weight)
            parts = (smoother, up, up.T.tocsr())
            self._levels.append(_Level(*(_with(part, part.data.astype(dtype)) for part in parts)))
            matrix = (prolongation.T.tocsr() @ (matrix @ prolongation)).tocsr()
        inverse = np.linalg.pinv(matrix.toarray(), hermitian=True)
        self._coarsest: FloatArray = inverse.astype(dtype)

    def cycle(self, residual: FloatArray, level: int = 0) -> FloatArray:
        """Return about the matrix's inverse times the residual, (n, n_columns)."""
        if level == len(self._levels):
            return self._coarsest @ residual
        here = self._levels[level]
        correction: FloatArray = here.smoother @ residual
        correction += here.up @ self.cycle(here.down @ residual, level + 1)
        return correction


def solve(grid: Multigrid, sides: FloatArray, tolerance: float) -> FloatArray:
    """Solve for several sides by conjugate gradients, with a multigrid cycle before each step.

    Parameters
    ----------
    grid : Multigrid
        Of the matrix.
    sides : (n, n_columns) array, float32 or float64 as the grid
        Right-hand sides. Not changed.
    tolerance : float
        The end: a cycle changes no value of the solution by more.

    Returns
    -------
    (n, n_columns) array of that type

    Raises
    ------
    UnusableImage
        That end was not reached after `MOST_CYCLES`.
    """
    residual = sides.copy()
    solution = np.zeros_like(sides)
    scaled = np.empty_like(sides)
    direction = np.zeros_like(sides)
    before = np.zeros(sides.shape[1], sides.dtype)
    for _ in range(MOST_CYCLES):
        correction = grid.cycle(residual)
        error = max(correction.max(), -correction.min())
        if error <= tolerance:
            solution += correction
            return solution
        now = np.einsum("ij,ij->j", residual, correction)
        direction *= _ratio(now, before)
        direction += correction
        before = now
        change = grid.matrix @ direction
        length = _ratio(now, np.einsum("ij,ij->j", direction, change))
        np.multiply(direction, length, out=scaled)
        solution += scaled
        change *= length
        residual -= change
    raise UnusableImage(
        "the map",
        f"is not divided after {MOST_CYCLES} cycles of the random walker: a probability still "
        f"changes by {error:.2g}, more than {tolerance:g}",
        "Smooth the map, or take connected_components.",
    )


def _with(matrix: Any, data: FloatArray) -> Any:
    """Return a CSR array of other values in the same places; `astype` would sort and copy all."""
    return sparse.csr_array((data, matrix.indices, matrix.indptr), matrix.shape)


def _aggregates(matrix: Any) -> Any:
    """Return which nodes are one node of the level below, (n, n_coarse) sparse of ones."""
    from pyamg.aggregation import standard_aggregation
    from pyamg.strength import symmetric_strength_of_connection

    joined = standard_aggregation(symmetric_strength_of_connection(matrix, STRONG))[0].tocsr()
    is_alone = np.diff(joined.indptr) == 0
    number = np.full(len(is_alone), -1)
    number[~is_alone] = joined.indices
    # pyamg leaves out who is tied weakly for both of two nodes. One whose only ties are weak hangs
    # on all the same: without it, no node below could move it together with what it hangs on, and
    # weights of 1e-10 beside others of 1 were not solved after 200 cycles. With it, 10 to 15 do.
    heads = _heads(matrix, is_alone)
    number = number[heads]
    founders = np.unique(heads[(number < 0) & (heads != np.arange(len(heads)))])
    number[founders] = joined.indices.max(initial=-1) + 1 + np.arange(len(founders))
    number = number[heads]
    rows = np.flatnonzero(number >= 0)
    shape = (len(number), max(1, number.max() + 1))
    return sparse.csr_array((np.ones(len(rows)), (rows, number[rows])), shape=shape)


def _heads(matrix: Any, is_alone: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return for each node whom it joins: itself, unless it is alone and somebody holds it."""
    alone = np.flatnonzero(is_alone)
    rows = matrix[alone]
    heads = np.arange(matrix.shape[0])
    if not rows.nnz:
        return heads
    lowest = np.minimum.reduceat(rows.data, rows.indptr[:-1])
    row = np.repeat(np.arange(len(alone)), np.diff(rows.indptr))
    is_heaviest = rows.data == lowest[row]
    # Backwards, so that of equal ones the first stays, and two heads never follow each other in a
    # ring of more than two.
    heads[alone[row[is_heaviest]][::-1]] = rows.indices[is_heaviest][::-1]
    is_free = lowest > -STRONG * matrix.diagonal()[alone]
    heads[alone[is_free]] = alone[is_free]
    is_root = (heads[heads] == np.arange(len(heads))) & (heads > np.arange(len(heads)))
    heads[is_root] = np.flatnonzero(is_root)
    for _ in range(len(alone).bit_length()):
        heads = heads[heads]
    return heads


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Divide, with 0 before the first step and for columns that are solved already."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
