"""Measures between columns, by their names: correlations, covariances and their inverses.

All are computed in float64. Each has the numbers of nilearn's `ConnectivityMeasure` with the
estimator that is named here, within 1e-6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from bidsmask.connectivity.covariance import FloatArray, ledoit_wolf, sample_covariance
from bidsmask.errors import UsageError

Form = Literal["covariance", "correlation", "precision", "partial"]

# Eigenvalues of correlations below this are rounding: 1e-6 of a standard deviation, as float32
# leaves it.
SINGULAR: Final = 1e-12


@dataclass(frozen=True)
class Measure:
    """What is computed between columns.

    Attributes
    ----------
    form : {"covariance", "correlation", "precision", "partial"}
        What is made of the covariance.
    is_shrunk : bool
        Whether the covariance is Ledoit and Wolf's, or the sample's own.
    """

    form: Form
    is_shrunk: bool

    @property
    def is_inverse(self) -> bool:
        """Whether the covariance is inverted."""
        return self.form in ("precision", "partial")

    @property
    def is_correlation(self) -> bool:
        """Whether the values lie between -1 and 1, so that they have a Fisher z."""
        return self.form in ("correlation", "partial")

    def least_freedom(self, n_columns: int) -> int:
        """Return the degrees of freedom without which the measure is not defined."""
        if self.is_inverse and not self.is_shrunk:
            return n_columns
        return 2 if self.is_correlation else 1


MEASURES: Final[dict[str, Measure]] = {
    "pearson": Measure("correlation", is_shrunk=False),
    "correlation-ledoit-wolf": Measure("correlation", is_shrunk=True),
    "covariance": Measure("covariance", is_shrunk=False),
    "ledoit-wolf": Measure("covariance", is_shrunk=True),
    "partial": Measure("partial", is_shrunk=True),
    "precision": Measure("precision", is_shrunk=True),
    "partial-sample": Measure("partial", is_shrunk=False),
    "precision-sample": Measure("precision", is_shrunk=False),
}


@dataclass(frozen=True, eq=False)
class Connectivity:
    """A measure between all columns.

    Attributes
    ----------
    values : (n_columns, n_columns) float64 array
        Symmetric. NaN in rows and columns of what is not defined.
    n_rows : int
        Rows of the signals that it was computed of.
    defined : (n_columns,) bool array
        Columns that have values.
    shrinkage : float or None
        Ledoit and Wolf's, 0 to 1; None where nothing was shrunk.
    problem : str
        Why nothing is defined at all, as the rest of a sentence; else empty.
    """

    values: FloatArray
    n_rows: int
    defined: npt.NDArray[np.bool_]
    shrinkage: float | None = None
    problem: str = ""


def connectivity_matrix(
    signals: Any,
    measure: str = "pearson",
    *,
    fisher_z: bool = False,
    degrees_of_freedom: float | None = None,
) -> FloatArray:
    """Return a measure between all columns of signals.

    Parameters
    ----------
    signals : (n_volumes, n_columns) array or DataFrame
        Rows without any value (censored volumes) are left out.
    measure : str
        `pearson` is numpy's `corrcoef`, and `covariance` its `cov` over n. Those of Ledoit and
        Wolf's covariance are nilearn's by default: `ledoit-wolf` its "covariance",
        `correlation-ledoit-wolf` its "correlation" (of z-scores; every value is smaller than
        Pearson's), `partial` its "partial correlation", `precision`. `partial-sample` and
        `precision-sample` are those of the covariance as it is, which must have an inverse.
    fisher_z : bool
        Return atanh of correlations; NaN on the diagonal, and where they are 1 or -1.
    degrees_of_freedom : float, optional
        What the cleaning has left; default: rows less one.

    Returns
    -------
    (n_columns, n_columns) float64 array
        Symmetric. Rows and columns are NaN where a column has a NaN or an infinity or, but for
        covariances, is constant. All is NaN where the degrees of freedom do not suffice: 1 for
        covariances and `precision`, 2 for correlations, as many as columns for inverses of the
        covariance as it is; or where that is singular.

    Raises
    ------
    UsageError
        The measure is unknown, or is none that has a Fisher z; signals are not rows x columns
        of real numbers.
    """
    return connect(signals, measure, fisher_z=fisher_z, freedom=degrees_of_freedom).values


def connect(
    signals: Any, measure: str, *, fisher_z: bool = False, freedom: float | None = None
) -> Connectivity:
    """Return a measure between all columns, and what is to be known of it.

    Parameters and errors are those of `connectivity_matrix`.
    """
    kind = measure_of(measure, fisher_z=fisher_z)
    rows = usable_rows(signals)
    defined: npt.NDArray[np.bool_] = np.asarray(np.isfinite(rows).all(axis=0))
    if kind.form != "covariance":
        defined &= (rows != rows[:1]).any(axis=0)
    n_defined = int(defined.sum())
    free = len(rows) - 1 if freedom is None else freedom
    least = kind.least_freedom(n_defined)
    values = np.full((rows.shape[1], rows.shape[1]), np.nan)
    nothing = np.zeros_like(defined)
    if not n_defined:
        return Connectivity(values, len(rows), nothing, problem="no column has a signal")
    if free < least:
        problem = f"{free:g} degrees of freedom are left, and {least} are needed"
        return Connectivity(values, len(rows), nothing, problem=problem)
    found, shrinkage = _measured(rows[:, defined], kind)
    if found is None:
        problem = "the covariance is singular: columns depend on one another"
        return Connectivity(values, len(rows), nothing, shrinkage, problem)
    values[np.ix_(defined, defined)] = _fisher_z(found) if fisher_z else found
    return Connectivity(values, len(rows), defined, shrinkage)


def measure_of(name: str, *, fisher_z: bool = False) -> Measure:
    """Return a measure by its name; raise UsageError for none, or one without a Fisher z."""
    if name not in MEASURES:
        problem = f"is none of {', '.join(MEASURES)}"
        raise UsageError(f"the measure {name!r}", problem)
    if fisher_z and not MEASURES[name].is_correlation:
        raise UsageError(f"the measure {name!r}", "is no correlation, which a Fisher z is of")
    return MEASURES[name]


def usable_rows(signals: Any) -> FloatArray:
    """Return the rows that hold a value, as (n, n_columns) float64."""
    values = np.asarray(signals)
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        raise UsageError(
            "signals",
            f"have shape {values.shape} and type {values.dtype}",
            "Give volumes x columns of real numbers.",
        )
    rows = values.astype(np.float64)
    return rows[~np.isnan(rows).all(axis=1)]


def _measured(rows: FloatArray, kind: Measure) -> tuple[FloatArray | None, float | None]:
    """Return the measure, None where there is no inverse; and the shrinkage."""
    if kind.form == "correlation":
        rows = (rows - rows.mean(axis=0)) / rows.std(axis=0, ddof=1)
    covariance, shrinkage = ledoit_wolf(rows) if kind.is_shrunk else (sample_covariance(rows), None)
    if kind.form == "covariance":
        return covariance, shrinkage
    scale = 1 / np.sqrt(np.diag(covariance))
    correlation = _of_unit_diagonal(covariance * np.outer(scale, scale))
    if kind.form == "correlation":
        return correlation, shrinkage
    if np.linalg.eigvalsh(correlation)[0] < SINGULAR:
        return None, shrinkage
    inverse = np.linalg.inv(correlation)
    inverse = (inverse + inverse.T) / 2
    if kind.form == "precision":
        return inverse * np.outer(scale, scale), shrinkage
    unit = 1 / np.sqrt(np.diag(inverse))
    partial = -inverse * np.outer(unit, unit)
    return _of_unit_diagonal(partial), shrinkage


def _of_unit_diagonal(correlation: FloatArray) -> FloatArray:
    """Return correlations without what rounding adds to 1."""
    result = np.clip(correlation, -1, 1)
    np.fill_diagonal(result, 1)
    return result


def _fisher_z(correlation: FloatArray) -> FloatArray:
    """Return atanh of correlations, NaN where it has no end."""
    has_none = np.abs(correlation) > 1 - SINGULAR
    return np.where(has_none, np.nan, np.arctanh(np.where(has_none, 0, correlation)))
