"""One Job to its Outcome: the main flow, from top to bottom."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from bidsmask.app import sidecars
from bidsmask.app.atlas_columns import AtlasColumns, atlas_columns
from bidsmask.app.examination import examine_mask, findings_of, quality_sidecar
from bidsmask.app.high_variance import with_high_variance
from bidsmask.app.job import Job, Outcome, Refusal
from bidsmask.app.masks import make_mask
from bidsmask.app.matrices import make_matrix
from bidsmask.app.notes import Notes
from bidsmask.app.outdated import withdraw_outdated
from bidsmask.app.preparation import AtlasPlan, CleaningPlan, Preparation
from bidsmask.app.prepare import prepare
from bidsmask.app.products import Product
from bidsmask.app.signals_task import SignalsTask
from bidsmask.app.trials import trial_series_sidecar, trials_sidecar
from bidsmask.bids.description import publish_atlas
from bidsmask.bids.disk import withdraw
from bidsmask.bids.locks import held
from bidsmask.bids.publish import Content, gzipped, publish_product
from bidsmask.bids.signals_table import write_signals
from bidsmask.bids.tables import table_bytes
from bidsmask.cleaning.operator import Cleaned
from bidsmask.errors import DataError, Finding, UnusableImage, UnusableMask
from bidsmask.images.image import Image
from bidsmask.images.stream import varying_voxels
from bidsmask.images.write import Space, nifti_bytes, space_of
from bidsmask.masks.given import load_mask
from bidsmask.masks.mask import Mask
from bidsmask.signals.columns import column_map, voxel_columns, voxel_names
from bidsmask.signals.extract import RawSignals, extract
from bidsmask.signals.trials import mean_over_trials
from bidsmask.signals.volumes import label_volumes, volumes_table
from bidsmask.signals.voxels import VoxelExtractor

# What was written, and what was noticed.
Done = tuple[Sequence[Path], Sequence[Finding]]


def run_job(job: Job, n_threads: int = 1) -> Outcome:
    """Do a Job, whatever happens in it.

    Parameters
    ----------
    job : Job
    n_threads : int
        As many blocks of columns are cleaned side by side.

    Returns
    -------
    Outcome
        Failed with a Finding where the data do not allow it, and with a traceback where the
        fault is ours.
    """

    def do() -> Done:
        with held(job.folder, job.run.label):
            work = Work(job, prepare(job), n_threads)
            work.do()
        return work.written, work.notes.findings

    return outcome_of(job.label, job.participant, do)


def outcome_of(label: str, participant: str, do: Callable[[], Done]) -> Outcome:
    """Do something, whatever happens in it, and return what became of it."""
    start = time.perf_counter()
    try:
        written, findings = do()
    except Exception as error:
        return Outcome.failed(label, participant, error)
    return Outcome(
        label,
        participant,
        "done",
        outputs=tuple(written),
        findings=tuple(findings),
        seconds=time.perf_counter() - start,
        peak_mb=peak_mb(),
    )


def peak_mb() -> float:
    """Return the largest memory of this process until now, MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


class Work:
    """What is done for one Job, with what was written and noticed on the way.

    Only products that are not up to date are made, unless everything is asked for.
    """

    def __init__(self, job: Job, preparation: Preparation, n_threads: int) -> None:
        self.job = job
        self.preparation = preparation
        self.n_threads = n_threads
        self.written: list[Path] = []
        self.notes = Notes(job)

    @property
    def space(self) -> Space:
        """What the affine of the run leads to, in the words of NIfTI."""
        return space_of(self.job.run.space)

    def do(self) -> None:
        """Make all products of the Job: mask, what the columns and rows are, signals."""
        mask = self.mask()
        self.varying()
        withdraw_outdated(self.job, self.preparation, self.notes)
        self.preparation = with_high_variance(self.preparation, self.job.run.path)
        if self.preparation.column_map is not None:
            self.column_map(mask)
        for plan in self.preparation.cleanings:
            self.volumes(plan)
        self.trials()
        atlases = [self.atlas(plan, mask) for plan in self.preparation.atlases]
        self.signals(mask, atlases)
        self.matrices()

    def is_wanted(self, product: Product) -> bool:
        """Return whether a product has to be made."""
        return self.job.options.force or not product.is_up_to_date()

    def is_needed(self, product: Product) -> bool:
        """Return whether a product has to be made, or is needed to make another."""
        return any(self.is_wanted(one) for one in self.preparation.made_with(product))

    def publish(
        self, product: Product, contents: Sequence[Content], sidecar: dict[str, object]
    ) -> None:
        """Write a product and note its files."""
        publish_product(dict(zip(product.data, contents, strict=True)), product.sidecar, sidecar)
        self.written += [*product.data, product.sidecar]

    def mask(self) -> Mask:
        """Make the mask, or take the one that was made before."""
        plan, image = self.preparation.mask, self.preparation.image
        if plan.combination is not None:
            return load_mask(plan.product.path, plan.grid, plan.strategy)
        if not any(self.is_wanted(one) for one in (plan.product, plan.quality) if one):
            with contextlib.suppress(DataError):  # one that was damaged since is made anew
                return load_mask(plan.product.path, plan.grid, plan.strategy)
        try:
            mask, mean = make_mask(plan, image)
        except (UnusableImage, UnusableMask) as error:
            if plan.source is not None or not plan.has_other:
                raise
            return self.other_mask(f"the image {error.problem}", is_made=False)
        exam, flags = examine_mask(self.job, plan, image, mask, mean)
        bad = [flag.code for flag in flags if flag.is_bad]
        if bad and plan.has_other:
            return self.other_mask(" and ".join(bad), is_made=True)
        participant = self.job.participant
        self.notes.findings += findings_of(flags, image.path, mask.strategy, participant)
        if mask.doubts:
            self.notes.add(
                "warning",
                "unsure-mask",
                image.path,
                f"has a {plan.strategy} mask that may be wrong: {'; '.join(mask.doubts)}",
                "Look at the mask; give --mask-file, or another --mask-strategy, where it is.",
            )
        content = nifti_bytes(mask.voxels, mask.grid, space=self.space)
        if plan.quality is not None and self.is_wanted(plan.quality):
            numbers = quality_sidecar(self.job, plan, exam, flags)
            self.publish(plan.quality, [], numbers)
        sidecar = sidecars.mask_sidecar(self.job, self.preparation, mask, flags)
        self.publish(plan.product, [content], sidecar)
        return mask

    def varying(self) -> None:
        """Write whose signal varies."""
        product, image = self.preparation.varying, self.preparation.image
        if product is None or not self.is_wanted(product):
            return
        voxels = varying_voxels(image)
        if not voxels.any():
            problem = "is constant over time: no voxel has a signal"
            raise UnusableImage(image.path, problem, "Leave it out, or --signal-mask.")
        sidecar = sidecars.varying_sidecar(self.job, product, voxels)
        self.publish(product, [nifti_bytes(voxels, image.grid, space=self.space)], sidecar)

    def other_mask(self, why: str, *, is_made: bool) -> Mask:
        """Refuse the mask that `auto` chose, and make the next one of the chain."""
        refused = self.preparation.mask.strategy
        advice = (
            f"--mask-strategy {refused} takes it all the same; docs/masks.md has the thresholds."
        )
        self.notes.add(
            "note",
            "mask-refused",
            self.preparation.image.path,
            f"gets no mask by {refused} from auto: {why}",
            advice if is_made else "",
        )
        refusal = Refusal(refused, why, is_made)
        self.job = replace(self.job, refused=(*self.job.refused, refusal))
        self.preparation = prepare(self.job)
        return self.mask()

    def column_map(self, mask: Mask) -> None:
        """Write which voxel each column is."""
        product = self.preparation.column_map
        if product is None or not self.is_wanted(product):
            return
        contents = [
            nifti_bytes(column_map(mask), mask.grid, space=self.space),
            table_bytes(voxel_columns(mask)),
        ]
        sidecar = sidecars.column_map_sidecar(self.job, self.preparation, product)
        self.publish(product, contents, sidecar)

    def volumes(self, plan: CleaningPlan) -> None:
        """Write what each volume is."""
        if not self.is_wanted(plan.volumes):
            return
        preparation = self.preparation
        table = volumes_table(
            plan.censoring.kept,
            plan.censoring.reasons,
            preparation.t_r_s,
            preparation.confounds,
            all_rows=self.job.options.keep_censored,
        )
        if preparation.trials is not None:
            table = label_volumes(table, preparation.trials, self.job.options.trial_delay or 0.0)
        filtered_mm = plan.censoring.filtered_displacement_mm
        if filtered_mm is not None:
            after = list(table.columns).index("framewise_displacement") + 1
            table.insert(after, "filtered_framewise_displacement", filtered_mm)
        sidecar = sidecars.volumes_sidecar(self.job, preparation, plan)
        self.publish(plan.volumes, [table_bytes(table)], sidecar)

    def trials(self) -> None:
        """Write what each trial is."""
        means, trials = self.preparation.trial_means, self.preparation.trials
        if means is None or trials is None:
            return
        for plan, product in zip(self.preparation.cleanings, means.tables, strict=True):
            if self.is_wanted(product):
                table = trials.described(means.span, plan.censoring.kept)
                sidecar = trials_sidecar(self.job, means, product, plan)
                self.publish(product, [table_bytes(table)], sidecar)

    def atlas(self, plan: AtlasPlan, mask: Mask) -> AtlasColumns | None:
        """Write the atlas as used and its coverage; return its columns.

        None where all products of the atlas are up to date.
        """
        if not any(self.is_needed(one) for one in plan.products):
            return None
        choice = plan.choice
        columns = atlas_columns(plan, mask, self.job.options, self.notes)
        if self.is_wanted(plan.columns):
            shared = None if choice.is_own else choice.image
            output = self.job.dataset.output
            publish_atlas(output, choice.entities, shared, choice.table, choice.kind)
        if plan.labels is not None and columns.labels is not None and self.is_wanted(plan.labels):
            image = nifti_bytes(columns.labels, mask.grid, space=self.space)
            contents = [image, table_bytes(columns.table)]
            self.publish(plan.labels, contents, sidecars.atlas_sidecar(self.job, plan))
        if self.is_wanted(plan.coverage):
            coverage = np.round(columns.coverage, 6)
            table = columns.table.assign(voxels=columns.sizes, coverage=coverage)
            sidecar = sidecars.coverage_sidecar(self.job, self.preparation, plan)
            self.publish(plan.coverage, [table_bytes(table)], sidecar)
        return columns

    def signals(self, mask: Mask, atlases: Sequence[AtlasColumns | None]) -> None:
        """Read each series once and write all signals that are wanted."""
        tasks = self.tasks(mask, atlases)
        for image in self.preparation.series:
            self.signals_of(image, tasks, mask)

    def signals_of(self, image: Image, tasks: Sequence[SignalsTask], mask: Mask) -> None:
        """Read a series once and write the signals that are taken from it."""
        plans = self.preparation.cleanings
        wanted_of = [
            [
                (plan, product)
                for plan, product in zip(plans, task.products, strict=True)
                if plan.material.image.path == image.path and self.is_needed(product)
            ]
            for task in tasks
        ]
        todo = [(task, some) for task, some in zip(tasks, wanted_of, strict=True) if some]
        if not todo:
            return
        fwhm_mm = self.job.options.smoothing_fwhm
        raws = extract(image, [task.extractor for task, _ in todo], fwhm_mm, mask.box)
        for (task, wanted), raw in zip(todo, raws, strict=True):
            for plan, product in wanted:
                # The last cleaning may write over what no other needs any more.
                is_last = product is wanted[-1][1]
                cleaned = task.clean(plan.operator, raw, is_last=is_last, n_threads=self.n_threads)
                self.publish_signals(task, plan, product, raw, cleaned)

    def matrices(self) -> None:
        """Write how the regions are connected."""
        for plan in self.preparation.matrices:
            if self.is_wanted(plan.product):
                table, sidecar = make_matrix(self.job, self.preparation, plan, self.notes)
                self.publish(plan.product, [table_bytes(table)], sidecar)

    def tasks(self, mask: Mask, atlases: Sequence[AtlasColumns | None]) -> list[SignalsTask]:
        """Return what has to be extracted."""
        preparation = self.preparation
        tasks: list[SignalsTask] = []
        if preparation.column_map is not None:
            products = [plan.voxels for plan in preparation.cleanings if plan.voxels is not None]
            names = voxel_names(mask.n_voxels)
            column_map = preparation.column_map
            tasks.append(SignalsTask(VoxelExtractor(mask), names, column_map, products))
        for plan, columns in zip(preparation.atlases, atlases, strict=True):
            if columns is None:
                continue
            for statistic, of_cleanings in plan.signals.items():
                extractor = columns.extractor(statistic)
                sizes = columns.sizes if statistic == "eigenvariate" else None
                told = (extractor, columns.names, plan.columns, of_cleanings, sizes, columns)
                tasks.append(SignalsTask(*told))
        return [task for task in tasks if any(map(self.is_needed, task.products))]

    def publish_signals(
        self,
        task: SignalsTask,
        plan: CleaningPlan,
        product: Product,
        raw: RawSignals,
        cleaned: Cleaned,
    ) -> None:
        """Write the signals of one extractor after one cleaning, and their means over trials."""
        kept = plan.censoring.kept
        values = np.asarray(cleaned.values, np.float32)
        sidecar = sidecars.signals_sidecar(
            self.job, self.preparation, plan, product, task.columns, raw, cleaned
        )
        if task.of_atlas is not None:
            sidecar |= sidecars.min_coverage(task.of_atlas)
        means, trials = self.preparation.trial_means, self.preparation.trials
        if means is not None and trials is not None:
            series = means.series[product]
            table = means.tables[self.preparation.cleanings.index(plan)]
            if self.is_wanted(series):
                over_trials = mean_over_trials(values, kept, trials.volumes(means.span))
                told = trial_series_sidecar(self.job, means, product, plan, table, sidecar)
                self.publish_rows(series, task.names, over_trials, told)
        if self.is_wanted(product):
            if self.job.options.keep_censored:
                rows = np.full((len(kept), values.shape[1]), np.nan, np.float32)
                rows[kept] = values
                values = rows
            self.publish_rows(product, task.names, values, sidecar)

    def publish_rows(
        self,
        product: Product,
        names: list[str],
        values: npt.NDArray[np.float32],
        sidecar: dict[str, object],
    ) -> None:
        """Write signals in the format that is asked for, and only in that."""

        def write(handle: BinaryIO) -> None:
            write_signals(handle, names, values, n_processes=self.n_threads)

        is_gzipped = self.job.options.format == "tsv.gz"
        other = product.sidecar.with_suffix(".tsv" if is_gzipped else ".tsv.gz")
        if other.exists():
            # The same signals in the other format would be taken for these.
            withdraw(product.sidecar)
            withdraw(other)
        self.publish(product, [gzipped(write) if is_gzipped else write], sidecar)
