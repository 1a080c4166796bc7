"""What is done to signals in time, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from bidsmask.cleaning.filter import TemporalFilter
from bidsmask.errors import UsageError

Scale = Literal["zscore_sample", "zscore", "psc", "none"]
Gaps = Literal["line", "spline", "spline beyond"]


@dataclass(frozen=True)
class Cleaning:
    """The choices of a cleaning, apart from its confounds and censoring.

    Attributes
    ----------
    detrend : bool
        Take out the line that fits the kept volumes at their true times.
    filter : TemporalFilter
    standardize : {"zscore_sample", "zscore", "psc", "none"}
        Divide by the standard deviation (of n - 1 or of n), give percent of the mean of the
        kept raw volumes, or leave the scale. All but the last take out the mean.
    gaps : {"line", "spline", "spline beyond"}
        What stands for censored volumes: the line between the kept ones beside them, the ends
        held; or, as in nilearn, cubic splines, the run cut at its first and last kept volume,
        or continued by the splines. With splines the trend is that of the filled run.
    centre_confounds : bool
        Whether the mean of a confound is no part of it. Without, and without a trend, what is
        regressed out takes some of the signals' mean along: nilearn's
        `standardize_confounds=False`.
    """

    detrend: bool = True
    filter: TemporalFilter = field(default_factory=TemporalFilter)
    standardize: Scale = "zscore_sample"
    gaps: Gaps = "line"
    centre_confounds: bool = True

    def __post_init__(self) -> None:
        if self.standardize not in get_args(Scale):
            raise UsageError(
                "standardize",
                f"is {self.standardize!r}",
                f"Choose one of {', '.join(get_args(Scale))}.",
            )
