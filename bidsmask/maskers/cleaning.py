"""What a masker's parameters do to signals in time, by the one operator of the house.

The numbers are those of nilearn's `signal.clean`; docs/maskers.md lists where they are not.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bidsmask.cleaning.censoring import Censoring
from bidsmask.cleaning.cleaning import Cleaning, Gaps, Scale
from bidsmask.cleaning.confounds import Regressors
from bidsmask.cleaning.filter import ORDER, TemporalFilter, default_padding, slow_cosines
from bidsmask.cleaning.operator import TemporalOperator, build_operator, clean
from bidsmask.errors import UsageError
from bidsmask.maskers.confounds import (
    BoolArray,
    Confounds,
    SampleMask,
    kept_of_runs,
    read_confounds,
    rows_of_runs,
)
from bidsmask.signals.extract import RawSignals

SCALES: dict[Any, Scale] = {
    True: "zscore_sample",
    False: "none",
    None: "none",
    "zscore_sample": "zscore_sample",
    "zscore": "zscore",
    "psc": "psc",
}
FILTERS = ("butterworth", "cosine")
PADDINGS: dict[Any, Literal["odd", "even", "constant", "none"]] = {
    "odd": "odd",
    "even": "even",
    "constant": "constant",
    None: "none",
}
# Of float32: what a cut-off at Nyquist is lowered by, in nilearn.
BELOW_NYQUIST = 10 * float(np.finfo(np.float32).eps)
WHERE = "the images"
MOST_THREADS = 4


@dataclass(frozen=True)
class TimeSteps:
    """The parameters of a masker that have to do with time, under nilearn's names.

    Attributes
    ----------
    detrend : bool
    standardize : {"zscore_sample", "zscore", "psc", True, False, None}
        True is zscore_sample; "zscore" divides by the standard deviation of n.
    standardize_confounds : bool
    low_pass, high_pass : float, optional
        Hz.
    t_r : float, optional
        Repetition time, s.
    clean_args : mapping
        filter ("butterworth", "cosine" or False), extrapolate, ensure_finite,
        butterworth__order, butterworth__padtype ("odd", "even", "constant", None),
        butterworth__padlen; and interpolation: "cubic" (nilearn's) or "linear" (that of the
        program bidsmask, which comes nearer to the truth).

    Raises
    ------
    UsageError
        Of `cleaning`, when a value makes no sense.
    """

    detrend: bool = False
    standardize: Any = None
    standardize_confounds: bool = True
    low_pass: float | None = None
    high_pass: float | None = None
    t_r: float | None = None
    clean_args: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def scale(self) -> Scale:
        """How columns are scaled."""
        known = isinstance(self.standardize, str | bool) or self.standardize is None
        if not known or self.standardize not in SCALES:
            raise UsageError(
                "standardize",
                f"is {self.standardize!r}",
                "Choose one of zscore_sample, zscore, psc, True, False, None.",
            )
        return SCALES[self.standardize]

    @cached_property
    def cleaning(self) -> Cleaning:
        """The same, as the house knows it."""
        known = {"filter", "extrapolate", "ensure_finite", "interpolation"}
        known |= {f"butterworth__{name}" for name in ("order", "padtype", "padlen")}
        unknown = sorted(set(self.clean_args) - known)
        if unknown:
            raise UsageError(
                "clean_args", f"has {unknown[0]!r}", f"Known: {', '.join(sorted(known))}."
            )
        chosen = self._filter()
        gaps: Gaps = "line"
        if chosen.kind == "butterworth" and self._chosen("interpolation", "cubic", "linear"):
            gaps = "spline beyond" if self.clean_args.get("extrapolate", False) else "spline"
        return Cleaning(
            detrend=bool(self.detrend),
            filter=chosen,
            standardize=self.scale,
            gaps=gaps,
            centre_confounds=bool(self.standardize_confounds),
        )

    @property
    def does_nothing(self) -> bool:
        """Whether signals stay as they are, but for confounds and censoring."""
        return self.cleaning == Cleaning(
            False, standardize="none", centre_confounds=self.cleaning.centre_confounds
        )

    def _chosen(self, name: str, default: str, other: str) -> bool:
        """Return whether an argument has its default, of two values."""
        value = self.clean_args.get(name, default)
        if value not in (default, other):
            raise UsageError(name, f"is {value!r}", f"Choose {default!r} or {other!r}.")
        return bool(value == default)

    def _filter(self) -> TemporalFilter:
        """Return the filter, with nilearn's tolerance: a warning where it does not apply."""
        kind = self.clean_args.get("filter", "butterworth")
        if kind is not False and kind not in FILTERS:
            raise UsageError(
                f"Filter method {kind}", "is not known", "Choose butterworth, cosine or False."
            )
        cut_offs = [one for one in (self.low_pass, self.high_pass) if one is not None]
        if kind is False:
            if cut_offs:
                _warn("low_pass and high_pass do nothing: clean_args has filter=False.")
            return TemporalFilter()
        self._check_numbers()
        if kind == "cosine":
            return self._cosine()
        return self._butterworth() if cut_offs else TemporalFilter()

    def _check_numbers(self) -> None:
        """Raise UsageError for a time or frequency that is none."""
        for name, unit in (("t_r", "s"), ("low_pass", "Hz"), ("high_pass", "Hz")):
            value = getattr(self, name)
            is_number = isinstance(value, int | float | np.number) and np.isfinite(value)
            if value is not None and not (is_number and value and (value > 0 or unit == "Hz")):
                raise UsageError(name, f"is {value!r}", f"Give {unit} above 0, or None.")

    def _cosine(self) -> TemporalFilter:
        if self.t_r is None or self.high_pass is None:
            raise UsageError(
                "Repetition time (t_r) and low cutoff frequency (high_pass)",
                f"must be specified for cosine filtering: t_r={self.t_r}, "
                f"high_pass={self.high_pass}",
            )
        if self.low_pass is not None:
            _warn("low_pass is not implemented for filter='cosine': it does nothing.")
        high = _within(self.high_pass, 0.5 / self.t_r)
        return TemporalFilter("cosine", high_pass_hz=high)

    def _butterworth(self) -> TemporalFilter:
        if self.t_r is None:
            raise UsageError(
                "Repetition time (t_r)", "must be specified for butterworth filtering: t_r=None"
            )
        low, high = self.low_pass, self.high_pass
        if low is not None and high is not None and high >= low:
            raise UsageError(
                f"High pass cutoff frequency ({high})",
                f"is greater than or equal to low pass filter frequency ({low})",
            )
        nyquist = 0.5 / self.t_r
        low, high = (_within(one, nyquist) for one in (low, high))
        if low == high:
            _warn("Signals are not filtered: both cut-offs are above the Nyquist frequency.")
            return TemporalFilter()
        padtype = self.clean_args.get("butterworth__padtype", "odd")
        if padtype not in PADDINGS:
            raise UsageError(
                "butterworth__padtype", f"is {padtype!r}", "Choose odd, even, constant or None."
            )
        order = self.clean_args.get("butterworth__order", ORDER)
        padlen = self.clean_args.get("butterworth__padlen")
        for name, number in (("order", order), ("padlen", padlen)):
            if number is not None and (number != int(number) or number < (name == "order")):
                raise UsageError(f"butterworth__{name}", f"is {number!r}", "Give a whole number.")
        chosen = TemporalFilter(
            "butterworth",
            high_pass_hz=high,
            low_pass_hz=low,
            padding=PADDINGS[padtype],
            order=int(order),
        )
        return replace(
            chosen, padding_volumes=default_padding(chosen) if padlen is None else int(padlen)
        )


def _within(cut_off: float | None, nyquist: float) -> float | None:
    """Return a cut-off that a digital filter can have, with nilearn's warnings."""
    if cut_off is None:
        return None
    if cut_off < 0:
        _warn(f"The cut-off {cut_off} is too low for a filter: nearly 0 is taken.")
        return nyquist * BELOW_NYQUIST / 10
    if cut_off >= nyquist:
        _warn(f"The cut-off {cut_off} is too high for a filter: {nyquist} (Nyquist) is taken.")
        return nyquist - nyquist * BELOW_NYQUIST
    return float(cut_off)


def clean_signals(
    raw: RawSignals,
    steps: TimeSteps,
    confounds: Confounds = None,
    sample_mask: SampleMask = None,
    runs: Any = None,
) -> NDArray[Any]:
    """Return signals as a masker gives them.

    Parameters
    ----------
    raw : RawSignals
        Of all volumes. Its values are overwritten.
    steps : TimeSteps
    confounds, sample_mask
        As maskers take them.
    runs : (n_volumes,) array-like, optional
        Marks of the runs, which are cleaned one by one.

    Returns
    -------
    (n_kept, n_columns) array, dtype of the raw values
        Run by run. A column without signal is 0 where its mean is taken out, else constant.

    Raises
    ------
    UsageError, UnusableTable, MissingInput, TooFewVolumes
        Arguments that make no sense, alone or for these images.
    """
    cleaning = steps.cleaning
    n_volumes = len(raw.values)
    if confounds is not None and not (cleaning.detrend or cleaning.centre_confounds):
        _warn(
            "When confounds are provided, one must perform detrend and/or standardize confounds: "
            f"you provided detrend={cleaning.detrend}, "
            f"standardize_confounds={cleaning.centre_confounds}."
        )
    regressors = read_confounds(confounds, n_volumes)
    rows = rows_of_runs(runs, n_volumes)
    kept = kept_of_runs(sample_mask, [len(run) for run in rows])
    if steps.does_nothing and not regressors.names:
        return _as_they_are(raw, [run[one] for run, one in zip(rows, kept, strict=True)])
    parts = []
    for run, of_run in zip(rows, kept, strict=True):
        columns = Regressors(regressors.values[run], regressors.names)
        values = raw.values if len(rows) == 1 else raw.values[run]
        parts.append(_clean_run(values, raw.reference, steps, columns, of_run))
    return parts[0] if len(parts) == 1 else np.vstack(parts)


def _as_they_are(raw: RawSignals, rows: Sequence[NDArray[np.intp]]) -> NDArray[Any]:
    """Return some rows that nothing is done to."""
    chosen = np.concatenate(rows)
    is_all = np.array_equal(chosen, np.arange(len(raw.values)))
    values = raw.values if is_all else raw.values[chosen]
    if not raw.reference.any():
        return values
    return (values + raw.reference).astype(values.dtype)


def _clean_run(
    values: NDArray[Any],
    reference: NDArray[np.float64],
    steps: TimeSteps,
    regressors: Regressors,
    kept: BoolArray,
) -> NDArray[Any]:
    """Clean one run, whose values are overwritten."""
    if kept.sum() == 1:
        _warn("Cleaning a single volume would lead to zero values: it is left as it is.")
        return (values[kept] + reference).astype(values.dtype)
    t_r_s = 1.0 if steps.t_r is None else float(steps.t_r)
    chosen = steps.cleaning.filter
    if chosen.kind == "cosine" and not slow_cosines(len(kept), t_r_s, chosen.cut_offs_hz[0]).size:
        _warn("The run is too short for a cosine below high_pass: no slow wave is taken out.")
    censoring = Censoring(kept, ("",) * len(kept))
    operator = build_operator(
        steps.cleaning, t_r_s, censoring, regressors, WHERE, allow_no_freedom=True
    )
    if operator.freedom.remaining < 1:
        _warn(f"No degrees of freedom are left, and the signals are 0: {operator.freedom}.")
    means = reference + values[kept].mean(axis=0, dtype=np.float64)
    # One thread a block: several threads of BLAS in each would only spin against each other.
    with threadpool_limits(1, user_api="blas"):
        n_threads = min(os.cpu_count() or 1, MOST_THREADS)
        cleaned = clean(operator, values, reference, overwrite=True, n_threads=n_threads)
    _fill_lost(cleaned.values, cleaned.lost, operator, means)
    return cleaned.values


def _fill_lost(
    values: NDArray[Any], lost: BoolArray, operator: TemporalOperator, means: NDArray[np.float64]
) -> None:
    """Put what is left of their means into columns without signal."""
    values[:, lost] = 0
    if operator.standardize == "psc" and not means[lost].all():
        _warn("Percent signal change means nothing where the mean is 0: such columns are 0.")
    if operator.standardize == "none":
        response = operator.matrix.sum(axis=1)
        if np.abs(response).max() >= 1e-9:
            values[:, lost] = np.outer(response, means[lost])


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=3)
