"""A dataset: a raw root, derivative roots, an output root, and who is in them.

Only names and dataset_description.json are read here; nothing is ever written.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from bidsmask.bids.entities import Entities, natural_order
from bidsmask.errors import Finding, MissingInput, NotBids, UsageError
from bidsmask.images.source import read_regular

APP: Final = "bidsmask"
DESCRIPTION: Final = "dataset_description.json"
IMAGE: Final = (".nii", ".nii.gz")
# The images that can be masked, by the last word of their names, and the folder they lie in.
DATATYPES: Final[Mapping[str, str]] = {"bold": "func", "T1w": "anat", "T2w": "anat"}

_PARTICIPANT: Final = re.compile(r"sub-([A-Za-z0-9+]+)")
# A pipeline that made images made them for its first participants: 20 are 0.02 s to look at
# where 10,000 would be 10 s, for every folder of derivatives/ that holds none.
_LOOKED_AT: Final = 20


@dataclass(frozen=True)
class Dataset:
    """Where a dataset lies.

    Attributes
    ----------
    raw : Path or None
        The raw dataset; None where only derivatives were given.
    derivatives : tuple of Path
        The roots with preprocessed images, the preferred one first.
    output : Path
        The root of what is written; never read as input.
    names : tuple of str
        The name of each derivative root in BIDS URIs; empty for the names of the folders.
    findings : tuple of Finding
        What the user should know about the roots.
    only_raw : tuple of {"func", "anat"}
        Wanted datatypes of which no derivative root holds images: their raw ones are taken.
    """

    raw: Path | None
    derivatives: tuple[Path, ...]
    output: Path
    names: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    only_raw: tuple[str, ...] = ()

    @property
    def roots(self) -> tuple[Path, ...]:
        """The raw root, where there is one, and the derivative roots."""
        return (*([] if self.raw is None else [self.raw]), *self.derivatives)

    def links(self) -> dict[str, str]:
        """Return the DatasetLinks of dataset_description.json.

        Returns
        -------
        dict
            From the names that `uri` uses to the roots, relative to the output root: a dataset
            that is moved as a whole keeps its links, and no product names a machine's folders.
        """
        output = os.path.realpath(self.output)
        return {
            name: Path(os.path.relpath(os.path.realpath(root), output)).as_posix()
            for name, root in self._named_roots()
        }

    def uri(self, path: Path) -> str:
        """Return the BIDS URI of a file.

        Parameters
        ----------
        path : Path
            A file below one of the roots.

        Returns
        -------
        str
            `bids:raw:sub-01/…`, `bids:fmriprep:sub-01/…`, or `bids::sub-01/…` for a file of
            the output. A file outside all roots is given by its name alone.
        """
        file = _absolute(path)
        holding = [
            (len(root.parts), name, root)
            for name, root in [*self._named_roots(), ("", self.output)]
            if file.is_relative_to(_absolute(root))
        ]
        if not holding:
            return file.name
        _, name, root = max(holding)
        return f"bids:{name}:{quote(file.relative_to(_absolute(root)).as_posix(), safe='/+')}"

    def _named_roots(self) -> list[tuple[str, Path]]:
        """Return each input root with its name, no name twice."""
        wished = self.names or tuple(_plain_name(root.name) for root in self.derivatives)
        named: dict[str, Path] = {} if self.raw is None else {"raw": self.raw}
        for wish, root in zip(wished, self.derivatives, strict=True):
            name, number = wish, 2
            while name in named:
                name, number = f"{wish}{number}", number + 1
            named[name] = root
        return list(named.items())


def find_dataset(
    bids_dir: Path,
    derivatives: Sequence[Path] | None,
    output: Path,
    datatypes: Collection[str] = ("func",),
) -> Dataset:
    """Find the roots of a dataset.

    Parameters
    ----------
    bids_dir : Path
        A raw BIDS dataset, or a derivative dataset alone.
    derivatives : sequence of Path or None
        Derivative datasets, or folders of such. With None, those of `bids_dir/derivatives`
        that hold preprocessed images are taken, in the order of their names.
    output : Path
        The root of what will be written. Neither it nor any other output of this program is
        taken as input.
    datatypes : collection of {"func", "anat"}
        Of the images that are wanted: BOLD series, and T1w and T2w.

    Returns
    -------
    Dataset
        With a finding for each root that is used although its description is missing.

    Raises
    ------
    MissingInput
        If `bids_dir` or one of `derivatives` is not there or cannot be read.
    NotBids
        If `bids_dir` has no readable dataset_description.json, or one of `derivatives` has
        none and holds no preprocessed images either.
    UsageError
        If one of `derivatives` is the output.
    """
    bids_dir = _absolute(bids_dir)
    output = _absolute(output)
    _require_folder(bids_dir)
    kind = _kind(bids_dir, _required_description(bids_dir), datatypes)
    inhabited = any(True for _ in participant_folders(bids_dir))
    if derivatives is None:
        roots = _found_inside(bids_dir / "derivatives", output, datatypes)
        if not inhabited:  # fMRIPrep to 21 writes into `fmriprep` of the folder it is given
            roots += _found_inside(bids_dir, output, datatypes)
    else:
        given = map(_absolute, derivatives)
        roots = [root for folder in given for root in _given(folder, output, datatypes)]
    if kind == "derivative" and (inhabited or not roots):
        roots.insert(0, bids_dir)
    unique: dict[Path, Path] = {}
    for root in roots:
        unique.setdefault(root.resolve(), root)
    roots = list(unique.values())
    is_raw = kind == "raw" and derivatives is None
    only_raw = [one for one in datatypes if not any(holds_preprocessed(r, [one]) for r in roots)]
    return Dataset(
        raw=bids_dir if kind == "raw" else None,
        derivatives=tuple(roots),
        output=output,
        names=tuple(_name(root) for root in roots),
        findings=tuple(_undescribed(root) for root in roots if read_description(root) is None),
        only_raw=tuple(only_raw) if is_raw else (),
    )


def participants(dataset: Dataset) -> list[str]:
    """Return the labels of all participants, `2` before `10`.

    Only the names of the roots' own folders are read: 10,000 participants take 0.02 s.
    """
    labels = {label for root in dataset.roots for label, _ in participant_folders(root)}
    return sorted(labels, key=natural_order)


def participant_folders(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield label and folder of each participant of one root, in no order."""
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                match = _PARTICIPANT.fullmatch(entry.name)
                if match and entry.is_dir():
                    yield match[1], Path(entry.path)
    except OSError as error:
        raise MissingInput(root, f"cannot be read ({error.strerror})") from error


def holds_preprocessed(root: Path, datatypes: Collection[str]) -> bool:
    """Say whether a root holds preprocessed images of some datatypes, from names alone.

    The first 20 participants are looked at: what one pipeline made, it made for these too.
    """
    folders = sorted(participant_folders(root), key=lambda pair: natural_order(pair[0]))
    return any(
        is_preprocessed(Entities.parse(name).normal())
        for _, folder in islice(folders, _LOOKED_AT)
        for name in _names(folder, datatypes)
    )


def is_preprocessed(entities: Entities) -> bool:
    """Say whether entities, in their normal form, are those of a preprocessed image."""
    return (
        entities.suffix in DATATYPES
        and entities.get("desc") == "preproc"
        and entities.extension in IMAGE
    )


def _names(folder: Path, datatypes: Collection[str], depth: int = 4) -> Iterator[str]:
    """Yield the file names in all folders of some datatypes below a participant's folder."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if folder.name in datatypes:
            yield entry.name
        elif depth and (entry.name in datatypes or entry.name.startswith(("ses-", "sub-"))):
            yield from _names(Path(entry.path), datatypes, depth - 1)


def _found_inside(folder: Path, output: Path, datatypes: Collection[str]) -> list[Path]:
    """Return the folders, in one or itself, that hold preprocessed images."""
    try:
        inside = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return []
    return [
        root
        for root in [folder, *sorted(inside, key=lambda path: natural_order(path.name))]
        if not root.name.startswith(".")
        and root.resolve() != output.resolve()
        and not _is_ours(root)
        and holds_preprocessed(root, datatypes)
    ]


def _given(folder: Path, output: Path, datatypes: Collection[str]) -> list[Path]:
    """Return the derivative datasets that a path of the command line means."""
    _require_folder(folder)
    if folder.resolve() == output.resolve() or _is_ours(folder):
        raise UsageError(
            folder, "is an output of bidsmask", "Give the derivatives it was made from with -d."
        )
    if read_description(folder) is not None or holds_preprocessed(folder, datatypes):
        return [folder]
    inside = _found_inside(folder, output, datatypes)
    if not inside:
        raise NotBids(
            folder,
            f"has no usable {DESCRIPTION} and holds no preprocessed image",
            "Give the root of fMRIPrep's outputs with -d.",
        )
    return inside


def _require_folder(path: Path) -> None:
    """Refuse what is no readable folder."""
    if not path.is_dir():
        problem = "is not a folder" if path.exists() else "does not exist"
        raise MissingInput(str(path), problem, "Check the path.")
    if not os.access(path, os.R_OK | os.X_OK):
        raise MissingInput(str(path), "cannot be read", "Check its permissions.")


def _required_description(root: Path) -> dict[str, object]:
    """Return the description of `bids_dir`, or say why it is unusable."""
    path = root / DESCRIPTION
    description = read_description(root)
    if description is None:
        there = os.path.lexists(path)
        raise NotBids(
            str(path),
            "is not readable as a JSON object" if there else "is missing",
            "Every BIDS dataset needs one, with Name and BIDSVersion; "
            "in a DataLad dataset, `datalad get` it."
            if there
            else "Every BIDS dataset needs one, with Name and BIDSVersion. The images of a folder "
            "that is none, .nii and .nii.gz, are masked with --mask-only.",
        )
    return description


def read_description(root: Path) -> dict[str, object] | None:
    """Return what dataset_description.json says; None if it is missing or broken."""
    try:
        description = json.loads(read_regular(root / DESCRIPTION).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
    return description if isinstance(description, dict) else None


def _kind(
    root: Path, description: dict[str, object], datatypes: Collection[str]
) -> Literal["raw", "derivative"]:
    """Say what a root is: by its description, or by the images that it holds.

    GeneratedBy says nothing: converters describe themselves there in raw datasets.
    """
    described = description.get("DatasetType") == "derivative"
    described |= "PipelineDescription" in description
    return "derivative" if described or holds_preprocessed(root, datatypes) else "raw"


def maker(description: Mapping[str, object]) -> str:
    """Return the name of the program that a description names first; empty without one."""
    generated = description.get("GeneratedBy")
    first = generated[0] if isinstance(generated, list) and generated else generated
    first = first or description.get("PipelineDescription")
    name = first.get("Name") if isinstance(first, dict) else None
    return name if isinstance(name, str) else ""


def _is_ours(root: Path) -> bool:
    """Say whether a root was written by this program."""
    return maker(read_description(root) or {}) == APP


def _name(root: Path) -> str:
    """Return a derivative root's name for BIDS URIs: its program's, else its folder's."""
    return _plain_name(maker(read_description(root) or {})) or _plain_name(root.name)


def _plain_name(text: str) -> str:
    """Return `text` in small letters and digits."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _undescribed(root: Path) -> Finding:
    """Return the finding for a root that is used without a description."""
    return Finding(
        "warning",
        "no-description",
        str(root),
        f"has no usable {DESCRIPTION}; it is used because it holds preprocessed images",
        f"Add a {DESCRIPTION}, so that other software finds it, too.",
    )


def _absolute(path: Path) -> Path:
    """Return an absolute path without `..`, symbolic links left as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100  Path.absolute() keeps `..`
