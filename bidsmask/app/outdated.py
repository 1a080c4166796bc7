"""What earlier runs of the program made of signals and trials that are others by now.

A matrix, a table of trials and means over trials name what they were made of under `Sources`, and
say by a Fingerprint which state of it: so a matrix never stands beside signals that are not its.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bidsmask.app.job import Job
from bidsmask.app.notes import Notes
from bidsmask.app.preparation import Preparation
from bidsmask.app.products import GRID_ENTITIES
from bidsmask.bids.disk import withdraw
from bidsmask.bids.entities import Entities
from bidsmask.images.source import read_regular

# How the names of products end that are made of others: by a run of the program that asked for
# them, and there to stay where the next does not.
DERIVED: Final = ("relmat", "trials", "trialseries")
OF_SIGNALS: Final = "SignalsFingerprint"
OF_TRIALS: Final = "TrialsFingerprint"

# The key of a sidecar that tells the Fingerprint of a source, and what it must be.
Wanted = tuple[str, str]


def withdraw_outdated(job: Job, preparation: Preparation, notes: Notes) -> None:
    """Remove what was made of other signals and trials than the Job's, and say so.

    What the Job makes anew stays until then.
    """
    found = list(outdated(job, preparation))
    for sidecar in found:
        for extension in (".json", ".tsv", ".tsv.gz"):
            withdraw(sidecar.with_suffix(extension))
    if found:
        others = f"and {len(found) - 1} more files " if len(found) > 1 else ""
        notes.add(
            "warning",
            "withdrawn",
            found[0].with_suffix(".tsv"),
            f"{others}of an earlier run told of other signals or trials than there are now, and "
            f"{'were' if others else 'was'} removed",
            "Ask for them again by --connectivity or --trials.",
        )


def outdated(job: Job, preparation: Preparation) -> Iterator[Path]:
    """Yield the sidecars of what was made of an earlier state of the Job's signals or trials."""
    wanted = sources(preparation)
    planned = {product.sidecar for product in preparation.products}
    of_run = set(job.run.product_entities.without(*GRID_ENTITIES).pairs)
    for sidecar in sorted(job.folder.glob("*.json")):
        entities = Entities.parse(sidecar.name)
        is_derived = entities.suffix in DERIVED and of_run <= set(entities.pairs)
        if is_derived and sidecar not in planned and is_outdated(sidecar, wanted):
            yield sidecar


def sources(preparation: Preparation) -> dict[str, Wanted]:
    """Return by the names, without extension, of what others are made of, which state it has."""
    found = {}
    for number, plan in enumerate(preparation.cleanings):
        found[stem_of(plan.volumes.path.name)] = (OF_TRIALS, plan.trials)
        signals = [] if plan.voxels is None else [plan.voxels]
        of_atlases = (one for atlas in preparation.atlases for one in atlas.signals.values())
        for one in (*signals, *(products[number] for products in of_atlases)):
            found[stem_of(one.path.name)] = (OF_SIGNALS, one.fingerprint)
    return found


def is_outdated(sidecar: Path, wanted: dict[str, Wanted]) -> bool:
    """Return whether one of the sources that a sidecar names had another state."""
    try:
        told: Any = json.loads(read_regular(sidecar))
    except (OSError, ValueError, RecursionError):
        return False
    named = told.get("Sources") if isinstance(told, dict) else None
    stems = [stem_of(str(one)) for one in named] if isinstance(named, list) else []
    return any(told.get(wanted[one][0]) != wanted[one][1] for one in stems if one in wanted)


def stem_of(source: str) -> str:
    """Return the name of a file, or of a BIDS URI, without its folder and extension."""
    return source.rpartition("/")[2].partition(".")[0]
