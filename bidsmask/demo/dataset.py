"""Writes the demo: a raw BIDS dataset, its fMRIPrep derivatives and the truth about it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bidsmask.bids.publish import publish, publish_json
from bidsmask.bids.tables import table_bytes
from bidsmask.demo import texts
from bidsmask.demo.confounds import confounds_table
from bidsmask.demo.head import REGIONS, T1W_LEVELS, Scene, region_labels
from bidsmask.demo.nifti import UNITS, Storage, image_bytes, series_bytes
from bidsmask.demo.plan import (
    BOLD_GRID,
    PARTICIPANTS,
    SPACE,
    T1W_GRID,
    TEMPLATE_GRID,
    PlannedParticipant,
    PlannedRun,
    run_stem,
    t1w_stem,
)
from bidsmask.demo.timecourse import NOISE_SD, T_R_S, Timecourse, simulate_events, simulate_series
from bidsmask.errors import OutputRefused

Series = npt.NDArray[np.float32]


def write_demo(directory: Path | str, seed: int = 0) -> None:
    """Write the demo dataset.

    The same seed gives the same bytes. An earlier demo in the folder is overwritten file by
    file; whatever else stands in it, such as `derivatives/bidsmask`, is left alone.

    Parameters
    ----------
    directory : Path or str
        Made if it is not there.
    seed : int
        From 0.

    Raises
    ------
    OutputRefused
        If there is something in the directory that is no earlier demo.
    WritingFailed
        If the disk is full or the directory is not writable.
    """
    root = Path(directory)
    refuse_strangers(root)
    # First of all, so that a demo whose writing was interrupted is known as one.
    publish_json(root / "dataset_description.json", texts.RAW_DESCRIPTION)
    write_descriptions(root)
    write_atlas(root / "derivatives" / "truth")
    for number, participant in enumerate(PARTICIPANTS):
        write_participant(root, participant, np.random.default_rng([seed, number]))


def refuse_strangers(root: Path) -> None:
    """Raise OutputRefused unless the folder is absent, empty, or an earlier demo."""
    try:
        if not any(root.iterdir()):
            return
    except FileNotFoundError:
        return
    except OSError as error:
        reason = f"cannot be used as a folder ({error.strerror})"
        raise OutputRefused(root, reason, "Give a new or an empty folder.") from error
    try:
        description = json.loads((root / "dataset_description.json").read_bytes())
        makers = [maker["Name"] for maker in description["GeneratedBy"]]
    except (OSError, ValueError, KeyError, TypeError):
        makers = []
    if texts.GENERATOR not in makers:
        raise OutputRefused(
            root, "is not empty and holds no earlier demo", "Give a new or an empty folder."
        )


def write_descriptions(root: Path) -> None:
    """Write what stands at the roots of the three datasets, but for the raw description."""
    fmriprep, truth = root / "derivatives" / "fmriprep", root / "derivatives" / "truth"
    publish(root / "README", texts.RAW_README.encode())
    publish(root / "CHANGES", texts.CHANGES.encode())
    rows = [(f"sub-{p.label}", p.age, p.sex, p.group) for p in PARTICIPANTS]
    table = pd.DataFrame(rows, columns=["participant_id", "age", "sex", "group"])
    publish(root / "participants.tsv", table_bytes(table))
    publish_json(root / "participants.json", texts.PARTICIPANTS_SIDECAR)
    publish_json(root / "task-faces_events.json", texts.EVENTS_SIDECAR)
    publish_json(fmriprep / "dataset_description.json", texts.FMRIPREP_DESCRIPTION)
    publish(fmriprep / "README.md", texts.FMRIPREP_README.encode())
    publish(fmriprep / ".bidsignore", texts.FMRIPREP_IGNORE.encode())
    publish_json(truth / "dataset_description.json", texts.TRUTH_DESCRIPTION)
    publish(truth / "README.md", texts.TRUTH_README.encode())
    publish(truth / ".bidsignore", texts.TRUTH_IGNORE.encode())


def write_atlas(truth: Path) -> None:
    """Write the regions on the template's grid, and the table of their names."""
    ijk = np.indices(TEMPLATE_GRID.shape).reshape(3, -1, order="F").T
    labels = region_labels(TEMPLATE_GRID.to_mm(ijk))
    image = image_bytes(labels, TEMPLATE_GRID, "int32", native=False)
    publish(truth / f"{texts.ATLAS}.nii.gz", image)
    names = [(index, region.name) for index, region in enumerate(REGIONS, start=1)]
    table = pd.DataFrame(names, columns=["index", "name"])
    publish(truth / f"{texts.ATLAS}.tsv", table_bytes(table))


def write_participant(
    root: Path, participant: PlannedParticipant, rng: np.random.Generator
) -> None:
    """Write one participant's anatomy and runs into all three datasets."""
    head = participant.head
    template = Scene.of(head, TEMPLATE_GRID, native=False)
    native = Scene.of(head, BOLD_GRID, native=True)
    write_t1w(root, participant, rng)
    for run, run_rng in zip(participant.runs, rng.spawn(len(participant.runs)), strict=True):
        events = simulate_events(run_rng, run.n_volumes) if run.task == "faces" else None
        timecourse = Timecourse.simulate(run_rng, run.n_volumes, events, run.spikes, run.non_steady)
        stem = run_stem(participant, run)
        seen = {scene: simulate_series(run_rng, scene, timecourse) for scene in (template, native)}
        write_raw(root / stem, run, native, seen[native], events)

        prepared = root / "derivatives" / "fmriprep" / stem
        as_read = seen[template] / np.float32(UNITS[run.storage])
        table, metadata = confounds_table(template, as_read, timecourse, run.non_steady)
        publish(_named(prepared, "desc-confounds_timeseries.tsv"), table_bytes(table))
        publish_json(_named(prepared, "desc-confounds_timeseries.json"), metadata)

        truth = root / "derivatives" / "truth" / stem
        write_truth(truth, run, timecourse)
        for scene in (template, native) if run.native else (template,):
            space = "" if scene.native else f"space-{SPACE}"
            write_preprocessed(_named(prepared, space), run, scene, seen[scene])
            mask = image_bytes(scene.brain, scene.grid, "uint8", native=scene.native)
            publish(_named(_named(truth, space), "desc-truth_mask.nii.gz"), mask)


def write_t1w(root: Path, participant: PlannedParticipant, rng: np.random.Generator) -> None:
    """Write the raw T1-weighted image."""
    scene = Scene.of(participant.head, T1W_GRID, native=True)
    noise = rng.normal(scale=NOISE_SD, size=(2, len(scene.shares)))
    image = np.hypot(scene.image(T1W_LEVELS) + noise[0], noise[1])
    stem = root / t1w_stem(participant)
    publish(_named(stem, "T1w.nii.gz"), image_bytes(image, T1W_GRID, "int16", native=True))
    publish_json(_named(stem, "T1w.json"), {"Modality": "MR", "MagneticFieldStrength": 3})


def write_raw(
    stem: Path, run: PlannedRun, scene: Scene, series: Series, events: pd.DataFrame | None
) -> None:
    """Write a run as the scanner would leave it."""
    publish(_named(stem, "bold.nii.gz"), series_bytes(scene, series, T_R_S, "int16"))
    sidecar = {
        "TaskName": run.task,
        "RepetitionTime": T_R_S,
        "EchoTime": 0.03,
        "FlipAngle": 80,
        "MagneticFieldStrength": 3,
        "Modality": "MR",
    }
    publish_json(_named(stem, "bold.json"), sidecar)
    if events is not None:
        publish(_named(stem, "events.tsv"), table_bytes(events))


def write_preprocessed(stem: Path, run: PlannedRun, scene: Scene, series: Series) -> None:
    """Write a run's series, reference and mask in one space, as fMRIPrep would."""
    storage: Storage = "int16" if scene.native else run.storage
    publish(_named(stem, "desc-preproc_bold.nii.gz"), series_bytes(scene, series, T_R_S, storage))
    sidecar = {
        "RepetitionTime": T_R_S,
        "SkullStripped": False,
        "SliceTimingCorrected": False,
        "StartTime": 0.0,
        "TaskName": run.task,
    }
    publish_json(_named(stem, "desc-preproc_bold.json"), sidecar)
    steady = np.median(series[run.non_steady :], axis=0)
    reference = image_bytes(steady, scene.grid, "int16", native=scene.native)
    publish(_named(stem, f"{'desc-coreg_' * scene.native}boldref.nii.gz"), reference)
    mask = image_bytes(scene.brain, scene.grid, "uint8", native=scene.native)
    publish(_named(stem, "desc-brain_mask.nii.gz"), mask)
    publish_json(_named(stem, "desc-brain_mask.json"), {"Type": "Brain"})


def write_truth(stem: Path, run: PlannedRun, timecourse: Timecourse) -> None:
    """Write the signals that are to be recovered of a run, and the volumes that are spoiled."""
    names = [region.name for region in REGIONS]
    signals = pd.DataFrame(np.round(timecourse.regions.T, 6), columns=names)
    publish(_named(stem, "desc-truth_timeseries.tsv"), table_bytes(signals))
    spoiled = [(volume, "non-steady-state") for volume in range(run.non_steady)]
    spoiled += [(volume, "spike") for volume in run.spikes]
    volumes = pd.DataFrame(sorted(spoiled), columns=["volume", "reason"])
    publish(_named(stem, "desc-truth_volumes.tsv"), table_bytes(volumes))


def _named(stem: Path, ending: str) -> Path:
    """Return the stem with one more part of the name; an empty one adds nothing."""
    return stem.with_name(f"{stem.name}_{ending}" if ending else stem.name)
