"""nilearn's functions on masks, under its names and signatures, with its numbers.

Images are paths, nibabel images, or lists of either where nilearn takes lists; what comes out
is a nibabel image. `memory` and `verbose` are accepted for nilearn's sake: nothing is cached,
nothing is printed. docs/science.md lists what is done otherwise on purpose.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from os import cpu_count
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import MissingInput, UsageError
from bidsmask.images.grid import Grid
from bidsmask.images.resample import resample_mean, target_grid
from bidsmask.maskers.apply import mask_voxels
from bidsmask.maskers.series import ImageLike, Series, as_series, volume_of
from bidsmask.masks.background import background_mask
from bidsmask.masks.combine import count_votes
from bidsmask.masks.epi import epi_mask
from bidsmask.masks.template import as_template, template_mask

MaskType = Literal["whole-brain", "gm", "wm"]
# In nilearn's folder of data: MNI ICBM152 2009a, symmetric; the first is a T1 without skull.
NILEARN_TEMPLATES: dict[str, str] = {
    "whole-brain": "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
    "gm": "mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz",
    "wm": "mni_icbm152_wm_tal_nlin_sym_09a_converted.nii.gz",
}


def compute_epi_mask(
    epi_img: ImageLike | Sequence[ImageLike],
    lower_cutoff: float = 0.2,
    upper_cutoff: float = 0.85,
    connected: bool = True,
    opening: bool | int = 2,
    exclude_zeros: bool = False,
    ensure_finite: bool = True,
    target_affine: Any = None,
    target_shape: Any = None,
    memory: Any = None,
    verbose: int = 0,
) -> Any:
    """Return the mask at or above the widest gap between sorted values (Nichols' heuristic).

    Parameters
    ----------
    epi_img : path, nibabel image, or list of those
        3D, or 4D by its mean.
    lower_cutoff, upper_cutoff : float
        Shares of the sorted voxels between which the gap is looked for.
    connected : bool
        Keep only the largest component.
    opening : bool or int
        Erosions before, and twice as many dilations after.
    exclude_zeros : bool
        Leave values of 0 out of the sorted ones.
    ensure_finite : bool
        NaN and Inf count as 0.
    target_affine, target_shape : array-like, optional
        Grid that the mean is moved to first.
    memory, verbose
        Without effect.

    Returns
    -------
    nibabel.Nifti1Image
        uint8; empty, with a warning, where the openings leave nothing.

    Raises
    ------
    DataError
        An image that cannot be read, is constant, empty, complex, 2D or 5D.
    UsageError
        Arguments that make no sense.
    """
    series, mean, grid = mean_on(epi_img, target_affine, target_shape)
    voxels = epi_mask(
        mean,
        grid,
        lower_cutoff=lower_cutoff,
        upper_cutoff=upper_cutoff,
        connected=connected,
        opening=int(opening),
        exclude_zeros=exclude_zeros,
        ensure_finite=ensure_finite,
        where=series.where,
    )
    return image_of_mask(series, voxels, grid)


def compute_background_mask(
    data_imgs: ImageLike | Sequence[ImageLike],
    border_size: int = 2,
    connected: bool = False,
    opening: bool | int = False,
    target_affine: Any = None,
    target_shape: Any = None,
    memory: Any = None,
    verbose: int = 0,
) -> Any:
    """Return the mask of what differs from the median of the image's border.

    Parameters
    ----------
    data_imgs : path, nibabel image, or list of those
        3D, or 4D by its mean.
    border_size : int
        Voxels from each side that are the border; at least 1.
    connected, opening, target_affine, target_shape, memory, verbose
        As for `compute_epi_mask`.

    Returns
    -------
    nibabel.Nifti1Image
        uint8. NaN and Inf are inside, unless the border holds NaN.

    Raises
    ------
    DataError, UsageError
        As `compute_epi_mask`.
    """
    series, mean, grid = mean_on(data_imgs, target_affine, target_shape)
    voxels = background_mask(
        mean,
        grid,
        border_size=border_size,
        connected=connected,
        opening=int(opening),
        ensure_finite=False,
        where=series.where,
    )
    return image_of_mask(series, voxels, grid)


def compute_brain_mask(
    target_img: ImageLike,
    threshold: float = 0.5,
    connected: bool = True,
    opening: bool | int = 2,
    memory: Any = None,
    verbose: int = 0,
    mask_type: MaskType = "whole-brain",
    template: ImageLike | None = None,
) -> Any:
    """Return the mask of a template on the grid of an image, which must lie in its space.

    Parameters
    ----------
    target_img : path, nibabel image, or list of those
        Only its grid counts.
    threshold : float
        Of the template's maximum.
    connected, opening, memory, verbose
        As for `compute_epi_mask`.
    mask_type : {"whole-brain", "gm", "wm"}
        Which of nilearn's templates; without effect beside `template`.
    template : path or nibabel image, optional
        Another 3D template. By default nilearn's own, a file of the installed nilearn.

    Returns
    -------
    nibabel.Nifti1Image
        uint8; empty, with a warning, where nothing of the template is left.

    Raises
    ------
    MissingInput
        No template is given, and nilearn is not installed.
    DataError, UsageError
        As `compute_epi_mask`.
    """
    series = as_series(target_img)
    given, values = volume_of(_nilearn_template(mask_type) if template is None else template)
    voxels = template_mask(
        as_template(values, given.where),
        given.grid,
        series.grid,
        threshold=threshold,
        connected=connected,
        opening=int(opening),
    )
    return image_of_mask(series, voxels, series.grid)


def compute_multi_epi_mask(
    epi_imgs: Sequence[ImageLike],
    lower_cutoff: float = 0.2,
    upper_cutoff: float = 0.85,
    connected: bool = True,
    opening: bool | int = 2,
    threshold: float = 0.5,
    target_affine: Any = None,
    target_shape: Any = None,
    exclude_zeros: bool = False,
    n_jobs: int = 1,
    memory: Any = None,
    verbose: int = 0,
) -> Any:
    """Return the voxels that more than a share of the EPI masks of many images hold.

    Parameters
    ----------
    epi_imgs : list of images, or of lists of them
    threshold : float
        As for `intersect_masks`.
    n_jobs : int
        Images worked on at a time; -1: as many as there are processors.
    lower_cutoff, upper_cutoff, connected, opening, exclude_zeros, target_affine, target_shape
        As for `compute_epi_mask`.
    memory, verbose
        Without effect.

    Returns
    -------
    nibabel.Nifti1Image
    """
    make = partial(
        compute_epi_mask,
        lower_cutoff=lower_cutoff,
        upper_cutoff=upper_cutoff,
        connected=connected,
        opening=opening,
        exclude_zeros=exclude_zeros,
        target_affine=target_affine,
        target_shape=target_shape,
    )
    return intersect_masks(_for_each(make, epi_imgs, n_jobs), threshold, connected)


def compute_multi_background_mask(
    data_imgs: Sequence[ImageLike],
    border_size: int = 2,
    connected: bool = True,
    opening: bool | int = 2,
    threshold: float = 0.5,
    target_affine: Any = None,
    target_shape: Any = None,
    n_jobs: int = 1,
    memory: Any = None,
    verbose: int = 0,
) -> Any:
    """Return the voxels that more than a share of the background masks of many images hold.

    Parameters
    ----------
    data_imgs : list of images, or of lists of them
    threshold, n_jobs
        As for `compute_multi_epi_mask`.
    border_size, connected, opening, target_affine, target_shape, memory, verbose
        As for `compute_background_mask`, with other defaults, as in nilearn.

    Returns
    -------
    nibabel.Nifti1Image
    """
    make = partial(
        compute_background_mask,
        border_size=border_size,
        connected=connected,
        opening=opening,
        target_affine=target_affine,
        target_shape=target_shape,
    )
    return intersect_masks(_for_each(make, data_imgs, n_jobs), threshold, connected)


def compute_multi_brain_mask(
    target_imgs: Sequence[ImageLike],
    threshold: float = 0.5,
    connected: bool = True,
    opening: bool | int = 2,
    memory: Any = None,
    verbose: int = 0,
    mask_type: MaskType = "whole-brain",
    template: ImageLike | None = None,
) -> Any:
    """Return the mask of a template on the one grid of many images.

    Parameters
    ----------
    target_imgs : list of images
        All of one shape and affine.
    threshold, connected, opening, memory, verbose, mask_type, template
        As for `compute_brain_mask`.

    Returns
    -------
    nibabel.Nifti1Image
    """
    return compute_brain_mask(
        list(target_imgs), threshold, connected, opening, memory, verbose, mask_type, template
    )


def intersect_masks(
    mask_imgs: Sequence[ImageLike], threshold: float = 0.5, connected: bool = True
) -> Any:
    """Return the voxels that more than a share of masks hold.

    Parameters
    ----------
    mask_imgs : list of paths or nibabel images
        3D, on one grid, each of 0 and one other value; they may be empty.
    threshold : float
        From 0, the union, to 1, the intersection. At .5, of two masks both are needed.
    connected : bool
        Keep only the largest component.

    Returns
    -------
    nibabel.Nifti1Image
        uint8.

    Raises
    ------
    UsageError
        No mask, or a threshold outside of 0 to 1.
    UnusableMask
        A mask of three values.
    GridMismatch
        Masks that differ in shape or affine.
    """
    series = as_series(list(mask_imgs))
    inside = (mask_voxels(volume_of(one), allow_empty=True) for one in mask_imgs)
    voxels = count_votes(inside).intersect(threshold, connected=connected)
    return series.image_of(voxels, series.grid)


def mean_on(
    images: ImageLike | Sequence[ImageLike],
    target_affine: Any,
    target_shape: Any,
    *,
    absolute: bool = False,
) -> tuple[Series, NDArray[Any], Grid]:
    """Return the volumes, and their mean, or that of magnitudes, on the grid that is wanted."""
    series = as_series(images)
    grid = target_grid(series.grid, target_affine, target_shape)
    mean = series.mean(absolute=absolute)
    return series, resample_mean(mean, series.grid, grid), grid


def image_of_mask(series: Series, voxels: NDArray[np.bool_], grid: Grid) -> Any:
    """Return the image of a mask, and warn of an empty one."""
    if not voxels.any():
        warnings.warn(
            f"The mask of {series.where} is empty: try a lower threshold or opening.",
            UserWarning,
            stacklevel=3,
        )
    return series.image_of(voxels, grid)


def _for_each(make: Callable[[Any], Any], images: Sequence[ImageLike], n_jobs: int) -> list[Any]:
    """Return what a function makes of each image, some at a time."""
    if isinstance(images, str | Path) or not len(images):
        raise UsageError("the images", "are no list of at least one")
    n_threads = n_jobs if n_jobs > 0 else cpu_count() or 1
    with ThreadPoolExecutor(n_threads) as threads:
        return list(threads.map(make, images))


def _nilearn_template(mask_type: str) -> Path:
    """Return nilearn's own template, which the mask of this name is defined by."""
    if mask_type not in NILEARN_TEMPLATES:
        raise UsageError(f"mask_type {mask_type!r}", "is unknown", "It is whole-brain, gm or wm.")
    found = find_spec("nilearn")
    if found is None or not found.submodule_search_locations:
        raise MissingInput(
            "nilearn's template",
            "is not there, since nilearn is not installed",
            "Install nilearn, or give an image by template=.",
        )
    folder = Path(found.submodule_search_locations[0])
    return folder / "datasets" / "data" / NILEARN_TEMPLATES[mask_type]
