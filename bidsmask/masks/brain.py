"""The brain mask of a head with skull and face, from one template and the image itself.

Classical and offline: nothing was learned from other heads, nothing is random. A template's
head is laid onto the image by an affine map and bent onto it, and brings its brain along; near
the surface that it brings, the image's own intensities decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import UnusableImage, UnusableMask
from bidsmask.images.grid import Grid
from bidsmask.masks.brain_prior import Contrast, Prior
from bidsmask.masks.decision import Guess, decide, lit_field
from bidsmask.masks.head import Head, box_with_margin, cut_grid
from bidsmask.masks.registration import Alignment, align, align_any_way_up
from bidsmask.masks.usable import refuse_unusable
from bidsmask.masks.warp import bend, warp

BoolArray = NDArray[np.bool_]

# Real heads that were masked well reach .45 and more; turned, halved ones and noise do not.
LEAST_CONFIDENCE = 0.4
BRAIN_VOLUMES_ML = (800.0, 2300.0)

_LEAST_EXTENT_MM, _LARGEST_EXTENT_MM = 40.0, 600.0
_FINE_MM = (1.5, 2.0)  # voxels of the lattice on which the decision falls, at least and at most
_BEND_MM = 2.0
_MARGIN_MM = 16.0
_FAR_MM = 30.0
# An EPI shows little of skull and scalp.
_AROUND_MM, _AROUND_EPI_MM = 10.0, 4.0
_TURNED_GAIN = 0.1  # in correlation, before a head is believed to lie against its header


@dataclass(frozen=True, eq=False)
class BrainMask:
    """A brain, and how sure it is.

    Attributes
    ----------
    voxels : (i, j, k) bool array
    confidence : float
        Mean correlation of the template's blocks with the image, times the share of the brain
        that the image shows; 0 to 1.
    doubts : tuple of str
        Sentences on why the mask may be wrong; none where it is sure.
    """

    voxels: BoolArray
    confidence: float
    doubts: tuple[str, ...]

    @property
    def sure(self) -> bool:
        """Whether nothing speaks against the mask."""
        return not self.doubts


def brain_mask(
    values: NDArray[Any],
    grid: Grid,
    prior: Prior,
    contrast: Contrast,
    *,
    where: str | Path = "the image",
) -> BrainMask:
    """Mask the brain of an image of a whole head, or of a large part of one.

    Parameters
    ----------
    values : (i, j, k) array, real
        Mean over volumes, or a 3D image. NaN, Inf and negatives count as 0. Not changed.
    grid : Grid
        Of the image, in the scanner's mm: x to the right, y to the front, z up.
    prior : Prior
        From `build_prior`; of the same contrast at best.
    contrast : {"T1w", "T2w", "EPI"}
        Of the image.
    where : str or Path
        What messages are about.

    Returns
    -------
    BrainMask
        Also where it is not sure: look at `doubts`.

    Raises
    ------
    UnusableImage
        Not 3D on the grid, complex, constant, without positive values, or too small or large
        for a head.
    UnusableMask
        When the template fits nowhere in the image.
    """
    refuse_unusable(values, grid, where)
    _refuse_no_head(grid, where)
    image = Head.scaled(values, grid)
    if not image.values.any():
        raise UnusableImage(where, "has no positive value")
    alignment, doubts = _lay(prior, image, contrast)
    guess = _guess(image, alignment, _bend(prior, image, alignment, contrast), where)
    surface = decide(guess, contrast)
    voxels = surface.on(grid, beyond=_FAR_MM) < 0
    if not voxels.any():
        raise UnusableMask(where, "shows no brain that the template fits")
    volume_ml = prior.matter_ml * alignment.growth
    confidence = max(0.0, alignment.correlation) * min(1.0, guess.matter_ml / volume_ml)
    if confidence < LEAST_CONFIDENCE:
        doubts.append(
            f"the template hardly fits: confidence {confidence:.2f}, {LEAST_CONFIDENCE:g} is needed"
        )
    low, high = BRAIN_VOLUMES_ML
    if not low <= volume_ml <= high:
        doubts.append(
            f"a brain of {volume_ml:.0f} ml is no adult's: {low:.0f} to {high:.0f} ml are"
        )
    return BrainMask(voxels, confidence, tuple(doubts))


def _refuse_no_head(grid: Grid, where: str | Path) -> None:
    """Raise UnusableImage for a field of view that cannot hold a head, or is far too large."""
    extents = grid.voxel_sizes_mm * grid.shape
    if extents.min() < _LEAST_EXTENT_MM or extents.max() > _LARGEST_EXTENT_MM:
        size = " x ".join(f"{extent:.0f}" for extent in extents)
        raise UnusableImage(
            where,
            f"is {size} mm large, but a head needs {_LEAST_EXTENT_MM:.0f} to "
            f"{_LARGEST_EXTENT_MM:.0f} mm along each axis",
        )


def _lay(prior: Prior, image: Head, contrast: Contrast) -> tuple[Alignment, list[str]]:
    """Return how the template lies in the image, and doubts about it."""
    inverted = prior.contrast != contrast
    around_mm = _AROUND_EPI_MM if contrast == "EPI" else _AROUND_MM
    upright = align(prior.head, prior.brain, image, inverted=inverted, around_mm=around_mm)
    if upright.correlation >= LEAST_CONFIDENCE:
        return upright, []
    turned = align_any_way_up(
        prior.head, prior.brain, image, inverted=inverted, around_mm=around_mm
    )
    if turned.correlation < upright.correlation + _TURNED_GAIN:
        return upright, []
    return turned, [f"the head lies turned by {turned.turn_degrees:.0f} degrees from upright"]


def _bend(prior: Prior, image: Head, alignment: Alignment, contrast: Contrast) -> tuple[Head, Head]:
    """Return the prior's loose and tight distances, bent onto the image, on its own grid."""
    box = box_with_margin(prior.brain, round(_MARGIN_MM / _BEND_MM))
    grid = cut_grid(prior.head.grid, box)
    loose, tight = prior.loose[box], prior.tight[box]
    # An EPI is bent by its distortions, which no smooth warp of local correlation undoes.
    if prior.contrast == contrast != "EPI":
        fixed = image.coarser(_BEND_MM).on(grid, alignment.to_image, -1)
        moving = prior.head.as_seen_in(image.edge_mm).values[box]
        displacement = warp(np.maximum(fixed, 0), moving, fixed < 0)
        loose, tight = bend(loose, displacement), bend(tight, displacement)
    return Head(loose, grid), Head(tight, grid)


def _guess(
    image: Head, alignment: Alignment, surfaces: tuple[Head, Head], where: str | Path
) -> Guess:
    """Return what the prior says near the brain, on a fine lattice along the image's axes."""
    voxel_mm = float(np.clip(image.grid.voxel_sizes_mm.min(), *_FINE_MM))
    fine = image.at(voxel_mm)
    to_template = np.asarray(np.linalg.inv(alignment.to_image), np.float64)
    size = np.float32(alignment.growth ** (1 / 3))
    loose, tight = (part.on(fine.grid, to_template, _FAR_MM) * size for part in surfaces)
    if not ((loose < 0) & (tight < -2)).any():
        raise UnusableMask(where, "shows no brain that the template fits")
    box = box_with_margin(loose < 0, round(_MARGIN_MM / voxel_mm))
    head = fine.cut(box)
    coarseness = max(1.0, image.edge_mm / voxel_mm)
    return Guess(head, loose[box], tight[box], lit_field(image, head.grid), coarseness)
