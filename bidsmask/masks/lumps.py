"""What sticks out of a mask, as eyes that were kept do, and what leads into it, as a tunnel."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.masks.head import box_with_margin
from bidsmask.masks.surface import close
from bidsmask.masks.upright import FloatArray, Upright

_BODY_MM = 15.0  # a ball of this radius fits into every part of a brain but its stem, into no eye
_THICK_MM = 6.0  # thinner remains are the rims of gyri
_LUMP_ML = (1.5, 40.0)
_APART_MM = (40.0, 90.0)  # eyes are 60 mm apart
_ALIKE_MM = 15.0
_BEHIND_FRONT_MM, _BELOW_TOP_MM = 25.0, 45.0
_ONE_ML = 2.5  # a single lump must be larger to be taken for an eye
_TO_THE_SIDE_MM = (20.0, 45.0)

_CLOSED_MM, _WIDE_MM = 12.0, 4.5
_BRIGHT = 0.7  # of the mean inside; fluid in sulci and fissures is darker, or not as wide


def tunnels_ml(upright: Upright) -> float:
    """Return the volume of the largest gap that leads into a mask and looks like its inside.

    A gap is what closing by 12 mm fills, as far as a ball of 9 mm fits into its bright part.
    """
    if not upright.inside.any():
        return 0.0
    margin = int(_CLOSED_MM / upright.step_mm) + 3
    box = box_with_margin(upright.inside, 0)
    inside, image = np.pad(upright.inside[box], margin), np.pad(upright.image[box], margin)
    filled = close(inside, _CLOSED_MM, upright.step_mm)
    bright = filled & ~inside & (image > _BRIGHT * image[inside].mean())
    labels, _ = ndimage.label(_opened(bright, _WIDE_MM / upright.step_mm))
    largest = int(np.bincount(labels.ravel())[1:].max(initial=0))
    return largest * upright.step_mm**3 / 1000


def eyes_ml(upright: Upright) -> float:
    """Return the volume of what sticks out where eyes are: in front, below, to a side; else 0.

    One lump must be larger than each of two that lie alike on both sides.
    """
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
    ones = [ml for ml, centre in lumps if ml > _ONE_ML and _is_eye(centre, middle)]
    return max([*pairs, *ones], default=0.0)


def _is_eye(place: FloatArray, middle: float) -> bool:
    """Return whether a place, mm, lies as far from the middle of the head as an eye does."""
    return bool(_TO_THE_SIDE_MM[0] <= abs(place[0] - middle) <= _TO_THE_SIDE_MM[1])


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
