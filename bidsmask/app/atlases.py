"""The atlases that the options name: which image, which table of names, which space."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bidsmask.app.notes import Notes
from bidsmask.bids.atlases import (
    AtlasKind,
    RegionColumns,
    atlas_copy,
    find_atlas_table,
    other_copies,
)
from bidsmask.bids.entities import Entities
from bidsmask.bids.templates import how_to_fetch
from bidsmask.errors import (
    DamagedFile,
    MissingInput,
    UnequalChoices,
    UnusableImage,
    UsageError,
)
from bidsmask.images.identity import identity

# A region of which less is seen may not be that region.
LITTLE_COVERAGE = 0.5


@dataclass(frozen=True)
class AtlasChoice:
    """One atlas of the command line: labels, maps, or spheres around seeds.

    Attributes
    ----------
    name : str
        Letters and digits, as in `atlas-Schaefer2018100Parcels7Networks`.
    image : Path
        Labels or maps; of spheres the table of seeds.
    table : Path or None
        Names by label; None where no table is at hand.
    space : str
        That the file name says; empty where it says none.
    kind : {"labels", "maps", "spheres"}
    """

    name: str
    image: Path
    table: Path | None
    space: str
    kind: AtlasKind


def atlas_choices(
    atlas: Sequence[str], maps: Sequence[str] = (), seeds: Sequence[Path] = ()
) -> tuple[AtlasChoice, ...]:
    """Return what `--atlas`, `--maps` (both IMAGE[=TABLE]) and `--seeds` name.

    Raises
    ------
    MissingInput
        A file is not there.
    UsageError
        Two atlases would have the same name in the output.
    """
    choices: dict[str, AtlasChoice] = {}
    given: list[tuple[str, str, AtlasKind]] = [
        *(("--atlas", text, "labels") for text in atlas),
        *(("--maps", text, "maps") for text in maps),
        *(("--seeds", str(path), "spheres") for path in seeds),
    ]
    for flag, text, kind in given:
        choice = atlas_choice(text, kind)
        if choice.name in choices:
            raise UsageError(
                f"{flag} {text}",
                f"would be written as atlas-{choice.name}, as {choices[choice.name].image} is",
                "Give one of the two files another name.",
            )
        choices[choice.name] = choice
    return tuple(choices.values())


def atlas_choice(text: str, kind: AtlasKind) -> AtlasChoice:
    """Return what one `IMAGE[=TABLE]`, or one table of seeds, names."""
    if kind == "spheres":
        refuse_missing(Path(text))
        return named_choice(Path(text), None, kind)
    whole = Path(text)
    image_text, _, table_text = text.rpartition("=")
    # A file whose own name holds an = is that file.
    image = whole if whole.exists() or not image_text else Path(image_text)
    given = Path(table_text) if image is not whole else None
    for path in filter(None, (image, given)):
        refuse_missing(path)
    table = find_atlas_table(image, given)
    if table is not None:
        refuse_missing(table)
    return named_choice(image, table, kind)


def named_choice(image: Path, table: Path | None, kind: AtlasKind) -> AtlasChoice:
    """Return the choice with name and space from the name of its image, or of its seeds."""
    entities = Entities.parse(image.name)
    parts = [entities.get(key) for key in ("atlas", "seg", "scale", "desc")]
    stem = re.sub(r"\.(nii(\.gz)?|tsv|csv)$", "", image.name)
    name = "".join(part for part in parts if part) if parts[0] else stem
    return AtlasChoice(
        name=re.sub("[^A-Za-z0-9]", "", name) or "atlas",
        image=image,
        table=table,
        space=entities.get("space") or entities.get("tpl") or "",
        kind=kind,
    )


def refuse_missing(path: Path) -> None:
    """Raise MissingInput where a file is not there, or lies empty as TemplateFlow leaves it."""
    fetch = how_to_fetch(path.name)
    if not path.is_file():
        raise MissingInput(str(path), "is not there", fetch or "Is its path right?")
    if fetch and path.stat().st_size == 0:
        raise MissingInput(str(path), "is empty (0 bytes): it was not fetched", fetch)


def refuse_another(choice: AtlasChoice, known: str, output: Path) -> None:
    """Raise UnequalChoices where an output keeps another image under the name of an atlas."""
    copy = atlas_copy(output, choice.name, choice.image, choice.kind)
    others = other_copies(output, choice.name, choice.kind)
    with suppress(DamagedFile, UnusableImage):  # a copy that is not there, or is damaged
        others += [copy] if identity(copy) != known else []
    if others:
        raise UnequalChoices(
            choice.image,
            f"is another atlas than the one of the same name in the output, {others[0]}",
            "Give it another name, or choose another output. --force replaces the one "
            "that is there; then every run must be made anew.",
        )


def note_regions(
    notes: Notes,
    choice: AtlasChoice,
    columns: RegionColumns,
    coverage: npt.NDArray[np.float64],
) -> None:
    """Note names that are missing, doubled or shifted, and regions of which little is seen.

    Parameters
    ----------
    notes : Notes
        Where the findings go.
    choice : AtlasChoice
    columns : RegionColumns
        Names of the regions.
    coverage : (n_regions,) float64 array
        Share of each region inside the mask.
    """

    def warn(code: str, problem: str, advice: str = "") -> None:
        notes.add("warning", code, choice.table, problem, advice)

    if choice.table is not None and columns.missing:
        shown = ", ".join(f"{label:g}" for label in columns.missing[:5])
        warn("unnamed-regions", f"names no region for {len(columns.missing)} labels: {shown}")
    if choice.table is not None and columns.doubled:
        shown = ", ".join(columns.doubled[:5])
        problem = f"gives one name to several regions: {shown}"
        warn("doubled-names", problem, "Their columns carry the label, too.")
    if choice.table is not None and columns.is_shifted:
        problem = "seems to count its regions from another number than the image"
        warn("shifted-names", problem, "Check that each name is its region's.")
    few = np.flatnonzero(coverage < LITTLE_COVERAGE)
    if len(few):
        shown = ", ".join(f"{columns.names[one]} {coverage[one]:.0%}" for one in few[:5])
        notes.add(
            "warning",
            "little-coverage",
            notes.job.label,
            f"covers less than half of {len(few)} of {len(coverage)} regions of {choice.name}: "
            f"{shown}{', …' if len(few) > 5 else ''}",
            "The table stat-coverage tells how much of each.",
        )
