import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from bidsmask.cleaning.censoring import Censoring
from bidsmask.cleaning.cleaning import Cleaning
from bidsmask.cleaning.confounds import Regressors
from bidsmask.cleaning.filter import TemporalFilter
from bidsmask.cleaning.operator import build_operator, clean
from bidsmask.cleaning.reference import clean_step_by_step
from bidsmask.errors import (
    BadTiming,
    NoDegreesOfFreedom,
    TooFewVolumes,
    UnusableTable,
)
from tests.make_cleaning import censored, regressors

BAND = TemporalFilter("butterworth", 0.01, 0.1)
NO_FILTER = TemporalFilter("none")
FILTERS = [
    BAND,
    TemporalFilter("butterworth", 0.01, 0.1, "odd"),
    TemporalFilter("butterworth", None, 0.1),
    TemporalFilter("butterworth", None, 0.1, "odd"),
    TemporalFilter("butterworth", 0.01),
    TemporalFilter("butterworth", 0.02, None, "odd"),
    TemporalFilter("cosine", 0.01),
    TemporalFilter("regression", 0.01, 0.1),
    TemporalFilter("regression", None, 0.15),
    TemporalFilter("regression", 0.01),
    NO_FILTER,
]
CENSORED = {
    "none": [],
    "one": [30],
    "first": [0],
    "last": [-1],
    "both ends": [0, 1, 2, -3, -2, -1],
    "mirrored": [20, -21],
    "a long gap": list(range(30, 50)),
    "every fifth": list(range(2, 60, 5)),
}


@st.composite
def runs(draw: st.DrawFn) -> tuple[np.ndarray, Cleaning, float, Censoring, Regressors]:
    """Draw a run with its cleaning: raw signals, and all that clean_step_by_step needs."""
    n_volumes = draw(st.integers(60, 130))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    values = 50 + np.cumsum(random.standard_normal((n_volumes, 4)), axis=0)
    confounds = random.standard_normal((n_volumes, draw(st.integers(0, 6))))
    if draw(st.booleans()):
        confounds = np.column_stack([confounds, np.full(n_volumes, 1234.567)])
    if draw(st.booleans()):
        confounds = np.column_stack([confounds, confounds.sum(axis=1) - 3])
    if draw(st.booleans()):
        confounds = np.column_stack([confounds, np.arange(n_volumes) ** 2])
    cleaning = Cleaning(
        draw(st.booleans()),
        draw(st.sampled_from(FILTERS)),
        draw(st.sampled_from(["zscore_sample", "zscore", "psc", "none"])),
        draw(st.sampled_from(["line", "line", "spline", "spline beyond"])),
        draw(st.booleans()),
    )
    without = draw(st.sampled_from(list(CENSORED.values())))
    t_r_s = draw(st.sampled_from([0.8, 2.0, 3.0]))
    return values, cleaning, t_r_s, censored(n_volumes, without), regressors(confounds)


@settings(max_examples=80)
@given(runs())
def test_one_matrix_does_what_the_steps_do(
    run: tuple[np.ndarray, Cleaning, float, Censoring, Regressors],
) -> None:
    values, cleaning, t_r_s, censoring, confounds = run
    try:
        operator = build_operator(cleaning, t_r_s, censoring, confounds, "run")
    except NoDegreesOfFreedom:
        return
    expected = clean_step_by_step(values, cleaning, t_r_s, censoring, confounds)
    reference = values.mean(axis=0).round()
    cleaned = clean(operator, values - reference, reference)
    np.testing.assert_allclose(cleaned.values, expected, rtol=0, atol=1e-10)
    assert cleaned.n_lost == 0


@pytest.mark.parametrize("name", CENSORED)
@pytest.mark.parametrize("chosen", FILTERS, ids=str)
@pytest.mark.parametrize("gaps", ["line", "spline", "spline beyond"])
def test_censored_volumes_have_no_weight(gaps: Any, chosen: TemporalFilter, name: str) -> None:
    censoring = censored(100, CENSORED[name])
    cleaning = Cleaning(True, chosen, gaps=gaps)
    operator = build_operator(cleaning, 2.0, censoring, Regressors.none(100), "run")
    assert operator.matrix.shape == (censoring.n_kept, 100)
    assert not operator.matrix[:, ~censoring.kept].any()


def simple_operator(n_volumes: int = 100, standardize: Any = "zscore_sample", **more: Any) -> Any:
    chosen = more.get("filter", BAND)
    cleaning = Cleaning(more.get("detrend", True), chosen, standardize)
    without = more.get("without", [])
    return build_operator(
        cleaning, 2.0, censored(n_volumes, without), Regressors.none(n_volumes), "run"
    )


# --- What is recorded and refused -----------------------------------------------------------


def test_regressors_and_dropped_ones_are_named() -> None:
    columns = np.column_stack([np.random.default_rng(0).standard_normal((80, 2)), np.ones(80)])
    operator = build_operator(
        Cleaning(True, BAND), 2.0, censored(80, [3]), Regressors(columns, ("a", "b", "c")), "run"
    )
    assert (operator.regressors, operator.dropped) == (("a", "b"), ("c",))
    assert operator.freedom.regressors == 2


def test_matrix_is_not_to_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        simple_operator().matrix[0, 0] = 1


@pytest.mark.parametrize("without", [[], [0]])
def test_one_volume_cannot_be_cleaned(without: list[int]) -> None:
    n_volumes = 1 + len(without)
    with pytest.raises(TooFewVolumes, match=f"has 1 of {n_volumes} volumes to clean"):
        simple_operator(n_volumes, without=without)


def test_two_volumes_cannot_be_detrended() -> None:
    with pytest.raises(NoDegreesOfFreedom):
        simple_operator(2, filter=NO_FILTER)
    assert simple_operator(2, filter=NO_FILTER, detrend=False).freedom.remaining == 1


def test_cut_off_above_nyquist_is_refused() -> None:
    with pytest.raises(BadTiming, match=r"0\.25 Hz"):
        simple_operator(filter=TemporalFilter("butterworth", None, 0.3))


def test_too_few_volumes_for_odd_padding_are_refused() -> None:
    with pytest.raises(TooFewVolumes, match="more than 33"):
        simple_operator(33, filter=TemporalFilter("butterworth", 0.01, 0.1, "odd"))


def test_confounds_of_another_run_are_refused() -> None:
    with pytest.raises(UnusableTable, match="has 80 volumes, but 79 rows"):
        build_operator(Cleaning(), 2.0, censored(80, []), Regressors.none(79), "run")


# --- Applying it ----------------------------------------------------------------------------


@pytest.mark.parametrize("standardize", ["zscore_sample", "zscore", "psc"])
@pytest.mark.parametrize("chosen", FILTERS, ids=str)
def test_float32_with_a_mean_of_500_deviations_is_right_to_1e_5(
    chosen: TemporalFilter, standardize: Any
) -> None:
    random = np.random.default_rng(0)
    raw = np.rint(5000 + 10 * random.standard_normal((200, 300))).astype(np.int16)
    confounds = regressors(random.standard_normal((200, 12)))
    cleaning, censoring = Cleaning(True, chosen, standardize), censored(200, [0, 50, 51])
    operator = build_operator(cleaning, 2.0, censoring, confounds, "run")
    reference = raw[0].astype(np.float64)
    values = (raw - raw[0]).astype(np.float32)
    cleaned = clean(operator, values, reference)
    expected = clean_step_by_step(raw.astype(np.float64), cleaning, 2.0, censoring, confounds)
    assert cleaned.values.dtype == np.float32
    assert np.abs(cleaned.values - expected).max() < 1e-5


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_first_volume_far_from_the_others_costs_no_digits(dtype: Any) -> None:
    random = np.random.default_rng(0)
    raw = np.rint(5000 + 50 * random.standard_normal((200, 300))).astype(dtype)
    raw[0] = 2 * raw[0]  # before the steady state, and regressed out by a spike
    spike = np.zeros((200, 1))
    spike[0] = 1
    operator = build_operator(Cleaning(), 2.0, censored(200, []), regressors(spike), "run")
    reference = raw[0].astype(np.float64)
    exact = clean(operator, raw - reference, reference).values
    single = clean(operator, (raw - raw[0].astype(np.float32)).astype(np.float32), reference)
    np.testing.assert_allclose(single.values, exact, rtol=0, atol=1e-5)


def test_float32_without_a_reference_is_as_good_as_its_digits() -> None:
    raw = (5000 + 10 * np.random.default_rng(0).standard_normal((200, 300))).astype(np.float32)
    cleaned = clean(simple_operator(200), raw, np.zeros(300))
    exact = clean(simple_operator(200), raw.astype(np.float64), np.zeros(300))
    assert np.abs(cleaned.values - exact.values).max() < 1e-5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_raw_scale_gives_the_reference_back(dtype: Any) -> None:
    raw = 1000 + np.random.default_rng(0).standard_normal((60, 5))
    operator = simple_operator(60, "none", filter=NO_FILTER, detrend=False, without=[4])
    cleaned = clean(operator, (raw - 1000).astype(dtype), np.full(5, 1000.0))
    np.testing.assert_allclose(cleaned.values, np.delete(raw, 4, axis=0), rtol=1e-7)


@pytest.mark.parametrize("n_threads", [2, 3])
@pytest.mark.parametrize("overwrite", [True, False])
def test_threads_make_no_difference_to_the_last_bit(overwrite: bool, n_threads: int) -> None:
    values = np.random.default_rng(0).standard_normal((60, 9000)).astype(np.float32)
    operator = simple_operator(60, without=[0, 7])
    with threadpool_limits(1, user_api="blas"):
        expected = clean(operator, values, np.zeros(9000))
        cleaned = clean(operator, values, np.zeros(9000), overwrite=overwrite, n_threads=n_threads)
    np.testing.assert_array_equal(cleaned.values, expected.values)
    np.testing.assert_array_equal(cleaned.lost, expected.lost)


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("n_columns", [0, 1, 4096, 4099])
def test_blocks_of_columns_make_no_difference(n_columns: int, overwrite: bool) -> None:
    values = np.random.default_rng(0).standard_normal((60, n_columns))
    operator = simple_operator(60, without=[0, 7])
    kept_values = values.copy()
    cleaned = clean(operator, values, np.zeros(n_columns), overwrite=overwrite)
    assert cleaned.values.shape == (58, n_columns)
    assert (cleaned.values.base is values) == overwrite
    assert np.array_equal(values, kept_values) == (not overwrite or n_columns == 0)
    one_by_one = [
        clean(operator, kept_values[:, [i]], np.zeros(1)).values[:, 0]
        for i in {0, n_columns // 2, n_columns - 1}
        if n_columns
    ]
    for i, column in zip({0, n_columns // 2, n_columns - 1}, one_by_one, strict=False):
        np.testing.assert_allclose(cleaned.values[:, i], column, atol=1e-12)


@pytest.mark.parametrize("standardize", ["zscore_sample", "zscore", "psc", "none"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("level", [0.0, 1000.0, 1234.567, 8123.4567])
def test_constant_column_is_lost(level: float, dtype: Any, standardize: Any) -> None:
    values = np.random.default_rng(0).standard_normal((100, 3)).astype(dtype)
    values[:, 1] = level
    for reference in (np.zeros(3), np.full(3, 7.0)):
        cleaned = clean(simple_operator(100, standardize), values.copy(), reference)
        assert cleaned.lost.tolist() == [False, True, False]
        assert cleaned.n_lost == 1
        assert np.isnan(cleaned.values[:, 1]).all()
        assert np.isfinite(cleaned.values[:, [0, 2]]).all()


def test_column_that_is_constant_but_for_censored_volumes_is_lost() -> None:
    values = np.full((100, 1), 3.0)
    values[[0, 40]] = 1e4
    assert clean(simple_operator(100, without=[0, 40]), values, np.zeros(1)).n_lost == 1


@pytest.mark.parametrize("n_volumes", [50, 200, 600])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_column_that_the_cleaning_explains_is_lost(dtype: Any, n_volumes: int) -> None:
    random = np.random.default_rng(0)
    confounds = random.standard_normal((n_volumes, 5))
    line = np.linspace(-100, 300, n_volumes)
    explained = np.column_stack([line, confounds @ random.standard_normal(5) + 0.01 * line])
    values = np.column_stack([explained, explained + 1e-3 * random.standard_normal((n_volumes, 2))])
    operator = build_operator(
        Cleaning(True, NO_FILTER), 2.0, censored(n_volumes, [5]), regressors(confounds), "run"
    )
    cleaned = clean(operator, values.astype(dtype), np.full(4, 1000.0))
    if dtype == np.float64:
        assert cleaned.lost.tolist() == [True, True, False, False]
    else:  # float32 holds the confounds' mixture only to 1e-7
        assert cleaned.lost[[0, 2, 3]].tolist() == [True, False, False]


def test_percent_change_of_a_zero_mean_is_lost() -> None:
    values = np.random.default_rng(0).standard_normal((100, 2))
    values -= values.mean(axis=0)
    cleaned = clean(simple_operator(100, "psc"), values, np.array([0.0, 50.0]))
    assert cleaned.lost.tolist() == [True, False]


def test_memory_for_cleaning_in_place_is_some_blocks() -> None:
    values = np.zeros((100, 100_000), np.float32)
    values[::2] = 1
    operator, reference = simple_operator(100), np.zeros(100_000)
    tracemalloc.start()
    clean(operator, values, reference, overwrite=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * values.nbytes
