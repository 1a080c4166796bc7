"""Which table belongs to an atlas, what its columns are called, and what an output keeps of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bidsmask.bids.entities import Entities
from bidsmask.bids.region_names import Label, read_region_names
from bidsmask.errors import MissingInput

AtlasKind = Literal["labels", "maps", "spheres"]
SUFFIXES: Final[dict[AtlasKind, str]] = {"labels": "dseg", "maps": "probseg", "spheres": "seeds"}
# What an atlas's name may have beside `atlas-`; the others say where its image lies.
_OF_NAME: Final = ("atlas", "seg", "scale", "desc")
# What says where it lies, and on which grid.
_OF_PLACE: Final = ("tpl", "cohort", "res")
# TemplateFlow's tables of these count from 0, as FSL does; their labels and volumes from 1. In
# copies that an output keeps, the name goes on with their `desc-`.
_FROM_ZERO: Final = ("HOCPA", "HOCPAL", "HOSPA")
_NO_REGION: Final = ("background", "unknown", "none")


def find_atlas_table(image: Path, given: Path | None = None) -> Path | None:
    """Find the table that names the regions of a label image.

    Parameters
    ----------
    image : Path
        The label image, `.nii` or `.nii.gz`.
    given : Path, optional
        The table that the user named; then nothing is looked for.

    Returns
    -------
    Path or None
        The first of: `given`; the image's name with `.tsv`, `.csv` or `.txt` in place of
        `.nii.gz` or of `.gz` alone; a `.tsv` in the same folder that has the image's suffix and
        none but the image's entities (BIDS and TemplateFlow leave out `res-` there), the one
        that shares most. None if there is none.

    Raises
    ------
    MissingInput
        If `given` is not there.
    """
    if given is not None:
        if not given.is_file():
            raise MissingInput(given, "is not there", "Name the atlas's table by its path.")
        return given
    stem = image.name.removesuffix(".gz")
    stems = (stem.removesuffix(".nii"), stem)
    beside = (image.with_name(s + e) for e in (".tsv", ".csv", ".txt") for s in stems)
    return next((path for path in beside if path.is_file()), None) or _inherited(image, stems[0])


def _inherited(image: Path, stem: str) -> Path | None:
    """Find the TSV whose name is the image's with some entities left out."""
    *entities, suffix = stem.split("_")

    def shared(path: Path) -> int:
        *others, its_suffix = path.stem.split("_")
        fits = its_suffix == suffix and set(others) <= set(entities)
        return len(others) if fits else 0

    found = max(sorted(image.parent.glob(f"*_{suffix}.tsv")), key=shared, default=None)
    return found if found and shared(found) else None


def read_names_of(image: Path, table: Path, n_maps: int = 0) -> tuple[dict[Label, str], bool]:
    """Read the names of the regions of an image, whose labels or volumes count from 1.

    Parameters
    ----------
    image, table : Path
    n_maps : int
        Volumes of maps; 0 for labels.

    Returns
    -------
    names : dict of number to str
        By label, or by number of the volume from 1.
    is_from_zero : bool
        Whether one was added to each index: tables of maps may count from 0, and those of
        TemplateFlow's Harvard-Oxford atlases do.

    Raises
    ------
    UnusableTable
        As `read_region_names`.
    """
    names = read_region_names(table)
    entities = Entities.parse(image.name)
    counts_from_zero = "tpl" in entities and (entities.get("atlas") or "").startswith(_FROM_ZERO)
    is_from_zero = False
    if names.get(0, "background").lower() not in _NO_REGION:
        is_from_zero = counts_from_zero or max(names) < n_maps
    return {index + is_from_zero: name for index, name in names.items()}, is_from_zero


def atlas_name(entities: Entities) -> str:
    """Return what an atlas is called: `Schaefer2018100Parcels7Networks`; empty without `atlas-`."""
    parts = [entities.get(key) or "" for key in _OF_NAME]
    return "".join(parts) if parts[0] else ""


def atlas_copy(output: Path, entities: Entities, file: Path, kind: AtlasKind = "labels") -> Path:
    """Return where an output keeps the image of an atlas, its table or its seeds, as used."""
    extension = file.suffix.lower().replace(".gz", ".nii.gz")
    return output / "atlases" / entities.name(suffix=SUFFIXES[kind], extension=extension)


def conflicting_copies(
    output: Path, entities: Entities, kind: AtlasKind
) -> tuple[list[Path], list[Path]]:
    """Return what an output keeps of atlases of this name: those of its kind and place, and others.

    Parameters
    ----------
    output : Path
    entities : Entities
        `atlas-`, and as far as is known the place of the image: `tpl-`, `cohort-`, `res-`.
    kind : {"labels", "maps", "spheres"}

    Returns
    -------
    same, others : list of Path
        Images and seeds. The first must be the very atlas, the second are of another kind.
    """
    same: list[Path] = []
    others: list[Path] = []
    for path in sorted((output / "atlases").glob(f"*atlas-{entities['atlas']}_*")):
        found = Entities.parse(path.name)
        is_table = found.suffix != SUFFIXES["spheres"] and not found.extension.startswith(".nii")
        if found.get("atlas") != entities["atlas"] or is_table:
            continue
        if found.suffix != SUFFIXES[kind]:
            others.append(path)
        elif all(found.get(key) in (None, entities.get(key, found.get(key))) for key in _OF_PLACE):
            same.append(path)
    return same, others


@dataclass(frozen=True)
class RegionColumns:
    """What the columns of an atlas's signals are called.

    Attributes
    ----------
    names : tuple of str
        One for each label, all different.
    missing : tuple of numbers
        The labels that the table does not name; their columns are `label-<value>`.
    doubled : tuple of str
        The names that the table gives to more than one of the labels; their columns are
        `<name>_<value>`.
    is_shifted : bool
        Whether the table seems to count from 0 what the image counts from 1, as TemplateFlow's
        Harvard-Oxford tables do, so that each name would be that of the next region: index 0
        has a name and the highest label has none, but the one below it has.
    unused : tuple of numbers
        What the table names beside the background, and is no label.
    """

    names: tuple[str, ...]
    missing: tuple[Label, ...]
    doubled: tuple[str, ...]
    is_shifted: bool
    unused: tuple[Label, ...] = ()


def region_columns(labels: Iterable[Label], names: Mapping[Label, str]) -> RegionColumns:
    """Return a unique name for each label.

    The name of a label depends on the table and on the labels of the atlas, not on the rows'
    order, so that it is the same for every participant.

    Parameters
    ----------
    labels : iterable of numbers
        The values in the atlas image, background left out, each once; sorted, as the columns.
    names : mapping of number to str
        From `read_region_names`, or empty.
    """
    values = [int(label) if float(label).is_integer() else float(label) for label in labels]
    missing = tuple(value for value in values if value not in names)
    wanted = [names.get(value, f"label-{value}") for value in values]
    times = Counter(wanted)
    doubled = tuple(name for name in times if times[name] > 1)
    # A name that was unique keeps its column; one made here must not take it away.
    taken = {name for name in wanted if times[name] == 1}
    result = []
    for value, name in zip(values, wanted, strict=True):
        column = name
        while times[name] > 1 and (column == name or column in taken):
            column = f"{column}_{value}"
        taken.add(column)
        result.append(column)
    highest = max(values, default=0)
    is_shifted = highest not in names and 0 in names and highest - 1 in names
    unused = tuple(sorted(set(names) - set(values) - {0}))
    return RegionColumns(tuple(result), missing, doubled, is_shifted, unused)
