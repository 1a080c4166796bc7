"""What motion leaves in connectivity: QC-FC, over runs, edge by edge (Ciric et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtr

from bidsmask.connectivity.covariance import FloatArray

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class MotionLeft:
    """How connectivity goes with motion, over all edges.

    Attributes
    ----------
    n_runs : int
    n_edges : int
        Those that have a value in each run, and not always the same.
    median : float
        Of the absolute correlations of edges with displacement.
    significant : float
        Share of the edges whose correlation has p < .05, uncorrected; by chance .05.
    with_length : float
        Correlation of the edges' correlations with their lengths; NaN where those are unknown.
    """

    n_runs: int
    n_edges: int
    median: float
    significant: float
    with_length: float


@dataclass
class QcFc:
    """The sums over runs that correlate each edge with displacement; no run is kept.

    Attributes
    ----------
    n_runs : int
    """

    n_runs: int = 0
    _displacement: list[float] = field(default_factory=list)
    _sums: FloatArray | None = None

    def add(self, edges: FloatArray, displacement_mm: float) -> None:
        """Add a run.

        Parameters
        ----------
        edges : (n_edges,) float64 array
            Connectivity of each pair of regions; NaN where it has none.
        displacement_mm : float
            Mean framewise displacement.
        """
        parts = np.stack([edges, edges**2, edges * displacement_mm])
        self._sums = parts if self._sums is None else self._sums + parts
        self._displacement.append(displacement_mm)
        self.n_runs += 1

    def correlations(self) -> FloatArray:
        """Return the correlation of each edge with displacement, over runs; NaN where undefined.

        None at all of fewer than 3 runs, or of runs that moved alike.
        """
        moved = np.array(self._displacement)
        if self._sums is None or self.n_runs < 3 or np.ptp(moved) == 0:
            return np.empty(0)
        total, squares, products = self._sums
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = squares - total**2 / self.n_runs
            # What rounding leaves of edges that are the same in each run.
            spread[spread <= 1e-12 * squares] = np.nan
            covariance = products - total * moved.mean()
            found: FloatArray = covariance / np.sqrt(spread * self.n_runs * moved.var())
        return np.where(np.isfinite(found), np.clip(found, -1, 1), np.nan)

    def result(self, lengths_mm: FloatArray | None = None) -> MotionLeft:
        """Return what is left of motion.

        Parameters
        ----------
        lengths_mm : (n_edges,) float64 array, optional
            Between the centres of the two regions.
        """
        found = self.correlations()
        known = np.isfinite(found)
        r = found[known]
        if not len(r):
            return MotionLeft(self.n_runs, len(r), np.nan, np.nan, np.nan)
        free = self.n_runs - 2
        with np.errstate(divide="ignore"):
            t = np.abs(r) * np.sqrt(free / (1 - r**2))
        p = 2 * stdtr(free, -t)
        with_length = np.nan
        if lengths_mm is not None:
            with_length = _correlation(r, lengths_mm[known])
        significant = float(np.mean(p < SIGNIFICANT))
        return MotionLeft(
            self.n_runs, len(r), float(np.median(np.abs(r))), significant, with_length
        )


def _correlation(one: FloatArray, other: FloatArray) -> float:
    """Return the correlation of two vectors where both have values; NaN where it has none."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 3 or np.ptp(one[both]) == 0 or np.ptp(other[both]) == 0:
        return float("nan")
    return float(np.corrcoef(one[both], other[both])[0, 1])
