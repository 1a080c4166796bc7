"""The atlases that the options name: which image, which table of names, which space.

Which image that is may depend on the run: an atlas by name, or of a dataset, is taken in the
space of the run, and a participant's own labels are others for each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bidsmask.bids.atlas_dataset import atlas_images, in_space, table_in
from bidsmask.bids.atlases import (
    SUFFIXES,
    AtlasKind,
    atlas_name,
    conflicting_copies,
    find_atlas_table,
)
from bidsmask.bids.entities import Entities
from bidsmask.bids.run import Run
from bidsmask.bids.template_atlases import find_template_atlas
from bidsmask.bids.templates import OWN_SPACES, Template, how_to_fetch, templateflow_home
from bidsmask.errors import (
    DamagedFile,
    GridMismatch,
    MissingCompanion,
    MissingInput,
    UnequalChoices,
    UnusableImage,
    UsageError,
)
from bidsmask.images.grid import Grid
from bidsmask.images.identity import identity
from bidsmask.images.image import open_image

# Labels of the participant's own, as fMRIPrep calls them.
OWN_LABELS = ("aparcaseg", "aseg")
_ENTITIES = re.compile(r"(:[a-z]+-[A-Za-z0-9+]+)*$")


@dataclass(frozen=True)
class AtlasChoice:
    """One atlas on a run: labels, maps, or spheres around seeds.

    Attributes
    ----------
    name : str
        Letters and digits, as in `atlas-Schaefer2018100Parcels7Networks`.
    image : Path
        Labels or maps; of spheres the table of seeds.
    table : Path or None
        Names by label; None where no table is at hand.
    space : Template
        That the file name says; its name is empty where it says none.
    kind : {"labels", "maps", "spheres"}
    resolution : str
        Label of `res-`, where it was chosen for the run; else empty.
    is_own : bool
        Whether the labels are the participant's own: then the table alone says which columns
        there are.
    """

    name: str
    image: Path
    table: Path | None
    space: Template
    kind: AtlasKind
    resolution: str = ""
    is_own: bool = False

    @property
    def entities(self) -> Entities:
        """What the name of a copy says of it."""
        if self.is_own:
            return Entities((("atlas", self.name),))
        told = {
            "tpl": self.space.name,
            "cohort": self.space.cohort,
            "atlas": self.name,
            "res": self.resolution,
        }
        return Entities(tuple((key, label) for key, label in told.items() if label))


@dataclass(frozen=True)
class AtlasRequest:
    """One word of `--atlas`, `--maps` or `--seeds`.

    Attributes
    ----------
    flag, text : str
    kind : {"labels", "maps", "spheres"}
    choice : AtlasChoice or None
        Of a path: the same for every run.
    folder : Path or None
        A BIDS-Atlas dataset.
    wanted : Entities
        What the name of the image must have; of a path nothing.
    """

    flag: str
    text: str
    kind: AtlasKind
    choice: AtlasChoice | None = None
    folder: Path | None = None
    wanted: Entities = field(default_factory=Entities)

    @property
    def words(self) -> str:
        """As on the command line."""
        return f"{self.flag} {self.text}"

    def on(self, run: Run, grid: Grid) -> AtlasChoice:
        """Return the atlas for a run.

        Raises
        ------
        DataError
            There is none in the space of the run, or it was not fetched.
        """
        if self.choice is not None:
            return self.choice
        if self.folder is not None:
            images = atlas_images(self.folder, self.wanted, self.kind)
            paths = in_space(images, Template.of(run.entities), self.folder, run.path)
            image = nearest_in_size(paths, grid)
            table = table_in(self.folder, image)
        elif self.is_own:
            return own_labels(run, self.wanted["atlas"])
        else:
            paths, table = template_images(run, self.wanted)
            image = nearest_in_size(paths, grid)
        resolution = Entities.parse(image.name).get("res") or ""
        return replace(named_choice(image, table, self.kind), resolution=resolution)

    @property
    def is_own(self) -> bool:
        """Whether it names labels of the participant's own."""
        is_word = len(self.wanted.pairs) == 1 and self.folder is None
        return self.kind == "labels" and is_word and self.wanted["atlas"] in OWN_LABELS


def atlas_requests(
    atlas: Sequence[str], maps: Sequence[str] = (), seeds: Sequence[Path] = ()
) -> tuple[AtlasRequest, ...]:
    """Return what `--atlas`, `--maps` and `--seeds` name, as far as it can be told without a run.

    Raises
    ------
    MissingInput
        A file is not there.
    UsageError
        Two atlases would have the same name in the output.
    """
    given: list[tuple[str, str, AtlasKind]] = [
        *(("--atlas", text, "labels") for text in atlas),
        *(("--maps", text, "maps") for text in maps),
        *(("--seeds", str(path), "spheres") for path in seeds),
    ]
    requests = tuple(atlas_request(*one) for one in given)
    refuse_repeated(requests)
    refuse_doubles([one.words for one in requests], [one.choice for one in requests])
    return requests


def atlas_request(flag: str, text: str, kind: AtlasKind) -> AtlasRequest:
    """Return what one word names: a path has a slash in it, a name has none.

    `NAME` and `FOLDER` may be followed by entities: `Schaefer2018:desc-100Parcels7Networks`.
    """
    request = AtlasRequest(flag, text, kind)
    if kind == "spheres":
        refuse_missing(Path(text))
        return replace(request, choice=named_choice(Path(text), None, kind))
    stem = _ENTITIES.sub("", text, count=1)
    told = [part.partition("-") for part in text[len(stem) :].split(":")[1:]]
    pairs = tuple((key, label) for key, _, label in told)
    if os.path.isdir(stem):  # noqa: PTH112  a name may be too long for a Path
        return replace(request, folder=Path(stem), wanted=Entities(pairs))
    if "/" not in text:
        wanted = Entities((("atlas", stem), *pairs), SUFFIXES[kind])
        return replace(request, wanted=wanted)
    return replace(request, choice=choice_of_path(text, kind))


def choice_of_path(text: str, kind: AtlasKind) -> AtlasChoice:
    """Return what `IMAGE[=TABLE]` names."""
    whole = Path(text)
    image_text, _, table_text = text.rpartition("=")
    # A file whose own name holds an = is that file.
    is_whole = not image_text or os.path.exists(whole)  # noqa: PTH110  may be too long for a Path
    image = whole if is_whole else Path(image_text)
    given = Path(table_text) if image is not whole else None
    for path in filter(None, (image, given)):
        refuse_missing(path)
    table = find_atlas_table(image, given)
    if table is not None:
        refuse_missing(table)
    return named_choice(image, table, kind)


def atlas_choices(requests: Sequence[AtlasRequest], run: Run, grid: Grid) -> list[AtlasChoice]:
    """Return the atlases of a run.

    Raises
    ------
    DataError
        As `AtlasRequest.on`.
    UsageError
        Two atlases would have the same name in the output.
    """
    choices = [request.on(run, grid) for request in requests]
    refuse_doubles([one.words for one in requests], choices)
    return choices


def refuse_repeated(requests: Sequence[AtlasRequest]) -> None:
    """Raise UsageError where two words name one atlas, whose image depends on the run."""
    known: dict[object, str] = {}
    for request in requests:
        # Two resolutions of an atlas have one name.
        atlas = (request.kind, request.folder, request.wanted.without("res").meaning)
        if request.choice is None and atlas in known:
            problem = f"names the atlas that {known[atlas]} names"
            raise UsageError(request.words, problem, "Give it once.")
        known[atlas] = request.words


def refuse_doubles(words: Sequence[str], choices: Sequence[AtlasChoice | None]) -> None:
    """Raise UsageError where two atlases would have the same name in the output.

    Parameters
    ----------
    words : sequence of str
        What was given for each.
    choices : sequence of AtlasChoice or None
        None where it is not known yet.
    """
    known: dict[str, AtlasChoice] = {}
    for given, choice in zip(words, choices, strict=True):
        if choice is not None and choice.name in known:
            other = known[choice.name].image
            is_same = choice.image == other
            problem = f"would be written as atlas-{choice.name}, as {other} is"
            advice = "Give it once." if is_same else "Give one of the two files another name."
            raise UsageError(given, problem, advice)
        if choice is not None:
            known[choice.name] = choice


def own_labels(run: Run, name: str) -> AtlasChoice:
    """Return the participant's own labels in the space of a run.

    Raises
    ------
    MissingCompanion
        The preprocessing wrote none, or no table of their names.
    """
    found = run.segmentations.get(name)
    if found is None:
        raise MissingCompanion(
            run.path,
            f"has no desc-{name}_dseg in its space beside it",
            "fMRIPrep writes them where it runs FreeSurfer; leave runs without by --space.",
        )
    if found.table is None:
        raise MissingCompanion(
            found.image,
            f"has no table of names, desc-{name}_dseg.tsv at the root of its dataset",
            "Without it the columns would be others for each participant: copy it there.",
        )
    return AtlasChoice(
        name, found.image, found.table, Template.of(run.entities), "labels", is_own=True
    )


def template_images(run: Run, wanted: Entities) -> tuple[list[Path], Path | None]:
    """Return the images of an atlas of TemplateFlow's in the space of a run, and its table.

    Raises
    ------
    GridMismatch
        The run lies in no template's space, or TemplateFlow has the atlas in others alone.
    DataError
        As `find_template_atlas`.
    """
    template = Template.of(run.entities)
    if template.name in OWN_SPACES:
        raise GridMismatch(
            wanted.name(extension=""),
            f"is in templates' spaces, but {run.path.name} is in {run.space or 'its own'}",
            "Leave such runs out with --space; an atlas given by its path has a slash in it.",
        )
    home = templateflow_home(os.environ)
    return find_template_atlas(home, template, wanted, run.entities.get("res") or "")


def nearest_in_size(paths: Sequence[Path], grid: Grid) -> Path:
    """Return the image on a grid, or whose voxels are nearest to its in size; of two the finer."""

    def distance(path: Path) -> tuple[bool, float, float]:
        own = open_image(path).grid
        ratio = abs(float(np.log(own.voxel_volume_mm3 / grid.voxel_volume_mm3)))
        return not own.is_same(grid), round(ratio, 6), own.voxel_volume_mm3

    return min(sorted(paths), key=distance) if len(paths) > 1 else paths[0]


def named_choice(image: Path, table: Path | None, kind: AtlasKind) -> AtlasChoice:
    """Return the choice with name and space from the name of its image, or of its seeds."""
    entities = Entities.parse(image.name)
    stem = re.sub(r"\.(nii(\.gz)?|tsv|csv)$", "", image.name)
    name = re.sub("[^A-Za-z0-9]", "", atlas_name(entities) or stem) or "atlas"
    return AtlasChoice(name, image, table, Template.of(entities), kind)


def refuse_missing(path: Path) -> None:
    """Raise MissingInput where a file is not there, or lies empty as TemplateFlow leaves it."""
    fetch = how_to_fetch(path.name)
    if not os.path.isfile(path):  # noqa: PTH113  a name may be too long for a Path
        raise MissingInput(str(path), "is not there", fetch or "Is its path right?")
    if fetch and path.stat().st_size == 0:
        raise MissingInput(str(path), "is empty (0 bytes): it was not fetched", fetch)


def refuse_another(choice: AtlasChoice, known: str, output: Path) -> None:
    """Raise UnequalChoices where an output keeps another image under the name of an atlas."""
    same, others = conflicting_copies(output, choice.entities, choice.kind)
    for copy in same:
        with suppress(DamagedFile, UnusableImage):  # a copy that is damaged
            others += [copy] if choice.is_own or identity(copy) != known else []
    if others:
        raise UnequalChoices(
            choice.image,
            f"is another atlas than the one of the same name in the output, {others[0]}",
            "Give it another name, or choose another output. --force replaces the one "
            "that is there; then every run must be made anew.",
        )
