"""A file of a dataset, known by its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bidsmask.bids.dataset import IMAGE
from bidsmask.bids.entities import Entities


@dataclass(frozen=True)
class File:
    """A file of a participant, with what its name says."""

    path: Path
    entities: Entities

    @property
    def datatype(self) -> str:
        """The name of its folder: `func`, `anat`."""
        return self.path.parent.name

    @property
    def is_image(self) -> bool:
        """Whether it is a NIfTI image, no CIFTI or GIFTI."""
        return self.entities.extension in IMAGE
