"""Filters in time: what they let through, and the numbers behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from bidsmask.errors import BadTiming, TooFewVolumes, UsageError

FloatArray = npt.NDArray[np.float64]

ORDER = 5

# Volumes that the filter takes as one product: a third of the time of volume by volume.
BLOCK = 16


Kind = Literal["butterworth", "cosine", "regression", "none"]
Padding = Literal["even", "odd", "constant", "none"]


@dataclass(frozen=True)
class TemporalFilter:
    """Which frequencies stay, and how the others are taken out.

    Attributes
    ----------
    kind : {"butterworth", "cosine", "regression", "none"}
        Butterworth run forwards and backwards, applied to signals and confounds;
        discrete cosines as regressors (high-pass only); or the pass band as a projection,
        with the cosines of the stop band as regressors.
    high_pass_hz, low_pass_hz : float or None
        Slower and faster than these goes.
    padding : {"even", "odd", "constant", "none"}
        How a run goes on beyond its ends for the Butterworth filter: mirrored, turned by 180
        degrees (as nilearn does), held, or not at all. Odd padding pulls both ends of the run
        to 0 and inflates what is next to them.
    order : int
        Of the Butterworth filter.
    padding_volumes : int, optional
        By how many volumes the run goes on; else even padding is as long as the run, less one
        volume, and others have scipy's default length (as in nilearn).

    Raises
    ------
    UsageError
        If the cut-offs contradict the kind or each other, in the words of the command line.
    """

    kind: Kind = "none"
    high_pass_hz: float | None = None
    low_pass_hz: float | None = None
    padding: Padding = "even"
    order: int = ORDER
    padding_volumes: int | None = None

    def __post_init__(self) -> None:
        kind, high, low = self.kind, self.high_pass_hz, self.low_pass_hz
        for option, cut_off in (("--high-pass", high), ("--low-pass", low)):
            if cut_off is not None and not 0 < cut_off < math.inf:
                raise UsageError(
                    f"{option} {cut_off:g}",
                    "is no frequency",
                    "Give a number of Hz above 0, or leave it out.",
                )
        if kind == "none" and self.cut_offs_hz:
            raise UsageError("--filter none", "contradicts --high-pass and --low-pass")
        if kind != "none" and not self.cut_offs_hz:
            raise UsageError(
                f"--filter {kind}", "has no cut-off", "Give --high-pass or --low-pass."
            )
        if kind == "cosine" and low is not None:
            raise UsageError(
                f"--low-pass {low:g}",
                "does nothing beside --filter cosine",
                "Use butterworth or regression.",
            )
        if high is not None and low is not None and high >= low:
            raise UsageError(
                f"--high-pass {high:g}",
                f"is not below --low-pass {low:g}",
                "The band that is kept lies between them.",
            )
        if self.padding != "even" and kind != "butterworth":
            raise UsageError(
                f"--padding {self.padding}", "does nothing without a butterworth filter"
            )

    @property
    def cut_offs_hz(self) -> tuple[float, ...]:
        """The cut-offs that are given, the slower first."""
        return tuple(f for f in (self.high_pass_hz, self.low_pass_hz) if f is not None)


def check_filter(
    chosen: TemporalFilter, t_r_s: float | None, n_volumes: int, where: str | Path
) -> None:
    """Say why a filter cannot run over this series, if it cannot.

    Raises
    ------
    BadTiming
        If the repetition time is not known, or a cut-off is at or above the highest
        frequency that the series can hold, 1 / (2 t_r).
    TooFewVolumes
        If the padding needs more volumes than there are.
    """
    if not chosen.cut_offs_hz:
        return
    if t_r_s is None or not (0 < t_r_s < math.inf):
        raise BadTiming(
            where,
            f"has a repetition time of {t_r_s} s, and a filter needs one",
            "Give RepetitionTime in the sidecar, or --t-r.",
        )
    nyquist_hz = 0.5 / t_r_s
    for cut_off in chosen.cut_offs_hz:
        if cut_off >= nyquist_hz:
            raise BadTiming(
                where,
                f"has a repetition time of {t_r_s:g} s and thus no frequencies from "
                f"{nyquist_hz:g} Hz on, but the cut-off is {cut_off:g} Hz",
                f"Give a cut-off below {nyquist_hz:g} Hz.",
            )
    needed = _padding_volumes(chosen, n_volumes)
    if chosen.kind == "butterworth" and n_volumes <= needed:
        raise TooFewVolumes(
            where,
            f"has {n_volumes} volumes, and {chosen.padding} padding of the filter needs more "
            f"than {needed}",
            "Choose even padding, or no filter for this run.",
        )


def butterworth(values: FloatArray, chosen: TemporalFilter, t_r_s: float) -> FloatArray:
    """Filter each column forwards and backwards, so that nothing is delayed.

    A Butterworth filter as second-order sections; run twice it halves the amplitude at the
    cut-offs. With odd padding it is nilearn's `butterworth` (and its padding scipy's default);
    even padding repeats the whole run mirrored at each end.
    Equal to `scipy.signal.sosfiltfilt`, whose module takes 0.4 s to import.

    Parameters
    ----------
    values : (n_volumes, n_columns) float64 array
        Evenly spaced in time. Not changed.
    """
    n_padding = _padding_volumes(chosen, len(values))
    filtered = _lengthened(values, n_padding, chosen.padding)
    for _ in ("forwards", "backwards"):
        for section in _sections(chosen, t_r_s):
            filtered = _run(section, filtered)
        filtered = filtered[::-1]
    return np.ascontiguousarray(filtered[n_padding : len(filtered) - n_padding])


def _padding_volumes(chosen: TemporalFilter, n_volumes: int) -> int:
    """Return by how many volumes a run is lengthened at each end."""
    if chosen.kind != "butterworth" or chosen.padding == "none":
        return 0
    if chosen.padding_volumes is not None:
        return chosen.padding_volumes
    if chosen.padding == "even":
        return n_volumes - 1
    return default_padding(chosen)


def default_padding(chosen: TemporalFilter) -> int:
    """Return scipy's length: three times the number of coefficients of the filter."""
    return 3 * (chosen.order * len(chosen.cut_offs_hz) + 1)


def _lengthened(values: FloatArray, n: int, padding: str) -> FloatArray:
    """Return a run with n volumes more at each end: mirrored, turned about its end, or held."""
    before, after = values[n:0:-1], values[-2 : -n - 2 : -1]
    if padding == "constant":
        before, after = np.tile(values[:1], (n, 1)), np.tile(values[-1:], (n, 1))
    elif padding == "odd":
        before, after = 2 * values[0] - before, 2 * values[-1] - after
    return np.concatenate([before, values, after])


def _sections(chosen: TemporalFilter, t_r_s: float) -> FloatArray:
    """Return the filter as second-order sections (n_sections, 6): b0 b1 b2 1 a1 a2.

    The poles of the analog prototype, evenly on the left half of the unit circle, are moved to
    the cut-offs and from there by the bilinear transform, with prewarped frequencies, to the
    z-plane (Oppenheim & Schafer, Discrete-Time Signal Processing, 7.1 and 7.3).
    """
    order = chosen.order
    prototype = -np.exp(0.5j * np.pi * np.arange(1 - order, order, 2) / order)
    warped = 2 * np.tan(np.pi * t_r_s * np.array(chosen.cut_offs_hz))
    if chosen.high_pass_hz is None:
        analog, zeros, passed = prototype * warped[0], (-1, -1), 1.0
    elif chosen.low_pass_hz is None:
        analog, zeros, passed = warped[0] / prototype, (1, 1), -1.0
    else:
        half, centre = prototype * (warped[1] - warped[0]) / 2, warped.prod()
        apart = np.sqrt(half**2 - centre)
        analog, zeros = np.concatenate([half + apart, half - apart]), (1, -1)
        passed = np.exp(2j * np.arctan(np.sqrt(centre) / 2))
    poles = (2 + analog) / (2 - analog)
    pairs = [(pole, pole.conj()) for pole in poles[poles.imag > 0]]
    real = tuple(poles[poles.imag == 0].real)
    # The sections nearest to ringing come last, when the others have calmed the signal.
    pairs = sorted([*pairs, *([real] if real else [])], key=lambda pair: abs(pair[0]))
    sections = np.zeros((len(pairs), 6))
    for section, pair in zip(sections, pairs, strict=True):
        section[: len(pair) + 1] = np.poly(zeros[: len(pair)])
        section[3 : len(pair) + 4] = np.poly(pair).real
        # What the filter is for passes each section as it is.
        at_passed = np.polyval(section[:3], passed) / np.polyval(section[3:], passed)
        section[:3] /= abs(at_passed)
    return sections


def _run(section: FloatArray, values: FloatArray) -> FloatArray:
    """Run a second-order section over each column, which has always been as at its first value."""
    numerator, denominator = section[:3], section[3:]
    gain = numerator.sum() / denominator.sum()
    steady = gain - numerator[0], numerator[2] - denominator[2] * gain
    memory = np.outer(steady, values[0])
    block = _block(section)
    filtered = np.empty_like(values)
    for start in range(0, len(values), BLOCK):
        piece = np.concatenate([memory, values[start : start + BLOCK]])
        # The matrix is triangular: a piece that is shorter needs its first columns only.
        answer = block[:, : len(piece)] @ piece
        filtered[start : start + BLOCK] = answer[: len(piece) - 2]
        memory = answer[-2:]
    return filtered


def _block(section: FloatArray) -> FloatArray:
    """Return what turns memory and BLOCK volumes into BLOCK filtered volumes and new memory.

    It is the plain recursion (direct form II, transposed), run on the identity.
    """
    (b0, b1, b2), (_, a1, a2) = section[:3], section[3:]
    first, second, *volumes = np.eye(BLOCK + 2)
    rows = []
    for volume in volumes:
        row = b0 * volume + first
        first, second = b1 * volume - a1 * row + second, b2 * volume - a2 * row
        rows.append(row)
    return np.stack([*rows, first, second])


def slow_cosines(n_volumes: int, t_r_s: float, high_pass_hz: float) -> FloatArray:
    """Return the discrete cosines slower than a cut-off, without the constant.

    Their number is floor(2 n_volumes high_pass_hz t_r_s), at most n_volumes - 1, as in SPM,
    fMRIPrep and nilearn's `create_cosine_drift_terms`.

    Returns
    -------
    (n_volumes, n_terms) float64 array
        Orthonormal; term k has k half periods over the run.
    """
    n_terms = min(n_volumes - 1, math.floor(2 * n_volumes * high_pass_hz * t_r_s))
    return _cosines(n_volumes, np.arange(1, n_terms + 1))


def stop_band_cosines(n_volumes: int, t_r_s: float, chosen: TemporalFilter) -> FloatArray:
    """Return the discrete cosines outside the pass band, the constant left out.

    Term k has the frequency k / (2 n_volumes t_r_s); the terms from cut-off to cut-off, both
    included, pass.

    Returns
    -------
    (n_volumes, n_terms) float64 array
        Orthonormal.
    """
    k = np.arange(1, n_volumes)
    hz = k / (2 * n_volumes * t_r_s)
    stopped = np.zeros(len(k), bool)
    if chosen.high_pass_hz is not None:
        stopped |= hz < chosen.high_pass_hz
    if chosen.low_pass_hz is not None:
        stopped |= hz > chosen.low_pass_hz
    return _cosines(n_volumes, k[stopped])


def _cosines(n_volumes: int, half_periods: npt.NDArray[np.intp]) -> FloatArray:
    centres = np.arange(n_volumes) + 0.5
    terms = np.cos(np.pi / n_volumes * np.outer(centres, half_periods))
    return np.asarray(np.sqrt(2 / n_volumes) * terms)
