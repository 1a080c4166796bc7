"""Estimates of how columns vary together: the sample's own, and the one of Ledoit and Wolf."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def sample_covariance(values: FloatArray) -> FloatArray:
    """Return the covariance of the columns of (n, n_columns) values, over n.

    scikit-learn's `EmpiricalCovariance`, `numpy.cov(bias=True)`.
    """
    centred = values - values.mean(axis=0)
    covariance: FloatArray = centred.T @ centred / len(values)
    return covariance


def ledoit_wolf(values: FloatArray) -> tuple[FloatArray, float]:
    """Return the covariance of columns, drawn towards columns of one variance without any.

    Ledoit & Wolf 2004 (A well-conditioned estimator for large-dimensional covariance matrices,
    J Multivar Anal 88:365), scikit-learn's `LedoitWolf`: (1 - s) S + s m I, with S the
    covariance of the sample, m the mean of its diagonal, and s the share at which the squared
    error is expected to be the least.

    Parameters
    ----------
    values : (n, n_columns) float64 array

    Returns
    -------
    covariance : (n_columns, n_columns) float64 array
    shrinkage : float
        s, 0 to 1; 0 for a single column.
    """
    sample = sample_covariance(values)
    n, n_columns = values.shape
    target = np.trace(sample) / n_columns * np.eye(n_columns)
    distance = ((sample - target) ** 2).sum()
    if n_columns < 2 or distance == 0:
        return sample, 0.0
    lengths = ((values - values.mean(axis=0)) ** 2).sum(axis=1)
    # That of the products of single rows about S: what S would be off by.
    spread = ((lengths**2).sum() / n - (sample**2).sum()) / n
    shrinkage = float(min(spread, distance) / distance)
    return (1 - shrinkage) * sample + shrinkage * target, shrinkage
