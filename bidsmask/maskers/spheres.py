"""Spheres around seeds as columns: nilearn's NiftiSpheresMasker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin

from bidsmask.errors import UsageError
from bidsmask.images.grid import Grid
from bidsmask.maskers.base import BaseMasker
from bidsmask.maskers.moving import background_on, inside_of
from bidsmask.maskers.parameters import take_parameters
from bidsmask.maskers.prepared import Prepared
from bidsmask.maskers.report import Layer
from bidsmask.maskers.series import Series, as_series
from bidsmask.signals.extractor import Extractor
from bidsmask.signals.regions import Regions, StatisticExtractor
from bidsmask.signals.spheres import Spheres
from bidsmask.signals.way_back import WayBack


class NiftiSpheresMasker(ClassNamePrefixFeaturesOutMixin, BaseMasker):  # type: ignore[misc]  # sklearn
    """Take the mean of a sphere around each seed from images.

    Parameters
    ----------
    seeds : list of triplets
        x, y and z of the centres, mm.
    radius : float, default=None
        Of the spheres, mm: voxels whose centres are no farther from the seed, and the nearest
        voxel. None for the nearest voxel alone.
    mask_img : path or nibabel image, default=None
        Voxels outside belong to no sphere. The way back needs one.
    allow_overlap : bool, default=False
        Take spheres that share a voxel; else they are refused.
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
        Of the signals. By default float64 for images of float64 and scaled ones, else float32.
    memory : path or joblib.Memory, default=None
        Where results are kept between calls.
    memory_level : int, default=1
        0 keeps nothing, unless `memory` is given.
    verbose : int, default=0
        Whether to print what is being done.
    reports : bool, default=True
        Keep at `fit` what `generate_report` shows.
    clean_args : dict, default=None
        As of NiftiMasker.
    kwargs : dict
        The same under the names of older versions: clean__filter and so on.

    Attributes
    ----------
    clean_args_ : dict
        `clean_args`, or an empty one.
    mask_img_ : nibabel.Nifti1Image
        The mask, uint8; None without one.
    memory_ : joblib.Memory
    n_elements_ : int
        Number of seeds.
    seeds_ : list of lists
        The seeds.
    """

    seeds_: list[list[float]]

    def __init__(
        self,
        seeds: Sequence[Sequence[float]] | None = None,
        radius: float | None = None,
        mask_img: Any = None,
        allow_overlap: bool = False,
        smoothing_fwhm: Any = None,
        standardize: Any = False,
        standardize_confounds: bool = True,
        high_variance_confounds: bool = False,
        detrend: bool = False,
        low_pass: float | None = None,
        high_pass: float | None = None,
        t_r: float | None = None,
        dtype: Any = None,
        memory: Any = None,
        memory_level: int = 1,
        verbose: int = 0,
        reports: bool = True,
        clean_args: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        take_parameters(self, locals())

    def _fit(self, series: Series | None) -> None:
        self.seeds_ = _triplets(self.seeds)
        self._spheres()  # refuses what is no number
        self.n_elements_ = len(self.seeds_)

    def _spheres(self) -> Spheres:
        radius = 0.0 if self.radius is None else float(self.radius)
        return Spheres(np.array(self.seeds_), np.full(len(self.seeds_), radius))

    def _regions(self, grid: Grid) -> Regions:
        """Return the voxels of each sphere, or say which has none, and which share some."""
        regions, _ = self._spheres().on(grid, inside_of(self.mask_img_, grid))
        empty = np.flatnonzero(regions.sizes == 0).tolist()
        if empty:
            where = "outside of the image" + ("" if self.mask_img_ is None else " or the mask")
            raise UsageError(
                "seeds",
                f"lie {where}. These spheres are empty: {[self.seeds_[one] for one in empty]}",
                "Coordinates are in mm.",
            )
        pairs = [] if self.allow_overlap else regions.overlaps()
        if pairs:
            shown = ", ".join(f"{self.seeds_[a]} and {self.seeds_[b]}" for a, b in pairs[:3])
            raise UsageError(
                "seeds",
                f"have spheres that share voxels. Overlap detected between spheres: {shown}",
                "Give a smaller radius, or allow_overlap=True.",
            )
        return regions

    def _extraction(self, series: Series) -> tuple[Prepared, Extractor]:
        return Prepared(series, series.grid), StatisticExtractor(self._regions(series.grid))

    def inverse_transform(self, region_signals: Any) -> Any:
        """Return an image of signals, as `NiftiMasker` does, under nilearn's word for them."""
        return super().inverse_transform(region_signals)

    def _unmasked(self, signals: NDArray[Any]) -> tuple[NDArray[Any], Grid]:
        if self.mask_img_ is None:
            raise UsageError(
                "mask_img",
                "is None, so that the grid of the image is not known. Please provide mask_img",
                "Give a mask to the masker.",
            )
        grid = as_series(self.mask_img_).grid
        return WayBack.of_regions(self._regions(grid), grid.shape).array(signals), grid

    def _layers(self, background: NDArray[Any] | None) -> tuple[list[Layer], dict[str, Any]]:
        reference = self._shown if self.mask_img_ is None else as_series(self.mask_img_)
        if reference is None:
            return [], {}
        grid = reference.grid
        regions = self._regions(grid)
        numbers = np.zeros(grid.shape, np.int32)
        sphere = np.repeat(np.arange(len(regions.sizes)), regions.sizes)
        numbers[tuple(regions.ijk[regions.members].T)] = sphere + 1
        rows = [
            {"seed": seed, "radius (in mm)": self.radius, "voxels": size}
            for seed, size in zip(self.seeds_, regions.sizes.tolist(), strict=True)
        ]
        shown = background_on(background, self._shown, grid)
        return [Layer(f"{len(rows)} spheres", shown, numbers, grid)], {"Spheres": rows}


def _triplets(seeds: Any) -> list[list[float]]:
    """Return seeds as lists of three numbers."""
    advice = "Seeds must be a list of triplets of coordinates in mm."
    if seeds is None or isinstance(seeds, str) or not np.iterable(seeds):
        raise UsageError("seeds", f"are {seeds!r}", advice)
    try:
        found = [[float(one) for one in seed] for seed in seeds]
    except (TypeError, ValueError) as error:
        raise UsageError("seeds", f"hold what is no list of numbers ({error})", advice) from error
    for number, seed in enumerate(found, 1):
        if len(seed) != 3:
            raise UsageError(f"seed {number}", f"has {len(seed)} coordinates", advice)
    if not found:
        raise UsageError("seeds", "are none", advice)
    return found
