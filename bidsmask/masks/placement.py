"""Where a mask would fit its image better than where it lies: elsewhere, or turned around.

A mask fits as far as its surface lies on edges of the image. It is moved to where the edges
are, as it is and as a mirror shows it; none of that asks what the contrast is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from bidsmask.masks.edges import NEAR_MM, TYPICAL_MM, Edges, find_edges
from bidsmask.masks.upright import BoolArray, FloatArray, Surface, Upright

_FRONT, _UP = 1, 2  # rows of Upright.axes
_STEPS = 6
_STEP_MM = np.arange(-15, 15.1, 3)
_LEAST_STEP_MM = 1.5
_FIT_ENOUGH = 0.9  # no turn could mend much
_PITCHES = np.radians((0.0, 20.0, -20.0))  # from where a turn is looked for
_TURN_STEPS = 8
_FAR_MM = 12.0  # an edge this far off has no say in a turn
_ARM_MM = 50.0  # so far from its middle a surface moves by a millimetre as it turns by 1/50
_RIDGE = 5e-4  # of all weights: what keeps a slab from sliding along itself


@dataclass(frozen=True, eq=False)
class Placement:
    """How well a mask fits, and how well it would.

    Attributes
    ----------
    edges : Edges
        As the mask lies.
    shift_mm : (3,) float64 array
        To the right, to the front and up: where it fits best nearby.
    moved_fit, upside_down_fit, back_to_front_fit : float
        Share of the surface that lies on edges there, and if the mask were mirrored upside
        down (also with its back to the front) or back to front and then moved. NaN where nothing
        of the surface is seen.
    tilted_fit, tilt_degrees : float
        The share if the mask were turned a little and moved, and by how much.
    """

    edges: Edges
    shift_mm: FloatArray
    moved_fit: float
    upside_down_fit: float
    back_to_front_fit: float
    tilted_fit: float
    tilt_degrees: float

    @property
    def fit(self) -> float:
        """Share of the surface that lies on edges."""
        return self.edges.fit


def place(surface: Surface, upright: Upright) -> Placement:
    """Find where a mask fits best.

    Parameters
    ----------
    surface : Surface
        Of the mask.
    upright : Upright
        Mask and image.
    """
    edges = find_edges(surface, upright)
    shift_mm, moved = _settle(surface, upright, edges)
    tilted, angle = _tilt(surface, upright, edges)
    upside_down = [_mirrored_fit(surface, upright, axes) for axes in ((_UP,), (_UP, _FRONT))]
    return Placement(
        edges,
        shift_mm,
        moved,
        float(np.fmax.reduce(upside_down)),
        _mirrored_fit(surface, upright, (_FRONT,)),
        tilted,
        angle,
    )


def _mirrored_fit(surface: Surface, upright: Upright, axes: tuple[int, ...]) -> float:
    """Return how well the mask fits mirrored, about its own middle or the field of view's."""
    along = surface.points @ upright.axes.T
    own = (along.min(axis=0) + along.max(axis=0)) / 2 if len(along) else np.zeros(3)
    fits = [float("nan")]
    for about_mm in (own, upright.axes @ upright.middle_mm):
        mirrored = surface
        for axis in axes:
            mirrored = mirrored.mirrored(upright.axes[axis], float(about_mm[axis]))
        fits.append(_settle(mirrored, upright, find_edges(mirrored, upright))[1])
    return float(np.fmax.reduce(fits))


def _tilt(surface: Surface, upright: Upright, edges: Edges) -> tuple[float, float]:
    """Return how well the mask fits where it is turned a little, and by how many degrees."""
    best, angle = edges.fit, 0.0
    for pitch in _PITCHES:
        if not best < _FIT_ENOUGH:
            break
        start = Rotation.from_rotvec([pitch, 0, 0])
        for turn, fit in _turns(surface, upright, start):
            if fit > best:
                best, angle = fit, float(np.degrees(turn.magnitude()))
    return best, angle


def _turns(surface: Surface, upright: Upright, start: Rotation) -> Iterator[tuple[Rotation, float]]:
    """Yield turn by turn what brings a surface onto its edges, each with the fit there."""
    middle, turn, shift_mm = surface.points.mean(axis=0), start, np.zeros(3)
    for _ in range(_TURN_STEPS):
        edges = find_edges(surface.turned(turn, middle, shift_mm), upright)
        yield turn, edges.fit
        known = np.isfinite(edges.depth_mm)
        if not known.any():
            break
        step_mm, by = _likely_turn(edges, known, middle + shift_mm)
        if max(np.linalg.norm(step_mm), np.linalg.norm(by) * _ARM_MM) < _LEAST_STEP_MM / 3:
            break
        turn, shift_mm = Rotation.from_rotvec(by) * turn, shift_mm + step_mm


def _likely_turn(
    edges: Edges, known: BoolArray, middle: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the shift and the turn that bring most of the surface onto its edges.

    Least squares from points to planes (Chen and Medioni 1992) with Tukey's weights.
    """
    left = edges.depth_mm[known] - TYPICAL_MM
    normals, arms = edges.normals[known], edges.points[known] - middle
    effects = np.concatenate([normals, np.cross(arms, normals) / _ARM_MM], axis=1)
    ridge = _RIDGE * edges.weights.sum() * np.eye(6)
    found = np.zeros(6)
    for _ in range(5):
        off = (left - effects @ found) / _FAR_MM
        weights = edges.weights[known] * np.maximum(1 - off**2, 0) ** 2
        weighted = effects.T * weights
        found = np.linalg.solve(weighted @ effects + ridge, weighted @ left)
    return found[:3], found[3:] / _ARM_MM


def _settle(surface: Surface, upright: Upright, edges: Edges) -> tuple[FloatArray, float]:
    """Return how far a surface moves, step by step, as long as it fits better, and its fit."""
    shift_mm, fit = np.zeros(3), edges.fit
    for _ in range(_STEPS):
        step_mm = _likely_step(edges)
        if not np.linalg.norm(step_mm) > _LEAST_STEP_MM:
            break
        edges = find_edges(surface.moved(shift_mm + step_mm), upright)
        if not edges.fit > fit:
            break
        shift_mm, fit = shift_mm + step_mm, edges.fit
    return shift_mm, fit


def _likely_step(edges: Edges) -> FloatArray:
    """Return the step that brings most of the surface onto its edges, to 3 mm."""
    steps = np.stack(np.meshgrid(_STEP_MM, _STEP_MM, _STEP_MM, indexing="ij"), axis=-1)
    steps = steps.reshape(-1, 3)
    known = np.isfinite(edges.depth_mm)
    if not known.any():
        return np.zeros(3)
    left = edges.depth_mm[known] - TYPICAL_MM - steps @ edges.normals[known].T
    agreement = np.maximum(1 - np.abs(left) / (2 * NEAR_MM), 0) @ edges.weights[known]
    # Of equals the shortest: a slab may slide along itself.
    agreement -= 1e-3 * edges.weights.sum() * np.linalg.norm(steps, axis=1) / NEAR_MM
    best: FloatArray = steps[agreement.argmax()]
    return best
