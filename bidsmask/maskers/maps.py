"""Probabilistic maps as columns: nilearn's NiftiMapsMasker."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin

from bidsmask.errors import UnusableImage, UnusableMask, UsageError
from bidsmask.images.grid import Grid
from bidsmask.maskers.base import BaseMasker
from bidsmask.maskers.moving import (
    background_on,
    dtype_of_values,
    image_on,
    inside_of,
    one_of,
    refuse_other_grids,
    warn_of_moving,
)
from bidsmask.maskers.parameters import take_parameters
from bidsmask.maskers.prepared import Prepared, moved_to
from bidsmask.maskers.report import Layer
from bidsmask.maskers.series import ImageLike, Series, as_series
from bidsmask.masks.mask import Mask
from bidsmask.signals.extractor import Extractor
from bidsmask.signals.maps import MapExtractor, Maps, gather_maps
from bidsmask.signals.way_back import WayBack

# Of a map's maximum, what is outlined in the report.
CORE = 0.25
TINY = np.finfo(np.float64).tiny


class NiftiMapsMasker(ClassNamePrefixFeaturesOutMixin, BaseMasker):  # type: ignore[misc]  # sklearn
    """Take from images how much of each map they hold, by least squares.

    Parameters
    ----------
    maps_img : path or nibabel image
        4D, a map a volume; or 3D, a single map.
    mask_img : path or nibabel image, default=None
        Voxels outside do not count.
    allow_overlap : bool, default=True
        Take maps of which two are above 0 in one voxel; else they are refused.
    smoothing_fwhm : float or three floats, default=None
        Width of the Gaussian that volumes are smoothed with first, mm.
    standardize : {"zscore_sample", "zscore", "psc", True, False, None}, default=False
        As of NiftiMasker.
    standardize_confounds : bool, default=True
        Take the mean out of confounds before they are regressed out.
    high_variance_confounds : bool, default=False
        Regress out what the voxels of highest variance have in common.
    detrend : bool, default=False
        Take out each column's line over time.
    low_pass : float, default=None
        Hz; what is faster goes.
    high_pass : float, default=None
        Hz; what is slower goes.
    t_r : float, default=None
        Repetition time, s. A filter needs it.
    dtype : dtype or "auto", default=None
        Of the signals. By default that of the maps and images: float32, or float64 where one is.
    resampling_target : {"data", "mask", "maps", None}, default="data"
        The grid that everything is moved to: maps linearly, masks by the nearest voxel, images by
        cubic splines. None: nothing is moved, and other grids are refused.
    keep_masked_maps : bool, default=False
        Keep maps that are 0 all over the mask, as columns of 0.
    memory : path or joblib.Memory, default=None
        Where results are kept between calls.
    memory_level : int, default=0
        0 keeps nothing, unless `memory` is given.
    verbose : int, default=0
        Whether to print what is being done.
    reports : bool, default=True
        Keep at `fit` what `generate_report` shows.
    cmap : str, default="CMRmap_r"
        Without effect.
    clean_args : dict, default=None
        As of NiftiMasker.
    kwargs : dict
        The same under the names of older versions: clean__filter and so on.

    Attributes
    ----------
    clean_args_ : dict
        `clean_args`, or an empty one.
    maps_img_ : nibabel image
        The maps, on the grid that they were moved to.
    mask_img_ : nibabel.Nifti1Image
        The mask, uint8; None without one.
    memory_ : joblib.Memory
    n_elements_ : int
        Number of columns.
    """

    # The maps as they were given, and at the voxels that were known to `fit`.
    _given: Series
    _maps: Maps
    _mask: Mask
    # For the grid and mask of `fit`, if those were known; and for the images at hand.
    _known: MapExtractor | None
    _extractor: MapExtractor

    def __init__(
        self,
        maps_img: Any = None,
        mask_img: Any = None,
        allow_overlap: bool = True,
        smoothing_fwhm: Any = None,
        standardize: Any = False,
        standardize_confounds: bool = True,
        high_variance_confounds: bool = False,
        detrend: bool = False,
        low_pass: float | None = None,
        high_pass: float | None = None,
        t_r: float | None = None,
        dtype: Any = None,
        resampling_target: str | None = "data",
        keep_masked_maps: bool = False,
        memory: Any = None,
        memory_level: int = 0,
        verbose: int = 0,
        reports: bool = True,
        cmap: Any = "CMRmap_r",
        clean_args: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        take_parameters(self, locals())

    def _fit(self, series: Series | None) -> None:
        self._fit_maps(self.maps_img, series)

    def _fit_maps(self, maps_img: ImageLike, series: Series | None) -> None:
        """Learn the maps of an image, moved to where they are needed as far as that is known."""
        one_of("resampling_target", self.resampling_target, ("data", "mask", "maps", None))
        if self.resampling_target == "mask" and self.mask_img_ is None:
            raise UsageError(
                "resampling_target",
                "has been set to 'mask' but no mask has been provided",
                "Give a mask_img, or another target.",
            )
        self._given = as_series(maps_img)
        self._say(f"Loading regions from {self._given.where}")
        grid = self._given.grid
        match self.resampling_target:
            case "data" if series is not None:
                grid = series.grid
            case "mask":
                grid = as_series(self.mask_img_).grid
            case None:
                refuse_other_grids(grid, mask_img=self.mask_img_, imgs=series)
        # What the mask leaves of the maps, depends on the grid of images that are still to come.
        is_open = series is None and self.resampling_target == "data" and self.mask_img is not None
        if not grid.is_same(self._given.grid):
            self._say("Resampling regions")
        if self.mask_img_ is not None and not is_open:
            self._say("Resampling mask")
            self.mask_img_ = image_on(self.mask_img_, grid)
        self._maps, self._mask = self._on(grid, None if is_open else self.mask_img_)
        self._extractor = MapExtractor(self._maps, self._mask)
        self._known = None if is_open else self._extractor
        self.n_elements_ = self._extractor.n_columns

    def _on(self, grid: Grid, mask_img: ImageLike | None) -> tuple[Maps, Mask]:
        """Return the maps that are columns, on a grid, at the voxels that a mask leaves."""
        mask = Mask(inside_of(mask_img, grid), grid, "file")
        volumes = (volume.ravel(order="F") for volume in self._given.volumes())
        maps = gather_maps(volumes, self._given.grid, mask, self._given.where, within=True)
        is_there = np.diff(maps.weights.indptr) > 0
        if not is_there.any() and mask_img is None:
            problem = "lies outside of the images: No map left after resampling"
            raise UnusableImage("maps_img", problem, "Are they in one space?")
        if not is_there.any():
            problem = "leaves no map: No map left after applying mask to the maps image"
            raise UnusableMask("mask_img", problem, "Are they in one space?")
        if not self.allow_overlap:
            _refuse_overlap(maps.weights)
        if mask_img is None or self.keep_masked_maps or is_there.all():
            return maps, mask
        lost = np.flatnonzero(~is_there).tolist()
        message = f"After applying mask to the maps image, the following maps were removed: {lost}."
        warnings.warn(message, UserWarning, stacklevel=5)
        return Maps(maps.weights[is_there], maps.coverage[is_there]), mask

    @property
    def maps_img_(self) -> Any:
        """The maps, on the grid that they were moved to."""
        given, grid = self._given, self._mask.grid
        if given.grid.is_same(grid):
            return given.images[0]
        everywhere = Mask(np.ones(grid.shape, bool), grid, "file")
        volumes = (volume.ravel(order="F") for volume in given.volumes())
        maps = gather_maps(volumes, given.grid, everywhere, given.where, within=True)
        each = np.eye(maps.weights.shape[0], dtype=np.float32)
        return given.image_of(WayBack.of_maps(maps, everywhere).array(each), grid)

    def _adapt(self, series: Series) -> None:
        is_here = self._mask.grid.is_same(series.grid)
        if not is_here and self.resampling_target is None:
            refuse_other_grids(self._mask.grid, imgs=series)
        is_moved = not is_here and self.resampling_target == "data"
        if is_moved:
            warn_of_moving("maps")
        if is_moved or self._known is None:
            self._extractor = MapExtractor(*self._on(series.grid, self.mask_img_))
        else:
            self._extractor = self._known
        self.n_elements_ = self._extractor.n_columns

    def _extraction(self, series: Series) -> tuple[Prepared, Extractor]:
        grid = self._mask.grid
        if self.resampling_target == "data" or grid.is_same(series.grid):
            return Prepared(series, series.grid), self._extractor
        warn_of_moving("images")
        return moved_to(series, grid), self._extractor

    def _signal_dtype(self, series: Series) -> np.dtype[Any]:
        is_moved = self.resampling_target != "data" and not self._mask.grid.is_same(series.grid)
        is_smoothed = self.smoothing_fwhm is not None
        held = dtype_of_values(series, is_smoothed=is_smoothed, is_moved=is_moved)
        kind: np.dtype[Any] = np.result_type(held, self._given.dtype, np.float32)
        return kind

    def inverse_transform(self, region_signals: Any) -> Any:
        """Return an image of signals, as `NiftiMasker` does, under nilearn's word for them."""
        return super().inverse_transform(region_signals)

    def _unmasked(self, signals: NDArray[Any]) -> tuple[NDArray[Any], Grid]:
        grid = self._mask.grid
        known = (self._maps, self._mask)
        maps, mask = known if self._known else self._on(grid, self.mask_img_)
        return WayBack.of_maps(maps, mask).array(signals), grid

    def _space(self) -> Series:
        return self._given

    def _layers(self, background: NDArray[Any] | None) -> tuple[list[Layer], dict[str, Any]]:
        weights, grid = self._maps.weights, self._mask.grid
        highest = weights.max(axis=1).toarray()
        # A voxel is outlined with the map that it belongs to most, as shares of the maxima.
        shares = sparse.csc_array(sparse.diags_array(1 / np.maximum(highest, TINY)) @ weights)
        numbers = np.zeros(grid.shape, np.int32)
        is_core = shares.max(axis=0).toarray() > CORE
        numbers[self._mask.voxels] = np.where(is_core, shares.argmax(axis=0) + 1, 0)
        shown = background_on(background, self._shown, grid)
        return [Layer(f"the cores of {len(highest)} maps", shown, numbers, grid)], {}


def _refuse_overlap(weights: sparse.csr_array) -> None:
    """Raise UsageError where two maps are above 0 in one voxel."""
    above = weights.indices[weights.data > np.finfo(np.float64).eps]
    n_shared = int(np.count_nonzero(np.bincount(above) > 1))
    if n_shared:
        raise UsageError(
            "maps_img",
            f"holds maps that share {n_shared} voxels: Overlap detected in the maps",
            "Give maps that do not overlap, or allow_overlap=True.",
        )
