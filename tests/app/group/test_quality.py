"""Who stands far from the others is named with his number; where all agree, nobody is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bidsmask.app.group.quality import Measure, in_words, outliers, reasons

VOLUME = Measure("mask_volume_ml", "mask volume", "ml")
VOXELS = Measure("mask_voxels", "voxels of the mask", is_judged=False)
CENSORED = Measure("censored", "censored volumes").of("scrubbing")


def far(values):
    return np.flatnonzero(outliers(values)).tolist()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("planted", [620.0, 2900.0])
def test_the_planted_outlier_is_found_and_nobody_else(seed, planted):
    values = np.random.default_rng(seed).uniform(1350, 1610, 60)
    values[17] = planted
    assert far(values) == [17]


def test_the_cut_off_is_that_of_iglewicz_and_hoaglin():
    # Median 0 and MAD 1: the score of x is .6745 x.
    values = [-2.0, -1.0, -1.0, 0.0, 0.0, 1.0, 1.0, 2.0]
    assert far([*values, 3.5 / 0.6745 + 0.01]) == [8]
    assert far([*values, 3.5 / 0.6745 - 0.01]) == []
    assert far([*values, -3.5 / 0.6745 - 0.01]) == [8]


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0, 1e300])
def test_where_all_agree_nobody_stands_out(value):
    assert far([value] * 9) == []


def test_what_differs_by_rounding_does_not_stand_out():
    values = np.full(20, 1480.0)
    values[3] = 1480.001
    assert far(values) == []


def test_where_more_than_half_agree_the_few_that_differ_stand_out():
    assert far([0.0] * 9 + [1.0]) == [9]
    assert far([0.0] * 8 + [1.0] * 2) == [8, 9]
    assert far([0.0] * 7 + [1.0] * 3) == []


def test_half_that_vary_beside_half_that_agree_are_not_far():
    assert far([0.0] * 12 + [1, 2, 3, 4, 5, 6, 7, 8, 9.0]) == []


def test_fewer_than_five_are_not_judged():
    assert far([1.0, 1.01, 0.99, 50.0]) == []
    assert far([1.0, 1.01, 0.99, 50.0, np.nan]) == []
    assert far([1.0, 1.01, 0.99, 1.02, 50.0]) == [4]


def test_what_is_unknown_is_neither_far_nor_counted():
    assert far([np.nan, 1.0, 1.1, 0.9, 1.05, 9.0, np.nan]) == [5]
    assert far([np.nan] * 6) == []


@given(
    values=arrays.arrays(
        np.float64, st.integers(5, 30), elements=st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
    ),
    factor=st.sampled_from([-2.0, 0.5, 4.0]),
)
@settings(max_examples=100)
def test_neither_order_nor_unit_matters_and_the_middle_is_never_far(values, factor):
    found = outliers(values)
    np.testing.assert_array_equal(outliers(values[::-1])[::-1], found)
    np.testing.assert_array_equal(outliers(values * factor), found)
    low, high = np.quantile(values, [0.25, 0.75])
    assert not found[(values >= low) & (values <= high) & (np.median(values) == values)].any()
    assert found.mean() <= 0.5


def rows(**columns):
    """Return what was measured of each run, from columns by the first word of a measure."""
    measures = {"volume": VOLUME, "censored": CENSORED, "voxels": VOXELS}
    return [
        {measures[name]: value for name, value in zip(columns, values, strict=True)}
        for values in zip(*columns.values(), strict=True)
    ]


VOLUMES = [1480.2, 1490, 1470, 1465, 1495, 620.4]


def test_reasons_name_the_number_its_unit_and_the_median():
    assert reasons(rows(volume=VOLUMES, censored=[3, 2, 4, 3, 90, 3])) == [
        *[""] * 4,
        "censored volumes, scrubbing 90, median 3",
        "mask volume 620.4 ml, median 1,475",
    ]


def test_several_reasons_stand_in_one_cell():
    assert reasons(rows(volume=VOLUMES, censored=[3, 2, 4, 3, 3, 90]))[5] == (
        "mask volume 620.4 ml, median 1,475; censored volumes, scrubbing 90, median 3"
    )


def test_a_run_that_lacks_a_number_is_judged_by_the_others():
    some = [*rows(volume=VOLUMES, censored=[3, 2, 4, 3, 3, 3]), {CENSORED: 90}]
    assert reasons(some)[5:] == [
        "mask volume 620.4 ml, median 1,475",
        "censored volumes, scrubbing 90, median 3",
    ]


def test_of_four_runs_none_is_judged():
    assert reasons(rows(volume=[1480.2, 1490, 1470, 620.4])) == [None] * 4


def test_what_follows_from_another_number_is_not_judged():
    assert reasons(rows(voxels=[100, 101, 99, 102, 98, 3])) == [""] * 6


@pytest.mark.parametrize(
    ("number", "words"),
    [(1480.4, "1,480"), (23000, "23,000"), (620.44, "620.4"), (0.42131, "0.4213"), (0, "0")],
)
def test_numbers_are_short(number, words):
    assert in_words(number) == words
