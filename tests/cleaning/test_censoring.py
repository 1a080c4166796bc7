from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsmask.cleaning.censoring import Censoring, Thresholds, censor
from bidsmask.errors import (
    MissingColumn,
    MissingCompanion,
    TooFewVolumes,
    UnusableTable,
    UsageError,
)


def table(fd: list[float], dvars: list[float] | None = None, **more: list[float]) -> pd.DataFrame:
    columns = {"framewise_displacement": fd, "std_dvars": dvars or [1.0] * len(fd)}
    return pd.DataFrame(columns | more)


def run_censor(confounds: pd.DataFrame, **thresholds: Any) -> Censoring:
    return censor(len(confounds), 2.0, Thresholds(**thresholds), confounds, "t.tsv")


def test_nothing_is_censored_without_thresholds() -> None:
    censoring = run_censor(table([9.0] * 5))
    assert censoring.kept.all()
    assert censoring.reasons == ("",) * 5
    assert (censoring.n_volumes, censoring.n_kept) == (5, 5)


def test_volumes_above_a_threshold_go_and_those_at_it_stay() -> None:
    censoring = run_censor(table([np.nan, 0.5, 0.51, 0.1]), fd_mm=0.5)
    assert censoring.reasons == ("", "", "fd", "")


def test_reasons_are_joined_in_a_fixed_order() -> None:
    confounds = table([9, 0, 0, 9], [9, 0, 0, 0], non_steady_state_outlier00=[1, 0, 0, 0])
    censoring = run_censor(confounds, fd_mm=0.5, std_dvars=1.5, min_segment=2)
    assert censoring.reasons == ("non-steady-state+fd+dvars", "", "", "fd")


def test_short_segments_go_also_at_both_ends() -> None:
    fd = [0, 9, 0, 0, 0, 9, 0, 0, 9, 0]
    censoring = run_censor(table([float(x) for x in fd]), fd_mm=0.5, min_segment=3)
    reasons = ["segment", "fd", "", "", "", "fd", "segment", "segment", "fd", "segment"]
    assert list(censoring.reasons) == reasons


def test_a_run_without_motion_is_one_segment_however_short() -> None:
    assert run_censor(table([0.0, 0.0]), fd_mm=0.5, min_segment=5).kept.all()


def test_non_steady_state_volumes_do_not_part_segments() -> None:
    confounds = table([0, 0, 0, 9, 0, 0, 0], non_steady_state_outlier00=[1, 0, 0, 0, 0, 0, 0])
    censoring = run_censor(confounds, fd_mm=0.5, min_segment=3)
    assert censoring.reasons == ("non-steady-state", "", "", "fd", "", "", "")


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 8))
def test_exactly_the_short_segments_go(moved: list[bool], least: int) -> None:
    expected = []
    for is_moved, volumes in groupby(moved):
        length = len(list(volumes))
        expected += [not is_moved and (length >= least or not any(moved))] * length
    confounds = table([9.0 if one else 0.0 for one in moved])
    if not any(expected):
        with pytest.raises(TooFewVolumes):
            run_censor(confounds, fd_mm=0.5, min_segment=least)
    else:
        kept = run_censor(confounds, fd_mm=0.5, min_segment=least).kept
        assert kept.tolist() == expected


def test_dummy_scans_by_number_replace_fmripreps_own() -> None:
    confounds = table([0.0] * 5, non_steady_state_outlier00=[0, 0, 0, 1, 0])
    assert run_censor(confounds, dummy_scans=2).kept.tolist() == [False, False, True, True, True]
    assert run_censor(confounds).kept.tolist() == [True, True, True, False, True]
    assert run_censor(confounds, dummy_scans=0).kept.all()


def test_camel_case_names_are_understood() -> None:
    old = pd.DataFrame({"FramewiseDisplacement": [0, 9.0, 0], "NonSteadyStateOutlier00": [1, 0, 0]})
    assert run_censor(old, fd_mm=0.5).reasons == ("non-steady-state", "fd", "")


def test_a_run_without_a_table_is_kept_whole_when_nothing_is_asked() -> None:
    assert censor(4, 2.0, Thresholds(), None, "run").kept.all()


def test_threshold_without_a_table_is_an_error() -> None:
    with pytest.raises(MissingCompanion, match="framewise_displacement"):
        censor(4, 2.0, Thresholds(fd_mm=0.5), None, "run")


@pytest.mark.parametrize(
    ("name", "threshold"), [("framewise_displacement", "fd_mm"), ("std_dvars", "std_dvars")]
)
def test_missing_column_is_an_error_only_if_it_is_needed(name: str, threshold: str) -> None:
    confounds = table([0.0] * 4).drop(columns=name)
    assert run_censor(confounds).kept.all()
    with pytest.raises(MissingColumn, match=f"lacks the column {name}"):
        run_censor(confounds, **{threshold: 0.5})


def test_rows_unlike_volumes_are_refused() -> None:
    with pytest.raises(UnusableTable, match="has 4 rows"):
        censor(5, 2.0, Thresholds(), table([0.0] * 4), "t.tsv")


def test_all_volumes_censored_is_an_error() -> None:
    with pytest.raises(TooFewVolumes, match="has 0 of 4 volumes left"):
        run_censor(table([9.0] * 4), fd_mm=0.5)


def test_more_dummy_scans_than_volumes_is_an_error() -> None:
    with pytest.raises(TooFewVolumes, match="has 0 of 4 volumes left"):
        run_censor(table([0.0] * 4), dummy_scans=9)


def test_fewer_volumes_than_asked_is_an_error() -> None:
    confounds = table([0.0, 0.0, 9.0, 0.0])
    assert run_censor(confounds, fd_mm=0.5, min_volumes=3).n_kept == 3
    with pytest.raises(
        TooFewVolumes, match="has 3 of 4 volumes left after censoring, fewer than 4"
    ):
        run_censor(confounds, fd_mm=0.5, min_volumes=4)


def test_fewer_seconds_than_asked_is_an_error() -> None:
    confounds = table([0.0, 0.0, 9.0, 0.0])
    assert run_censor(confounds, fd_mm=0.5, min_seconds=6).n_kept == 3
    with pytest.raises(TooFewVolumes, match="6 s, less than 7 s"):
        run_censor(confounds, fd_mm=0.5, min_seconds=7)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"fd_mm": -1}, "--fd-threshold -1 is"),
        ({"fd_mm": 0}, "--fd-threshold 0 is"),
        ({"std_dvars": float("nan")}, "--dvars-threshold nan is"),
        ({"min_segment": -1}, "--min-segment -1 is"),
        ({"dummy_scans": -1}, "--dummy-scans -1 is"),
        ({"min_seconds": float("inf")}, "--min-seconds inf is"),
    ],
)
def test_impossible_thresholds_are_refused_with_their_value(
    wrong: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        Thresholds(**wrong)


def test_none_keeps_every_volume() -> None:
    assert Censoring.none(3).kept.tolist() == [True] * 3


# --- fMRIPrep's own columns of outliers -----------------------------------------------------


def flagged_table() -> pd.DataFrame:
    """Return a table of 20 volumes, of which columns flag 0 (twice), 7 and 11."""
    flags = {
        "non_steady_state_outlier00": 0,
        "motion_outlier00": 7,
        "motion_outlier01": 11,
        "motion_outlier02": 0,
    }
    return pd.DataFrame(
        {name: np.arange(20) == volume for name, volume in flags.items()}, dtype=int
    )


def test_own_columns_of_outliers_censor_where_they_are_asked_for() -> None:
    thresholds = Thresholds(use_outlier_columns=True)
    censoring = censor(20, 2.0, thresholds, flagged_table(), "t")
    reasons = {volume: why for volume, why in enumerate(censoring.reasons) if why}
    assert reasons == {0: "non-steady-state+outlier", 7: "outlier", 11: "outlier"}
    left_alone = censor(20, 2.0, Thresholds(), flagged_table(), "t")
    assert np.flatnonzero(~left_alone.kept).tolist() == [0]


def test_own_columns_of_outliers_part_segments() -> None:
    thresholds = Thresholds(use_outlier_columns=True, min_segment=5)
    censoring = censor(20, 2.0, thresholds, flagged_table(), "t")
    assert [volume for volume, why in enumerate(censoring.reasons) if why == "segment"] == [
        8,
        9,
        10,
    ]


def test_own_columns_of_outliers_join_a_number_of_dummy_scans() -> None:
    thresholds = Thresholds(use_outlier_columns=True, dummy_scans=2)
    censoring = censor(20, 2.0, thresholds, flagged_table(), "t")
    assert np.flatnonzero(~censoring.kept).tolist() == [0, 1, 7, 11]


def test_own_columns_of_outliers_need_a_table() -> None:
    with pytest.raises(MissingCompanion, match="censoring needs the columns of outliers"):
        censor(20, 2.0, Thresholds(use_outlier_columns=True), None, "run.nii")
