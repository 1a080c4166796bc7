"""What an output folder says about itself: that it is a BIDS-Derivatives dataset, and of what.

Many runs may share one output (array jobs with `--participant-label`). So each of these files
is written whole or not at all, only where it changes, and from what the folder holds by then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from bidsmask._version import __version__
from bidsmask.bids.atlases import AtlasKind, atlas_copy
from bidsmask.bids.dataset import (
    APP,
    DESCRIPTION,
    participant_folders,
    read_description,
)
from bidsmask.bids.entities import Entities
from bidsmask.bids.locks import remove_leftovers
from bidsmask.bids.place import make_root, refusing
from bidsmask.bids.publish import json_bytes, publish
from bidsmask.bids.tables import read_cells, table_bytes
from bidsmask.errors import (
    DamagedFile,
    Finding,
    UnusableTable,
)
from bidsmask.images.source import read_regular

CODE_URL = "https://github.com/bidsmask/bidsmask"
BIDS_VERSION = "1.11.1"

# Names that BIDS does not know yet. Folders stand without a trailing slash: with one, the
# official validator (3.0.2) does not take them.
IGNORED = (
    "*_timeseries.*",
    "*_volumes.*",
    "*_trials.*",
    "*_trialseries.*",
    "*_relmat.*",
    "*_cohort-*",
    "*mod-T2w_*",
    "/mod-T1w_*",
    "*_bold.tsv",
    "*_bold.json",
    "*_qc.json",
    "*_qc.tsv",
    # Masks of several tasks have no task in their name.
    *(f"*{ending}.*" for ending in ("Intersection_mask", "Majority_mask", "Union_mask")),
    "*Share_probseg.*",
    "/task-*_mask.*",
    "/task-*_probseg.*",
    "/task-*_signals.*",
    "*.html",
    "figures",
    "atlases",
)

_README = """\
# Brain masks and cleaned signals

bidsmask made this folder from the datasets that `dataset_description.json` names under
`DatasetLinks`. It can be made again: each `logs/run-*/config.toml` repeats one run, and every
JSON file beside a product tells what the product was made from, and how.

For each run of each participant, in `sub-*/[ses-*/]func`, masks in `anat`, too:

- `*_desc-STRATEGY_mask.nii.gz`: the brain mask, 1 inside and 0 outside; in `anat`, that of a T1w,
  or with `mod-T2w` of a T2w.
- `*_seg-voxels_*dseg.nii.gz`: the column map. A voxel that holds the value v is column v of the
  voxel signals, counted from 1.
- `*_seg-voxels_*timeseries.tsv`: cleaned signals, one column for each voxel of the mask.
- `*_atlas-NAME_*dseg.nii.gz`: the atlas on the grid of the run.
- `*_atlas-NAME_*timeseries.tsv`: cleaned signals, one column for each region, map or seed of
  the atlas; `stat-` says what of its voxels.
- `*_atlas-NAME_*stat-coverage_bold.tsv`: the share of each region that lies inside the mask and
  the field of view.
- `*_atlas-NAME_*relmat.tsv`: how the signals of the regions go together, a row and a column for
  each; `stat-` names the measure.
- `*_volumes.tsv`: one row for each volume of the run: when it was, whether it was kept, and if
  not, why, and which trial it falls into.
- `*_trials.tsv`: one row for each trial of the run: when it was, and how many of its volumes are
  kept.
- `*_trialseries.tsv`: the mean of the signals over each trial: the rows are those of the
  `_trials.tsv` that the JSON beside it names.
- `*_desc-*Joined_*`: the signals and volumes of all runs of a task, one below the other.

For all runs of a task in one space, at the root, once the group level has run:

- `task-*_desc-majority_mask.nii.gz`, `task-*_desc-intersection_mask.nii.gz`: the voxels that more
  than half of the runs, or all of them, have in their mask; of anatomical images `mod-*`.
- `task-*_desc-share_probseg.nii.gz`: the share of the runs that have a voxel in their mask.
- `task-*_signals.h5`: the signals of the regions in all runs, with volumes and participants.
- `task-*_desc-group_bold.tsv`: the share of each region that each run covers.
- `desc-group_qc.tsv`: one row for each run in each space, with every number that the JSON files
  hold, and for the runs that stand far from the others of their task and space, the reason.

The rows of the signals are the kept volumes of the `_volumes.tsv` that the JSON beside the
signals names. `n/a` stands where there is no value. A product without its JSON file is not
complete: run the same command again.
"""

_HOW_TO_ACKNOWLEDGE = (
    f"Please cite the authors of the source datasets, bidsmask ({CODE_URL}), and the works that "
    "logs/CITATION.md lists for the steps used here."
)


@dataclass(frozen=True)
class Origin:
    """The datasets that an output is made from.

    Attributes
    ----------
    roots : mapping of str to Path
        Root of each source dataset by its name in BIDS URIs: `{"raw": …, "fmriprep": …}`.
        The first is the one whose name, license, authors and participants the output takes over;
        what it does not tell is looked for in the next.
    container : mapping of str to str
        `Type` and `Tag` or `URI` of the container that the program runs in; empty outside of one.
    """

    roots: Mapping[str, Path]
    container: Mapping[str, str] = field(default_factory=dict)


def prepare_output(output: Path, origin: Origin) -> list[Finding]:
    """Make an output folder, and write or bring up to date the files at its root.

    These are dataset_description.json, README.md (unless there is one), .bidsignore (lines of
    the user's own are kept), participants.tsv and participants.json. What killed runs left at
    the root is removed.

    Parameters
    ----------
    output : Path
        Checked by `check_output` of `place.py` before.
    origin : Origin

    Returns
    -------
    list of Finding
        What `publish_participants` found.

    Raises
    ------
    OutputRefused
        If the folder cannot be made or written into.
    WritingFailed
        If the disk is full, and the like.
    """
    prepare_root(output)
    remove_leftovers(output / "atlases")
    if not (output / "README.md").exists():
        publish(output / "README.md", _README.encode())
    _publish_changed(output / DESCRIPTION, json_bytes(_describe(output, origin)))
    return publish_participants(output, origin)


def prepare_root(output: Path) -> None:
    """Make an output folder, remove what killed runs left at its root, and mend .bidsignore.

    Raises
    ------
    OutputRefused
        If the folder cannot be made or written into.
    """
    make_root(output)
    with refusing(output):
        _publish_changed(output / ".bidsignore", _bidsignore(output))


def publish_participants(output: Path, origin: Origin) -> list[Finding]:
    """Write participants.tsv and .json for the participants present.

    Present are those with a folder `sub-*` in the output. To be called once more when a run has
    ended: then the table holds who has a folder, however many runs worked side by side, since
    each looks again after it wrote, and writes again if someone came in between.

    Returns
    -------
    list of Finding
        A warning if a source's participants.tsv cannot be used; its columns are then missing.
    """
    table, definitions, findings = _known_participants(origin)
    written: set[str] | None = None
    while (labels := _present(output)) != written:
        rows = table.reindex(sorted(labels)).rename_axis("participant_id").reset_index()
        _publish_changed(output / "participants.tsv", table_bytes(rows))
        written = labels
    _publish_changed(output / "participants.json", json_bytes(definitions))
    return findings


def publish_atlas(
    output: Path,
    entities: Entities,
    image: Path | None,
    table: Path | None,
    kind: AtlasKind = "labels",
) -> None:
    """Keep an atlas as it was used: the very image and table, below `atlases/`.

    BIDS also wants an `atlas-NAME_description.json` at the root for each `atlas-NAME` of an image.

    Parameters
    ----------
    output : Path
    entities : Entities
        `atlas-`, and where the image lies: `tpl-`, `cohort-`, `res-`.
    image, table : Path
        Of the atlas; None for a table that there is not, and for labels that each participant
        has of his own. Of spheres the first is their seeds.
    kind : {"labels", "maps", "spheres"}
    """
    about = {"Name": "Atlases as used", "BIDSVersion": BIDS_VERSION, "DatasetType": "atlas"}
    _publish_changed(output / "atlases" / DESCRIPTION, json_bytes(about))
    for file in filter(None, (table, image)):
        try:
            _publish_changed(atlas_copy(output, entities, file, kind), file.read_bytes())
        except OSError as error:
            raise DamagedFile(file, f"cannot be kept ({error.strerror})") from error
    if kind == "maps":
        return  # no image of maps is written, and the validator wants one for a description
    description = {"AtlasName": entities["atlas"], "License": "unknown"}
    path = output / f"atlas-{entities['atlas']}_description.json"
    _publish_changed(path, json_bytes(description))


def _describe(output: Path, origin: Origin) -> dict[str, Any]:
    """Return the dataset_description.json of an output, with the links of earlier runs in it."""
    before = _description(output)
    sources = [_description(root) for root in origin.roots.values()]
    links = {
        name: Path(os.path.relpath(root.resolve(), output.resolve())).as_posix()
        for name, root in origin.roots.items()
    }
    links = dict(sorted({**_mapping(before.get("DatasetLinks")), **links}.items()))
    name = next((str(source["Name"]) for source in sources if source.get("Name")), "")
    generated = {"Name": APP, "Version": __version__, "CodeURL": CODE_URL}
    description = {
        "Name": f"Brain masks and cleaned signals of {name}" if name else "bidsmask",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "License": next(filter(None, (_text(s.get("License")) for s in sources)), None),
        "Authors": next(filter(None, (_texts(s.get("Authors")) for s in sources)), None),
        "GeneratedBy": [
            {**generated, **({"Container": dict(origin.container)} if origin.container else {})}
        ],
        "SourceDatasets": _source_datasets(
            before, links, dict(zip(origin.roots, sources, strict=True))
        ),
        "DatasetLinks": links,
        "HowToAcknowledge": _HOW_TO_ACKNOWLEDGE,
    }
    return {key: value for key, value in description.items() if value is not None}


def _source_datasets(
    before: Mapping[str, Any], links: Mapping[str, str], sources: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return one entry a link: its BIDS URI, and DOI and version where they are known."""
    entries = before.get("SourceDatasets")
    earlier = {
        entry.get("URL"): entry
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
    }
    result = []
    for name in links:
        entry: dict[str, Any] = {"URL": f"bids:{name}:"}
        if name in sources:
            source = sources[name]
            version = next(iter(versions(source)), None)
            found = {"DOI": _text(source.get("DatasetDOI")), "Version": version}
            entry |= {key: value for key, value in found.items() if value}
        else:
            entry = earlier.get(entry["URL"], entry)
        result.append(entry)
    return result


def versions(description: Mapping[str, Any]) -> list[str]:
    """Return the versions of the programs that made a derivative dataset."""
    entries = description.get("GeneratedBy")
    entries = entries if isinstance(entries, list) else []
    return [str(e["Version"]) for e in entries if isinstance(e, dict) and e.get("Version")]


def _bidsignore(output: Path) -> bytes:
    """Return the lines that are there, then ours that are missing."""
    try:
        lines = read_regular(output / ".bidsignore").decode().splitlines()
    except FileNotFoundError:
        lines = []
    lines += [line for line in IGNORED if line not in lines]
    return "".join(f"{line}\n" for line in lines).encode()


def _known_participants(origin: Origin) -> tuple[pd.DataFrame, dict[str, Any], list[Finding]]:
    """Return the source's participants by `sub-…`, what its columns mean, and what is wrong."""
    empty = pd.DataFrame(index=pd.Index([], dtype=object))
    definitions: dict[str, Any] = {"Description": "The participants that this dataset holds."}
    path = next(
        (p for root in origin.roots.values() if (p := root / "participants.tsv").exists()), None
    )
    if path is None:
        return empty, definitions, []
    try:
        header, rows = read_cells(path)
        if "participant_id" not in header:
            raise UnusableTable(path, "has no column participant_id")
    except UnusableTable as error:
        advice = "The output's participants.tsv goes without its columns."
        problem = ". ".join(filter(None, (error.problem, error.advice.rstrip("."))))
        return empty, definitions, [Finding("warning", error.code, str(path), problem, advice)]
    cells = pd.DataFrame(rows, columns=pd.Index(header, dtype=object), dtype=object)
    labels = "sub-" + cells.pop("participant_id").str.removeprefix("sub-")
    table = cells.set_axis(pd.Index(labels, dtype=object), axis="index")
    meanings = _json(path.with_suffix(".json"))
    for column in table.columns:
        unknown = {"Description": f"As in participants.tsv of {_name(path.parent)}."}
        definitions[column] = _mapping(meanings.get(column)) or unknown
    return table[~table.index.duplicated()], definitions, []


def _name(root: Path) -> str:
    """Return what a dataset calls itself, without naming a folder of this machine."""
    return str(_description(root).get("Name") or "the source dataset")


def _present(output: Path) -> set[str]:
    """Return the participants that have a folder."""
    return {folder.name for _, folder in participant_folders(output)}


def _description(root: Path) -> Mapping[str, Any]:
    return read_description(root) or {}


def _json(path: Path) -> Mapping[str, Any]:
    """Return a JSON object; an empty one if there is none, or none that can be read."""
    try:
        return _mapping(json.loads(read_regular(path).decode("utf-8-sig")))
    except (OSError, ValueError, RecursionError):
        return {}


def _text(value: object) -> str:
    """Return a text; an empty one for what is none."""
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    """Return the texts in a list; none for what is no list."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _publish_changed(path: Path, content: bytes) -> None:
    """Publish unless the file holds these very bytes."""
    try:
        same = not path.is_symlink() and read_regular(path) == content
    except OSError:
        same = False
    if not same:
        publish(path, content)
