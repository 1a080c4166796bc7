"""The quality of runs: every number that their sidecars hold, and which stand far from the others.

A run stands out if one of its numbers does, among the runs of the same task and space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bidsmask.app.group.agreement import CHOICES
from bidsmask.app.group.run_outputs import RunOutputs
from bidsmask.bids.outputs import WrittenProduct
from bidsmask.bids.publish import SIZES

# Iglewicz and Hoaglin 1993, How to detect and handle outliers.
CUT_OFF: Final = 3.5
# The median of the absolute deviations of a normal distribution, and their mean, in its sd.
_MEDIAN_DEVIATION, _MEAN_DEVIATION = 0.6745, 0.7979
# Of fewer runs, none is judged: two that differ from two others are no outliers.
FEWEST: Final = 5
# What differs less than this share of the median differs by rounding.
_ROUNDING: Final = 1e-6

Number = int | float


@dataclass(frozen=True)
class Measure:
    """A column of numbers.

    Attributes
    ----------
    column : str
        Its name.
    words : str
        What it is, as a sentence names it: `mask volume`.
    unit : str
        Empty for counts and shares.
    is_judged : bool
        Whether a run can be an outlier by it. What follows from another number is not judged,
        so that each reason is told once.
    """

    column: str
    words: str
    unit: str = ""
    is_judged: bool = True

    def of(self, *qualifiers: str) -> Measure:
        """Return the same of one cleaning, or of an atlas and a cleaning."""
        column = "_".join([self.column, *qualifiers])
        return Measure(column, ", ".join([self.words, *qualifiers]), self.unit, self.is_judged)


MEAN_COVERAGE: Final = Measure("coverage_mean", "mean coverage of the regions")
LEAST_COVERAGE: Final = Measure("coverage_minimum", "least coverage of a region")
UNCOVERED: Final = Measure("regions_under_half", "regions of which less than half is covered")
DICE: Final = Measure("dice_with_majority", "Dice with the group's majority mask")

# By the keys of the sidecars. Numbers that stand under other keys are named after these.
_OF_MASK: Final = {
    "Voxels": Measure("mask_voxels", "voxels of the mask", is_judged=False),
    "VolumeMillilitres": Measure("mask_volume_ml", "mask volume", "ml"),
}
# The doctor's, of which the table shows what a mask is judged by.
_OF_MASK_QUALITY: Final = {
    "Components": Measure("mask_components", "components of the mask", is_judged=False),
    "HolesMillilitres": Measure("mask_holes_ml", "holes of the mask", "ml", is_judged=False),
    "Asymmetry": Measure("mask_asymmetry", "asymmetry of the mask"),
    "FlatSurface": Measure("mask_flat_surface", "flat surface of the mask", is_judged=False),
    "Contrast": Measure("mask_contrast", "contrast of the mask"),
    "VoxelsWithoutSignal": Measure(
        "mask_voxels_without_signal", "share of the mask without signal", is_judged=False
    ),
    "SurfaceOnEdges": Measure("mask_surface_on_edges", "surface of the mask on edges"),
    "Agreement.derivative.Dice": Measure(
        "mask_dice_with_derivative", "Dice with the derivative mask", is_judged=False
    ),
}
_OF_RUN: Final = {
    "RepetitionTime": Measure("repetition_time", "repetition time", "s"),
    "SamplingFrequency": Measure("sampling_frequency", "sampling frequency", "Hz", is_judged=False),
    "StartTime": Measure("start_time", "start time", "s", is_judged=False),
    "MeanFramewiseDisplacement": Measure(
        "mean_framewise_displacement", "mean framewise displacement", "mm"
    ),
}
_OF_CLEANING: Final = {
    "DegreesOfFreedom.volumes": Measure("volumes", "volumes"),
    "DegreesOfFreedom.censored": Measure("censored", "censored volumes"),
    "DegreesOfFreedom.intercept_and_trend": Measure(
        "degrees_of_freedom_intercept_and_trend",
        "degrees of freedom of intercept and trend",
        is_judged=False,
    ),
    "DegreesOfFreedom.filter": Measure(
        "degrees_of_freedom_filter", "degrees of freedom of the filter", is_judged=False
    ),
    "DegreesOfFreedom.regressors": Measure(
        "degrees_of_freedom_regressors", "degrees of freedom of the regressors"
    ),
    "DegreesOfFreedom.remaining": Measure(
        "degrees_of_freedom_remaining", "degrees of freedom that remain"
    ),
}
_OF_SIGNALS: Final = {
    "Columns": Measure("columns", "columns", is_judged=False),
    "ColumnsWithoutSignal": Measure("columns_without_signal", "columns without signal"),
    "NonFiniteValues": Measure("non_finite_values", "values that are not finite"),
}


def measured_of_mask(run: RunOutputs) -> Iterator[tuple[Measure, Number]]:
    """Yield every number of the sidecar of a run's mask but choices, and the doctor's main ones."""
    if run.mask is not None:
        for key, number in _numbers(run.mask):
            yield _OF_MASK.get(key) or _unknown(key, "mask"), number
    if run.mask_quality is not None:
        for key, number in _numbers(run.mask_quality):
            if key in _OF_MASK_QUALITY:
                yield _OF_MASK_QUALITY[key], number


def flags_of_mask(run: RunOutputs) -> str | None:
    """Return the codes of what is odd about a run's mask; None where it was not examined."""
    if run.mask_quality is None:
        return None
    flags = run.mask_quality.metadata.get("Flags")
    told = (
        [one.get("Code") for one in flags if isinstance(one, dict)]
        if isinstance(flags, list)
        else []
    )
    return "; ".join(map(str, told)) or "none"


def measured_of_signals(run: RunOutputs) -> Iterator[tuple[Measure, Number]]:
    """Yield every number that the sidecars of a run's signals hold, but those of choices.

    First those of the run alone, once, then those of a cleaning, once for each, then all others,
    for the signals of each atlas, and of the voxels, in each cleaning.
    """
    of_run: dict[Measure, Number] = {}
    of_cleaning: dict[Measure, Number] = {}
    of_signals: dict[Measure, Number] = {}
    for (atlas, statistic, cleaning), product in sorted(run.signals.items()):
        others = [] if statistic in ("", "mean") else [statistic]
        for key, number in _numbers(product):
            if key in _OF_RUN:
                of_run.setdefault(_OF_RUN[key], number)
            elif key in _OF_CLEANING:
                of_cleaning.setdefault(_OF_CLEANING[key].of(cleaning), number)
            else:
                measure = _OF_SIGNALS.get(key) or _unknown(key)
                of_signals[measure.of(atlas or "voxels", *others, cleaning)] = number
    yield from {**of_run, **of_cleaning, **of_signals}.items()


def outliers(values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which values stand far from the others.

    A value x is far if the modified z-score of Iglewicz and Hoaglin 1993,
    .6745 |x − median| / MAD, is above 3.5, with MAD the median of |x − median|. Where MAD is 0,
    since more than half of the values are equal, the mean of |x − median| stands in for it, over
    .7979, its value for a normal distribution: then those that differ are far if they are few
    (at most 22 % if all differ alike).

    Parameters
    ----------
    values : (n,) array
        NaN where unknown: never far, and not counted.

    Returns
    -------
    (n,) bool array
        All False if fewer than 5 are known, or all are equal but for rounding (1e-6).
    """
    values = np.asarray(values, np.float64)
    known = values[np.isfinite(values)]
    if len(known) < FEWEST:
        return np.zeros(len(values), bool)
    median = np.median(known)
    deviations = np.abs(known - median)
    rounding = _ROUNDING * abs(median)
    deviation = np.median(deviations) / _MEDIAN_DEVIATION
    if deviation <= rounding:
        deviation = deviations.mean() / _MEAN_DEVIATION
    with np.errstate(invalid="ignore"):
        distances = np.abs(values - median)
        return np.asarray((distances > CUT_OFF * deviation) & (distances > rounding))


def reasons(rows: Sequence[Mapping[Measure, Number]]) -> list[str | None]:
    """Return why each run of a task and space stands out: the number, and the median of all.

    Parameters
    ----------
    rows : sequence of mapping of Measure to number
        What was measured of each run.

    Returns
    -------
    list of str or None
        `mask volume 620 ml, median 1,480`, more than one parted by semicolons; empty for a run
        that does not stand out; None for all if there are fewer than 5.
    """
    if len(rows) < FEWEST:
        return [None] * len(rows)
    found: list[list[str]] = [[] for _ in rows]
    judged = (measure for row in rows for measure in row if measure.is_judged)
    for measure in dict.fromkeys(judged):
        values = np.array([row.get(measure, np.nan) for row in rows], np.float64)
        for run in np.flatnonzero(outliers(values)):
            unit = f" {measure.unit}" if measure.unit else ""
            told = f"{measure.words} {in_words(float(values[run]))}{unit}"
            found[run].append(f"{told}, median {in_words(float(np.nanmedian(values)))}")
    return ["; ".join(some) for some in found]


def in_words(number: float) -> str:
    """Return a number with four digits, or all those before the point: `1,480`, `0.4213`."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def _numbers(product: WrittenProduct) -> Iterator[tuple[str, Number]]:
    """Yield the numbers of a sidecar by their keys: `DegreesOfFreedom.remaining`."""
    others = {*CHOICES[product.kind], "Strategy", SIZES}
    for key, value in product.metadata.items():
        if key not in others:
            yield from _flat(key, value)


def _flat(key: str, value: Any) -> Iterator[tuple[str, Number]]:
    """Yield the numbers below a key, of objects within objects too."""
    if isinstance(value, dict) and key.count(".") < 5:
        for inner, one in value.items():
            yield from _flat(f"{key}.{inner}", one)
    # JSON's truth values are numbers to Python, and its whole numbers have no largest.
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63:
        yield key, value


def _unknown(key: str, *parts: str) -> Measure:
    """Return a measure for a key that has none, named after it: `mask_dice_derivative`."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", key)]
    return Measure("_".join([*parts, *words]), " ".join([*parts, *words]))
