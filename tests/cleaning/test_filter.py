from typing import Any

import numpy as np
import pytest
from scipy import signal

from bidsmask.cleaning.filter import (
    TemporalFilter,
    butterworth,
    check_filter,
    slow_cosines,
    stop_band_cosines,
)
from bidsmask.errors import BadTiming, TooFewVolumes, UsageError


def sine(hz: float, n_volumes: int = 500, t_r_s: float = 2.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * t_r_s * np.arange(n_volumes))[:, np.newaxis]


def gain(chosen: TemporalFilter, hz: float) -> float:
    """Return what is left of a sine's amplitude, away from the ends."""
    wave = sine(hz)
    return float(butterworth(wave, chosen, 2.0)[150:350].std() / wave[150:350].std())


# --- What a filter may be -------------------------------------------------------------------


@pytest.mark.parametrize("cut_off", [0.0, -0.01, float("nan"), float("inf")])
def test_cut_off_that_is_no_frequency_is_refused_with_its_value(cut_off: float) -> None:
    with pytest.raises(UsageError, match=f"--high-pass {cut_off:g} is no frequency"):
        TemporalFilter("butterworth", cut_off, 0.1)


@pytest.mark.parametrize("high_pass_hz", [0.1, 0.2])
def test_high_pass_at_or_above_low_pass_is_refused_with_both_values(high_pass_hz: float) -> None:
    with pytest.raises(UsageError, match=rf"{high_pass_hz:g} is not below --low-pass 0\.1"):
        TemporalFilter("butterworth", high_pass_hz, 0.1)


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"kind": "none", "low_pass_hz": 0.1}, "--filter none contradicts"),
        ({"kind": "cosine"}, "cosine has no cut-off"),
        (
            {"kind": "cosine", "high_pass_hz": 0.01, "low_pass_hz": 0.1},
            "--low-pass 0.1 does nothing beside --filter cosine",
        ),
        ({"kind": "regression"}, "regression has no cut-off"),
        ({"kind": "butterworth"}, "butterworth has no cut-off"),
        ({"padding": "odd"}, "--padding odd does nothing"),
    ],
)
def test_cut_off_that_would_do_nothing_is_refused(chosen: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        TemporalFilter(**chosen)


def test_no_filter_needs_nothing() -> None:
    check_filter(TemporalFilter(), None, 3, "run")


@pytest.mark.parametrize("cut_off", [0.25, 0.3])
@pytest.mark.parametrize("kind", ["butterworth", "regression"])
def test_cut_off_at_or_above_nyquist_is_refused_with_both_values(kind: Any, cut_off: float) -> None:
    with pytest.raises(BadTiming, match=rf"from 0\.25 Hz on, but the cut-off is {cut_off:g} Hz"):
        check_filter(TemporalFilter(kind, None, cut_off), 2.0, 200, "run")


@pytest.mark.parametrize("t_r_s", [None, 0.0, -2.0, float("nan")])
def test_filter_without_a_repetition_time_is_refused(t_r_s: float | None) -> None:
    with pytest.raises(BadTiming, match="repetition time"):
        check_filter(TemporalFilter("cosine", 0.01), t_r_s, 200, "run")


@pytest.mark.parametrize(("high_pass_hz", "needed"), [(0.01, 33), (None, 18)])
def test_only_odd_padding_needs_a_number_of_volumes(
    high_pass_hz: float | None, needed: int
) -> None:
    odd = TemporalFilter("butterworth", high_pass_hz, 0.1, "odd")
    check_filter(odd, 2.0, needed + 1, "run")
    assert np.isfinite(butterworth(np.ones((needed + 1, 1)), odd, 2.0)).all()
    with pytest.raises(TooFewVolumes, match=f"has {needed} volumes.*more than {needed}"):
        check_filter(odd, 2.0, needed, "run")
    even = TemporalFilter("butterworth", high_pass_hz, 0.1)
    check_filter(even, 2.0, 2, "run")
    assert np.isfinite(butterworth(np.eye(2), even, 2.0)).all()


# --- What it does ---------------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["even", "odd"])
def test_butterworth_passes_its_band_halves_its_edges_and_stops_the_rest(padding: Any) -> None:
    chosen = TemporalFilter("butterworth", 0.01, 0.1, padding)
    assert gain(chosen, 0.04) == pytest.approx(1, abs=0.01)
    assert gain(chosen, 0.1) == pytest.approx(0.5, abs=0.02)
    assert gain(chosen, 0.2) < 1e-3
    assert gain(chosen, 0.004) < 0.02


@pytest.mark.parametrize("padding", ["even", "odd"])
@pytest.mark.parametrize("t_r_s", [0.4, 2.0, 3.0])
@pytest.mark.parametrize("n_volumes", [34, 200, 601])
@pytest.mark.parametrize("band_hz", [(0.01, None), (None, 0.1), (0.01, 0.1), (0.005, 0.16)])
def test_butterworth_equals_scipy(
    band_hz: tuple[float | None, float | None], n_volumes: int, t_r_s: float, padding: Any
) -> None:
    walk = np.random.default_rng(0).standard_normal((n_volumes, 3)).cumsum(axis=0)
    cut_offs = [one for one in band_hz if one is not None]
    kind = "bandpass" if len(cut_offs) == 2 else "highpass" if band_hz[0] else "lowpass"
    sections = signal.butter(5, np.squeeze(cut_offs), btype=kind, output="sos", fs=1 / t_r_s)
    lengthening = {"padtype": padding, **({"padlen": n_volumes - 1} if padding == "even" else {})}
    expected = signal.sosfiltfilt(sections, walk, axis=0, **lengthening)
    ours = butterworth(walk, TemporalFilter("butterworth", *band_hz, padding), t_r_s)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9 * np.abs(walk).max())


@pytest.mark.parametrize("band_hz", [(0.01, None), (None, 0.1), (0.01, 0.1), (0.005, 0.16)])
@pytest.mark.parametrize("order", [1, 2, 4, 7])
@pytest.mark.parametrize(
    "lengthening",
    [
        {"padtype": "odd"},
        {"padtype": "even", "padlen": 40},
        {"padtype": "constant", "padlen": 199},
        {"padtype": None},
    ],
    ids=lambda one: str(one["padtype"]),
)
def test_any_order_and_padding_equals_scipy(
    band_hz: tuple[float | None, float | None], order: int, lengthening: dict[str, Any]
) -> None:
    walk = np.random.default_rng(0).standard_normal((200, 3)).cumsum(axis=0)
    cut_offs = [one for one in band_hz if one is not None]
    kind = "bandpass" if len(cut_offs) == 2 else "highpass" if band_hz[0] else "lowpass"
    sections = signal.butter(order, np.squeeze(cut_offs), btype=kind, output="sos", fs=0.5)
    expected = signal.sosfiltfilt(sections, walk, axis=0, **lengthening)
    padding: Any = lengthening["padtype"] or "none"
    chosen = TemporalFilter(
        "butterworth", *band_hz, padding, order=order, padding_volumes=lengthening.get("padlen")
    )
    ours = butterworth(walk, chosen, 2.0)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-8 * np.abs(walk).max())


def test_butterworth_does_not_delay() -> None:
    wave = sine(0.04)
    filtered = butterworth(wave, TemporalFilter("butterworth", 0.01, 0.1), 2.0)
    assert np.corrcoef(filtered[50:450, 0], wave[50:450, 0])[0, 1] > 0.999


@pytest.mark.parametrize("padding", ["even", "odd"])
def test_low_pass_keeps_a_constant_and_high_pass_removes_it(padding: Any) -> None:
    constant = np.full((100, 1), 5.0)
    low = butterworth(constant, TemporalFilter("butterworth", None, 0.1, padding), 2.0)
    high = butterworth(constant, TemporalFilter("butterworth", 0.01, None, padding), 2.0)
    np.testing.assert_allclose(low, 5, atol=1e-9)
    np.testing.assert_allclose(high, 0, atol=1e-9)


@pytest.mark.parametrize(
    ("n_volumes", "high_pass_hz", "n_terms"),
    [(200, 0.008, 6), (200, 0.01, 8), (20, 0.008, 0), (5, 0.2, 4)],
)
def test_number_of_slow_cosines(n_volumes: int, high_pass_hz: float, n_terms: int) -> None:
    terms = slow_cosines(n_volumes, 2.0, high_pass_hz)
    assert terms.shape == (n_volumes, n_terms)
    np.testing.assert_allclose(terms.T @ terms, np.eye(n_terms), atol=1e-12)


def test_slow_and_stop_band_cosines_are_the_same_terms_for_a_high_pass() -> None:
    slow = slow_cosines(100, 2.0, 0.0124)
    stop = stop_band_cosines(100, 2.0, TemporalFilter("regression", 0.0124))
    np.testing.assert_array_equal(slow, stop)


def test_stop_band_leaves_out_exactly_the_pass_band() -> None:
    # Term k of 200 volumes at 2 s is k / 800 Hz: 8 to 80 are the band from .01 to .1 Hz.
    stop = stop_band_cosines(200, 2.0, TemporalFilter("regression", 0.01, 0.1))
    assert stop.shape == (200, 199 - 73)
    np.testing.assert_allclose(stop.T @ stop, np.eye(stop.shape[1]), atol=1e-12)
