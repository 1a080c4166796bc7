"""Which voxels near a guessed surface are brain, by the image's own intensities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.images.grid import Grid
from bidsmask.masks.brain_prior import Contrast
from bidsmask.masks.head import Float32Array, Head
from bidsmask.masks.surface import close, cut_bridges, signed_distance
from bidsmask.masks.tissue import even_out, learned_evidence, signal_evidence

BoolArray = NDArray[np.bool_]

# Chosen over all references of benchmarks/masks.py together, one value at a time.
_CERTAIN_MM = 9.0  # farther from the guess, the guess is right
_GUESS_SIGMA_MM = 3.0
_SIGNAL_REACH_MM = 2.5
_LEARNED_FROM_MM = (12.0, 8.0)  # depth within and height above the surface
_ROUNDS = 2
_BRIDGE_MM = 3.0
_CLOSING_MM = 5.0
_SMOOTHING_MM = 1.2
_RIM_MM = 0.45  # of fluid that belongs to the brain of T1w and T2w images
_SEEN_GAP_MM = 3.0
_BOUND_MM = 6.0


@dataclass(frozen=True, eq=False)
class Guess:
    """What the prior says about an image, on a lattice of cubic voxels along its axes.

    Attributes
    ----------
    head : Head
        The image.
    loose, tight : (i, j, k) float32 arrays
        Signed distances (mm) from the guessed surfaces with and without the outer fluid.
    seen : (i, j, k) bool array
        What the field of view shows.
    coarseness : float
        The image's voxels against the lattice's, edge against edge; 1 where not larger.
    """

    head: Head
    loose: Float32Array
    tight: Float32Array
    seen: BoolArray
    coarseness: float

    @property
    def voxel_mm(self) -> float:
        """Edge of a voxel."""
        return float(self.head.grid.voxel_sizes_mm[0])

    @property
    def core(self) -> BoolArray:
        """Voxels that are brain for sure."""
        return (self.tight < -2) & self.seen

    @property
    def matter_ml(self) -> float:
        """Volume (ml) of the grey and white matter that is seen, folds filled."""
        return float(np.count_nonzero((self.tight < 0) & self.seen) * self.voxel_mm**3 / 1000)


def lit_field(image: Head, grid: Grid) -> BoolArray:
    """Return where an image has signal, gaps of 3 mm and holes closed, edges left open.

    Parameters
    ----------
    image : Head
        As it was stored: voxels that are 0 count as not seen, whatever lies beside them.
    grid : Grid
        Of cubic voxels within the image: where the answer is wanted.
    """
    to_ijk = np.linalg.inv(image.grid.affine) @ grid.affine
    lit = ndimage.affine_transform(
        image.values > 0, to_ijk, output_shape=grid.shape, order=0, mode="nearest"
    )
    steps = max(1, int(_SEEN_GAP_MM / float(grid.voxel_sizes_mm[0])))
    margin = 2 * steps
    lit = ndimage.binary_closing(np.pad(lit, margin, mode="edge"), iterations=steps)
    filled: BoolArray = ndimage.binary_fill_holes(lit)
    i, j, k = grid.shape
    return filled[margin : margin + i, margin : margin + j, margin : margin + k]


def decide(guess: Guess, contrast: Contrast) -> Head:
    """Return the brain's surface as signed distances (mm) on the guess's lattice.

    Parameters
    ----------
    guess : Guess
        With some voxels of core.
    contrast : {"T1w", "T2w", "EPI"}
        An EPI is judged by its signal alone; the others by what they look like on both sides
        of the surface, which is learned from the image, twice.
    """
    even = even_out(guess.head.values, guess.core, guess.voxel_mm)
    middle = np.asarray((guess.loose + guess.tight) / 2, np.float32)
    if contrast == "EPI":
        evidence = _spare_losses(signal_evidence(even), guess)
        inside = _settle(guess, middle, evidence * np.float32(_SIGNAL_REACH_MM))
        return _smooth(inside, guess, 0)
    expected = middle - np.float32(0.4)
    # Within a larger voxel, where the edge lies is less known: by the square, as variances are.
    reach_mm = np.float32(_GUESS_SIGMA_MM / guess.coarseness**2)
    surface = expected
    deep, high = _LEARNED_FROM_MM
    for _ in range(_ROUNDS):
        within = (surface < -1) & (surface > -deep) & guess.seen
        without = (surface > 1) & (surface < high) & guess.seen
        evidence = learned_evidence(even, within, without)
        inside = _settle(guess, expected, evidence * reach_mm)
        surface = signed_distance(inside, guess.voxel_mm)
    # A voxel that is half brain looks more like what is outside, the farther the larger it is.
    return _smooth(inside, guess, _RIM_MM * guess.coarseness)


def _settle(guess: Guess, expected: Float32Array, evidence_mm: Float32Array) -> BoolArray:
    """Return one closed part: where evidence outweighs the distance from the expected surface."""
    inside = (evidence_mm > expected) | (expected < -_CERTAIN_MM)
    inside &= expected < _CERTAIN_MM
    inside = cut_bridges(inside, _BRIDGE_MM, guess.voxel_mm)
    return np.asarray(close(inside, _CLOSING_MM, guess.voxel_mm) & guess.seen)


def _spare_losses(evidence: Float32Array, guess: Guess) -> Float32Array:
    """Weaken what darkness says where the surface looks down: there EPI lose signal to air.

    Above the orbits, the ears and below the cerebellum (Ojemann et al. 1997).
    """
    slopes = np.gradient(ndimage.gaussian_filter(guess.loose, 2 / guess.voxel_mm))
    up = guess.head.grid.affine[2, :3] / guess.voxel_mm
    rise = sum(part * slope for part, slope in zip(up, slopes, strict=True))
    steepness = np.sqrt(sum(slope * slope for slope in slopes))
    down = np.clip(-rise / np.maximum(steepness, 1e-6) / 0.4 - 0.25, 0, 1)
    return np.where(evidence < 0, evidence * (1 - 0.7 * down), evidence).astype(np.float32)


def _smooth(inside: BoolArray, guess: Guess, rim_mm: float) -> Head:
    """Return the surface without the lattice's steps, a rim farther out."""
    steps = np.clip(signed_distance(inside, guess.voxel_mm), -_BOUND_MM, _BOUND_MM)
    smooth = ndimage.gaussian_filter(steps, _SMOOTHING_MM / guess.voxel_mm) - np.float32(rim_mm)
    # As far out as it was in: between what is seen and what is not, the surface runs half way.
    smooth[~guess.seen] = np.abs(smooth[~guess.seen])
    return Head(smooth, guess.head.grid)
