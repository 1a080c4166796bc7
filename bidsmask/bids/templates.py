"""Maps of TemplateFlow's templates, found by their names in its folder; nothing is fetched.

Its own client is not asked: to be imported it writes into that folder, and to look something up
it indexes all of it.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final, Literal

from bidsmask.bids.entities import Entities, plain_label
from bidsmask.errors import MissingCompanion, UnusableImage, UsageError

Tissue = Literal["brain", "GM", "WM"]
TISSUES: Final[dict[Tissue, tuple[str, dict[str, str]]]] = {
    "brain": ("mask", {"desc": "brain"}),
    "GM": ("probseg", {"label": "GM"}),
    "WM": ("probseg", {"label": "WM"}),
}
# Spaces of one participant's own, where no template lies.
OWN_SPACES: Final = frozenset({"", "T1w", "T2w", "anat", "individual", "fsnative"})

# The client's words for entities that are texts.
_WORDS: Final = {
    "hemi": "hemi",
    "space": "space",
    "atlas": "atlas",
    "segmentation": "seg",
    "scale": "scale",
    "label": "label",
    "desc": "desc",
}
_NAMES_IN_CLIENT: Final = "templateflow/conf/templateflow-skel.zip"


@dataclass(frozen=True)
class Template:
    """A template of TemplateFlow.

    Attributes
    ----------
    name : str
        As in `tpl-MNI152NLin2009cAsym`.
    cohort : str
        Label; empty where it has none.
    """

    name: str
    cohort: str = ""

    @classmethod
    def parse(cls, text: str) -> Template:
        """Return what `NAME` or `NAME:cohort-LABEL` says.

        Raises
        ------
        UsageError
            It says something else.
        """
        name, colon, cohort = text.partition(":")
        label = cohort.removeprefix("cohort-")
        if not name.isalnum() or (colon and (label == cohort or not label.isalnum())):
            raise UsageError(
                f"--template {text}", "is no template", "Give NAME, or NAME:cohort-LABEL."
            )
        return cls(name, plain_label(label))

    def __str__(self) -> str:
        return f"{self.name}:cohort-{self.cohort}" if self.cohort else self.name


def templateflow_home(environment: Mapping[str, str]) -> Path:
    """Return the folder of TemplateFlow's files, which may not be there.

    Parameters
    ----------
    environment : mapping of str to str
        Its TEMPLATEFLOW_HOME; without one, where the client keeps the files.
    """
    if environment.get("TEMPLATEFLOW_HOME"):
        return Path(environment["TEMPLATEFLOW_HOME"]).absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/templateflow"
    cache = environment.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "templateflow"


def find_template_maps(
    home: Path, template: Template, tissue: Tissue, resolution: str
) -> list[Path]:
    """Return the files of a template's brain mask or tissue map, one per resolution at hand.

    Parameters
    ----------
    home : Path
        From `templateflow_home`.
    template : Template
    tissue : {"brain", "GM", "WM"}
    resolution : str
        Label of the one to be named where none is at hand; the finest where it has no such.

    Raises
    ------
    UnusableImage
        TemplateFlow has no such template, or no such map of it.
    MissingCompanion
        The map was not fetched; the advice says how.
    """
    folder = home / f"tpl-{template.name}"
    there = sorted(path for path in folder.rglob("*.nii*") if path.is_file())
    in_home = [path for path in there if _is_map(path.name, template, tissue)]
    fetched = [path for path in in_home if path.stat().st_size > 0]
    if fetched:
        return fetched
    in_client = _names_in_client()
    if not there and not any(name.startswith(f"tpl-{template.name}_") for name in in_client):
        known = sorted({name.split("_")[0].removeprefix("tpl-") for name in in_client})
        raise UnusableImage(
            str(template),
            "is no template of TemplateFlow",
            f"It has {', '.join(known)}." if known else f"Nothing of it is in {home}.",
        )
    names = {*(path.name for path in in_home)}
    names |= {name for name in in_client if _is_map(name, template, tissue)}
    if not names:
        kind = "brain mask" if tissue == "brain" else f"map of {tissue}"
        raise UnusableImage(str(template), f"has no {kind} in TemplateFlow")
    raise _not_fetched(home, names, resolution)


def _is_map(name: str, template: Template, tissue: Tissue) -> bool:
    """Return whether a file is this map of the template, in whichever resolution."""
    suffix, described = TISSUES[tissue]
    entities = Entities.parse(name)
    wanted = Entities(tuple(described.items())).with_(tpl=template.name)
    if template.cohort:
        wanted = wanted.with_(cohort=template.cohort)
    is_image = (entities.suffix, entities.extension) in {(suffix, ".nii.gz"), (suffix, ".nii")}
    is_whole = not entities.left_over
    return is_image and is_whole and entities.without("res").meaning == wanted.meaning


def _names_in_client() -> frozenset[str]:
    """Return the names of all files that the installed client knows of, by its own list."""
    try:
        archive = Path(str(distribution("templateflow").locate_file(_NAMES_IN_CLIENT)))
        with zipfile.ZipFile(archive) as listed:
            names = (name.rpartition("/")[2] for name in listed.namelist())
            return frozenset(name for name in names if name.startswith("tpl-"))
    except (PackageNotFoundError, OSError, zipfile.BadZipFile):
        return frozenset()


def _not_fetched(home: Path, names: Iterable[str], resolution: str) -> MissingCompanion:
    """Return the error that names one file and says how to fetch it."""

    def fineness(name: str) -> tuple[bool, int]:
        label = plain_label(Entities.parse(name).get("res") or "0")
        return label != plain_label(resolution), int(label) if label.isdecimal() else 0

    name = min(sorted(names), key=fineness)
    return MissingCompanion(name, f"is not in TEMPLATEFLOW_HOME ({home})", how_to_fetch(name))


def how_to_fetch(name: str) -> str:
    """Return the advice how to get a file of TemplateFlow's; empty where it is none by its name."""
    entities = Entities.parse(name)
    template = entities.get("tpl")
    if not template or not name.startswith("tpl-"):
        return ""
    get = dict(entities.pairs).get
    numbers = {"cohort": get("cohort"), "resolution": plain_label(get("res") or "")}
    texts = {word: get(key) for word, key in _WORDS.items()} | {"suffix": entities.suffix}
    words = [repr(template), *(f"{key}={number}" for key, number in numbers.items() if number)]
    words += [f"{key}={text!r}" for key, text in texts.items() if text]
    fetch = f"from templateflow import api; api.get({', '.join(words)})"
    return f'Fetch it where there is a network: python -c "{fetch}"'
