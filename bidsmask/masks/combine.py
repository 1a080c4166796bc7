"""Masks of many runs joined to one: intersection, union, majority, or the share at each voxel.

They are counted one by one, so that any number of them takes the memory of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import GridMismatch, UnusableMask, UsageError
from bidsmask.images.morphology import largest_component

MAJORITY: Final = 0.5
INTERSECTION: Final = 1.0
UNION: Final = 0.0

# Masks that are made of masks, by name: the share of them that must be exceeded, and in words.
THRESHOLDS: Final = {"intersection": INTERSECTION, "union": UNION, "majority": MAJORITY}
IN_WORDS: Final = {
    "intersection": "all of the runs have in their mask",
    "union": "any of the runs has in its mask",
    "majority": "more than half of the runs have in their mask",
}

# nilearn's: at 1, more votes than there are masks would be needed.
_HIGHEST: Final = 1 - 1e-7


@dataclass(frozen=True, eq=False)
class Votes:
    """How many of some masks hold each voxel.

    Attributes
    ----------
    counts : (i, j, k) int32 array
    n_masks : int
        At least 1.
    """

    counts: NDArray[np.int32]
    n_masks: int

    @property
    def share(self) -> NDArray[np.float32]:
        """The share of the masks that hold each voxel, 0 to 1, (i, j, k)."""
        return (self.counts / self.n_masks).astype(np.float32)

    def intersect(self, threshold: float, *, connected: bool = True) -> NDArray[np.bool_]:
        """Return the voxels that more than a share of the masks hold.

        The voxels of nilearn's `intersect_masks`.

        Parameters
        ----------
        threshold : float
            From 0, the union, to 1, the intersection. At .5, of two masks both are needed.
        connected : bool
            Keep only the largest component.

        Returns
        -------
        (i, j, k) bool array
            May be empty.

        Raises
        ------
        UsageError
            A threshold outside of 0 to 1.
        """
        if not 0 <= threshold <= 1:
            raise UsageError(f"threshold {threshold:g}", "is no share of masks", "Give 0 to 1.")
        inside: NDArray[np.bool_] = self.counts > min(threshold, _HIGHEST) * self.n_masks
        return largest_component(inside) if connected else inside

    def at_least(self, share: float) -> NDArray[np.bool_]:
        """Return the voxels that this share of the masks hold, or more, (i, j, k).

        Parameters
        ----------
        share : float
            Above 0, up to 1. Of three masks, .66 needs two and .67 all.
        """
        # .7 of ten masks is 7.000000000000001 in floating point, and means seven.
        needed: NDArray[np.bool_] = self.counts >= share * self.n_masks * _HIGHEST
        return needed


def count_votes(
    masks: Iterable[NDArray[np.bool_]], where: str = "the combination of masks"
) -> Votes:
    """Count how many masks hold each voxel.

    Parameters
    ----------
    masks : iterable of (i, j, k) bool arrays
        On one grid; they may be empty. None is kept or changed.
    where : str
        What messages are about.

    Raises
    ------
    UnusableMask
        There is no mask.
    GridMismatch
        One has another shape than the first.
    """
    counts: NDArray[np.int32] | None = None
    n_masks = 0
    for voxels in masks:
        if counts is None:
            counts = np.zeros(voxels.shape, np.int32)
        elif voxels.shape != counts.shape:
            shapes = f"{counts.shape} first, {voxels.shape} as mask {n_masks + 1}"
            raise GridMismatch(where, f"has masks of different shapes: {shapes}")
        counts += voxels
        n_masks += 1
    if counts is None:
        raise UnusableMask(where, "has no mask that could be combined")
    return Votes(counts, n_masks)
