"""Displacement of filtered parameters, with breathing that is simulated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bidsmask.cleaning.censoring import Thresholds, find_censored
from bidsmask.cleaning.motion import MOTION, MotionFilter, displacement, filtered_displacement
from bidsmask.errors import BadTiming, MissingColumn, MissingCompanion, UsageError
from tests.make_cleaning import REAL_TABLES, needs_real_tables

T_R_S = 0.8
BREATH_HZ = 0.3
NOTCH = MotionFilter("notch", (0.2, 0.4))
JUMPS = (80, 200, 201)


def breathing_head(breath_mm: float, n_volumes: int = 400) -> pd.DataFrame:
    """Return motion parameters: drift, breathing along y, and three jumps of 1 mm along z."""
    time_s = np.arange(n_volumes) * T_R_S
    table = pd.DataFrame({name: np.zeros(n_volumes) for name in MOTION})
    table["trans_x"] = 0.3 * np.cos(2 * np.pi * 0.004 * time_s)
    table["trans_y"] = breath_mm * np.sin(2 * np.pi * BREATH_HZ * time_s)
    table["rot_x"] = 0.2 * table["trans_y"] / 50
    for jump in JUMPS:
        table.loc[jump:, "trans_z"] += 1.0
    return table


def spectrum_at(values: np.ndarray, hz: float) -> float:
    time_s = np.arange(len(values)) * T_R_S
    return float(2 * abs(np.mean(values * np.exp(-2j * np.pi * hz * time_s))))


@needs_real_tables
@pytest.mark.parametrize(
    "version", ["v1.5_nilearn", "v23.0.2_jdaoust", "v24.1.1_ds005699", "v25.0.0_ds007088"]
)
def test_displacement_without_a_filter_is_fmripreps(version: str) -> None:
    path = next(
        one for one in (REAL_TABLES / version).glob("*.tsv") if "desc-confounds" in one.name
    )
    table = pd.read_csv(path, sep="\t")
    ours = displacement(table[list(MOTION)].to_numpy())
    assert np.isnan(ours[0])
    theirs = table["framewise_displacement"].to_numpy()
    np.testing.assert_allclose(ours[1:], theirs[1:], rtol=1e-4, atol=2e-6)


def test_notch_takes_breathing_out_and_leaves_slow_motion() -> None:
    table = breathing_head(0.5)
    filtered = NOTCH.apply(table[list(MOTION)].to_numpy(), T_R_S, "t")
    x, y = filtered[40:-40, 0], filtered[40:-40, 1]
    assert spectrum_at(table["trans_y"].to_numpy(), BREATH_HZ) > 0.45
    assert spectrum_at(y, BREATH_HZ) < 0.01
    np.testing.assert_allclose(x, table["trans_x"][40:-40], atol=0.003)


def test_low_pass_takes_out_what_is_faster() -> None:
    fast, slow = breathing_head(0.5)[["trans_y", "trans_x"]].to_numpy().T
    chosen = MotionFilter("lowpass", (0.1,))
    filtered = chosen.apply(np.column_stack([fast, slow]), T_R_S, "t")
    assert np.abs(filtered[40:-40, 0]).max() < 0.005
    np.testing.assert_allclose(filtered[40:-40, 1], slow[40:-40], atol=1e-3)


def test_cut_offs_halve_the_amplitude() -> None:
    time_s = np.arange(2000) * T_R_S
    for hz in NOTCH.hz:
        wave = np.sin(2 * np.pi * hz * time_s)
        filtered = NOTCH.apply(wave[:, np.newaxis], T_R_S, "t")[500:-500, 0]
        assert np.sqrt(2) * filtered.std() == pytest.approx(0.5, abs=0.01)


def censored(table: pd.DataFrame, motion_filter: MotionFilter | None) -> list[int]:
    raw = displacement(table[list(MOTION)].to_numpy())
    table = table.assign(framewise_displacement=raw)
    thresholds = Thresholds(fd_mm=0.5, motion_filter=motion_filter)
    return np.flatnonzero(~find_censored(len(table), T_R_S, thresholds, table, "t").kept).tolist()


def test_breathing_no_longer_censors_where_the_head_lay_still() -> None:
    table = breathing_head(0.5)
    assert len(censored(table, None)) > 200
    found = censored(table, NOTCH)
    assert set(JUMPS) <= set(found)
    # A jump holds all frequencies: the filter rings for the volumes beside it.
    assert all(min(abs(one - jump) for jump in JUMPS) <= 3 for one in found)


def test_without_breathing_the_filter_finds_the_same_jumps() -> None:
    assert censored(breathing_head(0.0), None) == list(JUMPS)
    assert set(JUMPS) <= set(censored(breathing_head(0.0), NOTCH))


def test_filtered_displacement_is_kept_with_the_censoring() -> None:
    table = breathing_head(0.5)
    thresholds = Thresholds(fd_mm=0.5, motion_filter=NOTCH)
    censoring = find_censored(400, T_R_S, thresholds, table, "t")
    assert censoring.filtered_displacement_mm is not None
    expected = filtered_displacement(NOTCH, table, T_R_S, "t")
    np.testing.assert_array_equal(censoring.filtered_displacement_mm, expected)
    above = np.flatnonzero(expected > 0.5)
    assert [i for i, why in enumerate(censoring.reasons) if why == "fd"] == above.tolist()


@pytest.mark.parametrize(
    ("kind", "hz", "problem"),
    [
        ("notch", (), "has no cut-off. Give the lower and the higher, Hz"),
        ("notch", (0.2,), "has the cut-offs 0.2"),
        ("notch", (0.4, 0.2), "has the cut-offs 0.4 0.2"),
        ("notch", (0.2, 0.2), "has the cut-offs"),
        ("lowpass", (0.1, 0.2), "Give one, Hz, by --motion-filter-hz"),
        ("lowpass", (-0.1,), "has the cut-offs -0.1"),
    ],
)
def test_cut_offs_of_another_kind_are_refused(
    kind: str, hz: tuple[float, ...], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        MotionFilter(kind, hz)  # type: ignore[arg-type]


def test_breathing_that_is_too_fast_for_the_run_is_refused() -> None:
    with pytest.raises(BadTiming, match=r"no frequencies from 0.25 Hz on.* 0.4 Hz"):
        filtered_displacement(NOTCH, breathing_head(0.5), 2.0, "t.tsv")


def test_filter_without_a_parameter_names_it() -> None:
    with pytest.raises(MissingColumn, match="lacks the column rot_y, which --motion-filter notch"):
        filtered_displacement(NOTCH, breathing_head(0.5).drop(columns="rot_y"), T_R_S, "t.tsv")


def test_filter_without_a_table_says_what_it_needs() -> None:
    thresholds = Thresholds(fd_mm=0.5, motion_filter=NOTCH)
    with pytest.raises(MissingCompanion, match="censoring needs the six parameters"):
        find_censored(10, T_R_S, thresholds, None, "run.nii")


def test_filter_without_a_threshold_is_refused() -> None:
    with pytest.raises(UsageError, match="--motion-filter notch does nothing"):
        Thresholds(motion_filter=NOTCH)
