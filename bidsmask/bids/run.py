"""A run: one image, a series mostly, and everything that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bidsmask.bids.dataset import DATATYPES
from bidsmask.bids.entities import Entities


@dataclass(frozen=True)
class Segmentation:
    """An image of labels that is a participant's own, and the table of names at the root."""

    image: Path
    table: Path | None


@dataclass(frozen=True)
class Run:
    """One series of volumes, or one anatomical image, in one space, with its companions.

    Attributes
    ----------
    participant : str
        Label without `sub-`; empty for an image of no BIDS dataset.
    path : Path
        The image, `.nii` or `.nii.gz`.
    entities : Entities
        Of `path`; old names of fMRIPrep as its later versions write them.
    metadata : mapping
        The sidecars of `path` by the inheritance principle of BIDS, nearest last. Where those of
        a series tell no timing, that of the raw run it was made from.
    mask, boldref, confounds, confounds_sidecar, events : Path or None
        None where the dataset has none. `mask` is a brain mask in the space of `path`.
    denoised : Path or None
        The same series as ICA-AROMA denoised it.
    tables : tuple of Path
        Tables of the run in all derivatives: of confounds, of components.
    segmentations : mapping of str to Segmentation
        By their `desc-`: aparcaseg, aseg. In the space of `path`.
    """

    participant: str
    path: Path
    entities: Entities
    metadata: Mapping[str, object] = field(default_factory=dict, hash=False)
    mask: Path | None = None
    boldref: Path | None = None
    confounds: Path | None = None
    confounds_sidecar: Path | None = None
    events: Path | None = None
    denoised: Path | None = None
    tables: tuple[Path, ...] = ()
    segmentations: Mapping[str, Segmentation] = field(default_factory=dict, hash=False)

    @property
    def datatype(self) -> str:
        """`func` or `anat`; empty for an image of no BIDS dataset."""
        return DATATYPES.get(self.entities.suffix, "")

    @property
    def product_entities(self) -> Entities:
        """What the names of all products of the run begin with."""
        return product_entities(self.entities)

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
        """A short name for messages: the entities but `desc-preproc`, and `T1w` or `T2w`."""
        entities = self.entities
        if entities.get("desc") == "preproc":
            entities = entities.without("desc")
        return entities.name(suffix="" if entities.suffix == "bold" else None, extension="")


def product_entities(entities: Entities) -> Entities:
    """Return what the names of products share with that of their image.

    `desc-` is the product's own. BIDS has `mod-` for the image that a mask is of: the mask of a
    T2w has it, that of the T1w, which most anatomical masks are of, does not, as in fMRIPrep.
    """
    named = entities.without("desc")
    return named.with_(mod="T2w") if entities.suffix == "T2w" else named
