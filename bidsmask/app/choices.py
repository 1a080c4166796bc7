"""The sets of cleaning choices that Options ask for, each with the name that files carry."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsmask.app.confounds_file import read_confounds_file
from bidsmask.app.options import Options
from bidsmask.app.words import COMPCOR, n_compcor
from bidsmask.cleaning.censoring import Thresholds
from bidsmask.cleaning.cleaning import Cleaning
from bidsmask.cleaning.columns import ColumnChoice
from bidsmask.cleaning.filter import TemporalFilter
from bidsmask.cleaning.motion import MotionFilter
from bidsmask.cleaning.strategies import STRATEGIES, ConfoundsStrategy
from bidsmask.errors import UsageError


@dataclass(frozen=True)
class CleaningChoice:
    """One set of choices.

    Attributes
    ----------
    name : str
        Letters and digits, as in `desc-simpleGSR`. Two sets never share one.
    confounds : ConfoundsStrategy
    thresholds : Thresholds
    cleaning : Cleaning
    """

    name: str
    confounds: ConfoundsStrategy
    thresholds: Thresholds
    cleaning: Cleaning


def cleaning_choices(options: Options) -> tuple[CleaningChoice, ...]:
    """Return one set of choices for each strategy of `--confounds`.

    Raises
    ------
    UsageError
        An option contradicts another, or does nothing for any of the strategies.
    MissingInput
        A file of confounds is not there.
    """
    choices = tuple(cleaning_choice(options, name) for name in dict.fromkeys(options.confounds))
    _refuse_idle(options, choices)
    return choices


def cleaning_choice(options: Options, name: str) -> CleaningChoice:
    """Return the set of choices of one strategy or file, with what the options change of it."""
    if name in STRATEGIES:
        return _chosen(name, STRATEGIES[name], options, options)
    file = read_confounds_file(Path(name))
    applied = file.applied_to(options)
    try:
        return _chosen(file.name, file.strategy, applied, options)
    except UsageError as error:
        problem = f"is refused: {error.where} {error.problem}"
        raise UsageError(file.path, problem, error.advice) from error


def _chosen(
    name: str, strategy: ConfoundsStrategy, options: Options, given: Options
) -> CleaningChoice:
    """Return the set of choices of a strategy; its name tells what was `given` beside it."""
    confounds = dataclasses.replace(strategy, **confounds_changes(options, strategy))
    thresholds = Thresholds(
        fd_mm=confounds.fd_mm,
        std_dvars=confounds.std_dvars,
        min_segment=confounds.min_segment,
        dummy_scans="auto" if options.dummy_scans == "auto" else int(options.dummy_scans),
        use_outlier_columns=options.use_outlier_columns,
        motion_filter=motion_filter(options, confounds),
        min_volumes=options.min_volumes,
        min_seconds=options.min_seconds,
    )
    temporal_filter = TemporalFilter(
        kind=options.filter or "none",
        high_pass_hz=options.high_pass,
        low_pass_hz=options.low_pass,
        padding=options.padding,
    )
    cleaning = Cleaning(
        detrend=options.detrend,
        filter=temporal_filter,
        standardize=options.standardize,
    )
    letters = changed(given, strategy, thresholds)
    return CleaningChoice(name + letters, confounds, thresholds, cleaning)


def confounds_changes(options: Options, strategy: ConfoundsStrategy) -> dict[str, Any]:
    """Return what the options change of a strategy's own columns and thresholds."""
    asked = {
        "global_signal": options.global_signal,
        "fd_mm": options.fd_threshold,
        "std_dvars": options.dvars_threshold,
        "min_segment": options.min_segment,
    }
    changes: dict[str, Any] = {name: v for name, v in asked.items() if v is not None}
    if strategy.compcor != "none" and options.n_compcor is not None:
        changes["n_compcor"] = n_compcor(options.n_compcor)
    if options.high_variance_confounds:
        changes["high_variance"] = True
    if options.confounds_columns:
        names = tuple(sorted(set(options.confounds_columns)))
        chosen = ColumnChoice(names, "--confounds-columns")
        changes["columns"] = (*strategy.columns, chosen)
    return changes


def motion_filter(options: Options, strategy: ConfoundsStrategy) -> MotionFilter | None:
    """Return what the parameters go through, where their displacement censors at all."""
    if options.motion_filter == "none" or strategy.fd_mm is None:
        return None
    return MotionFilter(options.motion_filter, options.motion_filter_hz)


def _refuse_idle(options: Options, choices: Sequence[CleaningChoice]) -> None:
    """Refuse what does something for none of the strategies."""
    censoring = [one.thresholds for one in choices]
    if options.n_compcor is not None and all(one.confounds.compcor == "none" for one in choices):
        raise UsageError("--n-compcor", f"does nothing without --confounds {' or '.join(COMPCOR)}")
    if options.min_segment and not any(
        one.fd_mm or one.std_dvars or one.use_outlier_columns for one in censoring
    ):
        raise UsageError(
            "--min-segment",
            "does nothing where no volume is censored for motion",
            "Give --fd-threshold, --dvars-threshold, --use-outlier-columns or --confounds "
            "scrubbing.",
        )
    if options.motion_filter != "none" and not any(one.motion_filter for one in censoring):
        raise UsageError(
            f"--motion-filter {options.motion_filter}",
            "does nothing where no volume is censored for displacement",
            "Give --fd-threshold, or --confounds scrubbing.",
        )


def changed(options: Options, own: ConfoundsStrategy, thresholds: Thresholds) -> str:
    """Return what was changed from a strategy's own, in letters and digits: `GSRFD02`."""
    signal = options.global_signal
    is_own = signal in (None, own.global_signal)
    parts = ["" if is_own else f"GSR{'' if signal == 'basic' else signal}"]
    if own.compcor != "none" and options.n_compcor is not None:
        parts.append("CC" + in_letters(n_compcor(options.n_compcor)))
    numbers = (
        ("FD", options.fd_threshold, own.fd_mm),
        ("DVARS", options.dvars_threshold, own.std_dvars),
        ("SEG", options.min_segment, own.min_segment),
        ("HP", options.high_pass, None),
        ("LP", options.low_pass, None),
        ("FWHM", options.smoothing_fwhm, None),
    )
    if options.dummy_scans != "auto":
        parts.append("DUMMY" + in_letters(int(options.dummy_scans)))
    parts += [
        letters + in_letters(value)
        for letters, value, default in numbers
        if value is not None and value != default
    ]
    if options.high_variance_confounds:
        parts.append("HV")
    if options.use_outlier_columns:
        parts.append("OUTLIERS")
    if options.motion_filter != "none" and thresholds.motion_filter is not None:
        cut_offs = "to".join(map(in_letters, options.motion_filter_hz))
        parts.append({"lowpass": "MLP", "notch": "MNOTCH"}[options.motion_filter] + cut_offs)
    if options.filter in ("cosine", "regression"):
        parts.append(options.filter)
    if options.padding != "even":
        parts.append("ODD")
    if not options.detrend:
        parts.append("NODETREND")
    if options.standardize != "zscore_sample":
        parts.append({"zscore": "ZSCORE", "psc": "PSC", "none": "RAW"}[options.standardize])
    if options.keep_censored:
        parts.append("ALLROWS")
    if options.confounds_columns:
        columns = json.dumps(sorted(set(options.confounds_columns)))
        parts.append("COL" + hashlib.sha256(columns.encode()).hexdigest()[:8])
    return "".join(parts)


def in_letters(value: float | str) -> str:
    """Return a number in letters and digits, no two alike: .2 is `02`, 1.5 is `1p5`, 15 is `15`."""
    text = str(value).removesuffix(".0").replace("e-", "em").replace("e+", "e")
    return text.replace("0.", "0", 1) if text.startswith("0.") else text.replace(".", "p")
