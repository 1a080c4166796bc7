"""All of a Job that names, headers, sidecars and tables can tell; nothing 4D is decompressed.

The preflight is this: what is wrong comes out before anything is computed.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from bidsmask.app.atlas_columns import LEAST_SQUARES, refuse_overlap, spheres_of
from bidsmask.app.atlas_notes import note_space
from bidsmask.app.atlases import AtlasChoice, atlas_choices, atlas_requests, refuse_another
from bidsmask.app.choices import CleaningChoice, cleaning_choices
from bidsmask.app.confounds import material_of
from bidsmask.app.events import trials_of
from bidsmask.app.high_variance import N_CONFOUNDS
from bidsmask.app.job import Job
from bidsmask.app.masks import plan_mask, plan_varying
from bidsmask.app.matrices import plan_matrices
from bidsmask.app.notes import Notes
from bidsmask.app.preparation import AtlasPlan, CleaningPlan, Inputs, Preparation
from bidsmask.app.products import Names, fingerprint
from bidsmask.app.sidecars import spatial
from bidsmask.app.timing import repetition_time, start_time
from bidsmask.app.trials import plan_trials
from bidsmask.bids.atlases import read_names_of
from bidsmask.bids.inheritance import read_sidecar
from bidsmask.bids.region_names import Label
from bidsmask.bids.tables import read_table
from bidsmask.bids.templates import Template
from bidsmask.cleaning.censoring import censor
from bidsmask.cleaning.confounds import select_regressors
from bidsmask.cleaning.operator import build_operator
from bidsmask.cleaning.table import numbers, table_of_run
from bidsmask.errors import GridMismatch, TooFewVolumes, UnusableImage
from bidsmask.images.identity import identity
from bidsmask.images.image import Image, open_image

# Fewer degrees of freedom than this make a correlation of .5 a matter of chance (p > .05).
FEW_DEGREES_OF_FREEDOM = 15
# Columns of the confounds that the table of volumes shows, whether or not they are used.
MOTION = ("framewise_displacement", "std_dvars")


def prepare(job: Job) -> Preparation:
    """Work out everything of a Job that does not need its voxels.

    Raises
    ------
    DataError
        What makes the Job impossible.
    """
    run, options = job.run, job.options
    notes = Notes(job)
    image = open_image(run.path)
    mask = job.mask or plan_mask(job, image, notes)
    if options.mask_only or run.datatype == "anat":
        varying = plan_varying(job, image, mask)
        return Preparation(image, mask, varying, findings=tuple(notes.findings))

    if not image.is_series:
        raise UnusableImage(
            run.path, "is one 3D image, but signals need a series", "Give --mask-only for its mask."
        )
    if image.n_volumes < 2:
        raise TooFewVolumes(
            run.path, "has a single volume, which cannot be cleaned", "Give --mask-only."
        )
    t_r_s = repetition_time(job, image, notes)
    confounds = read_confounds(run.confounds, image.n_volumes) if run.confounds else None
    trials = trials_of(job, image.n_volumes, t_r_s, notes)

    inputs = Inputs.of(job, image, t_r_s, mask.fingerprint)
    names = Names(job, mask.name)
    cleanings = tuple(
        plan_cleaning(job, choice, image, t_r_s, confounds, inputs, names, notes)
        for choice in cleaning_choices(options)
    )
    requests = atlas_requests(options.atlas, options.maps, options.seeds)
    atlases = tuple(
        plan_atlas(job, choice, image, cleanings, inputs, names, notes)
        for choice in atlas_choices(requests, run, image.grid)
    )
    column_map = names.column_map(fingerprint("column map", inputs.mask))
    trial_means = None
    if trials is not None and options.trials:
        trial_means = plan_trials(job, trials, cleanings, atlases, names, notes)
    return Preparation(
        image=image,
        mask=mask,
        t_r_s=t_r_s,
        confounds=confounds,
        trials=trials,
        column_map=column_map if options.voxels else None,
        cleanings=cleanings,
        atlases=atlases,
        matrices=plan_matrices(job, atlases, cleanings, names),
        trial_means=trial_means,
        findings=tuple(notes.findings),
    )


def read_confounds(path: Path, n_volumes: int) -> pd.DataFrame:
    """Return the confounds of a run of so many volumes, under today's names of fMRIPrep.

    Raises
    ------
    UnusableTable
        It is not of this run, or holds text where the table of volumes shows a number.
    """
    table = table_of_run(read_table(path), n_volumes, path)
    return table.assign(**{one: numbers(table, one, path) for one in MOTION if one in table})


def plan_cleaning(
    job: Job,
    choice: CleaningChoice,
    image: Image,
    t_r_s: float,
    confounds: pd.DataFrame | None,
    inputs: Inputs,
    names: Names,
    notes: Notes,
) -> CleaningPlan:
    """Work out one set of cleaning choices: regressors, censoring, the operator."""
    run = job.run
    where = run.confounds or run.path
    metadata = read_sidecar(run.confounds_sidecar) if run.confounds_sidecar else {}
    material = material_of(job, choice.confounds, image, confounds, notes)
    own = inputs.with_material(material, image)
    choice = replace(choice, confounds=material.strategy)
    regressors = select_regressors(
        material.strategy, confounds, metadata, image.n_volumes, where, material.others
    )
    censoring = censor(image.n_volumes, t_r_s, choice.thresholds, confounds, where)
    operator = build_operator(choice.cleaning, t_r_s, censoring, regressors, run.path)
    of_voxels = N_CONFOUNDS if choice.confounds.high_variance else 0
    left = operator.freedom.remaining - of_voxels
    if left < FEW_DEGREES_OF_FREEDOM:
        notes.add(
            "warning",
            "few-degrees-of-freedom",
            run.path,
            f"has {left:.1f} degrees of freedom left after {choice.name}: {operator.freedom}"
            + (f" - {of_voxels} of high variance" if of_voxels else ""),
            "Use fewer confounds, a wider band, or longer runs.",
        )
    thresholds = asdict(choice.thresholds)
    trials = fingerprint("trials of volumes", thresholds, inputs.events, *inputs.timing)
    labelling = (job.options.trial_delay or 0.0, job.options.events_columns)
    volumes = fingerprint("volumes", trials, *labelling)
    signals = signals_fingerprint("voxels", job, choice, own)
    return CleaningPlan(
        choice=choice,
        material=material,
        inputs=own,
        censoring=censoring,
        regressors=regressors,
        operator=operator,
        volumes=names.volumes(volumes, choice.name),
        trials=trials,
        voxels=names.voxels(signals, choice.name) if job.options.voxels else None,
    )


def signals_fingerprint(what: str, job: Job, choice: CleaningChoice, inputs: Inputs) -> str:
    """Return the Fingerprint of signals: of voxels, or of regions of a known coverage."""
    options = job.options
    return fingerprint(
        what,
        asdict(choice),
        *inputs.timing,
        inputs.bold,
        inputs.mask,
        options.smoothing_fwhm,
        options.keep_censored,
        options.format,
        start_time(job),
    )


def plan_atlas(
    job: Job,
    choice: AtlasChoice,
    image: Image,
    cleanings: tuple[CleaningPlan, ...],
    inputs: Inputs,
    names: Names,
    notes: Notes,
) -> AtlasPlan:
    """Work out one atlas on a run, and refuse one of another space."""
    run = job.run
    own = Template.of(run.entities)
    if choice.space.name and not choice.space.fits(own):
        raise GridMismatch(
            choice.image,
            f"is in the space {choice.space}, but {run.path.name} is in {str(own) or 'its own'}",
            f"Leave such runs out with --space {choice.space}, or give an atlas in their space.",
        )
    known = made_from = identity(choice.image)
    if not job.options.force:
        refuse_another(choice, known, job.dataset.output)
    if choice.is_own:
        known = f"each participant's own {choice.name}"
    note_space(notes, choice)
    tables = [identity(choice.table)] if choice.table else []
    statistics = job.options.region_statistic if choice.kind != "maps" else (LEAST_SQUARES,)
    if choice.kind == "spheres":
        seeds, spheres = spheres_of(choice, job.options.radius)
        if not job.options.allow_overlap:
            refuse_overlap(choice, seeds, spheres, image.grid)
        region_names = seeds.names
        n_columns = len(seeds.indices)
        known += f" radius {job.options.radius:g} mm" if job.options.radius is not None else ""
    else:
        n_volumes = open_image(choice.image).n_volumes
        if choice.kind == "labels" and n_volumes > 1:
            problem = f"has {n_volumes} volumes, but labels are one"
            raise UnusableImage(choice.image, problem, "Give maps by --maps.")
        n_maps = n_volumes if choice.kind == "maps" else 0
        region_names = names_of(choice, n_maps, notes)
        n_columns = n_maps or len(region_names)
    labels = fingerprint("atlas", known, made_from, tables, inputs.grid, spatial(job))
    coverage = fingerprint("coverage", labels, inputs.mask)
    least = job.options.min_coverage
    signals = {
        statistic: tuple(
            names.regions(
                signals_fingerprint(
                    f"{statistic} {coverage} {least}", job, plan.choice, plan.inputs
                ),
                plan.choice.name,
                choice.name,
                statistic,
            )
            for plan in cleanings
        )
        for statistic in statistics
    }
    return AtlasPlan(
        choice=choice,
        names=region_names,
        n_columns=n_columns,
        identity=known,
        labels=names.atlas(labels, choice.name) if choice.kind != "maps" else None,
        coverage=names.coverage(coverage, choice.name),
        signals=signals,
    )


def names_of(choice: AtlasChoice, n_maps: int, notes: Notes) -> dict[Label, str]:
    """Return the names of the regions of labels or maps, as far as there is a table."""
    if choice.table is None:
        return {}
    names, is_from_zero = read_names_of(choice.image, choice.table, n_maps)
    if is_from_zero:
        problem = "counts from 0 and the image from 1: one was added to each index"
        notes.add("note", "names-from-zero", choice.table, problem)
    return names
