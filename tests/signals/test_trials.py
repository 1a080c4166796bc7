"""Trials: which volumes they have, and the means over these."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsmask.signals.trials import Span, Trials, mean_over_trials

TIMES = st.integers(-40, 700).map(lambda tenths: tenths / 10)
LENGTHS = st.integers(0, 200).map(lambda tenths: tenths / 10)


def trials_of(onsets, durations=None, n_volumes=10, t_r_s=2.0, start_s=0.0) -> Trials:
    events = pd.DataFrame({"onset": onsets}, dtype=float)
    if durations is not None:
        events["duration"] = np.asarray(durations, float)
    return Trials.of(events, n_volumes, t_r_s, start_s)


def volumes_of(trials: Trials, span: Span) -> list[list[int]]:
    return [list(range(first, stop)) for first, stop in trials.volumes(span)]


# Which volumes


def test_a_window_has_its_start_and_not_its_end():
    trials = trials_of([2.0, 5.0], [1.0, 9.0])
    assert volumes_of(trials, Span((4, 8))) == [[3, 4], [5, 6]]
    assert volumes_of(trials, Span((-2, 2))) == [[0, 1], [2, 3]]


def test_a_window_reaches_no_further_than_the_run():
    trials = trials_of([-5.0, 16.0, 30.0])
    assert volumes_of(trials, Span((2, 8))) == [[0, 1], [9], []]


def test_a_delay_shifts_trials_and_no_window():
    trials = trials_of([4.0], [4.0])
    assert volumes_of(trials, Span()) == [[2, 3]]
    assert volumes_of(trials, Span(delay_s=5)) == [[5, 6]]
    assert volumes_of(trials, Span((0, 4), delay_s=5)) == [[2, 3]]


def test_volumes_are_when_the_reference_slice_was():
    """Corrected to the middle slice, the volumes of 2 s are at 1, 3, 5, … s."""
    onsets, durations = [4.0, 5.0], [1.0, 2.0]
    assert volumes_of(trials_of(onsets, durations), Span()) == [[2], [3]]
    assert volumes_of(trials_of(onsets, durations, start_s=1.0), Span()) == [[1], [2]]


@pytest.mark.parametrize("durations", [None, [0, np.nan], [-3, 0]])
def test_a_trial_without_duration_has_the_volume_in_which_it_happens(durations):
    assert volumes_of(trials_of([3.9, 4.0], durations), Span()) == [[1], [2]]


def test_a_trial_that_ends_before_the_next_volume_has_that_during_which_it_began():
    assert volumes_of(trials_of([2.1, 3.9, 19.5], [1.5, 0.2, 9]), Span()) == [[1], [2], [9]]


def test_a_trial_outside_of_the_run_or_without_onset_has_no_volume():
    onsets = [-9.0, 20.0, 1e300, np.inf, np.nan]
    for span in (Span(), Span((0, 4))):
        assert volumes_of(trials_of(onsets, [1] * 5), span) == [[]] * 5


def test_onsets_that_are_multiples_of_the_repetition_time_begin_with_their_volume():
    """In float64 3 times 0.7 is less than 2.1."""
    onsets = [round(number * 0.7, 1) for number in range(50)]
    trials = trials_of(onsets, [0.7] * 50, n_volumes=50, t_r_s=0.7)
    assert volumes_of(trials, Span()) == [[number] for number in range(50)]
    assert volumes_of(trials, Span((-0.7, 0.7)))[1:] == [[n - 1, n] for n in range(1, 50)]


@given(
    st.lists(st.tuples(TIMES, LENGTHS), min_size=1, max_size=8),
    st.sampled_from([0.5, 1.3, 2.0]),
    st.sampled_from([0.0, 0.65]),
    st.sampled_from([Span(), Span(delay_s=5.5), Span((2.5, 7.0))]),
)
def test_ranges_are_those_of_the_plain_way(spans, t_r_s, start_s, span):
    onsets, durations = zip(*sorted(spans), strict=True)
    trials = trials_of(onsets, durations, 25, t_r_s, start_s)
    times = [round(start_s + volume * t_r_s, 3) for volume in range(25)]

    def plainly(onset: float, duration: float) -> list[int]:
        if span.window_s is not None:
            begin, end = (round(onset + one, 3) for one in span.window_s)
        else:
            begin = round(onset + span.delay_s, 3)
            end = round(begin + duration, 3)
        inside = [volume for volume, time in enumerate(times) if begin <= time < end]
        if inside or span.window_s is not None:
            return inside
        return [
            volume for volume, time in enumerate(times) if time <= begin < round(time + t_r_s, 3)
        ]

    expected = [plainly(*one) for one in zip(onsets, durations, strict=True)]
    assert volumes_of(trials, span) == expected
    if span.window_s is None:
        latest = [
            max((row for row, volumes in enumerate(expected) if volume in volumes), default=-1)
            for volume in range(25)
        ]
        assert list(trials.labels(span.delay_s)) == latest


def test_of_two_trials_the_last_to_begin_counts():
    trials = trials_of([4.0, 0.0], [2.0, 20.0], n_volumes=5)
    assert list(trials.labels()) == [0, 0, 1, 0, 0]
    assert volumes_of(trials, Span()) == [[0, 1, 2, 3, 4], [2]]


# The table


def test_trials_are_numbered_by_onset_those_without_one_last():
    events = pd.DataFrame(
        {"onset": [9.0, np.nan, 3.0], "duration": [1.0, 2.0, np.nan], "trial_type": list("abc")}
    )
    table = Trials.of(events, 10, 2.0).table
    assert list(table["trial_number"]) == [1, 2, 3]
    assert list(table["trial_type"]) == ["c", "a", "b"]
    np.testing.assert_array_equal(table["onset"], [3.0, 9.0, np.nan])
    np.testing.assert_array_equal(table["duration"], [np.nan, 1.0, 2.0])


def test_the_table_counts_volumes_and_the_censored_of_them():
    kept = np.ones(10, bool)
    kept[[2, 8, 9]] = False
    table = trials_of([2.0, 16.0, 50.0], [4.0, 9.0, 1.0]).described(Span(), kept)
    assert list(table) == [
        "trial_number",
        "trial_type",
        "onset",
        "duration",
        "n_volumes",
        "n_censored",
    ]
    assert list(table["n_volumes"]) == [2, 2, 0]
    assert list(table["n_censored"]) == [1, 2, 0]


def test_events_are_not_changed():
    events = pd.DataFrame({"onset": [4.0, 2.0], "duration": [-1.0, 1.0]})
    before = events.copy()
    trials = Trials.of(events, 5, 2.0)
    trials.described(Span(), np.ones(5, bool))
    pd.testing.assert_frame_equal(events, before)


# The means


@given(st.lists(st.booleans(), min_size=12, max_size=12), st.integers(0, 2**32 - 1))
def test_means_are_those_of_the_plain_way(kept, seed):
    rng = np.random.default_rng(seed)
    kept = np.array(kept)
    values = rng.normal(1000, 1, (12, 3)).astype(np.float32)
    values[:, 1] = np.nan
    ranges = np.sort(rng.integers(0, 13, (6, 2)), axis=1)
    means = mean_over_trials(values[kept], kept, ranges)
    assert means.dtype == np.float32
    for (first, stop), row in zip(ranges, means, strict=True):
        chosen = [values[volume].astype(float) for volume in range(first, stop) if kept[volume]]
        expected = np.sum(chosen, axis=0) / len(chosen) if chosen else np.full(3, np.nan)
        np.testing.assert_allclose(row, expected, rtol=1e-7)
