"""Masks that nilearn has no function for: AFNI's automask, and the brain of a whole head.

Arguments and images are as in `bidsmask.maskers.masking`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from bidsmask.errors import GridMismatch, UsageError
from bidsmask.maskers.apply import mask_voxels
from bidsmask.maskers.masking import image_of_mask, mean_on
from bidsmask.maskers.series import ImageLike, volume_of
from bidsmask.masks.automask import automask
from bidsmask.masks.brain import brain_mask
from bidsmask.masks.brain_prior import HEADS, Contrast, build_prior
from bidsmask.masks.head_files import refuse_no_brain, refuse_no_head


def compute_automask(
    epi_img: ImageLike | Sequence[ImageLike],
    clfrac: float = 0.5,
    peels: int = 1,
    nbhrs: int = 17,
    gradual: bool = True,
    dilate: int = 0,
    erode: int = 0,
    nn: int = 2,
    target_affine: Any = None,
    target_shape: Any = None,
    memory: Any = None,
    verbose: int = 0,
) -> Any:
    """Return the largest bright part of an image, peeled and filled, as AFNI's 3dAutomask does.

    Parameters
    ----------
    epi_img : path, nibabel image, or list of those
        3D, or 4D by the mean of its absolute values.
    clfrac : float
        Share of the median of bright voxels that is the clip level, 0.1 to 0.9.
    peels : int
        Layers of voxels with few neighbours that are taken off; at least 1.
    nbhrs : int
        A voxel with fewer neighbours (of 18) in the mask is peeled; 6 to 26.
    gradual : bool
        Let the clip level vary over space.
    dilate, erode : int
        Layers added and taken off at the end.
    nn : {1, 2, 3}
        Whether they look at neighbours by faces, edges too, or corners too.
    target_affine, target_shape, memory, verbose
        As for `compute_epi_mask`.

    Returns
    -------
    nibabel.Nifti1Image
        uint8; empty, with a warning, where nothing is left.

    Raises
    ------
    DataError, UsageError
        As `compute_epi_mask`.
    """
    series, mean, grid = mean_on(epi_img, target_affine, target_shape, absolute=True)
    voxels = automask(
        mean,
        grid,
        clfrac=clfrac,
        peels=peels,
        nbhrs=nbhrs,
        gradual=gradual,
        dilate=dilate,
        erode=erode,
        nn=nn,
        where=series.where,
    )
    return image_of_mask(series, voxels, grid)


def compute_head_brain_mask(
    head_img: ImageLike | Sequence[ImageLike],
    template: ImageLike,
    template_mask: ImageLike,
    contrast: Contrast = "T1w",
    template_contrast: Contrast | None = None,
    template_t1w: ImageLike | None = None,
    target_affine: Any = None,
    target_shape: Any = None,
    memory: Any = None,
    verbose: int = 0,
) -> Any:
    """Return the brain of a head with skull and face, onto which a template's head is laid.

    The mask strategy `brain` of the command line.

    Parameters
    ----------
    head_img : path, nibabel image, or list of those
        3D, or 4D by its mean, in whatever space.
    template : path or nibabel image
        A head with its skull, such as TemplateFlow's MNI152NLin2009cAsym at 2 mm: T1w, T2w, or
        desc-fMRIPrep_boldref for EPI.
    template_mask : path or nibabel image
        Its brain, on the same grid.
    contrast : {"T1w", "T2w", "EPI"}
        Of the image.
    template_contrast : {"T1w", "T2w", "EPI"}, optional
        Of the template; by default that of the image.
    template_t1w : path or nibabel image, optional
        The same template as T1w, on the same grid; needed where `template` is none.
    target_affine, target_shape, memory, verbose
        As for `compute_epi_mask`.

    Returns
    -------
    nibabel.Nifti1Image
        uint8. A warning says why it may be wrong, where it is not sure.

    Raises
    ------
    UsageError
        An unknown contrast, or no T1w of the template.
    GridMismatch
        Images of the template on several grids.
    DataError
        An image that cannot be read or is no head, or in which the template fits nowhere.
    """
    of_template = contrast if template_contrast is None else template_contrast
    for name in (contrast, of_template):
        if name not in HEADS:
            raise UsageError(f"contrast {name!r}", "is unknown", f"It is {', '.join(HEADS)}.")
    if template_t1w is None and of_template != "T1w":
        problem = "is missing, from which grey and white matter are told"
        raise UsageError("template_t1w", problem, "Give the template's T1w, too.")
    head, values = volume_of(template)
    t1w, t1w_values = (head, values) if template_t1w is None else volume_of(template_t1w)
    mask, mask_values = volume_of(template_mask)
    for one, given in ((head, values), (t1w, t1w_values)):
        refuse_no_head(given, one.grid, one.where)
    for one in (t1w, mask):
        if not head.grid.is_same(one.grid):
            raise GridMismatch(one.where, head.grid.difference(one.grid))
    inside = mask_voxels((mask, mask_values))
    refuse_no_brain(inside, mask.grid, mask.where)
    prior = build_prior(values, t1w_values, inside, head.grid, of_template)
    series, mean, grid = mean_on(head_img, target_affine, target_shape)
    found = brain_mask(mean, grid, prior, contrast, where=series.where)
    if found.doubts:
        warnings.warn(
            f"The brain mask of {series.where} may be wrong: {'; '.join(found.doubts)}.",
            UserWarning,
            stacklevel=2,
        )
    return image_of_mask(series, found.voxels, grid)
