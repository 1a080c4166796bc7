"""What masks need of mathematical morphology: openings, closings, holes, the largest component."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.images.grid import Box, box_of

BoolArray = NDArray[np.bool_]


def erode(voxels: BoolArray, iterations: int) -> BoolArray:
    """Erode by the 6-neighbour cross, with background beyond the field of view.

    Parameters
    ----------
    voxels : (i, j, k) bool array
    iterations : int
        0 returns the array itself.
    """
    for _ in range(iterations):
        eroded = voxels.copy(order="K")
        for axis in range(3):
            after, before = np.moveaxis(eroded, axis, 0), np.moveaxis(voxels, axis, 0)
            # Whole arrays, shifted: a quarter of the time of scipy's binary_erosion.
            after[1:] &= before[:-1]
            after[:-1] &= before[1:]
            after[[0, -1]] = False
        voxels = eroded
    return voxels


def dilate(voxels: BoolArray, iterations: int) -> BoolArray:
    """Dilate by the 6-neighbour cross; 0 iterations return the array itself."""
    for _ in range(iterations):
        dilated = voxels.copy(order="K")
        for axis in range(3):
            after, before = np.moveaxis(dilated, axis, 0), np.moveaxis(voxels, axis, 0)
            after[1:] |= before[:-1]
            after[:-1] |= before[1:]
        voxels = dilated
    return voxels


def largest_component(voxels: BoolArray) -> BoolArray:
    """Return the largest 6-connected component; of equals, the first in C order.

    nilearn's `largest_connected_component`. Without any voxel, the array itself.
    """
    labels, n_components = ndimage.label(voxels)
    if n_components == 0:
        return voxels
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest: BoolArray = labels == sizes.argmax()
    return largest


def fill_holes(voxels: BoolArray) -> BoolArray:
    """Fill the background that no 6-connected path leads to from a side of the field of view.

    The voxels of scipy's `binary_fill_holes`, by components: 0.1 s against 0.9 s for 8.5 million.
    """
    labels, n_components = ndimage.label(~voxels)
    is_outside = np.zeros(n_components + 1, dtype=bool)
    for axis in range(3):
        sides = labels.take([0, -1], axis=axis)
        is_outside[sides.ravel()] = True
    is_outside[0] = False
    filled: BoolArray = ~is_outside[labels]
    return filled


def dilate_by_ball(voxels: BoolArray, radius: int) -> BoolArray:
    """Dilate by a ball whose surface belongs to it, with background beyond the field of view.

    The ball is a bundle of lines along k: 60 shifts of whole arrays for a closing by 3 voxels,
    8 times faster than by distances.
    """
    lines = [voxels]
    for reach in range(1, radius + 1):
        longer = lines[-1].copy()
        longer[..., reach:] |= voxels[..., :-reach]
        longer[..., :-reach] |= voxels[..., reach:]
        lines.append(longer)
    dilated = np.zeros_like(voxels)
    for i, j in product(range(-radius, radius + 1), repeat=2):
        if i * i + j * j <= radius * radius:
            line = lines[math.isqrt(radius * radius - i * i - j * j)]
            (to_i, from_i), (to_j, from_j) = _shifted(i), _shifted(j)
            dilated[to_i, to_j] |= line[from_i, from_j]
    return dilated


def _shifted(step: int) -> tuple[slice, slice]:
    """Return where voxels go, and where they come from, in a shift along an axis."""
    low, high = (
        slice(max(step, 0), min(step, 0) or None),
        slice(max(-step, 0), -max(step, 0) or None),
    )
    return low, high


def close_by_ball(voxels: BoolArray, radius: int) -> BoolArray:
    """Dilate and erode by a ball, with what lies beyond the field of view of no effect.

    Parameters
    ----------
    voxels : (i, j, k) bool array
    radius : int
        Of the ball, voxels; its surface belongs to it.

    Returns
    -------
    (i, j, k) bool array
        Those of scikit-image's `binary_closing(voxels, ball(radius))`.
    """
    return ~dilate_by_ball(~dilate_by_ball(voxels, radius), radius)


def open_and_connect(
    voxels: BoolArray, *, opening: int, connected: bool, keep_edges: bool = False
) -> BoolArray:
    """Take off what hangs on a thread, keep the largest part, close its holes.

    Parameters
    ----------
    voxels : (i, j, k) bool array
    opening : int
        Erosions; then twice as many dilations and as many erosions again. 0 for none.
    connected : bool
        Keep only the largest component of what the first erosions left.
    keep_edges : bool
        Continue the mask beyond the field of view by its edge voxels first. Without, as in
        nilearn's `_post_process_mask`, a brain that touches the edge loses `opening` layers.

    Returns
    -------
    (i, j, k) bool array
        May be empty.
    """
    margin = 3 * opening if keep_edges else 0
    whole = np.pad(voxels, margin, mode="edge") if margin else voxels
    result = np.zeros_like(whole)
    if whole.any():
        # What was eroded grows beyond its place by as many layers, and the border stays background.
        box = _box_with_room(whole, opening + 1)
        inside = erode(whole[box], opening)
        if connected:
            inside = largest_component(inside)
        result[box] = erode(dilate(inside, 2 * opening), opening)
    i, j, k = voxels.shape
    return result[margin : margin + i, margin : margin + j, margin : margin + k]


def _box_with_room(voxels: BoolArray, room: int) -> Box:
    """Return the smallest box that holds all voxels, with room around inside the field of view."""
    i, j, k = (
        slice(max(0, part.start - room), min(length, part.stop + room))
        for part, length in zip(box_of(voxels), voxels.shape, strict=True)
    )
    return i, j, k
