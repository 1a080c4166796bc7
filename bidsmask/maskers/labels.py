"""The regions of a label image as columns: nilearn's NiftiLabelsMasker."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from bidsmask.errors import UnusableImage, UnusableMask
from bidsmask.images.grid import Grid
from bidsmask.images.resample import resample_nearest_within
from bidsmask.maskers.base import BaseMasker
from bidsmask.maskers.moving import (
    background_on,
    dtype_of_values,
    finite,
    image_on,
    inside_of,
    one_of,
    refuse_other_grids,
    warn_of_moving,
)
from bidsmask.maskers.parameters import take_parameters
from bidsmask.maskers.prepared import Prepared, moved_to
from bidsmask.maskers.region_names import region_table
from bidsmask.maskers.report import Layer
from bidsmask.maskers.series import Series, as_series, volume_of
from bidsmask.signals.extractor import Extractor
from bidsmask.signals.regions import Regions, Statistic, StatisticExtractor
from bidsmask.signals.way_back import WayBack


class NiftiLabelsMasker(BaseMasker):
    """Take a statistic of each region of a label image from images.

    Parameters
    ----------
    labels_img : path or nibabel image
        3D; each value but `background_label` is a region, fractions and negative ones, too.
    labels : list of str, default=None
        Names in the order of the labels; the first may be "Background".
    lut : DataFrame or path of a CSV or TSV file, default=None
        Names by label, with the columns `index` and `name`. In place of `labels`.
    background_label : float, default=0
        The label that is no region.
    mask_img : path or nibabel image, default=None
        Voxels outside count for no region.
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
        Of the signals. By default float32 for images of float32, else float64.
    resampling_target : {"data", "labels", None}, default="data"
        What is moved where grids differ: "data": labels and mask to the images, by the nearest
        voxel; "labels": images to the labels, by cubic splines; None: nothing, and other grids
        are refused.
    memory : path or joblib.Memory, default=None
        Where results are kept between calls.
    memory_level : int, default=1
        0 keeps nothing, unless `memory` is given.
    verbose : int, default=0
        Whether to print what is being done.
    strategy : str, default="mean"
        The statistic: "mean", "median", "sum", "minimum", "maximum", "standard_deviation" or
        "variance", the last two of n.
    keep_masked_labels : bool, default=False
        Keep regions without a voxel in the mask, as columns of 0.
    reports : bool, default=True
        Keep at `fit` what `generate_report` shows.
    cmap : str, default=None
        Without effect.
    clean_args : dict, default=None
        As of NiftiMasker.
    kwargs : dict
        The same under the names of older versions: clean__filter and so on.

    Attributes
    ----------
    clean_args_ : dict
        `clean_args`, or an empty one.
    labels_ : list
        The label of the background, where it is there, and those of the columns.
    labels_img_ : nibabel.Nifti1Image
        The labels, on the grid of the images where those were known to `fit`.
    lut_ : DataFrame
        `index` and `name` of each label of the image.
    mask_img_ : nibabel.Nifti1Image
        The mask, uint8; None without one.
    memory_ : joblib.Memory
    n_elements_ : int
        Number of columns.
    region_atlas_ : nibabel.Nifti1Image
        The labels that the last signals are of.
    region_ids_ : dict
        Label of each column, and of "background".
    region_names_ : dict
        Name of each column.
    """

    labels_: list[Any]
    labels_img_: Any
    lut_: pd.DataFrame
    region_atlas_: Any
    region_ids_: dict[int | str, Any]
    region_names_: dict[int, str]
    # Those that signals are taken from.
    _grid: Grid
    _regions: Regions

    def __init__(
        self,
        labels_img: Any = None,
        labels: list[str] | None = None,
        lut: pd.DataFrame | str | Path | None = None,
        background_label: float = 0,
        mask_img: Any = None,
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
        memory: Any = None,
        memory_level: int = 1,
        verbose: int = 0,
        strategy: Statistic = "mean",
        keep_masked_labels: bool = False,
        reports: bool = True,
        cmap: Any = None,
        clean_args: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        take_parameters(self, locals())

    def _fit(self, series: Series | None) -> None:
        one_of("resampling_target", self.resampling_target, ("data", "labels", None))
        one_of("strategy", self.strategy, get_args(Statistic))
        atlas, stored = volume_of(self.labels_img)
        self._say(f"Loading regions from {atlas.where}")
        labels = finite(stored, "labels")
        values = np.unique(labels)
        if not self._is_region(values).any():
            problem = f"holds nothing but {self.background_label}: Image has no label"
            raise UnusableImage(atlas.where, problem, "Is it the right image?")
        self.lut_ = region_table(values, self.background_label, self.labels, self.lut)
        grid = atlas.grid
        if self.resampling_target is None:
            refuse_other_grids(grid, mask_img=self.mask_img_, imgs=series)
        if self.resampling_target == "data" and series is not None:
            grid = series.grid
        if not grid.is_same(atlas.grid):
            self._say("Resampling regions")
        moved = self._moved(labels, atlas.grid, grid)
        self.labels_img_ = atlas.images[0] if moved is stored else atlas.image_of(moved, grid)
        # Which regions the mask leaves, depends on the grid of images that are still to come.
        is_open = series is None and self.resampling_target == "data"
        if self.mask_img_ is not None and not is_open:
            self._say("Resampling mask")
            self.mask_img_ = image_on(self.mask_img_, grid)
        self._settle(moved, inside_of(None if is_open else self.mask_img_, grid), atlas, grid)

    def _is_region(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        is_region: NDArray[np.bool_] = values != self.background_label
        return is_region

    def _moved(self, labels: NDArray[Any], source: Grid, grid: Grid) -> NDArray[Any]:
        """Return labels on another grid, with a warning of those that are lost."""
        if source.is_same(grid):
            return labels
        # Beyond the image there is background, whatever its label.
        rank = np.searchsorted(values := np.unique(labels), labels) + 1
        moved = resample_nearest_within(rank.astype(np.int32), source, grid)
        background = values.dtype.type(self.background_label)
        moved_labels: NDArray[Any] = np.append(background, values)[moved]
        regions = values[self._is_region(values)]
        lost = np.setdiff1d(regions, moved_labels)
        if len(lost) == len(regions):
            problem = "lies outside of the images: No label left after resampling"
            raise UnusableImage("labels_img", problem, "Are they in one space?")
        if len(lost):
            _warn_of_loss("resampling the label image to the data image", lost)
        return moved_labels

    def _columns(self, labels: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[Any]:
        """Return the labels that are columns, ascending: those that the mask leaves, or all."""
        values = np.unique(labels)
        regions = values[self._is_region(values)]
        lost = np.setdiff1d(regions, labels[inside])
        if len(lost) == len(regions):
            problem = "leaves no region: No label left after applying mask to the labels image"
            raise UnusableMask("mask_img", problem, "Are they in one space?")
        if not len(lost) or self.keep_masked_labels:
            return regions
        _warn_of_loss("applying mask to the labels image", lost)
        return np.setdiff1d(regions, lost)

    def _name_columns(self, columns: NDArray[Any]) -> None:
        """Say what the columns are."""
        names = dict(zip(self.lut_["index"], self.lut_["name"], strict=True))
        self.region_names_ = {n: names[label] for n, label in enumerate(columns.tolist())}
        self.region_ids_ = dict(enumerate(columns.tolist()))
        self.labels_ = columns.tolist()
        if self.background_label in names:
            self.region_ids_["background"] = self.background_label
            self.labels_ = [self.background_label, *self.labels_]
        self.n_elements_ = len(columns)

    def _adapt(self, series: Series) -> None:
        atlas, labels = volume_of(self.labels_img_)
        grid = atlas.grid
        if not grid.is_same(series.grid):
            if self.resampling_target is None:
                refuse_other_grids(grid, imgs=series)
            if self.resampling_target == "data":
                warn_of_moving("labels")
                grid = series.grid
                labels = self._moved(labels, atlas.grid, grid)
        self._settle(labels, inside_of(self.mask_img_, grid), atlas, grid)

    def _settle(
        self, labels: NDArray[Any], inside: NDArray[np.bool_], atlas: Series, grid: Grid
    ) -> None:
        """Learn which labels on a grid are columns, and their voxels."""
        columns = self._columns(labels, inside)
        self._name_columns(columns)
        shown = np.where(inside, labels, labels.dtype.type(self.background_label))
        self.region_atlas_ = atlas.image_of(shown, grid)
        self._grid, self._regions = grid, Regions.of_labels(labels, columns, inside)

    def _extraction(self, series: Series) -> tuple[Prepared, Extractor]:
        extractor = StatisticExtractor(self._regions, self.strategy)
        if self._grid.is_same(series.grid):
            return Prepared(series, series.grid), extractor
        warn_of_moving("images")
        return moved_to(series, self._grid), extractor

    def _signal_dtype(self, series: Series) -> np.dtype[Any]:
        is_moved = not self._grid.is_same(series.grid)
        is_smoothed = self.smoothing_fwhm is not None
        held = dtype_of_values(series, is_smoothed=is_smoothed, is_moved=is_moved)
        return np.dtype(np.float32 if held == np.float32 else np.float64)

    def inverse_transform(self, signals: Any) -> Any:
        """Return an image of signals, as `NiftiMasker` does, under nilearn's word for them."""
        return super().inverse_transform(signals)

    def _unmasked(self, signals: NDArray[Any]) -> tuple[NDArray[Any], Grid]:
        atlas, labels = volume_of(self.labels_img_)
        columns = np.array([self.region_ids_[one] for one in range(self.n_elements_)])
        inside = inside_of(self.mask_img_, atlas.grid)
        way = WayBack.of_regions(Regions.of_labels(labels, columns, inside), atlas.grid.shape)
        return way.array(signals), atlas.grid

    def _space(self) -> Series:
        return as_series(self.labels_img_)

    def _layers(self, background: NDArray[Any] | None) -> tuple[list[Layer], dict[str, Any]]:
        atlas, labels = volume_of(self.region_atlas_)
        columns = list(self.region_names_)
        values = np.array([self.region_ids_[one] for one in columns])
        numbers = np.searchsorted(values, labels) + 1
        numbers[~np.isin(labels, values)] = 0
        sizes = np.bincount(numbers.ravel(), minlength=len(values) + 1)[1:]
        rows = [
            {
                "label value": self.region_ids_[one],
                "region name": self.region_names_[one],
                "size (in mm^3)": round(size * atlas.grid.voxel_volume_mm3),
                "relative size (in %)": round(100 * size / sizes.sum(), 2),
            }
            for one, size in zip(columns, sizes.tolist(), strict=True)
        ]
        shown = background_on(background, self._shown, atlas.grid)
        return [Layer(f"{len(rows)} regions", shown, numbers, atlas.grid)], {"Regions": rows}

    def get_feature_names_out(self, input_features: Any = None) -> list[str]:
        """Return the names of the regions."""
        check_is_fitted(self)
        return list(self.region_names_.values())


def _warn_of_loss(after: str, lost: NDArray[Any]) -> None:
    """Warn of labels that are no columns, in nilearn's first words."""
    message = f"After {after}, the following labels were removed: {set(lost.tolist())}."
    warnings.warn(message, UserWarning, stacklevel=5)
