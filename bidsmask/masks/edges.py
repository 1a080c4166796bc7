"""How far the edges that an image shows lie from the surface of a mask.

Around every brain there is a dark layer, of skull or of air, in a T1w, a T2w and an EPI alike.
Going outwards from within, the first deep fall of the signal is the brain's edge. It is looked
for patch by patch of the surface, so that neither a sulcus nor a vessel counts as one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.distance import cdist

from bidsmask.masks.upright import BoolArray, FloatArray, Surface, Upright

TYPICAL_MM = -1.0  # where the signal falls most steeply at the surface of trusted masks
NEAR_MM = 4.5  # an edge this far from there is that of the surface

_DEPTHS_MM = np.arange(-21, 15.1, 1.5)
_BEYOND_MM = 9.0  # a patch whose image ends before shows no edge
_PATCH_MM = 20.0
_FEWEST_POINTS = 6
_FEWEST_NEARBY = 8
_FALL = 0.35  # of the signal within, at least


@dataclass(frozen=True, eq=False)
class Edges:
    """The edges that the patches of a surface show.

    Attributes
    ----------
    depth_mm : (n_patches,) float64 array
        Where the signal falls most steeply, outwards from the surface; NaN where it never falls.
    points, normals : (n_patches, 3) float64 arrays
        Means over each patch.
    weights : (n_patches,) float64 array
        Points of each.
    """

    depth_mm: FloatArray
    points: FloatArray
    normals: FloatArray
    weights: FloatArray

    @property
    def fit(self) -> float:
        """Share of the surface that lies on an edge; NaN where no patch was seen."""
        return self.fit_about(TYPICAL_MM)

    @property
    def median_mm(self) -> float:
        """Median depth, each point of the surface counted; NaN without an edge."""
        known = np.isfinite(self.depth_mm)
        if not known.any():
            return float("nan")
        order = np.argsort(self.depth_mm[known])
        reached = np.cumsum(self.weights[known][order])
        return float(self.depth_mm[known][order][np.searchsorted(reached, reached[-1] / 2)])

    def fit_about(self, depth_mm: float) -> float:
        """Share of the surface whose edge lies near a depth."""
        return self.share(np.abs(self.depth_mm - depth_mm) <= NEAR_MM)

    def share(self, patches: BoolArray) -> float:
        """Share of the surface that some patches make up; NaN where no patch was seen."""
        total = self.weights.sum()
        return float(self.weights[patches].sum() / total) if total else float("nan")

    def local_share(self, patches: BoolArray, radius_mm: float) -> float:
        """Largest share of some patches among those within a radius of one; NaN without any."""
        if len(self.points) < _FEWEST_NEARBY:
            return float("nan")
        near = cdist(self.points, self.points) <= radius_mm
        shares = (near @ (self.weights * patches)) / (near @ self.weights)
        return float(shares[near.sum(axis=1) >= _FEWEST_NEARBY].max(initial=0))

    def above(self, height_mm: float) -> Edges:
        """The edges of the patches that lie higher than a place."""
        kept = self.points[:, 2] > height_mm
        return Edges(self.depth_mm[kept], self.points[kept], self.normals[kept], self.weights[kept])


def find_edges(surface: Surface, upright: Upright) -> Edges:
    """Find the brain's edge along the normals of a surface.

    Parameters
    ----------
    surface : Surface
        On the lattice of `upright`, or moved on it.
    upright : Upright
        What holds the image.

    Returns
    -------
    Edges
        Of the patches whose image is seen from 21 mm within to 9 mm beyond the surface.
    """
    cells = np.floor(surface.points / _PATCH_MM).astype(np.intp)
    keys = np.concatenate([cells, surface.normals > 0], axis=1)
    _, patch, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    patch = patch.ravel()

    def mean(columns: FloatArray) -> FloatArray:
        sums = [np.bincount(patch, column, len(counts)) for column in columns.T]
        return np.asarray(np.stack(sums, axis=1) / counts[:, None], np.float64)

    profiles, seen = (mean(part) for part in _along_normals(surface, upright))
    is_within = _DEPTHS_MM <= _BEYOND_MM
    used = (counts >= _FEWEST_POINTS) & (seen[:, is_within].min(axis=1, initial=1) > 0.5)
    return Edges(
        _first_falls(profiles[used] / np.maximum(seen[used], 1e-6)),
        mean(surface.points)[used],
        mean(surface.normals)[used],
        counts[used].astype(np.float64),
    )


def _along_normals(surface: Surface, upright: Upright) -> tuple[FloatArray, FloatArray]:
    """Return the image along each normal, 0 where it is not seen, and whether it is seen."""
    steps = surface.normals[:, None] * _DEPTHS_MM[None, :, None]
    places = ((surface.points[:, None] + steps) / upright.step_mm).reshape(-1, 3).T
    shape = (len(surface.points), len(_DEPTHS_MM))
    seen = ndimage.map_coordinates(upright.seen, places, np.float32, order=0).reshape(shape)
    values = ndimage.map_coordinates(upright.image, places, order=1).reshape(shape)
    return np.asarray(values * seen, np.float64), seen.astype(np.float64)


def _first_falls(profiles: FloatArray) -> FloatArray:
    """Return where each profile falls most steeply on its way to the first deep valley."""
    n_profiles, n_depths = profiles.shape
    peak, valley = np.zeros(n_profiles, np.intp), np.full(n_profiles, -1)
    highest = profiles[:, 0].copy() if n_profiles else np.zeros(0)
    for step in range(1, n_depths):
        value = profiles[:, step]
        is_open = valley < 0
        rises = is_open & (value > highest)
        peak[rises], highest[rises] = step, value[rises]
        after = profiles[:, min(step + 1, n_depths - 1)]
        is_valley = (value <= profiles[:, step - 1]) & (value <= after)
        valley[is_open & is_valley & (value < (1 - _FALL) * highest)] = step
    steps = np.arange(n_depths - 1)
    falls = profiles[:, :-1] - profiles[:, 1:]
    falls[(steps < peak[:, None]) | (steps >= valley[:, None])] = -np.inf
    depths = (_DEPTHS_MM[:-1] + _DEPTHS_MM[1:]) / 2
    return np.where(valley < 0, np.nan, depths[falls.argmax(axis=1)])
