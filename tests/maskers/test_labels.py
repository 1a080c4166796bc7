"""The masker of labels beside nilearn's, and what it does with bad ones."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker as Peer

from bidsmask import NiftiLabelsMasker
from bidsmask.errors import BidsmaskError, GridMismatch, UnusableImage, UnusableMask, UsageError
from bidsmask.signals.regions import Statistic
from tests.make_maskers import SHAPE, mask, quietly, series
from tests.make_region_maskers import COARSE, COARSE_SHAPE, LABELS, image, labels_image

RUN = series(12, "float64")


def both(run: Any, fit_to: Any = None, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return our signals and nilearn's."""
    pair = [quietly(one(**options).fit, fit_to) for one in (NiftiLabelsMasker, Peer)]
    ours, theirs = (quietly(one.transform, run) for one in pair)
    return ours, theirs


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
@pytest.mark.parametrize("strategy", get_args(Statistic))
def test_statistics_are_nilearns(strategy: str, dtype: str) -> None:
    ours, theirs = both(
        series(6, dtype), labels_img=labels_image(), mask_img=mask(), strategy=strategy
    )
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=2e-6 if ours.dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("fit_to", [None, RUN], ids=["unfitted", "fitted to the images"])
@pytest.mark.parametrize("target", ["data", "labels"])
@pytest.mark.parametrize("mask_img", [None, mask()], ids=["no mask", "mask"])
def test_grids_are_joined_as_in_nilearn(target: str, mask_img: Any, fit_to: Any) -> None:
    options = {"labels_img": labels_image(coarse=True), "resampling_target": target}
    ours, theirs = both(RUN, fit_to, mask_img=mask_img, **options)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_fractions_are_labels_and_any_value_may_be_background() -> None:
    labels = labels_image("float32").get_fdata() / 2
    for background in (0, -1.5, 99):
        ours, theirs = both(RUN, labels_img=image(labels), background_label=background)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_attributes_say_which_region_a_column_is() -> None:
    names = ["low", "two", "seven", "forty-one", "high"]
    options = {"labels_img": labels_image(), "labels": names, "mask_img": mask()}
    ours, theirs = (one(**options).fit(RUN) for one in (NiftiLabelsMasker, Peer))
    quietly(ours.transform, RUN), quietly(theirs.transform, RUN)
    for attribute in ("labels_", "region_ids_", "region_names_", "n_elements_"):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    assert ours.get_feature_names_out() == theirs.get_feature_names_out()
    np.testing.assert_array_equal(ours.region_atlas_.get_fdata(), theirs.region_atlas_.get_fdata())
    pd.testing.assert_frame_equal(ours.lut_, theirs.lut_[["index", "name"]], check_dtype=False)


def test_a_region_that_the_mask_takes_away_is_named_and_gone_or_kept_as_zeros() -> None:
    labels = labels_image()
    inside = mask().get_fdata() * (labels.get_fdata() != 7)
    options = {"labels_img": labels, "mask_img": image(inside.astype(np.uint8))}
    masker = NiftiLabelsMasker(**options)
    with pytest.warns(UserWarning, match=r"After applying mask .* labels were removed: \{7\}"):
        signals = masker.fit(RUN).transform(RUN)
    assert list(masker.region_ids_.values()) == [-3, 2, 41, 900, 0]
    assert masker.inverse_transform(signals).shape == RUN.shape
    kept = NiftiLabelsMasker(keep_masked_labels=True, **options).fit_transform(RUN)
    np.testing.assert_array_equal(np.delete(kept, 2, axis=1), signals)
    assert not kept[:, 2].any()


def test_labels_lost_on_a_coarser_grid_are_named() -> None:
    labels = np.zeros(SHAPE, np.int16)
    labels[2:8, 2:8, 2:7] = 4
    labels[2, 3, 4] = 5  # between the coarse voxels
    coarse = image(np.ones((*COARSE_SHAPE, 3)), COARSE)
    masker = NiftiLabelsMasker(image(labels))
    with pytest.warns(UserWarning, match=r"After resampling .* labels were removed: \{5\}"):
        masker.fit(coarse)
    assert masker.region_ids_ == {0: 4, "background": 0}


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint16"])
@pytest.mark.parametrize("smoothing_fwhm", [None, 5])
def test_signals_of_images_that_are_moved_have_nilearns_type(
    dtype: str, smoothing_fwhm: float | None
) -> None:
    options: dict[str, Any] = {"resampling_target": "labels", "smoothing_fwhm": smoothing_fwhm}
    ours, theirs = both(series(3, dtype), labels_img=labels_image(coarse=True), **options)
    assert ours.dtype == theirs.dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_way_back_is_nilearns(dtype: type) -> None:
    rows = np.random.default_rng(0).normal(size=(4, len(LABELS))).astype(dtype)
    ours, theirs = (
        one(labels_image(), mask_img=mask()).fit(RUN).inverse_transform(rows)
        for one in (NiftiLabelsMasker, Peer)
    )
    assert ours.get_data_dtype() == theirs.get_data_dtype()
    np.testing.assert_array_equal(ours.get_fdata(), theirs.get_fdata())


def test_non_finite_labels_are_background() -> None:
    labels = labels_image("float32").get_fdata()
    labels[0], labels[1] = np.nan, np.inf
    masker = NiftiLabelsMasker(image(labels))
    with pytest.warns(UserWarning, match="Non-finite values detected"):
        masker.fit(RUN)
    assert masker.n_elements_ == len(LABELS)


FAR = COARSE.copy()
FAR[:3, 3] += 500
REFUSED: dict[str, tuple[type[BidsmaskError], str, dict[str, Any]]] = {
    "no labels": (UsageError, "is a NoneType", {"labels_img": None}),
    "nothing but background": (
        UnusableImage,
        "holds nothing but 0: Image has no label",
        {"labels_img": image(np.zeros(SHAPE))},
    ),
    "a 4D image": (UnusableImage, "has 12 volumes", {"labels_img": RUN}),
    "a statistic": (UsageError, "'strategy' must be one of", {"strategy": "mode"}),
    "a target": (UsageError, "'resampling_target' must be one of", {"resampling_target": "mask"}),
    "names twice": (
        UsageError,
        "labels and lut are both given",
        {"labels": ["a"], "lut": pd.DataFrame()},
    ),
    "labels elsewhere": (
        UnusableImage,
        "No label left after resampling",
        {"labels_img": image(labels_image().get_fdata(), FAR)},
    ),
    "a mask elsewhere": (
        UnusableMask,
        "No label left after applying mask",
        {"mask_img": image((labels_image().get_fdata() == 0).astype(np.uint8))},
    ),
    "other grids and nothing to be moved": (
        GridMismatch,
        "imgs has shape .* and resampling_target is None",
        {"labels_img": labels_image(coarse=True), "resampling_target": None},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused(name: str) -> None:
    kind, words, options = REFUSED[name]
    with pytest.raises(kind, match=words):
        NiftiLabelsMasker(**{"labels_img": labels_image(), **options}).fit(RUN)
