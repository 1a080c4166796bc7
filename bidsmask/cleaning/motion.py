"""Displacement of the head from its six parameters, with what breathing adds filtered out.

In fast sequences breathing moves the head, or its image, at 0.2 to 0.4 Hz in almost every
volume, and so hides what moves it now and then (Power et al. 2019; Fair et al. 2020,
NeuroImage).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from bidsmask.cleaning.confounds import MOTION
from bidsmask.cleaning.filter import TemporalFilter, butterworth, check_filter
from bidsmask.cleaning.table import FloatArray, numbers, require
from bidsmask.errors import UsageError

MotionKind = Literal["lowpass", "notch"]
# Power et al. 2012: an angle counts as what it moves at the surface of a sphere of this radius.
HEAD_RADIUS_MM = 50.0

_N_CUT_OFFS = {"lowpass": 1, "notch": 2}
_CUT_OFFS_IN_WORDS = {"lowpass": "one, Hz", "notch": "the lower and the higher, Hz"}


@dataclass(frozen=True)
class MotionFilter:
    """What is taken out of the six parameters before displacement is computed.

    Attributes
    ----------
    kind : {"lowpass", "notch"}
        What is faster than a cut-off, or what lies between two.
    hz : tuple of float
        The cut-offs, the lower first; there the amplitude is halved.

    Raises
    ------
    UsageError
        If these are not the cut-offs of the kind, in the words of the command line.
    """

    kind: MotionKind
    hz: tuple[float, ...]

    def __post_init__(self) -> None:
        given = " ".join(f"{one:g}" for one in self.hz)
        are_fine = len(self.hz) == _N_CUT_OFFS[self.kind] and list(self.hz) == sorted(set(self.hz))
        if not (are_fine and all(0 < one < math.inf for one in self.hz)):
            raise UsageError(
                f"--motion-filter {self.kind}",
                f"has the cut-offs {given}" if given else "has no cut-off",
                f"Give {_CUT_OFFS_IN_WORDS[self.kind]}, by --motion-filter-hz.",
            )

    def apply(self, parameters: FloatArray, t_r_s: float, where: str | Path) -> FloatArray:
        """Return parameters, (n_volumes, n_columns), without what the filter takes out.

        A Butterworth filter of order 5, forwards and backwards; a notch is what its band-pass
        leaves.

        Raises
        ------
        BadTiming
            If a cut-off is at or above what the repetition time can hold.
        """
        if self.kind == "lowpass":
            chosen = TemporalFilter("butterworth", low_pass_hz=self.hz[0])
        else:
            chosen = TemporalFilter("butterworth", self.hz[0], self.hz[1])
        check_filter(chosen, t_r_s, len(parameters), where)
        passed = butterworth(parameters, chosen, t_r_s)
        return passed if self.kind == "lowpass" else parameters - passed


def filtered_displacement(
    motion_filter: MotionFilter, table: pd.DataFrame, t_r_s: float, where: str | Path
) -> FloatArray:
    """Return the displacement of filtered parameters, (n_volumes,), mm; NaN first.

    Raises
    ------
    MissingColumn
        If one of the six parameters is not in the table.
    BadTiming
        If the repetition time cannot hold a cut-off.
    """
    require(table, MOTION, f"--motion-filter {motion_filter.kind}", where)
    parameters = np.column_stack([numbers(table, name, where) for name in MOTION])
    return displacement(motion_filter.apply(parameters, t_r_s, where))


def displacement(parameters: FloatArray) -> FloatArray:
    """Return framewise displacement, (n_volumes,), mm (Power et al. 2012); NaN first.

    Parameters
    ----------
    parameters : (n_volumes, 6) float64 array
        Three translations, mm, and three rotations, rad.
    """
    moved = np.abs(np.diff(parameters, axis=0, prepend=np.nan))
    return np.asarray(moved[:, :3].sum(axis=1) + HEAD_RADIUS_MM * moved[:, 3:].sum(axis=1))
