"""What the participant level wrote into an output: products by their names, and what is unfinished.

Names and sidecars are read, data never. One participant is held at a time.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from bidsmask._version import __version__
from bidsmask.bids.dataset import DESCRIPTION, participant_folders, read_description
from bidsmask.bids.description import versions
from bidsmask.bids.entities import Entities, natural_order
from bidsmask.bids.locks import is_temporary
from bidsmask.bids.place import check_output
from bidsmask.bids.publish import SIZES
from bidsmask.errors import Finding, MissingInput, NotBids, NothingSelected, UnusableTable

Kind = Literal["mask", "mask quality", "column map", "atlas", "coverage", "volumes", "signals"]

# The longest sidecar of ours names some hundred regressors: 20 kB. The deepest has 4 levels.
LARGEST_SIDECAR: Final = 1 << 20
DEEPEST: Final = 20

# How `desc-` ends of masks that are no run's own, which its signals may share: made of several
# runs' masks, or of where signals vary.
SHARED_MASKS: Final = ("union", "intersection", "majority", "signal")

# How it ends of tables of several runs, one below the other.
JOINED: Final = "Joined"

_DATATYPES: Final = ("anat", "func")
_IMAGE, _TABLE = ".nii.gz", ".tsv"
_DATA: Final[Mapping[Kind, tuple[tuple[str, ...], ...]]] = {
    "mask": ((_IMAGE,),),
    "mask quality": ((),),
    "column map": ((_IMAGE, _TABLE),),
    "atlas": ((_IMAGE, _TABLE),),
    "coverage": ((_TABLE,),),
    "volumes": ((_TABLE,),),
    "signals": ((_TABLE,), (f"{_TABLE}.gz",)),
}
_EXTENSIONS: Final = frozenset({".json", _IMAGE, _TABLE, f"{_TABLE}.gz"})


@dataclass(frozen=True, eq=False)
class WrittenProduct:
    """A product that is complete: its data files, and the sidecar that says so.

    Attributes
    ----------
    kind : str
        What it is.
    datatype : str
        `func` or `anat`.
    entities : Entities
        Of its name; the suffix, but no extension.
    data : tuple of Path
        Its files, the image before the table. None of them is empty.
    sizes : tuple of int
        Their bytes.
    sidecar : Path
    metadata : mapping
        What the sidecar holds: an object with a `Fingerprint` that is a text. All else in it is
        to be checked by who uses it.
    """

    kind: Kind
    datatype: str
    entities: Entities
    data: tuple[Path, ...]
    sizes: tuple[int, ...]
    sidecar: Path
    metadata: Mapping[str, Any]

    @property
    def path(self) -> Path:
        """The first data file; the JSON file of what has none."""
        return (*self.data, self.sidecar)[0]

    @property
    def identity(self) -> tuple[str, str, tuple[int, ...]]:
        """What tells whether it is still the same: name, Fingerprint and sizes."""
        return self.path.name, str(self.metadata["Fingerprint"]), self.sizes


@dataclass(frozen=True, eq=False)
class UnfinishedProduct:
    """A product that cannot be used: which one, and why."""

    kind: Kind
    datatype: str
    entities: Entities
    finding: Finding


@dataclass(frozen=True, eq=False)
class ParticipantOutputs:
    """All that an output holds of one participant.

    Attributes
    ----------
    participant : str
        Label without `sub-`.
    products : tuple of WrittenProduct
        In the natural order of their names.
    unfinished : tuple of UnfinishedProduct
        Each with a finding of severity `error`.
    findings : tuple of Finding
        What belongs to no product: warnings of files in the making and in a wrong folder,
        errors of folders that cannot be read.
    """

    participant: str
    products: tuple[WrittenProduct, ...] = ()
    unfinished: tuple[UnfinishedProduct, ...] = ()
    findings: tuple[Finding, ...] = ()


def kind_of(entities: Entities) -> Kind | None:
    """Return which product of the participant level has such a name; None for no one."""
    if entities.left_over:
        return None
    if (entities.get("desc") or "").endswith(JOINED):
        return None
    is_voxels, atlas = entities.get("seg") == "voxels", entities.get("atlas")
    match entities.suffix:
        case "mask" | "qc" if "desc" in entities:
            if entities["desc"].lower().endswith(SHARED_MASKS):
                return None
            return "mask" if entities.suffix == "mask" else "mask quality"
        case "dseg" if is_voxels and "desc" in entities:
            return "column map"
        case "dseg" if atlas:
            return "atlas"
        case "bold" if atlas and entities.get("stat") == "coverage":
            return "coverage"
        case "volumes" if "desc" in entities:
            return "volumes"
        case "timeseries" if "desc" in entities and (is_voxels or (atlas and "stat" in entities)):
            return "signals"
    return None


def check_written(output: Path) -> list[Finding]:
    """Refuse a folder that the participant level did not write, or that cannot be written.

    Returns
    -------
    list of Finding
        A warning if another version of this program wrote it.

    Raises
    ------
    MissingInput
        If there is no such folder.
    NotBids
        If it has no usable description, as before the first run of the participant level.
    OutputRefused
        If another program wrote it, or it cannot be written.
    NothingSelected
        If it holds no participant.
    """
    first = "Run the participant level into it first."
    if not output.is_dir():
        problem = "is not a folder" if output.exists() else "does not exist"
        raise MissingInput(str(output), problem, first)
    description = read_description(output)
    if description is None:
        there = (output / DESCRIPTION).exists()
        problem = "is not readable as a JSON object" if there else "is missing"
        raise NotBids(str(output / DESCRIPTION), problem, first)
    check_output(output, None)
    if not any(participant_folders(output)):
        raise NothingSelected(str(output), "holds no participant: no folder is named sub-…", first)
    version = next(iter(versions(description)), "an unknown version")
    if version == __version__:
        return []
    problem = f"was written by bidsmask {version}; this is {__version__}"
    advice = "Run the participant level again with this version where that matters."
    return [Finding("warning", "another-version", str(output), problem, advice)]


def scan_outputs(root: Path, wanted: Collection[str] = ()) -> Iterator[ParticipantOutputs]:
    """Yield what an output holds, participant by participant, `2` before `10`.

    Parameters
    ----------
    root : Path
        An output of the participant level.
    wanted : collection of str
        Labels without `sub-`; empty for all.

    Yields
    ------
    ParticipantOutputs
        The same whatever the order of names on the disk.

    Raises
    ------
    MissingInput
        If the root cannot be read.
    """
    folders = [pair for pair in participant_folders(root) if not wanted or pair[0] in wanted]
    for label, folder in sorted(folders, key=lambda pair: natural_order(pair[0])):
        yield _Scan(label).of(folder)


@dataclass
class _Scan:
    """What was seen of one participant so far."""

    participant: str
    products: list[WrittenProduct] = field(default_factory=list)
    unfinished: list[UnfinishedProduct] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def of(self, folder: Path) -> ParticipantOutputs:
        """Look through a participant's folder."""
        entries = self.entries(folder)
        self.files_in(entries, "")
        for entry in entries:
            if entry.name.startswith("ses-") and _may_be_folder(entry):
                self.files_in(self.entries(Path(entry.path)), entry.name.removeprefix("ses-"))
        return ParticipantOutputs(
            self.participant,
            tuple(sorted(self.products, key=lambda one: natural_order(one.sidecar.name))),
            tuple(self.unfinished),
            tuple(self.findings),
        )

    def files_in(self, entries: Sequence[os.DirEntry[str]], session: str) -> None:
        """Look through the folders of datatypes of a session."""
        for entry in entries:
            if entry.name in _DATATYPES and _may_be_folder(entry):
                self.folder(Path(entry.path), session)

    def folder(self, folder: Path, session: str) -> None:
        """Look through one folder of files: gather what belongs together, then judge it."""
        parts: dict[str, dict[str, os.DirEntry[str]]] = defaultdict(dict)
        n_in_the_making = 0
        for entry in self.entries(folder):
            stem, dot, extension = entry.name.partition(".")
            if is_temporary(Path(entry.name)):
                n_in_the_making += 1
            elif dot + extension in _EXTENSIONS:
                parts[stem][dot + extension] = entry
        if n_in_the_making:
            self.warn(
                "in-the-making",
                folder,
                f"of sub-{self.participant} holds {n_in_the_making} files in the making",
                "If no participant level is at work, run it again.",
            )
        for stem in sorted(parts, key=natural_order):
            entities = Entities.parse(stem)
            kind = kind_of(entities)
            if kind is None or entities.name() != stem:
                continue
            if (entities.get("sub"), entities.get("ses") or "") != (self.participant, session):
                self.warn(
                    "misplaced",
                    folder / stem,
                    f"lies in {folder}, which is not where its name says; it is left out",
                    "Put it where it belongs.",
                )
                continue
            try:
                self.products.append(_product(kind, folder, entities, parts[stem]))
            except UnusableTable as error:
                finding = replace(Finding.of(error, self.participant), code="unfinished")
                self.unfinished.append(UnfinishedProduct(kind, folder.name, entities, finding))

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """Return what a folder holds, in a fixed order; nothing where it cannot be read."""
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: natural_order(entry.name))
        except OSError as error:
            problem, advice = f"cannot be read ({error.strerror})", "Check its permissions."
            finding = Finding("error", "unreadable", str(folder), problem, advice, self.participant)
            self.findings.append(finding)
            return []

    def warn(self, code: str, where: Path, problem: str, advice: str) -> None:
        """Keep a warning."""
        finding = Finding("warning", code, str(where), problem, advice, self.participant)
        self.findings.append(finding)


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder, or cannot be looked at: who reads it says why."""
    try:
        return entry.is_dir()
    except OSError:
        return True


def _product(
    kind: Kind, folder: Path, entities: Entities, parts: Mapping[str, os.DirEntry[str]]
) -> WrittenProduct:
    """Return the product that files of one stem are; UnusableTable where it is not complete."""
    sidecar = folder / entities.name(extension=".json")
    extensions = _data_extensions(kind, sidecar, sorted(parts))
    if ".json" not in parts:
        missing = "has no JSON file beside it, so that it is not complete"
        raise UnusableTable(sidecar.with_name(parts[extensions[0]].name), missing, _AGAIN)
    sizes = tuple(_size(parts[one]) for one in extensions)
    metadata = _metadata(sidecar, parts[".json"])
    data = tuple(folder / parts[one].name for one in extensions)
    if metadata.get(SIZES, list(sizes)) != list(sizes):
        problem = f"({' and '.join(map(str, sizes))} bytes) was cut or changed since it was written"
        raise UnusableTable(data[-1], problem, _AGAIN)
    return WrittenProduct(kind, folder.name, entities, data, sizes, sidecar, metadata)


_AGAIN = "Run the participant level again."


def _data_extensions(kind: Kind, sidecar: Path, found: Sequence[str]) -> tuple[str, ...]:
    """Return the extensions of the data files, all of which are there."""
    data = [one for one in found if one != ".json"]
    for extensions in _DATA[kind]:
        if set(data) == set(extensions):
            return extensions
    wanted = " or ".join(" and ".join(extensions) or "none" for extensions in _DATA[kind])
    problem = f"has {' and '.join(data) or 'no data'} beside it, but {wanted} is needed"
    raise UnusableTable(sidecar, problem, _AGAIN)


def _size(entry: os.DirEntry[str]) -> int:
    """Return the bytes of a data file, which is neither empty nor something else."""
    size = _regular_size(entry)
    if size == 0:
        raise UnusableTable(entry.path, "is empty (0 bytes)", _AGAIN)
    return size


def _metadata(path: Path, entry: os.DirEntry[str]) -> dict[str, Any]:
    """Return what a sidecar of ours holds."""
    size = _regular_size(entry)
    if size > LARGEST_SIDECAR:
        problem = f"has {size} bytes, but a sidecar at most {LARGEST_SIDECAR}"
        raise UnusableTable(path, problem, _AGAIN)
    try:
        found = _interned(json.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError, RecursionError) as error:
        raise UnusableTable(path, f"is not readable as JSON ({error})", _AGAIN) from error
    if not isinstance(found, dict) or not isinstance(found.get("Fingerprint"), str):
        raise UnusableTable(path, "is no sidecar of bidsmask: it has no Fingerprint", _AGAIN)
    return found


def _interned(value: Any, levels: int = DEEPEST) -> Any:
    """Return a value of JSON with equal texts held once: 4,000 runs take half the memory."""
    if isinstance(value, str):
        return sys.intern(value)
    if not isinstance(value, dict | list):
        return value
    if not levels:
        raise ValueError(f"nested deeper than {DEEPEST} levels")
    if isinstance(value, list):
        return [_interned(one, levels - 1) for one in value]
    return {sys.intern(key): _interned(one, levels - 1) for key, one in value.items()}


def _regular_size(entry: os.DirEntry[str]) -> int:
    """Return the bytes of a file, links followed; a pipe would keep its reader waiting."""
    try:
        status = entry.stat()
    except OSError as error:
        raise UnusableTable(entry.path, f"cannot be read ({error.strerror})", _AGAIN) from error
    if not stat.S_ISREG(status.st_mode):
        raise UnusableTable(entry.path, "is not a file", f"Remove it. {_AGAIN}")
    return status.st_size
