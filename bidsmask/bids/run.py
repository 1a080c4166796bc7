"""A run: one image series and everything that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bidsmask.bids.entities import Entities


@dataclass(frozen=True)
class Run:
    """One series of volumes in one space, with its companions.

    Attributes
    ----------
    participant : str
        Label without `sub-`.
    bold : Path
        The image series, `.nii` or `.nii.gz`.
    entities : Entities
        Of `bold`; old names of fMRIPrep as its later versions write them.
    metadata : mapping
        The sidecars of `bold` by the inheritance principle of BIDS, nearest last. Where they
        tell no timing, that of the raw run it was made from.
    mask, boldref, confounds, confounds_sidecar, events : Path or None
        None where the dataset has none. `mask` is a brain mask in the space of `bold`.
    """

    participant: str
    bold: Path
    entities: Entities
    metadata: Mapping[str, object] = field(default_factory=dict, hash=False)
    mask: Path | None = None
    boldref: Path | None = None
    confounds: Path | None = None
    confounds_sidecar: Path | None = None
    events: Path | None = None

    @property
    def session(self) -> str:
        """The session's label; empty without sessions."""
        return self.entities.get("ses") or ""

    @property
    def task(self) -> str:
        """The task's label; empty where the name has none."""
        return self.entities.get("task") or ""

    @property
    def space(self) -> str:
        """The space's label; empty for the run's own."""
        return self.entities.get("space") or ""

    @property
    def label(self) -> str:
        """A short name for messages: all entities but the `desc-preproc` all series share."""
        entities = self.entities
        if entities.get("desc") == "preproc":
            entities = entities.without("desc")
        return entities.name(suffix="", extension="")
