"""What the shape of a mask tells, whatever its image: parts, holes, sides, symmetry, lumps."""

from __future__ import annotations

from itertools import product

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.masks.mask import Mask
from bidsmask.masks.upright import FloatArray, Surface, Upright

BoolArray = NDArray[np.bool_]

_OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "I": "S", "S": "I"}
_TILTS_DEGREES = (12, 6, 3)
_LARGEST_TILT = 30
_NEARLY_DEGREES, _FLAT_DEGREES, _FLAT_MM = 14.0, 8.0, 4.5
_N_DIRECTIONS = 200
_SMOOTH = 1.2  # points of the lattice


def part_volumes_ml(mask: Mask) -> list[float]:
    """Return the volume of each component, the largest first; 26 neighbours hang together."""
    labels, _ = ndimage.label(mask.voxels[mask.box], np.ones((3, 3, 3), bool))
    sizes = np.sort(np.bincount(labels.ravel())[1:])[::-1]
    return [float(size) * mask.grid.voxel_volume_mm3 / 1000 for size in sizes]


def hole_volumes_ml(mask: Mask) -> list[float]:
    """Return the volume of each hole, the largest first.

    A hole is background from which no path over faces leads out of the mask's box, whose sides
    at the field of view are open.
    """
    labels, _ = ndimage.label(~np.pad(mask.voxels[mask.box], 1))
    sizes = np.bincount(labels.ravel())
    sizes[[0, labels[0, 0, 0]]] = 0
    holes = np.sort(sizes[sizes > 0])[::-1]
    return [float(size) * mask.grid.voxel_volume_mm3 / 1000 for size in holes]


def euler_number(mask: Mask) -> int:
    """Return parts minus tunnels plus holes: vertices - edges + faces - cubes of the voxels."""
    cubes = np.pad(mask.voxels[mask.box], 1)
    total = 0
    for along in product((False, True), repeat=3):
        cells = cubes
        for axis, is_joined in enumerate(along):
            if is_joined:
                cells = cells[_but_last(axis)] | cells[_but_first(axis)]
        total += (-1) ** (3 - sum(along)) * int(np.count_nonzero(cells))
    return total


def _but_last(axis: int) -> tuple[slice, ...]:
    return tuple(slice(None, -1) if one == axis else slice(None) for one in range(3))


def _but_first(axis: int) -> tuple[slice, ...]:
    return tuple(slice(1, None) if one == axis else slice(None) for one in range(3))


def side_shares(mask: Mask) -> dict[str, float]:
    """Return the share of the mask's surface that lies on each side of the field of view.

    Returns
    -------
    dict of str to float
        By L, R, A, P, I and S: that side's faces of voxels over all faces, by their areas.
    """
    voxels, edges = mask.voxels, mask.grid.affine[:3, :3].T
    on_sides: dict[str, float] = {}
    total = 0.0
    for axis, code in enumerate(_codes(mask.grid.affine)):
        area = float(np.linalg.norm(np.cross(edges[axis - 2], edges[axis - 1])))
        padded = np.pad(voxels[mask.box], 1)
        total += area * np.count_nonzero(padded[_but_last(axis)] != padded[_but_first(axis)])
        for side, name in ((0, _OPPOSITE[code]), (-1, code)):
            on_sides[name] = area * np.count_nonzero(voxels.take(side, axis))
    return {name: float(on_sides[name] / total) for name in "LRAPIS"}


def _codes(affine: FloatArray) -> tuple[str, str, str]:
    """Return the side at the end of i, j and k."""
    i, j, k = nib.orientations.aff2axcodes(affine)  # type: ignore[no-untyped-call]  # nibabel
    return i, j, k


def asymmetry(upright: Upright) -> float:
    """Return the share of a mask that its mirror image, left for right, does not cover.

    The midplane is the mask's own: through its centre of mass, tilted by up to 30 degrees so
    that the two halves cover each other best.
    """
    points = np.argwhere(upright.inside).astype(np.float64)
    if not len(points):
        return float("nan")
    best, tilt = _mirrored_share(upright.inside, points, (0, 0)), (0, 0)
    for step in _TILTS_DEGREES:
        start = None
        while start != tilt:
            start = tilt
            for yaw, roll in product((-step, 0, step), repeat=2):
                other = (start[0] + yaw, start[1] + roll)
                if max(map(abs, other)) <= _LARGEST_TILT:
                    share = _mirrored_share(upright.inside, points, other)
                    best, tilt = max((best, tilt), (share, other))
    return 1 - best


def _mirrored_share(inside: BoolArray, points: FloatArray, tilt: tuple[int, int]) -> float:
    """Return the share of points that lie inside when mirrored at a plane, tilt in degrees."""
    yaw, roll = np.tan(np.radians(tilt))
    across = np.array([1.0, yaw, roll]) / np.sqrt(1 + yaw**2 + roll**2)
    mirrored = points - 2 * np.outer((points - points.mean(axis=0)) @ across, across)
    return float(ndimage.map_coordinates(inside, mirrored.T, np.float32, order=0).mean())


def elongation(upright: Upright) -> float:
    """Return the largest over the least standard deviation along a mask's principal axes.

    1 of a ball, 1.3 to 1.6 of a brain, also where some of it is cut off; NaN of a plane or less.
    """
    points = np.argwhere(upright.inside).astype(np.float64)
    if len(points) < 2:
        return float("nan")
    least, _, largest = np.linalg.eigvalsh(np.cov(points.T))
    return float(np.sqrt(largest / least)) if least > 0 else float("nan")


def sphericity(upright: Upright) -> float:
    """Return 36 pi volume^2 / surface^3: 1 of a ball, about .7 of a brain; NaN of nothing.

    The surface is what the smoothed mask rises by (the co-area formula).
    """
    soft = ndimage.gaussian_filter(np.pad(upright.inside, 4).astype(np.float32), _SMOOTH)
    rise = sum(np.gradient(soft, axis=axis) ** 2 for axis in range(3))
    surface = float(np.sqrt(rise).sum())
    volume = int(np.count_nonzero(upright.inside))
    return 36 * np.pi * volume**2 / surface**3 if surface else float("nan")


def flat_share(surface: Surface, upright: Upright) -> tuple[float, FloatArray]:
    """Return the share of the surface that lies in one plane, and where that faces.

    What lies within 9 mm of the end of the field of view, and faces it, does not count: there an
    image ends, not a brain. The field also ends where a resampled image has exact zeros.
    """
    ahead = [_at(upright, surface, mm) for mm in (3.0, 6.0, 9.0)]
    shown = np.all([(values > 0) & seen for values, seen in ahead], axis=0)
    points, normals = surface.points[shown], surface.normals[shown]
    best, facing = 0, np.zeros(3)
    for first in np.concatenate([_directions(_N_DIRECTIONS), np.eye(3), -np.eye(3)]):
        nearly = _in_plane(points, normals, first, _NEARLY_DEGREES)
        if np.count_nonzero(nearly) <= best:
            continue
        direction = normals[nearly].mean(axis=0)
        direction /= np.linalg.norm(direction)
        in_plane = int(np.count_nonzero(_in_plane(points, normals, direction, _FLAT_DEGREES)))
        if in_plane > best:
            best, facing = in_plane, direction
    return best / len(surface.points) if best else 0.0, facing


def _in_plane(
    points: FloatArray, normals: FloatArray, direction: FloatArray, degrees: float
) -> BoolArray:
    """Return which points face a direction and lie in that layer across it that holds most."""
    faces = np.asarray(normals @ direction > np.cos(np.radians(degrees)))
    heights = points @ direction
    if not faces.any():
        return faces
    steps = np.floor((heights - heights[faces].min()) / (_FLAT_MM / 3)).astype(np.intp)
    layers = np.convolve(np.bincount(steps[faces]), [1, 1, 1])
    return np.asarray(faces & (np.abs(steps - (layers.argmax() - 1)) <= 1))


def side_of(direction: FloatArray) -> str:
    """Return the side that a direction of the lattice points at most: L, R, A, P, I or S."""
    axis = int(np.abs(direction).argmax())
    return ("LR", "PA", "IS")[axis][int(direction[axis] > 0)] if direction.any() else ""


def _at(upright: Upright, surface: Surface, mm: float) -> tuple[NDArray[np.float32], BoolArray]:
    """Return the image some mm outside of each point of a surface, and whether it is seen."""
    places = ((surface.points + mm * surface.normals) / upright.step_mm).T
    values = ndimage.map_coordinates(upright.image, places, order=1)
    seen = ndimage.map_coordinates(upright.seen, places, np.float32, order=0) > 0.5
    return values, seen


def _directions(n: int) -> FloatArray:
    """Return evenly spread unit vectors (Fibonacci's sphere), (n, 3)."""
    steps = np.arange(n) + 0.5
    polar, azimuth = np.arccos(1 - 2 * steps / n), np.pi * (1 + 5**0.5) * steps
    spread = [np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)]
    return np.stack(spread, axis=1)
