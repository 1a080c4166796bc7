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


@dataclass(frozen=True)
class TemporalFilter:
    """Which frequencies stay, and how the others are taken out.

    Attributes
    ----------
    kind : {"butterworth", "cosine", "regression", "none"}
        Butterworth of order 5 run forwards and backwards, applied to signals and confounds;
        discrete cosines as regressors (high-pass only); or the pass band as a projection,
        with the cosines of the stop band as regressors.
    high_pass_hz, low_pass_hz : float or None
        Slower and faster than these goes.
    padding : {"even", "odd"}
        How a run goes on beyond its ends for the Butterworth filter: mirrored over its whole
        length, or turned by 180 degrees over scipy's default length (as nilearn does). Odd
        padding pulls both ends of the run to 0 and inflates what is next to them.

    Raises
    ------
    UsageError
        If the cut-offs contradict the kind or each other, in the words of the command line.
    """

    kind: Literal["butterworth", "cosine", "regression", "none"] = "none"
    high_pass_hz: float | None = None
    low_pass_hz: float | None = None
    padding: Literal["even", "odd"] = "even"

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
        If odd padding needs more volumes than there are.
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
    needed = _padding_volumes(chosen, t_r_s, n_volumes)
    if chosen.kind == "butterworth" and n_volumes <= needed:
        raise TooFewVolumes(
            where,
            f"has {n_volumes} volumes, and odd padding of the filter needs more than {needed}",
            "Choose even padding, or no filter for this run.",
        )


def butterworth(values: FloatArray, chosen: TemporalFilter, t_r_s: float) -> FloatArray:
    """Filter each column forwards and backwards, so that nothing is delayed.

    A Butterworth filter of order 5 as second-order sections; run twice it halves the
    amplitude at the cut-offs. With odd padding it is nilearn's `butterworth` (and its
    padding scipy's default); even padding repeats the whole run mirrored at each end.

    Parameters
    ----------
    values : (n_volumes, n_columns) float64 array
        Evenly spaced in time. Not changed.
    """
    # 0.6 s to import, which cleaning without this filter need not wait for.
    from scipy import signal

    padding = _padding_volumes(chosen, t_r_s, len(values))
    return np.asarray(
        signal.sosfiltfilt(
            _sections(chosen, t_r_s), values, axis=0, padtype=chosen.padding, padlen=padding
        )
    )


def _sections(chosen: TemporalFilter, t_r_s: float) -> FloatArray:
    from scipy import signal

    high, low = chosen.high_pass_hz, chosen.low_pass_hz
    kind: Literal["bandpass", "highpass", "lowpass"] = "bandpass"
    if high is None or low is None:
        kind = "lowpass" if high is None else "highpass"
    cut_offs = np.squeeze(chosen.cut_offs_hz)
    return np.asarray(signal.butter(ORDER, cut_offs, btype=kind, output="sos", fs=1 / t_r_s))


def _padding_volumes(chosen: TemporalFilter, t_r_s: float, n_volumes: int) -> int:
    """Return by how many volumes a run is lengthened at each end."""
    if chosen.kind != "butterworth":
        return 0
    if chosen.padding == "even":
        return n_volumes - 1
    # scipy's default for sosfiltfilt: three times the filter's length, without the
    # coefficients at the origin (33 volumes for a band, 18 for one cut-off).
    sections = _sections(chosen, t_r_s)
    at_origin = min(int((sections[:, 2] == 0).sum()), int((sections[:, 5] == 0).sum()))
    return 3 * (2 * len(sections) + 1 - at_origin)


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
