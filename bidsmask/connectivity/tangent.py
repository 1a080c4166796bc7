"""Runs as deviations from their mean: connectivity in the tangent space (Varoquaux et al. 2010)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from bidsmask.connectivity.covariance import FloatArray, ledoit_wolf
from bidsmask.connectivity.measures import SINGULAR, usable_rows
from bidsmask.errors import UsageError

MOST_STEPS: Final = 30
# Of the gradient's norm, for each cell of a matrix.
TOLERANCE: Final = 1e-7


def tangent_matrices(signals: Sequence[Any]) -> tuple[FloatArray, FloatArray]:
    """Return how the connectivity of each run differs from that of all.

    Of Ledoit and Wolf's covariance C of each run and their geometric mean G, log(G^-1/2 C G^-1/2):
    nilearn's `ConnectivityMeasure(kind="tangent")`. Together these matrices can be averaged and
    compared as vectors are, which covariances and correlations cannot.

    Parameters
    ----------
    signals : sequence of (n_volumes, n_columns) array or DataFrame
        Two or more runs with the same columns. Rows without any value (censored volumes) are
        left out.

    Returns
    -------
    deviations : (n_runs, n_columns, n_columns) float64 array
        Symmetric. A column that has a NaN or an infinity, or is constant, in any run is NaN in
        all.
    mean : (n_columns, n_columns) float64 array
        The geometric mean of the covariances.

    Raises
    ------
    UsageError
        Fewer than two runs, other columns in one than in another, or a run with fewer than two
        rows, or with a covariance that is singular even when it is shrunk; signals that are not
        rows x columns of real numbers.

    Warns
    -----
    UserWarning
        The mean has not settled after 30 steps.
    """
    runs = [usable_rows(one) for one in signals]
    shapes = sorted({run.shape[1] for run in runs})
    if len(runs) < 2 or len(shapes) > 1:
        told = f"are {len(runs)} with {' or '.join(map(str, shapes)) or 'no'} columns"
        raise UsageError("the runs", told, "Give two or more, with the same columns.")
    if min(map(len, runs)) < 2:
        raise UsageError("the runs", "hold one with fewer than two rows", "Leave it out.")
    defined = np.all([np.isfinite(run).all(axis=0) for run in runs], axis=0)
    defined &= np.all([(run != run[0]).any(axis=0) for run in runs], axis=0)
    n_columns = shapes[0]
    deviations = np.full((len(runs), n_columns, n_columns), np.nan)
    whole_mean = np.full((n_columns, n_columns), np.nan)
    if defined.any():
        covariances = np.array([ledoit_wolf(run[:, defined])[0] for run in runs])
        extremes = np.linalg.eigvalsh(covariances)[:, [0, -1]].T
        if (extremes[0] < SINGULAR * extremes[1]).any():
            problem = "hold one whose covariance is singular: columns depend on one another"
            raise UsageError("the runs", problem, "Leave it out, or some columns.")
        mean = geometric_mean(covariances)
        place = np.ix_(defined, defined)
        whole_mean[place] = mean
        for whole, one in zip(deviations, _logs(covariances, mean), strict=True):
            whole[place] = one
    return deviations, whole_mean


def geometric_mean(covariances: FloatArray) -> FloatArray:
    """Return the matrix from which the logarithms of all others have a mean of 0.

    By gradient descent along geodesics, from the arithmetic mean; a step that does not come
    nearer halves those after it (nilearn's, so that it ends where that does).

    Parameters
    ----------
    covariances : (n, n_columns, n_columns) float64 array
        Positive definite.
    """
    mean: FloatArray = covariances.mean(axis=0)
    least, step = np.inf, 1.0
    for _ in range(MOST_STEPS):
        gradient = _logs(covariances, mean).mean(axis=0)
        norm = float(np.linalg.norm(gradient))
        root = _of_eigenvalues(np.sqrt, mean)
        mean = root @ _of_eigenvalues(np.exp, step * gradient) @ root
        if norm > least:
            step /= 2
        least = min(norm, least)
        if least / mean.size < TOLERANCE:
            return mean
    warnings.warn(
        f"the mean of the runs has not settled after {MOST_STEPS} steps: are their signals alike?",
        stacklevel=3,
    )
    return mean


def _logs(covariances: FloatArray, mean: FloatArray) -> FloatArray:
    """Return the logarithm of each matrix as it is seen from the mean."""
    whitening = _of_eigenvalues(lambda values: 1 / np.sqrt(values), mean)
    return np.array([_of_eigenvalues(np.log, whitening @ one @ whitening) for one in covariances])


def _of_eigenvalues(function: Callable[[FloatArray], FloatArray], matrix: FloatArray) -> FloatArray:
    """Return a symmetric matrix with a function of its eigenvalues in their place."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    result: FloatArray = (vectors * function(values)) @ vectors.T
    return (result + result.T) / 2
