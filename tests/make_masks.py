"""Masks made wrong on purpose, each with the code of the flag that names its fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bidsmask.masks.mask import Mask

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Fault:
    """A way to spoil a mask, and what the doctor calls it."""

    name: str
    code: str
    spoil: Callable[[Mask], BoolArray]

    def make(self, mask: Mask) -> Mask:
        return Mask(self.spoil(mask), mask.grid, "file")


def places_mm(mask: Mask) -> NDArray[np.float64]:
    """Return where each voxel is, (i, j, k, 3)."""
    shape = mask.grid.shape
    return mask.grid.to_mm(np.indices(shape).reshape(3, -1).T).reshape(*shape, 3)


def extent_mm(mask: Mask) -> NDArray[np.float64]:
    """Return the lowest and the highest place of a mask along x, y and z, (2, 3)."""
    return np.percentile(mask.grid.to_mm(mask.ijk), [0.2, 99.8], axis=0)


def part(axis: int, low: float, high: float) -> Callable[[Mask], BoolArray]:
    """Return what keeps a share of a mask's extent along x, y or z."""

    def spoil(mask: Mask) -> BoolArray:
        ends = extent_mm(mask)[:, axis]
        share = (places_mm(mask)[..., axis] - ends[0]) / (ends[1] - ends[0])
        return mask.voxels & (share >= low) & (share <= high)

    return spoil


def grown(mm: float) -> Callable[[Mask], BoolArray]:
    """Return what adds a layer around a mask, or takes one off."""

    def spoil(mask: Mask) -> BoolArray:
        sizes = mask.grid.voxel_sizes_mm
        if mm < 0:
            return ndimage.distance_transform_edt(mask.voxels, sampling=sizes) > -mm
        return ndimage.distance_transform_edt(~mask.voxels, sampling=sizes) <= mm

    return spoil


def shifted(*mm: float) -> Callable[[Mask], BoolArray]:
    """Return what moves a mask along x, y and z, to the nearest voxel."""

    def spoil(mask: Mask) -> BoolArray:
        steps = np.round(np.linalg.solve(mask.grid.affine[:3, :3], mm)).astype(int)
        return ndimage.shift(mask.voxels.astype(np.uint8), steps, order=0) > 0

    return spoil


def flipped(axis: int, *, in_place: bool) -> Callable[[Mask], BoolArray]:
    """Return what turns a mask around along x, y or z: within its own extent, or the image's."""

    def spoil(mask: Mask) -> BoolArray:
        along = int(np.abs(mask.grid.affine[axis, :3] / mask.grid.voxel_sizes_mm).argmax())
        box = mask.box[along]
        turned = np.flip(mask.voxels, along)
        if not in_place:
            return turned
        return np.roll(turned, box.start + box.stop - mask.grid.shape[along], along)

    return spoil


def cut_off(axis: int, mm: float) -> Callable[[Mask], BoolArray]:
    """Return what cuts some mm off a mask: off its end along x, y or z, or its start if below 0."""

    def spoil(mask: Mask) -> BoolArray:
        (low, high), along = extent_mm(mask)[:, axis], places_mm(mask)[..., axis]
        return mask.voxels & (along < high - mm if mm > 0 else along > low - mm)

    return spoil


def turned(axis: int, degrees: float) -> Callable[[Mask], BoolArray]:
    """Return what turns a mask about its middle, around x, y or z."""

    def spoil(mask: Mask) -> BoolArray:
        middle, turn = mask.grid.to_mm(mask.ijk).mean(axis=0), np.eye(4)
        around = np.radians(degrees) * np.eye(3)[axis]
        turn[:3, :3] = Rotation.from_rotvec(around).as_matrix()
        turn[:3, 3] = middle - turn[:3, :3] @ middle
        back = np.linalg.inv(turn @ mask.grid.affine) @ mask.grid.affine
        return ndimage.affine_transform(mask.voxels.astype(np.float32), back, order=1) > 0.5

    return spoil


def ball(ml: float) -> Callable[[Mask], BoolArray]:
    """Return a ball of a volume at the mask's middle."""

    def spoil(mask: Mask) -> BoolArray:
        radius_mm = (3000 * ml / (4 * np.pi)) ** (1 / 3)
        away = places_mm(mask) - mask.grid.to_mm(mask.ijk).mean(axis=0)
        return (away**2).sum(axis=-1) <= radius_mm**2

    return spoil


def with_forehead(mm: float, degrees: float) -> Callable[[Mask], BoolArray]:
    """Return what adds a layer at the forehead, within some degrees of up and to the front."""

    def spoil(mask: Mask) -> BoolArray:
        away = places_mm(mask) - mask.grid.to_mm(mask.ijk).mean(axis=0)
        ahead = away[..., 1] + away[..., 2] > np.sqrt(2) * np.cos(np.radians(degrees)) * (
            np.linalg.norm(away, axis=-1)
        )
        return mask.voxels | (grown(mm)(mask) & ahead)

    return spoil


def tunnelled(radius_mm: float, x: float, y: float) -> Callable[[Mask], BoolArray]:
    """Return what drives a tunnel from below up to 15 mm above the mask's middle."""

    def spoil(mask: Mask) -> BoolArray:
        away = places_mm(mask) - mask.grid.to_mm(mask.ijk).mean(axis=0)
        is_beside = ((away[..., :2] - (x, y)) ** 2).sum(axis=-1) > radius_mm**2
        return mask.voxels & (is_beside | (away[..., 2] > 15))

    return spoil


def with_balls(
    radius_mm: float, *from_front_top: tuple[float, float, float]
) -> Callable[[Mask], BoolArray]:
    """Return what adds balls at places from the middle, the front and the top of a mask, mm."""

    def spoil(mask: Mask) -> BoolArray:
        low, high = extent_mm(mask)
        corner = np.array([(low[0] + high[0]) / 2, high[1], high[2]])
        spoilt, places = mask.voxels.copy(), places_mm(mask)
        for place in from_front_top:
            spoilt |= ((places - corner - place) ** 2).sum(axis=-1) <= radius_mm**2
        return spoilt

    return spoil


def eyes(
    radius_mm: float, y: float, below: float, sides: tuple[int, ...] = (-31, 31)
) -> Callable[[Mask], BoolArray]:
    """Return what adds balls at both sides, their middles some mm below the frontal lobe."""

    def spoil(mask: Mask) -> BoolArray:
        low, high = extent_mm(mask)
        inside = mask.grid.to_mm(mask.ijk) - [(low[0] + high[0]) / 2, high[1], high[2]]
        balls = []
        for x in sides:
            column = np.abs(inside[:, :2] - (x, -20)).max(axis=1) < 6
            balls.append((x, y, inside[column, 2].min() - below))
        return with_balls(radius_mm, *balls)(mask)

    return spoil


def holed(mask: Mask) -> BoolArray:
    """Return a mask with two holes of 3 ml, 20 mm to either side of its middle."""
    middle = mask.grid.to_mm(mask.ijk).mean(axis=0)
    spoilt, places = mask.voxels.copy(), places_mm(mask)
    for place in ((20, 0, 15), (-20, -30, 15)):
        spoilt &= ((places - middle - place) ** 2).sum(axis=-1) > 81
    return spoilt


SHIFTS = {
    f"{mm:+d} mm along {'xyz'[axis]}": np.eye(3)[axis] * mm
    for axis, mm in product(range(3), (-10, 10))
}

FAULTS = (
    Fault("left half", "half-a-brain", part(0, 0, 0.5)),
    Fault("right half", "half-a-brain", part(0, 0.5, 1)),
    Fault("front half", "cut", part(1, 0.5, 1)),
    Fault("lower half", "cut", part(2, 0, 0.5)),
    Fault("cut at the top", "cut", part(2, 0, 0.75)),
    Fault("cut at the front", "cut", part(1, 0, 0.8)),
    Fault("cut at the left", "cut", part(0, 0.2, 1)),
    Fault("8 mm of skull", "skull-kept", grown(8)),
    Fault("12 mm of skull", "skull-kept", grown(12)),
    Fault("16 mm of skull", "skull-kept", grown(16)),
    Fault("8 mm of brain left out", "brain-left-out", grown(-8)),
    Fault("20 mm cut off at the back", "cut", cut_off(1, -20)),
    Fault("15 mm cut off at the top", "cut", cut_off(2, 15)),
    Fault("20 mm cut off at the front", "cut", cut_off(1, 20)),
    Fault("a ball", "ball", ball(1500)),
    Fault("a tunnel from below", "tunnel", tunnelled(8, 0, -10)),
    Fault("a tunnel at one side", "tunnel", tunnelled(8, 25, -20)),
    Fault("16 mm of the forehead kept", "scalp-kept", with_forehead(16, 40)),
    Fault("one eye", "eyes-kept", eyes(12, -8, 8, (31,))),
    Fault("eyes", "eyes-kept", eyes(12, -8, 8)),
    Fault("small eyes far down", "eyes-kept", eyes(11, -3, 14)),
    Fault("large eyes", "eyes-kept", eyes(13, -10, 6)),
    *(Fault(f"shifted by {name}", "displaced", shifted(*mm)) for name, mm in SHIFTS.items()),
    Fault("shifted askew", "displaced", shifted(6, 6, -6)),
    Fault("upside down", "upside-down", flipped(2, in_place=True)),
    Fault("upside down in the image", "upside-down", flipped(2, in_place=False)),
    Fault("back to front", "back-to-front", flipped(1, in_place=True)),
    Fault("turned upside down", "upside-down", turned(0, 180)),
    Fault("turned to its other side", "upside-down", turned(1, 180)),
    Fault("turned around", "back-to-front", turned(2, 180)),
    *(
        Fault(f"{name} by {degrees:+d} degrees", "tilted", turned(axis, degrees))
        for name, axis, degrees in (
            ("pitched", 0, 20),
            ("pitched", 0, -20),
            ("rolled", 1, 20),
            ("yawed", 2, 20),
        )
    ),
    Fault("holes", "holes", holed),
    Fault("another part", "several-parts", with_balls(8, (0, 20, -15))),
)
