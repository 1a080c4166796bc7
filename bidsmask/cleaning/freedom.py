"""The degrees of freedom of a run: what it had, what each step took, what is left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bidsmask.errors import NoDegreesOfFreedom

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DegreesOfFreedom:
    """A ledger that adds up: remaining is volumes less all the others.

    Attributes
    ----------
    volumes, censored : int
    intercept_and_trend : int
        2 after detrending, else 1: a mean is no signal in time, whether it stays or not.
    filter : float
        What the filter costs, as far as the other lines do not hold it.
    regressors : int
        Rank of the confounds in the fit.
    remaining : float
        Effective degrees of freedom of white noise after cleaning, tr(S)² / tr(S²) with
        S = W Wᵀ (Satterthwaite 1946): the number of independent volumes with the same spread
        of variance. Three decimals, so that it does not depend on the machine.
    """

    volumes: int
    censored: int
    intercept_and_trend: int
    filter: float
    regressors: int
    remaining: float

    def __str__(self) -> str:
        return (
            f"{self.volumes} volumes - {self.censored} censored - "
            f"{self.intercept_and_trend} intercept and trend - {self.filter:.1f} filter - "
            f"{self.regressors} regressors = {self.remaining:.1f}"
        )


def count_freedom(
    matrix: FloatArray, n_volumes: int, intercept_and_trend: int, n_regressors: int
) -> DegreesOfFreedom:
    """Return the ledger of a cleaning.

    Parameters
    ----------
    matrix : (n_kept, n_volumes) float64 array
        W, the linear steps of the cleaning, with the mean taken out.
    n_regressors : int
        Rank of the confounds.
    """
    n_kept = len(matrix)
    before_filter = n_kept - intercept_and_trend - n_regressors
    remaining = round(min(effective_freedom(matrix), max(before_filter, 0)), 3)
    return DegreesOfFreedom(
        volumes=n_volumes,
        censored=n_volumes - n_kept,
        intercept_and_trend=intercept_and_trend,
        filter=round(before_filter - remaining, 3),
        regressors=n_regressors,
        remaining=remaining,
    )


def effective_freedom(matrix: FloatArray) -> float:
    """Return tr(S)² / tr(S²), S = W Wᵀ; 0 where W is nothing but rounding.

    W leaves white noise a variance of tr(S) / n_kept. Below 1e-12 of what there was, a
    standard deviation under 1e-6, no signal is left whatever the ratio says.
    """
    variance = float((matrix * matrix).sum())
    if variance <= 1e-12 * len(matrix):
        return 0.0
    gram = matrix @ matrix.T
    return variance**2 / float((gram * gram).sum())


def refuse_no_freedom(freedom: DegreesOfFreedom, where: str | Path) -> None:
    """Raise NoDegreesOfFreedom, with the ledger, if less than 1 is left."""
    if freedom.remaining < 1:
        raise NoDegreesOfFreedom(
            where,
            f"has no degrees of freedom left after cleaning: {freedom}",
            "Choose fewer confounds, a wider band or milder censoring, or leave this run out.",
        )
