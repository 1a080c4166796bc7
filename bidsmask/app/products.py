"""What a Job writes: names, and the Fingerprint that says whether a product is up to date."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bidsmask import __version__
from bidsmask.app.job import Job
from bidsmask.bids.entities import Entities
from bidsmask.bids.outputs import SHARED_MASKS
from bidsmask.bids.publish import SIZES
from bidsmask.images.source import read_regular

# Entities that say on which grid a series lies; what belongs to the run on every grid lacks them.
GRID_ENTITIES = ("space", "cohort", "res", "den")


@dataclass(frozen=True)
class Product:
    """Files that are made together, with the sidecar that says they are complete.

    Attributes
    ----------
    data : tuple of Path
        Data files, in the order of writing.
    sidecar : Path
        Written last.
    fingerprint : str
        Of all that the product is made from.
    """

    data: tuple[Path, ...]
    sidecar: Path
    fingerprint: str

    @property
    def path(self) -> Path:
        """The first data file."""
        return self.data[0]

    def is_up_to_date(self) -> bool:
        """Return whether all files are there, whole, and made from just this."""
        try:
            sidecar = json.loads(read_regular(self.sidecar))
            sizes = [path.stat().st_size for path in self.data]
        except (OSError, ValueError, RecursionError):
            return False
        if not isinstance(sidecar, dict) or not all(path.is_file() for path in self.data):
            return False
        return (sidecar.get("Fingerprint"), sidecar.get(SIZES)) == (self.fingerprint, sizes)


def fingerprint(*parts: object, **named: object) -> str:
    """Return 32 hex digits that stand for these values and the version of bidsmask."""
    told = {"version": __version__, "parts": parts, "named": named}
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def mask_name(strategy: str) -> str:
    """Return a strategy in letters, as in `desc-gmTemplate_mask`."""
    first, *others = strategy.split("-")
    return first + "".join(word.capitalize() for word in others)


def parts_of_mask_name(name: str) -> tuple[str, str]:
    """Return the strategy in letters, and how masks of it were combined: empty for a run's own."""
    ending = next((one for one in SHARED_MASKS if name.lower().endswith(one)), "")
    return name[: len(name) - len(ending)], ending


@dataclass(frozen=True)
class Names:
    """The names of the products of one Job.

    Attributes
    ----------
    job : Job
    mask_name : str
        From `mask_name`.
    """

    job: Job
    mask_name: str

    def mask(self, fingerprint: str) -> Product:
        """The mask; of an image of no BIDS dataset under the name that nidataset gives it."""
        return self._product(fingerprint, "mask", (".nii.gz",), self._of_mask())

    def varying(self, fingerprint: str) -> Product:
        """The voxels whose signal varies."""
        return self._product(fingerprint, "mask", (".nii.gz",), {"desc": "signal"})

    def quality(self, fingerprint: str) -> Product:
        """The mask doctor's numbers, which are a JSON file and nothing beside it."""
        return self._product(fingerprint, "qc", (), self._of_mask())

    def column_map(self, fingerprint: str) -> Product:
        """The image and table that say which voxel a column is."""
        entities = {"seg": "voxels", "desc": self.mask_name}
        return self._product(fingerprint, "dseg", (".nii.gz", ".tsv"), entities)

    def atlas(self, fingerprint: str, atlas: str) -> Product:
        """The atlas on the grid of the run, with its names."""
        return self._product(fingerprint, "dseg", (".nii.gz", ".tsv"), {"atlas": atlas})

    def coverage(self, fingerprint: str, atlas: str) -> Product:
        """The share of each region inside the mask."""
        entities = {"atlas": atlas, "stat": "coverage"}
        return self._product(fingerprint, "bold", (".tsv",), entities)

    def volumes(self, fingerprint: str, cleaning: str) -> Product:
        """What each volume of the run is."""
        return self._product(
            fingerprint, "volumes", (".tsv",), {"desc": cleaning}, without=GRID_ENTITIES
        )

    def trials(self, fingerprint: str, cleaning: str, span: str) -> Product:
        """What each trial of the run is, and which of its volumes count."""
        entities = {"desc": cleaning + span}
        return self._product(fingerprint, "trials", (".tsv",), entities, without=GRID_ENTITIES)

    def trial_series(self, fingerprint: str, signals: Product, span: str) -> Product:
        """The means of signals over trials."""
        of_signals = Entities.parse(signals.path.name)
        entities = {**dict(of_signals.pairs), "desc": of_signals["desc"] + span}
        return self._product(fingerprint, "trialseries", (of_signals.extension,), entities)

    def voxels(self, fingerprint: str, cleaning: str) -> Product:
        """The signals of the voxels."""
        return self._signals(fingerprint, {"seg": "voxels", "desc": cleaning})

    def regions(self, fingerprint: str, cleaning: str, atlas: str, statistic: str) -> Product:
        """The signals of the regions of an atlas."""
        stat = statistic.replace("_", "")
        return self._signals(fingerprint, {"atlas": atlas, "stat": stat, "desc": cleaning})

    def matrix(self, fingerprint: str, cleaning: str, atlas: str, stat: str) -> Product:
        """A measure between the regions of an atlas."""
        entities = {"atlas": atlas, "stat": stat, "desc": cleaning}
        return self._product(fingerprint, "relmat", (".tsv",), entities)

    def _of_mask(self) -> Mapping[str, str]:
        return {"desc": self.mask_name} if self.job.run.participant else {}

    def _signals(self, fingerprint: str, entities: Mapping[str, str]) -> Product:
        extension = f".{self.job.options.format}"
        return self._product(fingerprint, "timeseries", (extension,), entities)

    def _product(
        self,
        fingerprint: str,
        suffix: str,
        extensions: tuple[str, ...],
        entities: Mapping[str, str],
        without: tuple[str, ...] = (),
    ) -> Product:
        """Return the product whose name is the run's with these entities."""
        named = self.job.run.product_entities.without(*without).with_(**entities)

        def path(extension: str) -> Path:
            return self.job.folder / named.name(suffix=suffix, extension=extension)

        return Product(tuple(path(one) for one in extensions), path(".json"), fingerprint)
