"""Large arrays of zeros of which most will stay zeros."""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray


def blank(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return zeros in file order (i fastest), whose pages cost no memory until written to.

    numpy asks for huge pages, and each that is touched is cleared as a whole: up to 0.7 s for
    the 370 MB of 84 regions, against 0.02 s.
    """
    n_bytes = dtype.itemsize * math.prod(shape)
    memory = mmap.mmap(-1, max(1, n_bytes), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.ndarray(shape, dtype, buffer=memory, order="F")
