"""Cleaning step by step, plainly: the truth that the one-matrix operator is tested against.

The order is that of Lindquist et al. (2019, Human Brain Mapping), Hallquist et al. (2013,
NeuroImage) and Power et al. (2014, NeuroImage): interpolate censored volumes, detrend, filter
signals and confounds alike, drop censored volumes, regress confounds out, scale. Every step
but the last is linear; the operator runs these very functions on an identity matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from bidsmask.cleaning.censoring import Censoring
from bidsmask.cleaning.cleaning import Cleaning, Scale
from bidsmask.cleaning.confounds import Regressors
from bidsmask.cleaning.filter import butterworth, slow_cosines, stop_band_cosines

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# A column that the filter leaves less than this share of its norm has been filtered out.
_FILTERED_OUT = 1e-9
# Taking the mean and the line out of a column leaves this share of its values as rounding.
_ROUNDING = 1e-12
# A column that is this near to the others' space is one of them: text with ten digits, as
# fMRIPrep's cosines, leaves 1e-9 of a column that is a copy.
_DEPENDENT = 1e-8


def clean_step_by_step(
    values: FloatArray,
    cleaning: Cleaning,
    t_r_s: float,
    censoring: Censoring,
    regressors: Regressors,
) -> FloatArray:
    """Return cleaned signals, every step in float64 over whole arrays.

    Parameters
    ----------
    values : (n_volumes, n_columns) float64 array
        Raw signals. Not changed.
    t_r_s : float
        Repetition time (s).

    Returns
    -------
    (n_kept, n_columns) float64 array
        A column that is 0 or constant after cleaning becomes NaN, and a column of mean 0
        under "psc".
    """
    fit = fit_confounds(cleaning, t_r_s, censoring.kept, regressors)
    cleaned = linear_steps(values, cleaning, t_r_s, censoring.kept, fit)
    return scale(cleaned, cleaning.standardize, values[censoring.kept])


def linear_steps(
    values: FloatArray, cleaning: Cleaning, t_r_s: float, kept: BoolArray, fit: ConfoundFit
) -> FloatArray:
    """Return every step but the scale: (n_volumes, n_columns) to (n_kept, n_columns)."""
    return regress_out(steps_in_time(values, cleaning, t_r_s, kept), fit.basis)


def steps_in_time(
    values: FloatArray, cleaning: Cleaning, t_r_s: float, kept: BoolArray
) -> FloatArray:
    """Interpolate, detrend, filter and drop censored volumes, confounds like signals."""
    of_trend = kept
    if cleaning.gaps == "line":
        values = interpolate(values, kept)
    else:
        values, kept = fill_by_splines(values, kept, beyond=cleaning.gaps == "spline beyond")
        of_trend = np.ones(len(kept), bool)
    if cleaning.detrend:
        values = detrend(values, of_trend)
    if cleaning.filter.kind == "butterworth":
        values = butterworth(values, cleaning.filter, t_r_s)
    return values[kept]


def interpolate(values: FloatArray, kept: BoolArray) -> FloatArray:
    """Replace censored volumes by the line between the kept ones beside them.

    Before the first and after the last kept volume their values are held. Cubic splines, as
    nilearn uses, overshoot: for gaps of 10 volumes in autocorrelated noise their error is
    twice that of a line.

    Parameters
    ----------
    values : (n_volumes, n_columns) float64 array
        Not changed. What censored volumes hold plays no part.
    kept : (n_volumes,) bool array
        At least one True.
    """
    times, volumes = np.flatnonzero(kept), np.arange(len(kept))
    after = np.minimum(np.searchsorted(times, volumes), len(times) - 1)
    before = np.maximum(np.searchsorted(times, volumes, side="right") - 1, 0)
    left, right = times[before], times[after]
    gap = np.maximum(right - left, 1)
    weight = np.clip((volumes - left) / gap, 0, 1)[:, np.newaxis]
    return np.asarray(values[left] * (1 - weight) + values[right] * weight)


def fill_by_splines(
    values: FloatArray, kept: BoolArray, *, beyond: bool
) -> tuple[FloatArray, BoolArray]:
    """Replace censored volumes by cubic splines through the kept ones, as nilearn means to.

    Parameters
    ----------
    values : (n_volumes, n_columns) float64 array
        Not changed. What censored volumes hold plays no part.
    kept : (n_volumes,) bool array
        At least two True.
    beyond : bool
        Whether the splines go on before the first and after the last kept volume, which may
        take them far away; else the run is cut there.

    Returns
    -------
    filled : (n, n_columns) float64 array
    kept : (n,) bool array
    """
    from scipy.interpolate import CubicSpline  # not for the app: its module is slow to import

    times = np.flatnonzero(kept)
    run = slice(None) if beyond else slice(times[0], times[-1] + 1)
    filled = np.asarray(CubicSpline(times, values[times])(np.arange(len(kept))[run]))
    filled[kept[run]] = values[times]
    return filled, kept[run]


def detrend(values: FloatArray, kept: BoolArray) -> FloatArray:
    """Take out of all volumes the least-squares line through the kept ones.

    The line runs over the volumes' true times, so a drift is gone whatever is censored.

    Parameters
    ----------
    values : (n_volumes, n_columns) float64 array
        Not changed.
    kept : (n_volumes,) bool array
        At least two True.
    """
    times = np.arange(len(kept), dtype=np.float64)
    times -= times[kept].mean()
    mean = values[kept].mean(axis=0)
    slope = times[kept] @ (values[kept] - mean) / (times[kept] @ times[kept])
    return np.asarray(values - mean - np.outer(times, slope))


def regress_out(values: FloatArray, basis: FloatArray) -> FloatArray:
    """Take out what lies in the space of orthonormal columns: y - Q Qᵀ y."""
    return np.asarray(values - basis @ (basis.T @ values))


@dataclass(frozen=True, eq=False)
class ConfoundFit:
    """The space that is regressed out of the kept volumes.

    Attributes
    ----------
    basis : (n_kept, rank) float64 array
        Orthonormal columns: of the confounds, and of the filter where it is a regression.
    names : tuple of str
        Confounds in the fit.
    dropped : tuple of str
        Confounds left out: constant, filtered out, or dependent on the others.
    """

    basis: FloatArray
    names: tuple[str, ...]
    dropped: tuple[str, ...]


def fit_confounds(
    cleaning: Cleaning, t_r_s: float, kept: BoolArray, regressors: Regressors
) -> ConfoundFit:
    """Return the space of the confounds after the same steps in time as the signals.

    Cosine terms of our own come after the confounds, so that what fMRIPrep's cosine columns
    hold already is not taken twice; the stop band of a regression filter comes before them.
    """
    kind, n_volumes = cleaning.filter.kind, len(kept)
    before = after = np.empty((int(kept.sum()), 0))
    if kind == "cosine":
        terms = slow_cosines(n_volumes, t_r_s, cleaning.filter.high_pass_hz or 0)
        after = steps_in_time(terms, cleaning, t_r_s, kept)
    elif kind == "regression":
        terms = stop_band_cosines(n_volumes, t_r_s, cleaning.filter)
        before = _stop_band_basis(steps_in_time(terms, cleaning, t_r_s, kept), cleaning)
    raw = regressors.values[kept]
    filtered = steps_in_time(regressors.values, cleaning, t_r_s, kept)
    is_centred = cleaning.centre_confounds
    basis, inside = _extend(before, filtered, _floor(raw), is_centred=is_centred)
    basis, _ = _extend(basis, after, _floor(after), is_centred=is_centred)
    names = np.array(regressors.names, dtype=object)
    return ConfoundFit(basis, tuple(names[inside]), tuple(names[~inside]))


def _stop_band_basis(terms: FloatArray, cleaning: Cleaning) -> FloatArray:
    """Return the space of the stop band; a high-pass stops the constant, too."""
    nothing = np.empty((len(terms), 0))
    if cleaning.filter.high_pass_hz is not None:
        nothing = np.full((len(terms), 1), 1 / np.sqrt(len(terms)))
    return _extend(nothing, terms, _floor(terms))[0]


def _floor(raw: FloatArray) -> FloatArray:
    """Return the norm under which nothing of a column is left but rounding."""
    spread = np.linalg.norm(raw - raw.mean(axis=0), axis=0)
    floor = np.maximum(_FILTERED_OUT * spread, _ROUNDING * np.linalg.norm(raw, axis=0))
    return np.asarray(floor)


def _extend(
    basis: FloatArray, columns: FloatArray, floor: FloatArray, *, is_centred: bool = True
) -> tuple[FloatArray, BoolArray]:
    """Add what columns hold beyond an orthonormal basis, by a pivoted QR decomposition.

    Columns are centred, if they are to be, and scaled to norm 1 first, so that the rank does not
    depend on their units.

    Returns
    -------
    basis : (n_kept, rank) float64 array
        The given one, and the new directions after it.
    inside : (n_columns,) bool array
        Columns that brought a direction.
    """
    inside = np.zeros(columns.shape[1], bool)
    centred = columns - columns.mean(axis=0) if is_centred else columns
    norms = np.linalg.norm(centred, axis=0)
    usable = np.flatnonzero(norms > floor)
    if not len(usable):
        return basis, inside
    scaled = regress_out(centred[:, usable] / norms[usable], basis)
    q, r, order = linalg.qr(scaled, mode="economic", pivoting=True)
    rank = int((np.abs(np.diag(r)) > _DEPENDENT).sum())
    inside[usable[order[:rank]]] = True
    # Once more: of a column that is nearly dependent, QR enlarges the rounding as well.
    new = np.asarray(q[:, :rank], dtype=np.float64)
    new = regress_out(new - new.mean(axis=0) if is_centred else new, basis)
    return np.hstack([basis, np.linalg.qr(new)[0]]), inside


def scale(cleaned: FloatArray, standardize: Scale, raw: FloatArray) -> FloatArray:
    """Scale each cleaned column; NaN where there is nothing to scale.

    Parameters
    ----------
    cleaned, raw : (n_kept, n_columns) float64 array
        The signals after and before the linear steps.
    standardize : {"zscore_sample", "zscore", "psc", "none"}
        "psc" is 100 (y - mean y) / |mean of raw|, column by column.
    """
    mean, deviation = cleaned.mean(axis=0), cleaned.std(axis=0)
    lost = deviation <= 1e-12 * raw.std(axis=0)
    if standardize == "none":
        return np.where(lost, np.nan, cleaned)
    unit = deviation
    if standardize == "zscore_sample":
        unit = cleaned.std(axis=0, ddof=1)
    elif standardize == "psc":
        unit = np.abs(raw.mean(axis=0)) / 100
        lost |= unit * 100 <= 1e-12 * raw.std(axis=0)
    return np.where(lost, np.nan, (cleaned - mean) / np.where(lost, 1, unit))
