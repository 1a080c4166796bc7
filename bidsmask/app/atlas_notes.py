"""What the user should know of an atlas on a run: of its space, names, labels and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bidsmask.app.atlases import AtlasChoice
from bidsmask.app.notes import Notes
from bidsmask.bids.atlases import RegionColumns
from bidsmask.bids.region_names import Label
from bidsmask.signals.atlas import Atlas

# A region of which less is seen may not be that region.
LITTLE_COVERAGE = 0.5
# So many regions are named, and the others counted.
NAMED = 5


def shown(names: Sequence[object]) -> str:
    """Return names as a list; of many the first, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(str, names[:NAMED])) + more


def counted(number: int, word: str) -> str:
    """Return how many there are of something: `1 label`, `2 labels`."""
    return f"{number} {word}{'s' * (number != 1)}"


def note_space(notes: Notes, choice: AtlasChoice) -> None:
    """Note that the name of an atlas does not say its space."""
    if not choice.space.name and not choice.is_own:
        notes.add(
            "note",
            "atlas-space-unsaid",
            choice.image,
            "does not say its space in its name; it is taken to be that of the runs",
            "Name it space-…_atlas-… to have that checked.",
        )


def note_labels(notes: Notes, choice: AtlasChoice, atlas: Atlas) -> None:
    """Note what is unusual about an image of labels: gaps, negative ones, values that are none."""
    values = atlas.values.tolist()
    negative = [value for value in values if value < 0]
    if negative:
        notes.add(
            "warning",
            "negative-labels",
            atlas.path,
            f"holds labels below 0, which are regions like others: {shown(negative)}",
            "Set them to 0 where they are none.",
        )
    if atlas.n_nan:
        problem = f"holds {counted(atlas.n_nan, 'voxel')} of NaN, taken as background"
        notes.add("warning", "labels-nan", atlas.path, problem)
    positive = [value for value in values if value > 0]
    n_gaps = positive[-1] - positive[0] + 1 - len(positive) if positive else 0
    if n_gaps and not choice.is_own:
        notes.add(
            "note",
            "labels-with-gaps",
            atlas.path,
            f"holds {len(positive)} labels from {positive[0]} to {positive[-1]}, and leaves out "
            f"{counted(n_gaps, 'number')} between them",
        )


def note_names(
    notes: Notes, choice: AtlasChoice, columns: RegionColumns, names: Mapping[Label, str]
) -> None:
    """Note names that are missing, doubled or shifted, or those of no region.

    Parameters
    ----------
    notes : Notes
        Where the findings go.
    choice : AtlasChoice
    columns : RegionColumns
        Names of the regions.
    names : mapping of number to str
        All that the table has, by label.
    """
    # Seeds may have names in their own table.
    table = choice.image if choice.kind == "spheres" and names else choice.table
    if table is None:
        return

    def warn(code: str, problem: str, advice: str = "") -> None:
        notes.add("warning", code, table, problem, advice)

    if columns.missing:
        labels = [f"{label:g}" for label in columns.missing]
        problem = f"names no region for {counted(len(labels), 'label')}: {shown(labels)}"
        warn("unnamed-regions", problem, "Their columns are label-… with the label.")
    if columns.doubled:
        problem = f"gives one name to several regions: {shown(columns.doubled)}"
        warn("doubled-names", problem, "Their columns carry the label, too.")
    if columns.is_shifted:
        problem = "seems to count its regions from another number than the image"
        warn("shifted-names", problem, "Check that each name is its region's.")
    unused = [f"{names[label]} ({label:g})" for label in columns.unused]
    if unused:
        notes.add(
            "note",
            "names-without-region",
            table,
            f"names {counted(len(unused), 'region')} that {choice.image.name} has not: "
            f"{shown(unused)}",
        )


def note_coverage(
    notes: Notes,
    choice: AtlasChoice,
    names: Sequence[str],
    coverage: npt.NDArray[np.float64],
    least: float,
) -> None:
    """Note regions of which little is seen, those that are left out for it, and absent ones.

    Parameters
    ----------
    notes : Notes
        Where the findings go.
    choice : AtlasChoice
    names : sequence of str
        Of the columns.
    coverage : (n_regions,) float64 array
        Share of each region inside the mask; NaN for one that the image does not have.
    least : float
        Share below which a region is left out.
    """

    def told(is_it: npt.NDArray[np.bool_], bound: float) -> str:
        which = np.flatnonzero(is_it).tolist()
        return shown([f"{names[one]} {percent_below(coverage[one], bound)}" for one in which])

    label = notes.job.label
    absent = np.isnan(coverage)
    if absent.any():
        which = shown([names[one] for one in np.flatnonzero(absent).tolist()])
        problem = (
            f"has no voxel of {absent.sum()} of the {len(names)} regions of its table: {which}"
        )
        notes.add("note", "absent-regions", choice.image, problem, "Their columns are n/a.")
    under = coverage < least
    if under.any():
        notes.add(
            "warning",
            "under-min-coverage",
            label,
            f"covers less than {least:g} of {under.sum()} of {len(names)} regions of "
            f"{choice.name}, which are n/a: {told(under, least)}",
            "The table stat-coverage tells how much of each.",
        )
    few = (coverage < LITTLE_COVERAGE) & ~under
    if few.any():
        notes.add(
            "warning",
            "little-coverage",
            label,
            f"covers less than half of {few.sum()} of {len(names)} regions of {choice.name}: "
            f"{told(few, LITTLE_COVERAGE)}",
            "The table stat-coverage tells how much of each.",
        )


def percent_below(share: float, bound: float) -> str:
    """Return a share in percent, with as many decimals as show that it is below a bound."""
    texts = [f"{share:.{decimals}%}" for decimals in range(6)]
    return next((text for text in texts if float(text[:-1]) < 100 * bound), texts[-1])
