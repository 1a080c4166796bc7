import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsmask.cleaning.cleaning import Cleaning
from bidsmask.cleaning.confounds import Regressors
from bidsmask.cleaning.filter import TemporalFilter, slow_cosines
from bidsmask.cleaning.reference import (
    clean_step_by_step,
    detrend,
    fill_by_splines,
    fit_confounds,
    interpolate,
    scale,
)
from tests.make_cleaning import censored, regressors

NO_FILTER = TemporalFilter("none")


@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any), st.integers(0, 99))
def test_interpolation_is_numpys_with_the_ends_held(kept: list[bool], seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal((len(kept), 2))
    mask, volumes = np.array(kept), np.arange(len(kept))
    expected = np.column_stack([np.interp(volumes, volumes[mask], y[mask]) for y in values.T])
    filled = interpolate(values, mask)
    np.testing.assert_allclose(filled, expected, atol=1e-12)
    np.testing.assert_array_equal(filled[mask], values[mask])


@pytest.mark.parametrize("beyond", [False, True])
def test_splines_through_a_parabola_follow_it(beyond: bool) -> None:
    parabola = (np.arange(30.0)[:, np.newaxis] - 11) ** 2
    spiked = parabola.copy()
    censoring = censored(30, [0, 1, 9, 10, 29])
    spiked[~censoring.kept] = 1e6
    filled, kept = fill_by_splines(spiked, censoring.kept, beyond=beyond)
    run = slice(None) if beyond else slice(2, 29)
    np.testing.assert_allclose(filled, parabola[run], atol=1e-9)
    np.testing.assert_array_equal(kept, censoring.kept[run])


def test_confounds_that_are_not_centred_take_means_along() -> None:
    values = np.random.default_rng(0).standard_normal((40, 3)) + 7
    confounds = regressors(np.random.default_rng(1).standard_normal((40, 2)) + 5)
    cleaning = Cleaning(False, standardize="none", centre_confounds=False)
    cleaned = clean_step_by_step(values, cleaning, 2.0, censored(40, []), confounds)
    expected = values - confounds.values @ np.linalg.lstsq(confounds.values, values, rcond=None)[0]
    np.testing.assert_allclose(cleaned, expected, atol=1e-12)


def test_detrending_takes_the_line_of_kept_volumes_out_of_all() -> None:
    line = 3 + 0.5 * np.arange(20.0)[:, np.newaxis]
    spiked = line.copy()
    spiked[7] += 100
    left = detrend(spiked, censored(20, [7]).kept)
    np.testing.assert_allclose(np.delete(left, 7), 0, atol=1e-12)
    assert left[7, 0] == pytest.approx(100)


def test_detrending_leaves_neither_mean_nor_slope() -> None:
    values = np.random.default_rng(0).standard_normal((50, 3))
    left = detrend(values, np.ones(50, bool))
    np.testing.assert_allclose(np.polyfit(np.arange(50), left, 1), 0, atol=1e-12)


def fit(values: np.ndarray, cleaning: Cleaning, names: tuple[str, ...]) -> tuple[int, set[str]]:
    kept = np.ones(len(values), bool)
    found = fit_confounds(cleaning, 2.0, kept, Regressors(values, names))
    return found.basis.shape[1], set(found.dropped)


def test_constant_and_dependent_confounds_are_named() -> None:
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, 100))
    columns = np.column_stack([a, b, np.full(100, 1234.567), 1e-6 * (a + 7) + 100, np.zeros(100)])
    rank, dropped = fit(columns, Cleaning(True, NO_FILTER), ("a", "b", "level", "copy", "zero"))
    assert rank == 2
    assert dropped >= {"level", "zero"}
    assert len(dropped & {"a", "copy"}) == 1


def test_rank_does_not_depend_on_units() -> None:
    columns = np.random.default_rng(0).standard_normal((60, 4)) * [1e-9, 1, 1e6, 1e12]
    assert fit(columns, Cleaning(), ("a", "b", "c", "d")) == (4, set())


def test_more_confounds_than_volumes_fill_the_space_and_no_more() -> None:
    columns = np.random.default_rng(0).standard_normal((20, 30))
    rank, dropped = fit(columns, Cleaning(True, NO_FILTER), tuple(map(str, range(30))))
    assert (rank, len(dropped)) == (18, 12)


def test_confound_that_the_filter_removes_is_named() -> None:
    constant_but_for_rounding = np.full((100, 1), 0.1) + 1e-14 * np.arange(100)[:, np.newaxis]
    band = Cleaning(True, TemporalFilter("butterworth", 0.01, 0.1))
    assert fit(constant_but_for_rounding, band, ("level",)) == (0, {"level"})


@pytest.mark.parametrize("digits", [16, 10])
def test_cosines_among_the_confounds_are_not_taken_twice(digits: int) -> None:
    cosines = slow_cosines(200, 2.0, 0.008).round(digits)
    cleaning = Cleaning(False, TemporalFilter("cosine", 0.008))
    names = tuple(f"cosine{i:02d}" for i in range(6))
    assert fit(cosines, cleaning, names) == (6, set())


def test_own_cosines_fill_up_what_the_confounds_lack() -> None:
    cosines = slow_cosines(200, 2.0, 0.008)[:, [0, 2]]
    cleaning = Cleaning(False, TemporalFilter("cosine", 0.008))
    assert fit(cosines, cleaning, ("cosine00", "cosine02")) == (6, set())


def test_confound_in_the_stop_band_is_left_to_the_regression_filter() -> None:
    cosines = slow_cosines(200, 2.0, 0.008)
    cleaning = Cleaning(False, TemporalFilter("regression", 0.0081, 0.1))
    names = tuple(f"cosine{i:02d}" for i in range(6))
    _, dropped = fit(cosines, cleaning, names)
    assert dropped == set(names)


def test_regression_filter_leaves_nothing_of_the_stop_band_nor_of_the_confounds() -> None:
    random = np.random.default_rng(0)
    values, confounds = random.standard_normal((200, 20)), random.standard_normal((200, 6))
    censoring = censored(200, [0, 1, 50, 51, 52, 199])
    cleaning = Cleaning(True, TemporalFilter("regression", 0.01, 0.1), "none")
    cleaned = clean_step_by_step(values, cleaning, 2.0, censoring, regressors(confounds))
    k = np.r_[0:8, 81:200]  # 73 terms, k / 800 Hz, are the pass band
    stop = np.cos(np.pi / 200 * np.outer(np.arange(200) + 0.5, k))[censoring.kept]
    assert np.abs(stop.T @ cleaned).max() < 1e-10
    assert np.abs(confounds[censoring.kept].T @ cleaned).max() < 1e-10
    assert np.abs(np.flatnonzero(censoring.kept) @ cleaned).max() < 1e-8


def test_filtered_confounds_are_orthogonal_to_the_cleaned_signals() -> None:
    # Regressing first and filtering afterwards would bring 29 % of the variance back.
    random = np.random.default_rng(0)
    values, confounds = random.standard_normal((200, 20)), random.standard_normal((200, 12))
    cleaning = Cleaning(True, TemporalFilter("butterworth", 0.01, 0.1), "none")
    nothing = censored(200, [])
    kept = nothing.kept
    cleaned = clean_step_by_step(values, cleaning, 2.0, nothing, regressors(confounds))
    basis = fit_confounds(cleaning, 2.0, kept, regressors(confounds)).basis
    assert np.abs(basis.T @ cleaned).max() < 1e-12


@pytest.mark.parametrize(("standardize", "ddof"), [("zscore_sample", 1), ("zscore", 0)])
def test_z_scores_have_the_deviation_they_say(standardize: str, ddof: int) -> None:
    values = np.random.default_rng(0).standard_normal((30, 4)) * 7 + 3
    scaled = scale(values, standardize, values)  # type: ignore[arg-type]
    np.testing.assert_allclose(scaled.std(axis=0, ddof=ddof), 1)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)


def test_percent_change_is_of_the_raw_mean_whatever_its_sign() -> None:
    raw = np.array([[90.0, -90], [110, -110], [100, -100]])
    scaled = scale(raw - raw.mean(axis=0), "psc", raw)
    np.testing.assert_allclose(scaled, [[-10, 10], [10, -10], [0, 0]])


def test_percent_change_of_mean_zero_is_nan() -> None:
    raw = np.array([[-1.0], [1.0]])
    assert np.isnan(scale(raw, "psc", raw)).all()
