"""Group products of earlier runs that must not look finished any more.

What cannot be joined now is withdrawn; what nobody makes any more is named, and left to the user.
A run that looks at some labels alone judges neither.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from bidsmask.app.group.task import GroupTask, quality_of, sidecar_of
from bidsmask.app.job import Outcome
from bidsmask.app.options import Options
from bidsmask.app.plan import asked_labels
from bidsmask.bids.disk import withdraw
from bidsmask.bids.entities import Entities, natural_order
from bidsmask.errors import Finding

# How the names of group products end, but for the table of quality, which is always made.
SUFFIXES: Final = ("mask", "probseg", "bold", "signals")


def selects(options: Options) -> bool:
    """Return whether labels leave something of the output aside."""
    return bool(options.participant_label or asked_labels(options))


def is_group_product(sidecar: Path) -> bool:
    """Return whether a JSON file is one that the group level wrote."""
    if sidecar.is_symlink() or not sidecar.is_file():
        return False
    try:
        told = json.loads(sidecar.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and {"Fingerprint", "Sources", "LeftOut", "Runs"} <= told.keys()


def is_of_motion(entities: Entities) -> bool:
    """Return whether a table tells what is left of motion, which is made where it is asked for."""
    return (entities.get("desc"), entities.suffix) == ("motion", "qc")


def withdrawn(outcome: Outcome, task: GroupTask, options: Options) -> Outcome:
    """Remove what an earlier run made of a task that cannot be done now, and say so."""
    if selects(options):
        return outcome
    findings = []
    for data in task.files:
        sidecar = sidecar_of(data[0])
        if sidecar in outcome.outputs or not is_group_product(sidecar):
            continue
        for path in (sidecar, *data):
            withdraw(path)
        problem = "was made by an earlier run and cannot be made now; it was removed"
        findings.append(Finding("warning", "withdrawn", str(data[0]), problem))
    return replace(outcome, findings=(*outcome.findings, *findings))


def orphans(output: Path, made: Collection[Path], options: Options) -> Iterator[Finding]:
    """Yield a warning for each group product that no task makes any more.

    Parameters
    ----------
    output : Path
    made : collection of Path
        The sidecars of all tasks.
    options : Options
    """
    if selects(options):
        return
    for sidecar in sorted(output.glob("*.json"), key=lambda path: natural_order(path.name)):
        entities = Entities.parse(sidecar.name)
        is_asked = entities.suffix in SUFFIXES or (options.connectivity and is_of_motion(entities))
        if sidecar in made or not is_asked or not is_group_product(sidecar):
            continue
        stem = sidecar.name.removesuffix(".json")
        quality = f" {quality_of(sidecar).name}" if entities.suffix == "mask" else ""
        yield Finding(
            "warning",
            "orphaned",
            str(sidecar),
            "tells of a group product to which no run belongs any more",
            f"Remove it, with its data: rm {stem}.*{quality}",
        )
