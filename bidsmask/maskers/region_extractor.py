"""The regions of maps as columns: nilearn's RegionExtractor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bidsmask.errors import UnusableImage, UsageError
from bidsmask.maskers.maps import NiftiMapsMasker
from bidsmask.maskers.parameters import take_parameters
from bidsmask.maskers.regions import extract_regions
from bidsmask.maskers.series import Series
from bidsmask.regions.maps import ExtractType
from bidsmask.regions.threshold import ThresholdingStrategy


class RegionExtractor(NiftiMapsMasker):
    """Take maps apart into regions, and take from images how much of each they hold.

    Parameters
    ----------
    maps_img : path or nibabel image
        4D, a map a volume; or 3D, a single map.
    mask_img : path or nibabel image, default=None
        Voxels outside do not count.
    min_region_size : float, default=1350
        mm³; regions of this size or smaller are left out.
    threshold : float, default=1.0
        What it means, the strategy says.
    thresholding_strategy : {"ratio_n_voxels", "img_value", "percentile"}
        As of `extract_regions`; default="ratio_n_voxels".
    two_sided : bool, default=False
        For img_value and percentile: go by absolute values.
    extractor : {"local_regions", "connected_components"}, default="local_regions"
        As `extract_type` of `connected_regions`.
    smoothing_fwhm : float, default=6
        mm: of maps before peaks are looked for, and of images.
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
        As of NiftiMapsMasker.
    resampling_target : {"data", "mask", "maps", None}, default="data"
        As of NiftiMapsMasker.
    keep_masked_maps : bool, default=False
        As of NiftiMapsMasker.
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
    allow_overlap : bool, default=True
        As of NiftiMapsMasker.
    clean_args : dict, default=None
        As of NiftiMasker.
    kwargs : dict
        The same under the names of older versions: clean__filter and so on.

    Attributes
    ----------
    clean_args_ : dict
        `clean_args`, or an empty one.
    index_ : list of int
        The map that each region is of, from 0.
    maps_img_ : nibabel image
        The regions, on the grid that they were moved to.
    mask_img_ : nibabel.Nifti1Image
        The mask, uint8; None without one.
    memory_ : joblib.Memory
    n_elements_ : int
        Number of regions.
    regions_img_ : nibabel.Nifti1Image
        4D, a region a volume, on the grid of the maps.
    """

    index_: list[int]
    regions_img_: Any

    def __init__(
        self,
        maps_img: Any = None,
        mask_img: Any = None,
        min_region_size: float = 1350,
        threshold: float = 1.0,
        thresholding_strategy: ThresholdingStrategy = "ratio_n_voxels",
        two_sided: bool = False,
        extractor: ExtractType = "local_regions",
        smoothing_fwhm: float | None = 6,
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
        allow_overlap: bool = True,
        clean_args: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        take_parameters(self, locals())

    def _fit(self, series: Series | None) -> None:
        if self.threshold is None or isinstance(self.threshold, str):
            problem = f"is {self.threshold!r}: The given input to threshold is not valid."
            raise UsageError("threshold", problem, "Give a number.")
        self._say("Extracting regions from maps")
        regions, index = extract_regions(
            self.maps_img,
            self.mask_img_,
            self.min_region_size,
            self.threshold,
            self.thresholding_strategy,
            self.two_sided,
            self.extractor,
            self.smoothing_fwhm,
        )
        if regions is None or index is None:
            problem = "holds no region above min_region_size"
            raise UnusableImage("maps_img", problem, "Lower it, or the threshold.")
        self.regions_img_, self.index_ = regions, index
        self._fit_maps(regions, series)
