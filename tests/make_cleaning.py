"""Small runs, confounds tables and censorings for the tests of cleaning."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import pytest

from bidsmask.cleaning.censoring import Censoring
from bidsmask.cleaning.confounds import Regressors
from tests.make_images import SHARED

REAL_TABLES = SHARED / "confounds"

needs_real_tables = pytest.mark.skipif(
    not REAL_TABLES.is_dir(), reason="the collection of real confounds tables is not there"
)


def read_real_table(name: str) -> tuple[pd.DataFrame, dict[str, object]]:
    """Return one of the real tables and its sidecar, empty where it has none."""
    path = REAL_TABLES / name
    sidecar = path.with_suffix(".json")
    metadata = json.loads(sidecar.read_text()) if sidecar.exists() else {}
    return pd.read_csv(path, sep="\t", na_values="n/a"), metadata


def censored(n_volumes: int, volumes: Iterable[int]) -> Censoring:
    """Return a censoring of the given volumes."""
    kept = np.ones(n_volumes, bool)
    kept[list(volumes)] = False
    return Censoring(kept, tuple("" if one else "fd" for one in kept))


def regressors(values: np.ndarray) -> Regressors:
    """Return columns named c00, c01, …"""
    return Regressors(values, tuple(f"c{i:02d}" for i in range(values.shape[1])))


COMPCOR_SIDECAR: dict[str, object] = {
    **{
        f"a_comp_cor_{i:02d}": {"Mask": "combined", "CumulativeVarianceExplained": share}
        for i, share in enumerate((0.3, 0.52, 0.6))
    },
    **{f"t_comp_cor_{i:02d}": {"CumulativeVarianceExplained": 0.1 * i} for i in range(3)},
}


def confounds_table(n_volumes: int = 40, seed: int | Sequence[int] = 0) -> pd.DataFrame:
    """Return a table with every column the strategies of this package can ask for."""
    random = np.random.default_rng(seed)
    table = {}
    for name in [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"] + [
        "csf",
        "white_matter",
        "global_signal",
    ]:
        series = np.cumsum(random.standard_normal(n_volumes))
        difference = np.diff(series, prepend=np.nan)
        table[name] = series
        table[f"{name}_derivative1"] = difference
        table[f"{name}_power2"] = series**2
        table[f"{name}_derivative1_power2"] = difference**2
    for name in ("framewise_displacement", "std_dvars", "dvars"):
        table[name] = np.r_[np.nan, 0.1 + 0.1 * random.random(n_volumes - 1)]
    for name in ("cosine00", "cosine01", *COMPCOR_SIDECAR):
        table[name] = random.standard_normal(n_volumes)
    return pd.DataFrame(table)
