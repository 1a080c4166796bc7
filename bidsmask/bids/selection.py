"""Which runs are wanted: labels of the command line and a BIDS filter file."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

from bidsmask.bids.dataset import DATATYPES
from bidsmask.bids.entities import Entities, same_label
from bidsmask.errors import MissingInput, UsageError

# fMRIPrep's words for the space of the run itself (smriprep's NONSTANDARD_REFERENCES).
NATIVE: Final = frozenset({"native", "func", "bold", "boldref", "run", "sbref"})
_ANATOMICAL: Final = frozenset({"anat", "T1w"})

# pybids' names of the entities, which filter files use, and the keys of file names.
FILTER_NAMES: Final[Mapping[str, str]] = {
    "subject": "sub",
    "session": "ses",
    "sample": "sample",
    "task": "task",
    "tracksys": "tracksys",
    "acquisition": "acq",
    "nucleus": "nuc",
    "volume": "voi",
    "ceagent": "ce",
    "tracer": "trc",
    "staining": "stain",
    "reconstruction": "rec",
    "direction": "dir",
    "run": "run",
    "modality": "mod",
    "echo": "echo",
    "flip": "flip",
    "inv": "inv",
    "mt": "mt",
    "part": "part",
    "proc": "proc",
    "hemi": "hemi",
    "space": "space",
    "cohort": "cohort",
    "split": "split",
    "recording": "recording",
    "chunk": "chunk",
    "atlas": "atlas",
    "segmentation": "seg",
    "scale": "scale",
    "res": "res",
    "den": "den",
    "label": "label",
    "roi": "roi",
    "from": "from",
    "to": "to",
    "mode": "mode",
    "model": "model",
    "subset": "subset",
    "variant": "variant",
    "hash": "hash",
    "stat": "stat",
    "tpl": "tpl",
    "desc": "desc",
}
# What a filter file calls the images that can be masked; of its other keys nothing is used.
_QUERIES: Final = frozenset(suffix.lower() for suffix in DATATYPES)
_OTHER_FILTER_NAMES: Final = frozenset({"suffix", "extension", "datatype", "regex_search"})


@dataclass(frozen=True)
class Selection:
    """The runs that are wanted; what is empty selects all.

    Attributes
    ----------
    sessions, tasks, runs : tuple of str
        Labels, with or without `ses-`, `task-`, `run-`. Whole numbers are equal however they
        are filled up: `1` selects `run-01`.
    spaces : tuple of str
        `MNI152NLin2009cAsym` selects the space in every resolution, `…:res-2` in one,
        `…:res-native` the one without `res-`; `…:cohort-1` and `…:den-91k` alike. `native`,
        `func`, `bold`, `boldref`, `run` and `sbref` mean the space of the run itself, `anat`
        means `T1w`. These are all the space of an anatomical image whose name has none.
    filters : mapping
        Queries in the words of pybids by kind of image, as in a filter file: `bold`, `t1w`, `t2w`.
    datatypes : collection of {"func", "anat"}
        BOLD series, and T1w and T2w.
    """

    sessions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()
    filters: Mapping[str, Mapping[str, object]] = field(default_factory=dict, hash=False)
    datatypes: Collection[str] = ("func",)

    def takes(self, entities: Entities) -> bool:
        """Say whether session, task and run are selected; the space apart.

        An anatomical image belongs to every session, task and run that its name does not tell.
        """
        is_anatomy = DATATYPES.get(entities.suffix) == "anat"
        wanted = (("ses", self.sessions), ("task", self.tasks), ("run", self.runs))
        return all(
            not labels
            or (is_anatomy and key not in entities)
            or any(
                same_label(entities.get(key) or "", label.removeprefix(f"{key}-"))
                for label in labels
            )
            for key, labels in wanted
        )

    def takes_space(self, entities: Entities) -> bool:
        """Say whether the space is selected, with its resolution and cohort."""
        return not self.spaces or any(_is_in_space(entities, space) for space in self.spaces)


def read_filter_file(path: Path) -> dict[str, dict[str, object]]:
    """Read a BIDS filter file as fMRIPrep defines it.

    Parameters
    ----------
    path : Path
        A JSON object of queries by kind: `{"bold": {"acquisition": "x", "echo": null}}`.

    Returns
    -------
    dict
        The queries by kind, as `Selection.filters` takes them.

    Raises
    ------
    MissingInput
        If the file cannot be read.
    UsageError
        If it is not such an object, or names an entity that there is not.
    """
    try:
        queries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingInput(str(path), f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(str(path), f"is not JSON ({error})") from error
    if not isinstance(queries, dict) or not all(isinstance(q, dict) for q in queries.values()):
        raise UsageError(
            str(path), "is not an object of objects", 'Write {"bold": {"acquisition": "x"}}.'
        )
    queries = {kind: query for kind, query in queries.items() if kind in _QUERIES}
    for name in chain.from_iterable(queries.values()):
        if name not in FILTER_NAMES and name not in _OTHER_FILTER_NAMES:
            raise UsageError(
                str(path),
                f"asks for `{name}`, which is no entity",
                f"Known are {', '.join(sorted({*FILTER_NAMES, *_OTHER_FILTER_NAMES}))}.",
            )
    return queries


def _is_in_space(entities: Entities, wanted: str) -> bool:
    """Say whether entities are in a space written as `label:key-value:…`."""
    label, *modifiers = wanted.removeprefix("space-").split(":")
    if label in NATIVE:
        label = ""
    elif label in _ANATOMICAL:
        is_native_anatomy = DATATYPES.get(entities.suffix) == "anat" and "space" not in entities
        label = "" if is_native_anatomy else "T1w"
    if (entities.get("space") or "") != label:
        return False
    for modifier in modifiers:
        key, _, value = modifier.partition("-")
        has = entities.get(key)
        if value == "native":
            if has is not None:
                return False
        elif has is None or not same_label(has, value):
            return False
    return True
