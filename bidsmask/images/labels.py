"""Labels: images of whole numbers, in whatever type they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import UnusableImage

# Labels with a scaling slope miss whole numbers by a rounding error.
TOLERANCE = 1e-3


def whole_numbers(values: NDArray[Any], where: str | Path, below: int) -> NDArray[np.int64]:
    """Return labels as whole numbers, or say which is none.

    Parameters
    ----------
    values : (i, j, k) array, real
        NaN is background, 0.
    where : str or Path
        What messages are about.
    below : int
        What every absolute value is less than.

    Raises
    ------
    UnusableImage
        A value is more than a thousandth from a whole number, infinite or too large.
    """
    if values.dtype.kind in "iu" and values.dtype.itemsize < 8:
        numbers = whole = values.astype(np.int64)
        is_label = np.abs(whole) < below
    else:
        numbers = np.where(np.isnan(values), 0, values).astype(np.float64)
        whole = np.round(numbers)
        with np.errstate(invalid="ignore"):  # Inf - Inf
            is_label = (np.abs(numbers - whole) < TOLERANCE) & (np.abs(whole) < below)
    if not is_label.all():
        problem = f"holds the value {numbers[~is_label][0]:g}, which is no label"
        raise UnusableImage(where, problem, "An image of labels holds whole numbers.")
    return whole.astype(np.int64)
