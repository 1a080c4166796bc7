"""A Job that is worked out and ready to be computed: what is read, done and written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from bidsmask.app.atlases import AtlasChoice
from bidsmask.app.choices import CleaningChoice
from bidsmask.app.confounds import Material
from bidsmask.app.job import Job
from bidsmask.app.products import Product, fingerprint
from bidsmask.app.timing import start_time
from bidsmask.bids.entities import Entities
from bidsmask.cleaning.censoring import Censoring
from bidsmask.cleaning.confounds import Regressors
from bidsmask.cleaning.operator import TemporalOperator
from bidsmask.errors import Finding
from bidsmask.images.grid import Grid
from bidsmask.images.identity import identity
from bidsmask.images.image import Image
from bidsmask.masks.head_files import HeadFiles
from bidsmask.signals.trials import Span, Trials


@dataclass(frozen=True)
class MaskPlan:
    """How the mask of a run will be made.

    Attributes
    ----------
    strategy : str
        A name of the registry; `auto` has been decided.
    reason : str
        Why it is this one.
    arguments : mapping
        Its arguments, defaults included.
    grid : Grid
        That it is on: the run's, unless another is asked for.
    source : Path or None
        The file it is read from; None where it is computed from the run.
    head : HeadFiles or None
        The template's head that it takes to compute it.
    made_from : tuple of Path
        All files that decide which voxels are in it.
    given : str
        What was given for all runs alike: the identity of the user's file, or the template;
        empty where the mask is the run's own.
    fingerprint : str
        Of the voxels, whatever the reason was.
    product : Product
    quality : Product or None
        The examination of it; None where it is a share of masks.
    has_other : bool
        Whether another strategy is tried where this mask is bad, or cannot be made.
    refused : tuple of str
        The strategies that were tried before.
    combination : mapping or None
        How it was made of the masks of several runs, or of where signals vary, as sidecars tell
        it; None for a run's own.
    """

    strategy: str
    reason: str
    arguments: Mapping[str, object]
    grid: Grid
    source: Path | None
    head: HeadFiles | None
    made_from: tuple[Path, ...]
    given: str
    fingerprint: str
    product: Product
    quality: Product | None = None
    has_other: bool = False
    refused: tuple[str, ...] = ()
    combination: Mapping[str, object] | None = None

    @property
    def name(self) -> str:
        """As in `desc-`: the strategy in letters, and how it was combined."""
        return Entities.parse(self.product.path.name)["desc"]


@dataclass(frozen=True)
class Inputs:
    """Identities of what the products of a run are made from."""

    bold: str
    mask: str
    confounds: str
    events: str
    t_r_s: float
    n_volumes: int
    grid: object

    @property
    def timing(self) -> tuple[object, ...]:
        """What tells when the volumes were, and which of them can be kept."""
        return self.confounds, self.t_r_s, self.n_volumes

    @classmethod
    def of(cls, job: Job, image: Image, t_r_s: float, mask: str) -> Inputs:
        """Return the identities of the files of a run."""
        run = job.run
        tables = [path for path in (run.confounds, run.confounds_sidecar) if path]
        return cls(
            bold=identity(run.path),
            mask=mask,
            confounds=fingerprint(*[identity(path) for path in tables]),
            events=fingerprint(identity(run.events), start_time(job)) if run.events else "",
            t_r_s=t_r_s,
            n_volumes=image.n_volumes,
            grid=(image.grid.shape, image.grid.affine.tolist()),
        )

    def with_material(self, material: Material, image: Image) -> Inputs:
        """Return the identities where a strategy takes more of the run, or another series."""
        tables = [identity(path) for path in material.tables]
        is_other = material.image.path != image.path
        return replace(
            self,
            bold=identity(material.image.path) if is_other else self.bold,
            confounds=fingerprint(self.confounds, *tables) if tables else self.confounds,
        )


@dataclass(frozen=True, eq=False)
class CleaningPlan:
    """One set of cleaning choices, worked out for a run.

    Attributes
    ----------
    choice : CleaningChoice
        Of ICA-AROMA, what there is of it for the run.
    material : Material
        The series, and the tables beside its confounds.
    inputs : Inputs
        Their identities.
    censoring : Censoring
    regressors : Regressors
        As far as tables tell them.
    operator : TemporalOperator
    volumes : Product
    trials : str
        Fingerprint of what tells the trials of the run, and which volumes of them are kept.
    voxels : Product or None
        Voxel signals, where they are wanted.
    """

    choice: CleaningChoice
    material: Material
    inputs: Inputs
    censoring: Censoring
    regressors: Regressors
    operator: TemporalOperator
    volumes: Product
    trials: str
    voxels: Product | None


@dataclass(frozen=True, eq=False)
class AtlasPlan:
    """One atlas on a run.

    Attributes
    ----------
    choice : AtlasChoice
    names : mapping of number to str
        Of the regions, by label.
    n_columns : int
        As far as headers and tables tell.
    identity : str
        Of the image; of spheres also of their radius.
    labels : Product or None
        The regions on the grid of the run; of maps there is none.
    coverage : Product
    signals : mapping of str to tuple of Product
        By statistic, one for each CleaningPlan.
    """

    choice: AtlasChoice
    names: Mapping[int | float, str]
    n_columns: int
    identity: str
    labels: Product | None
    coverage: Product
    signals: Mapping[str, tuple[Product, ...]]

    @property
    def columns(self) -> Product:
        """What says which region a column is."""
        return self.labels or self.coverage

    @property
    def products(self) -> tuple[Product, ...]:
        """All that is written of the atlas, in the order of writing."""
        labels = [self.labels] if self.labels is not None else []
        signals = [product for products in self.signals.values() for product in products]
        return (*labels, self.coverage, *signals)


@dataclass(frozen=True, eq=False)
class MatrixPlan:
    """One matrix between the regions of an atlas on a run.

    Attributes
    ----------
    measure : str
    statistic : str
        Of the regions.
    atlas : AtlasPlan
    cleaning : CleaningPlan
    signals : Product
        What is connected.
    product : Product
    """

    measure: str
    statistic: str
    atlas: AtlasPlan
    cleaning: CleaningPlan
    signals: Product
    product: Product


@dataclass(frozen=True, eq=False)
class TrialsPlan:
    """Means of the signals over the trials of a run.

    Attributes
    ----------
    span : Span
        Which volumes a trial has.
    tables : tuple of Product
        What each trial is, one for each CleaningPlan.
    series : mapping of Product to Product
        The means, by the signals that they are of.
    """

    span: Span
    tables: tuple[Product, ...]
    series: Mapping[Product, Product]

    def of(self, product: Product) -> tuple[Product, ...]:
        """Return the means of a product, of which there are some where it is signals."""
        return (self.series[product],) if product in self.series else ()


@dataclass(frozen=True, eq=False)
class Preparation:
    """A Job, ready to be computed.

    Attributes
    ----------
    image : Image
        The series.
    mask : MaskPlan
    varying : Product or None
        The voxels whose signal varies, where a mask of them is to be made.
    t_r_s : float
        Repetition time, s; NaN where only the mask is wanted.
    confounds : DataFrame or None
    trials : Trials or None
        Where the run has events that can serve.
    column_map : Product or None
        Where voxel signals are wanted.
    cleanings : tuple of CleaningPlan
    atlases : tuple of AtlasPlan
    matrices : tuple of MatrixPlan
    trial_means : TrialsPlan or None
        Where means over trials are wanted, and the run has trials.
    findings : tuple of Finding
        Warnings and notes.
    """

    image: Image
    mask: MaskPlan
    varying: Product | None = None
    t_r_s: float = math.nan
    confounds: pd.DataFrame | None = None
    trials: Trials | None = None
    column_map: Product | None = None
    cleanings: tuple[CleaningPlan, ...] = ()
    atlases: tuple[AtlasPlan, ...] = ()
    matrices: tuple[MatrixPlan, ...] = ()
    trial_means: TrialsPlan | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def series(self) -> tuple[Image, ...]:
        """The series that signals are taken from, each once: mostly the run's own alone."""
        images = {plan.material.image.path: plan.material.image for plan in self.cleanings}
        return tuple(images.values())

    @property
    def products(self) -> tuple[Product, ...]:
        """Everything that the Job writes, in the order of writing."""
        voxels = [plan.voxels for plan in self.cleanings if plan.voxels is not None]
        regions = [product for plan in self.atlases for product in plan.products]
        maps = [self.column_map] if self.column_map is not None else []
        volumes = [plan.volumes for plan in self.cleanings]
        own = (self.mask.quality, self.mask.product) if self.mask.combination is None else ()
        masks = [product for product in own if product is not None]
        varying = [self.varying] if self.varying is not None else []
        matrices = [plan.product for plan in self.matrices]
        means = self.trial_means
        trials = () if means is None else (*means.tables, *means.series.values())
        return (*masks, *varying, *maps, *volumes, *voxels, *regions, *trials, *matrices)

    def made_with(self, product: Product) -> tuple[Product, ...]:
        """Return a product, and what is made of it: of signals, their means over trials."""
        means = self.trial_means
        return (product,) if means is None else (product, *means.of(product))
