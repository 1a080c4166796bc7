"""NiftiMasker: nilearn's numbers, images of every kind, and scikit-learn's customs."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import joblib
import nibabel
import nilearn.image
import nilearn.maskers
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from bidsmask import MultiNiftiMasker, NiftiMasker
from bidsmask.errors import (
    DamagedFile,
    MissingInput,
    TooFewVolumes,
    UnusableImage,
    UnusableMask,
    UnusableTable,
    UsageError,
    WrongType,
)
from tests.make_heads import dice, head_grid, head_image, true_brain
from tests.make_images import AFFINE, write_image
from tests.make_maskers import SHAPE, T_R, confounds, mask, quietly, series

BAND = {"low_pass": 0.1, "high_pass": 0.01, "t_r": T_R}


def theirs(
    image: Any, *, confounds: Any = None, sample_mask: Any = None, **options: Any
) -> np.ndarray:
    """Return nilearn's signals in float64."""
    masker = nilearn.maskers.NiftiMasker(mask(), **{"dtype": "float64"} | options)
    return quietly(masker.fit_transform, image, confounds=confounds, sample_mask=sample_mask)


def z(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(0)) / values.std(0, ddof=1)


# Images in, signals out


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64", ">f4", ">i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_plain_signals_are_nilearns_to_the_last_bit(dtype, order):
    image = series(20, "float64")
    stored = np.array((image.get_fdata() / 60).clip(0, 250), dtype, order=order)
    image = nibabel.Nifti1Image(stored, AFFINE)
    ours = NiftiMasker(mask()).fit_transform(image)
    expected = theirs(image, dtype=None)
    assert ours.dtype == expected.dtype.newbyteorder("=")
    assert_array_equal(ours, expected)


def test_a_scaled_file_gives_float64(tmp_path):
    path = write_image(
        tmp_path / "bold.nii.gz",
        (series(8).get_fdata() / 2).astype(np.int16),
        slope=0.31,
        intercept=5,
    )
    ours = NiftiMasker(mask()).fit_transform(path)
    assert ours.dtype == np.float64
    assert_allclose(ours, theirs(str(path)), rtol=1e-15)


def test_an_image_may_be_given_in_many_ways(tmp_path, monkeypatch):
    image = series(4)
    path = tmp_path / "bold.nii.gz"
    nibabel.save(image, path)
    monkeypatch.setenv("HOME", str(tmp_path))
    volumes = nibabel.four_to_three(image)
    masker = NiftiMasker(mask()).fit()
    expected = masker.transform(image)
    for given in (path, str(path), "~/bold.nii.gz", nibabel.load(path), volumes, tuple(volumes)):
        assert_array_equal(masker.transform(given), expected)
    assert_array_equal(masker.transform(volumes[2]), expected[2])
    single = nibabel.Nifti1Image(volumes[2].get_fdata()[..., np.newaxis], AFFINE)
    for given in ([volumes[2]], single, [single]):
        assert_array_equal(masker.transform(given), expected[2:3])
    assert masker.transform_single_imgs(image).shape == expected.shape


@pytest.mark.parametrize(
    ("asked", "stored", "given"),
    [
        ("auto", "int16", "float32"),
        ("auto", "float64", "float32"),
        ("float64", "int16", "float64"),
        (np.float32, "float64", "float32"),
        ("i4", "float32", "int32"),
    ],
)
def test_signals_have_the_type_that_is_asked_for(asked, stored, given):
    masker = NiftiMasker(mask(), dtype=asked, standardize="zscore_sample")
    signals = masker.fit_transform(series(30, stored))
    assert signals.dtype == given
    if given.startswith("float"):
        assert_allclose(signals.std(0, ddof=1), 1, rtol=1e-5)


# Cleaning

CLEANINGS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "detrended": {"detrend": True},
    "z-scored": {"standardize": "zscore_sample"},
    "z-scored by True": {"standardize": True},
    "band": {**BAND, "standardize": "zscore_sample"},
    "band, detrended": {**BAND, "detrend": True},
    "low-pass": {"low_pass": 0.1, "t_r": T_R},
    "high-pass": {"high_pass": 0.02, "t_r": T_R},
    "percent": {"detrend": True, "standardize": "psc"},
    "cosine": {"high_pass": 0.02, "t_r": T_R, "clean_args": {"filter": "cosine"}},
    "confounds as they are": {"standardize_confounds": False, "detrend": True},
    "confounds with their means": {"standardize_confounds": False},
    "smoothed": {"smoothing_fwhm": 6, "standardize": "zscore_sample"},
    "high variance": {"high_variance_confounds": True, "detrend": True},
    "even padding": {**BAND, "clean_args": {"butterworth__padtype": "even"}},
    "constant padding": {
        **BAND,
        "clean_args": {"butterworth__padtype": "constant", "butterworth__padlen": 50},
    },
    "no padding": {"low_pass": 0.1, "t_r": T_R, "clean_args": {"butterworth__padtype": None}},
    "order 2": {**BAND, "clean_args": {"butterworth__order": 2, "butterworth__padlen": 20}},
    "above Nyquist": {"low_pass": 0.4, "high_pass": 0.01, "t_r": T_R},
}


@pytest.mark.parametrize("has_confounds", [False, True], ids=["alone", "confounds"])
@pytest.mark.parametrize("name", CLEANINGS)
@pytest.mark.parametrize("dtype", ["float64", "int16"])
def test_cleaned_signals_are_nilearns(name, has_confounds, dtype):
    image = series(60, dtype)
    columns = confounds() if has_confounds else None
    exact = nibabel.Nifti1Image(image.get_fdata(), AFFINE)  # nilearn cleans int16 in float32
    expected = theirs(exact, confounds=columns, **CLEANINGS[name])
    masker = NiftiMasker(mask(), **CLEANINGS[name])
    ours = quietly(masker.fit_transform, image, confounds=columns)
    bound = 1e-9 if dtype == "float64" and name != "smoothed" else 1e-6
    assert_allclose(ours, expected, atol=bound * np.abs(expected).max(), rtol=bound)


def test_smoothing_may_differ_along_the_axes():
    widths = (4, 0, 9.0)
    smoothed = nilearn.image.smooth_img(series(5, "float64"), widths)
    ours = NiftiMasker(mask(), smoothing_fwhm=widths).fit_transform(series(5, "float64"))
    assert_allclose(ours, NiftiMasker(mask()).fit_transform(smoothed), rtol=1e-6)


@pytest.mark.parametrize("kept", [np.r_[0:20, 23:41, 42:60], np.r_[5:60], np.r_[0:50, 51:58]])
@pytest.mark.parametrize("extrapolate", [False, True])
@pytest.mark.parametrize("detrend", [False, True])
def test_censored_runs_are_filtered_as_nilearn_means_to(kept, extrapolate, detrend):
    """No mirror image of a censored volume is censored here, so that nilearn does what it means."""
    options = {**BAND, "detrend": detrend, "clean_args": {"extrapolate": extrapolate}}
    given = {"confounds": confounds(), "sample_mask": kept}
    expected = theirs(series(60, "float64"), **given, **options)
    ours = NiftiMasker(mask(), **options).fit_transform(series(60, "float64"), **given)
    assert_allclose(ours, expected, atol=1e-8 * np.abs(expected).max())


def test_zscore_divides_by_the_standard_deviation_of_n():
    image = series(40, "float64")
    raw = NiftiMasker(mask()).fit_transform(image)
    ours = NiftiMasker(mask(), standardize="zscore").fit_transform(image)
    assert_allclose(ours, (raw - raw.mean(0)) / raw.std(0), atol=1e-12)


def test_older_arguments_join_clean_args():
    older = NiftiMasker(mask(), **BAND, clean__filter="butterworth", clean__butterworth__order=3)
    newer = NiftiMasker(
        mask(), **BAND, clean_args={"filter": "butterworth", "butterworth__order": 3}
    )
    assert older.clean_args == newer.clean_args == clone(older).clean_args
    assert_array_equal(older.fit_transform(series()), newer.fit_transform(series()))
    with pytest.raises(TypeError, match=r"NiftiMasker\(\) got an unexpected .* 'smoothing'"):
        NiftiMasker(smoothing=3)


def test_each_run_is_cleaned_by_itself():
    image, columns = series(80, "float64"), confounds(80)
    runs = np.repeat([7, 3], 40)  # any marks, which come back in ascending order
    keep = [np.arange(2, 40), np.arange(40) != 20]
    options = {**BAND, "detrend": True, "standardize_confounds": False}
    options["clean_args"] = {"butterworth__order": 2}
    ours = NiftiMasker(mask(), runs=runs, **options).fit_transform(
        image, confounds=columns, sample_mask=keep
    )
    one_by_one = [
        NiftiMasker(mask(), **options).fit_transform(
            image.slicer[..., rows], confounds=columns[rows], sample_mask=of_run
        )
        for rows, of_run in zip((slice(40, 80), slice(0, 40)), keep, strict=True)
    ]
    assert_allclose(ours, np.vstack(one_by_one), atol=1e-9)


def test_confounds_may_be_given_in_many_ways(tmp_path):
    columns = confounds()
    table = pd.DataFrame(columns, columns=["a", "b", "c"])
    table.to_csv(tmp_path / "named.csv", index=False)
    table.to_csv(tmp_path / "named.tsv", index=False, sep="\t")
    np.savetxt(tmp_path / "bare.txt", columns)
    masker = NiftiMasker(mask(), detrend=True).fit()
    image = series()
    expected = masker.transform(image, columns)
    paths = [tmp_path / name for name in ("named.csv", "named.tsv", "bare.txt")]
    parts = [columns[:, 0], table[["b"]], columns[:, 2:]]
    for given in (table, *paths, str(paths[0]), parts, [paths[0]]):
        assert_allclose(masker.transform(image, given), expected, atol=0.01)


@pytest.mark.parametrize(
    "given",
    [
        np.r_[3:20, 22:60],
        [np.r_[3:20, 22:60]],
        list(range(3, 20)) + list(range(22, 60)),
        np.isin(np.arange(60), [0, 1, 2, 20, 21], invert=True),
        [list(np.isin(np.arange(60), [0, 1, 2, 20, 21], invert=True))],
        np.r_[3:20, 22:60].astype(np.uint8),
    ],
    ids=["indices", "list of indices", "plain list", "truth", "list of truth", "unsigned"],
)
def test_sample_masks_keep_just_these_volumes(given):
    before = np.array(given)
    masker = NiftiMasker(mask()).fit()
    raw = masker.transform(series())
    assert_array_equal(masker.transform(series(), sample_mask=given), raw[np.r_[3:20, 22:60]])
    assert_array_equal(np.array(given), before)


def test_columns_without_signal_are_0():
    values = series(30, "float64").get_fdata()
    values[4] = 1234.567
    values[5] = 0
    image = nibabel.Nifti1Image(values, AFFINE)
    everywhere = nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), AFFINE)
    for scale in ("zscore_sample", "zscore", "psc"):
        masker = NiftiMasker(everywhere, standardize=scale, detrend=True)
        signals = quietly(masker.fit_transform, image)
        flat = masker.inverse_transform(signals).get_fdata()[4:6]
        assert_array_equal(flat, 0)
    left = NiftiMasker(everywhere).fit_transform(image, confounds=confounds(30))
    assert_allclose(left.reshape(30, *SHAPE)[:, 4], 1234.567)


def test_no_degrees_of_freedom_give_zeros_and_a_warning():
    random = np.random.default_rng(0)
    masker = NiftiMasker(mask(), standardize="zscore_sample")
    with pytest.warns(UserWarning, match="No degrees of freedom are left, and the signals are 0"):
        signals = masker.fit_transform(series(20), confounds=random.standard_normal((20, 19)))
    assert_array_equal(signals, 0)


WARNED: dict[str, tuple[dict[str, Any], str]] = {
    "filter off": ({**BAND, "clean_args": {"filter": False}}, "low_pass and high_pass do nothing"),
    "cosine": ({**BAND, "clean_args": {"filter": "cosine"}}, "low_pass is not implemented"),
    "short run": (
        {"high_pass": 0.001, "t_r": T_R, "clean_args": {"filter": "cosine"}},
        "too short for a cosine",
    ),
    "above Nyquist": ({"low_pass": 0.3, "t_r": T_R}, r"0.25 \(Nyquist\) is taken"),
    "all above": ({"low_pass": 0.4, "high_pass": 0.3, "t_r": T_R}, "are not filtered"),
    "negative": ({"high_pass": -0.1, "t_r": T_R}, "nearly 0 is taken"),
    "no smoothing": ({"smoothing_fwhm": 0}, "nothing is smoothed"),
}


@pytest.mark.parametrize("name", WARNED)
def test_what_does_not_apply_is_told(name):
    options, words = WARNED[name]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        NiftiMasker(mask(), **options).fit_transform(series())
    assert any(re.search(words, str(one.message)) for one in told)


def test_a_single_volume_is_left_as_it_is_with_a_warning():
    volume = series(3).slicer[..., 1]
    masker = NiftiMasker(mask(), standardize="zscore_sample", detrend=True)
    with pytest.warns(UserWarning, match="single volume would lead to zero"):
        signals = masker.fit_transform(volume)
    assert_array_equal(signals, NiftiMasker(mask()).fit_transform(volume))


# Masks

STRATEGIES: dict[str, dict[str, Any]] = {
    "background": {},
    "epi": {"opening": 1},
    "whole-brain-template": {"threshold": 0.3},
    "gm-template": {"opening": 0},
    "wm-template": {"opening": False},
}


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("affine", [None, np.diag([3, 3, 3])], ids=["own grid", "3 mm"])
def test_masks_are_nilearns(name, affine):
    options = {"mask_strategy": name, "mask_args": STRATEGIES[name], "target_affine": affine}
    peer = nilearn.maskers.NiftiMasker(**options, standardize=None)
    expected = quietly(peer.fit, series(5)).mask_img_
    masker = NiftiMasker(**options).fit(series(5))
    assert_array_equal(masker.mask_img_.get_fdata(), expected.get_fdata())
    assert_allclose(masker.mask_img_.affine, expected.affine)
    assert_allclose(masker.affine_, peer.affine_)
    assert masker.n_elements_ == peer.n_elements_


@pytest.mark.parametrize("name", ["otsu", "automask"])
def test_our_own_strategies_make_masks_too(name):
    masker = NiftiMasker(mask_strategy=name).fit(series(5))
    inside = masker.mask_img_.get_fdata() > 0
    bright = series(5).get_fdata().mean(-1) > 7000
    assert (inside & bright).sum() > 0.9 * bright.sum()
    assert masker.n_elements_ == inside.sum()


def test_a_templates_head_finds_the_brain_of_a_whole_head(tmp_path):
    affine = head_grid().affine
    files = {"head": head_image("EPI", noise=0), "t1w": head_image("T1w", noise=0)}
    files["mask"] = true_brain().astype(np.uint8)
    paths = {
        name: write_image(tmp_path / f"{name}.nii.gz", values, affine=affine)
        for name, values in files.items()
    }
    image = nibabel.Nifti1Image(head_image("EPI", scale=1.05), affine)
    masker = NiftiMasker(mask_strategy="brain", mask_args={**paths, "contrast": "EPI"}).fit(image)
    assert dice(masker.mask_img_.get_fdata() > 0, true_brain(1.05)) > 0.93


def test_a_mask_is_what_is_not_0_in_all_volumes():
    values = np.random.default_rng(0).integers(0, 3, (*SHAPE, 2)).astype(np.float32)
    masker = NiftiMasker(nibabel.Nifti1Image(values, AFFINE)).fit()
    assert_array_equal(masker.mask_img_.get_fdata(), (values != 0).all(-1))


def test_images_move_to_a_mask_on_another_grid():
    affine = np.diag([2.5, 2.5, 5, 1.0])
    affine[:3, 3] = -8, -15, -27
    inside = np.zeros((6, 9, 6), np.uint8)
    inside[1:5, 2:8, 1:4] = 1
    other = nibabel.Nifti1Image(inside, affine)
    for options in ({}, {"smoothing_fwhm": 5}):
        for dtype in ("int16", "uint16", "float32", "float64"):
            image = series(6, dtype)
            peer = nilearn.maskers.NiftiMasker(other, dtype="float64", standardize=None, **options)
            expected = quietly(peer.fit_transform, image)
            with pytest.warns(UserWarning, match="imgs are being resampled"):
                ours = NiftiMasker(other, **options).fit_transform(image)
            assert_allclose(ours, expected, rtol=2e-6)


def test_arguments_that_the_strategy_does_not_know_are_named():
    masker = NiftiMasker(mask_strategy="epi", mask_args={"opening": 1, "border": 3})
    with pytest.warns(UserWarning, match=r"not supported .*'epi': \['border'\]"):
        masker.fit(series(3))


def test_a_given_mask_goes_before_the_images():
    with pytest.warns(RuntimeWarning, match="Given mask will be used"):
        masker = NiftiMasker(mask()).fit(series(3))
    assert_array_equal(masker.mask_img_.get_fdata(), mask().get_fdata())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NiftiMasker(mask()).fit_transform(series(3))


# Back to images


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_the_way_back_is_nilearns(dtype):
    signals = NiftiMasker(mask()).fit_transform(series(3)).astype(dtype)
    masker = NiftiMasker(mask()).fit()
    peer = quietly(nilearn.maskers.NiftiMasker(mask()).fit)
    for given in (signals, signals[0], pd.DataFrame(signals)):
        back = masker.inverse_transform(given)
        expected = quietly(peer.inverse_transform, given)
        assert_array_equal(back.get_fdata(), expected.get_fdata())
        assert back.get_data_dtype() == dtype
        assert_array_equal(back.affine, expected.affine)
    assert_array_equal(masker.transform(masker.inverse_transform(signals)), signals)


def test_tables_of_one_row_or_one_column_come_back():
    values = np.zeros(SHAPE, np.uint8)
    values[3, 4, 5] = 1
    masker = NiftiMasker(nibabel.Nifti1Image(values, AFFINE)).set_output(transform="pandas").fit()
    table = masker.transform(series(5))
    assert masker.inverse_transform(table).shape == (*SHAPE, 5)
    assert masker.inverse_transform(table[:1]).shape == SHAPE


# scikit-learn


def test_parameters_are_nilearns_by_name_order_and_default():
    peer = nilearn.maskers.NiftiMasker().get_params()
    ours = NiftiMasker().get_params()
    assert list(ours) == list(peer)
    assert ours == peer


def test_a_fitted_masker_is_cloned_unfitted_and_pickled_fitted():
    masker = NiftiMasker(mask(), detrend=True).fit()
    assert not clone(masker).__sklearn_is_fitted__()
    again = pickle.loads(pickle.dumps(masker))
    assert_array_equal(again.transform(series(5)), masker.transform(series(5)))


def test_fit_changes_no_parameter():
    masker = NiftiMasker(mask_args={"border_size": 1}, mask_strategy="background")
    before = masker.get_params()
    masker.fit(series(3))
    assert all(masker.get_params()[name] is value for name, value in before.items())


def test_a_masker_is_a_step_of_a_pipeline():
    pipeline = make_pipeline(NiftiMasker(mask(), detrend=True), StandardScaler())
    found = pipeline.fit_transform(series())
    masker = NiftiMasker(mask(), detrend=True)
    assert_allclose(found, StandardScaler().fit_transform(masker.fit_transform(series())))
    pipeline.set_params(niftimasker__detrend=False)
    assert pipeline[0].detrend is False


def test_confounds_find_their_way_through_a_pipeline():
    with config_context(enable_metadata_routing=True):
        masker = NiftiMasker(mask()).set_transform_request(confounds=True, sample_mask=True)
        pipeline = make_pipeline(masker, StandardScaler())
        given = {"confounds": confounds(), "sample_mask": np.arange(3, 60)}
        found = pipeline.fit_transform(series(), **given)
    alone = NiftiMasker(mask()).fit_transform(series(), **given)
    assert_allclose(found, StandardScaler().fit_transform(alone))


def test_tables_have_the_names_of_the_columns():
    masker = NiftiMasker(mask()).set_output(transform="pandas")
    table = masker.fit_transform(series(4))
    names = [f"niftimasker{number}" for number in range(masker.n_elements_)]
    assert list(table.columns) == list(masker.get_feature_names_out()) == names
    assert masker.transform(series(4).slicer[..., 0]).shape == (1, masker.n_elements_)


# Those of scikit-learn's own checks that need no images.
CHECKS = (
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
)


@pytest.mark.parametrize("kind", [NiftiMasker, MultiNiftiMasker])
@pytest.mark.parametrize("name", CHECKS)
def test_scikit_learns_own_checks_pass(name, kind):
    getattr(estimator_checks, name)(kind.__name__, kind())


def test_scikit_learn_knows_it_for_a_masker():
    assert NiftiMasker().__sklearn_tags__().estimator_type == "masker"


# Memory, and what is said


def test_what_was_done_is_found_again(tmp_path, monkeypatch):
    path = tmp_path / "bold.nii.gz"
    nibabel.save(series(20), path)
    masker = NiftiMasker(memory=tmp_path / "cache", standardize="zscore_sample")
    first = masker.fit_transform(path, confounds=confounds(20))
    monkeypatch.setattr("bidsmask.maskers.base.extract", None)
    assert_array_equal(masker.transform(path, confounds(20)), first)
    monkeypatch.undo()
    nibabel.save(series(20, seed=1), path)  # another content under the same name
    assert not np.array_equal(masker.transform(path, confounds(20)), first)
    assert isinstance(masker.memory_, joblib.Memory)


def test_a_memory_at_level_0_is_used_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="memory_level is currently set to 0 but a Memory object"):
        NiftiMasker(mask(), memory=tmp_path, memory_level=0).fit()


def test_verbose_says_what_is_done(capsys):
    NiftiMasker(mask()).fit_transform(series(3))
    assert capsys.readouterr().out == ""
    NiftiMasker(mask(), verbose=1).fit_transform(series(3))
    said = capsys.readouterr().out
    for words in ("Loading mask", "Extracting region signals", "Cleaning extracted signals"):
        assert said.count(words) == 1


def test_the_program_never_imports_scikit_learn():
    code = (
        "import sys, pkgutil, importlib, bidsmask.app\n"
        "for one in pkgutil.walk_packages(bidsmask.app.__path__, 'bidsmask.app.'):\n"
        "    importlib.import_module(one.name)\n"
        "import bidsmask, bidsmask.cli; bidsmask.apply_mask, bidsmask.connected_regions\n"
        "assert not {'sklearn', 'joblib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Bad input


def test_an_unfitted_masker_says_so():
    for method, given in (("transform", series(3)), ("inverse_transform", np.ones((2, 3)))):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(NiftiMasker(mask()), method)(given)


FITTED = {
    "no image": (lambda m: m.transform(3), WrongType, "is a int"),
    "no file": (lambda m: m.transform("nothing.nii.gz"), DamagedFile, "does not exist"),
    "4D in a list": (
        lambda m: m.transform([series(3), series(3)]),
        UsageError,
        "Input data has incompatible dimensionality",
    ),
    "wrong width": (
        lambda m: m.inverse_transform(np.ones((2, 3))),
        UsageError,
        "Input to 'inverse_transform' has wrong shape",
    ),
    "short confounds": (
        lambda m: m.transform(series(), confounds(30)),
        UnusableTable,
        "Confound signal has an incorrect length: 30 rows, but there are 60 volumes",
    ),
    "n/a in confounds": (
        lambda m: m.transform(series(3), pd.DataFrame({"fd": [np.nan, 1, 2]})),
        UnusableTable,
        "holds nan in column fd, row 1",
    ),
    "words in confounds": (
        lambda m: m.transform(series(3), pd.DataFrame({"fd": ["x", "y", "z"]})),
        UnusableTable,
        "holds what is no number",
    ),
    "confounds that are not there": (
        lambda m: m.transform(series(3), "nothing.tsv"),
        MissingInput,
        "nothing.tsv cannot be read",
    ),
    "confounds of no kind": (lambda m: m.transform(series(3), 1.5), WrongType, "is a float"),
    "nothing kept": (
        lambda m: m.transform(series(), sample_mask=np.zeros(60, bool)),
        TooFewVolumes,
        "removes all volumes",
    ),
    "index too high": (
        lambda m: m.transform(series(), sample_mask=np.array([1, 60])),
        UsageError,
        "invalid index 60: there are 60 volumes",
    ),
    "negative index": (
        lambda m: m.transform(series(), sample_mask=np.array([-1, 5])),
        UsageError,
        "should not contain negative values",
    ),
    "unordered index": (
        lambda m: m.transform(series(), sample_mask=np.array([5, 4])),
        UsageError,
        "is not in ascending order",
    ),
    "too many masks": (
        lambda m: m.transform(series(), sample_mask=[[1, 2], [3]]),
        UsageError,
        r"not matching number of runs \(1\)",
    ),
}


@pytest.mark.parametrize("name", FITTED)
def test_what_a_fitted_masker_cannot_use_is_refused(name):
    call, kind, words = FITTED[name]
    with pytest.raises(kind, match=words):
        call(NiftiMasker(mask()).fit())


PARAMETERS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "standardize": ({"standardize": "z"}, UsageError, "standardize is 'z'"),
    "filter": ({"clean_args": {"filter": "box"}}, UsageError, "Filter method box is not known"),
    "clean_args": ({"clean_args": {"order": 2}}, UsageError, "clean_args has 'order'"),
    "no t_r": ({"low_pass": 0.1}, UsageError, r"Repetition time \(t_r\) must be specified"),
    "cosine": (
        {"clean_args": {"filter": "cosine"}, "t_r": 2.0},
        UsageError,
        "must be specified for cosine filtering",
    ),
    "crossed": (
        {"low_pass": 0.01, "high_pass": 0.1, "t_r": 2.0},
        UsageError,
        r"High pass cutoff frequency \(0.1\) is greater",
    ),
    "t_r 0": ({"low_pass": 0.1, "t_r": 0}, UsageError, "t_r is 0"),
    "high_pass 0": ({"high_pass": 0.0, "t_r": 2.0}, UsageError, "high_pass is 0.0"),
    "low_pass in words": ({"low_pass": "slow", "t_r": 2.0}, UsageError, "low_pass is 'slow'"),
    "padtype": (
        {**BAND, "clean_args": {"butterworth__padtype": "mirror"}},
        UsageError,
        "butterworth__padtype is 'mirror'",
    ),
    "order": ({**BAND, "clean_args": {"butterworth__order": 0}}, UsageError, "order is 0"),
    "interpolation": (
        {**BAND, "clean_args": {"interpolation": "nearest"}},
        UsageError,
        "interpolation is 'nearest'",
    ),
    "width": ({"smoothing_fwhm": -1}, UsageError, "smoothing_fwhm is -1"),
    "padding": ({**BAND, "clean_args": {"butterworth__padlen": 70}}, TooFewVolumes, "more than 70"),
    "runs": ({"runs": np.ones(7)}, UsageError, "length of the run vector"),
    "bool": ({"dtype": bool}, WrongType, "'dtype' cannot be bool"),
    "strategy": (
        {"mask_img": None, "mask_strategy": "magic"},
        UsageError,
        "Unknown value of mask_strategy 'magic'",
    ),
    "no head": (
        {"mask_img": None, "mask_strategy": "brain"},
        MissingInput,
        "needs a template's head",
    ),
    "empty mask": (
        {"mask_img": nibabel.Nifti1Image(np.zeros(SHAPE), AFFINE)},
        UnusableMask,
        "The mask is invalid as it is empty: it masks all data",
    ),
    "mask of 2 axes": (
        {"mask_img": nibabel.Nifti1Image(np.ones((3, 4)), AFFINE)},
        UnusableImage,
        "3D or 4D",
    ),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_that_make_no_sense_are_refused(name):
    parameters, kind, words = PARAMETERS[name]
    masker = NiftiMasker(**{"mask_img": mask()} | parameters)
    with pytest.raises(kind, match=words):
        masker.fit_transform(series())


def test_errors_are_of_the_kinds_that_nilearn_raises(tmp_path):
    masker = NiftiMasker(mask()).fit()
    with pytest.raises(FileNotFoundError):
        masker.transform(series(), confounds=tmp_path / "nothing.tsv")
    with pytest.raises(ValueError, match="does not exist"):
        masker.transform(tmp_path / "nothing.nii.gz")
    with pytest.raises(TypeError):
        masker.transform(3)


def test_an_error_survives_the_way_to_another_process():
    error = MissingInput("a.tsv", "cannot be read (why)", "Look for it.")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.advice) == ("a.tsv cannot be read (why). Look for it.", error.advice)


def test_no_mask_and_no_images_are_nothing_to_fit_to():
    with pytest.raises(ValueError, match=r"Parameter 'imgs' must be provided to NiftiMasker\.fit"):
        NiftiMasker().fit()


def test_non_finite_values_of_a_mask_are_outside():
    values = np.ones(SHAPE)
    values[:, :, 4] = np.nan
    with pytest.warns(UserWarning, match="Non-finite values detected"):
        masker = NiftiMasker(nibabel.Nifti1Image(values, AFFINE)).fit()
    assert masker.n_elements_ == np.isfinite(values).sum()


def test_a_damaged_file_is_noticed(tmp_path: Path):
    path = tmp_path / "bold.nii.gz"
    nibabel.save(series(20), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFile):
        NiftiMasker(mask()).fit_transform(path)
