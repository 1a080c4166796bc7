"""A Prior: a template's head, and where its brain ends.

It is made from four files of TemplateFlow's MNI152NLin2009cAsym at 2 mm (res-02): the T1w and
`desc-brain_mask` for every contrast, the T2w for T2w images, `desc-fMRIPrep_boldref` for EPI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bidsmask.images.grid import Grid
from bidsmask.masks.head import Float32Array, Head, box_with_margin
from bidsmask.masks.surface import close, cut_bridges, signed_distance
from bidsmask.masks.tissue import matter_evidence

BoolArray = NDArray[np.bool_]
Contrast = Literal["T1w", "T2w", "EPI"]

TEMPLATE: Final = "MNI152NLin2009cAsym"
HEADS: Final[dict[Contrast, str]] = {"T1w": "T1w", "T2w": "T2w", "EPI": "desc-fMRIPrep_boldref"}
"""The template's head in each contrast, as its files are called after `res-02_`."""

PRIOR_VOXEL_MM: Final = 2.0


@dataclass(frozen=True, eq=False)
class Prior:
    """What is known of heads before one is seen.

    Attributes
    ----------
    head : Head
        The template with its skull, scaled.
    contrast : {"T1w", "T2w", "EPI"}
        Of `head`.
    loose : (i, j, k) float32 array
        Signed distance (mm) from the surface of the brain with the fluid around it.
    tight : (i, j, k) float32 array
        Signed distance (mm) from the surface about grey and white matter.
    """

    head: Head
    contrast: Contrast
    loose: Float32Array
    tight: Float32Array

    @property
    def brain(self) -> BoolArray:
        """Where the brain is, fluid included."""
        return np.asarray(self.loose < 0)

    @property
    def matter_ml(self) -> float:
        """Volume (ml) of grey and white matter, folds filled."""
        return float(np.count_nonzero(self.tight < 0) * self.head.grid.voxel_volume_mm3 / 1000)


def build_prior(
    values: NDArray[Any], t1w: NDArray[Any], mask: NDArray[np.bool_], grid: Grid, contrast: Contrast
) -> Prior:
    """Build a Prior from a template's images on one grid.

    Parameters
    ----------
    values : (i, j, k) array
        The head in the contrast of the images to come, or the T1w.
    t1w : (i, j, k) array
        The head as T1w, from which grey and white matter are told.
    mask : (i, j, k) bool array
        The template's brain mask.
    grid : Grid
        Of all three.
    contrast : {"T1w", "T2w", "EPI"}
        Of `values`.
    """
    box = box_with_margin(mask, round(60 / float(grid.voxel_sizes_mm.min())))
    head = Head.scaled(values, grid).cut(box).at(PRIOR_VOXEL_MM)
    brain = Head(mask.astype(np.float32), grid).on(head.grid) > 0.5
    loose = close(brain, 3, PRIOR_VOXEL_MM)
    matter_values = Head.scaled(t1w, grid).on(head.grid)
    core = signed_distance(brain, PRIOR_VOXEL_MM) < -4
    matter = brain & (matter_evidence(matter_values, core, PRIOR_VOXEL_MM) > 0.9)
    tight = close(cut_bridges(matter, 2, PRIOR_VOXEL_MM), 6, PRIOR_VOXEL_MM) & loose
    return Prior(
        head,
        contrast,
        signed_distance(loose, PRIOR_VOXEL_MM),
        signed_distance(tight, PRIOR_VOXEL_MM),
    )
