"""GroupTask: group products that are made together of many runs, and the work of making them.

A task names its sources, and thereby is up to date or not, before any data are read. Making it
may leave runs out, whose data turn out to be damaged; its sidecars then say so, and carry the
Fingerprint of what was used, so that a later run looks again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bidsmask.app.group.cohort import Cohort
from bidsmask.app.group.run_outputs import RunOutputs
from bidsmask.app.options import Options
from bidsmask.app.products import Product, fingerprint
from bidsmask.bids.outputs import WrittenProduct
from bidsmask.bids.publish import Content, publish_product
from bidsmask.errors import DataError, Finding, Severity

Source = tuple[RunOutputs, WrittenProduct]


@dataclass(frozen=True, eq=False)
class GroupTask:
    """Group products that are made in one go, from the same sources.

    Attributes
    ----------
    label : str
        For messages, and for a file name: `task-rest_space-X_mask`.
    files : tuple of tuple of Path
        The data files of each product, in the order of writing.
    sources : sequence of (RunOutputs, WrittenProduct)
        What is joined, in natural order of the runs; a run may stand with several products.
    make : callable
        Makes the products that `GroupWork.is_wanted`, and publishes them there.
    choices : object
        What else decides the content, as JSON has it: options, thresholds, a name.
    left_out : mapping of str to str
        Runs of the group that have no source, with the reason.
    conflict : DataError or None
        Why none of it can be made; then there are no sources.
    """

    label: str
    files: tuple[tuple[Path, ...], ...]
    sources: Sequence[Source]
    make: Callable[[GroupWork], None]
    choices: object = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    conflict: DataError | None = None

    @cached_property
    def products(self) -> tuple[Product, ...]:
        """What it makes, with the Fingerprints of all its sources."""
        return tuple(self.product(data, self.sources) for data in self.files)

    def product(self, data: Sequence[Path], sources: Sequence[Source]) -> Product:
        """Return one of its products, made of these sources."""
        made_of = [(one.identity, fingerprint(one.metadata)) for _, one in sources]
        told = fingerprint(data[0].name, self.choices, made_of, sorted(self.left_out.items()))
        return Product(tuple(data), sidecar_of(data[0]), told)


def sidecar_of(path: Path) -> Path:
    """Return the path of the JSON file beside a data file."""
    return path.with_name(path.name.partition(".")[0] + ".json")


def quality_of(mask: Path) -> Path:
    """Return the path of the JSON file that tells what was measured of a mask."""
    return sidecar_of(mask.with_name(mask.name.replace("_mask.", "_qc.")))


class GroupWork:
    """What is done for one GroupTask, with what was written, noticed and left out on the way.

    Parameters
    ----------
    task : GroupTask
    cohort : Cohort
    options : Options
    """

    def __init__(self, task: GroupTask, cohort: Cohort, options: Options) -> None:
        self.task = task
        self.cohort = cohort
        self.options = options
        self.written: list[Path] = []
        self.findings: list[Finding] = []
        self.left_out: dict[str, tuple[RunOutputs, DataError]] = {}
        self._unusable: set[Path] = set()

    @property
    def sources(self) -> list[Source]:
        """What is joined: the sources of the task but those that were left out since."""
        return [
            (run, one)
            for run, one in self.task.sources
            if run.label not in self.left_out and one.path not in self._unusable
        ]

    def is_wanted(self, product: Product) -> bool:
        """Return whether a product has to be made."""
        return self.options.force or not product.is_up_to_date()

    def leave_out(self, run: RunOutputs, error: DataError) -> None:
        """Go on without a run, all of whose sources are then left out."""
        self.left_out[run.label] = (run, error)

    def do_without(self, source: WrittenProduct) -> None:
        """Go on without one source of a run; what is wrong with it is said elsewhere."""
        self._unusable.add(source.path)

    def note(
        self, severity: Severity, code: str, where: object, problem: str, advice: str = ""
    ) -> None:
        """Add a finding that leaves no run out."""
        self.findings.append(Finding(severity, code, str(where), problem, advice))

    def publish(
        self, product: Product, contents: Sequence[Content], about: Mapping[str, Any]
    ) -> None:
        """Write a product, with a sidecar that also tells what it was made of and what not."""
        sources = self.sources
        product = self.task.product(product.data, sources)
        reasons = {label: str(error) for label, (_, error) in self.left_out.items()}
        sidecar = {
            **about,
            "Participants": len({run.participant for run, _ in sources}),
            "Runs": len({run.label for run, _ in sources}),
            "Sources": [self.cohort.uri(one.path) for _, one in sources],
            "LeftOut": {**self.task.left_out, **reasons},
            "Fingerprint": product.fingerprint,
        }
        publish_product(dict(zip(product.data, contents, strict=True)), product.sidecar, sidecar)
        self.written += [*product.data, product.sidecar]


def said_by_all(sources: Sequence[Source], key: str) -> Any:
    """Return what the sidecars of all sources say under a key; None where they differ."""
    values = {json.dumps(one.metadata.get(key), sort_keys=True) for _, one in sources}
    return json.loads(values.pop()) if len(values) == 1 else None
