"""The sets of cleaning choices that Options ask for, each with the name that files carry."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from bidsmask.app.options import Options, n_compcor
from bidsmask.app.words import COMPCOR
from bidsmask.cleaning.censoring import Thresholds
from bidsmask.cleaning.cleaning import Cleaning
from bidsmask.cleaning.columns import ColumnChoice
from bidsmask.cleaning.filter import TemporalFilter
from bidsmask.cleaning.strategies import STRATEGIES, ConfoundsStrategy


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
    """Return one set of choices for each strategy of `--confounds`."""
    return tuple(cleaning_choice(options, name) for name in dict.fromkeys(options.confounds))


def cleaning_choice(options: Options, strategy: str) -> CleaningChoice:
    """Return the set of choices of one strategy, with what the options change of it."""
    confounds = dataclasses.replace(STRATEGIES[strategy], **confounds_changes(options, strategy))
    thresholds = Thresholds(
        fd_mm=confounds.fd_mm,
        std_dvars=confounds.std_dvars,
        min_segment=confounds.min_segment,
        dummy_scans="auto" if options.dummy_scans == "auto" else int(options.dummy_scans),
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
    return CleaningChoice(strategy + changed(options, strategy), confounds, thresholds, cleaning)


def confounds_changes(options: Options, strategy: str) -> dict[str, Any]:
    """Return what the options change of a strategy's own columns and thresholds."""
    asked = {
        "global_signal": options.global_signal,
        "fd_mm": options.fd_threshold,
        "std_dvars": options.dvars_threshold,
        "min_segment": options.min_segment,
    }
    changes: dict[str, Any] = {name: v for name, v in asked.items() if v is not None}
    if strategy in COMPCOR and options.n_compcor is not None:
        changes["n_compcor"] = n_compcor(options.n_compcor)
    if options.confounds_columns:
        names = tuple(sorted(set(options.confounds_columns)))
        chosen = ColumnChoice(names, "--confounds-columns")
        changes["columns"] = (*STRATEGIES[strategy].columns, chosen)
    return changes


def changed(options: Options, strategy: str) -> str:
    """Return what was changed from the defaults, in letters and digits: `GSRFD02`."""
    own = STRATEGIES[strategy]
    signal = options.global_signal
    is_own = signal in (None, own.global_signal)
    parts = ["" if is_own else f"GSR{'' if signal == 'basic' else signal}"]
    if strategy in COMPCOR and options.n_compcor is not None:
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
