"""Means of signals over trials, for arrays: what `bidsmask --trials` writes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bidsmask.errors import BadTiming, UnusableTable, UsageError
from bidsmask.signals.trials import Span, Trials, mean_over_trials


def average_trials(
    signals: npt.ArrayLike,
    events: pd.DataFrame,
    t_r: float,
    *,
    window: tuple[float, float] | None = None,
    delay: float | None = None,
    kept: npt.ArrayLike | None = None,
    start_time: float = 0.0,
) -> tuple[npt.NDArray[Any], pd.DataFrame]:
    """Average signals over the volumes of each trial.

    Parameters
    ----------
    signals : (n_kept, n_columns) array
        One row per kept volume, as maskers return them.
    events : DataFrame
        One row per trial, with `onset` (s, from the first volume); `duration` (s) where no window
        is given, and any other columns.
    t_r : float
        Repetition time, s.
    window : (start, end), optional
        The volumes at or after `onset + start` and before `onset + end`, s.
    delay : float, optional
        Without a window: the volumes of the trial itself, delayed by so many seconds (5, say, for
        the haemodynamic response). One that ends before the next volume has that during which it
        began.
    kept : (n_volumes,) bool array, optional
        Which volumes of the run the rows are. Default: all.
    start_time : float
        When the first volume was on the clock of the events, s: StartTime in the JSON file of a
        series that was corrected for slice timing.

    Returns
    -------
    means : (n_trials, n_columns) float array
        By onset. NaN for a trial without a kept volume.
    trials : DataFrame with one row per trial
        `trial_number`, `trial_type`, `onset`, `duration`, `n_volumes` (of the run, in its window),
        `n_censored` (of these, not kept), and the further columns of the events.

    Raises
    ------
    UsageError
        Both or neither of window and delay, or one that makes no sense; signals that are no
        table; as many `kept` volumes as there are rows are not.
    BadTiming
        A repetition time or start that makes no sense.
    UnusableTable
        Events without numbers as onsets or durations.

    Examples
    --------
    >>> import numpy as np, pandas as pd, bidsmask
    >>> signals = np.arange(10.0)[:, np.newaxis]
    >>> events = pd.DataFrame({"onset": [2.0, 8.0], "duration": 2.0, "trial_type": ["a", "b"]})
    >>> means, trials = bidsmask.average_trials(signals, events, t_r=2.0, window=(4, 8))
    >>> means.ravel()
    array([3.5, 6.5])
    """
    values = _signals(signals)
    mask = np.ones(len(values), bool) if kept is None else np.asarray(kept)
    if mask.dtype != bool or mask.ndim != 1:
        advice = "From the numbers of volumes: np.isin(np.arange(n_volumes), numbers)."
        raise UsageError("kept", "is not a truth value for each volume of the run", advice)
    if mask.sum() != len(values):
        problem = f"has {len(values)} rows, but {mask.sum()} of {len(mask)} volumes are kept"
        raise UsageError("signals", problem, "Give one row per kept volume.")
    if not (0 < t_r < math.inf and math.isfinite(start_time)):
        raise BadTiming(f"t_r {t_r}, start_time {start_time}", "is no time", "Give seconds.")
    span = _span(window, delay)
    for name in ("onset", "duration") if window is None else ("onset",):
        if name not in events or events[name].dtype.kind not in "if":
            raise UnusableTable("events", f"has no numbers as {name}", "Give seconds.")
    ours = ("onset", "duration", "trial_type", "trial_number", "n_volumes", "n_censored")
    further = [name for name in events if isinstance(name, str) and name not in ours]
    trials = Trials.of(events, len(mask), t_r, start_time, further)
    means = mean_over_trials(values, mask, trials.volumes(span))
    return means, trials.described(span, mask)


def _signals(signals: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return signals as an array of floats."""
    values = np.asarray(signals)
    if values.ndim != 2:
        problem = f"has the shape {values.shape}, not (n_volumes, n_columns)"
        raise UsageError("signals", problem, "Give one row per volume.")
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)


def _span(window: tuple[float, float] | None, delay: float | None) -> Span:
    """Return which volumes a trial has."""
    if (window is None) == (delay is None):
        advice = "Give one of them: window=(4, 8), say, or delay=5."
        raise UsageError("window and delay", "are both given, or none of them", advice)
    if window is None:
        if delay is None or not math.isfinite(delay):
            raise UsageError(f"delay {delay}", "is no delay", "Give seconds.")
        return Span(delay_s=delay)
    if not (len(window) == 2 and -math.inf < window[0] < window[1] < math.inf):
        advice = "Give its start and its end, s from the onset: window=(4, 8)."
        raise UsageError(f"window {window}", "is no window", advice)
    return Span((window[0], window[1]))
