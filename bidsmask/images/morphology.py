"""What masks need of mathematical morphology: openings and the largest component."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BoolArray = NDArray[np.bool_]


def erode(voxels: BoolArray, iterations: int) -> BoolArray:
    """Erode by the 6-neighbour cross, with background beyond the field of view.

    Parameters
    ----------
    voxels : (i, j, k) bool array
    iterations : int
        0 returns the array itself (scipy would go on until nothing changes).
    """
    if iterations == 0:
        return voxels
    eroded: BoolArray = ndimage.binary_erosion(voxels, iterations=iterations)
    return eroded


def dilate(voxels: BoolArray, iterations: int) -> BoolArray:
    """Dilate by the 6-neighbour cross; 0 iterations return the array itself."""
    if iterations == 0:
        return voxels
    dilated: BoolArray = ndimage.binary_dilation(voxels, iterations=iterations)
    return dilated


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
    inside = np.pad(voxels, margin, mode="edge") if margin else voxels
    inside = erode(inside, opening)
    if connected:
        inside = largest_component(inside)
    inside = erode(dilate(inside, 2 * opening), opening)
    i, j, k = voxels.shape
    return inside[margin : margin + i, margin : margin + j, margin : margin + k]
