"""Where a mask would fit its image better than where it lies: elsewhere, or turned around.

A mask fits as far as its surface lies on edges of the image. It is moved to where the edges
are, as it is and as a mirror shows it; none of that asks what the contrast is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bidsmask.masks.edges import NEAR_MM, TYPICAL_MM, Edges, find_edges
from bidsmask.masks.upright import FloatArray, Surface, Upright

_FRONT, _UP = 1, 2  # rows of Upright.axes
_STEPS = 6
_STEP_MM = np.arange(-15, 15.1, 3)
_LEAST_STEP_MM = 1.5


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
        down or back to front and then moved. NaN where nothing of the surface is seen.
    """

    edges: Edges
    shift_mm: FloatArray
    moved_fit: float
    upside_down_fit: float
    back_to_front_fit: float

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
    return Placement(
        edges,
        shift_mm,
        moved,
        _mirrored_fit(surface, upright, _UP),
        _mirrored_fit(surface, upright, _FRONT),
    )


def _mirrored_fit(surface: Surface, upright: Upright, axis: int) -> float:
    """Return how well the mask fits mirrored, about its own middle or the field of view's."""
    across = upright.axes[axis]
    along = surface.points @ across
    own = (along.min() + along.max()) / 2
    fits = [float("nan")]
    for about_mm in (own, upright.middle_mm @ across):
        mirrored = surface.mirrored(across, float(about_mm))
        fits.append(_settle(mirrored, upright, find_edges(mirrored, upright))[1])
    return float(np.fmax.reduce(fits))


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
