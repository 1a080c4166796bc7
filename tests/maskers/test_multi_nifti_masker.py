"""MultiNiftiMasker: one mask for the images of many, nilearn's numbers for each."""

from __future__ import annotations

import inspect

import nibabel
import nilearn.maskers
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bidsmask import MultiNiftiMasker, NiftiMasker
from bidsmask.errors import UsageError, WrongType
from tests.make_maskers import confounds, mask, quietly, series

MANY = [series(40, seed=0), series(50, seed=1), series(30, seed=2)]


@pytest.mark.parametrize(
    "options",
    [
        {"mask_strategy": "epi", "mask_args": {"opening": 1}},
        {"mask_strategy": "epi", "mask_args": {"opening": 1, "threshold": 0.9}},
        {"mask_strategy": "background"},
        {"mask_strategy": "epi", "target_affine": np.diag([3, 3, 3])},
    ],
    ids=["epi", "nearly all", "background", "3 mm"],
)
def test_the_mask_is_nilearns(options):
    peer = quietly(nilearn.maskers.MultiNiftiMasker(**options).fit, MANY)
    masker = MultiNiftiMasker(**options).fit(MANY)
    assert_array_equal(masker.mask_img_.get_fdata(), peer.mask_img_.get_fdata())
    assert_allclose(masker.mask_img_.affine, peer.mask_img_.affine)


def test_masks_of_our_own_strategies_are_combined_by_their_share():
    alone = [NiftiMasker(mask_strategy="otsu").fit(one).mask_img_.get_fdata() for one in MANY]
    every = MultiNiftiMasker(mask_strategy="otsu", mask_args={"threshold": 1}).fit(MANY)
    assert_array_equal(every.mask_img_.get_fdata(), np.all(alone, axis=0))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_signals_are_those_of_each_image(n_jobs):
    options = {"standardize": "zscore_sample", "high_variance_confounds": True}
    columns = [confounds(n) for n in (40, 50, 30)]
    kept = [np.arange(2, 40), None, np.arange(30) != 7]
    masker = MultiNiftiMasker(mask(), n_jobs=n_jobs, **options).fit()
    found = masker.transform(MANY, columns, kept)
    for image, column, keep, signals in zip(MANY, columns, kept, found, strict=True):
        expected = NiftiMasker(mask(), **options).fit_transform(
            image, confounds=column, sample_mask=keep
        )
        assert_array_equal(signals, expected)
    assert_array_equal(masker.transform(MANY[0], columns[:1], kept[:1]), found[0])


def test_a_given_mask_is_for_images_on_grids_of_their_own():
    other = nibabel.Nifti1Image(MANY[1].get_fdata()[1:], MANY[1].affine @ np.diag([1, 1, 1.1, 1]))
    masker = MultiNiftiMasker(mask())
    found = quietly(masker.fit_transform, [MANY[0], other])
    for image, signals in zip([MANY[0], other], found, strict=True):
        assert_array_equal(signals, quietly(NiftiMasker(mask()).fit_transform, image))


def test_parameters_are_nilearns_by_name_order_and_default():
    ours, theirs = (
        inspect.signature(kind).parameters
        for kind in (MultiNiftiMasker, nilearn.maskers.MultiNiftiMasker)
    )
    assert [*ours] == [*theirs, "kwargs"]
    assert all(ours[name].default == theirs[name].default for name in theirs)


def test_lists_of_another_length_are_refused():
    masker = MultiNiftiMasker(mask()).fit()
    with pytest.raises(UsageError, match=r"number of confounds \(1\) unequal to .* images \(3\)"):
        masker.transform(MANY, [confounds(40)])
    with pytest.raises(WrongType, match="'confounds' must be a None or a list"):
        masker.transform(MANY, confounds(40))
