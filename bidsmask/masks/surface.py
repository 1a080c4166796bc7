"""Closed surfaces as signed distances: negative inside, 0 on the surface, in mm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.images.morphology import largest_component
from bidsmask.masks.head import Float32Array

BoolArray = NDArray[np.bool_]


def signed_distance(inside: BoolArray, voxel_mm: float) -> Float32Array:
    """Return the distance of each voxel from the surface between voxels.

    Parameters
    ----------
    inside : (i, j, k) bool array
        With some voxels in and some out.
    voxel_mm : float
        Edge of the cubic voxels.

    Returns
    -------
    (i, j, k) float32 array
        The surface runs half a voxel off the centres: at whole voxels, distances would tie.
    """
    within = 0.5 - ndimage.distance_transform_edt(inside)
    without = ndimage.distance_transform_edt(~inside) - 0.5
    return (np.where(inside, within, without) * voxel_mm).astype(np.float32)


def grow(inside: BoolArray, mm: float, voxel_mm: float) -> BoolArray:
    """Dilate by a ball; a negative radius erodes. Beyond the array there is what its edge has."""
    if mm < 0:
        return np.asarray(~grow(~inside, -mm, voxel_mm))
    grown: BoolArray = ndimage.distance_transform_edt(~inside) * voxel_mm <= mm
    return grown


def close(inside: BoolArray, mm: float, voxel_mm: float) -> BoolArray:
    """Close by a ball, background all around, and fill the holes."""
    margin = int(mm / voxel_mm) + 2
    wide = np.pad(inside, margin)
    closed = ndimage.distance_transform_edt(grow(wide, mm, voxel_mm)) * voxel_mm > mm
    filled: BoolArray = ndimage.binary_fill_holes(closed)
    i, j, k = inside.shape
    return filled[margin : margin + i, margin : margin + j, margin : margin + k]


def cut_bridges(inside: BoolArray, radius_mm: float, voxel_mm: float) -> BoolArray:
    """Return the largest part that hangs together by more than bridges of twice a radius."""
    core = largest_component(ndimage.distance_transform_edt(inside) * voxel_mm > radius_mm)
    if not core.any():
        return inside
    return inside & grow(core, radius_mm + voxel_mm / 2, voxel_mm)
