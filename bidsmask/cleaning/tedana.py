"""Components of tedana: those that it classified, out of its mixing matrix (DuPre et al. 2021)."""

from __future__ import annotations

import re
from typing import Literal

from bidsmask.cleaning.table import FloatArray, OtherTable, numbers, require, rows_of_run
from bidsmask.errors import MissingColumn, UnusableTable

Tedana = Literal["none", "aggressive", "non-aggressive"]

# How the names of its two tables end.
MIXING = "desc-ICA_mixing"
METRICS = "desc-tedana_metrics"
_TAKEN = {"aggressive": ("rejected",), "non-aggressive": ("accepted", "rejected")}


def tedana_columns(
    kind: Tedana, mixing: OtherTable, metrics: OtherTable, n_volumes: int
) -> dict[str, FloatArray]:
    """Return the time courses of components, named `rejected_ICA_07`.

    Parameters
    ----------
    kind : {"aggressive", "non-aggressive"}
        Those that tedana rejected; or those and the accepted ones, for a partial regression.
    mixing : OtherTable
        One row per volume, one column per component.
    metrics : OtherTable
        One row per component, with `Component` and `classification`.
    n_volumes : int
        Volumes of the run.

    Raises
    ------
    MissingColumn
        If a component that was classified is not in the mixing matrix, or what classifies
        is not in the metrics.
    UnusableTable
        If the mixing matrix is not of this run, or holds no component.
    """
    if kind == "none":
        return {}
    require(metrics.table, ["Component", "classification"], "tedana", metrics.path)
    series = rows_of_run(mixing.table, n_volumes, mixing.path)
    names = {_plain(str(name)): str(name) for name in series.columns}
    if not any(name.startswith("ICA_") for name in names):
        first = ", ".join(names.values())
        raise UnusableTable(mixing.path, f"holds no component ICA_…: its columns are {first}")
    columns = {}
    for component, classification in zip(
        metrics.table["Component"], metrics.table["classification"], strict=True
    ):
        if classification not in _TAKEN[kind]:
            continue
        # Versions number the same component ICA_4 in one table and ICA_04 in the other.
        name = names.get(_plain(str(component)))
        if name is None:
            problem = f"lacks {component}, which {metrics.path.name} calls {classification}"
            raise MissingColumn(mixing.path, problem, "Take both tables of one run of tedana.")
        columns[f"{classification}_{name}"] = numbers(series, name, mixing.path)
    return columns


def _plain(name: str) -> str:
    return re.sub(r"^ICA_0*(\d+)$", r"ICA_\1", name)
