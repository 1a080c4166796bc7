"""What sticks out of a mask: the eyes, where they were kept."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.masks.head import box_with_margin
from bidsmask.masks.upright import FloatArray, Upright

_BODY_MM = 15.0  # a ball of this radius fits into every part of a brain but its stem, into no eye
_THICK_MM = 6.0  # thinner remains are the rims of gyri
_LUMP_ML = (1.5, 40.0)
_APART_MM = (40.0, 90.0)  # eyes are 60 mm apart
_ALIKE_MM = 15.0
_BEHIND_FRONT_MM, _BELOW_TOP_MM = 25.0, 45.0


def eyes_ml(upright: Upright) -> float:
    """Return the volume of two lumps where eyes are: in front, below, left and right; else 0."""
    if not upright.inside.any():
        return 0.0
    margin = int(_BODY_MM / upright.step_mm) + 2
    inside = np.pad(upright.inside[box_with_margin(upright.inside, 0)], margin)
    body = _opened(inside, _BODY_MM / upright.step_mm)
    if not body.any():
        return 0.0
    thick = _opened(inside & ~body, _THICK_MM / upright.step_mm)
    labels, n_lumps = ndimage.label(thick)
    points = np.argwhere(body) * upright.step_mm
    front, top = np.percentile(points[:, 1], 99.5), np.percentile(points[:, 2], 99.5)
    middle = float(points[:, 0].mean())
    lumps: list[tuple[float, FloatArray]] = []
    for number in range(1, n_lumps + 1):
        places = np.argwhere(labels == number) * upright.step_mm
        volume_ml, centre = len(places) * upright.step_mm**3 / 1000, places.mean(axis=0)
        in_place = centre[1] > front - _BEHIND_FRONT_MM and centre[2] < top - _BELOW_TOP_MM
        if _LUMP_ML[0] <= volume_ml <= _LUMP_ML[1] and in_place:
            lumps.append((volume_ml, centre))
    pairs = [
        one[0] + other[0]
        for one, other in combinations(lumps, 2)
        if _are_eyes(one[1], other[1], middle)
    ]
    return max(pairs, default=0.0)


def _are_eyes(one: FloatArray, other: FloatArray, middle: float) -> bool:
    """Return whether two places, mm, lie as eyes do about the middle of the head."""
    apart = np.abs(one - other)
    is_paired = _APART_MM[0] <= apart[0] <= _APART_MM[1] and bool((apart[1:] <= _ALIKE_MM).all())
    return is_paired and bool(abs((one[0] + other[0]) / 2 - middle) <= _ALIKE_MM)


def _opened(inside: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Return what balls of a radius (points) within cover."""
    core = ndimage.distance_transform_edt(inside) > radius
    if not core.any():
        return np.zeros_like(inside)
    covered: NDArray[np.bool_] = ndimage.distance_transform_edt(~core) <= radius + 0.5
    return covered & inside
