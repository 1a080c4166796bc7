"""The voxels of one mask as columns, for the images of many: nilearn's MultiNiftiMasker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from joblib import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from bidsmask.errors import UsageError, WrongType
from bidsmask.maskers.base import BaseMasker, Images
from bidsmask.maskers.confounds import Confounds, SampleMask
from bidsmask.maskers.masking import (
    compute_multi_background_mask,
    compute_multi_epi_mask,
    intersect_masks,
)
from bidsmask.maskers.nifti_masker import (
    OWN,
    NiftiMasker,
    arguments_of,
    compute_with,
    names_after_images,
)
from bidsmask.maskers.parameters import take_parameters
from bidsmask.maskers.series import ImageLike, Series, as_series

# Those that are not one mask of all images: by nilearn's functions, with their defaults.
OF_MANY: dict[str, Callable[..., Any]] = {
    "background": compute_multi_background_mask,
    "epi": compute_multi_epi_mask,
}
OF_THE_MASKER = ("n_jobs", "target_affine", "target_shape")


class MultiNiftiMasker(NiftiMasker):
    """Take the signals of the voxels of one mask from the images of many.

    Parameters
    ----------
    mask_img : path or nibabel image, default=None
        What is not 0 is inside. Without one, `fit` computes it from all of its images.
    runs : (n_volumes,) array-like, default=None
        Marks of the runs of each image.
    smoothing_fwhm : float or three floats, default=None
        Width of the Gaussian that volumes are smoothed with first, mm.
    standardize : {"zscore_sample", "zscore", "psc", True, False, None}, default=False
        As of NiftiMasker.
    standardize_confounds : bool, default=True
        Take the mean out of confounds before they are regressed out.
    detrend : bool, default=False
        Take out each column's line over time.
    high_variance_confounds : bool, default=False
        Regress out what the voxels of highest variance have in common, image by image.
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
        As of NiftiMasker; the mask is what more than half of the images' masks hold.
    mask_args : dict, default=None
        Arguments of the strategy; `threshold` is another share of the masks.
    dtype : dtype or "auto", default=None
        As of NiftiMasker.
    memory : path or joblib.Memory, default=None
        Where results are kept between calls.
    memory_level : int, default=0
        0 keeps nothing, unless `memory` is given.
    n_jobs : int, default=1
        Images worked on at a time; -1: as many as there are processors.
    verbose : int, default=0
        Whether to print what is being done.
    reports : bool, default=True
        Keep at `fit` what `generate_report` shows.
    cmap : str, default="gray"
        Without effect: the pictures of reports are grey.
    clean_args : dict, default=None
        As of NiftiMasker.
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
        memory_level: int = 0,
        n_jobs: int = 1,
        verbose: int = 0,
        reports: bool = True,
        cmap: Any = "gray",
        clean_args: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        take_parameters(self, locals())

    def fit(self, imgs: Images | None = None, y: None = None) -> MultiNiftiMasker:
        """Learn the mask that the images share, as NiftiMasker does that of one.

        Where the mask is given, the images may lie on grids of their own.
        """
        if self.mask_img is not None and isinstance(imgs, list | tuple) and imgs:
            imgs = imgs[0]
        super().fit(imgs, y)
        return self

    def transform(
        self,
        imgs: Images,
        confounds: Sequence[Confounds] | None = None,
        sample_mask: Sequence[SampleMask] | None = None,
    ) -> Any:
        """Return the signals of each image.

        Parameters
        ----------
        imgs : path or nibabel image, or list of those
            Each 3D or 4D.
        confounds, sample_mask : list, optional
            One for each image, as NiftiMasker takes them.

        Returns
        -------
        list of (n_kept, n_elements_) arrays; one array for a single image
        """
        check_is_fitted(self)
        for name, given in (("confounds", confounds), ("sample_mask", sample_mask)):
            if given is not None and not isinstance(given, list):
                raise WrongType(f"{name!r}", f"must be a None or a list: {type(given).__name__}")
        if not isinstance(imgs, list | tuple):
            one, kept = (None if given is None else given[0] for given in (confounds, sample_mask))
            return super().transform(imgs, one, kept)
        return self.transform_imgs(imgs, confounds, sample_mask, n_jobs=self.n_jobs)

    def transform_imgs(
        self,
        imgs_list: Sequence[ImageLike],
        confounds: Sequence[Confounds] | None = None,
        sample_mask: Sequence[SampleMask] | None = None,
        copy: bool = True,
        n_jobs: int = 1,
    ) -> list[Any]:
        """Return the signals of each of a list of images.

        Parameters
        ----------
        imgs_list : list of paths or nibabel images
        confounds, sample_mask : list, optional
            One for each image.
        copy : bool
            Without effect: images are never changed.
        n_jobs : int
            Images worked on at a time.

        Returns
        -------
        list of (n_kept, n_elements_) arrays
        """
        check_is_fitted(self)
        many = []
        for name, given in (("confounds", confounds), ("sample_mask", sample_mask)):
            if given is not None and len(given) != len(imgs_list):
                raise UsageError(
                    f"number of {name} ({len(given)})",
                    f"unequal to number of images ({len(imgs_list)})",
                )
            many.append([None] * len(imgs_list) if given is None else given)
        one = delayed(BaseMasker.transform)
        parallel = Parallel(n_jobs=n_jobs)
        return list(parallel(one(self, *each) for each in zip(imgs_list, *many, strict=True)))

    @staticmethod
    def _arguments_of(strategy: str) -> set[str]:
        if strategy in OF_MANY:
            return names_after_images(OF_MANY[strategy])
        return arguments_of(strategy) | ({"threshold"} if strategy in OWN else set())

    def _compute(self, strategy: str, series: Series, arguments: Mapping[str, Any]) -> Any:
        """Return the mask that many images share."""
        if strategy in OF_MANY:
            taken = self._arguments_of(strategy)
            own = {name: getattr(self, name) for name in OF_THE_MASKER if name in taken}
            given = {name: value for name, value in own.items() if value is not None}
            return OF_MANY[strategy](list(series.images), **{**given, **arguments})
        if strategy not in OWN:
            return compute_with(strategy, series, arguments)
        alone = {name: value for name, value in arguments.items() if name != "threshold"}
        masks = [compute_with(strategy, as_series(image), alone) for image in series.images]
        return intersect_masks(masks, arguments.get("threshold", 0.5))
