"""How a head moves during a run, and what is computed from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

PARAMETERS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
HEAD_RADIUS_MM = 50.0
"""Power et al. 2012: a rotation is worth its arc on a sphere of this radius."""


def simulate_motion(rng: np.random.Generator, n_volumes: int, spikes: Sequence[int]) -> FloatArray:
    """Return the six rigid-body parameters of a run: a slow walk, and sudden jerks.

    Parameters
    ----------
    rng : numpy Generator
    n_volumes : int
    spikes : sequence of int
        Volumes for whose time the head is 1 to 2 mm and a few hundredths of a radian off.

    Returns
    -------
    (n_volumes, 6) float64 array
        Translations in mm, rotations in radians, to six digits after the point, as they will
        stand in the table.
    """
    steps = rng.normal(size=(n_volumes, 6)) * ([0.025] * 3 + [0.0005] * 3)
    motion = np.cumsum(steps, axis=0)
    for volume in spikes:
        jerk = rng.uniform(0.6, 1.2, size=6) * rng.choice([-1, 1], size=6)
        motion[volume] += jerk * ([1.0] * 3 + [0.015] * 3)
    return np.round(motion, 6)


def framewise_displacement(motion: FloatArray) -> FloatArray:
    """Return how far the head moved from one volume to the next.

    FD_t = Σ|Δtranslation| + 50 mm · Σ|Δrotation| (Power et al. 2012, rotations in radians).

    Parameters
    ----------
    motion : (n_volumes, 6) array

    Returns
    -------
    (n_volumes,) float64 array
        In mm; the first is NaN.
    """
    moved = np.abs(np.diff(motion, axis=0))
    moved[:, 3:] *= HEAD_RADIUS_MM
    return np.concatenate([[np.nan], moved.sum(axis=1)])


def backward_differences(values: FloatArray) -> FloatArray:
    """Return each value minus the one before it, along the first axis; NaN in the first row."""
    return np.diff(values, axis=0, prepend=np.full_like(values[:1], np.nan))


def expansion(motion: FloatArray) -> FloatArray:
    """Return the 24 terms that motion acts through: parameters, differences, their squares.

    As Satterthwaite et al. 2013 expand them; rotations in mm of arc, so that all have one
    scale. The differences of the first volume are 0.

    Parameters
    ----------
    motion : (n_volumes, 6) array

    Returns
    -------
    (n_volumes, 24) float64 array
    """
    in_mm = motion * ([1.0] * 3 + [HEAD_RADIUS_MM] * 3)
    differences = np.nan_to_num(backward_differences(in_mm))
    return np.hstack([in_mm, differences, in_mm**2, differences**2])
