"""The table of volumes: rows, times, trials."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from bidsmask.bids.tables import table_bytes
from bidsmask.signals.trials import Trials
from bidsmask.signals.volumes import label_volumes, volumes_table

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


def labelled(events: pd.DataFrame, n_volumes: int = 5, **of: object) -> pd.DataFrame:
    """Return the table of volumes, 2 s apart, with the trials of these events."""
    volumes = volumes_table(np.ones(n_volumes, bool), ("",) * n_volumes, 2.0)
    return label_volumes(volumes, Trials.of(events, n_volumes, 2.0, **of))


def test_each_volume_tells_its_trial():
    events = pd.DataFrame(
        {"onset": [6.0, 1.0], "duration": [2.0, 3.0], "trial_type": ["late", "early"]}
    )
    table = labelled(events)
    assert list(table["trial_type"]) == [None, "early", None, "late", None]
    assert list(table["trial_number"]) == [None, 1, None, 2, None]


def test_events_without_types_are_numbered():
    table = labelled(pd.DataFrame({"onset": [2.0], "duration": [2.0]}), 3)
    assert list(table["trial_type"]) == [None, None, None]
    assert list(table["trial_number"]) == [None, 1, None]


def test_further_columns_are_written_as_the_events_have_them():
    events = pd.DataFrame(
        {
            "onset": [0.0, 4.0, 8.0],
            "duration": 2.0,
            "level": [3, 4, 5],
            "right": [True, False, True],
        }
    )
    table = labelled(events, columns=("right", "level", "absent"))
    assert list(table)[-5:] == ["trial_type", "trial_number", "right", "level", "absent"]
    cells = [line.split("\t")[-3:] for line in table_bytes(table).decode().splitlines()[1:]]
    none = ["n/a"] * 3
    assert cells == [["true", "3", "n/a"], none, ["false", "4", "n/a"], none, ["true", "5", "n/a"]]


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.floats(0.1, 5))
def test_every_row_of_the_signals_is_one_kept_volume(kept, t_r_s):
    reasons = tuple("" if one else "fd" for one in kept)
    table = volumes_table(np.array(kept), reasons, t_r_s)
    rows = table["row"][table["kept"]]
    assert list(rows) == list(range(sum(kept)))
    assert len(table) == len(kept)
