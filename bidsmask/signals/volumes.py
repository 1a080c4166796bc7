"""What each volume of a run is: when, kept or not and why, how much motion, which trial."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from bidsmask.signals.trials import Trials


def volumes_table(
    kept: npt.NDArray[np.bool_],
    reasons: tuple[str, ...],
    t_r_s: float,
    confounds: pd.DataFrame | None = None,
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
    all_rows : bool
        Whether the signals hold a row for every volume, n/a where it is censored.

    Returns
    -------
    DataFrame with one row per volume
        `volume` (0-based), `row` (0-based in the signals, n/a when censored), `onset` (s, from
        the first volume), `kept`, `reason`, `framewise_displacement`, `std_dvars`.
    """
    n_volumes = len(kept)
    rows = pd.array(np.arange(n_volumes) if all_rows else np.cumsum(kept) - 1, dtype="Int64")
    rows[~kept] = pd.NA
    table = pd.DataFrame(
        {
            "volume": np.arange(n_volumes),
            "row": rows,
            "onset": np.round(np.arange(n_volumes) * np.float64(t_r_s), 6),
            "kept": kept,
            "reason": [reason or None for reason in reasons],
        }
    )
    for name in ("framewise_displacement", "std_dvars"):
        has_it = confounds is not None and name in confounds
        table[name] = (
            np.asarray(confounds[name], float) if has_it and confounds is not None else np.nan
        )
    return table


def label_volumes(volumes: pd.DataFrame, trials: Trials, delay_s: float = 0.0) -> pd.DataFrame:
    """Return the table of volumes with the trial that each falls into.

    Parameters
    ----------
    volumes : DataFrame with one row per volume
        Not changed.
    trials : Trials
        Of the same run.
    delay_s : float
        By how much they are shifted, s.

    Returns
    -------
    DataFrame
        Also with `trial_type`, `trial_number` and the further columns of the trials; n/a where a
        volume falls into none.
    """
    rows = trials.labels(delay_s)
    further = list(trials.table.columns.drop(["trial_type", "trial_number", "onset", "duration"]))
    told = {}
    for name in ("trial_type", "trial_number", *further):
        cells = trials.table[name].astype(object).to_numpy()
        told[name] = [None if row < 0 else cells[row] for row in rows]
    return volumes.assign(**{name: pd.Series(cells, dtype=object) for name, cells in told.items()})
