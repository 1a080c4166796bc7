"""Every linear step of a cleaning as one matrix, built once and applied to blocks of columns.

W = R · C · F · D · S: interpolate over censored volumes, detrend, filter, keep the kept
volumes, regress confounds out. It is made by running `reference.py`'s steps on the identity.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bidsmask.cleaning.censoring import Censoring
from bidsmask.cleaning.cleaning import Cleaning, Scale
from bidsmask.cleaning.confounds import Regressors
from bidsmask.cleaning.filter import check_filter
from bidsmask.cleaning.freedom import DegreesOfFreedom, count_freedom, refuse_no_freedom
from bidsmask.cleaning.reference import fit_confounds, linear_steps
from bidsmask.errors import TooFewVolumes, UnusableTable

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Signals = npt.NDArray[Any]

# 1024 columns of 200 volumes in float64 are 1.6 MB: they stay in the cache from step to step.
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class TemporalOperator:
    """The linear steps of a cleaning for one run.

    Attributes
    ----------
    matrix : (n_kept, n_volumes) float64 array
        W. Its columns of censored volumes are 0.
    kept : (n_volumes,) bool array
    standardize : {"zscore_sample", "zscore", "psc", "none"}
        The scale that comes after, column by column.
    freedom : DegreesOfFreedom
    regressors : tuple of str
        Confounds in the fit.
    dropped : tuple of str
        Confounds left out: constant, filtered out, or dependent on the others.
    """

    matrix: FloatArray
    kept: BoolArray
    standardize: Scale
    freedom: DegreesOfFreedom
    regressors: tuple[str, ...]
    dropped: tuple[str, ...]


def build_operator(
    cleaning: Cleaning,
    t_r_s: float,
    censoring: Censoring,
    regressors: Regressors,
    where: str | Path,
    *,
    allow_no_freedom: bool = False,
) -> TemporalOperator:
    """Return the linear steps of a cleaning as one matrix.

    Parameters
    ----------
    cleaning : Cleaning
    t_r_s : float
        Repetition time (s); only a filter needs it.
    censoring : Censoring
    regressors : Regressors
        As many rows as the run has volumes.
    where : str or Path
        The run, for messages.
    allow_no_freedom : bool
        Whether a cleaning that leaves nothing is the caller's business.

    Raises
    ------
    TooFewVolumes
        With fewer than two kept volumes, or too few for the filter's padding.
    BadTiming
        If a filter has no usable repetition time, or a cut-off at or above half the
        sampling frequency.
    NoDegreesOfFreedom
        If less than one is left and that is not allowed; the ledger is in the sentence.
    """
    kept = censoring.kept
    if censoring.n_kept < 2:
        raise TooFewVolumes(
            where,
            f"has {censoring.n_kept} of {censoring.n_volumes} volumes to clean",
            "Cleaning needs at least two; masks alone can be had with --mask-only.",
        )
    if len(regressors.values) != len(kept):
        raise UnusableTable(
            where, f"has {len(kept)} volumes, but {len(regressors.values)} rows of confounds"
        )
    check_filter(cleaning.filter, t_r_s, len(kept), where)
    fit = fit_confounds(cleaning, t_r_s, kept, regressors)
    matrix = linear_steps(np.eye(len(kept)), cleaning, t_r_s, kept, fit)
    freedom = count_freedom(
        matrix - matrix.mean(axis=0),  # a mean that stays is no signal in time
        n_volumes=len(kept),
        intercept_and_trend=2 if cleaning.detrend else 1,
        n_regressors=len(fit.names),
    )
    if not allow_no_freedom:
        refuse_no_freedom(freedom, where)
    matrix.flags.writeable = False
    return TemporalOperator(matrix, kept, cleaning.standardize, freedom, fit.names, fit.dropped)


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Cleaned signals.

    Attributes
    ----------
    values : (n_kept, n_columns) array
        In the dtype that came in. NaN in lost columns.
    lost : (n_columns,) bool array
        Columns that hold no signal: constant before, or nothing but rounding after.
    """

    values: Signals
    lost: BoolArray

    @property
    def n_lost(self) -> int:
        return int(self.lost.sum())


def clean(
    operator: TemporalOperator,
    values: Signals,
    reference: FloatArray,
    *,
    overwrite: bool = False,
    n_threads: int = 1,
) -> Cleaned:
    """Clean signals, block by block of columns.

    Parameters
    ----------
    operator : TemporalOperator
    values : (n_volumes, n_columns) float32 or float64 array
        Signals less their reference. Products are computed in float64.
    reference : (n_columns,) float64 array
        What was taken out of each column before, so that float32 keeps what varies: the
        true signal is reference + values.
    overwrite : bool
        Write into the first n_kept rows of `values`, which then holds no signals any more,
        and need no second array.
    n_threads : int
        As many blocks are cleaned side by side. The result is the same for any number, as long
        as the library of linear algebra uses one.

    Returns
    -------
    Cleaned
        A column is lost, and NaN, when its standard deviation is at most 1e-6 (float32) or
        1e-12 (float64) of what it was in the kept raw volumes, or when "psc" has a mean of
        0 to divide by.
    """
    n_kept, n_columns = len(operator.matrix), values.shape[1]
    out = values if overwrite else np.empty((n_kept, n_columns), values.dtype)
    steps = _Product.of(operator, values.dtype)
    lost = np.zeros(n_columns, bool)

    def clean_block(start: int) -> None:
        columns = slice(start, min(start + _BLOCK, n_columns))
        cleaned, lost[columns] = steps.apply(values[:, columns], reference[columns])
        out[:n_kept, columns] = cleaned

    with ThreadPoolExecutor(n_threads) as threads:
        for _ in threads.map(clean_block, range(0, n_columns, _BLOCK)):
            pass  # map() raises here what a block raised
    return Cleaned(out[:n_kept], lost)


@dataclass(frozen=True, eq=False)
class _Product:
    """The operator for kept volumes alone, with the scale.

    All in float64, block by block: of a column with a few volumes far from the others (a spike
    that is regressed out), float32 would leave 4 digits.
    """

    # (n_kept, n_kept); the mean is taken out already if the scale does so. None: that is all.
    matrix: FloatArray | None
    response_to_1: FloatArray | None  # what a constant becomes; None: 0
    volumes: npt.NDArray[np.intp]
    standardize: Scale
    least: float

    @classmethod
    def of(cls, operator: TemporalOperator, dtype: np.dtype[Any]) -> _Product:
        matrix = operator.matrix[:, operator.kept]
        is_nothing = np.array_equal(matrix, np.eye(len(matrix)))
        if operator.standardize != "none":
            matrix = matrix - matrix.mean(axis=0)
        response = matrix.sum(axis=1)
        return cls(
            matrix=None if is_nothing else np.ascontiguousarray(matrix),
            response_to_1=None if np.abs(response).max() < 1e-9 else response,
            volumes=np.flatnonzero(operator.kept),
            standardize=operator.standardize,
            least=1e-6 if dtype == np.float32 else 1e-12,
        )

    def apply(self, values: Signals, reference: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Return the cleaned block, and which of its columns are lost."""
        raw = values.take(self.volumes, axis=0).astype(np.float64)
        base = raw[0].copy()
        raw -= base  # a constant column becomes exactly 0
        mean, deviation = _moments(raw)
        if self.matrix is not None:
            cleaned = self.matrix @ raw
        else:
            cleaned = raw if self.standardize == "none" else raw - mean
        level = reference + base
        of_level = 0 if self.response_to_1 is None else np.outer(self.response_to_1, level)
        if self.standardize != "none":
            cleaned = cleaned + of_level
        _, cleaned_deviation = _moments(cleaned)
        lost = cleaned_deviation <= self.least * deviation
        if self.standardize == "none":
            cleaned = cleaned + of_level
        else:
            unit = self._unit(cleaned_deviation, level + mean)
            lost |= unit <= self.least * deviation / 100
            cleaned *= 1 / np.where(lost, 1, unit)
        cleaned[:, lost] = np.nan
        return cleaned, lost

    def _unit(self, deviation: FloatArray, raw_mean: FloatArray) -> FloatArray:
        """Return what each column is divided by."""
        n = len(self.volumes)
        if self.standardize == "psc":
            return np.abs(raw_mean) / 100
        return deviation * (np.sqrt(n / (n - 1)) if self.standardize == "zscore_sample" else 1)


def _moments(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return each column's mean and standard deviation (of n)."""
    mean = values.mean(axis=0)
    squares = np.einsum("ij,ij->j", values, values) / len(values)
    return mean, np.sqrt(np.maximum(squares - mean**2, 0))
