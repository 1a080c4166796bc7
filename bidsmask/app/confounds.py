"""What a cleaning takes of a run: tables beside its confounds, and a series denoised before."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bidsmask.app.job import Job
from bidsmask.app.notes import Notes
from bidsmask.bids.tables import read_table
from bidsmask.cleaning.columns import ColumnChoice
from bidsmask.cleaning.strategies import ConfoundsStrategy
from bidsmask.cleaning.table import OtherTable
from bidsmask.cleaning.tedana import METRICS, MIXING
from bidsmask.errors import MissingCompanion
from bidsmask.images.image import Image, open_image

# What fMRIPost-AROMA writes in the place of fMRIPrep's columns.
AROMA_TABLE = "desc-aroma_timeseries"


@dataclass(frozen=True, eq=False)
class Material:
    """What one strategy takes of one run.

    Attributes
    ----------
    strategy : ConfoundsStrategy
        As it is for this run: of ICA-AROMA, the denoised image or the columns.
    image : Image
        The series that signals are taken from.
    others : mapping
        Tables beside the confounds of the run, by `ColumnChoice.place` and tedana's names.
    """

    strategy: ConfoundsStrategy
    image: Image
    others: Mapping[str, OtherTable]

    @property
    def tables(self) -> tuple[Path, ...]:
        """The tables beside the confounds."""
        return tuple(dict.fromkeys(one.path for one in self.others.values()))


def material_of(
    job: Job,
    strategy: ConfoundsStrategy,
    image: Image,
    confounds: pd.DataFrame | None,
    notes: Notes,
) -> Material:
    """Return what a strategy takes of a run.

    Raises
    ------
    MissingCompanion
        A table that the strategy needs is in none of the derivatives, or in several.
    UnusableTable
        One of them cannot be read.
    """
    series = image
    if strategy.aroma == "full":
        strategy, series = _of_aroma(job, strategy, image, confounds, notes)
    wanted = {one.place: one for one in strategy.columns if one.table}
    if strategy.tedana != "none":
        wanted |= {name: ColumnChoice((), "tedana", name) for name in (MIXING, METRICS)}
    others = {place: _table(job, choice) for place, choice in wanted.items()}
    return Material(strategy, series, others)


def _of_aroma(
    job: Job,
    strategy: ConfoundsStrategy,
    image: Image,
    confounds: pd.DataFrame | None,
    notes: Notes,
) -> tuple[ConfoundsStrategy, Image]:
    """Return the series that ICA-AROMA denoised, or the strategy with its columns instead."""
    if job.run.denoised is not None:
        series = open_image(job.run.denoised)
        if series.grid.is_same(image.grid) and series.n_volumes == image.n_volumes:
            return strategy, series
        notes.add(
            "note",
            "denoised-not-alike",
            series.path,
            f"has another grid or number of volumes than {image.path.name}, and is not used",
            "The columns of ICA-AROMA are regressed out of the series instead.",
        )
    has_columns = confounds is not None and any("aroma" in name for name in confounds.columns)
    if not has_columns and _tables_of(job, AROMA_TABLE):
        choice = ColumnChoice(("aroma_motion_*",), "--confounds aroma", AROMA_TABLE)
        columns = (*strategy.columns, choice)
        return dataclasses.replace(strategy, aroma="none", columns=columns), image
    return dataclasses.replace(strategy, aroma="basic"), image


def _table(job: Job, choice: ColumnChoice) -> OtherTable:
    """Read the one table that a choice means."""
    found = _tables_of(job, choice.table, choice.dataset)
    if len(found) == 1:
        return OtherTable(found[0], read_table(found[0]))
    name = f"…_{choice.table}.tsv" + (f" in the dataset {choice.dataset}" if choice.dataset else "")
    if not found:
        there = sorted({path.name.split("_", 2)[-1] for path in job.run.tables})
        raise MissingCompanion(
            job.run.path,
            f"has no table {name}, which {choice.asked_by} needs",
            "Give the derivatives that hold it with -d"
            + (f"; there is {', '.join(there)}." if there else "."),
        )
    datasets = " and ".join(job.dataset.uri(path).split(":")[1] for path in found)
    raise MissingCompanion(
        job.run.path,
        f"has a table {name} in several datasets: {datasets}",
        "Say which by `dataset` in a file of confounds, or give one of them with -d.",
    )


def _tables_of(job: Job, ending: str, dataset: str = "") -> list[Path]:
    """Return the tables of the run whose names end so, in a dataset or in any."""
    return [
        path
        for path in job.run.tables
        if path.name.endswith(f"_{ending}.tsv")
        and job.dataset.uri(path).startswith(f"bids:{dataset}:" if dataset else "bids:")
    ]
