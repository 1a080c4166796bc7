"""The random walker (Grady 2006): each voxel goes to the seed that a walk from it meets first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from bidsmask.errors import UnusableImage
from bidsmask.regions.multigrid import Multigrid, solve

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
LabelArray = NDArray[np.int32]

# nilearn's: weight = exp(-BETA / (10 sd) (difference)²) + SMALLEST_WEIGHT, with the standard
# deviation over the whole volume.
BETA = 130.0
SMALLEST_WEIGHT = 1e-10

# Of the probabilities: small regions in flat parts of a map have a Dice of .95 with those of an
# exact solution at 5e-4, and of 1 at 1e-4.
TOLERANCE = 1e-4
# Where no weight is smaller, float32 rounds no edge away, and takes two thirds of the time.
EVEN = 1e-5
# Columns that are solved together, and the most values of such a block (32 MB).
MOST_COLUMNS = 16
MOST_VALUES = 1 << 22


def random_walker(values: NDArray[Any], seeds: LabelArray) -> LabelArray:
    """Divide the non-zero voxels of a map among seeds.

    The problem that nilearn's `random_walker` poses, with its weights: neighbours (6) are the
    nearer, the less their values differ. It is solved component by component, each with the
    seeds that lie in it, and to a known error in the probabilities, however weak the weights.

    Parameters
    ----------
    values : (i, j, k) array, real and finite
        The map; voxels of value 0 take no part.
    seeds : (i, j, k) int32 array
        Seed of each voxel from 1, 0 for none. Voxels where the map is 0 do not count.

    Returns
    -------
    (i, j, k) int32 array
        The seed that each voxel goes to. 0 outside the map, in components without a seed, and
        in components of nothing but seeds: nilearn leaves those out, too, unless nothing is
        left to divide anywhere; then the seeds themselves come back.

    Raises
    ------
    UnusableImage
        The values are so large or small that the weights are not defined, or that the solver
        does not come to an end.
    """
    components, _ = ndimage.label(values != 0)
    seeds = np.where(components > 0, seeds, 0).astype(np.int32)
    with_seed = np.unique(components[seeds > 0])
    divided = np.intersect1d(with_seed, components[seeds == 0])
    divided = divided[divided > 0]
    if not len(divided):
        return seeds
    sharpness = _sharpness(values)
    result = np.zeros_like(seeds)
    boxes = ndimage.find_objects(components)
    for component in divided:
        box = boxes[component - 1]
        inside = components[box] == component
        result[box][inside] = _divide(values[box], seeds[box], inside, sharpness)
    return result


def _sharpness(values: NDArray[Any]) -> float:
    """Return what squared differences are multiplied by."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        sharpness = BETA / (10 * np.std(values, dtype=np.float64))
    if not (np.isfinite(sharpness) and sharpness > 0):
        extreme = np.abs(values).max()
        raise UnusableImage("the map", f"has values up to {extreme:g}, out of all proportion")
    return float(sharpness)


def _divide(
    values: NDArray[Any], seeds: LabelArray, inside: BoolArray, sharpness: float
) -> LabelArray:
    """Return the seed of each voxel of one component, in C order."""
    given = seeds[inside]
    labels = np.unique(given[given > 0])
    if len(labels) == 1:
        return np.full(len(given), labels[0], np.int32)
    problem = _problem(values.astype(np.float64), given, labels, inside, sharpness)
    result = given.copy()
    result[given == 0] = labels[_most_probable(problem)]
    return result


@dataclass(frozen=True, eq=False)
class _Problem:
    """Find the probabilities x of `matrix x = sides`."""

    matrix: Any  # (n_free, n_free) sparse: the Laplacian between voxels without a seed
    sides: Any  # (n_free, n_labels) sparse: the weights of their edges to each seed
    smallest_weight: float


def _problem(
    values: FloatArray,
    given: LabelArray,
    labels: LabelArray,
    inside: BoolArray,
    sharpness: float,
) -> _Problem:
    """Return the equations of one component."""
    first, second = _edges(inside)
    inner = values[inside]
    with np.errstate(over="ignore", under="ignore"):
        weight = np.exp(-sharpness * (inner[first] - inner[second]) ** 2) + SMALLEST_WEIGHT
    n_voxels = len(given)
    degree = np.bincount(first, weight, n_voxels) + np.bincount(second, weight, n_voxels)
    is_free = given == 0
    number = np.cumsum(is_free, dtype=np.int32) - 1
    free = np.flatnonzero(is_free)

    both = is_free[first] & is_free[second]
    here, there, w = number[first[both]], number[second[both]], weight[both]
    diagonal = np.arange(len(free), dtype=np.int32)
    rows = np.concatenate([here, there, diagonal])
    columns = np.concatenate([there, here, diagonal])
    entries = np.concatenate([-w, -w, degree[free]])
    matrix = sparse.coo_array((entries, (rows, columns)), shape=(len(free), len(free))).tocsr()

    # An edge between a free voxel and a seed, whichever of the two comes first.
    forth, back = is_free[first] & ~is_free[second], ~is_free[first] & is_free[second]
    rows = number[np.concatenate([first[forth], second[back]])]
    seed = given[np.concatenate([second[forth], first[back]])]
    entries = np.concatenate([weight[forth], weight[back]])
    columns = np.searchsorted(labels, seed).astype(np.int32)
    sides = sparse.coo_array((entries, (rows, columns)), shape=(len(free), len(labels))).tocsc()
    return _Problem(matrix, sides, float(weight.min()))


def _edges(inside: BoolArray) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the ends of all edges between neighbours, as numbers of voxels in C order."""
    number = np.cumsum(inside, dtype=np.int32).reshape(inside.shape) - 1
    ends: tuple[list[NDArray[np.int32]], list[NDArray[np.int32]]] = ([], [])
    for axis in range(3):
        along = np.moveaxis(number, axis, 0)
        is_inside = np.moveaxis(inside, axis, 0)
        is_edge = is_inside[:-1] & is_inside[1:]
        ends[0].append(along[:-1][is_edge])
        ends[1].append(along[1:][is_edge])
    return np.concatenate(ends[0]), np.concatenate(ends[1])


def _most_probable(problem: _Problem) -> NDArray[np.intp]:
    """Return the column with the highest probability for each free voxel; of equals the first."""
    n_free, n_labels = problem.sides.shape
    dtype = np.float32 if problem.smallest_weight > EVEN else np.float64
    grid = Multigrid(problem.matrix, dtype)
    highest = np.full(n_free, -np.inf)
    winner = np.zeros(n_free, np.intp)
    rest = np.ones(n_free)
    width = max(1, min(MOST_COLUMNS, MOST_VALUES // n_free))

    # The probabilities of all seeds add up to 1, so the last one needs no solution.
    for start in range(0, n_labels - 1, width):
        some = problem.sides[:, start : min(start + width, n_labels - 1)]
        found = solve(grid, some.astype(dtype).toarray(order="C"), TOLERANCE)
        rest -= found.sum(axis=1, dtype=np.float64)
        best = found.argmax(axis=1)
        probability = found[np.arange(n_free), best]
        is_higher = probability > highest
        highest[is_higher] = probability[is_higher]
        winner[is_higher] = start + best[is_higher]
    winner[rest > highest] = n_labels - 1
    return winner
