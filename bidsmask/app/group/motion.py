"""What each cleaning leaves of motion: QC-FC of the regions' signals, side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from bidsmask.app.group.cohort import Cohort, RunGroup
from bidsmask.app.group.columns import read_columns
from bidsmask.app.group.remedy import EACH
from bidsmask.app.group.run_outputs import ProductName
from bidsmask.app.group.task import GroupTask, GroupWork, Source
from bidsmask.bids.outputs import WrittenProduct
from bidsmask.bids.signals_table import read_names, read_signals
from bidsmask.bids.tables import table_bytes
from bidsmask.connectivity.covariance import FloatArray
from bidsmask.connectivity.measures import connect
from bidsmask.connectivity.motion import SIGNIFICANT, QcFc
from bidsmask.errors import DataError, Finding, UnusableTable
from bidsmask.signals.atlas import read_atlas

# A correlation over fewer runs says nothing.
FEWEST: Final = 5


def motion_tasks(cohort: Cohort, group: RunGroup, measures: Sequence[str]) -> Iterator[GroupTask]:
    """Yield what tells how the signals of each atlas go with motion, after each cleaning."""
    sources: dict[Path, Source] = {}
    left_out: dict[str, str] = {}
    for name in region_signals(group) if measures else ():
        signals = with_displacement(group, name)
        if len(signals) < FEWEST:
            continue
        atlas = ProductName("atlas", name.atlas)
        images = [(run, run.products[atlas]) for run, _ in signals if atlas in run.products]
        sources |= {one.path: (run, one) for run, one in [*signals, *images]}
        left_out |= group.without(name)
    if not sources:
        return
    entities = group.entities.with_(desc="motion")
    files = ((cohort.output / entities.name(suffix="qc", extension=".tsv"),),)
    label = entities.name(suffix="", extension="")
    make = partial(make_motion, measures=measures)
    yield GroupTask(label, files, list(sources.values()), make, list(measures), left_out)


def region_signals(group: RunGroup) -> list[ProductName]:
    """Return the names of the signals of regions that can be joined."""
    return [one for one in group.names("signals") if one.atlas and one not in group.conflicts]


def notes_on_motion(group: RunGroup, measures: Sequence[str]) -> Iterator[Finding]:
    """Yield a warning where motion is asked for and cannot be told of all signals of regions."""
    if not measures or group.datatype != "func":
        return
    if not any(one.atlas for one in group.names("signals")):
        problem = "has no signals of regions, so that --connectivity tells nothing of motion"
        advice = "Run the participant level with --atlas, --maps or --seeds."
        yield Finding("warning", "no-qc-fc", group.label, problem, advice)
    for name in region_signals(group):
        if (n_runs := len(with_displacement(group, name))) < FEWEST:
            yield Finding(
                "warning",
                "no-qc-fc",
                group.label,
                f"has too few runs to tell what is left of motion in {name}: {n_runs} with a mean "
                f"framewise displacement, and {FEWEST} are needed",
                f"Leave --connectivity out, or work on {FEWEST} runs or more with confounds.",
            )


def with_displacement(group: RunGroup, name: ProductName) -> list[Source]:
    """Return the signals of a name whose runs' displacement is known, each with its run."""
    return [(run, one) for run, one in group.of(name) if displacement_of(one) is not None]


def displacement_of(signals: WrittenProduct) -> float | None:
    """Return the mean framewise displacement of a run, mm, as far as its signals tell it."""
    value = signals.metadata.get("MeanFramewiseDisplacement")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def make_motion(work: GroupWork, measures: Sequence[str]) -> None:
    """Write a row for each atlas, statistic, cleaning and measure.

    Raises
    ------
    UnusableTable
        No run can be read.
    """
    names = sorted({ProductName.of(one) for _, one in work.sources if one.kind == "signals"})
    with threadpool_limits(1, user_api="blas"):
        rows = [row for name in names for row in rows_of(work, name, measures)]
    if not rows:
        raise UnusableTable(work.task.label, "has no run that can be read", EACH)
    content = table_bytes(pd.DataFrame(rows))
    work.publish(work.task.products[0], [content], motion_sidecar())


def rows_of(work: GroupWork, name: ProductName, measures: Sequence[str]) -> list[dict[str, Any]]:
    """Return what is left of motion in the signals of one name, by each measure."""
    columns = columns_of_runs(work, name)
    counted = Counter(columns.values()).most_common(1)
    usual = counted[0][0] if counted else ()
    found = {measure: QcFc() for measure in measures}
    freedoms = []
    for run, signals in sources_of(work, name):
        values = signals_of(signals) if columns[run.label] == usual else None
        displacement, freedom = displacement_of(signals), freedom_of(signals)
        if values is None or displacement is None:
            work.do_without(signals)
            continue
        for measure, sums in found.items():
            connected = connect(values, measure, freedom=freedom[0])
            if not connected.problem:
                sums.add(connected.values[np.triu_indices(len(usual), k=1)], displacement)
        freedoms.append(freedom)
    if not freedoms:
        return []
    lengths = lengths_of(work, name, usual)
    kept, lost = np.array(freedoms, float).mean(axis=0)
    names = {"atlas": name.atlas, "statistic": name.statistic, "cleaning": name.desc}
    rows = []
    for measure, sums in found.items():
        left = sums.result(lengths)
        numbers = {
            "runs": left.n_runs,
            "edges": left.n_edges,
            "qc_fc_median": round(left.median, 6),
            "qc_fc_significant": round(left.significant, 6),
            "qc_fc_with_length": round(left.with_length, 6),
            "degrees_of_freedom_remaining": round(float(kept), 3),
            "degrees_of_freedom_lost": round(float(lost), 3),
        }
        rows.append({**names, "measure": measure, **numbers})
    return rows


def columns_of_runs(work: GroupWork, name: ProductName) -> dict[str, tuple[str, ...]]:
    """Return the columns of each run; what cannot be read is named where signals are joined."""
    columns: dict[str, tuple[str, ...]] = {}
    for run, signals in sources_of(work, name):
        try:
            columns[run.label] = tuple(read_names(signals.path))
        except DataError:
            work.do_without(signals)
    return columns


def sources_of(work: GroupWork, name: ProductName) -> list[Source]:
    """Return the signals of a name that are still to be looked at."""
    return [(run, one) for run, one in work.sources if ProductName.of(one) == name]


def signals_of(signals: WrittenProduct) -> npt.NDArray[np.float32] | None:
    """Return the signals of a run; None where they cannot be read."""
    try:
        return read_signals(signals.path)[1]
    except DataError:
        return None


def freedom_of(signals: WrittenProduct) -> tuple[float | None, float | None]:
    """Return the degrees of freedom that remain, and that were lost; None where unknown."""
    told = signals.metadata.get("DegreesOfFreedom")
    volumes, remaining = (
        told.get(key) if isinstance(told, dict) else None for key in ("volumes", "remaining")
    )
    if not (isinstance(volumes, int | float) and isinstance(remaining, int | float)):
        return None, None
    return float(remaining), float(volumes - remaining)


def lengths_of(work: GroupWork, name: ProductName, regions: Sequence[str]) -> FloatArray | None:
    """Return the distance of each two regions, mm, by an image of the atlas; None without one."""
    wanted = ProductName("atlas", name.atlas)
    images = [(run, one) for run, one in work.sources if ProductName.of(one) == wanted]
    for _, product in images:
        try:
            centres = centres_of(product, regions)
        except DataError:
            work.do_without(product)
            continue
        if centres is not None:
            one, other = np.triu_indices(len(regions), k=1)
            lengths: FloatArray = np.linalg.norm(centres[one] - centres[other], axis=1)
            return lengths
    return None


def centres_of(product: WrittenProduct, regions: Sequence[str]) -> FloatArray | None:
    """Return the mean place of each region's voxels, mm; None where the names are others."""
    columns, _ = read_columns(product.data[1])
    if columns.names != tuple(regions) or columns.index is None:
        return None
    atlas = read_atlas(product.path)
    ijk = np.argwhere(atlas.labels != 0)
    place = {label: number for number, label in enumerate(columns.index)}
    of_value = np.array([place.get(int(value), -1) for value in atlas.values])
    region = of_value[np.searchsorted(atlas.values, atlas.labels[tuple(ijk.T)])]
    mm, region = atlas.grid.to_mm(ijk[region >= 0]), region[region >= 0]
    sizes = np.bincount(region, minlength=len(regions))
    sums = [np.bincount(region, along, minlength=len(regions)) for along in mm.T]
    with np.errstate(invalid="ignore"):
        centres: FloatArray = np.transpose(sums / sizes)
    return centres


def motion_sidecar() -> dict[str, Any]:
    """Return what is said of the table."""
    r = "correlation, over runs, of an edge's connectivity with mean framewise displacement"
    return {
        "Description": "How much of motion each cleaning leaves in the connectivity of the "
        f"regions (Ciric et al. 2017). QC-FC is the {r}; an edge is each two regions.",
        "atlas": {"Description": "Atlas of the regions."},
        "statistic": {"Description": "Of the regions' voxels."},
        "cleaning": {"Description": "The set of cleaning choices: `desc-` of the signals."},
        "measure": {"Description": "Of connectivity, as `--connectivity` names it."},
        "runs": {"Description": "Runs that were looked at."},
        "edges": {"Description": "Edges that have a value in each of them."},
        "qc_fc_median": {"Description": "Median of the absolute QC-FC; 0 is best."},
        "qc_fc_significant": {
            "Description": f"Share of edges whose QC-FC has p < {SIGNIFICANT}, uncorrected."
        },
        "qc_fc_with_length": {
            "Description": "Correlation of QC-FC with the distance of the regions' centres, mm."
        },
        "degrees_of_freedom_remaining": {"Description": "Mean over runs, after cleaning."},
        "degrees_of_freedom_lost": {"Description": "Mean over runs: volumes less those."},
    }
