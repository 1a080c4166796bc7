"""What each volume of a run is: when, kept or not and why, how much motion, which trial."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd


def volumes_table(
    kept: npt.NDArray[np.bool_],
    reasons: tuple[str, ...],
    t_r_s: float,
    confounds: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
    *,
    all_rows: bool = False,
) -> pd.DataFrame:
    """Return one row per volume of the run.

    Parameters
    ----------
    kept : (n_volumes,) bool array
        Whether the signals hold a row for the volume.
    reasons : tuple of str
        Why a volume is not kept; empty where it is.
    t_r_s : float
        Repetition time, s.
    confounds : DataFrame, optional
        Of which `framewise_displacement` (mm) and `std_dvars` are shown, n/a where absent.
    events : DataFrame, optional
        With `onset` and `duration` (s), and `trial_type` where there is one.
    all_rows : bool
        Whether the signals hold a row for every volume, n/a where it is censored.

    Returns
    -------
    DataFrame with one row per volume
        `volume` (0-based), `row` (0-based in the signals, n/a when censored), `onset` (s, from
        the first volume), `kept`, `reason`, `framewise_displacement`, `std_dvars`; with events
        also `trial_type` and `trial_number` (1-based, by onset).
    """
    n_volumes = len(kept)
    onsets: npt.NDArray[np.float64] = np.arange(n_volumes) * np.float64(t_r_s)
    rows = pd.array(np.arange(n_volumes) if all_rows else np.cumsum(kept) - 1, dtype="Int64")
    rows[~kept] = pd.NA
    table = pd.DataFrame(
        {
            "volume": np.arange(n_volumes),
            "row": rows,
            "onset": np.round(onsets, 6),
            "kept": kept,
            "reason": [reason or None for reason in reasons],
        }
    )
    for name in ("framewise_displacement", "std_dvars"):
        has_it = confounds is not None and name in confounds
        table[name] = (
            np.asarray(confounds[name], float) if has_it and confounds is not None else np.nan
        )
    if events is not None:
        trial = trial_of_volumes(onsets, t_r_s, events)
        types = events["trial_type"] if "trial_type" in events else pd.Series("n/a", events.index)
        table["trial_type"] = [None if one < 0 else types.iloc[one] for one in trial]
        order = np.argsort(np.argsort(np.asarray(events["onset"], float), kind="stable"))
        numbers = pd.array([0 if one < 0 else int(order[one]) + 1 for one in trial], dtype="Int64")
        numbers[trial < 0] = pd.NA
        table["trial_number"] = numbers
    return table


def trial_of_volumes(
    onsets: npt.NDArray[np.float64], t_r_s: float, events: pd.DataFrame
) -> npt.NDArray[np.intp]:
    """Return for each volume the row of the event that it falls into, −1 for none.

    A volume falls into an event that has begun at its onset and not ended; an event without
    duration takes the volume during which it happens. Of several the last to begin counts.
    """
    trial = np.full(len(onsets), -1, np.intp)
    starts = np.asarray(events["onset"], float)
    durations = (
        np.nan_to_num(np.asarray(events["duration"], float))
        if "duration" in events
        else np.zeros(len(events))
    )
    for one in np.argsort(starts, kind="stable"):
        if not np.isfinite(starts[one]):
            continue
        if durations[one] > 0:
            inside = (onsets >= starts[one]) & (onsets < starts[one] + durations[one])
        else:
            inside = (onsets <= starts[one]) & (starts[one] < onsets + t_r_s)
        trial[inside] = one
    return trial
