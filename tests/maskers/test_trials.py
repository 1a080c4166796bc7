"""`average_trials`: means of arrays over trials."""

from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import pytest

import bidsmask
from bidsmask.errors import BadTiming, UnusableTable, UsageError
from bidsmask.maskers import trials as module

EVENTS = pd.DataFrame(
    {"onset": [12.0, 2.0, 90.0], "duration": [4.0, 4.0, 4.0], "trial_type": list("bac"), "x": 1}
)
SIGNALS = np.random.default_rng(0).normal(size=(20, 3))


def test_the_example_of_the_documentation_is_true():
    assert doctest.testmod(module).failed == 0


def test_a_window_counts_from_the_onset():
    means, trials = bidsmask.average_trials(SIGNALS, EVENTS, 2.0, window=(4, 8))
    np.testing.assert_allclose(means[:2], [SIGNALS[3:5].mean(axis=0), SIGNALS[8:10].mean(axis=0)])
    assert np.isnan(means[2]).all()
    assert list(trials["trial_type"]) == ["a", "b", "c"]
    assert list(trials["n_volumes"]) == [2, 2, 0]
    assert list(trials["x"]) == [1, 1, 1]


def test_a_delay_shifts_the_trial():
    means, _ = bidsmask.average_trials(SIGNALS, EVENTS, 2.0, delay=6, start_time=1.0)
    np.testing.assert_allclose(means[0], SIGNALS[4:6].mean(axis=0))  # 8 to 12 s: at 9 and 11 s


def test_rows_are_kept_volumes():
    kept = np.ones(20, bool)
    kept[[0, 3, 8, 9]] = False
    means, trials = bidsmask.average_trials(
        SIGNALS[kept].astype(np.float32), EVENTS, 2.0, window=(4, 8), kept=kept
    )
    assert means.dtype == np.float32
    np.testing.assert_allclose(means[0], SIGNALS[4], rtol=1e-6)
    assert np.isnan(means[1]).all()
    assert list(trials["n_censored"]) == [1, 2, 0]


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"signals": SIGNALS[0]}, UsageError, "shape"),
        ({"window": None}, UsageError, "none of them"),
        ({"delay": 5.0}, UsageError, "both given"),
        ({"window": (8, 4)}, UsageError, "no window"),
        ({"window": None, "delay": np.nan}, UsageError, "no delay"),
        ({"kept": np.arange(20)}, UsageError, "np.isin"),
        ({"kept": np.arange(20) > 5}, UsageError, "20 rows, but 14 of 20"),
        ({"t_r": 0.0}, BadTiming, "no time"),
        ({"start_time": np.nan}, BadTiming, "no time"),
        ({"events": EVENTS[["duration"]]}, UnusableTable, "onset"),
        ({"events": EVENTS[["onset"]], "window": None, "delay": 5.0}, UnusableTable, "duration"),
        ({"events": EVENTS.assign(onset="soon")}, UnusableTable, "onset"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, kind, words):
    asked = {"signals": SIGNALS, "events": EVENTS, "t_r": 2.0, "window": (4, 8), **changes}
    with pytest.raises(kind, match=words):
        bidsmask.average_trials(**asked)
