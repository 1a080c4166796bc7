"""Maps of TemplateFlow's templates, found by their names in its folder; nothing is fetched.

Its own client is not asked: to be imported it writes into that folder, and to look something up
it indexes all of it.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final, Literal

from bidsmask.bids.entities import Entities, plain_label
from bidsmask.errors import MissingCompanion, UnusableImage, UsageError

Tissue = Literal["brain", "GM", "WM"]
# As the files are called after the template and its resolution.
TISSUES: Final[dict[Tissue, str]] = {
    "brain": "desc-brain_mask",
    "GM": "label-GM_probseg",
    "WM": "label-WM_probseg",
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

    @classmethod
    def of(cls, entities: Entities) -> Template:
        """Return the space that a name says, which may be no template; `X+1` is cohort 1 of X."""
        name, _, cohort = (entities.get("space") or entities.get("tpl") or "").partition("+")
        return cls(name, plain_label(cohort or entities.get("cohort") or ""))

    def fits(self, other: Template) -> bool:
        """Return whether both may be one space: a cohort that is not said may be any."""
        return self.name == other.name and (
            not self.cohort or not other.cohort or self.cohort == other.cohort
        )

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


def find_template_maps(home: Path, template: Template, kind: str, resolution: str) -> list[Path]:
    """Return the files of a template that are of one kind, one per resolution at hand.

    Parameters
    ----------
    home : Path
        From `templateflow_home`.
    template : Template
    kind : str
        As they are called after the template and its resolution: `desc-brain_mask`.
    resolution : str
        Label of the one to be named where none is at hand; the finest where it has no such.

    Raises
    ------
    UnusableImage
        TemplateFlow has no such template, or no such file of it.
    MissingCompanion
        None was fetched; the advice says how.
    """
    listed = list_template_files(home, template, kind)
    fetched = sorted(path for path in listed.values() if path is not None)
    if fetched:
        return fetched
    nearest = nearest_resolution(map(resolution_of, listed), resolution)
    raise not_fetched(home, [min(name for name in listed if resolution_of(name) == nearest)])


def find_template_set(
    home: Path, template: Template, kinds: Sequence[str], resolution: str
) -> list[Path]:
    """Return one file of each kind, all of one resolution.

    Which resolution that is does not depend on what was fetched: it is the one asked for where
    TemplateFlow has it of every kind, else the finest.

    Parameters
    ----------
    home, template : Path, Template
    kinds : sequence of str
        As `find_template_maps`.
    resolution : str
        Label.

    Raises
    ------
    UnusableImage
        TemplateFlow has no such template, or no resolution of it in which all kinds are.
    MissingCompanion
        Some were not fetched; the advice says how to fetch them all.
    """
    listed = [list_template_files(home, template, kind) for kind in kinds]
    labels = [{resolution_of(name): name for name in files} for files in listed]
    shared = set.intersection(*(set(one) for one in labels))
    if not shared:
        wanted = " and ".join(dict.fromkeys(kinds))
        raise UnusableImage(str(template), f"has {wanted} in no common resolution")
    names = [one[nearest_resolution(shared, resolution)] for one in labels]
    paths = [files[name] for files, name in zip(listed, names, strict=True)]
    missing = [name for name, path in zip(names, paths, strict=True) if path is None]
    if missing:
        raise not_fetched(home, list(dict.fromkeys(missing)))
    return [path for path in paths if path is not None]


def list_template_files(home: Path, template: Template, kind: str) -> dict[str, Path | None]:
    """Return the names of a template's files of one kind, each with its path where fetched."""
    folder = home / f"tpl-{template.name}"
    there = [path for path in sorted(folder.rglob("*.nii*")) if path.is_file()]
    in_client = names_in_client()
    of_template = [name for name in in_client if name.startswith(f"tpl-{template.name}_")]
    if not there and not of_template:
        known = sorted({name.split("_")[0].removeprefix("tpl-") for name in in_client})
        raise UnusableImage(
            str(template),
            "is no template of TemplateFlow",
            f"It has {', '.join(known)}." if known else f"Nothing of it is in {home}.",
        )
    listed: dict[str, Path | None] = {
        name: None for name in of_template if _is_map(name, template, kind)
    }
    for path in there:
        if _is_map(path.name, template, kind):
            # What the client only knows of is an empty file.
            listed[path.name] = path if path.stat().st_size > 0 else None
    if not listed:
        raise UnusableImage(str(template), f"has no {kind} in TemplateFlow")
    return listed


def _is_map(name: str, template: Template, kind: str) -> bool:
    """Return whether a file is of this kind and template, in whichever resolution."""
    described, entities = Entities.parse(kind), Entities.parse(name)
    wanted = described.with_(tpl=template.name)
    if template.cohort:
        wanted = wanted.with_(cohort=template.cohort)
    is_image = entities.suffix == described.suffix and entities.extension in (".nii", ".nii.gz")
    is_whole = not entities.left_over
    return is_image and is_whole and entities.without("res").meaning == wanted.meaning


def resolution_of(name: str) -> str:
    """Return the label of a file's resolution without leading zeros; empty where it has none."""
    return plain_label(Entities.parse(name).get("res") or "")


@cache
def names_in_client() -> frozenset[str]:
    """Return the names of all files that the installed client knows of, by its own list."""
    try:
        archive = Path(str(distribution("templateflow").locate_file(_NAMES_IN_CLIENT)))
        with zipfile.ZipFile(archive) as listed:
            names = (name.rpartition("/")[2] for name in listed.namelist())
            return frozenset(name for name in names if name.startswith("tpl-"))
    except (PackageNotFoundError, OSError, zipfile.BadZipFile):
        return frozenset()


def nearest_resolution(labels: Iterable[str], wanted: str) -> str:
    """Return the label of a resolution: the one that is wanted, else that of the finest."""

    def place(label: str) -> tuple[bool, int, str]:
        return label != plain_label(wanted), int(label) if label.isdecimal() else 0, label

    return min(labels, key=place)


def not_fetched(home: Path, names: Sequence[str]) -> MissingCompanion:
    """Return the error that names files and says how to fetch them."""
    verb = "is" if len(names) == 1 else "are"
    return MissingCompanion(
        ", ".join(names), f"{verb} not in TEMPLATEFLOW_HOME ({home})", how_to_fetch(*names)
    )


def how_to_fetch(*names: str) -> str:
    """Return the advice how to get files of TemplateFlow's; empty where none is one by its name."""
    calls = [f"api.get({', '.join(words)})" for words in map(_words_of, names) if words]
    if not calls:
        return ""
    fetch = "; ".join(["from templateflow import api", *calls])
    what = "it" if len(calls) == 1 else "them"
    return f'Fetch {what} where there is a network: python -c "{fetch}"'


def _words_of(name: str) -> list[str]:
    """Return the arguments of the client's `get` for a file; none where the file is not its."""
    entities = Entities.parse(name)
    template = entities.get("tpl")
    if not template or not name.startswith("tpl-"):
        return []
    get = dict(entities.pairs).get
    numbers = {"cohort": get("cohort"), "resolution": plain_label(get("res") or "")}
    texts = {word: get(key) for word, key in _WORDS.items()} | {"suffix": entities.suffix}
    # Without it, the client would fetch every image that a table is of.
    texts["extension"] = ".tsv" if entities.extension == ".tsv" else None
    words = [repr(template), *(f"{key}={number}" for key, number in numbers.items() if number)]
    return words + [f"{key}={text!r}" for key, text in texts.items() if text]
