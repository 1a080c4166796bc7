"""What happens over a run has the timing, band and size that it should."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gamma

from bidsmask.demo.head import AIR, EPI_LEVELS, GREY, REGIONS, TEMPLATE_HEAD, Scene
from bidsmask.demo.plan import TEMPLATE_GRID
from bidsmask.demo.timecourse import (
    NOISE_SD,
    T_R_S,
    Timecourse,
    band_limited,
    canonical_hrf,
    simulate_events,
    simulate_series,
    task_response,
)


def test_hrf_is_a_gamma_less_a_sixth_of_a_later_one():
    seconds = np.linspace(0, 32, 200)
    expected = gamma.pdf(seconds, 6) - gamma.pdf(seconds, 16) / 6
    np.testing.assert_allclose(canonical_hrf(seconds), expected, atol=1e-12)


def test_an_endless_block_reaches_one():
    events = pd.DataFrame({"onset": [0.0], "duration": [200.0], "trial_type": ["face"]})
    assert task_response(events, "face", 100)[40:99] == pytest.approx(1.0, abs=1e-3)


def test_response_does_not_precede_its_block():
    events = pd.DataFrame({"onset": [20.0], "duration": [12.0], "trial_type": ["face"]})
    response = task_response(events, "face", 60)
    assert not response[: int(20 / T_R_S) + 1].any()
    assert 12 < response.argmax() < 20


def test_spontaneous_signals_hold_no_frequency_outside_the_band():
    signals = band_limited(np.random.default_rng(0), 150, 3)
    power = np.abs(np.fft.rfft(signals, axis=1)) ** 2
    hertz = np.fft.rfftfreq(150, T_R_S)
    outside = (hertz < 0.01) | (hertz > 0.1)
    assert power[:, outside].sum() / power.sum() < 1e-20
    np.testing.assert_allclose(signals.std(axis=1), 1)


def test_blocks_do_not_overlap_and_end_within_the_run():
    events = simulate_events(np.random.default_rng(0), 160)
    ends = events["onset"] + events["duration"]
    assert (events["onset"][1:].to_numpy() > ends[:-1].to_numpy()).all()
    assert ends.max() < 160 * T_R_S
    assert set(events["trial_type"]) == {"face", "house"}


def test_a_spike_is_large_and_stays_in_its_volume():
    quiet = Timecourse.simulate(np.random.default_rng(0), 60, None, (), 0)
    spiked = Timecourse.simulate(np.random.default_rng(0), 60, None, (30,), 0)
    np.testing.assert_array_equal(quiet.regions, spiked.regions)
    change = np.abs(spiked.rows[:10]).max(axis=0)
    assert change[30] > 20
    assert np.median(change) < 5


def test_noise_alone_is_rician_and_not_zero():
    scene = Scene.of(TEMPLATE_HEAD, TEMPLATE_GRID, native=False)
    still = Timecourse(np.zeros((13 + len(REGIONS), 40)), np.zeros((len(REGIONS), 40)), np.zeros(0))
    series = simulate_series(np.random.default_rng(0), scene, still)
    air = series[:, scene.shares[:, AIR] == 1]
    assert air.mean() == pytest.approx(np.sqrt(np.pi / 2) * NOISE_SD, rel=0.01)
    grey = scene.mostly(GREY)
    expected = scene.image(EPI_LEVELS)[grey]
    np.testing.assert_allclose(series[:, grey].mean(axis=0), expected, atol=NOISE_SD)
    assert series[:, grey].std(axis=0).mean() == pytest.approx(NOISE_SD, rel=0.03)
