"""Every choice of the user, in one frozen object.

Parser, config.toml and help are made from its fields, so that they cannot drift apart. What
Options does not hold, no flag can say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bidsmask.app.option import option
from bidsmask.app.words import (
    CLEANING,
    COMBINATIONS,
    COMBINED_OVER,
    CONFOUNDS,
    CONNECTIVITY,
    DATATYPES,
    MASK,
    MASK_STRATEGIES,
    REGION_STATISTICS,
    RUNNING,
    SIGNALS,
    WORK,
)

if TYPE_CHECKING:  # for the types alone: help must not wait for numpy
    from bidsmask.cleaning.cleaning import Scale
    from bidsmask.cleaning.filter import Kind, Padding
    from bidsmask.cleaning.motion import MotionKind


@dataclass(frozen=True)
class Options:
    """Every choice of the user.

    The fields are the long options of the command line with underscores; their help and
    their units stand beside them.
    """

    bids_dir: Path
    output_dir: Path
    analysis_level: str

    derivatives: tuple[Path, ...] = option(
        (),
        "folders of preprocessed derivatives (default: those in bids_dir/derivatives)",
        group=WORK,
        flags=("-d",),
        kind=Path,
        metavar="PATH",
    )
    participant_label: tuple[str, ...] = option(
        (), "participants, with or without sub-", group=WORK, metavar="LABEL"
    )
    session_label: tuple[str, ...] = option(
        (), "sessions, with or without ses-", group=WORK, metavar="LABEL"
    )
    task_label: tuple[str, ...] = option(
        (), "tasks", group=WORK, flags=("--task-id", "-t"), metavar="LABEL"
    )
    run_label: tuple[str, ...] = option((), "runs", group=WORK, metavar="LABEL")
    space: tuple[str, ...] = option(
        (),
        "spaces, as NAME or NAME:res-LABEL; func is the run's own space (default: all)",
        group=WORK,
        metavar="SPACE",
    )
    datatype: str = option(
        "func",
        "images to work on: func, the BOLD series; anat, T1w and T2w, of which masks alone are "
        "written; both",
        group=WORK,
        choices=tuple(DATATYPES),
    )
    bids_filter_file: Path | None = option(
        None, "JSON file of pybids filters, as fMRIPrep's", group=WORK, kind=Path, metavar="JSON"
    )
    skip_bids_validation: bool = option(
        False,
        "accepted for other BIDS-Apps' sake: only dataset_description.json is looked at",
        group=WORK,
    )

    mask_strategy: str = option(
        "auto",
        "how the mask is made; auto: the first that is not bad of the derivative's, brain where "
        "its template is at hand, epi for series, and automask; at the group level: "
        "which masks count where there are several",
        group=MASK,
        choices=MASK_STRATEGIES,
    )
    mask_args: tuple[str, ...] = option(
        (), "arguments of the strategy, as in opening=1", group=MASK, metavar="KEY=VALUE"
    )
    mask_file: Path | None = option(
        None, "mask image on the grid of the runs", group=MASK, kind=Path, metavar="PATH"
    )
    template: str | None = option(
        None,
        "TemplateFlow's template of the template strategies and of brain, as NAME or "
        "NAME:cohort-LABEL (default: the run's own space; for brain MNI152NLin2009cAsym)",
        group=MASK,
        metavar="NAME",
    )
    brain_volume: tuple[float, ...] = option(
        (),
        "a mask of less or more ml than these two numbers is flagged (default: 700 2200, of "
        "human adults)",
        group=MASK,
        kind=float,
        metavar="ML",
    )
    target_affine: tuple[float, ...] = option(
        (),
        "with --mask-only: make masks on this grid, by moving the image there first; nilearn's "
        "target_affine row by row, 9 numbers (mm a voxel), or 16 with its place",
        group=MASK,
        kind=float,
        metavar="X",
    )
    target_shape: tuple[int, ...] = option(
        (), "voxels of that grid; --target-affine has 16 numbers", group=MASK, kind=int, metavar="N"
    )
    mask_only: bool = option(False, "write masks and nothing else", group=MASK)
    combine_masks: str | None = option(
        None,
        "make one mask of those of many runs, which all their signals share; at the group level: "
        "the only one that is made (default: majority, intersection, probability)",
        group=MASK,
        choices=COMBINATIONS,
    )
    combine_over: str | None = option(
        None,
        "whose runs: run, those of a session; session, those of a participant in all sessions; "
        "participant, those of all, at the group level (default: run; at the group level "
        "participant)",
        group=MASK,
        choices=COMBINED_OVER,
    )
    signal_mask: float | None = option(
        None,
        "mask only voxels whose signal varies in at least this share of the runs, 0 to 1, so "
        "that with 1 no column is dead",
        group=MASK,
        kind=float,
        metavar="SHARE",
    )

    atlas: tuple[str, ...] = option(
        (),
        "labels of regions: an image, with its table of names beside it or as IMAGE=TABLE; "
        "TemplateFlow's, as NAME[:KEY-LABEL]; a BIDS-Atlas folder, as FOLDER[:KEY-LABEL]; the "
        "participant's own, aparcaseg or aseg",
        group=SIGNALS,
        metavar="NAME|PATH",
    )
    region_statistic: tuple[str, ...] = option(
        ("mean",),
        "what is made of the voxels of each region of --atlas and --seeds; each is written",
        group=SIGNALS,
        choices=REGION_STATISTICS,
    )
    maps: tuple[str, ...] = option(
        (),
        "probabilistic maps, fitted to each volume by least squares: a 4D image, or as --atlas",
        group=SIGNALS,
        metavar="NAME|PATH",
    )
    seeds: tuple[Path, ...] = option(
        (),
        "table (TSV or CSV) of seeds, whose spheres are regions: x, y and z in mm, and name, index "
        "and radius where wanted",
        group=SIGNALS,
        kind=Path,
        metavar="TABLE",
    )
    radius: float | None = option(
        None,
        "of the spheres, where the table of seeds has none, mm; 0: the nearest voxel alone",
        group=SIGNALS,
        kind=float,
        metavar="MM",
    )
    allow_overlap: bool = option(
        False, "let spheres share voxels (default: refuse them)", group=SIGNALS
    )
    min_coverage: float | None = option(
        None, "regions covered by less are n/a, 0 to 1", group=SIGNALS, kind=float, metavar="SHARE"
    )
    voxels: bool | None = option(
        None,
        "write the signal of every voxel (default: when nothing else is asked for)",
        group=SIGNALS,
        kind=bool,
    )
    connectivity: tuple[str, ...] = option(
        (),
        "measures between the signals of all regions of --atlas, --maps and --seeds; each is "
        "written; partial and precision are of Ledoit and Wolf's covariance; at the group level: "
        "how they go with motion over runs (QC-FC)",
        group=SIGNALS,
        choices=CONNECTIVITY,
    )
    fisher_z: bool = option(
        False, "write the correlations of --connectivity as Fisher's z", group=SIGNALS
    )
    smoothing_fwhm: float | None = option(
        None, "smooth with a Gaussian of this width, mm", group=SIGNALS, kind=float, metavar="MM"
    )
    trials: bool = option(
        False,
        "also write the mean of each signal over each trial: a row for each event of the run",
        group=SIGNALS,
    )
    trial_window: tuple[float, ...] = option(
        (),
        "volumes of a trial: at or after the first and before the second of these times, s from "
        "its onset, whatever its delay and duration (default: the trial itself, delayed)",
        group=SIGNALS,
        kind=float,
        metavar="S",
    )
    trial_delay: float | None = option(
        None,
        "events are this much later where volumes are given to trials, s: of the haemodynamic "
        "response (default: 0)",
        group=SIGNALS,
        kind=float,
        metavar="S",
    )
    events_columns: tuple[str, ...] = option(
        (),
        "more columns of the events, shown beside trial_type in the tables of volumes and trials",
        group=SIGNALS,
        metavar="NAME",
    )
    keep_censored: bool = option(
        False, "write a row for every volume, n/a where censored", group=SIGNALS
    )
    concatenate_runs: bool = option(
        False,
        "write the signals of all runs of a task one below the other, too, each cleaned and "
        "standardised by itself",
        group=SIGNALS,
    )
    format: str = option("tsv", "of the signals", group=SIGNALS, choices=("tsv", "tsv.gz"))

    confounds: tuple[str, ...] = option(
        ("simple",),
        f"strategies, each of which is written: {', '.join(CONFOUNDS)}; or a TOML file of columns "
        "and of these options",
        group=CLEANING,
        metavar="NAME|TOML",
    )
    confounds_columns: tuple[str, ...] = option(
        (),
        "more columns of the confounds table: a name, a pattern (rot_*), a regular expression "
        "(/csf|rot_./), derivative(…) or square(…) of any",
        group=CLEANING,
        metavar="NAME",
    )
    global_signal: str | None = option(
        None,
        "add the global signal to every strategy",
        group=CLEANING,
        choices=("none", "basic", "power2", "derivatives", "full"),
    )
    n_compcor: str | None = option(
        None,
        "components of acompcor and tcompcor: a number, all, or the share of variance below 1 "
        "(default: acompcor's of the first 50 % of the variance, tcompcor's all)",
        group=CLEANING,
        metavar="N",
    )
    high_variance_confounds: bool = option(
        False,
        "add what the 2 % of all voxels that vary most have in common: 5 regressors, for which "
        "each series is read twice more",
        group=CLEANING,
    )
    fd_threshold: float | None = option(
        None,
        "censor volumes of more framewise displacement than this, mm",
        group=CLEANING,
        kind=float,
        metavar="MM",
    )
    dvars_threshold: float | None = option(
        None,
        "censor volumes of more standardised DVARS than this",
        group=CLEANING,
        kind=float,
        metavar="X",
    )
    min_segment: int | None = option(
        None,
        "censor stretches of fewer kept volumes than this",
        group=CLEANING,
        kind=int,
        metavar="N",
    )
    use_outlier_columns: bool = option(
        False,
        "censor the volumes that fMRIPrep's own columns name: motion_outlier, "
        "non_steady_state_outlier",
        group=CLEANING,
    )
    motion_filter: MotionKind | Literal["none"] = option(
        "none",
        "what is taken out of the six motion parameters before the displacement is computed that "
        "censors, as for breathing in fast sequences: what is faster than one cut-off, or between "
        "two",
        group=CLEANING,
        choices=("none", "lowpass", "notch"),
    )
    motion_filter_hz: tuple[float, ...] = option(
        (), "its cut-off, or its two, Hz", group=CLEANING, kind=float, metavar="HZ"
    )
    dummy_scans: str = option(
        "auto",
        "volumes censored at the start; auto: fMRIPrep's non-steady-state volumes",
        group=CLEANING,
        metavar="N",
    )
    min_volumes: int = option(
        0, "refuse runs of which fewer volumes are kept", group=CLEANING, metavar="N"
    )
    min_seconds: float = option(
        0.0, "refuse runs of which less time is kept, s", group=CLEANING, metavar="S"
    )
    filter: Kind | None = option(
        None,
        "how frequencies are removed (default: butterworth when a cut-off is given)",
        group=CLEANING,
        choices=("butterworth", "cosine", "regression", "none"),
    )
    high_pass: float | None = option(
        None, "remove frequencies below this, Hz", group=CLEANING, kind=float, metavar="HZ"
    )
    low_pass: float | None = option(
        None, "remove frequencies above this, Hz", group=CLEANING, kind=float, metavar="HZ"
    )
    padding: Padding = option(
        "even",
        "how butterworth continues the run beyond its ends; odd is nilearn's",
        group=CLEANING,
        choices=("even", "odd"),
    )
    detrend: bool = option(True, "remove each signal's straight line over time", group=CLEANING)
    standardize: Scale = option(
        "zscore_sample",
        "what is done to each cleaned signal last",
        group=CLEANING,
        choices=("zscore_sample", "zscore", "psc", "none"),
    )
    t_r: float | None = option(
        None,
        "repetition time where the sidecar has none, s",
        group=CLEANING,
        kind=float,
        metavar="S",
    )

    n_procs: int = option(
        0,
        "runs worked on at the same time; 0: as many as there are processors",
        group=RUNNING,
        flags=("--nprocs", "--n-cpus"),
        metavar="N",
        minimum=0,
    )
    omp_nthreads: int = option(
        0,
        "threads of each; 0: the processors shared out evenly",
        group=RUNNING,
        metavar="N",
        minimum=0,
    )
    dry_run: bool = option(
        False,
        "say what would be done and what would fail, and stop; the exit code is that of such a run",
        group=RUNNING,
    )
    force: bool = option(False, "do again what is up to date", group=RUNNING)
    stop_on_first_crash: bool = option(
        False, "start nothing more after the first failed run", group=RUNNING
    )
    verbose: int = option(
        0,
        "show each finding as it is found; -vv: and the traceback of a crash",
        group=RUNNING,
        flags=("-v",),
        minimum=0,
        is_counted=True,
    )
    quiet: bool = option(False, "show only errors", group=RUNNING, flags=("-q",))

    @property
    def datatypes(self) -> tuple[str, ...]:
        """The folders whose images are worked on: `func`, `anat`."""
        return DATATYPES[self.datatype]


def with_filter(options: Options) -> Options:
    """Return the options with the filter that cut-offs imply, where none is named."""
    if options.filter is not None:
        return options
    has_cut_off = options.high_pass is not None or options.low_pass is not None
    return replace(options, filter="butterworth" if has_cut_off else "none")


def flag(name: str) -> str:
    """Return the option of a field: `fd_threshold` is `--fd-threshold`."""
    return "--" + name.replace("_", "-")
