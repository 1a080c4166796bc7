"""What belongs to an image: its mask, reference, confounds, events and source.

Two files belong together when their entities say so; labels are compared as they are meant,
for fMRIPrep 20.2 wrote `run-1` for a raw `run-01`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bidsmask.bids.entities import Entities
from bidsmask.bids.file import File
from bidsmask.bids.folder import Folder
from bidsmask.bids.inheritance import applicable, nearest
from bidsmask.bids.run import Segmentation

# What a series may have and its companions not: echoes are combined, magnitudes alone kept.
_COMBINED: Final = ("echo", "part")
_OF_A_SPACE: Final = ("space", "cohort", "res", "den")
# Suffixes of the tables that belong to a series: of confounds, of components and what they are.
_TABLES: Final = ("timeseries", "regressors", "mixing", "metrics")


def _companion(file: File, candidates: Iterable[File], *without: str) -> File | None:
    """Return the candidate with a series' entities; echo and part it may lack."""
    wanted = _pairs(file.entities, "desc", *without)
    required = {pair for pair in wanted if pair[0] not in _COMBINED}
    fitting = [
        candidate
        for candidate in candidates
        if required <= _pairs(candidate.entities, "desc", "label") <= wanted
    ]
    return max(fitting, key=lambda candidate: len(candidate.entities.pairs), default=None)


def find_mask(file: File, folder: Folder) -> Path | None:
    """Return the brain mask in the image's own space: `desc-brain`, in drafts `label-brain`."""
    masks = [
        f
        for f in folder.of_suffix(file.datatype, "mask")
        if f.is_image
        and (f.entities.get("desc"), f.entities.get("label"))
        in (("brain", None), (None, "brain"), ("brain", "brain"))
    ]
    found = _companion(file, masks)
    return None if found is None else found.path


def find_boldref(file: File, folder: Folder) -> Path | None:
    """Return the reference volume; of two in native space the one that anatomy is aligned to."""
    for desc in (None, "coreg", "preproc", "hmc"):
        references = [
            f
            for f in folder.of_suffix(file.datatype, "boldref")
            if f.is_image and f.entities.get("desc") == desc
        ]
        found = _companion(file, references)
        if found:
            return found.path
    return None


def find_segmentations(file: File, folder: Folder) -> dict[str, Segmentation]:
    """Return the participant's own labels in the space of a series, by their `desc-`.

    fMRIPrep writes them beside the series. A series in the space of the T1w also has those of
    the T1w itself.
    """
    found: dict[str, File] = {}
    if file.entities.get("space") == "T1w":
        told = _pairs(file.entities, *_OF_A_SPACE)
        anatomical = [one for one in _labelled(folder, "anat") if "space" not in one.entities]
        fitting = [one for one in anatomical if _pairs(one.entities, "desc") <= told]
        found |= {one.entities["desc"]: one for one in fitting}
    beside = _labelled(folder, file.datatype)
    for desc in sorted({one.entities["desc"] for one in beside}):
        own = _companion(file, [one for one in beside if one.entities["desc"] == desc])
        found |= {desc: own} if own else {}
    return {
        desc: Segmentation(image.path, _table_of_labels(image, folder))
        for desc, image in found.items()
    }


def _labelled(folder: Folder, datatype: str) -> list[File]:
    """Return the images of labels that have a `desc-`; without one they are tissues."""
    images = folder.of_suffix(datatype, "dseg")
    return [one for one in images if one.is_image and "desc" in one.entities]


def _table_of_labels(image: File, folder: Folder) -> Path | None:
    """Return the nearest table of names with the `desc-` of an image of labels."""
    tables = [
        one
        for one in folder.inheritable(image)
        if (one.entities.suffix, one.entities.extension) == ("dseg", ".tsv")
        and one.entities.get("desc") == image.entities["desc"]
    ]
    fitting = applicable(image.entities, tables)
    return fitting[-1].path if fitting else None


def find_confounds(file: File, folder: Folder) -> Path | None:
    """Return the confounds table; fMRIPrep's newer name before the older."""
    for suffix in ("timeseries", "regressors"):
        tables = [
            f
            for f in folder.of_suffix(file.datatype, suffix)
            if f.entities.get("desc") == "confounds" and f.entities.extension == ".tsv"
        ]
        found = _companion(file, tables, *_OF_A_SPACE)
        if found:
            return found.path
    return None


def find_denoised(file: File, folder: Folder) -> Path | None:
    """Return the same series as ICA-AROMA denoised it; its name may lack the resolution."""
    denoised = [
        f
        for f in folder.of_suffix(file.datatype, "bold")
        if f.is_image and f.entities.get("desc") == "smoothAROMAnonaggr"
    ]
    found = _companion(file, denoised) or _companion(file, denoised, "res")
    return None if found is None else found.path


def find_tables(file: File, folders: Iterable[Folder]) -> tuple[Path, ...]:
    """Return the tables of a series in all derivatives, one row per volume or component each."""
    found = []
    for folder in folders:
        for suffix in _TABLES:
            tables = [f for f in folder.of_suffix(file.datatype, suffix) if _is_table(f)]
            for desc in sorted({f.entities.get("desc") or "" for f in tables}):
                own = [f for f in tables if (f.entities.get("desc") or "") == desc]
                one = _companion(file, own, *_OF_A_SPACE)
                found += [one.path] if one else []
    return tuple(found)


def _is_table(file: File) -> bool:
    return file.entities.extension == ".tsv"


def find_sidecar(table: Path | None) -> Path | None:
    """Return the sidecar of a table, where there is one."""
    if table is None:
        return None
    sidecar = table.with_suffix(".json")
    return sidecar if sidecar.exists() else None


def find_events(file: File, folders: Iterable[Folder | None]) -> list[Path]:
    """Return the most specific events table that applies to a series; all where several are."""
    for folder in folders:
        if folder is None:
            continue
        tables = [
            f
            for f in folder.inheritable(file)
            if f.entities.suffix == "events" and f.entities.extension == ".tsv"
        ]
        fitting = nearest(file.entities, tables)
        if fitting:
            return [f.path for f in fitting]
    return []


def find_sources(file: File, raw: Folder) -> list[File]:
    """Return the raw series that a preprocessed one was made from: several for many echoes.

    Where the raw dataset has lost its images, the name that the series must have had there.
    """
    free = [key for key in _COMBINED if key not in file.entities]
    wanted = _pairs(file.entities, "desc", *_OF_A_SPACE)
    found = [
        source
        for source in raw.of_suffix("func", "bold")
        if source.is_image and _pairs(source.entities, *free) == wanted
    ]
    entities = file.entities.without("desc", *_OF_A_SPACE)
    session = [f"ses-{entities['ses']}"] if "ses" in entities else []
    path = raw.path.joinpath(*session, "func", entities.name())
    return found or [File(path, entities)]


def _pairs(entities: Entities, *without: str) -> frozenset[tuple[str, str]]:
    """Return what the pairs but those of some keys mean."""
    return frozenset(pair for pair in entities.meaning if pair[0] not in without)
