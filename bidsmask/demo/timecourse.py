"""What changes over a run, and when: tasks, spontaneous signals and everything unwanted.

A Timecourse times the patterns of a Scene is the relative change of every voxel:
    image(voxel, t) = baseline(voxel) · (1 + patterns(voxel) · rows(t) / 100)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gamma

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import signal

from bidsmask.demo.head import EPI_LEVELS, REGIONS, Scene
from bidsmask.demo.motion import expansion, simulate_motion

FloatArray = npt.NDArray[np.float64]

T_R_S = 2.0
NOISE_SD = 10.0
"""Thermal noise in the units of EPI_LEVELS: 1 % of grey matter."""
N_SMOOTH = 10
"""Rows that belong to `head.smooth_patterns`."""


def canonical_hrf(seconds: FloatArray) -> FloatArray:
    """Return the haemodynamic response to an impulse: SPM's difference of two gammas.

    h(t) = t⁵e⁻ᵗ/Γ(6) − t¹⁵e⁻ᵗ/(6 Γ(16)): a peak at 5 s, an undershoot at 15 s (Friston et al.
    1998; the form of Glover 1999).
    """
    late = np.clip(seconds, 0, None)
    peak = late**5 * np.exp(-late) / gamma(6)
    undershoot = late**15 * np.exp(-late) / gamma(16)
    return np.asarray(peak - undershoot / 6)


def task_response(events: pd.DataFrame, trial_type: str, n_volumes: int) -> FloatArray:
    """Return what a region shows of one trial type: its blocks, convolved with the HRF.

    Parameters
    ----------
    events : DataFrame
        Columns `onset` and `duration` (s), `trial_type`.
    trial_type : str
    n_volumes : int

    Returns
    -------
    (n_volumes,) float64 array
        In units of the plateau that an endless block would reach.
    """
    per_volume = 20
    step = T_R_S / per_volume
    times = np.arange(n_volumes * per_volume) * step
    boxcar = np.zeros_like(times)
    chosen = events[events["trial_type"] == trial_type]
    for onset, duration in zip(chosen["onset"], chosen["duration"], strict=True):
        boxcar[(times >= onset) & (times < onset + duration)] = 1
    hrf = canonical_hrf(np.arange(0, 32, step))
    response = np.convolve(boxcar, hrf / hrf.sum())[: len(times)]
    return np.asarray(response[::per_volume])


def band_limited(rng: np.random.Generator, n_volumes: int, n_signals: int) -> FloatArray:
    """Return Gaussian signals that hold only frequencies from 0.01 to 0.1 Hz.

    Returns
    -------
    (n_signals, n_volumes) float64 array
        Standard deviation 1 each, mean 0.
    """
    hertz = np.fft.rfftfreq(n_volumes, T_R_S)
    inside = (hertz >= 0.01) & (hertz <= 0.1)
    spectrum = rng.normal(size=(2, n_signals, len(hertz))) * inside
    signals = np.fft.irfft(spectrum[0] + 1j * spectrum[1], n=n_volumes, axis=1)
    return np.asarray(signals / signals.std(axis=1, keepdims=True))


def simulate_events(rng: np.random.Generator, n_volumes: int) -> pd.DataFrame:
    """Return blocks of 12 s of faces and houses, in random order, 9 to 15 s of rest between."""
    onsets = []
    onset = 8.0
    while onset + 12 + 10 < n_volumes * T_R_S:
        onsets.append(onset)
        onset += 12 + round(rng.uniform(9, 15), 1)
    kinds = rng.permutation([("face", "house")[k % 2] for k in range(len(onsets))])
    onsets = [round(o, 1) for o in onsets]
    return pd.DataFrame({"onset": onsets, "duration": 12.0, "trial_type": kinds})


def region_signals(
    rng: np.random.Generator, n_volumes: int, events: pd.DataFrame | None
) -> FloatArray:
    """Return the true signal of every region, in percent of its baseline.

    The spontaneous part (sd 1 %) is shared: half of its variance by a network, a quarter by
    nobody, a quarter by the two sides.

    Returns
    -------
    (n_regions, n_volumes) float64 array
    """
    networks = sorted({region.network for region in REGIONS})
    of_network = band_limited(rng, n_volumes, len(networks))
    of_pair = band_limited(rng, n_volumes, len(REGIONS) // 2)
    own = band_limited(rng, n_volumes, len(REGIONS))
    signals = np.empty((len(REGIONS), n_volumes))
    for row, region in enumerate(REGIONS):
        network = of_network[networks.index(region.network)]
        signals[row] = np.sqrt(0.5) * network + 0.5 * of_pair[row // 2] + 0.5 * own[row]
        if events is not None:
            signals[row] += region.faces * task_response(events, "face", n_volumes)
            signals[row] += region.houses * task_response(events, "house", n_volumes)
    return signals


@dataclass(frozen=True, eq=False)
class Timecourse:
    """Everything that happens in one run.

    Attributes
    ----------
    rows : (10 + 3 + n_regions, n_volumes) float64 array
        Percent of change of each of the Scene's patterns.
    regions : (n_regions, n_volumes) float64 array
        The part of it that is wanted: the true signals, in percent of the baseline.
    motion : (n_volumes, 6) float64 array
    """

    rows: FloatArray
    regions: FloatArray
    motion: FloatArray

    @property
    def n_volumes(self) -> int:
        """Number of volumes of the run."""
        return int(self.rows.shape[1])

    @classmethod
    def simulate(
        cls,
        rng: np.random.Generator,
        n_volumes: int,
        events: pd.DataFrame | None,
        spikes: Sequence[int],
        non_steady: int,
    ) -> Timecourse:
        """Draw a run: signals, motion and its effects, physiology, drift, spikes.

        Parameters
        ----------
        rng : numpy Generator
        n_volumes : int
        events : DataFrame or None
            None for rest.
        spikes : sequence of int
            Volumes during which the head jerks and the signal is lost or doubled.
        non_steady : int
            Volumes at the start that are brighter, before the magnetisation is steady.
        """
        regions = region_signals(rng, n_volumes, events)
        motion = simulate_motion(rng, n_volumes, spikes)
        smooth = motion_effect(rng, motion) + scanner_drift(rng, n_volumes)
        for volume in spikes:
            smooth[0, volume] += 25 * rng.choice([-1, 1])
            smooth[1:, volume] += rng.normal(scale=15, size=N_SMOOTH - 1)
        tissues = physiology(rng, n_volumes)
        tissues[2, :non_steady] += 40 * 0.3 ** np.arange(non_steady)
        return cls(np.vstack([smooth, tissues, regions]), regions, motion)


def motion_effect(rng: np.random.Generator, motion: FloatArray) -> FloatArray:
    """Return how motion changes each smooth pattern, (10, n_volumes), in percent.

    Linear in the 24 terms of `expansion`, with weights of 2 % a mm for the parameters and less
    for the others: what regressing these terms can take out again.
    """
    scale = np.repeat([2.0, 1.0, 0.5, 0.5], 6)
    weights = rng.normal(size=(N_SMOOTH, 24)) * scale
    return np.asarray(weights @ expansion(motion).T)


def scanner_drift(rng: np.random.Generator, n_volumes: int) -> FloatArray:
    """Return a slow drift of each smooth pattern, (10, n_volumes): about 2 % over the run."""
    time = np.linspace(-1, 1, n_volumes)
    shapes = np.stack([time, time**2 - 1 / 3, np.sin(np.pi * time)])
    weights = rng.normal(size=(N_SMOOTH, 3)) * [2.0, 1.0, 0.6]
    return np.asarray(weights @ shapes)


def physiology(rng: np.random.Generator, n_volumes: int) -> FloatArray:
    """Return heart and breath in white matter, CSF and the whole brain, (3, n_volumes).

    Noise with a lag-1 correlation of 0.6; the whole brain shares part of what CSF shows.
    In percent: 0.7 in white matter, 3 in CSF, 0.8 everywhere.
    """
    innovations = rng.normal(size=(3, n_volumes + 50))
    noise = signal.lfilter([0.8], [1, -0.6], innovations, axis=1)[:, 50:]
    white, csf, brain = noise
    return np.stack([0.7 * white, 3.0 * csf, 0.6 * brain + 0.5 * csf])


def simulate_series(
    rng: np.random.Generator, scene: Scene, timecourse: Timecourse
) -> npt.NDArray[np.float32]:
    """Return the images of a run: magnitudes, so that noise is Rician and never zero.

    |S + n₁ + i n₂| with n Gaussian of NOISE_SD (Gudbjartsson and Patz 1995); where there is no
    head only the noise is left, with a mean of 1.25 NOISE_SD.

    Returns
    -------
    (n_volumes, n_voxels) float32 array
        Voxels in file order.
    """
    baseline = scene.image(EPI_LEVELS)
    change = timecourse.rows.T @ scene.patterns.T
    series: npt.NDArray[np.float32] = (baseline * (1 + change / 100)).astype(np.float32)
    shape = series.shape
    series += NOISE_SD * rng.standard_normal(shape, dtype=np.float32)
    np.hypot(series, NOISE_SD * rng.standard_normal(shape, dtype=np.float32), out=series)
    return series
