"""The table of volumes: rows, times, trials."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from bidsmask.signals.volumes import trial_of_volumes, volumes_table

KEPT = np.array([False, True, True, False, True])
REASONS = ("non-steady-state", "", "", "fd+dvars", "")


def test_rows_count_the_kept_volumes():
    table = volumes_table(KEPT, REASONS, 2.0)
    assert list(table["row"]) == [pd.NA, 0, 1, pd.NA, 2]
    assert list(table["volume"]) == [0, 1, 2, 3, 4]
    assert list(table["onset"]) == [0, 2, 4, 6, 8]
    assert list(table["kept"]) == list(KEPT)
    assert list(table["reason"].fillna("")) == list(REASONS)


def test_rows_are_volumes_where_censored_ones_are_written_too():
    table = volumes_table(KEPT, REASONS, 2.0, all_rows=True)
    assert list(table["row"]) == [pd.NA, 1, 2, pd.NA, 4]


def test_motion_comes_from_the_confounds_where_they_hold_it():
    confounds = pd.DataFrame({"framewise_displacement": [np.nan, 0.1, 0.2, 0.9, 0.3]})
    table = volumes_table(KEPT, REASONS, 2.0, confounds)
    np.testing.assert_array_equal(
        table["framewise_displacement"], confounds["framewise_displacement"]
    )
    assert table["std_dvars"].isna().all()


def test_trials_are_numbered_by_onset_whatever_the_order_of_the_table():
    events = pd.DataFrame(
        {"onset": [6.0, 1.0], "duration": [2.0, 3.0], "trial_type": ["late", "early"]}
    )
    table = volumes_table(np.ones(5, bool), ("",) * 5, 2.0, events=events)
    assert list(table["trial_type"].fillna("")) == ["", "early", "", "late", ""]
    assert list(table["trial_number"]) == [pd.NA, 1, pd.NA, 2, pd.NA]


def test_events_without_types_are_numbered():
    events = pd.DataFrame({"onset": [2.0], "duration": [2.0]})
    table = volumes_table(np.ones(3, bool), ("",) * 3, 2.0, events=events)
    assert list(table["trial_type"].fillna("")) == ["", "n/a", ""]
    assert list(table["trial_number"]) == [pd.NA, 1, pd.NA]


def test_an_event_without_duration_takes_the_volume_in_which_it_happens():
    events = pd.DataFrame({"onset": [3.9, 4.0], "duration": [0.0, np.nan]})
    onsets = 2.0 * np.arange(4)
    assert list(trial_of_volumes(onsets, 2.0, events)) == [-1, 0, 1, -1]
    assert list(trial_of_volumes(onsets, 2.0, events[["onset"]])) == [-1, 0, 1, -1]


def test_of_two_events_the_last_to_begin_counts():
    events = pd.DataFrame({"onset": [4.0, 0.0], "duration": [2.0, 20.0]})
    assert list(trial_of_volumes(2.0 * np.arange(5), 2.0, events)) == [1, 1, 0, 1, 1]


def test_an_event_without_onset_is_nowhere():
    events = pd.DataFrame({"onset": [np.nan, 2.0], "duration": [9.0, 1.0]})
    table = volumes_table(np.ones(3, bool), ("",) * 3, 2.0, events=events)
    assert list(table["trial_number"]) == [pd.NA, 1, pd.NA]


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.floats(0.1, 5))
def test_every_row_of_the_signals_is_one_kept_volume(kept, t_r_s):
    reasons = tuple("" if one else "fd" for one in kept)
    table = volumes_table(np.array(kept), reasons, t_r_s)
    rows = table["row"][table["kept"]]
    assert list(rows) == list(range(sum(kept)))
    assert len(table) == len(kept)


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(0, 20)), max_size=8),
    st.floats(0.5, 3),
)
def test_a_volume_lies_in_its_event(spans, t_r_s):
    events = pd.DataFrame(spans, columns=["onset", "duration"], dtype=float)
    onsets = np.arange(25) * t_r_s
    for onset, one in zip(onsets, trial_of_volumes(onsets, t_r_s, events), strict=True):
        in_it = [
            begin <= onset < begin + length
            if length > 0
            else onset <= begin < np.float64(onset) + t_r_s
            for begin, length in spans
        ]
        assert (one >= 0) == any(in_it)
        if one >= 0:
            latest = max(begin for (begin, _), inside in zip(spans, in_it, strict=True) if inside)
            assert in_it[one]
            assert spans[one][0] == latest
