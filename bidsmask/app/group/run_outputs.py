"""RunOutputs: what the participant level wrote of one run in one space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from bidsmask.bids.entities import Entities
from bidsmask.bids.outputs import Kind, UnfinishedProduct, WrittenProduct
from bidsmask.errors import Finding


class ProductName(NamedTuple):
    """What tells a run's products apart, as in the names of their files.

    Attributes
    ----------
    kind : str
    atlas : str
        Empty for voxels, and where there is none.
    statistic : str
        Empty where there is none.
    desc : str
        The set of cleaning choices, or the strategy of a mask; empty where there is none.
    """

    kind: Kind
    atlas: str = ""
    statistic: str = ""
    desc: str = ""

    @classmethod
    def of(cls, one: WrittenProduct | UnfinishedProduct) -> ProductName:
        """Return the name of a product."""
        get = one.entities.get
        statistic = "" if one.kind == "coverage" else get("stat") or ""
        return cls(one.kind, get("atlas") or "", statistic, get("desc") or "")

    def __str__(self) -> str:
        """Return it in words: `signals of atlas-X, mean, simple`."""
        details = [f"atlas-{self.atlas}" if self.atlas else "", self.statistic, self.desc]
        return " ".join(filter(None, [self.kind, *details]))


@dataclass(frozen=True, eq=False)
class RunOutputs:
    """What there is of one run in one space.

    Attributes
    ----------
    participant : str
        Label without `sub-`.
    datatype : str
        `func` or `anat`.
    entities : Entities
        Of the run, with its space.
    products : mapping of ProductName to WrittenProduct
        The complete ones.
    unfinished : mapping of ProductName to Finding
        Why others cannot be used.
    set_aside : mapping of ProductName to Finding
        Which are not used, since they were made with another mask than the one asked for.
    chosen_mask : str
        The strategy that `--mask-strategy` asks for; empty where it asks for none.
    """

    participant: str
    datatype: str
    entities: Entities
    products: Mapping[ProductName, WrittenProduct]
    unfinished: Mapping[ProductName, Finding]
    set_aside: Mapping[ProductName, Finding]
    chosen_mask: str = ""

    @cached_property
    def label(self) -> str:
        """A short name for messages and tables: `sub-01_task-rest_space-X`."""
        return self.entities.name(suffix="", extension="")

    @cached_property
    def masks(self) -> Mapping[str, WrittenProduct]:
        """The masks by strategy."""
        return self._by_desc("mask")

    @property
    def mask(self) -> WrittenProduct | None:
        """The mask that was asked for, or the only one; None where there is none such."""
        if self.chosen_mask:
            return self.masks.get(self.chosen_mask)
        return next(iter(self.masks.values())) if len(self.masks) == 1 else None

    @property
    def mask_quality(self) -> WrittenProduct | None:
        """What was measured of that mask; None where it was not."""
        if self.mask is None:
            return None
        return self._by_desc("mask quality").get(self.mask.entities["desc"])

    @cached_property
    def volumes(self) -> Mapping[str, WrittenProduct]:
        """The tables of volumes by cleaning."""
        return self._by_desc("volumes")

    @cached_property
    def coverage(self) -> Mapping[str, WrittenProduct]:
        """The coverage of regions by atlas."""
        return {name.atlas: one for name, one in self.products.items() if name.kind == "coverage"}

    @cached_property
    def signals(self) -> Mapping[tuple[str, str, str], WrittenProduct]:
        """The signals by atlas, statistic and cleaning; of voxels the first two are empty."""
        return {
            (name.atlas, name.statistic, name.desc): one
            for name, one in self.products.items()
            if name.kind == "signals"
        }

    def _by_desc(self, kind: Kind) -> Mapping[str, WrittenProduct]:
        return {name.desc: one for name, one in self.products.items() if name.kind == kind}
