"""The inheritance principle of BIDS: which sidecars and tables apply to a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from bidsmask.bids.entities import Entities
from bidsmask.bids.file import File
from bidsmask.errors import UnusableTable
from bidsmask.images.source import read_regular


def applicable(entities: Entities, candidates: Iterable[File]) -> list[File]:
    """Return the candidates whose entities are all among the given, the nearest last.

    Nearer is deeper in the tree and, in one folder, with more entities.
    """
    fitting = [
        candidate
        for candidate in candidates
        if not candidate.entities.left_over and candidate.entities.meaning <= entities.meaning
    ]
    return sorted(fitting, key=_nearness)


def nearest(entities: Entities, candidates: Iterable[File]) -> list[File]:
    """Return the nearest of the candidates that apply; more than one where all are as near."""
    fitting = applicable(entities, candidates)
    return [one for one in fitting if _nearness(one)[:2] == _nearness(fitting[-1])[:2]]


def inherited(file: File, candidates: Sequence[File]) -> dict[str, object]:
    """Return what the sidecars say that apply to an image.

    Parameters
    ----------
    file : File
        The image.
    candidates : sequence of File
        All files in its folder and above.

    Returns
    -------
    dict
        The sidecars together; where two name the same key, the nearer one holds.

    Raises
    ------
    UnusableTable
        If one that applies is no JSON object.
    """
    sidecars = [
        candidate
        for candidate in candidates
        if candidate.entities.extension == ".json"
        and candidate.entities.suffix == file.entities.suffix
    ]
    metadata: dict[str, object] = {}
    for sidecar in applicable(file.entities, sidecars):
        if file.path.is_relative_to(sidecar.path.parent):
            metadata.update(read_sidecar(sidecar.path))
    return metadata


def read_sidecar(path: Path) -> dict[str, object]:
    """Return the object that a sidecar holds; UnusableTable where it holds none."""
    try:
        found = json.loads(read_regular(path).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise UnusableTable(
            path,
            f"is not readable as JSON ({error})",
            "In a DataLad dataset, `datalad get` it; otherwise repair it.",
        ) from error
    if not isinstance(found, dict):
        raise UnusableTable(path, "is not a JSON object", "Repair it.")
    return found


def _nearness(candidate: File) -> tuple[int, int, str]:
    return len(candidate.path.parts), len(candidate.entities.pairs), candidate.path.name
