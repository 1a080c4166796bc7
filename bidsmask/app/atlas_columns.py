"""The columns of an atlas on a run: labels, maps or spheres, and what makes signals of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from bidsmask.app.atlas_notes import counted, note_coverage, note_labels, note_names, shown
from bidsmask.app.atlases import AtlasChoice
from bidsmask.app.notes import Notes
from bidsmask.app.options import Options
from bidsmask.app.preparation import AtlasPlan
from bidsmask.bids.atlases import RegionColumns, region_columns
from bidsmask.bids.seeds import Seeds, read_seeds
from bidsmask.bids.templates import Template
from bidsmask.cleaning.operator import Cleaned, TemporalOperator, clean
from bidsmask.errors import GridMismatch, UnusableTable
from bidsmask.images.grid import Grid
from bidsmask.masks.mask import Mask
from bidsmask.signals.atlas import Atlas, read_atlas
from bidsmask.signals.extract import RawSignals
from bidsmask.signals.extractor import Extractor
from bidsmask.signals.maps import MapExtractor, read_maps
from bidsmask.signals.regions import Regions, Statistic, StatisticExtractor, eigenvariates
from bidsmask.signals.spheres import Spheres
from bidsmask.signals.voxels import MemberExtractor

# What signals of maps are; of them there is no other statistic.
LEAST_SQUARES = "leastsquares"


@dataclass(frozen=True, eq=False)
class AtlasColumns:
    """The columns of an atlas on a run.

    Attributes
    ----------
    table : DataFrame
        `index`, `name` and what else is known, a row a column.
    sizes : (n_columns,) int array
        Voxels of each inside the mask.
    coverage : (n_columns,) float64 array
        NaN for a region that the image does not have.
    labels : (i, j, k) int32 array or None
        On the grid of the run; None for maps.
    regions : Regions or MapExtractor
    least : float
        Share that must be covered.
    """

    table: pd.DataFrame
    sizes: npt.NDArray[np.intp]
    coverage: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int32] | None
    regions: Regions | MapExtractor
    least: float = 0.0

    @property
    def left_out(self) -> npt.NDArray[np.bool_]:
        """Columns of which too little is covered, so that their signals are n/a; (n_columns,)."""
        return self.coverage < self.least

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return [str(name) for name in self.table["name"]]

    def extractor(self, statistic: str) -> Extractor:
        """Return what makes signals of them; for an eigenvariate, of their voxels."""
        if isinstance(self.regions, MapExtractor):
            return self.regions
        if statistic == "eigenvariate":
            return MemberExtractor(self.regions)
        return StatisticExtractor(self.regions, cast(Statistic, statistic))


def atlas_columns(plan: AtlasPlan, mask: Mask, options: Options, notes: Notes) -> AtlasColumns:
    """Read an atlas and move it to the mask of a run; leave out what is covered too little.

    Raises
    ------
    GridMismatch
        No region has a voxel in the field of view, or no map one inside the mask.
    DataError
        The image or table cannot be read or used.
    """
    match plan.choice.kind:
        case "labels":
            columns = label_columns(plan, mask, notes)
        case "maps":
            columns = map_columns(plan, mask, notes)
        case "spheres":
            columns = sphere_columns(plan, mask, options.radius, notes)
    # A region in the field of view but not in the mask is a missing column, as any other.
    if columns.labels is None:
        is_there, where = columns.sizes.any(), "inside the mask"
    else:
        is_there, where = columns.labels.any(), "in the field of view"
    if not is_there:
        run, space = notes.job.run, plan.choice.space
        lies = f"is in the space {space}" if space.name else "does not say its space"
        raise GridMismatch(
            plan.choice.image,
            f"has no voxel of its {counted(len(columns.names), 'region')} {where} of "
            f"{run.path.name}; it {lies}, and the run is in "
            f"{str(Template.of(run.entities)) or 'its own'}",
            "Is it in the space of the run?",
        )
    columns = replace(columns, least=options.min_coverage or 0.0)
    note_coverage(notes, plan.choice, columns.names, columns.coverage, columns.least)
    return columns


def label_columns(plan: AtlasPlan, mask: Mask, notes: Notes) -> AtlasColumns:
    """Return the columns of an image of labels."""
    atlas = read_atlas(plan.choice.image)
    note_labels(notes, plan.choice, atlas)
    if plan.choice.is_own:
        atlas = own_atlas(atlas, plan, notes)
    columns = region_columns(atlas.values.tolist(), plan.names)
    note_names(notes, plan.choice, columns, plan.names)
    labels = atlas.on(mask.grid)
    regions = Regions.of_labels(labels, atlas.values, mask.voxels)
    table = named_table(atlas.values.tolist(), columns)
    return AtlasColumns(table, regions.sizes, atlas.coverage(mask), labels, regions)


def own_atlas(atlas: Atlas, plan: AtlasPlan, notes: Notes) -> Atlas:
    """Return a participant's own labels with all regions of their table, and with no others."""
    known = sorted(int(label) for label in plan.names if label and float(label).is_integer())
    unknown = sorted(set(atlas.values.tolist()) - set(known))
    if unknown:
        notes.add(
            "warning",
            "unnamed-regions",
            plan.choice.table,
            f"names no region for {counted(len(unknown), 'label')} of {atlas.path.name}: "
            f"{shown(unknown)}",
            "They are left out, so that the columns are the same for all participants.",
        )
    return atlas.of(known)


def map_columns(plan: AtlasPlan, mask: Mask, notes: Notes) -> AtlasColumns:
    """Return the columns of maps, which are counted from 1."""
    maps = read_maps(plan.choice.image, mask)
    indices = range(1, maps.weights.shape[0] + 1)
    columns = region_columns(indices, plan.names)
    note_names(notes, plan.choice, columns, plan.names)
    extractor = MapExtractor(maps, mask)
    collinear = [columns.names[one] for one in np.flatnonzero(extractor.collinear)]
    if collinear:
        shown = ", ".join(collinear[:5])
        notes.add(
            "warning",
            "collinear-maps",
            plan.choice.image,
            f"has {len(collinear)} maps that add up to one another inside the mask: {shown}",
            "Their signals share what cannot be told apart; leave some of them out.",
        )
    sizes = np.diff(maps.weights.indptr).astype(np.intp)
    table = named_table(indices, columns)
    return AtlasColumns(table, sizes, maps.coverage, None, extractor)


def sphere_columns(
    plan: AtlasPlan, mask: Mask, radius_mm: float | None, notes: Notes
) -> AtlasColumns:
    """Return the columns of spheres around seeds."""
    seeds, spheres = spheres_of(plan.choice, radius_mm)
    columns = region_columns(seeds.indices, plan.names)
    regions, wholes = spheres.on(mask.grid, mask.voxels)
    coverage = regions.sizes / wholes
    note_names(notes, plan.choice, columns, plan.names)
    table = named_table(seeds.indices, columns)
    for axis, values in zip("xyz", spheres.centres_mm.T, strict=True):
        table[axis] = values
    table["radius"] = spheres.radii_mm
    labels = sphere_labels(spheres, mask.grid, np.array(seeds.indices, np.int32))
    return AtlasColumns(table, regions.sizes, coverage, labels, regions)


def named_table(indices: Sequence[int], columns: RegionColumns) -> pd.DataFrame:
    """Return the table of columns as far as every atlas has it."""
    return pd.DataFrame({"index": list(indices), "name": list(columns.names)})


def spheres_of(choice: AtlasChoice, radius_mm: float | None) -> tuple[Seeds, Spheres]:
    """Return the seeds of a table, and their spheres.

    Raises
    ------
    UnusableTable
        The table is none of seeds, or it says of the radius what the options say, or neither.
    """
    seeds = read_seeds(choice.image)
    if seeds.radii_mm is None and radius_mm is None:
        problem = "has no column 'radius', and no radius is given"
        raise UnusableTable(choice.image, problem, "Give --radius.")
    if seeds.radii_mm is not None and radius_mm is not None:
        problem = f"has a column 'radius', but --radius {radius_mm:g} is given, too"
        raise UnusableTable(choice.image, problem, "Leave one of them out.")
    radii = seeds.radii_mm or [radius_mm] * len(seeds.indices)
    return seeds, Spheres(np.array(seeds.centres_mm), np.array(radii, np.float64))


def refuse_overlap(choice: AtlasChoice, seeds: Seeds, spheres: Spheres, grid: Grid) -> None:
    """Raise UnusableTable where spheres share a voxel, inside the mask or not."""
    regions, _ = spheres.on(grid, np.ones(grid.shape, bool))
    pairs = regions.overlaps()
    if pairs:
        names = region_columns(seeds.indices, seeds.names).names
        shown = ", ".join(f"{names[one]} and {names[other]}" for one, other in pairs[:3])
        raise UnusableTable(
            choice.image,
            f"has spheres that share voxels: {shown}{', …' if len(pairs) > 3 else ''}",
            "Give a smaller radius, or --allow-overlap.",
        )


def sphere_labels(
    spheres: Spheres, grid: Grid, indices: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """Return an image of spheres; where they overlap, a voxel has the index of the nearest."""
    regions, _ = spheres.on(grid, np.ones(grid.shape, bool))
    sphere = np.repeat(np.arange(len(indices)), regions.sizes)
    ijk = regions.ijk[regions.members]
    distance = np.linalg.norm(grid.to_mm(ijk) - spheres.centres_mm[sphere], axis=1)
    farthest_first = np.lexsort((-sphere, -distance))
    labels = np.zeros(grid.shape, np.int32)
    labels[tuple(ijk[farthest_first].T)] = indices[sphere[farthest_first]]
    return labels


def clean_eigenvariates(
    operator: TemporalOperator,
    raw: RawSignals,
    sizes: npt.NDArray[np.intp],
    n_threads: int,
) -> Cleaned:
    """Clean the voxels of regions, and return what those of each have most in common.

    Parameters
    ----------
    operator : TemporalOperator
    raw : RawSignals
        Of a MemberExtractor.
    sizes : (n_regions,) int array
        Voxels of each region.
    n_threads : int
        As `clean`.

    Returns
    -------
    Cleaned
        float64, a column a region.
    """
    is_percent = operator.standardize == "psc"
    unscaled = replace(operator, standardize="psc" if is_percent else "none")
    # An eigenvariate has no level, so that only percents of one need it.
    level = raw.reference if is_percent else np.zeros_like(raw.reference)
    voxels = clean(unscaled, raw.values, level, n_threads=n_threads)
    values = eigenvariates(voxels.values, sizes)
    if operator.standardize in ("zscore", "zscore_sample"):
        values /= values.std(axis=0, ddof=1 if operator.standardize == "zscore_sample" else 0)
    return Cleaned(values, np.asarray(np.isnan(values).any(axis=0)))
