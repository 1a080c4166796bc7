"""Cleaning against nilearn.signal.clean in float64: equal where nilearn is right.

Where it is not, a test shows what nilearn does and what is done here instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from bidsmask.cleaning.cleaning import Cleaning
from bidsmask.cleaning.confounds import Regressors
from bidsmask.cleaning.filter import TemporalFilter
from bidsmask.cleaning.operator import build_operator, clean
from bidsmask.cleaning.reference import interpolate
from bidsmask.errors import NoDegreesOfFreedom
from tests.make_cleaning import censored, regressors

nilearn_signal = pytest.importorskip("nilearn.signal")

T_R = 2.0
N_VOLUMES = 200


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)


def ours(
    values: np.ndarray,
    cleaning: Cleaning,
    confounds: np.ndarray | None = None,
    without: Iterable[int] = (),
) -> np.ndarray:
    n = len(values)
    columns = Regressors.none(n) if confounds is None else regressors(confounds)
    operator = build_operator(cleaning, T_R, censored(n, without), columns, "run")
    return clean(operator, values.copy(), np.zeros(values.shape[1])).values


def nilearns(
    values: np.ndarray,
    cleaning: Cleaning,
    confounds: np.ndarray | None = None,
    without: Iterable[int] = (),
) -> np.ndarray:
    kept = np.setdiff1d(np.arange(len(values)), list(without))
    chosen = cleaning.filter
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its own next defaults
        return nilearn_signal.clean(  # type: ignore[no-any-return]
            values.copy(),
            detrend=cleaning.detrend,
            standardize=None if cleaning.standardize == "none" else cleaning.standardize,
            sample_mask=kept if len(kept) < len(values) else None,
            confounds=confounds,
            filter=chosen.kind if chosen.cut_offs_hz else False,
            low_pass=chosen.low_pass_hz,
            high_pass=chosen.high_pass_hz,
            t_r=T_R,
        )


def spread(values: np.ndarray) -> float:
    return float(values.std(axis=0).mean())


BAND = TemporalFilter("butterworth", 0.01, 0.1, "odd")
FILTERS = {
    "band": BAND,
    "low-pass": TemporalFilter("butterworth", None, 0.1, "odd"),
    "high-pass": TemporalFilter("butterworth", 0.01, None, "odd"),
    "cosine": TemporalFilter("cosine", 0.01),
    "no filter": TemporalFilter("none"),
}


@pytest.mark.parametrize("scale", ["zscore_sample", "none"])
@pytest.mark.parametrize("with_confounds", [True, False])
@pytest.mark.parametrize("detrend", [True, False])
@pytest.mark.parametrize("name", FILTERS)
def test_cleaning_without_censoring_equals_nilearn(
    name: str,
    detrend: bool,
    with_confounds: bool,
    scale: str,
    random: np.random.Generator,
) -> None:
    values = 100 + np.cumsum(random.standard_normal((N_VOLUMES, 12)), axis=0)
    confounds = random.standard_normal((N_VOLUMES, 15)) if with_confounds else None
    cleaning = Cleaning(detrend, FILTERS[name], scale)  # type: ignore[arg-type]
    expected = nilearns(values, cleaning, confounds)
    assert np.abs(ours(values, cleaning, confounds) - expected).max() < 1e-9


@pytest.mark.parametrize("without", [(10, 11, 30), (0, 1, 2), (0, 1, 50, 198, 199)])
@pytest.mark.parametrize("name", ["cosine", "no filter"])
def test_censoring_without_detrending_equals_nilearn(
    name: str, without: tuple[int, ...], random: np.random.Generator
) -> None:
    values = random.standard_normal((N_VOLUMES, 12))
    confounds = random.standard_normal((N_VOLUMES, 10))
    cleaning = Cleaning(False, FILTERS[name])
    expected = nilearns(values, cleaning, confounds, without)
    assert np.abs(ours(values, cleaning, confounds, without) - expected).max() < 1e-9


def test_percent_signal_change_equals_nilearn_where_the_mean_is_kept(
    random: np.random.Generator,
) -> None:
    values = 1000 + random.standard_normal((N_VOLUMES, 12))
    cleaning = Cleaning(True, TemporalFilter("none"), "psc")
    assert np.abs(ours(values, cleaning) - nilearns(values, cleaning)).max() < 1e-9


# --- Exceptions: nilearn's way and ours -----------------------------------------------------


def _with_spikes(values: np.ndarray, volumes: Iterable[int]) -> np.ndarray:
    spiked = values.copy()
    spiked[list(volumes)] += 50
    return spiked


@pytest.mark.parametrize(
    "without",
    [(60,), (60, 139), tuple(range(95, 105)), (0,), (199,), (0, 199), (0, 1, 2, 197, 198, 199)],
)
@pytest.mark.parametrize("name", FILTERS)
def test_censored_spike_does_not_reach_its_neighbours(
    name: str, without: tuple[int, ...], random: np.random.Generator
) -> None:
    values = random.standard_normal((N_VOLUMES, 5))
    confounds = random.standard_normal((N_VOLUMES, 3))
    cleaning = Cleaning(True, FILTERS[name])
    calm = ours(values, cleaning, confounds, without)
    spiked = ours(
        _with_spikes(values, without), cleaning, _with_spikes(confounds, without), without
    )
    np.testing.assert_allclose(spiked, calm, atol=1e-12)


def test_nilearn_leaks_a_censored_spike_whose_mirror_volume_is_censored(
    random: np.random.Generator,
) -> None:
    # It replaces the volumes ~kept of an index array, which are the mirrored ones.
    values, without = random.standard_normal((N_VOLUMES, 5)), (60, 139)
    cleaning = Cleaning(True, BAND, "none")
    leak = nilearns(_with_spikes(values, without), cleaning, None, without) - nilearns(
        values, cleaning, None, without
    )
    assert np.abs(leak).max() > 5


def test_rows_are_the_kept_volumes_when_both_ends_are_censored(
    random: np.random.Generator,
) -> None:
    slow = np.convolve(random.standard_normal(N_VOLUMES + 20), np.hanning(21), "valid")
    values, without = np.column_stack([slow, slow[::-1]]), (0, 1, 2, 197, 198, 199)
    cleaning = Cleaning(False, TemporalFilter("butterworth", None, 0.1))
    cleaned = ours(values, cleaning, None, without)
    assert len(cleaned) == 194
    assert np.corrcoef(cleaned[:, 0], values[3:197, 0])[0, 1] > 0.98
    shifted = nilearns(_with_spikes(values, (0, 199)), cleaning, None, (0, 199))
    assert np.argmax(np.abs(shifted[:, 0])) == 0  # nilearn hands out the censored spike itself


def test_gap_is_bridged_by_a_line_where_nilearn_overshoots_with_a_spline(
    random: np.random.Generator,
) -> None:
    noise = np.zeros((N_VOLUMES, 200))
    for volume in range(1, N_VOLUMES):
        noise[volume] = 0.6 * noise[volume - 1] + random.standard_normal(200)
    kept = censored(N_VOLUMES, range(90, 110)).kept
    volumes = np.arange(N_VOLUMES)
    line = interpolate(noise, kept)[~kept] - noise[~kept]
    spline = CubicSpline(volumes[kept], noise[kept])(volumes[~kept]) - noise[~kept]
    assert spline.std() > 2 * line.std()


def test_trend_is_removed_over_true_time_where_nilearn_counts_kept_volumes() -> None:
    drift = np.linspace(0, 10, N_VOLUMES)[:, np.newaxis]
    wiggle = 1e-3 * np.sin(np.arange(N_VOLUMES))[:, np.newaxis]
    cleaning = Cleaning(True, TemporalFilter("none"), "none")
    without = range(60, 140)
    kept = censored(N_VOLUMES, without).kept
    theirs = nilearns(drift + wiggle, cleaning, None, without)
    assert spread(theirs) > 0.25 * spread(drift[kept])
    assert spread(ours(drift + wiggle, cleaning, None, without)) < 1.1e-3


def test_cosines_stay_when_one_confound_resembles_one_of_them(
    random: np.random.Generator,
) -> None:
    values = random.standard_normal((N_VOLUMES, 100))
    ramp = np.linspace(1, -1, N_VOLUMES)[:, np.newaxis]  # r = .993 with the first cosine
    cleaning = Cleaning(False, TemporalFilter("cosine", 0.008), "none")
    k = np.arange(1, 7)
    cosines = np.cos(np.pi / N_VOLUMES * np.outer(np.arange(N_VOLUMES) + 0.5, k))
    cosines *= np.sqrt(2 / N_VOLUMES)

    def left(cleaned: np.ndarray) -> float:
        return float(((cosines.T @ cleaned) ** 2).sum() / (cleaned**2).sum())

    assert left(ours(values, cleaning, ramp)) < 1e-20
    assert left(nilearns(values, cleaning, ramp)) > 0.02


@pytest.mark.parametrize("extra", ["sum of two", "copy with ten digits"])
def test_dependent_confound_changes_nothing_where_nilearn_fits_its_rounding(
    extra: str, random: np.random.Generator
) -> None:
    values = random.standard_normal((N_VOLUMES, 5))
    confounds = random.standard_normal((N_VOLUMES, 12))
    column = (
        confounds[:, 0] + confounds[:, 3] if extra == "sum of two" else confounds[:, 0].round(10)
    )
    more = np.column_stack([confounds, column])
    cleaning = Cleaning(True, BAND)
    change = ours(values, cleaning, more) - ours(values, cleaning, confounds)
    assert np.abs(change).max() < 1e-6
    theirs = nilearns(values, cleaning, more) - nilearns(values, cleaning, confounds)
    assert np.abs(theirs).max() > 0.1


def test_percent_signal_change_uses_each_columns_own_mean(random: np.random.Generator) -> None:
    values = np.array([10, 1000]) + random.standard_normal((N_VOLUMES, 2))
    cleaning = Cleaning(True, TemporalFilter("none"), "psc")
    percent = ours(values, cleaning)
    expected = 100 * spread(values[:, :1]) / 10, 100 * spread(values[:, 1:]) / 1000
    np.testing.assert_allclose(percent.std(axis=0), expected, rtol=0.02)
    values[0, 0] = np.nan  # one voxel decides for all others in nilearn
    assert np.nanmax(np.abs(nilearns(values, cleaning)[:, 1])) > 1e6


def test_noise_of_no_degrees_of_freedom_is_not_scaled_to_a_signal(
    random: np.random.Generator,
) -> None:
    values, confounds = random.standard_normal((40, 5)), random.standard_normal((40, 38))
    cleaning = Cleaning(True, TemporalFilter("none"))
    assert spread(nilearns(values, cleaning, confounds)) == pytest.approx(1, abs=0.05)
    with pytest.raises(NoDegreesOfFreedom, match=r"38 regressors = 0\.0"):
        ours(values, cleaning, confounds)


def test_even_padding_spreads_variance_evenly_where_odd_padding_heaps_it_at_the_ends(
    random: np.random.Generator,
) -> None:
    values = random.standard_normal((300, 300))
    ends = np.r_[0:30, 270:300]

    def share_of_ends(padding: str) -> float:
        chosen = TemporalFilter("butterworth", 0.004, 0.04, padding)  # type: ignore[arg-type]
        cleaned = ours(values, Cleaning(True, chosen, "none"))
        return float((cleaned[ends] ** 2).sum() / (cleaned**2).sum())

    assert share_of_ends("even") == pytest.approx(0.2, abs=0.02)
    assert share_of_ends("odd") > 0.3
