"""What is wrong with the options taken together: contradictions, and options that do nothing.

What the cleaning asks of its numbers, `cleaning/` checks itself.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
from pathlib import Path

from bidsmask.app.options import Options, flag
from bidsmask.app.words import (
    CLEANING,
    CONFOUNDS,
    CORRELATIONS,
    LEVELS,
    LONGEST_T_R_S,
    RUNNING,
    SHORTEST_T_R_S,
    SIGNALS,
    n_compcor,
)
from bidsmask.errors import (
    BidsmaskError,
    MissingInput,
    OutputRefused,
    UnknownLevel,
    UsageError,
)

# What does nothing when only masks are written.
SIGNAL_FIELDS = tuple(
    f for f in dataclasses.fields(Options) if f.metadata.get("group") in (SIGNALS, CLEANING)
)

# What does something at the group level: it selects, or says how the program runs. The group level
# is one process, which keeps to any bound.
GROUP_FIELDS = frozenset(
    {
        "participant_label",
        "session_label",
        "task_label",
        "run_label",
        "space",
        "skip_bids_validation",
        "mask_strategy",
        "brain_volume",
        "combine_masks",
        "combine_over",
        "connectivity",
        *(f.name for f in dataclasses.fields(Options) if f.metadata.get("group") == RUNNING),
    }
)

# What columns of events cannot be called, in the tables of volumes and of trials.
COLUMNS_OF_TRIALS = frozenset(
    {
        "volume",
        "row",
        "onset",
        "duration",
        "kept",
        "reason",
        "framewise_displacement",
        "filtered_framewise_displacement",
        "std_dvars",
        "trial_type",
        "trial_number",
        "n_volumes",
        "n_censored",
    }
)


def check(options: Options) -> None:
    """Raise UsageError where options contradict each other or would do nothing."""
    if options.analysis_level not in LEVELS:
        raise UnknownLevel(
            f"analysis level {options.analysis_level!r}",
            "is unknown",
            "It is participant or group.",
        )
    for problem in problems(options):
        raise problem


def problems(options: Options) -> list[BidsmaskError]:
    """Return what is wrong with the options taken together."""
    found: list[BidsmaskError] = []

    def wrong(what: str, problem: str, advice: str = "") -> None:
        found.append(UsageError(what, problem, advice))

    for one in dataclasses.fields(Options):
        least, value = one.metadata.get("minimum"), getattr(options, one.name)
        if least is not None and value < least:
            wrong(f"{flag(one.name)} {value}", "is no number", f"Give {least} or more.")
    if options.quiet and options.verbose:
        wrong("--quiet", "contradicts --verbose")
    volumes = options.brain_volume
    if volumes and not (len(volumes) == 2 and 0 <= volumes[0] < volumes[1] < float("inf")):
        told = " ".join(f"{volume:g}" for volume in volumes)
        wrong(f"--brain-volume {told}", "is no range", "Give the least and the largest, ml.")
    found += combination_problems(options)
    if options.analysis_level == "group":
        for one in dataclasses.fields(Options):
            does_nothing = one.metadata and one.name not in GROUP_FIELDS
            if does_nothing and getattr(options, one.name) != one.default:
                wrong(flag(one.name), "does nothing at the group level", "Leave it out.")
        return found
    width = options.smoothing_fwhm
    if width is not None and not 0 < width < float("inf"):
        wrong(f"--smoothing-fwhm {width:g}", "is no width", "Give mm, or leave it out.")
    if options.t_r is not None and not SHORTEST_T_R_S <= options.t_r <= LONGEST_T_R_S:
        wrong(f"--t-r {options.t_r:g}", "is no time between two volumes", "Give seconds.")
    if options.mask_strategy == "file" and options.mask_file is None:
        wrong("--mask-strategy file", "needs a mask", "Give it by --mask-file.")
    if options.mask_file is not None and options.mask_strategy not in ("auto", "file"):
        wrong("--mask-file", f"does nothing beside --mask-strategy {options.mask_strategy}")
    if options.mask_args and options.mask_strategy in ("auto", "derivative", "file"):
        wrong(
            "--mask-args",
            f"does nothing beside --mask-strategy {options.mask_strategy}",
            "Name the strategy that the arguments are for.",
        )
    takes_template = options.mask_strategy == "brain" or options.mask_strategy.endswith("-template")
    if options.template is not None and not takes_template:
        wrong(
            "--template",
            f"does nothing beside --mask-strategy {options.mask_strategy}",
            "Give --mask-strategy brain, whole-brain-template, gm-template or wm-template.",
        )
    is_moved = options.target_affine or options.target_shape
    if is_moved and not (options.mask_only or options.datatype == "anat"):
        advice = "Give --mask-only; signals are on the grid of their run."
        wrong("--target-affine", "moves masks alone", advice)
    if is_moved and options.signal_mask is not None:
        wrong("--signal-mask", "does nothing beside --target-affine", "Signals are not moved.")
    found += regions_problems(options)
    found += trials_problems(options)
    found += confounds_problems(options)
    is_anatomy = options.datatype == "anat"
    if is_anatomy and options.task_label:
        wrong("--task-label", "does nothing beside --datatype anat", "Anatomy is of no task.")
    if options.mask_only or is_anatomy:
        beside = "--datatype anat" if is_anatomy else "--mask-only"
        for one in SIGNAL_FIELDS:
            if getattr(options, one.name) != one.default:
                wrong(flag(one.name), f"does nothing beside {beside}")
    elif options.voxels is False and not (options.atlas or options.maps or options.seeds):
        wrong("--no-voxels", "leaves nothing to write", "Give --atlas, or --mask-only.")
    return found


def combination_problems(options: Options) -> list[BidsmaskError]:
    """Return what is wrong with how masks are combined."""
    found: list[BidsmaskError] = []
    method, over, share = options.combine_masks, options.combine_over, options.signal_mask
    is_group = options.analysis_level == "group"
    if over is not None and method is None:
        found.append(UsageError("--combine-over", "does nothing without --combine-masks"))
    if over is not None and is_group != (over == "participant"):
        problem = "does nothing at the group level, which joins the runs of all participants"
        if not is_group:
            problem = "is for the group level: here each participant is worked on by himself"
        advice = "Leave it out." if is_group else "Give run or session, or combine them there."
        found.append(UsageError(f"--combine-over {over}", problem, advice))
    if is_group:
        return found
    is_anatomy = options.datatype == "anat"
    if method == "probability" and not (options.mask_only or is_anatomy):
        advice = "Give intersection, union or majority, or --mask-only for the map."
        problem = "gives a share at each voxel, which is no mask of signals"
        found.append(UsageError("--combine-masks probability", problem, advice))
    if share is not None and is_anatomy:
        found.append(UsageError("--signal-mask", "does nothing beside --datatype anat"))
    if share is not None and method == "probability":
        found.append(UsageError("--signal-mask", "does nothing beside --combine-masks probability"))
    if share is not None and not 0 < share <= 1:
        problem = "is no share of the runs"
        found.append(UsageError(f"--signal-mask {share:g}", problem, "Give more than 0, up to 1."))
    elif share is not None and share < 1 and method is None:
        problem = "is no other than 1 where each run is by itself"
        advice = "Give --signal-mask 1, or --combine-masks."
        found.append(UsageError(f"--signal-mask {share:g}", problem, advice))
    return found


def regions_problems(options: Options) -> list[BidsmaskError]:
    """Return what is wrong with the choice of regions."""
    found: list[BidsmaskError] = []
    if options.radius is not None and not 0 <= options.radius < float("inf"):
        problem, advice = "is no radius", "Give mm; 0 is the nearest voxel alone."
        found.append(UsageError(f"--radius {options.radius:g}", problem, advice))
    if not options.seeds:
        for one, value in (
            ("--radius", options.radius),
            ("--allow-overlap", options.allow_overlap),
        ):
            if value not in (None, False):
                found.append(UsageError(one, "does nothing without --seeds"))
    share = options.min_coverage
    if share is not None and not 0 < share <= 1:
        problem, advice = "is no share of a region", "Give more than 0, up to 1."
        found.append(UsageError(f"--min-coverage {share:g}", problem, advice))
    if share is not None and not (options.atlas or options.maps or options.seeds):
        problem = "does nothing without --atlas, --maps or --seeds"
        found.append(UsageError("--min-coverage", problem))
    if options.region_statistic != ("mean",) and not (options.atlas or options.seeds):
        found.append(UsageError("--region-statistic", "does nothing without --atlas or --seeds"))
    if options.connectivity and not (options.atlas or options.maps or options.seeds):
        problem = "has nothing to connect: between voxels a matrix would be 200 GB a run"
        advice = "Give regions by --atlas, --maps or --seeds."
        found.append(UsageError("--connectivity", problem, advice))
    others = [one for one in options.connectivity if one not in CORRELATIONS]
    if options.fisher_z and not options.connectivity:
        found.append(UsageError("--fisher-z", "does nothing without --connectivity"))
    elif options.fisher_z and others:
        problem = f"is of correlations, and {', '.join(others)} is none"
        found.append(UsageError("--fisher-z", problem, f"Give {', '.join(CORRELATIONS)}."))
    return found


def trials_problems(options: Options) -> list[BidsmaskError]:
    """Return what is wrong with how volumes are given to trials."""
    found: list[BidsmaskError] = []
    window, delay = options.trial_window, options.trial_delay
    told = " ".join(f"{time:g}" for time in window)
    if window and not options.trials:
        found.append(UsageError("--trial-window", "does nothing without --trials"))
    if window and not (len(window) == 2 and -math.inf < window[0] < window[1] < math.inf):
        advice = "Give its start and its end, s from the onset, as in --trial-window 4 8."
        found.append(UsageError(f"--trial-window {told}", "is no window", advice))
    if delay is not None and not math.isfinite(delay):
        found.append(UsageError(f"--trial-delay {delay:g}", "is no delay", "Give seconds."))
    if options.trials and not window and delay is None:
        problem = "needs to know when the response to a trial is"
        advice = "Give --trial-window START END (4 8, say), or --trial-delay S (5, say; 0: none)."
        found.append(UsageError("--trials", problem, advice))
    for name in options.events_columns:
        if not (name.strip() and name.isprintable()):
            found.append(UsageError("--events-columns", f"has {name!r}, which names no column"))
    taken = [name for name in options.events_columns if name in COLUMNS_OF_TRIALS]
    if taken:
        problem = f"has {taken[0]}, which is a name of the tables of volumes and trials"
        advice = "Leave it out, or give the column of the events another name."
        found.append(UsageError("--events-columns", problem, advice))
    return found


def confounds_problems(options: Options) -> list[BidsmaskError]:
    """Return what is wrong with the choice of confounds and of volumes."""
    found: list[BidsmaskError] = []
    if options.n_compcor is not None:
        try:
            n_compcor(options.n_compcor)
        except ValueError:
            found.append(
                UsageError(
                    f"--n-compcor {options.n_compcor}",
                    "is no number of components",
                    "Give a whole number, a share of variance between 0 and 1, or all.",
                )
            )
    if options.dummy_scans != "auto" and not options.dummy_scans.isdecimal():
        found.append(
            UsageError(f"--dummy-scans {options.dummy_scans}", "is no number", "Give N or auto.")
        )
    if options.motion_filter_hz and options.motion_filter == "none":
        found.append(UsageError("--motion-filter-hz", "does nothing without --motion-filter"))
    for name in options.confounds:
        if name not in CONFOUNDS and not name.endswith(".toml"):
            near = difflib.get_close_matches(name, CONFOUNDS, n=2, cutoff=0.4) or CONFOUNDS
            problem = "is no strategy and no .toml file"
            advice = f"It is one of {', '.join(near)}."
            found.append(UsageError(f"--confounds {name}", problem, advice))
    return found


def check_text(options: Options) -> None:
    """Refuse words and paths that are no UTF-8 text, which no table, JSON or index can hold."""
    for one in dataclasses.fields(options):
        value = getattr(options, one.name)
        for word in value if isinstance(value, tuple) else [value]:
            is_path = isinstance(word, Path) or one.name in ("atlas", "maps")
            text = os.path.abspath(word) if is_path else str(word)  # noqa: PTH100  keeps no `..`
            as_given = text.encode(errors="surrogateescape")
            try:
                as_given.decode()
            except UnicodeDecodeError as error:
                if not is_path:
                    raise UsageError(
                        flag(one.name), f"is given {as_given!r}, which is not UTF-8 text"
                    ) from error
                kind = OutputRefused if one.name == "output_dir" else MissingInput
                raise kind(
                    str(word),
                    f"has a path that is not UTF-8 text: {as_given!r}",
                    "Rename the folder or file, or give a symbolic link to it.",
                ) from error
