"""The voxels of a mask as columns: nilearn's NiftiMasker."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin

from bidsmask.errors import MissingInput, UnusableMask, UsageError
from bidsmask.images.grid import Grid, box_around
from bidsmask.images.resample import resample_nearest_within, resample_spline, target_grid
from bidsmask.maskers.base import BaseMasker
from bidsmask.maskers.masking import (
    compute_background_mask,
    compute_brain_mask,
    compute_epi_mask,
)
from bidsmask.maskers.memory import content_of
from bidsmask.maskers.parameters import take_parameters
from bidsmask.maskers.prepared import Prepared, moved_to
from bidsmask.maskers.report import Layer
from bidsmask.maskers.series import Series, volume_of
from bidsmask.masks.head_files import HeadFiles, read_prior
from bidsmask.masks.mask import Mask
from bidsmask.masks.strategies import STRATEGIES, compute_mask
from bidsmask.signals.extractor import Extractor
from bidsmask.signals.voxels import VoxelExtractor

# Those of nilearn, by its functions.
PEERS: dict[str, Callable[..., Any]] = {
    "background": compute_background_mask,
    "epi": compute_epi_mask,
    "whole-brain-template": partial(compute_brain_mask, mask_type="whole-brain"),
    "gm-template": partial(compute_brain_mask, mask_type="gm"),
    "wm-template": partial(compute_brain_mask, mask_type="wm"),
}
OWN = ("otsu", "automask", "brain")
# A template's head, for the strategy that lays one onto the image.
HEAD_ARGUMENTS = ("head", "t1w", "mask")


class NiftiMasker(ClassNamePrefixFeaturesOutMixin, BaseMasker):  # type: ignore[misc]  # sklearn
    """Take the signals of the voxels of a mask from images.

    Parameters
    ----------
    mask_img : path or nibabel image, default=None
        What is not 0 is inside. Without one, `fit` computes it from its images. Images on
        another grid are moved to the mask's, by cubic splines.
    runs : (n_volumes,) array-like, default=None
        Marks of the runs of a series, which are cleaned one by one.
    smoothing_fwhm : float or three floats, default=None
        Width of the Gaussian that volumes are smoothed with first, mm.
    standardize : {"zscore_sample", "zscore", "psc", True, False, None}, default=False
        Divide by the standard deviation (of n - 1, which True says too, or of n), give percent
        of the mean, or leave the scale. All but the last two take out the mean.
    standardize_confounds : bool, default=True
        Take the mean out of confounds before they are regressed out.
    detrend : bool, default=False
        Take out each column's line over time.
    high_variance_confounds : bool, default=False
        Regress out what the voxels of highest variance have in common.
    low_pass : float, default=None
        Hz; what is faster goes.
    high_pass : float, default=None
        Hz; what is slower goes.
    t_r : float, default=None
        Repetition time, s. A filter needs it.
    target_affine : (3, 3) or (4, 4) array-like, default=None
        Of the grid that mask and images are moved to.
    target_shape : three ints, default=None
        Of that grid.
    mask_strategy : str, default="background"
        How a mask is computed: "background", "epi", "otsu", "automask", "brain",
        "whole-brain-template", "gm-template", "wm-template".
    mask_args : dict, default=None
        Arguments of the strategy. "brain" needs a template's `head` and `mask`, and its `t1w`
        where `head` is none, all paths; `contrast` says which: "EPI", "T1w" or "T2w".
    dtype : dtype or "auto", default=None
        Of the signals. "auto" is float32. By default float64 for images of float64 and scaled
        ones, else float32.
    memory : path or joblib.Memory, default=None
        Where results are kept between calls.
    memory_level : int, default=1
        0 keeps nothing, unless `memory` is given.
    verbose : int, default=0
        Whether to print what is being done.
    reports : bool, default=True
        Keep at `fit` what `generate_report` shows.
    cmap : str, default="gray"
        Without effect: the pictures of reports are grey.
    clean_args : dict, default=None
        filter ("butterworth", "cosine" or False), extrapolate, ensure_finite,
        butterworth__order, butterworth__padtype, butterworth__padlen, interpolation.
    kwargs : dict
        The same under the names of older versions: clean__filter and so on.

    Attributes
    ----------
    affine_ : (4, 4) or (3, 3) array
        Of the grid of the signals.
    clean_args_ : dict
        `clean_args`, or an empty one.
    mask_img_ : nibabel.Nifti1Image
        The mask, uint8.
    memory_ : joblib.Memory
    n_elements_ : int
        Number of voxels inside.
    """

    def __init__(
        self,
        mask_img: Any = None,
        runs: Any = None,
        smoothing_fwhm: Any = None,
        standardize: Any = False,
        standardize_confounds: bool = True,
        detrend: bool = False,
        high_variance_confounds: bool = False,
        low_pass: float | None = None,
        high_pass: float | None = None,
        t_r: float | None = None,
        target_affine: Any = None,
        target_shape: Any = None,
        mask_strategy: str = "background",
        mask_args: Mapping[str, Any] | None = None,
        dtype: Any = None,
        memory: Any = None,
        memory_level: int = 1,
        verbose: int = 0,
        reports: bool = True,
        cmap: Any = "gray",
        clean_args: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        take_parameters(self, locals())

    def _fit(self, series: Series | None) -> None:
        if self.mask_img_ is None:
            if series is None:
                raise UsageError(
                    "Parameter 'imgs'",
                    f"must be provided to {type(self).__name__}.fit() if no mask is passed to "
                    "mask_img",
                )
            self._say("Computing mask")
            self.mask_img_ = self._computed_mask(series)
        elif series is not None:
            warnings.warn(
                f"[{type(self).__name__}.fit] Generation of a mask has been requested "
                "(imgs != None) while a mask was given at masker creation. Given mask will be "
                "used.",
                RuntimeWarning,
                stacklevel=3,
            )
        self._say("Resampling mask")
        self.mask_img_ = self._mask_on_target()
        self.affine_ = self.mask_img_.affine if self.target_affine is None else self.target_affine
        self.n_elements_ = self._mask().n_voxels

    def _computed_mask(self, series: Series) -> Any:
        """Return the mask that the strategy makes of the images."""
        name, given = self.mask_strategy, dict(self.mask_args or {})
        if name not in PEERS and name not in OWN:
            raise UsageError(
                f"Unknown value of mask_strategy '{name}'",
                "is given",
                f"Acceptable values are {', '.join((*PEERS, *OWN))}.",
            )
        known = self._arguments_of(name)
        skipped = [one for one in given if one not in known]
        if skipped:
            warnings.warn(
                "The following arguments are not supported by the masking strategy "
                f"'{name}': {skipped}",
                UserWarning,
                stacklevel=4,
            )
        arguments = {one: value for one, value in given.items() if one in known}
        return self._remember(
            lambda: ("mask", name, content_of(series), content_of(arguments)),
            lambda: self._compute(name, series, arguments),
        )

    @staticmethod
    def _arguments_of(strategy: str) -> set[str]:
        """Return the names of a strategy's arguments."""
        return arguments_of(strategy)

    def _compute(self, strategy: str, series: Series, arguments: Mapping[str, Any]) -> Any:
        """Return the image of a mask that a strategy makes."""
        return compute_with(strategy, series, arguments)

    def _mask_on_target(self) -> Any:
        """Return the mask on the grid that is asked for, by the nearest voxel."""
        mask, values = volume_of(self.mask_img_)
        grid = target_grid(mask.grid, self.target_affine, self.target_shape)
        if mask.grid.is_same(grid):
            return self.mask_img_
        return mask.image_of(resample_nearest_within(values, mask.grid, grid), grid)

    def _mask(self) -> Mask:
        series, values = volume_of(self.mask_img_)
        if not values.any():
            raise UnusableMask(
                "The mask", "is invalid as it is empty: it masks all data", "Choose another."
            )
        return Mask(values != 0, series.grid, "file")

    def _extraction(self, series: Series) -> tuple[Prepared, Extractor]:
        mask = self._mask()
        kind = np.float64 if series.dtype == np.float64 else np.float32
        if mask.grid.is_same(series.grid):
            return Prepared(series, mask.grid), VoxelExtractor(mask, kind)
        warnings.warn(
            "imgs are being resampled to the mask_img resolution. A target_affine that is equal "
            "to the affine of the imgs, or a mask on their grid, saves time.",
            UserWarning,
            stacklevel=4,
        )
        near = _cut_close(mask)
        return moved_to(series, near.grid), VoxelExtractor(near, kind)

    def _layers(self, background: NDArray[Any] | None) -> tuple[list[Layer], dict[str, Any]]:
        mask = self._mask()
        shown = background
        if shown is not None and self._shown is not None:
            grid = self._shown.grid
            if not grid.is_same(mask.grid):
                shown = resample_spline(shown.astype(np.float32), grid, mask.grid)
        share = 100 * mask.n_voxels / mask.grid.n_voxels
        title = f"{mask.n_voxels} voxels, {mask.volume_ml:.4g} ml, {share:.3g} % of the image"
        return [Layer(title, shown, mask.voxels.astype(np.uint8), mask.grid)], {}

    def _unmasked(self, signals: NDArray[Any]) -> tuple[NDArray[Any], Grid]:
        mask = self._mask()
        values = np.zeros((*mask.grid.shape, len(signals)), signals.dtype, order="F")
        values[mask.voxels] = signals.T
        return values, mask.grid


def arguments_of(strategy: str) -> set[str]:
    """Return the names of a strategy's arguments."""
    if strategy in PEERS:
        return names_after_images(PEERS[strategy])
    return {*STRATEGIES[strategy].arguments, *(HEAD_ARGUMENTS if strategy == "brain" else ())}


def names_after_images(function: Callable[..., Any]) -> set[str]:
    """Return the names of the parameters of a function on images, but for the first."""
    names = list(inspect.signature(function).parameters)
    return set(names[1:]) - {"mask_type"}


def compute_with(strategy: str, series: Series, arguments: Mapping[str, Any]) -> Any:
    """Return the image of a mask that a strategy makes."""
    if strategy in PEERS:
        images = series.images if series.is_series and len(series.images) > 1 else series.images[0]
        return PEERS[strategy](images, **arguments)
    prior = None
    if STRATEGIES[strategy].takes_prior:
        prior = read_prior(_head_files(arguments))
        arguments = {name: arguments[name] for name in arguments if name not in HEAD_ARGUMENTS}
    mean = _mean_magnitude(series) if STRATEGIES[strategy].takes_magnitude else series.mean()
    mask = compute_mask(strategy, mean, series.grid, arguments, series.where, prior)
    for doubt in mask.doubts:
        warnings.warn(doubt, UserWarning, stacklevel=5)
    return series.image_of(mask.voxels, series.grid)


def _mean_magnitude(series: Series) -> NDArray[np.float64]:
    """Return the mean of absolute values over volumes."""
    total = np.zeros(series.grid.shape)
    for volume in series.volumes():
        total += np.abs(volume)
    return total / series.n_volumes


def _head_files(arguments: Mapping[str, Any]) -> HeadFiles:
    """Return the files of the template's head that are among the arguments of a mask."""
    if "head" not in arguments or "mask" not in arguments:
        raise MissingInput(
            "mask_strategy 'brain'",
            "needs a template's head and its brain mask",
            "Give their paths by mask_args: head, mask, and t1w where the head is none.",
        )
    head, t1w, mask = (
        Path(arguments.get(name) or arguments["head"]).expanduser() for name in HEAD_ARGUMENTS
    )
    return HeadFiles(head, t1w, mask, arguments.get("contrast", "EPI"))


def _cut_close(mask: Mask) -> Mask:
    """Return the mask in the box around it, with a voxel more on each side: nilearn's `crop_img`.

    Where images are smoothed, the box is where they end.
    """
    box = tuple(
        slice(max(part.start - 1, 0), min(part.stop + 1, length))
        for part, length in zip(box_around(mask.ijk), mask.grid.shape, strict=True)
    )
    affine = mask.grid.affine.copy()
    affine[:3, 3] = mask.grid.to_mm(np.array([[part.start for part in box]]))[0]
    voxels = mask.voxels[box]
    i, j, k = voxels.shape
    return Mask(voxels, Grid((i, j, k), affine), mask.strategy)
