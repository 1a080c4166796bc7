"""The estimator that all maskers grow from: images in, signals out, by way of scikit-learn.

What is common stands here: parameters, images of every kind, confounds, cleaning, memory, and the
way through scikit-learn. A masker adds what it is about, by four methods, or five:

- `_fit(series)` learns: it sets the attributes with a `_` at their end, `n_elements_` among them.
- `_adapt(series)` settles what the images to transform decide.
- `_extraction(series)` gives the volumes and the Extractor that turns them into rows.
- `_unmasked(signals)` is the way back: from rows to values on a grid.
- `get_feature_names_out()` names the columns.
"""

from __future__ import annotations

import sys
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
from joblib import Memory
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from bidsmask.errors import UsageError, WrongType
from bidsmask.images.grid import Grid
from bidsmask.maskers.apply import as_signals, nonzero_voxels
from bidsmask.maskers.cleaning import TimeSteps, clean_signals
from bidsmask.maskers.confounds import Confounds, SampleMask
from bidsmask.maskers.high_variance import high_variance_confounds
from bidsmask.maskers.memory import as_memory, content_of, remember
from bidsmask.maskers.parameters import asked_dtype
from bidsmask.maskers.prepared import Prepared, smoothing_widths
from bidsmask.maskers.report import Layer, Report, build_report
from bidsmask.maskers.series import ImageLike, Series, as_series
from bidsmask.maskers.tags import ImageTags
from bidsmask.signals.extract import extract
from bidsmask.signals.extractor import Extractor

Images = ImageLike | Sequence[ImageLike]
Self = TypeVar("Self", bound="BaseMasker")


class BaseMasker(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is not typed
    """What is common to all maskers. Not to be used by itself.

    A subclass has a constructor with a signature of its own that calls `take_parameters`.
    """

    # The images are no metadata that a Pipeline would have to be asked for.
    __metadata_request__fit: ClassVar[dict[str, str]] = {"imgs": UNUSED}
    __metadata_request__transform: ClassVar[dict[str, str]] = {"imgs": UNUSED}

    mask_img: ImageLike | None
    smoothing_fwhm: Any
    standardize: Any
    standardize_confounds: bool
    high_variance_confounds: bool
    detrend: bool
    low_pass: float | None
    high_pass: float | None
    t_r: float | None
    dtype: Any
    memory: Any
    memory_level: int
    verbose: int
    reports: bool
    clean_args: dict[str, Any] | None
    _shown: Series | None
    # Marks of the runs, for maskers that have such a parameter.
    runs: Any = None

    mask_img_: Any
    memory_: Memory
    clean_args_: dict[str, Any]
    n_elements_: int

    # What a masker is about.

    @abstractmethod
    def _fit(self, series: Series | None) -> None:
        """Learn from the images, if there are any; `mask_img_` is there already."""

    def _adapt(self, series: Series) -> None:
        """Settle what only the images to transform can tell: which columns there are."""

    @abstractmethod
    def _extraction(self, series: Series) -> tuple[Prepared, Extractor]:
        """Return the volumes that signals are taken from, and what takes them.

        The extractor's columns are the masker's.
        """

    @abstractmethod
    def _unmasked(self, signals: NDArray[Any]) -> tuple[NDArray[Any], Grid]:
        """Return (n, n_elements_) signals as (i, j, k, n) values on a grid."""

    def _layers(self, background: NDArray[Any] | None) -> tuple[Sequence[Layer], dict[str, Any]]:
        """Return the pictures of the report, and its tables: rows by title.

        `background` is the mean of the images that the masker was fitted to, on their grid.
        """
        return [], {}

    def _signal_dtype(self, series: Series) -> np.dtype[Any]:
        """Return the type of signals that no `dtype` was asked for: nilearn's."""
        return np.dtype(np.float64 if series.dtype == np.float64 else np.float32)

    # Parameters

    @property
    def _time_steps(self) -> TimeSteps:
        return TimeSteps(
            detrend=self.detrend,
            standardize=self.standardize,
            standardize_confounds=self.standardize_confounds,
            low_pass=self.low_pass,
            high_pass=self.high_pass,
            t_r=self.t_r,
            clean_args=self.clean_args or {},
        )

    # The way through scikit-learn

    def fit(self: Self, imgs: Images | None = None, y: None = None) -> Self:
        """Learn what the signals of images are taken from.

        Parameters
        ----------
        imgs : path, nibabel image, or list of those, optional
            What is learned from them depends on the masker.
        y : None
            Without effect; there for scikit-learn.

        Returns
        -------
        self

        Raises
        ------
        UsageError
            A parameter that makes no sense.
        DataError
            An image that cannot be read or used.
        """
        if self.dtype is bool or (self.dtype is not None and self.dtype == "bool"):
            raise WrongType("'dtype'", "cannot be bool", "Give a type of numbers.")
        self.memory_ = as_memory(self.memory, self.verbose)
        if self.memory_.location is not None and self.memory_level == 0:
            warnings.warn(
                "memory_level is currently set to 0 but a Memory object has been provided. "
                "Setting memory_level to 1.",
                UserWarning,
                stacklevel=2,
            )
        series = None if imgs is None else self._series(imgs)
        self.mask_img_ = None if self.mask_img is None else self._loaded_mask()
        self._fit(series)
        self._shown = series if self.reports else None
        self.clean_args_ = {} if self.clean_args is None else self.clean_args
        self._say("Finished fit")
        return self

    def transform(
        self, imgs: Images, confounds: Confounds = None, sample_mask: SampleMask = None
    ) -> Any:
        """Return the signals of images.

        Parameters
        ----------
        imgs : path, nibabel image, or list of 3D ones
            3D or 4D.
        confounds : array, DataFrame, path of a text file, or list of these, optional
            What is regressed out, a row for each volume.
        sample_mask : index or boolean array, or a list of them, one for each run, optional
            Volumes to keep; the rows that come back are just these, in the order of time.

        Returns
        -------
        (n_kept, n_elements_) array; (n_elements_,) for a 3D image, or () of a single column
            A table where `set_output` asks for one.

        Raises
        ------
        NotFittedError
            Before `fit`.
        UsageError, DataError, MissingInput
            Images, confounds or sample masks that cannot be used.
        """
        check_is_fitted(self)
        if not self.high_variance_confounds:
            return self.transform_single_imgs(imgs, confounds, sample_mask)
        series = self._series(imgs)
        found = [
            self._remember(
                lambda: ("high variance", content_of(series)), lambda: high_variance_confounds(imgs)
            )
        ]
        if confounds is not None:
            found += confounds if isinstance(confounds, list | tuple) else [confounds]
        return self.transform_single_imgs(imgs, found, sample_mask)

    def fit_transform(
        self,
        imgs: Images,
        y: None = None,
        confounds: Confounds = None,
        sample_mask: SampleMask = None,
        **fit_params: Any,
    ) -> Any:
        """Fit, then return the signals of the same images; parameters as of both."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*Generation of a mask.*")
            self.fit(imgs, y, **fit_params)
        return self.transform(imgs, confounds=confounds, sample_mask=sample_mask)

    def transform_single_imgs(
        self,
        imgs: Images,
        confounds: Confounds = None,
        sample_mask: SampleMask = None,
        copy: bool = True,
    ) -> Any:
        """Return the signals of images, without high-variance confounds.

        Parameters
        ----------
        imgs, confounds, sample_mask
            As for `transform`.
        copy : bool
            Without effect: images are never changed.

        Returns
        -------
        (n_kept, n_elements_) array; (n_elements_,) for a 3D image, or () of a single column
        """
        check_is_fitted(self)
        series = self._series(imgs)
        if isinstance(imgs, list | tuple) and series.n_volumes > len(series.images):
            raise UsageError(
                "Input data",
                "has incompatible dimensionality: 4D images in a list, where 3D ones are needed",
                "Give one image at a time, or a MultiNiftiMasker the list.",
            )
        self._adapt(series)
        signals = self._remember(
            lambda: (content_of(series), self._state(), content_of([confounds, sample_mask])),
            lambda: self._signals(series, confounds, sample_mask),
        )
        is_table = getattr(self, "_sklearn_output_config", {}).get("transform", "default")
        return signals if series.is_series or is_table != "default" else np.squeeze(signals[0])

    def inverse_transform(self, X: Any) -> Any:
        """Return an image of signals; what was cleaned away does not come back.

        Parameters
        ----------
        X : (n_volumes, n_elements_) or (n_elements_,) array or table

        Returns
        -------
        nibabel.Nifti1Image
            4D or 3D.

        Raises
        ------
        NotFittedError
            Before `fit`.
        UsageError
            Another shape.
        """
        check_is_fitted(self)
        signals = as_signals(X, self.n_elements_, np.int32 if self.dtype is None else self.dtype)
        self._say("Computing image from signals")
        values, grid = self._unmasked(np.atleast_2d(signals))
        kind = asked_dtype(self.dtype, signals.dtype, np.int32) or signals.dtype
        values = values.astype(kind, copy=False)
        return self._space().image_of(values if signals.ndim == 2 else values[..., 0], grid)

    @abstractmethod
    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the columns.

        Parameters
        ----------
        input_features
            Without effect; there for scikit-learn.

        Returns
        -------
        (n_elements_,) array of str, or list
        """

    @property
    def _n_features_out(self) -> int:
        """Number of columns, for scikit-learn's tables."""
        return self.n_elements_

    def __sklearn_is_fitted__(self) -> bool:
        return "clean_args_" in vars(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "masker"
        tags.input_tags = ImageTags()
        return tags

    # The report

    def generate_report(
        self, engine: str = "matplotlib", title: str | None = None, **kwargs: Any
    ) -> Report:
        """Return a page that shows what signals are taken from, and how.

        Parameters
        ----------
        title : str, optional
            Of the page; by default the masker's name.
        engine, **kwargs
            Without effect; there for nilearn's `displayed_maps` and the like.

        Returns
        -------
        Report
            Notebooks show it; `save_as_html` writes it.
        """
        name = title or type(self).__name__
        parameters = [
            {"parameter": one, "value": repr(value)}
            for one, value in self.get_params(deep=False).items()
        ]
        tables: dict[str, Any] = {"Parameters": parameters}
        if not self.__sklearn_is_fitted__():
            return build_report(name, {}, [], tables, ["This masker has not been fitted yet."])
        summary = {"columns": self.n_elements_}
        if not self.reports:
            note = "No picture was kept: reports is False."
            return build_report(name, summary, [], tables, [note])
        notes = []
        background = None if self._shown is None else self._shown.mean()
        if background is None:
            notes.append(f"No image provided to fit in {type(self).__name__}: outlines alone.")
        layers, own = self._layers(background)
        return build_report(name, summary, layers, {**own, **tables}, notes)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        # Pictures of a report are not worth the images that they are of.
        return {**state, "_shown": None} if "_shown" in state else state

    # Steps

    def _series(self, imgs: Images) -> Series:
        series = as_series(imgs)
        self._say(f"Loading data from {series.where}")
        return series

    def _loaded_mask(self) -> Any:
        series = as_series(self.mask_img)
        self._say(f"Loading mask from {series.where}")
        return series.image_of(nonzero_voxels(series), series.grid)

    def _signals(
        self, series: Series, confounds: Confounds, sample_mask: SampleMask
    ) -> NDArray[Any]:
        """Return (n_kept, n_elements_) signals."""
        steps = self._time_steps
        prepared, extractor = self._extraction(series)
        self._say("Extracting region signals")
        is_plain = confounds is None and steps.does_nothing
        [raw] = extract(
            prepared,
            [extractor],
            smoothing_widths(self.smoothing_fwhm),
            is_absolute=is_plain,
            smooth_in=np.float64 if series.dtype == np.float64 else np.float32,
        )
        if raw.n_nonfinite:
            message = f"Non-finite values detected. {raw.n_nonfinite} of them count as 0."
            warnings.warn(message, UserWarning, stacklevel=5)
        self._say("Cleaning extracted signals")
        signals = clean_signals(raw, steps, confounds, sample_mask, self.runs)
        kind = asked_dtype(self.dtype, series.dtype) or self._signal_dtype(series)
        return signals.astype(kind, copy=False)

    def _space(self) -> Series:
        """Return the image whose space that of `inverse_transform` is."""
        return as_series(self.mask_img_)

    def _state(self) -> Any:
        """Return all that signals depend on but the images: parameters and what was learned."""
        parameters = self.get_params(deep=False)
        for name in ("memory", "memory_level", "verbose", "reports", "cmap", "n_jobs"):
            parameters.pop(name, None)
        learned = {name: value for name, value in vars(self).items() if name.endswith("_")}
        learned.pop("memory_")
        return type(self).__name__, content_of({**parameters, **learned})

    def _remember(self, key: Callable[[], Any], work: Callable[[], Any]) -> Any:
        return remember(self.memory_, key, work)

    def _say(self, message: str) -> None:
        """Print what is being done, where `verbose` asks for it."""
        if self.verbose:
            sys.stdout.write(f"[{type(self).__name__}] {message}\n")
