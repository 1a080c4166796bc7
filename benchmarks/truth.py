"""What recovers a known signal best: cleaning over censored volumes, ours beside nilearn's.

Each voxel is a signal within .01-.1 Hz (sd 1), twelve confounds, a drift and white noise
(sd .5), with spikes of sd 20 in the volumes that are censored; 200 volumes of 2 s. The table
shows the mean correlation with the signal over the kept volumes, and that of the worst seed.

    python benchmarks/truth.py [--seeds 40] [--voxels 60]
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import nilearn
import numpy as np
from nilearn import signal
from scipy.interpolate import CubicSpline

from bidsmask.cleaning.censoring import Censoring
from bidsmask.cleaning.cleaning import Cleaning
from bidsmask.cleaning.confounds import Regressors
from bidsmask.cleaning.filter import TemporalFilter
from bidsmask.cleaning.operator import build_operator, clean
from bidsmask.errors import NoDegreesOfFreedom

T_R_S = 2.0
N_VOLUMES = 200
HIGH_PASS_HZ, LOW_PASS_HZ = 0.01, 0.1


@dataclass(frozen=True, eq=False)
class Simulation:
    """Voxels whose signal is known, before and after spikes in the censored volumes."""

    truth: np.ndarray
    calm: np.ndarray
    calm_confounds: np.ndarray
    spiked: np.ndarray
    spiked_confounds: np.ndarray
    kept: np.ndarray


def censored_volumes(pattern: str, random: np.random.Generator) -> np.ndarray:
    """Draw which volumes are censored."""
    if pattern == "10 % at random":
        return random.choice(N_VOLUMES, 20, replace=False)
    if pattern == "20 % in runs of 5":
        starts = random.choice(N_VOLUMES - 6, 8, replace=False)
        return np.unique(starts[:, np.newaxis] + np.arange(5))
    return np.r_[0:5, 195:200] if pattern == "5+5 at the ends" else np.r_[0:5]


PATTERNS = ("10 % at random", "20 % in runs of 5", "5+5 at the ends", "5 at the start")


def simulate(pattern: str, seed: int, n_voxels: int) -> Simulation:
    """Return one seeded run."""
    random = np.random.default_rng(seed)
    truth = band_limited(n_voxels, random)
    slow = 0.2 * np.cumsum(random.standard_normal((N_VOLUMES, 6)), axis=0)
    confounds = np.column_stack([slow, random.standard_normal((N_VOLUMES, 6))])
    confounds = (confounds - confounds.mean(axis=0)) / confounds.std(axis=0)
    calm = truth + 0.4 * confounds @ random.standard_normal((12, n_voxels))
    calm += 0.5 * random.standard_normal(calm.shape)
    calm += np.outer(np.linspace(-2, 2, N_VOLUMES), random.standard_normal(n_voxels)) + 1000
    censored = censored_volumes(pattern, random)
    spiked, spiked_confounds = calm.copy(), confounds.copy()
    spiked[censored] += 20 * random.standard_normal((len(censored), n_voxels))
    spiked_confounds[censored] += 5 * random.standard_normal((len(censored), 12))
    kept = ~np.isin(np.arange(N_VOLUMES), censored)
    return Simulation(truth, calm, confounds, spiked, spiked_confounds, kept)


def band_limited(n_voxels: int, random: np.random.Generator) -> np.ndarray:
    """Return noise of the pass band, cut out of a run four times as long: no end is special."""
    spectrum = np.fft.rfft(random.standard_normal((4 * N_VOLUMES, n_voxels)), axis=0)
    hz = np.fft.rfftfreq(4 * N_VOLUMES, T_R_S)
    spectrum[(hz < HIGH_PASS_HZ) | (hz > LOW_PASS_HZ)] = 0
    series = np.fft.irfft(spectrum, axis=0)[N_VOLUMES : 2 * N_VOLUMES]
    return series / series.std(axis=0)


def nilearns(values: np.ndarray, confounds: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Clean as nilearn does."""
    return signal.clean(
        values,
        confounds=confounds,
        sample_mask=None if kept.all() else np.flatnonzero(kept),
        detrend=True,
        standardize=None,
        low_pass=LOW_PASS_HZ,
        high_pass=HIGH_PASS_HZ,
        t_r=T_R_S,
    )


def ours(
    values: np.ndarray, confounds: np.ndarray, kept: np.ndarray, chosen: TemporalFilter
) -> np.ndarray:
    """Clean as bidsmask does."""
    regressors = Regressors(confounds, tuple(map(str, range(confounds.shape[1]))))
    censoring = Censoring(kept, tuple("" if one else "fd" for one in kept))
    operator = build_operator(Cleaning(True, chosen, "none"), T_R_S, censoring, regressors, "run")
    return clean(operator, values - 1000, np.full(values.shape[1], 1000.0)).values


def spline_and_odd_padding(
    values: np.ndarray, confounds: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    """Clean as nilearn means to: cubic splines over all censored volumes, ends held."""
    volumes, times = np.arange(N_VOLUMES), np.flatnonzero(kept)
    both = np.column_stack([values, confounds])
    inside = np.clip(volumes, times[0], times[-1])
    filled = np.where(kept[:, np.newaxis], both, CubicSpline(times, both[kept])(inside))
    filtered = signal.clean(
        filled, standardize=None, low_pass=LOW_PASS_HZ, high_pass=HIGH_PASS_HZ, t_r=T_R_S
    )[kept]
    left, columns = filtered[:, : values.shape[1]], filtered[:, values.shape[1] :]
    columns = columns - columns.mean(axis=0)
    return left - columns @ np.linalg.lstsq(columns, left, rcond=None)[0]


BAND = {"kind": "butterworth", "high_pass_hz": HIGH_PASS_HZ, "low_pass_hz": LOW_PASS_HZ}
Way = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
WAYS: dict[str, Way] = {
    f"nilearn {nilearn.__version__}": nilearns,
    "nilearn as meant: splines, odd padding": spline_and_odd_padding,
    "bidsmask, odd padding": lambda *run: ours(*run, TemporalFilter(padding="odd", **BAND)),
    "bidsmask": lambda *run: ours(*run, TemporalFilter(**BAND)),
    "bidsmask, regression": lambda *run: ours(
        *run, TemporalFilter(**{**BAND, "kind": "regression"})
    ),
}
CALM = " - no spikes, nothing censored"


def correlation(cleaned: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean over voxels of the correlation over volumes."""
    a, b = cleaned - cleaned.mean(axis=0), truth - truth.mean(axis=0)
    return float(
        (np.sum(a * b, axis=0) / np.sqrt(np.sum(a**2, axis=0) * np.sum(b**2, axis=0))).mean()
    )


def recoveries(run: Simulation) -> Iterator[tuple[str, float]]:
    """Yield each way's name and correlation with the truth; none where it refuses."""
    for name, way in WAYS.items():
        try:
            cleaned = way(run.spiked, run.spiked_confounds, run.kept)
        except NoDegreesOfFreedom:
            continue
        yield name, correlation(cleaned, run.truth[run.kept])
    everything = np.ones(N_VOLUMES, bool)
    for name in (next(iter(WAYS)), "bidsmask"):
        cleaned = WAYS[name](run.calm, run.calm_confounds, everything)
        yield name + CALM, correlation(cleaned[run.kept], run.truth[run.kept])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--voxels", type=int, default=60)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # nilearn announces its own next defaults
    results: dict[str, dict[str, list[float]]] = {}
    for pattern in PATTERNS:
        for seed in range(options.seeds):
            for name, r in recoveries(simulate(pattern, seed, options.voxels)):
                results.setdefault(name, {}).setdefault(pattern, []).append(r)
    width = max(map(len, results)) + 2
    print(f"mean r (worst seed), {options.seeds} seeds x {options.voxels} voxels")
    print(" " * width + "".join(f"{pattern:>20}" for pattern in PATTERNS))
    for name, by_pattern in results.items():
        cells = (by_pattern.get(pattern, [np.nan]) for pattern in PATTERNS)
        texts = (f"{np.mean(cell):.3f} ({np.min(cell):.3f})" for cell in cells)
        print(f"{name:<{width}}" + "".join(f"{text:>20}" for text in texts))


if __name__ == "__main__":
    main()
