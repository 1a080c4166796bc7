"""The trials of a run: which volumes each of them has, and the mean of the signals over these.

A volume is a moment here: its onset, on the clock of the events. A trial has the volumes whose
onset lies in its span, and one without such a volume, since it was short, that during which it
began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Ranges = npt.NDArray[np.intp]
Signals = npt.NDArray[Any]

# Times are compared in whole microseconds: 3 times 0.7 s is less than 2.1 s in float64.
_PER_SECOND = 1e6
# Longer than any run, s: such onsets and durations, and infinite ones, are all the same.
_NEVER_S = 1e9


@dataclass(frozen=True)
class Span:
    """When the volumes of a trial are.

    Attributes
    ----------
    window_s : (start, end) or None
        From its onset, s: volumes at or after the start and before the end. None: from onset to
        end of the trial itself.
    delay_s : float
        By how much the trial itself is shifted, s; a window is not.
    """

    window_s: tuple[float, float] | None = None
    delay_s: float = 0.0


@dataclass(frozen=True, eq=False)
class Trials:
    """The trials of a run, on the clock of its events.

    Attributes
    ----------
    table : DataFrame
        One row per event, by onset, those without onset last: `trial_number` (from 1),
        `trial_type` (None where there is none), `onset`, `duration` (s, NaN where unknown), and
        the columns that were asked for.
    times : (n_volumes,) float64 array
        When each volume was, s.
    t_r_s : float
        Repetition time, s.
    """

    table: pd.DataFrame
    times: FloatArray
    t_r_s: float

    @classmethod
    def of(
        cls,
        events: pd.DataFrame,
        n_volumes: int,
        t_r_s: float,
        start_s: float = 0.0,
        columns: Sequence[str] = (),
    ) -> Trials:
        """Return the trials that a table of events tells of.

        Parameters
        ----------
        events : DataFrame
            With `onset` (s); `duration` (s) and `trial_type` where there are.
        n_volumes : int
        t_r_s : float
            Repetition time, s.
        start_s : float
            When the first volume was, s: BIDS's StartTime, which slice-timing correction shifts.
        columns : sequence of str
            What else of the events is told; n/a in all trials where the events lack it.
        """
        order = np.argsort(np.asarray(events["onset"], float), kind="stable")
        by_onset = events.iloc[order].reset_index(drop=True)
        n_trials = len(by_onset)
        table = pd.DataFrame(
            {
                "trial_number": np.arange(1, n_trials + 1),
                "trial_type": _cells(by_onset, "trial_type"),
                "onset": np.asarray(by_onset["onset"], float),
                "duration": _durations(by_onset),
                **{name: _cells(by_onset, name) for name in columns},
            }
        )
        return cls(table, start_s + np.arange(n_volumes) * np.float64(t_r_s), t_r_s)

    def volumes(self, span: Span) -> Ranges:
        """Return which volumes each trial has.

        Returns
        -------
        (n_trials, 2) int array
            The first volume, and that after the last: the same where there is none, as for a
            trial whose onset is not known.
        """
        onsets = self.table["onset"].to_numpy()
        if span.window_s is not None:
            start, end = span.window_s
            return self._between(onsets + start, onsets + end)
        onsets = onsets + span.delay_s
        durations = np.nan_to_num(self.table["duration"].to_numpy()).clip(0, _NEVER_S)
        ranges = self._between(onsets, onsets + durations)
        # One that ends before the next volume has that during which it began.
        begun = _ticks(onsets)
        during = np.searchsorted(_ticks(self.times + self.t_r_s), begun, "right")
        is_during = (begun >= _ticks(self.times[:1])) & (during < len(self.times))
        is_short = is_during & (ranges[:, 0] == ranges[:, 1])
        ranges[is_short] = during[is_short, np.newaxis] + [0, 1]
        return ranges

    def labels(self, delay_s: float = 0.0) -> npt.NDArray[np.intp]:
        """Return for each volume the row of the trial that it falls into, −1 for none.

        Of several the last to begin counts.
        """
        labels = np.full(len(self.times), -1, np.intp)
        for row, (first, stop) in enumerate(self.volumes(Span(delay_s=delay_s))):
            labels[first:stop] = row
        return labels

    def described(self, span: Span, kept: BoolArray) -> pd.DataFrame:
        """Return the table with `n_volumes` of each trial, and `n_censored` of these.

        Parameters
        ----------
        span : Span
        kept : (n_volumes,) bool array
        """
        table, ranges = self.table.copy(), self.volumes(span)
        n_volumes, n_kept = (np.diff(one, axis=1)[:, 0] for one in (ranges, rows_of(ranges, kept)))
        place = list(table).index("duration") + 1
        table.insert(place, "n_volumes", n_volumes)
        table.insert(place + 1, "n_censored", n_volumes - n_kept)
        return table

    def _between(self, starts: FloatArray, ends: FloatArray) -> Ranges:
        """Return the volumes at or after the starts and before the ends."""
        return np.searchsorted(_ticks(self.times), _ticks(np.column_stack([starts, ends])))


def _ticks(seconds: FloatArray) -> FloatArray:
    """Return times as whole numbers."""
    return np.rint(np.clip(seconds, -_NEVER_S, _NEVER_S) * _PER_SECOND)


def _durations(events: pd.DataFrame) -> FloatArray:
    """Return the durations, NaN where there are none."""
    if "duration" not in events:
        return np.full(len(events), np.nan)
    return np.asarray(events["duration"], float)


def _cells(events: pd.DataFrame, name: str) -> npt.NDArray[np.object_]:
    """Return a column as it is, cell by cell, so that whole numbers stay whole beside n/a."""
    cells = np.full(len(events), None, object)
    if name in events:
        known = events[name].notna().to_numpy()
        cells[known] = events[name].astype(object).to_numpy()[known]
    return cells


def rows_of(ranges: Ranges, kept: BoolArray) -> Ranges:
    """Return ranges of volumes as ranges of rows, of which each kept volume has one."""
    return np.concatenate([[0], np.cumsum(kept)])[ranges]


def mean_over_trials(values: Signals, kept: BoolArray, ranges: Ranges) -> Signals:
    """Return the mean of each column over the kept volumes of each trial.

    Parameters
    ----------
    values : (n_kept, n_columns) float32 or float64 array
        One row per kept volume.
    kept : (n_volumes,) bool array
    ranges : (n_trials, 2) int array
        Which volumes each trial has, from `Trials.volumes`.

    Returns
    -------
    (n_trials, n_columns) array
        In the dtype that came in, summed in float64. NaN for a trial without a kept volume, and
        where a column has no value.
    """
    means = np.full((len(ranges), values.shape[1]), np.nan, values.dtype)
    for trial, (first, stop) in enumerate(rows_of(ranges, kept)):
        if first < stop:
            means[trial] = values[first:stop].mean(axis=0, dtype=np.float64)
    return means
